//! Load: time bins from the caller's array, in whatever memory order, into tiles.
//!
//! Reads: the caller's array. Writes: Values.
//! Values: of a map row and a group, a line a cell, a value a lane; lanes beyond the last bin hold zeros, and so are not
//! live.

use std::ops::Range;

use bytemuck::Zeroable;

use super::lanes::{prefetch, prefetch_early};
use super::tile::Shape;
use crate::Element;
use crate::posterior::{Fastest, Piece, Posterior, Segment, Segments};
use crate::vector::{Line, Set, width};

/// Cells between the one that is copied and the one that is asked for.
const AHEAD: isize = 16;

/// Bins that are turned at a time, and map rows where these lie side by side in memory.
const SQUARE: usize = 8;

/// Values that will be loaded soon: of a map row, in one group of lanes. To ask for them while peaks are found keeps the
/// memory busy all the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Soon<T> {
    next: *const T,
    step: isize,
    /// Words before the next `jump`, of so many for each bin.
    left: usize,
    words: usize,
    jump: isize,
    /// Whether no group follows: where rows of time do not begin with a cache line, they end in one more.
    last: bool,
}

impl<T: Element> Soon<T> {
    /// Those of map row `x` from lane `lane` on, of bins of one piece that may be asked for; `last` if no group follows.
    ///
    /// As many as a row has cells: where bins lie side by side a cache line for each cell, and where cells do, line after line of
    /// each bin's row, from its end: a row begins where the one before has ended.
    #[inline(always)]
    pub(super) fn new(
        rows: Option<&Segment<'_, '_, T>>,
        shape: Shape,
        x: usize,
        lane: usize,
        last: bool,
    ) -> Self {
        let Some(Segment { piece, bins }) = rows.filter(|_| x < shape.n_x) else {
            return Self::nothing();
        };
        let first = bins.start + lane;
        if piece.fastest() == Fastest::T {
            let (next, [_, step, _]) = piece.place([x, 0, first]);
            return Self {
                next,
                step,
                last,
                ..Self::nothing()
            };
        }
        let (next, [_, _, to_next]) = piece.place([x, shape.n_y - 1, first]);
        let step = -(width::<T>() as isize);
        let lines = shape.n_y.div_ceil(width::<T>());
        let words = lines.div_ceil(64 / width::<T>());
        Self {
            next,
            step,
            left: words,
            words,
            jump: to_next - step * (words * 64 / width::<T>()) as isize,
            last: false,
        }
    }

    /// No values: a hint at no address has no effect.
    pub(super) fn nothing() -> Self {
        Self {
            next: std::ptr::null(),
            step: 0,
            left: usize::MAX,
            words: usize::MAX,
            jump: 0,
            last: false,
        }
    }

    /// Asks for the next line.
    #[inline(always)]
    pub(super) fn ask(&mut self) {
        prefetch_early(self.next);
        if self.last {
            prefetch_early(self.next.wrapping_add(width::<T>() - 1));
        }
        self.next = self.next.wrapping_offset(self.step);
    }

    /// After as many lines as a word has cells: goes on to the next bin, if the row of this one has been asked for.
    #[inline(always)]
    pub(super) fn close_word(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            self.left = self.words;
            self.next = self.next.wrapping_offset(self.jump);
        }
    }
}

/// The only segment of these bins, if they have one.
#[inline(always)]
fn only<'p, 'a, T: Element>(
    p: &'p Posterior<'a, T>,
    bins: Range<usize>,
) -> Option<Segment<'p, 'a, T>> {
    let n = bins.len();
    p.segments(bins)
        .next()
        .filter(|segment| segment.bins.len() == n)
}

/// The only segment of these bins, if they have one, whose values lie side by side in each cell.
#[inline(always)]
pub(super) fn rows<'p, 'a, T: Element>(
    p: &'p Posterior<'a, T>,
    bins: Range<usize>,
) -> Option<Segment<'p, 'a, T>> {
    only(p, bins)
        .filter(|Segment { piece, bins }| piece.line([0, 0, bins.start], 2, bins.len()).is_some())
}

