//! Lanes: one time bin each, side by side, so that one instruction serves many bins.

use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

use crate::Element;

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
