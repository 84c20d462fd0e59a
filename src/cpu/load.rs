//! Load: time bins from the caller's array, in whatever memory order, into tiles.
//!
//! Reads: the caller's array. Writes: Values.
//! Values: of a map row and a group, a line a cell, a value a lane; lanes beyond the last bin hold zeros, and so are not
//! live.

use std::ops::Range;

use bytemuck::Zeroable;

use super::lanes::prefetch;
use super::tile::Shape;
use crate::Element;
use crate::posterior::{Fastest, Posterior};
use crate::vector::{Line, width};

/// Cells between the one that is copied and the one that is asked for.
const AHEAD: isize = 16;

/// Bins that are turned at a time, and map rows where these lie side by side in memory.
const SQUARE: usize = 8;

/// Copies map row `x` of the bins `bins` into the tile, and where map rows lie side by side in memory some more of them:
/// the first row that is not there yet.
#[inline(always)]
pub(super) fn load<T: Element>(
    p: &Posterior<'_, T>,
    bins: Range<usize>,
    shape: Shape,
    tile: &mut [Line],
    x: usize,
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
        Fastest::T => by_cell(p, bins, shape, tile, x),
        Fastest::Y => {
            for (lane, bins) in eights {
                let first = shape.start(x, lane / width::<T>());
                turn(p, [x, 0], 1, bins, shape.n_y, (&mut tile[first..], lane, 1));
            }
        }
        Fastest::X => {
            let step = shape.groups * shape.stride();
            for (lane, bins) in eights {
                for y in 0..shape.n_y {
                    let first = shape.start(x, lane / width::<T>()) + y;
                    let to = (&mut tile[first..], lane, step);
                    turn(p, [x, y], 0, bins.clone(), end - x, to);
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
) {
    let ahead = p.stride(1).wrapping_mul(AHEAD);
    let tile = &mut tile[shape.start(x, 0)..][..shape.groups * shape.stride()];
    for y in 0..shape.n_y {
        if let Some(values) = p.line([x, y, bins.start], 2, bins.len()) {
            prefetch(values.as_ptr().wrapping_offset(ahead), values.len());
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
fn turn<T: Element>(
    p: &Posterior<'_, T>,
    [x, y]: [usize; 2],
    axis: usize,
    bins: Range<usize>,
    n: usize,
    (lines, lane, step): (&mut [Line], usize, usize),
) {
    let within = lane % width::<T>();
    if bins.len() == SQUARE {
        let columns: [&[T]; SQUARE] =
            std::array::from_fn(|j| p.line([x, y, bins.start + j], axis, n).unwrap_or_default());
        if columns.iter().all(|column| column.len() == n) {
            for i in 0..n {
                let values: [T; SQUARE] = std::array::from_fn(|j| columns[j][i]);
                lines[i * step].values_mut()[within..within + SQUARE].copy_from_slice(&values);
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
