//! Peaks: the local maxima of every lane.
//!
//! Reads: Values, Live, Floor. Writes: Peaks.
//! Peaks: a bit by lane, set where a live lane's value exceeds its Floor and is `>=` all of the eight neighbours that
//! exist. A per-cell map, so no order matters.

use super::lanes::Word;
use crate::Element;

/// What one map row yields.
pub(super) struct Row<T, W, const L: usize> {
    /// The highest of the (at most) eight neighbours of each cell; negative infinity where there are none.
    pub(super) around: Vec<[T; L]>,
    /// Peaks of each cell.
    pub(super) peaks: Vec<W>,
    /// Peaks that equal one of their neighbours: cells of a plateau or a shoulder.
    pub(super) ties: Vec<W>,
    /// A row below every value, for the neighbours that do not exist.
    nothing: Vec<[T; L]>,
}

impl<T: Element, W: Word, const L: usize> Row<T, W, L> {
    pub(super) fn new(n_y: usize) -> Self {
        Self {
            around: vec![[T::LOWEST; L]; n_y],
            peaks: vec![W::default(); n_y],
            ties: vec![W::default(); n_y],
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
        // The highest of three cells of a column, for the columns before and at y; the 3x3 maximum is separable.
        let mut before = [T::LOWEST; L];
        let mut column = highest(highest(above[0], below[0]), here[0]);
        for y in 0..n_y {
            let after = if y + 1 < n_y {
                highest(highest(above[y + 1], below[y + 1]), here[y + 1])
            } else {
                [T::LOWEST; L]
            };
            let around = highest(highest(before, after), highest(above[y], below[y]));
            let values = here[y];
            let (mut peaks, mut ties) = (W::default(), W::default());
            for i in 0..L {
                let peak = values[i] >= around[i] && values[i] > floor[i];
                peaks |= W::bit(peak, i);
                ties |= W::bit(values[i] == around[i], i);
            }
            self.around[y] = around;
            self.peaks[y] = peaks & live;
            self.ties[y] = ties & peaks & live;
            before = column;
            column = after;
        }
    }
}

#[inline(always)]
fn highest<T: Element, const L: usize>(a: [T; L], b: [T; L]) -> [T; L] {
    let mut out = a;
    for i in 0..L {
        out[i] = if a[i] > b[i] { a[i] } else { b[i] };
    }
    out
}
