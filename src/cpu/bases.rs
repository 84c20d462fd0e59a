//! Bases: the peaks of every lane in row-major order, each with the height of its group's rim.
//!
//! Reads: Values, Peaks. Writes: Bases.
//! Bases: for each peak its cell, its value, and the highest value among the non-peak neighbours of the eight-connected
//! group of peak cells to which it belongs. A group is a set and its rim's maximum a comparison, so no order matters. Where
//! all neighbours of a group are off the track, its base is the lowest value of the lane.

use super::lanes::set_lanes;
use super::tile::Lane;
use crate::Element;
use crate::Prominence;
use crate::findings::FoundPeaks;
use crate::memory;

/// The peaks of a tile, lane by lane, each with its highest neighbour: for a peak on its own its base, for a cell of a
/// plateau its own value.
pub(super) struct Lists<T> {
    cells: Vec<u32>,
    heights: Vec<T>,
    around: Vec<T>,
    /// Room for each lane, in the lists above.
    room: usize,
    counts: [usize; 64],
    /// Cells of plateaus and shoulders: a word for each cell, and the lanes that have any.
    ties: Vec<u64>,
    tied: u64,
    /// Those of `ties` whose group has not been walked yet.
    pending: Vec<u64>,
    /// Row of a tied peak within its lane's list, by cell; read only where `ties` is set.
    rows: Vec<u32>,
    group: Vec<u32>,
}

impl<T: Element> Lists<T> {
    pub(super) fn new() -> Self {
        Self {
            cells: Vec::new(),
            heights: Vec::new(),
            around: Vec::new(),
            room: 0,
            counts: [0; 64],
            ties: Vec::new(),
            tied: 0,
            pending: Vec::new(),
            rows: Vec::new(),
            group: Vec::new(),
        }
    }

    /// Forgets the previous tile; room for all `cells` of `lanes` lanes, whose memory is touched only when it is written.
    pub(super) fn start(&mut self, cells: usize, lanes: usize) {
        if self.cells.len() < cells * lanes {
            *self = Self {
                cells: memory::zeros(cells * lanes),
                heights: memory::zeros(cells * lanes),
                around: memory::zeros(cells * lanes),
                room: cells,
                ties: memory::zeros(cells),
                pending: memory::zeros(cells),
                rows: memory::zeros(cells),
                group: memory::room(cells),
                ..Self::new()
            };
        }
        self.clear(u64::MAX);
    }

    /// Forgets the peaks of these lanes.
    pub(super) fn clear(&mut self, lanes: u64) {
        for lane in set_lanes(lanes) {
            self.counts[lane] = 0;
        }
        if self.tied & lanes != 0 {
            for ties in &mut self.ties {
                *ties &= !lanes;
            }
            self.tied &= !lanes;
        }
    }

    /// Appends a peak to the list of a lane.
    #[inline(always)]
    pub(super) fn add(&mut self, lane: usize, cell: usize, height: T, around: T) {
        let at = lane * self.room + self.counts[lane];
        self.counts[lane] += 1;
        self.cells[at] = cell as u32;
        self.heights[at] = height;
        self.around[at] = around;
        let tie = u64::from(height == around) << lane;
        self.ties[cell] |= tie;
        self.tied |= tie;
    }

    /// Appends the lists of the live lanes among the first `bins` to `findings`. Bases are those of the reference, none, or
    /// to be replaced. `bin` gives the values of a lane, and the lowest of them.
    #[inline(always)]
    pub(super) fn close<'t>(
        &mut self,
        n_y: usize,
        live: u64,
        bins: usize,
        bin: impl Fn(usize) -> (Lane<'t, T>, T),
        prominence: Prominence,
        findings: &mut FoundPeaks<T>,
    ) {
        if self.tied & live != 0 {
            self.pending.copy_from_slice(&self.ties);
        }
        for lane in 0..bins {
            if live >> lane & 1 == 0 {
                findings.counts.push(0);
                continue;
            }
            let (values, floor) = bin(lane);
            let list = lane * self.room..lane * self.room + self.counts[lane];
            let start = findings.cells.len();
            memory::reserve(&mut findings.cells, list.len());
            memory::reserve(&mut findings.heights, list.len());
            memory::reserve(&mut findings.bases, list.len());
            findings.cells.extend_from_slice(&self.cells[list.clone()]);
            findings
                .heights
                .extend_from_slice(&self.heights[list.clone()]);
            match prominence {
                Prominence::None => findings.bases.resize(findings.cells.len(), T::NAN),
                _ => findings.bases.extend_from_slice(&self.around[list]),
            }
            findings.counts.push(self.counts[lane] as u32);
            if prominence == Prominence::Reference && self.tied >> lane & 1 != 0 {
                let (cells, bases) = (&findings.cells[start..], &mut findings.bases[start..]);
                self.plateaus(n_y, lane, values, cells, bases);
            }
            // Only a group whose neighbours are all absent has found nothing as high as the lowest cell.
            for base in &mut findings.bases[start..] {
                *base = if floor > *base { floor } else { *base };
            }
        }
    }

    /// Replaces the bases of the tied peaks of one lane by those of their groups.
    #[inline(always)]
    fn plateaus(
        &mut self,
        n_y: usize,
        lane: usize,
        values: Lane<'_, T>,
        cells: &[u32],
        bases: &mut [T],
    ) {
        let n_x = self.ties.len() / n_y;
        for (row, &cell) in cells.iter().enumerate() {
            self.rows[cell as usize] = row as u32;
        }
        for &seed in cells {
            if !take(&mut self.pending[seed as usize], lane) {
                continue;
            }
            self.group.clear();
            self.group.push(seed);
            let height = values.at(seed as usize / n_y, seed as usize % n_y);
            let mut base = T::LOWEST;
            let mut walked = 0;
            while let Some(&cell) = self.group.get(walked) {
                walked += 1;
                let (x, y) = (cell as usize / n_y, cell as usize % n_y);
                for near_x in x.saturating_sub(1)..(x + 2).min(n_x) {
                    for near_y in y.saturating_sub(1)..(y + 2).min(n_y) {
                        let near = near_x * n_y + near_y;
                        let value = values.at(near_x, near_y);
                        if value < height {
                            base = if value > base { value } else { base };
                        } else if value.is_nan() {
                            // Absent.
                        } else if self.ties[near] >> lane & 1 == 0 {
                            // As high as the peak, but no peak itself: a shoulder.
                            base = height;
                        } else if take(&mut self.pending[near], lane) {
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
fn take(word: &mut u64, lane: usize) -> bool {
    let set = *word >> lane & 1 != 0;
    *word &= !(1 << lane);
    set
}
