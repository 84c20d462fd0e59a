//! Lists: the cells of masks, in the order of time bins, whatever order batches come in.

use std::ops::Range;
use std::sync::Mutex;

use smallvec::SmallVec;

use super::{FEW, SparseOutput};
use crate::error::Error;
use crate::findings::Findings;
use crate::locks::lock;
use crate::masks::SparseMask;
use crate::memory::MAPPED;
use crate::reduce::Rows;

/// A list of so many bytes will be longer, and is given a mapping of its own.
const LONG: usize = 1 << 16;

/// The sparse masks of one run.
#[derive(Debug, Default)]
pub(crate) struct Lists<'a> {
    masks: SmallVec<[Growing<'a>; FEW]>,
    /// Pieces that have waited: their memory serves the next that have to, and leaves no holes meanwhile.
    spare: Vec<Piece>,
}

/// A sparse mask while a run appends to it.
#[derive(Debug)]
struct Growing<'a> {
    /// Number of the level.
    level: usize,
    mask: &'a mut SparseMask,
    /// Time bins that were there before, and have to stay.
    before: usize,
    /// Cells of pieces that came too early.
    waiting: Vec<Piece>,
}

/// The cells of some time bins.
#[derive(Debug, Default)]
struct Piece {
    first: usize,
    counts: Vec<u32>,
    cells: Vec<u32>,
    /// Whether those before it come soon, or it comes from the far end.
    in_turn: bool,
}

/// What a worker needs to list cells, kept from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    piece: Piece,
    /// Where the next cell of each time bin goes.
    next: Vec<usize>,
}

impl<'a> Lists<'a> {
    /// Lists of cells of so many time bins behind those that the masks hold, or in their place.
    pub(crate) fn open(
        outputs: impl IntoIterator<Item = SparseOutput<'a>>,
        bins: usize,
    ) -> Result<Self, Error> {
        let growing = outputs.into_iter().map(|output| {
            let SparseOutput {
                level,
                mask,
                append,
            } = output;
            if !append {
                mask.clear();
            }
            let room = mask.offsets.len() + bins;
            mask.offsets
                .try_reserve(bins)
                .map_err(|_| refused::<i64>(room))?;
            Ok(Growing {
                level,
                before: mask.n_bins(),
                mask,
                waiting: Vec::new(),
            })
        });
        Ok(Self {
            masks: growing.collect::<Result<_, _>>()?,
            spare: Vec::new(),
        })
    }

    /// Whether a batch from this time bin on is far ahead: so many wait for others before them already. Those from the far end
    /// do not count.
    pub(crate) fn far(&self, first: usize, most_waiting: usize) -> bool {
        self.masks.iter().any(|growing| {
            let waiting = growing.waiting.iter().filter(|piece| piece.in_turn);
            first > growing.next() && waiting.count() >= most_waiting
        })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.masks.is_empty()
    }

    /// Ends the run: with all time bins if they are `wanted`, else as it was.
    pub(crate) fn close(self, wanted: bool) {
        for growing in self.masks.into_iter().filter(|_| !wanted) {
            growing.mask.truncate(growing.before);
        }
    }
}

/// Lists the cells of the masks that are wanted so, in the time bins `bins`, from findings about the levels `levels`: the bytes
/// that they take.
pub(crate) fn write_lists<T>(
    findings: &Findings<T>,
    (bins, in_turn): (&Range<usize>, bool),
    levels: Range<usize>,
    shape: [usize; 2],
    lists: &Mutex<Lists<'_>>,
    listing: &mut Listing,
) -> Result<u64, Error> {
    let mut bytes = 0;
    let wanted: SmallVec<[(usize, usize); FEW]> = {
        let lists = lock(lists);
        let masks = lists.masks.iter().enumerate();
        let wanted = masks.filter(|(_, growing)| levels.contains(&growing.level));
        wanted.map(|(i, growing)| (i, growing.level)).collect()
    };
    for (i, level) in wanted {
        listing.list(findings.mask(level - levels.start, shape), bins.clone())?;
        let piece = &mut listing.piece;
        piece.in_turn = in_turn;
        bytes += (piece.cells.len() * size_of::<u32>()) as u64;
        let Lists { masks, spare } = &mut *lock(lists);
        masks[i].add(piece, spare)?;
    }
    Ok(bytes)
}

impl Listing {
    /// Lists the cells of the masks of some time bins.
    fn list(&mut self, rows: Rows<'_>, bins: Range<usize>) -> Result<(), Error> {
        let Self { piece, next } = self;
        let Piece {
            first,
            counts,
            cells,
            ..
        } = piece;
        *first = bins.start;
        counts.clear();
        counts.resize(bins.len(), 0);
        each(rows, bins.len(), |_, lane| counts[lane] += 1);
        let mut end = 0;
        next.clear();
        next.extend(counts.iter().map(|&count| {
            end += count as usize;
            end - count as usize
        }));
        cells.clear();
        cells.try_reserve(end).map_err(|_| refused::<u32>(end))?;
        cells.resize(end, 0);
        each(rows, bins.len(), |cell, lane| {
            cells[next[lane]] = cell;
            next[lane] += 1;
        });
        Ok(())
    }
}

