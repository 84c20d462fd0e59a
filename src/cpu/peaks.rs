//! Peaks: the local maxima of every lane.
//!
//! Reads: Values, Live, Floor. Writes: Peaks.
//! Peaks: set where a live lane's value exceeds its Floor and is `>=` all of the eight neighbours that exist. A per-cell
//! map, so no order matters.

use super::lanes::{WIDTH, Word, deal, full, higher};
use crate::Element;

/// Values whose columns are made, and then used, while they are in the first-level cache.
const BLOCK: usize = 8 * WIDTH;

/// What one map row yields, for `L` lanes.
pub(super) struct Row<T, W, const L: usize> {
    /// `[cell][lane]`: the highest of the (at most) eight neighbours; negative infinity where there are none.
    pub(super) around: Vec<T>,
    /// Peaks of each cell.
    pub(super) peaks: Vec<W>,
    /// Peaks that equal one of their neighbours: cells of a plateau or a shoulder.
    pub(super) ties: Vec<W>,
    /// `[cell][lane]`: the highest of three cells, one above the other, from before the first to after the last cell.
    columns: Vec<T>,
    /// A row below every value, for the neighbours that do not exist.
    nothing: Vec<T>,
}

impl<T: Element, W: Word, const L: usize> Row<T, W, L> {
    pub(super) fn new(n_y: usize) -> Self {
        Self {
            around: vec![T::LOWEST; n_y * L],
            peaks: vec![W::default(); n_y],
            ties: vec![W::default(); n_y],
            columns: vec![T::LOWEST; (n_y + 2) * L],
            nothing: vec![T::LOWEST; n_y * L],
        }
    }

    /// Finds the peaks of map row `x`.
    #[inline(always)]
    pub(super) fn find(&mut self, tile: &[T], x: usize, live: W, floor: &[T; WIDTH]) {
        let len = self.around.len();
        let here = &tile[x * len..][..len];
        let above = if x == 0 {
            &self.nothing
        } else {
            &tile[(x - 1) * len..][..len]
        };
        let below = tile
            .get((x + 1) * len..(x + 2) * len)
            .unwrap_or(&self.nothing);
        let (mut room, mut other_room) = ([T::LOWEST; WIDTH], [T::LOWEST; WIDTH]);
        let mut made = 0;
        for start in (0..len).step_by(BLOCK) {
            let end = (start + BLOCK).min(len);
            // The 3x3 maximum is separable: columns of three cells, then the columns to the left and to the right.
            let until = (end + L).min(len);
            let columns = &mut self.columns[L + made..L + until];
            highest_of_three(
                &above[made..until],
                &here[made..until],
                &below[made..until],
                columns,
            );
            made = until;
            let (left, right) = (
                &self.columns[start..end],
                &self.columns[start + 2 * L..end + 2 * L],
            );
            let around = &mut self.around[start..end];
            highest_of_four(left, right, &above[start..end], &below[start..end], around);
            let cells = start / L..end / L;
            let words = self.peaks[cells.clone()]
                .chunks_mut(WIDTH / L)
                .zip(self.ties[cells].chunks_mut(WIDTH / L));
            for ((values, around), (peaks, ties)) in here[start..end]
                .chunks(WIDTH)
                .zip(around.chunks(WIDTH))
                .zip(words)
            {
                let (values, around) = (full(values, &mut room), full(around, &mut other_room));
                let (is_peak, is_tie) = compare(values, around, floor);
                deal::<W, L>(is_peak, peaks);
                deal::<W, L>(is_tie, ties);
                for (peak, tie) in peaks.iter_mut().zip(ties) {
                    *peak = *peak & live;
                    *tie = *tie & *peak;
                }
            }
        }
    }
}

#[inline(always)]
fn highest_of_three<T: Element>(a: &[T], b: &[T], c: &[T], out: &mut [T]) {
    let n = out.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    for i in 0..n {
        out[i] = higher(higher(a[i], b[i]), c[i]);
    }
}

#[inline(always)]
fn highest_of_four<T: Element>(a: &[T], b: &[T], c: &[T], d: &[T], out: &mut [T]) {
    let n = out.len();
    let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
    for i in 0..n {
        out[i] = higher(higher(a[i], b[i]), higher(c[i], d[i]));
    }
}

/// Where a value exceeds its floor and is `>=` all around, and where it equals the highest around.
#[inline(always)]
fn compare<T: Element>(values: &[T; WIDTH], around: &[T; WIDTH], floor: &[T; WIDTH]) -> (u64, u64) {
    let (mut peaks, mut ties) = (0, 0);
    for i in 0..WIDTH {
        peaks |= u64::from((values[i] >= around[i]) & (values[i] > floor[i])) << i;
        ties |= u64::from(values[i] == around[i]) << i;
    }
    (peaks, ties)
}
