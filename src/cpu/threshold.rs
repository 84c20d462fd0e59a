//! Threshold: the cells of every lane that reach one alpha's level.
//!
//! Reads: Values, Levels. Writes: Above.
//! Above: a bit by lane, set where `value >= level`; a NaN level is reached nowhere. A per-cell map, so no order matters.

use super::lanes::Word;
use super::planes::Frame;
use crate::Element;

/// Fills the inner cells of `above`; its frame stays clear.
#[inline(always)]
pub(super) fn threshold<T: Element, W: Word, const L: usize>(
    tile: &[[T; L]],
    level: &[T; L],
    frame: Frame,
    above: &mut [W],
) {
    for (x, row) in tile.chunks_exact(frame.n_y).enumerate() {
        for (word, values) in above[frame.row(x)].iter_mut().zip(row) {
            let mut bits = W::default();
            for i in 0..L {
                bits |= W::bit(values[i] >= level[i], i);
            }
            *word = bits;
        }
    }
}