fn refused<V>(len: usize) -> Error {
    Error::OutOfMemory {
        bytes: (len * size_of::<V>()) as u64,
    }
}

/// Calls `see` with each cell of the masks of the first `n` time bins, and with its bin.
fn each(rows: Rows<'_>, n: usize, mut see: impl FnMut(u32, usize)) {
    for (cell, row) in rows.bits.chunks_exact(rows.bytes).enumerate() {
        for (i, &byte) in row[..n.div_ceil(8)].iter().enumerate() {
            let mut left = byte;
            while left != 0 {
                let lane = 8 * i + left.trailing_zeros() as usize;
                left &= left - 1;
                if lane < n {
                    see(cell as u32, lane);
                }
            }
        }
    }
}

impl Growing<'_> {
    /// Appends a piece, and those that have waited for it, if it is their turn; else it is taken, and waits.
    fn add(&mut self, piece: &mut Piece, spare: &mut Vec<Piece>) -> Result<(), Error> {
        let next = self.next();
        if piece.first > next {
            let empty = spare.pop().unwrap_or_default();
            self.waiting.push(std::mem::replace(piece, empty));
            return Ok(());
        }
        self.append(piece, next - piece.first)?;
        loop {
            let next = self.next();
            let ready = (self.waiting.iter()).position(|piece| piece.first <= next);
            let Some(piece) = ready.map(|ready| self.waiting.swap_remove(ready)) else {
                return Ok(());
            };
            self.append(&piece, next - piece.first)?;
            if piece.in_turn {
                spare.push(piece);
            }
        }
    }

    /// The time bin of the run that comes next.
    fn next(&self) -> usize {
        self.mask.n_bins() - self.before
    }

    /// Appends a piece but for its first bins, which are there already: a piece that was left half done has come again.
    fn append(&mut self, piece: &Piece, known: usize) -> Result<(), Error> {
        let known = known.min(piece.counts.len());
        let skipped = piece.counts[..known]
            .iter()
            .map(|&count| count as usize)
            .sum();
        let cells = &piece.cells[skipped..];
        let SparseMask {
            offsets,
            cells: all,
        } = &mut *self.mask;
        if all.capacity() - all.len() < cells.len() {
            let needed = all.len() + cells.len();
            let mapped = match needed * size_of::<u32>() < LONG {
                true => 0,
                false => MAPPED / size_of::<u32>(),
            };
            let room = needed.max(all.len() + all.len() / 4).max(mapped);
            // Where address space is scarce, what is needed will do.
            all.try_reserve_exact(room - all.len())
                .or_else(|_| all.try_reserve_exact(cells.len()))
                .map_err(|_| refused::<u32>(needed))?;
        }
        all.extend_from_slice(cells);
        let mut end = offsets.last().copied().unwrap_or(0);
        for &count in &piece.counts[known..] {
            end += i64::from(count);
            offsets.push(end);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of two bins with a cell each, in an order in which two workers and the far end may bring them.
    #[test]
    fn pieces_wait_for_those_before_them_and_few_do() {
        let mut mask = SparseMask::new();
        let output = SparseOutput {
            level: 0,
            mask: &mut mask,
            append: false,
        };
        let mut lists = Lists::open([output], 12).unwrap();
        let bring = |lists: &mut Lists<'_>, first: usize, in_turn: bool| {
            let mut piece = Piece {
                first,
                counts: vec![1, 1],
                cells: vec![first as u32, first as u32 + 1],
                in_turn,
            };
            let Lists { masks, spare } = lists;
            masks[0].add(&mut piece, spare).unwrap();
        };
        bring(&mut lists, 10, false);
        bring(&mut lists, 2, true);
        // The far end is no reason to wait, and nobody waits for himself.
        assert!(!lists.far(4, 2) && lists.far(4, 1) && !lists.far(0, 1));
        bring(&mut lists, 4, true);
        assert!(lists.far(6, 2));
        bring(&mut lists, 0, true);
        assert!(!lists.far(8, 1));
        assert_eq!(lists.spare.len(), 2);
        bring(&mut lists, 8, true);
        assert_eq!(lists.spare.len(), 1, "what has waited serves again");
        bring(&mut lists, 6, true);
        // Lists from the far end are long, and freed.
        assert_eq!(lists.spare.len(), 2);
        lists.close(true);
        assert_eq!(mask.offsets, Vec::from_iter(0..=12));
        assert_eq!(mask.cells, Vec::from_iter(0..12));
    }
}
