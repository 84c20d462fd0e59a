//! Bases: the peaks of every lane in row-major order, each with the height of its group's rim.
//!
//! Reads: Values, Peaks. Writes: Bases.
//! Bases: for each peak its cell, its value, and the highest value among the non-peak neighbours of the eight-connected
//! group of peak cells to which it belongs. A group is a set and its rim's maximum a comparison, so no order matters.

use super::lanes::{Word, set_lanes};
use super::peaks::Row;
use super::planes::Frame;
use crate::Element;
use crate::findings::FoundPeaks;

/// The peaks of a tile in the order in which they are met: cell by cell, and lane by lane within a cell.
pub(super) struct Listing<T, W> {
    /// `cell * L + lane`.
    places: Vec<u32>,
    /// The highest neighbour: for a peak on its own, its base; for a cell of a plateau, its own value.
    around: Vec<T>,
    counts: Vec<u32>,
    /// Cells of plateaus and shoulders, in a framed bit plane, and the lanes that have any.
    ties: Vec<W>,
    /// Those of `ties` whose group has not been walked yet.
    pending: Vec<W>,
    tied: W,
    /// Row of a tied peak within its lane's rows, by cell; read only where `ties` is set.
    rows: Vec<u32>,
    group: Vec<u32>,
}

impl<T: Element, W: Word> Listing<T, W> {
    pub(super) fn new(frame: Frame, lanes: usize) -> Self {
        Self {
            places: Vec::with_capacity(frame.cells() * lanes),
            around: Vec::with_capacity(frame.cells() * lanes),
            counts: vec![0; lanes],
            ties: vec![W::default(); frame.len()],
            pending: vec![W::default(); frame.len()],
            tied: W::default(),
            rows: vec![0; frame.cells()],
            group: Vec::new(),
        }
    }

    /// Forgets the previous tile.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.around.clear();
        self.counts.fill(0);
        self.tied = W::default();
    }

    /// Lists the peaks of map row `x`.
    #[inline(always)]
    pub(super) fn add<const L: usize>(&mut self, frame: Frame, x: usize, row: &Row<T, W, L>) {
        let cells = frame.row(x);
        self.ties[cells.clone()].copy_from_slice(&row.ties);
        self.pending[cells].copy_from_slice(&row.ties);
        for y in 0..frame.n_y {
            self.tied |= row.ties[y];
            let cell = (x * frame.n_y + y) * L;
            for lane in set_lanes(row.peaks[y]) {
                self.places.push((cell + lane) as u32);
                self.around.push(row.around[y * L + lane]);
                self.counts[lane] += 1;
            }
        }
    }

    /// Appends the listed peaks to `findings`, bin by bin, for the first `bins` lanes of the tile.
    #[inline(always)]
    pub(super) fn close<const L: usize>(
        &mut self,
        tile: &[[T; L]],
        frame: Frame,
        bins: usize,
        findings: &mut FoundPeaks<T>,
    ) {
        let start = findings.cells.len();
        let end = start + self.places.len();
        findings.cells.resize(end, 0);
        findings.heights.resize(end, T::default());
        findings.bases.resize(end, T::default());
        let mut next = [0; L];
        let mut sum = start;
        for lane in 0..L {
            next[lane] = sum;
            sum += self.counts[lane] as usize;
        }
        findings.counts.extend_from_slice(&self.counts[..bins]);
        for (&place, &around) in self.places.iter().zip(&self.around) {
            let (cell, lane) = (place as usize / L, place as usize % L);
            let row = next[lane];
            next[lane] += 1;
            findings.cells[row] = cell as u32;
            findings.heights[row] = tile[cell][lane];
            findings.bases[row] = around;
        }
        for lane in set_lanes(self.tied) {
            let rows = next[lane] - self.counts[lane] as usize..next[lane];
            self.plateaus(
                tile,
                frame,
                lane,
                &findings.cells[rows.clone()],
                &mut findings.bases[rows],
            );
        }
    }

    /// Replaces the bases of the tied peaks of one lane by those of their groups.
    #[inline(always)]
    fn plateaus<const L: usize>(
        &mut self,
        tile: &[[T; L]],
        frame: Frame,
        lane: usize,
        cells: &[u32],
        bases: &mut [T],
    ) {
        for (row, &cell) in cells.iter().enumerate() {
            self.rows[cell as usize] = row as u32;
        }
        for &seed in cells {
            if !take(&mut self.pending[frame.word(seed as usize)], lane) {
                continue;
            }
            self.group.clear();
            self.group.push(seed);
            let height = tile[seed as usize][lane];
            let mut base = T::LOWEST;
            let mut walked = 0;
            while let Some(&cell) = self.group.get(walked) {
                walked += 1;
                let (x, y) = (cell as usize / frame.n_y, cell as usize % frame.n_y);
                for near_x in x.saturating_sub(1)..(x + 2).min(frame.n_x) {
                    for near_y in y.saturating_sub(1)..(y + 2).min(frame.n_y) {
                        let near = near_x * frame.n_y + near_y;
                        let value = tile[near][lane];
                        if value < height {
                            base = if value > base { value } else { base };
                        } else if !self.ties[frame.word(near)].has(lane) {
                            // As high as the peak, but no peak itself: a shoulder.
                            base = height;
                        } else if take(&mut self.pending[frame.word(near)], lane) {
                            self.group.push(near as u32);
                        }
                    }
                }
            }
            for &cell in &self.group {
                bases[self.rows[cell as usize] as usize] = base;
            }
        }
    }
}

/// Clears `lane` in `word`; whether it was set.
#[inline(always)]
fn take<W: Word>(word: &mut W, lane: usize) -> bool {
    let set = word.has(lane);
    *word = *word & !W::bit(set, lane);
    set
}
