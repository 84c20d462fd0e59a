//! Threshold: the cells of every lane that reach one alpha's level.
//!
//! Reads: Values, Levels. Writes: Above.
//! Above: set where `value >= level`; a NaN level is reached nowhere. A per-cell map, so no order matters.

use super::lanes::{WIDTH, Word, deal, full};
use crate::Element;

/// The lanes of each cell of a map row that reach their level.
#[inline(always)]
pub(super) fn threshold<T: Element, W: Word, const L: usize>(
    row: &[T],
    level: &[T; WIDTH],
    above: &mut [W],
) {
    let mut room = [T::LOWEST; WIDTH];
    for (values, words) in row.chunks(WIDTH).zip(above.chunks_mut(WIDTH / L)) {
        let values = full(values, &mut room);
        let mut bits = 0;
        for i in 0..WIDTH {
            bits |= u64::from(values[i] >= level[i]) << i;
        }
        deal::<W, L>(bits, words);
    }
}
