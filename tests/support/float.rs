//! The element types, with what a test needs to make, name and compare their values.

use crate::oracle::Real;

/// `f64` or `f32`.
pub(crate) trait Float: peakmask::Element + Real {
    const NAME: &'static str;
    const LARGEST: Self;

    /// The nearest value.
    fn of(v: f64) -> Self;
    /// `k` times the smallest subnormal; for `k == 0` a positive zero.
    fn subnormal(k: i32) -> Self;
    /// The next value towards plus infinity.
    fn up(self) -> Self;
    /// The next value towards minus infinity.
    fn down(self) -> Self;
    /// The bits, which tell -0.0 from 0.0.
    fn bits(self) -> u64;
    /// The value with other bits.
    fn with_bits(bits: u64) -> Self;
}

macro_rules! float {
    ($float:ident, $bits:ident) => {
        impl Float for $float {
            const NAME: &'static str = stringify!($float);
            const LARGEST: Self = $float::MAX;

            fn of(v: f64) -> Self {
                v as $float
            }
            fn subnormal(k: i32) -> Self {
                k as $float * $float::from_bits(1)
            }
            fn up(self) -> Self {
                self.next_up()
            }
            fn down(self) -> Self {
                self.next_down()
            }
            fn bits(self) -> u64 {
                u64::from(self.to_bits())
            }
            fn with_bits(bits: u64) -> Self {
                $float::from_bits(bits as $bits)
            }
        }
    };
}

float!(f32, u32);
float!(f64, u64);
