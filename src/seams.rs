//! Seams: overlaps of masks of consecutive time bins that lie in two batches, or in two runs.
//!
//! Whoever has completed a piece leaves the masks of its first and of its last bin here. Where two pieces meet, the one that
//! comes second finds what the other has left, in whatever order they come.

use std::ops::Range;

use crate::reduce::{MaskNumbers, Rows, Scratch, reduce};

/// The seams of one run after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seams {
    /// Masks of the last bin of the runs before, level by level, if there were any.
    before: Vec<Vec<u8>>,
    /// Time bins of this run.
    n_t: usize,
    halves: Vec<Half>,
    joined: Vec<Joined>,
    spare: Vec<Vec<u8>>,
    scratch: Scratch,
}

/// A mask that waits for its neighbour.
#[derive(Debug, Clone)]
struct Half {
    level: usize,
    /// The bin behind the seam.
    bin: usize,
    side: Side,
    /// A byte for each cell.
    cells: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    Behind,
}

/// The overlaps over a seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) level: usize,
    /// The bin behind the seam.
    pub(crate) bin: usize,
    pub(crate) overlaps: [i64; 3],
}

impl Seams {
    /// Forgets all runs before.
    pub(crate) fn forget(&mut self) {
        self.spare.append(&mut self.before);
    }

    /// Cells of the maps of the runs before, if there were any.
    pub(crate) fn cells(&self) -> Option<usize> {
        self.before.first().map(Vec::len)
    }

    /// Begins a run of `n_t` time bins, the first of which follows the last one of the run before.
    pub(crate) fn start(&mut self, n_t: usize) {
        self.n_t = n_t;
        self.joined.clear();
    }

    /// Takes the masks of the first and of the last of the bins of a piece, whose bits begin with these rows.
    pub(crate) fn add(&mut self, level: usize, bins: Range<usize>, rows: Rows<'_>) {
        if !bins.is_empty() {
            self.meet(level, bins.start, Side::Behind, rows, 0);
            self.meet(level, bins.end, Side::Before, rows, bins.len() - 1);
        }
    }

    fn meet(&mut self, level: usize, bin: usize, side: Side, rows: Rows<'_>, lane: usize) {
        let mut cells = self.spare.pop().unwrap_or_default();
        cells.clear();
        let bit = |row: &[u8]| row[lane / 8] >> (lane % 8) & 1;
        cells.extend(rows.bits.chunks_exact(rows.bytes).map(bit));
        let met = |half: &Half| half.level == level && half.bin == bin && half.side != side;
        if bin == 0 {
            // What was before stays until the run has succeeded.
            if let Some(before) = self.before.get(level) {
                let overlaps = join(before, &cells, rows.shape, &mut self.scratch);
                self.joined.push(Joined {
                    level,
                    bin,
                    overlaps,
                });
            }
        } else if let Some(other) = self.halves.iter().position(met) {
            let other = self.halves.swap_remove(other).cells;
            let [before, behind] = match side {
                Side::Before => [&cells, &other],
                Side::Behind => [&other, &cells],
            };
            let overlaps = join(before, behind, rows.shape, &mut self.scratch);
            self.joined.push(Joined {
                level,
                bin,
                overlaps,
            });
            self.spare.push(other);
        } else {
            self.halves.push(Half {
                level,
                bin,
                side,
                cells,
            });
            return;
        }
        self.spare.push(cells);
    }

    /// Ends the run; what comes next follows its last bin, or, if the run is not `wanted`, the bin that was last before it.
    pub(crate) fn end(&mut self, wanted: bool) {
        let replaced = wanted && self.n_t > 0;
        if replaced {
            self.spare.append(&mut self.before);
        }
        self.halves.sort_unstable_by_key(|half| half.level);
        for half in self.halves.drain(..) {
            // A piece that was done again has left its masks again.
            let kept = replaced && half.bin == self.n_t && half.level == self.before.len();
            let to = if kept {
                &mut self.before
            } else {
                &mut self.spare
            };
            to.push(half.cells);
        }
    }

    /// The overlaps over all seams of the run.
    pub(crate) fn joined(&self) -> &[Joined] {
        &self.joined
    }
}

/// The overlaps of two masks, the first of the earlier time bin.
fn join(first: &[u8], second: &[u8], shape: [usize; 2], scratch: &mut Scratch) -> [i64; 3] {
    let mut bits = std::mem::take(&mut scratch.bits);
    bits.clear();
    bits.extend(
        first
            .iter()
            .zip(second)
            .map(|(first, second)| first | second << 1),
    );
    let rows = Rows {
        bits: &bits,
        bytes: 1,
        shape,
    };
    let mut numbers = [MaskNumbers::default(); 2];
    reduce(rows, 0, &mut numbers, scratch);
    scratch.bits = bits;
    numbers[0].overlaps(numbers[1].area)
}
