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
use crate::posterior::{Fastest, Posterior};
use crate::vector::{Line, Set, width};

/// Cells between the one that is copied and the one that is asked for.
const AHEAD: isize = 16;

/// Bins that are turned at a time, and map rows where these lie side by side in memory.
const SQUARE: usize = 8;

/// Values that will be loaded soon: of a map row, in one group of lanes, a cache line for each cell. To ask for them while
/// peaks are found keeps the memory busy all the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Soon<T> {
    next: *const T,
    step: isize,
    /// Whether no group follows: where rows do not begin with a cache line, they end in one more.
    last: bool,
}

impl<T: Element> Soon<T> {
    /// Those of map row `x` from bin `t` on, if bins lie side by side in memory.
    #[inline(always)]
    pub(super) fn new(p: &Posterior<'_, T>, x: usize, t: usize, last: bool) -> Self {
        let (next, [_, step, _]) = p.place([x, 0, t]);
        if p.fastest() == Fastest::T && x < p.shape()[0] && !crowded(p) {
            Self { next, step, last }
        } else {
            Self::nothing()
        }
    }

    /// No values: a hint at no address has no effect.
    pub(super) fn nothing() -> Self {
        Self {
            next: std::ptr::null(),
            step: 0,
            last: false,
        }
    }

    /// Asks for the next cell's.
    #[inline(always)]
    pub(super) fn ask(&mut self) {
        prefetch_early(self.next);
        if self.last {
            prefetch_early(self.next.wrapping_add(width::<T>() - 1));
        }
        self.next = self.next.wrapping_offset(self.step);
    }
}

/// Whether the values of neighbouring cells are so far apart that all of them meet in a few sets of a cache, and those that
/// have been asked for early push each other out.
#[inline(always)]
fn crowded<T: Element>(p: &Posterior<'_, T>) -> bool {
    const SETS: usize = 8192;
    let (_, [_, step, _]) = p.place([0; 3]);
    (step.unsigned_abs() * size_of::<T>()).is_multiple_of(SETS)
}

/// Copies map row `x` of the bins `bins` into the tile, and where map rows lie side by side in memory some more of them:
/// the first row that is not there yet. Those after the first band may have been asked for already.
#[inline(always)]
pub(super) fn load<T: Element, S: Set<T>>(
    p: &Posterior<'_, T>,
    bins: Range<usize>,
    shape: Shape,
    tile: &mut [Line],
    x: usize,
    asked: bool,
) -> usize {
    let end = match p.fastest() {
        Fastest::X => (x + SQUARE).min(shape.n_x),
        _ => x + 1,
    };
    if !bins.len().is_multiple_of(width::<T>()) {
        for x in x..end {
            tile[shape.start(x, shape.groups - 1)..][..shape.n_y].fill(Line::zeroed());
        }
    }
    let eights = bins.clone().step_by(SQUARE);
    let eights = eights.map(|t| (t - bins.start, t..bins.end.min(t + SQUARE)));
    match p.fastest() {
        Fastest::T => by_cell(p, bins, shape, tile, x, asked),
        Fastest::Y => {
            for (lane, bins) in eights {
                let first = shape.start(x, lane / width::<T>());
                turn::<T, S>(p, [x, 0], 1, bins, shape.n_y, (&mut tile[first..], lane, 1));
            }
        }
        Fastest::X => {
            let step = shape.groups * shape.stride();
            for (lane, bins) in eights {
                for y in 0..shape.n_y {
                    let first = shape.start(x, lane / width::<T>()) + y;
                    let to = (&mut tile[first..], lane, step);
                    turn::<T, S>(p, [x, y], 0, bins.clone(), end - x, to);
                }
            }
        }
    }
    end
}

/// Cell after cell, all bins of a cell at once.
#[inline(always)]
fn by_cell<T: Element>(
    p: &Posterior<'_, T>,
    bins: Range<usize>,
    shape: Shape,
    tile: &mut [Line],
    x: usize,
    asked: bool,
) {
    let asked = asked && !crowded(p);
    let ahead = p.place([0; 3]).1[1].wrapping_mul(AHEAD);
    let tile = &mut tile[shape.start(x, 0)..][..shape.groups * shape.stride()];
    for y in 0..shape.n_y {
        if let Some(values) = p.line([x, y, bins.start], 2, bins.len()) {
            if !asked {
                prefetch(values.as_ptr().wrapping_offset(ahead), values.len());
            }
            let full = values.len() / width::<T>();
            for g in 0..full {
                tile[g * shape.stride() + y]
                    .values_mut()
                    .copy_from_slice(&values[g * width::<T>()..][..width::<T>()]);
            }
            // Not a copy of some bytes: that is a call for each cell.
            for (lane, &value) in values.iter().enumerate().skip(full * width::<T>()) {
                tile[full * shape.stride() + y].values_mut()[lane % width::<T>()] = value;
            }
        } else {
            for (lane, t) in bins.clone().enumerate() {
                let line = &mut tile[lane / width::<T>() * shape.stride() + y];
                line.values_mut()[lane % width::<T>()] = p.at([x, y, t]);
            }
        }
    }
}

/// Bin after bin: `n` values of each of up to eight bins, from a cell on along a map axis, side by side into every
/// `step`-th line, from lane `lane` on.
#[inline(always)]
fn turn<T: Element, S: Set<T>>(
    p: &Posterior<'_, T>,
    [x, y]: [usize; 2],
    axis: usize,
    bins: Range<usize>,
    n: usize,
    (lines, lane, step): (&mut [Line], usize, usize),
) {
    let within = lane % width::<T>();
    // A bin's next map row, or as many as are taken at a time.
    let (_, strides) = p.place([0; 3]);
    let below = if axis == 1 { strides[0] } else { strides[1] };
    if bins.len() == SQUARE {
        let mut columns: [&[T]; SQUARE] = [&[]; SQUARE];
        for j in 0..SQUARE {
            columns[j] = p.line([x, y, bins.start + j], axis, n).unwrap_or_default();
        }
        if columns.iter().all(|column| column.len() == n) {
            for column in columns {
                prefetch(column.as_ptr().wrapping_offset(below), n);
            }
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
    }
    for (j, t) in bins.enumerate() {
        for i in 0..n {
            let at = if axis == 1 {
                [x, y + i, t]
            } else {
                [x + i, y, t]
            };
            lines[i * step].values_mut()[within + j] = p.at(at);
        }
    }
}
