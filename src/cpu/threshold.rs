//! Threshold: the cells of every lane that reach one level.
//!
//! Reads: Values, Levels. Writes: Above.
//! Above: set where `value >= level`; a NaN level is reached nowhere. A per-cell map, so no order matters.

use super::planes::Planes;
use super::tile::Shape;
use crate::plan::BLOCK;
use crate::vector::{Line, MOST_LANES, Set, width};
use crate::{Element, Level};

/// The value that cells of a live bin reach a level with; `top` is the bin's highest. Where all of the bin's values count, it
/// is left to [`coverage`](super::coverage).
#[inline(always)]
pub(super) fn threshold_of<T: Element>(level: Level, top: T) -> T {
    match level {
        Level::OfPeak(alpha) => T::threshold(alpha, top),
        Level::Absolute(value) => T::rounded(value),
        Level::Coverage(_) => T::NAN,
    }
}

/// The cells of the lanes of group `g` that reach their level, into the group's lanes of the plane `above`. Only blocks
/// in which some lane's highest value reaches it are looked at; `tops` has those of the group.
#[inline(always)]
pub(super) fn threshold<T: Element, S: Set<T>>(
    shape: Shape,
    planes: Planes,
    (tile, tops): (&[Line], &[Line]),
    g: usize,
    level: &Line,
    above: &mut [u64],
) {
    let level = S::load(level);
    let width = width::<T>();
    for (x, tops) in tops.chunks_exact(shape.blocks()).enumerate() {
        let cells = &tile[shape.start(x, g)..][..shape.n_y];
        for (w, (cells, tops)) in cells.chunks(64).zip(tops.chunks(64 / BLOCK)).enumerate() {
            // For each eight lanes of the vector a byte a cell, a lane a bit.
            let mut bytes = [[0; 64]; MOST_LANES / 8];
            let mut any = false;
            for (b, (cells, top)) in cells.chunks(BLOCK).zip(tops).enumerate() {
                if S::reaches(S::load(top), level) == 0 {
                    continue;
                }
                any = true;
                for (k, cell) in cells.iter().enumerate() {
                    let reached = S::reaches(S::load(cell), level);
                    for half in 0..width / 8 {
                        bytes[half][b * BLOCK + k] = (reached >> (8 * half)) as u8;
                    }
                }
            }
            let mut words = [0; MOST_LANES];
            for half in 0..if any { width / 8 } else { 0 } {
                words[8 * half..8 * half + 8].copy_from_slice(&S::turn_bytes(&bytes[half]));
            }
            let at = planes.word(x, w, g * width);
            above[at..at + width].copy_from_slice(&words[..width]);
        }
    }
}
