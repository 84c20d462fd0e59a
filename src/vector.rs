//! Vectors: 64 bytes of values that are compared in one go, and the only place that knows instructions by name.
//!
//! [`Plain`] says what each operation means; the others are held to it by a test. It is what processors without a set of
//! their own take.

// Nothing here can be reached from outside, but the traits stand behind `Element`, which can.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "parts of a sealed trait, in a private module"
)]

use bytemuck::{Pod, Zeroable};

/// Bytes of a vector: a cache line.
pub(crate) const BYTES: usize = 64;

/// A vector's worth of values in memory, at a cache line of its own.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Line([u64; BYTES / 8]);

impl Line {
    pub const ZERO: Self = Self([0; BYTES / 8]);

    #[inline(always)]
    pub fn of<T: Pod>(value: T) -> Self {
        let mut line = Self::ZERO;
        line.values_mut().fill(value);
        line
    }

    #[inline(always)]
    pub fn values<T: Pod>(&self) -> &[T] {
        bytemuck::must_cast_slice(&self.0)
    }

    #[inline(always)]
    pub fn values_mut<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::must_cast_slice_mut(&mut self.0)
    }
}

/// Values of a vector.
pub const fn width<T>() -> usize {
    BYTES / size_of::<T>()
}

/// The vectors of an instruction set, of values of one type. Comparisons yield a bit for each value, the first lowest.
pub trait Set<T>: 'static {
    type V: Copy;

    fn splat(value: T) -> Self::V;
    fn load(line: &Line) -> Self::V;
    /// From the first values of a slice that has as many, wherever it lies.
    fn load_from(values: &[T]) -> Self::V;
    fn store(v: Self::V, line: &mut Line);
    /// The higher of two values; the first, if they do not compare or are equal.
    fn higher(a: Self::V, b: Self::V) -> Self::V;
    /// The lower of two values; the first, if they do not compare or are equal.
    fn lower(a: Self::V, b: Self::V) -> Self::V;
    fn reaches(a: Self::V, b: Self::V) -> u64;
    fn exceeds(a: Self::V, b: Self::V) -> u64;
    fn equals(a: Self::V, b: Self::V) -> u64;
    /// Where either is no number.
    fn unordered(a: Self::V, b: Self::V) -> u64;
}

/// The sets of vectors for a type of values.
pub trait Vectors: Sized + 'static {
    type Plain: Set<Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Set<Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx512: Set<Self>;
}

/// Arrays, and what the compiler makes of loops over them.
pub struct Plain;

macro_rules! plain {
    ($($t:ty),*) => {$(
        impl Set<$t> for Plain {
            type V = [$t; width::<$t>()];

            #[inline(always)]
            fn splat(value: $t) -> Self::V {
                [value; width::<$t>()]
            }

            #[inline(always)]
            fn load(line: &Line) -> Self::V {
                bytemuck::must_cast(line.0)
            }

            #[inline(always)]
            fn load_from(values: &[$t]) -> Self::V {
                let mut v = [0.0; width::<$t>()];
                v.copy_from_slice(&values[..width::<$t>()]);
                v
            }

            #[inline(always)]
            fn store(v: Self::V, line: &mut Line) {
                line.0 = bytemuck::must_cast(v);
            }

            #[inline(always)]
            fn higher(mut a: Self::V, b: Self::V) -> Self::V {
                for i in 0..a.len() {
                    a[i] = if b[i] > a[i] { b[i] } else { a[i] };
                }
                a
            }

            #[inline(always)]
            fn lower(mut a: Self::V, b: Self::V) -> Self::V {
                for i in 0..a.len() {
                    a[i] = if b[i] < a[i] { b[i] } else { a[i] };
                }
                a
            }

            #[inline(always)]
            fn reaches(a: Self::V, b: Self::V) -> u64 {
                let mut bits = 0;
                for i in 0..a.len() {
                    bits |= u64::from(a[i] >= b[i]) << i;
                }
                bits
            }

            #[inline(always)]
            fn exceeds(a: Self::V, b: Self::V) -> u64 {
                let mut bits = 0;
                for i in 0..a.len() {
                    bits |= u64::from(a[i] > b[i]) << i;
                }
                bits
            }

            #[inline(always)]
            fn equals(a: Self::V, b: Self::V) -> u64 {
                let mut bits = 0;
                for i in 0..a.len() {
                    bits |= u64::from(a[i] == b[i]) << i;
                }
                bits
            }

            #[inline(always)]
            fn unordered(a: Self::V, b: Self::V) -> u64 {
                let mut bits = 0;
                for i in 0..a.len() {
                    bits |= u64::from(a[i].is_nan() | b[i].is_nan()) << i;
                }
                bits
            }
        }
    )*};
}
plain!(f32, f64);

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

