//! Peaks: the local maxima of every lane.
//!
//! Reads: Values, Live, Floor. Writes: Peaks.
//! Peaks: a bit by lane, set where a live lane's value exceeds its Floor and is `>=` all of the eight neighbours that
//! exist. A per-cell map, so no order matters.

use super::lanes::{Word, higher};
use crate::Element;

/// Cells whose columns are made, and then used, while they are in the first-level cache.
const BLOCK: usize = 8;

/// What one map row yields.
pub(super) struct Row<T, W, const L: usize> {
    /// The highest of the (at most) eight neighbours of each cell; negative infinity where there are none.
    pub(super) around: Vec<[T; L]>,
    /// Peaks of each cell.
    pub(super) peaks: Vec<W>,
    /// Peaks that equal one of their neighbours: cells of a plateau or a shoulder.
    pub(super) ties: Vec<W>,
    /// The highest of three cells, one above the other, from before the first to after the last column.
    columns: Vec<[T; L]>,
    /// A row below every value, for the neighbours that do not exist.
    nothing: Vec<[T; L]>,
}

impl<T: Element, W: Word, const L: usize> Row<T, W, L> {
    pub(super) fn new(n_y: usize) -> Self {
        Self {
            around: vec![[T::LOWEST; L]; n_y],
            peaks: vec![W::default(); n_y],
            ties: vec![W::default(); n_y],
            columns: vec![[T::LOWEST; L]; n_y + 2],
            nothing: vec![[T::LOWEST; L]; n_y],
        }
    }

    /// Finds the peaks of map row `x`.
    #[inline(always)]
    pub(super) fn find(&mut self, tile: &[[T; L]], x: usize, live: W, floor: &[T; L]) {
        let n_y = self.peaks.len();
        let here = &tile[x * n_y..(x + 1) * n_y];
        let above = if x == 0 {
            &self.nothing[..]
        } else {
            &tile[(x - 1) * n_y..x * n_y]
        };
        let below = tile
            .get((x + 1) * n_y..(x + 2) * n_y)
            .unwrap_or(&self.nothing);
        let mut made = 0;
        for first in (0..n_y).step_by(BLOCK) {
            let end = (first + BLOCK).min(n_y);
            // The 3x3 maximum is separable: columns of three cells, then the columns to the left and to the right.
            for y in made..(end + 1).min(n_y) {
                highest_of_three(&above[y], &here[y], &below[y], &mut self.columns[y + 1]);
            }
            made = (end + 1).min(n_y);
            for y in first..end {
                let around = &mut self.around[y];
                highest_of_four(
                    &self.columns[y],
                    &self.columns[y + 2],
                    &above[y],
                    &below[y],
                    around,
                );
                let (peaks, ties): (W, W) = compare(&here[y], around, floor);
                self.peaks[y] = peaks & live;
                self.ties[y] = ties & peaks & live;
            }
        }
    }
}

#[inline(always)]
fn highest_of_three<T: Element, const L: usize>(
    a: &[T; L],
    b: &[T; L],
    c: &[T; L],
    out: &mut [T; L],
) {
    for i in 0..L {
        out[i] = higher(higher(a[i], b[i]), c[i]);
    }
}

#[inline(always)]
fn highest_of_four<T: Element, const L: usize>(
    a: &[T; L],
    b: &[T; L],
    c: &[T; L],
    d: &[T; L],
    out: &mut [T; L],
) {
    for i in 0..L {
        out[i] = higher(higher(a[i], b[i]), higher(c[i], d[i]));
    }
}

/// The lanes whose value exceeds its floor and is `>=` all around, and those in which it equals the highest around.
#[inline(always)]
fn compare<T: Element, W: Word, const L: usize>(
    values: &[T; L],
    around: &[T; L],
    floor: &[T; L],
) -> (W, W) {
    let (mut peaks, mut ties) = (W::default(), W::default());
    for i in 0..L {
        peaks |= W::bit((values[i] >= around[i]) & (values[i] > floor[i]), i);
        ties |= W::bit(values[i] == around[i], i);
    }
    (peaks, ties)
}
