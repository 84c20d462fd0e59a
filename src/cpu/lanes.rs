//! Lanes: one time bin each, side by side, so that one instruction serves many bins.

use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

use crate::Element;

/// Values that are compared at a time, whatever the number of lanes: a cell of 64 lanes, two of 32, and so on.
///
/// Over so many values the compiler keeps the loop and vectorises it; over fewer it unrolls the loop first, and then
/// vectorises across cells, with gathers.
pub(super) const WIDTH: usize = 64;

/// One bit for each lane of a tile.
pub(crate) trait Word:
    Copy
    + Eq
    + Default
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitOrAssign
    + Not<Output = Self>
    + Send
{
    /// The word of the low bits.
    fn from_bits(bits: u64) -> Self;

    /// The word in which lane `lane` alone is set, if `set`.
    fn bit(set: bool, lane: usize) -> Self;

    /// The lanes that are set, as the low bits of a 64-bit word.
    fn bits(self) -> u64;

    /// Writes the word into a row of bits, from bit `first` on, which is a multiple of the number of lanes in use.
    fn write(self, row: &mut [u8], first: usize);

    /// Whether no lane is set.
    #[inline(always)]
    fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether `lane` is set.
    #[inline(always)]
    fn has(self, lane: usize) -> bool {
        self.bits() >> lane & 1 != 0
    }
}

macro_rules! words {
    ($($word:ty),*) => {$(
        impl Word for $word {
            #[inline(always)]
            fn from_bits(bits: u64) -> Self {
                bits as Self
            }

            #[inline(always)]
            fn bit(set: bool, lane: usize) -> Self {
                Self::from(set) << lane
            }

            #[inline(always)]
            fn bits(self) -> u64 {
                u64::from(self)
            }

            #[inline(always)]
            fn write(self, row: &mut [u8], first: usize) {
                let bytes = &mut row[first / 8..first / 8 + size_of::<Self>()];
                if first % 8 == 0 {
                    bytes.copy_from_slice(&self.to_le_bytes());
                } else {
                    // Fewer than eight lanes: the word is a byte, shared with the tiles before.
                    bytes[0] |= (self.bits() << (first % 8)) as u8;
                }
            }
        }
    )*};
}
words!(u8, u32, u64);

/// The lanes that are set, lowest first.
#[inline(always)]
pub(crate) fn set_lanes(word: impl Word) -> impl Iterator<Item = usize> {
    let mut bits = word.bits();
    std::iter::from_fn(move || {
        let lane = bits.trailing_zeros() as usize;
        let found = bits != 0;
        bits &= bits.wrapping_sub(1);
        found.then_some(lane)
    })
}

/// The lower of two values; the first, if they do not compare.
#[inline(always)]
pub(super) fn lower<T: Element>(a: T, b: T) -> T {
    if b < a { b } else { a }
}

/// The higher of two values; the first, if they do not compare.
#[inline(always)]
pub(super) fn higher<T: Element>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

/// [`WIDTH`] values, in place if there are as many; at the end of a row `room` takes them, and the rest is never read.
#[inline(always)]
pub(super) fn full<'a, T: Element>(values: &'a [T], room: &'a mut [T; WIDTH]) -> &'a [T; WIDTH] {
    match <&[T; WIDTH]>::try_from(values) {
        Ok(values) => values,
        Err(_) => {
            room[..values.len()].copy_from_slice(values);
            room
        }
    }
}

/// The values of `L` lanes, repeated for as many cells as are compared at a time.
#[inline(always)]
pub(super) fn repeated<T: Element, const L: usize>(lanes: &[T; L]) -> [T; WIDTH] {
    std::array::from_fn(|i| lanes[i % L])
}

/// Deals the bits of consecutive cells out to their words.
#[inline(always)]
pub(super) fn deal<W: Word, const L: usize>(bits: u64, words: &mut [W]) {
    for (k, word) in words.iter_mut().enumerate() {
        *word = W::from_bits(bits >> (k * L) & (u64::MAX >> (WIDTH - L)));
    }
}

/// Asks for `values` values from `start` on to be brought near, some time before they are needed: the processor's own
/// prefetchers stop at page boundaries, and every cell of a tile's source lies on another page.
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

#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn prefetch<T>(_start: *const T, _values: usize) {}
