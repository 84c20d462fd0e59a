//! Threshold: the cells of every lane that reach one alpha's level.
//!
//! Reads: Values, Levels. Writes: Above.
//! Above: a bit by lane, set where `value >= level`; a NaN level is reached nowhere. A per-cell map, so no order matters.

use super::lanes::Word;
use crate::Element;

/// The lanes of each cell of a map row that reach their level.
#[inline(always)]
pub(super) fn threshold<T: Element, W: Word, const L: usize>(
    row: &[[T; L]],
    level: &[T; L],
    above: &mut [W],
) {
    for (word, values) in above.iter_mut().zip(row) {
        let mut bits = W::default();
        for i in 0..L {
            bits |= W::bit(values[i] >= level[i], i);
        }
        *word = bits;
    }
}
