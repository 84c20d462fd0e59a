//! Load: values of a batch from the caller's array into mapped memory, row by row of time. The only place of the GPU
//! engine that knows memory order.

use std::ops::Range;

use bytemuck::cast_slice;
use rayon::prelude::*;

use crate::Element;
use crate::posterior::{Fastest, Posterior, Segment};

/// Bytes that a thread copies in one piece.
const PIECE_BYTES: usize = 1 << 20;
/// The same where bins lie whole: of each of them a piece then reads several cache lines, not parts of two.
const TRANSPOSED_BYTES: usize = 4 << 20;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Bins that are transposed together: a row of them is a few cache lines.
const BLOCK: usize = 64;

/// Writes the values of `bins` into `buffer`, which is mapped, by cell and lane, `lanes` lanes a row. What lies beyond the
/// bins is not written, and never read.
pub(super) fn values<T: Element>(
    p: &Posterior<'_, T>,
    bins: Range<usize>,
    lanes: usize,
    buffer: &wgpu::Buffer,
    pool: &rayon::ThreadPool,
) -> Result<(), wgpu::MapRangeError> {
    let [n_x, n_y, _] = p.shape();
    let row = lanes * size_of::<T>();
    let in_rows = !p.has(Fastest::X) && !p.has(Fastest::Y);
    let cells = cells_of_a_piece::<T>(row, n_x * n_y, in_rows, pool.current_num_threads());
    let pieces = (0..n_x * n_y)
        .step_by(cells)
        .map(|first| {
            let last = (first + cells).min(n_x * n_y);
            let view = buffer.get_mapped_range_mut((first * row) as u64..(last * row) as u64)?;
            Ok((first..last, view))
        })
        .collect::<Result<Vec<_>, _>>()?;
    pool.install(|| {
        pieces.into_par_iter().for_each(|(cells, mut view)| {
            let mut at = 0;
            for segment in p.segments(bins.clone()) {
                let bytes = segment.bins.len() * size_of::<T>();
                if segment.piece.fastest() == Fastest::T {
                    copy(segment, n_y, cells.clone(), row, at, &mut view);
                } else {
                    transpose(segment, n_y, cells.clone(), row, at, &mut view);
                }
                at += bytes;
            }
        });
    });
    Ok(())
}

/// Cells of a piece, of which each takes `row` bytes: a cache line of a bin's cells, or several, so that every piece begins
/// at a multiple of eight bytes, too; and no fewer pieces than threads if there are so many lines.
fn cells_of_a_piece<T>(row: usize, cells: usize, in_rows: bool, threads: usize) -> usize {
    let bytes = match in_rows {
        true => PIECE_BYTES,
        false => TRANSPOSED_BYTES,
    };
    (bytes / row)
        .min(cells / threads)
        .max(1)
        .next_multiple_of(LINE / size_of::<T>())
}

/// Rows that lie in the caller's array as they are wanted, to the bytes from `at` of each row on.
fn copy<T: Element>(
    Segment { piece, bins }: Segment<'_, '_, T>,
    n_y: usize,
    cells: Range<usize>,
    row: usize,
    at: usize,
    view: &mut wgpu::BufferViewMut,
) {
    let values = piece.bins(bins);
    let mut gathered = Vec::new();
    for (k, cell) in cells.enumerate() {
        let times = values.slice(ndarray::s![cell / n_y, cell % n_y, ..]);
        let times = match times.as_slice() {
            Some(times) => times,
            None => {
                gathered.clear();
                gathered.extend(times.iter().copied());
                &gathered
            }
        };
        let start = k * row + at;
        view.slice(start..start + size_of_val(times))
            .copy_from_slice(cast_slice(times));
    }
}

/// The same of bins that lie whole in the caller's array, or in any other order: a block of them is put in order in the cache.
fn transpose<T: Element>(
    Segment { piece, bins }: Segment<'_, '_, T>,
    n_y: usize,
    cells: Range<usize>,
    row: usize,
    at: usize,
    view: &mut wgpu::BufferViewMut,
) {
    let mut block = vec![T::default(); cells.len() * BLOCK];
    for start in bins.clone().step_by(BLOCK) {
        let here = start..(start + BLOCK).min(bins.end);
        let maps = piece.bins(here.clone());
        for (lane, map) in maps.axis_iter(ndarray::Axis(2)).enumerate() {
            let lanes = block[lane..].iter_mut().step_by(BLOCK);
            match map.as_slice() {
                Some(map) => lanes
                    .zip(&map[cells.clone()])
                    .for_each(|(lane, &value)| *lane = value),
                None => lanes.zip(cells.clone()).for_each(|(lane, cell)| {
                    *lane = map[[cell / n_y, cell % n_y]];
                }),
            }
        }
        let at = at + (start - bins.start) * size_of::<T>();
        for (k, values) in block.chunks_exact(BLOCK).enumerate() {
            let values: &[u8] = cast_slice(&values[..here.len()]);
            view.slice(k * row + at..k * row + at + values.len())
                .copy_from_slice(values);
        }
    }
}
