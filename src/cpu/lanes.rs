//! Lanes: one time bin each, side by side, so that one instruction serves many bins.

use crate::Element;
use crate::vector::Set;

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

/// A vector with the lowest value in place of NaN, where that stands for nothing: the first operand of a comparison that goes on
/// with the others.
#[inline(always)]
pub(super) fn present<T: Element, S: Set<T>, const OFF_TRACK: bool>(v: S::V) -> S::V {
    match OFF_TRACK {
        true => S::higher(S::splat(T::LOWEST), v),
        false => v,
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
