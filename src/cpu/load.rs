//! Load: time bins from the caller's array, in whatever memory order, into tiles.
//!
//! Reads: the caller's array. Writes: Values.
//! Values: `[cell][lane]`; lanes beyond the last bin hold zeros, and so are not live.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayView3, Axis};

use super::lanes::{Word, prefetch};
use super::survey::{BLOCK, Survey};
use crate::Element;
use crate::engine::Stop;
use crate::posterior::{Fastest, Posterior};

/// Cells between the one that is copied and the one that is asked for.
const AHEAD: isize = 8;

/// Copies the bins `bins` into as many of `tiles` as they fill, and surveys each block of cells as soon as it is
/// complete, if it can while the block is still in the first-level cache. False when it was stopped before the end: an
/// input may be a file that has yet to come from a slow disk.
#[inline(always)]
pub(super) fn load<T: Element, W: Word, const L: usize>(
    p: &Posterior<'_, T>,
    bins: Range<usize>,
    tiles: &mut [Vec<[T; L]>],
    surveys: &mut [Survey<T, W, L>],
    stop: &Stop,
) -> bool {
    let view = p.bins(bins);
    let tiles = &mut tiles[..view.dim().2.div_ceil(L)];
    match p.fastest() {
        Fastest::T => by_cell(view, tiles, surveys, stop),
        Fastest::Y => by_bin(view, tiles, Axis(0), stop) && survey_all(tiles, surveys),
        Fastest::X => by_bin(view, tiles, Axis(1), stop) && survey_all(tiles, surveys),
    }
}

/// Cell after cell, all bins of a cell at once: a row of the array is a row of the tiles.
#[inline(always)]
fn by_cell<T: Element, W: Word, const L: usize>(
    view: ArrayView3<'_, T>,
    tiles: &mut [Vec<[T; L]>],
    surveys: &mut [Survey<T, W, L>],
    stop: &Stop,
) -> bool {
    let cells = view.dim().0 * view.dim().1;
    let ahead = view.strides()[1].wrapping_mul(AHEAD);
    let mut rows = view.lanes(Axis(2)).into_iter();
    for (block, start) in (0..cells).step_by(BLOCK).enumerate() {
        if stop.requested() {
            return false;
        }
        let end = (start + BLOCK).min(cells);
        for (cell, row) in (start..end).zip(rows.by_ref()) {
            if let Some(row) = row.to_slice() {
                prefetch(row.as_ptr().wrapping_offset(ahead), row.len());
                for (tile, values) in tiles.iter_mut().zip(row.chunks(L)) {
                    if let Ok(values) = <&[T; L]>::try_from(values) {
                        tile[cell] = *values;
                    } else {
                        tile[cell][..values.len()].copy_from_slice(values);
                        tile[cell][values.len()..].fill(T::default());
                    }
                }
            } else {
                let mut values = row.iter().copied().chain(std::iter::repeat(T::default()));
                for tile in tiles.iter_mut() {
                    for (to, value) in tile[cell].iter_mut().zip(&mut values) {
                        *to = value;
                    }
                }
            }
        }
        for (k, tile) in tiles.iter().enumerate() {
            surveys[k].add(block as u32, &tile[start..end]);
        }
    }
    true
}

/// Bin after bin within each slice along `outer`: the other map axis lies in order in memory, and the part of the tile
/// that a slice fills stays in the first-level cache while the lanes are filled one by one.
#[inline(always)]
fn by_bin<T: Element, const L: usize>(
    view: ArrayView3<'_, T>,
    tiles: &mut [Vec<[T; L]>],
    outer: Axis,
    stop: &Stop,
) -> bool {
    let (_, n_y, n_t) = view.dim();
    let (outer_step, inner_step) = if outer == Axis(0) { (n_y, 1) } else { (1, n_y) };
    for (k, tile) in tiles.iter_mut().enumerate() {
        for (o, slice) in view.axis_iter(outer).enumerate() {
            if stop.requested() {
                return false;
            }
            transpose(
                slice,
                k * L..((k + 1) * L).min(n_t),
                &mut tile[o * outer_step..],
                inner_step,
            );
        }
    }
    true
}

/// Bins whose values are put side by side at a time: a cache line of `f64` is then written in one piece.
const GROUP: usize = 8;

/// Fills every `step`-th cell of `tile` from a row of `slice`, of which the bins `bins` are the columns; lanes beyond
/// them with zeros.
#[inline(always)]
fn transpose<T: Element, const L: usize>(
    slice: ArrayView2<'_, T>,
    bins: Range<usize>,
    tile: &mut [[T; L]],
    step: usize,
) {
    let n = slice.dim().0;
    let mut lane = 0;
    while lane < L {
        let t = bins.start + lane;
        if lane + GROUP <= L && t + GROUP <= bins.end {
            let columns: [_; GROUP] = std::array::from_fn(|j| slice.index_axis(Axis(1), t + j));
            let columns: [&[T]; GROUP] =
                std::array::from_fn(|j| columns[j].to_slice().unwrap_or_default());
            if columns.iter().all(|column| column.len() == n) {
                let columns = columns.map(|column| &column[..n]);
                for i in 0..n {
                    let values: [T; GROUP] = std::array::from_fn(|j| columns[j][i]);
                    tile[i * step][lane..lane + GROUP].copy_from_slice(&values);
                }
                lane += GROUP;
                continue;
            }
        }
        for i in 0..n {
            tile[i * step][lane] = if t < bins.end {
                slice[[i, t]]
            } else {
                T::default()
            };
        }
        lane += 1;
    }
}

#[inline(always)]
fn survey_all<T: Element, W: Word, const L: usize>(
    tiles: &[Vec<[T; L]>],
    surveys: &mut [Survey<T, W, L>],
) -> bool {
    for (k, tile) in tiles.iter().enumerate() {
        for (block, cells) in tile.chunks(BLOCK).enumerate() {
            surveys[k].add(block as u32, cells);
        }
    }
    true
}
