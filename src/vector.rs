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

use crate::bits::transpose_64;

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

/// The most values of a vector.
pub(crate) const MOST_LANES: usize = BYTES / 4;

/// The most groups of lanes of a tile.
pub(crate) const MOST_GROUPS: usize = 64 / (BYTES / 8);

/// Values of a vector.
pub const fn width<T>() -> usize {
    BYTES / size_of::<T>()
}

/// Eight bytes as the rows of an 8 x 8 matrix of bits: bit j of byte i becomes bit i of byte j.
#[inline(always)]
pub(crate) fn transpose_8(mut bits: u64) -> u64 {
    let mut swap = |shift: u32, mask: u64| {
        let moved = (bits >> shift ^ bits) & mask;
        bits ^= moved ^ moved << shift;
    };
    swap(7, 0x00aa_00aa_00aa_00aa);
    swap(14, 0x0000_cccc_0000_cccc);
    swap(28, 0x0000_0000_f0f0_f0f0);
    bits
}

/// The vectors of an instruction set, of values of one type. Comparisons yield a bit for each value, the first lowest.
pub trait Set<T>: 'static {
    type V: Copy;
    /// Groups of lanes whose extremes the registers can hold, side by side.
    const TOGETHER: usize;

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

    /// Bit i of all 64 bytes as word i.
    #[inline(always)]
    fn turn_bytes(bytes: &[u8; 64]) -> [u64; 8] {
        let mut words = [0; 8];
        for (e, eight) in bytes.chunks_exact(8).enumerate() {
            let mut cells = [0; 8];
            cells.copy_from_slice(eight);
            let cells = u64::from_le_bytes(cells);
            if cells == 0 {
                continue;
            }
            let lanes = transpose_8(cells).to_le_bytes();
            for i in 0..8 {
                words[i] |= u64::from(lanes[i]) << (8 * e);
            }
        }
        words
    }

    /// A 64 x 64 matrix of bits turned, as [`transpose_64`] does.
    #[inline(always)]
    fn turn_bits(words: &[u64; 64]) -> [[u64; 8]; 8] {
        transpose_64(words)
    }

    /// Eight values of each of eight columns, turned: value i of column j becomes number `within + j` of line `i * step`.
    #[inline(always)]
    fn turn(columns: [&[T]; 8], lines: &mut [Line], step: usize, within: usize)
    where
        T: Pod,
    {
        for i in 0..8 {
            let line = &mut lines[i * step].values_mut()[within..within + 8];
            for j in 0..8 {
                line[j] = columns[j][i];
            }
        }
    }
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
            const TOGETHER: usize = 1;

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
        ($t:ty, $v:ty, $splat:ident, $load:ident, $loadu:ident, $store:ident, $max:ident, $min:ident, $cmp:ident $(, $turn:item)?) => {
            // SAFETY: of all blocks here: they are compiled into functions of `super::super` alone that enable these
            // instructions and that run only where `Cpu::new` has found them; lines are aligned and 64 bytes long, and
            // slices are checked to be long enough.
            impl Set<$t> for Avx512 {
                type V = $v;
                const TOGETHER: usize = 64 / width::<$t>();

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

                #[inline(always)]
                fn turn_bytes(bytes: &[u8; 64]) -> [u64; 8] {
                    let mut words = [0; 8];
                    // SAFETY: as above.
                    unsafe {
                        let bytes = _mm512_loadu_si512(bytes.as_ptr().cast());
                        for i in 0..8 {
                            words[i] = _mm512_test_epi8_mask(bytes, _mm512_set1_epi8(1 << i));
                        }
                    }
                    words
                }

                #[inline(always)]
                fn turn_bits(words: &[u64; 64]) -> [[u64; 8]; 8] {
                    // SAFETY: as above.
                    unsafe { bits_turned(words) }
                }

                $($turn)?
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
        _mm512_cmp_pd_mask,
        #[inline(always)]
        fn turn(columns: [&[f64]; 8], lines: &mut [Line], step: usize, _: usize) {
            // No closure: it would be compiled on its own, for the baseline.
            let mut rows = [<Self as Set<f64>>::splat(0.0); 8];
            for j in 0..8 {
                rows[j] = <Self as Set<f64>>::load_from(columns[j]);
            }
            // SAFETY: as above.
            let columns = unsafe { turned(rows) };
            for i in 0..8 {
                <Self as Set<f64>>::store(columns[i], &mut lines[i * step]);
            }
        }
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

    /// Rows become columns: first within pairs of rows, then of blocks of two columns.
    #[inline(always)]
    unsafe fn turned(r: [__m512d; 8]) -> [__m512d; 8] {
        macro_rules! of_pairs {
            ($how:ident) => {
                [
                    $how(r[0], r[1]),
                    $how(r[2], r[3]),
                    $how(r[4], r[5]),
                    $how(r[6], r[7]),
                ]
            };
        }
        macro_rules! halves {
            ($half:literal, $a:expr, $b:expr) => {
                _mm512_shuffle_f64x2::<$half>($a, $b)
            };
        }
        // SAFETY: the caller's.
        unsafe {
            let even = of_pairs!(_mm512_unpacklo_pd);
            let odd = of_pairs!(_mm512_unpackhi_pd);
            // Of the upper and the lower four rows: columns 0 and 4, 2 and 6, 1 and 5, 3 and 7.
            let upper = [
                halves!(0x88, even[0], even[1]),
                halves!(0xdd, even[0], even[1]),
                halves!(0x88, odd[0], odd[1]),
                halves!(0xdd, odd[0], odd[1]),
            ];
            let lower = [
                halves!(0x88, even[2], even[3]),
                halves!(0xdd, even[2], even[3]),
                halves!(0x88, odd[2], odd[3]),
                halves!(0xdd, odd[2], odd[3]),
            ];
            [
                halves!(0x88, upper[0], lower[0]),
                halves!(0x88, upper[2], lower[2]),
                halves!(0x88, upper[1], lower[1]),
                halves!(0x88, upper[3], lower[3]),
                halves!(0xdd, upper[0], lower[0]),
                halves!(0xdd, upper[2], lower[2]),
                halves!(0xdd, upper[1], lower[1]),
                halves!(0xdd, upper[3], lower[3]),
            ]
        }
    }

    /// As `transpose_64`, of which a compiler makes gathers and scatters for AVX-512: regions took 1.4 times as long.
    #[inline(always)]
    unsafe fn bits_turned(words: &[u64; 64]) -> [[u64; 8]; 8] {
        macro_rules! swap {
            ($rows:ident, $distance:literal, $shift:literal, $mask:literal) => {
                for low in 0..8 {
                    if low & $distance == 0 {
                        let (a, b) = ($rows[low], $rows[low + $distance]);
                        let moved = _mm512_xor_si512(_mm512_srli_epi64::<$shift>(a), b);
                        let moved = _mm512_and_si512(moved, _mm512_set1_epi64($mask));
                        $rows[low] = _mm512_xor_si512(a, _mm512_slli_epi64::<$shift>(moved));
                        $rows[low + $distance] = _mm512_xor_si512(b, moved);
                    }
                }
            };
        }
        let words: &[[u64; 8]; 8] = bytemuck::must_cast_ref(words);
        let mut turned_bits = [[0; 8]; 8];
        // SAFETY: the caller's; rows are 64 bytes long.
        unsafe {
            let mut rows = [_mm512_setzero_si512(); 8];
            for i in 0..8 {
                rows[i] = _mm512_loadu_si512(words[i].as_ptr().cast());
            }
            swap!(rows, 4, 32, 0x0000_0000_ffff_ffff);
            swap!(rows, 2, 16, 0x0000_ffff_0000_ffff);
            swap!(rows, 1, 8, 0x00ff_00ff_00ff_00ff);
            let mut values = [_mm512_setzero_pd(); 8];
            for i in 0..8 {
                values[i] = _mm512_castsi512_pd(rows[i]);
            }
            let values = turned(values);
            for i in 0..8 {
                rows[i] = _mm512_castpd_si512(values[i]);
            }
            swap!(rows, 4, 4, 0x0f0f_0f0f_0f0f_0f0f);
            swap!(rows, 2, 2, 0x3333_3333_3333_3333);
            swap!(rows, 1, 1, 0x5555_5555_5555_5555);
            for i in 0..8 {
                _mm512_storeu_si512(turned_bits[i].as_mut_ptr().cast(), rows[i]);
            }
        }
        turned_bits
    }

    macro_rules! avx2 {
        ($t:ty, $v:ty, $splat:ident, $load:ident, $loadu:ident, $store:ident, $max:ident, $min:ident, $cmp:ident, $mask:ident) => {
            impl Set<$t> for Avx2 {
                type V = [$v; 2];
                const TOGETHER: usize = 2;

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

                #[inline(always)]
                fn turn_bytes(bytes: &[u8; 64]) -> [u64; 8] {
                    let mut words = [0; 8];
                    // SAFETY: as above.
                    unsafe {
                        let start: *const __m256i = bytes.as_ptr().cast();
                        let mut low = _mm256_loadu_si256(start);
                        let mut high = _mm256_loadu_si256(start.add(1));
                        // The highest bit of each byte, then the next one.
                        for i in (0..8).rev() {
                            let cells = [_mm256_movemask_epi8(low), _mm256_movemask_epi8(high)];
                            words[i] = bytemuck::must_cast(cells);
                            low = _mm256_add_epi8(low, low);
                            high = _mm256_add_epi8(high, high);
                        }
                    }
                    words
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Element;
    #[cfg(target_arch = "x86_64")]
    use crate::InstructionSet;

    /// All that a set does with two lines of values, and with eight columns of them.
    #[inline(always)]
    fn everything<T: Element, S: Set<T>>(a: &Line, b: &Line) -> (Vec<Line>, Vec<u64>) {
        let (v, w) = (S::load(a), S::load_from(b.values()));
        let mut lines = vec![Line::ZERO; 4 + 8 * 3];
        S::store(S::higher(v, w), &mut lines[0]);
        S::store(S::lower(v, w), &mut lines[1]);
        S::store(S::splat(b.values()[1]), &mut lines[2]);
        let values: Vec<T> = [a, b, a, b, a, b, b, a]
            .iter()
            .enumerate()
            .flat_map(|(k, line)| {
                line.values()[k % 4..]
                    .iter()
                    .copied()
                    .chain(line.values::<T>().iter().copied())
            })
            .collect();
        let columns = std::array::from_fn(|j| &values[j * 5..]);
        S::turn(columns, &mut lines[4..], 3, width::<T>() - 8);
        let bytes = bytemuck::cast_slice::<T, u8>(&values);
        let words = std::array::from_fn(|i| bytemuck::pod_read_unaligned(&bytes[3 * i..][..8]));
        let bytes = std::array::from_fn(|i| bytes[5 * i]);
        let mut turned: Vec<u64> = bytemuck::must_cast::<_, [u64; 64]>(S::turn_bits(&words)).into();
        turned.extend(S::turn_bytes(&bytes));
        let bits = [
            S::reaches(v, w),
            S::exceeds(v, w),
            S::equals(v, w),
            S::unordered(v, w),
        ];
        (lines, [&bits[..], &turned].concat())
    }

    fn alike<T: Element>(letters: &[T]) {
        let mut rng = fastrand::Rng::with_seed(9);
        for _ in 0..2_000 {
            let [mut a, mut b] = [Line::ZERO; 2];
            for value in a.values_mut().iter_mut().chain(b.values_mut()) {
                *value = letters[rng.usize(..letters.len())];
            }
            let plain = everything::<T, T::Plain>(&a, &b);
            #[cfg(target_arch = "x86_64")]
            {
                let words = |(lines, bits): (Vec<Line>, Vec<u64>)| {
                    (bytemuck::cast_slice::<_, u64>(&lines).to_vec(), bits)
                };
                let plain = words(plain);
                if InstructionSet::detect() >= InstructionSet::Avx2 {
                    assert!(
                        words(everything::<T, T::Avx2>(&a, &b)) == plain,
                        "AVX2: {a:?} {b:?}"
                    );
                }
                if InstructionSet::detect() >= InstructionSet::Avx512 {
                    assert!(
                        words(everything::<T, T::Avx512>(&a, &b)) == plain,
                        "AVX-512: {a:?} {b:?}"
                    );
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            drop(plain);
        }
    }

    /// To the bit, the signs of zeros and what remains beside NaN included.
    #[test]
    fn every_set_does_what_plain_does() {
        alike::<f64>(&[
            0.0,
            -0.0,
            1.0,
            2.5,
            -3.0,
            5e-324,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ]);
        alike::<f32>(&[
            0.0,
            -0.0,
            1.0,
            2.5,
            -3.0,
            1e-45,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
        ]);
    }
}
