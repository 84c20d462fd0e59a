//! Survey: minimum, maximum, first maximum and NaN of every lane.
//!
//! Reads: Values. Writes: Live, Floor, Dominant.
//! Live: no NaN among the lane's cells, and its maximum exceeds its minimum. Floor: its minimum. Dominant: the first
//! cell, in row-major order, that holds its maximum. Per lane and by comparison alone, so no order of lanes matters.

use super::lanes::{Word, higher, lower};
use crate::Element;

/// Cells surveyed at a time: a block lies in the first-level cache when its tile has just been loaded, and only a block
/// that raises the maximum is looked at again for the cell.
pub(super) const BLOCK: usize = 16;

/// Running minima and maxima of the lanes of a tile; finished, its Live, Floor and Dominant.
pub(super) struct Survey<T, W, const L: usize> {
    pub(super) floor: [T; L],
    pub(super) top: [T; L],
    pub(super) dominant: [u32; L],
    pub(super) live: W,
    nan: [T; L],
    block: [u32; L],
}

impl<T: Element, W: Word, const L: usize> Survey<T, W, L> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            floor: [T::HIGHEST; L],
            top: [T::LOWEST; L],
            dominant: [0; L],
            live: W::default(),
            nan: [T::LOWEST; L],
            block: [0; L],
        }
    }

    /// Takes in the cells of block number `block`.
    #[inline(always)]
    pub(super) fn add(&mut self, block: u32, cells: &[[T; L]]) {
        let mut top = [T::LOWEST; L];
        // Four cells at a time: what has been found so far is loaded and stored a quarter as often.
        let mut fours = cells.chunks_exact(4);
        for four in &mut fours {
            let [a, b, c, d] = four else { continue };
            for i in 0..L {
                self.floor[i] = lower(self.floor[i], lower(lower(a[i], b[i]), lower(c[i], d[i])));
                top[i] = higher(top[i], higher(higher(a[i], b[i]), higher(c[i], d[i])));
                let nan = (a[i].is_nan() | b[i].is_nan()) | (c[i].is_nan() | d[i].is_nan());
                self.nan[i] = if nan { T::NAN } else { self.nan[i] };
            }
        }
        for values in fours.remainder() {
            for i in 0..L {
                self.floor[i] = lower(self.floor[i], values[i]);
                top[i] = higher(top[i], values[i]);
                self.nan[i] = if values[i].is_nan() {
                    T::NAN
                } else {
                    self.nan[i]
                };
            }
        }
        for i in 0..L {
            let raised = top[i] > self.top[i];
            self.block[i] = if raised { block } else { self.block[i] };
            self.top[i] = if raised { top[i] } else { self.top[i] };
        }
    }

    /// Closes the survey: `tile` holds all cells.
    #[inline(always)]
    pub(super) fn finish(&mut self, tile: &[[T; L]]) {
        self.live = W::default();
        for lane in 0..L {
            let live = !self.nan[lane].is_nan() && self.top[lane] > self.floor[lane];
            self.live |= W::bit(live, lane);
            if live {
                let first = self.block[lane] as usize * BLOCK;
                let within = tile[first..]
                    .iter()
                    .position(|values| values[lane] == self.top[lane]);
                self.dominant[lane] = (first + within.unwrap_or(0)) as u32;
            }
        }
    }
}