/// The values of a cell, of a segment of which they lie side by side; those of the cell so many further on are asked for.
#[inline(always)]
pub(super) fn cell<'a, T: Element>(
    Segment { piece, bins }: &Segment<'a, '_, T>,
    [x, y]: [usize; 2],
    ahead: Option<isize>,
) -> &'a [T] {
    let values = piece
        .line([x, y, bins.start], 2, bins.len())
        .unwrap_or_default();
    if let Some(cells) = ahead {
        let (_, [_, step, _]) = piece.place([0; 3]);
        prefetch(
            values.as_ptr().wrapping_offset(step.wrapping_mul(cells)),
            values.len(),
        );
    }
    values
}

/// The only segment of these bins, if they have one, that may be asked for early.
#[inline(always)]
pub(super) fn askable<'p, 'a, T: Element>(
    p: &'p Posterior<'a, T>,
    bins: Range<usize>,
) -> Option<Segment<'p, 'a, T>> {
    only(p, bins).filter(|segment| match segment.piece.fastest() {
        Fastest::T => !crowded(segment.piece),
        Fastest::Y => true,
        Fastest::X => false,
    })
}

/// Whether the values of neighbouring cells are so far apart that all of them meet in a few sets of a cache, and those that
/// have been asked for early push each other out.
#[inline(always)]
fn crowded<T: Element>(piece: &Piece<'_, T>) -> bool {
    const SETS: usize = 8192;
    let (_, [_, step, _]) = piece.place([0; 3]);
    (step.unsigned_abs() * size_of::<T>()).is_multiple_of(SETS)
}

/// Copies map row `x` of the bins `bins` into the tile, and where map rows lie side by side in memory some more of them:
/// the first row that is not there yet. Its values may have been asked for already.
#[inline(always)]
pub(super) fn load<T: Element, S: Set<T>>(
    p: &Posterior<'_, T>,
    bins: Range<usize>,
    shape: Shape,
    tile: &mut [Line],
    x: usize,
    asked: bool,
) -> usize {
    let end = match p.has(Fastest::X) {
        true => (x + SQUARE).min(shape.n_x),
        false => x + 1,
    };
    if !bins.len().is_multiple_of(width::<T>()) {
        for x in x..end {
            tile[shape.start(x, shape.groups - 1)..][..shape.n_y].fill(Line::zeroed());
        }
    }
    if p.has(Fastest::T) {
        let mut lane = 0;
        for segment in p.segments(bins.clone()) {
            let n = segment.bins.len();
            if segment.piece.fastest() == Fastest::T {
                for x in x..end {
                    by_cell::<T, S>(&segment, shape, tile, x, lane, asked);
                }
            }
            lane += n;
        }
    }
    if p.has(Fastest::Y) || p.has(Fastest::X) {
        let mut segments = p.segments(bins);
        let mut eight = Eight::nothing();
        let mut lane = 0;
        while eight.fill(&mut segments) {
            if eight.has(Fastest::Y) {
                for x in x..end {
                    let first = shape.start(x, lane / width::<T>());
                    let to = (&mut tile[first..], lane, 1);
                    turn::<T, S>(&eight, Fastest::Y, [x, 0], shape.n_y, asked, to);
                }
            }
            if eight.has(Fastest::X) {
                let step = shape.groups * shape.stride();
                for y in 0..shape.n_y {
                    let first = shape.start(x, lane / width::<T>()) + y;
                    let to = (&mut tile[first..], lane, step);
                    turn::<T, S>(&eight, Fastest::X, [x, y], end - x, asked, to);
                }
            }
            lane += SQUARE;
        }
    }
    end
}

/// Cell after cell, all bins of a segment of a cell at once, from lane `lane` on.
#[inline(always)]
fn by_cell<T: Element, S: Set<T>>(
    segment: &Segment<'_, '_, T>,
    shape: Shape,
    tile: &mut [Line],
    x: usize,
    lane: usize,
    asked: bool,
) {
    let Segment { piece, bins } = segment;
    let asked = asked && !crowded(piece);
    let ahead = piece.place([0; 3]).1[1].wrapping_mul(AHEAD);
    let tile = &mut tile[shape.start(x, 0)..][..shape.groups * shape.stride()];
    let (group, within) = (lane / width::<T>(), lane % width::<T>());
    // Up to the end of the first group, if others have begun it.
    let head = match within {
        0 => 0,
        _ => bins.len().min(width::<T>() - within),
    };
    let first = group + usize::from(within > 0);
    for y in 0..shape.n_y {
        if let Some(values) = piece.line([x, y, bins.start], 2, bins.len()) {
            if !asked {
                prefetch(values.as_ptr().wrapping_offset(ahead), values.len());
            }
            // Not copies of some bytes: that is a call for each cell.
            for (i, &value) in values[..head].iter().enumerate() {
                tile[group * shape.stride() + y].values_mut()[within + i] = value;
            }
            let mut vectors = values[head..].chunks_exact(width::<T>());
            let mut at = first * shape.stride() + y;
            for vector in &mut vectors {
                S::store(S::load_from(vector), &mut tile[at]);
                at += shape.stride();
            }
            for (i, &value) in vectors.remainder().iter().enumerate() {
                tile[at].values_mut()[i] = value;
            }
        } else {
            for (lane, t) in (lane..).zip(bins.clone()) {
                let line = &mut tile[lane / width::<T>() * shape.stride() + y];
                line.values_mut()[lane % width::<T>()] = piece.at([x, y, t]);
            }
        }
    }
}