impl Vectors for f32 {
    type Plain = Plain;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = Avx2;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = Avx512;
}

impl Vectors for f64 {
    type Plain = Plain;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = Avx2;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = Avx512;
}

#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "instructions beyond the baseline, and loads of whole vectors"
)]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Line, Set, width};

    /// 512 bits in one register. To be used only in functions compiled for AVX-512 F and DQ.
    pub struct Avx512;
    /// 512 bits in two registers. To be used only in functions compiled for AVX2.
    pub struct Avx2;

    macro_rules! avx512 {
        ($t:ty, $v:ty, $splat:ident, $load:ident, $loadu:ident, $store:ident, $max:ident, $min:ident, $cmp:ident) => {
            // SAFETY: of all blocks here: they are compiled into functions of `super::super` alone that enable these
            // instructions and that run only where `Cpu::new` has found them; lines are aligned and 64 bytes long, and
            // slices are checked to be long enough.
            impl Set<$t> for Avx512 {
                type V = $v;

                #[inline(always)]
                fn splat(value: $t) -> $v {
                    // SAFETY: as above.
                    unsafe { $splat(value) }
                }

                #[inline(always)]
                fn load(line: &Line) -> $v {
                    // SAFETY: as above.
                    unsafe { $load(line.0.as_ptr().cast()) }
                }

                #[inline(always)]
                fn load_from(values: &[$t]) -> $v {
                    let values = &values[..width::<$t>()];
                    // SAFETY: as above.
                    unsafe { $loadu(values.as_ptr()) }
                }

                #[inline(always)]
                fn store(v: $v, line: &mut Line) {
                    // SAFETY: as above.
                    unsafe { $store(line.0.as_mut_ptr().cast(), v) }
                }

                #[inline(always)]
                fn higher(a: $v, b: $v) -> $v {
                    // SAFETY: as above. The second operand is what remains where they do not compare.
                    unsafe { $max(b, a) }
                }

                #[inline(always)]
                fn lower(a: $v, b: $v) -> $v {
                    // SAFETY: as above.
                    unsafe { $min(b, a) }
                }

                #[inline(always)]
                fn reaches(a: $v, b: $v) -> u64 {
                    // SAFETY: as above.
                    u64::from(unsafe { $cmp::<_CMP_GE_OQ>(a, b) })
                }

                #[inline(always)]
                fn exceeds(a: $v, b: $v) -> u64 {
                    // SAFETY: as above.
                    u64::from(unsafe { $cmp::<_CMP_GT_OQ>(a, b) })
                }

                #[inline(always)]
                fn equals(a: $v, b: $v) -> u64 {
                    // SAFETY: as above.
                    u64::from(unsafe { $cmp::<_CMP_EQ_OQ>(a, b) })
                }

                #[inline(always)]
                fn unordered(a: $v, b: $v) -> u64 {
                    // SAFETY: as above.
                    u64::from(unsafe { $cmp::<_CMP_UNORD_Q>(a, b) })
                }
            }
        };
    }
    avx512!(
        f64,
        __m512d,
        _mm512_set1_pd,
        _mm512_load_pd,
        _mm512_loadu_pd,
        _mm512_store_pd,
        _mm512_max_pd,
        _mm512_min_pd,
        _mm512_cmp_pd_mask
    );
    avx512!(
        f32,
        __m512,
        _mm512_set1_ps,
        _mm512_load_ps,
        _mm512_loadu_ps,
        _mm512_store_ps,
        _mm512_max_ps,
        _mm512_min_ps,
        _mm512_cmp_ps_mask
    );

    macro_rules! avx2 {
        ($t:ty, $v:ty, $splat:ident, $load:ident, $loadu:ident, $store:ident, $max:ident, $min:ident, $cmp:ident, $mask:ident) => {
            impl Set<$t> for Avx2 {
                type V = [$v; 2];

                #[inline(always)]
                fn splat(value: $t) -> Self::V {
                    // SAFETY: as above.
                    unsafe { [$splat(value); 2] }
                }

                #[inline(always)]
                fn load(line: &Line) -> Self::V {
                    let half: *const $t = line.0.as_ptr().cast();
                    // SAFETY: as above.
                    unsafe { [$load(half), $load(half.add(width::<$t>() / 2))] }
                }

                #[inline(always)]
                fn load_from(values: &[$t]) -> Self::V {
                    let (low, high) = values[..width::<$t>()].split_at(width::<$t>() / 2);
                    // SAFETY: as above.
                    unsafe { [$loadu(low.as_ptr()), $loadu(high.as_ptr())] }
                }

                #[inline(always)]
                fn store(v: Self::V, line: &mut Line) {
                    let half: *mut $t = line.0.as_mut_ptr().cast();
                    // SAFETY: as above.
                    unsafe {
                        $store(half, v[0]);
                        $store(half.add(width::<$t>() / 2), v[1]);
                    }
                }

                #[inline(always)]
                fn higher(a: Self::V, b: Self::V) -> Self::V {
                    // SAFETY: as above. The second operand is what remains where they do not compare.
                    unsafe { [$max(b[0], a[0]), $max(b[1], a[1])] }
                }

                #[inline(always)]
                fn lower(a: Self::V, b: Self::V) -> Self::V {
                    // SAFETY: as above.
                    unsafe { [$min(b[0], a[0]), $min(b[1], a[1])] }
                }

                #[inline(always)]
                fn reaches(a: Self::V, b: Self::V) -> u64 {
                    Self::bits::<_CMP_GE_OQ>(a, b)
                }

                #[inline(always)]
                fn exceeds(a: Self::V, b: Self::V) -> u64 {
                    Self::bits::<_CMP_GT_OQ>(a, b)
                }

                #[inline(always)]
                fn equals(a: Self::V, b: Self::V) -> u64 {
                    Self::bits::<_CMP_EQ_OQ>(a, b)
                }

                #[inline(always)]
                fn unordered(a: Self::V, b: Self::V) -> u64 {
                    Self::bits::<_CMP_UNORD_Q>(a, b)
                }
            }

            impl Bits<[$v; 2]> for Avx2 {
                #[inline(always)]
                fn bits<const HOW: i32>(a: [$v; 2], b: [$v; 2]) -> u64 {
                    // SAFETY: as above.
                    let [low, high] = unsafe {
                        [
                            $mask($cmp::<HOW>(a[0], b[0])),
                            $mask($cmp::<HOW>(a[1], b[1])),
                        ]
                    };
                    low as u64 | (high as u64) << (width::<$t>() / 2)
                }
            }
        };
    }

    /// Comparisons of two registers at a time.
    trait Bits<V> {
        fn bits<const HOW: i32>(a: V, b: V) -> u64;
    }

    avx2!(
        f64,
        __m256d,
        _mm256_set1_pd,
        _mm256_load_pd,
        _mm256_loadu_pd,
        _mm256_store_pd,
        _mm256_max_pd,
        _mm256_min_pd,
        _mm256_cmp_pd,
        _mm256_movemask_pd
    );
    avx2!(
        f32,
        __m256,
        _mm256_set1_ps,
        _mm256_load_ps,
        _mm256_loadu_ps,
        _mm256_store_ps,
        _mm256_max_ps,
        _mm256_min_ps,
        _mm256_cmp_ps,
        _mm256_movemask_ps
    );
}
