//! Outputs: findings into the arrays of the caller. The only room that sees both the words of an engine and the values of the caller.

use ndarray::{Array3, ArrayViewMut3, Axis};
use rayon::prelude::*;

use crate::expand::{fence, rows};
use crate::findings::{Findings, FoundPeaks};
use crate::{Element, Error, Peaks};

/// Writes the masks of a batch: `masks` are the batch's parts of the outputs, every element of which is written.
pub(crate) fn masks<T>(findings: &Findings<T>, masks: &mut [ArrayViewMut3<'_, bool>]) {
    for (alpha, mask) in masks.iter_mut().enumerate() {
        let (n_x, n_y, _) = mask.dim();
        rows(findings.rows(alpha, n_x * n_y), mask.lanes_mut(Axis(2)));
    }
    fence();
}

/// The same on all threads of the current pool.
pub(crate) fn masks_across<T: Sync>(findings: &Findings<T>, masks: &mut [ArrayViewMut3<'_, bool>]) {
    masks.par_iter_mut().enumerate().for_each(|(alpha, mask)| {
        let (n_x, n_y, _) = mask.dim();
        let columns = mask.axis_iter_mut(Axis(0)).into_par_iter();
        columns.enumerate().for_each(|(x, mut column)| {
            rows(
                findings.rows(alpha, n_x * n_y).skip(x * n_y),
                column.lanes_mut(Axis(1)),
            );
            fence();
        });
    });
}

/// Appends the peaks of a batch, which follows the batches appended before.
pub(crate) fn peaks<T: Element>(findings: &FoundPeaks<T>, n_y: usize, peaks: &mut Peaks<T>) {
    let mut row = peaks.len() as i64;
    peaks.offsets.extend(findings.counts.iter().map(|&count| {
        row += i64::from(count);
        row
    }));
    let n_y = n_y as u32;
    peaks.coords.extend(
        findings
            .cells
            .iter()
            .map(|&cell| [i64::from(cell / n_y), i64::from(cell % n_y)]),
    );
    peaks.prominences.extend(
        findings
            .heights
            .iter()
            .zip(&findings.bases)
            .map(|(&height, &base)| T::prominence(height, base)),
    );
    peaks.heights.extend_from_slice(&findings.heights);
}

/// The same on all threads of the current pool.
pub(crate) fn peaks_across<T: Element>(findings: &FoundPeaks<T>, n_y: usize, peaks: &mut Peaks<T>) {
    let mut row = peaks.len() as i64;
    peaks.offsets.extend(findings.counts.iter().map(|&count| {
        row += i64::from(count);
        row
    }));
    let n_y = n_y as u32;
    let coords = |&cell: &u32| [i64::from(cell / n_y), i64::from(cell % n_y)];
    peaks
        .coords
        .par_extend(findings.cells.par_iter().map(coords));
    let values = findings.heights.par_iter().zip(&findings.bases);
    let prominence = |(&height, &base): (&T, &T)| T::prominence(height, base);
    peaks.prominences.par_extend(values.map(prominence));
    peaks.heights.par_extend(&findings.heights);
}

/// Makes room for `more` peaks: at first for as many as are `assumed`, later for a quarter more than there are.
pub(crate) fn reserve<T>(peaks: &mut Peaks<T>, more: usize, assumed: u64) -> Result<(), Error> {
    let assumed = usize::try_from(assumed).unwrap_or(0);
    grow(&mut peaks.coords, more, assumed)?;
    grow(&mut peaks.prominences, more, assumed)?;
    grow(&mut peaks.heights, more, assumed)
}

fn grow<C>(column: &mut Vec<C>, more: usize, assumed: usize) -> Result<(), Error> {
    // So large a block lies in a mapping of its own, which grows without a copy, and leaves no hole in the heap.
    const MAPPED: usize = 33 << 20;
    let (len, size) = (column.len(), size_of::<C>());
    if column.capacity() - len < more {
        let roomy = if len == 0 {
            assumed
        } else {
            (len / 4).max((MAPPED / size).saturating_sub(len))
        };
        let more = more.max(roomy);
        column
            .try_reserve_exact(more)
            .map_err(|_| Error::OutOfMemory {
                bytes: ((len + more) * size) as u64,
            })?;
        advise(column.as_ptr().cast(), column.capacity() * size);
    }
    Ok(())
}

/// Gives back the room that was not needed.
pub(crate) fn shrink<T>(peaks: &mut Peaks<T>) {
    peaks.coords.shrink_to_fit();
    peaks.prominences.shrink_to_fit();
    peaks.heights.shrink_to_fit();
}

/// An all-false mask whose memory is touched only when it is written.
pub(crate) fn mask(shape: (usize, usize, usize)) -> Result<Array3<bool>, Error> {
    let len = shape.0 * shape.1 * shape.2;
    // `vec!` aborts the process when there is no memory; ask first, in a way that is not optimised out.
    let mut probe = Vec::<bool>::new();
    probe
        .try_reserve_exact(len)
        .map_err(|_| Error::OutOfMemory { bytes: len as u64 })?;
    drop(std::hint::black_box(probe));
    let mask = Array3::from_elem(shape, false);
    advise(mask.as_ptr().cast(), len);
    Ok(mask)
}

/// Asks for huge pages: fresh memory costs as much as the work of filling it, and small pages several times more.
///
/// The advice covers the pages of both ends whole. Advice for the middle alone would split the mapping in the kernel, and
/// an allocator can then no longer move it by its page table when it grows: it copies, and needs the memory twice.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "page advice")]
fn advise(start: *const u8, bytes: usize) {
    const PAGE: usize = 4096;
    const HUGE: usize = 2 << 20;
    if bytes >= 2 * HUGE {
        let skip = start.addr() % PAGE;
        // SAFETY: the advice changes how pages are backed, never what they hold, whosever they are. A refusal changes
        // nothing, and is not an error.
        unsafe {
            libc::madvise(
                start.wrapping_sub(skip).cast_mut().cast(),
                (skip + bytes).next_multiple_of(PAGE),
                libc::MADV_HUGEPAGE,
            );
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_start: *const u8, _bytes: usize) {}