/// Up to eight neighbouring bins that may lie whole in memory, of one piece or of several.
struct Eight<'p, 'a, T> {
    bins: [Option<(&'p Piece<'a, T>, usize)>; SQUARE],
    /// What is left of the segment of the last.
    rest: Option<Segment<'p, 'a, T>>,
}

impl<'p, 'a, T: Element> Eight<'p, 'a, T> {
    fn nothing() -> Self {
        Self {
            bins: [None; SQUARE],
            rest: None,
        }
    }

    /// Takes the next bins: whether there were any.
    #[inline(always)]
    fn fill(&mut self, segments: &mut Segments<'p, 'a, T>) -> bool {
        self.bins = [None; SQUARE];
        for bin in &mut self.bins {
            if self.rest.as_ref().is_none_or(|rest| rest.bins.is_empty()) {
                self.rest = segments.next();
            }
            let Some(rest) = &mut self.rest else { break };
            *bin = Some((rest.piece, rest.bins.start));
            rest.bins.start += 1;
        }
        self.bins[0].is_some()
    }

    /// Whether there is a bin of such a piece.
    #[inline(always)]
    fn has(&self, fastest: Fastest) -> bool {
        let mut has = false;
        for (piece, _) in self.bins.iter().flatten() {
            has |= piece.fastest() == fastest;
        }
        has
    }
}

/// Bin after bin: `n` values of each of those of eight bins whose pieces have this order, from a cell on along its axis, side
/// by side into every `step`-th line, from lane `lane` on.
#[inline(always)]
fn turn<T: Element, S: Set<T>>(
    eight: &Eight<'_, '_, T>,
    fastest: Fastest,
    [x, y]: [usize; 2],
    n: usize,
    asked: bool,
    (lines, lane, step): (&mut [Line], usize, usize),
) {
    let within = lane % width::<T>();
    let axis = usize::from(fastest == Fastest::Y);
    let mut columns: [&[T]; SQUARE] = [&[]; SQUARE];
    let mut whole = true;
    for j in 0..SQUARE {
        if let Some((piece, t)) = eight.bins[j]
            && piece.fastest() == fastest
        {
            columns[j] = piece.line([x, y, t], axis, n).unwrap_or_default();
            // A bin's next map row, or as many as are taken at a time.
            let (_, strides) = piece.place([0; 3]);
            if !asked {
                let below = columns[j].as_ptr().wrapping_offset(strides[1 - axis]);
                prefetch(below, columns[j].len());
            }
        }
        whole &= columns[j].len() == n;
    }
    if whole {
        let mut first = 0;
        while n >= SQUARE && first < n {
            // The last cells with some of those before them.
            let from = first.min(n - SQUARE);
            let mut squares: [&[T]; SQUARE] = [&[]; SQUARE];
            for j in 0..SQUARE {
                squares[j] = &columns[j][from..];
            }
            S::turn(squares, &mut lines[from * step..], step, within);
            first += SQUARE;
        }
        for i in first..n {
            for j in 0..SQUARE {
                lines[i * step].values_mut()[within + j] = columns[j][i];
            }
        }
        return;
    }
    for (j, bin) in eight.bins.iter().enumerate() {
        if let Some((piece, t)) = *bin
            && piece.fastest() == fastest
        {
            for i in 0..n {
                let at = match fastest {
                    Fastest::Y => [x, y + i, t],
                    _ => [x + i, y, t],
                };
                lines[i * step].values_mut()[within + j] = piece.at(at);
            }
        }
    }
}
