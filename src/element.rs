//! The element types, and all floating-point arithmetic of the crate.

mod sealed {
    pub trait Sealed: crate::vector::Vectors {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The element types of a posterior: `f64` and `f32`.
pub trait Element:
    sealed::Sealed
    + bytemuck::Pod
    + PartialOrd
    + Default
    + From<i16>
    + Into<f64>
    + Send
    + Sync
    + std::fmt::Debug
{
    /// The type's name and size.
    const DTYPE: Dtype;
    /// Negative infinity: below or equal to every value that is not NaN.
    #[doc(hidden)]
    const LOWEST: Self;
    /// Positive infinity: above or equal to every value that is not NaN.
    #[doc(hidden)]
    const HIGHEST: Self;

    /// No number.
    #[doc(hidden)]
    const NAN: Self;

    /// Whether this is no number.
    #[doc(hidden)]
    fn is_nan(self) -> bool;

    /// `alpha * height`: the product in `f64`, for `f32` rounded once to `f32`.
    #[doc(hidden)]
    fn threshold(alpha: f64, height: Self) -> Self;

    /// The value, where a zero is positive.
    #[doc(hidden)]
    fn unsigned_zero(self) -> Self {
        Self::prominence(self, Self::default())
    }

    /// A threshold given as an `f64`: for `f32` rounded once.
    #[doc(hidden)]
    fn rounded(value: f64) -> Self;

    /// `(height - base) + 0.0` in the element's own type, so that a zero is positive.
    #[doc(hidden)]
    fn prominence(height: Self, base: Self) -> Self;
}

impl Element for f64 {
    const DTYPE: Dtype = Dtype::F64;
    const LOWEST: Self = Self::NEG_INFINITY;
    const HIGHEST: Self = Self::INFINITY;
    const NAN: Self = Self::NAN;

    #[inline(always)]
    fn is_nan(self) -> bool {
        Self::is_nan(self)
    }

    #[inline(always)]
    fn threshold(alpha: f64, height: Self) -> Self {
        alpha * height
    }

    #[inline(always)]
    fn rounded(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn prominence(height: Self, base: Self) -> Self {
        (height - base) + 0.0
    }
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
    const LOWEST: Self = Self::NEG_INFINITY;
    const HIGHEST: Self = Self::INFINITY;
    const NAN: Self = Self::NAN;

    #[inline(always)]
    fn is_nan(self) -> bool {
        Self::is_nan(self)
    }

    #[inline(always)]
    fn threshold(alpha: f64, height: Self) -> Self {
        (alpha * f64::from(height)) as f32
    }

    #[inline(always)]
    fn rounded(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn prominence(height: Self, base: Self) -> Self {
        (height - base) + 0.0
    }
}

/// The number, and the same NaN whatever NaN it is: which one an operation yields is the processor's choice.
pub(crate) fn number<T: Element>(value: T) -> T {
    if value.is_nan() { T::NAN } else { value }
}

/// A quotient in `f64`.
pub(crate) fn quotient(a: f64, b: f64) -> f64 {
    number(a / b)
}

/// An element type by name, for [`estimate`](crate::estimate).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 64-bit floating point.
    F64,
    /// 32-bit floating point.
    F32,
}

impl Dtype {
    /// Bytes of one value.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
        }
    }
}
