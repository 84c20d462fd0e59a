//! Lanes: one time bin each, side by side, so that one instruction serves many bins.

/// The lanes that are set, lowest first.
#[inline(always)]
pub(super) fn set_lanes(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = bits.trailing_zeros() as usize;
        let found = bits != 0;
        bits &= bits.wrapping_sub(1);
        found.then_some(lane)
    })
}

/// A 64 x 64 matrix of bits turned: bit j of word i becomes bit i of the word at `[j % 8][j / 8]`, where what was one row
/// of eight words has become a column, so that every step works on eight words side by side.
#[inline(always)]
pub(super) fn transpose_64(words: &[u64; 64]) -> [[u64; 8]; 8] {
    let mut rows: [[u64; 8]; 8] = bytemuck::must_cast(*words);
    swap::<4>(&mut rows, 32, 0x0000_0000_ffff_ffff);
    swap::<2>(&mut rows, 16, 0x0000_ffff_0000_ffff);
    swap::<1>(&mut rows, 8, 0x00ff_00ff_00ff_00ff);
    let mut columns = [[0; 8]; 8];
    for i in 0..8 {
        for j in 0..8 {
            columns[j][i] = rows[i][j];
        }
    }
    swap::<4>(&mut columns, 4, 0x0f0f_0f0f_0f0f_0f0f);
    swap::<2>(&mut columns, 2, 0x3333_3333_3333_3333);
    swap::<1>(&mut columns, 1, 0x5555_5555_5555_5555);
    columns
}

/// Swaps the high parts of rows with the low parts of the rows `DISTANCE` after them.
#[inline(always)]
fn swap<const DISTANCE: usize>(rows: &mut [[u64; 8]; 8], shift: u32, mask: u64) {
    for block in rows.chunks_exact_mut(2 * DISTANCE) {
        let (low, high) = block.split_at_mut(DISTANCE);
        for (low, high) in low.iter_mut().zip(high) {
            for i in 0..8 {
                let moved = (low[i] >> shift ^ high[i]) & mask;
                low[i] ^= moved << shift;
                high[i] ^= moved;
            }
        }
    }
}

/// Asks for `values` values from `start` on to be brought into the first-level cache, shortly before they are needed: the
/// processor's own prefetchers stop at page boundaries, and every cell of a tile's source lies on another page.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "prefetch hints")]
pub(super) fn prefetch<T>(start: *const T, values: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for line in (0..values * size_of::<T>()).step_by(64) {
        // SAFETY: a hint reads nothing that a program could see, and never faults, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.cast::<i8>().wrapping_add(line)) };
    }
}

/// Asks for the cache line of a value to be brought into the second-level cache, some time before it is needed.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "prefetch hints")]
pub(super) fn prefetch_early<T>(value: *const T) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: as above.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(value.cast()) };
}

#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn prefetch<T>(_start: *const T, _values: usize) {}

#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn prefetch_early<T>(_value: *const T) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::transpose_8;

    #[test]
    fn bits_change_places() {
        let mut rng = fastrand::Rng::with_seed(5);
        let words: [u64; 64] = std::array::from_fn(|_| rng.u64(..));
        let turned = transpose_64(&words);
        let small = transpose_8(words[0]);
        for i in 0..64 {
            for j in 0..64 {
                assert_eq!(turned[j % 8][j / 8] >> i & 1, words[i] >> j & 1);
            }
        }
        for (i, j) in (0..64).map(|k| (k / 8, k % 8)) {
            assert_eq!(small >> (8 * j + i) & 1, words[0] >> (8 * i + j) & 1);
        }
    }
}
