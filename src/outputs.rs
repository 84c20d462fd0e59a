//! Outputs: findings into the arrays of the caller. The only room that sees both the words of an engine and the values of the caller.

use ndarray::{Array3, ArrayViewMut3, Axis, Dimension};
use rayon::prelude::*;

use crate::findings::{Findings, FoundPeaks};
use crate::{Element, Error, Peaks};

/// Bytes of eight booleans for each value of eight bits, lowest bit first.
const EXPANDED: [[bool; 8]; 256] = {
    let mut table = [[false; 8]; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut i = 0;
        while i < 8 {
            table[bits][i] = bits >> i & 1 != 0;
            i += 1;
        }
        bits += 1;
    }
    table
};

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

/// Writes rows of booleans from rows of bits.
fn rows<'m, D: Dimension>(
    bits: impl Iterator<Item = &'m [u8]>,
    rows: ndarray::iter::LanesMut<'_, bool, D>,
) {
    for (mut out, bits) in rows.into_iter().zip(bits) {
        match out.as_slice_mut() {
            Some(out) => expand(bits, out),
            None => {
                for (t, out) in out.iter_mut().enumerate() {
                    *out = bits[t / 8] >> (t % 8) & 1 != 0;
                }
            }
        }
    }
}

/// Writes one boolean for each bit, from the first on.
fn expand(bits: &[u8], out: &mut [bool]) {
    // Whole cache lines are streamed past the caches: an ordinary store would first fetch the line that it overwrites.
    let head = out.as_ptr().align_offset(LINE).min(out.len());
    let (first, rest) = out.split_at_mut(head);
    copy(bits_at(bits, 0), first);
    let mut lines = rest.chunks_exact_mut(LINE);
    let mut at = head;
    for line in &mut lines {
        stream(bits_at(bits, at), line);
        at += LINE;
    }
    copy(bits_at(bits, at), lines.into_remainder());
}

/// Booleans in a cache line.
const LINE: usize = 64;

/// The 64 bits from bit `at` on; those that do not exist are clear.
#[inline]
fn bits_at(bits: &[u8], at: usize) -> u64 {
    let byte = |i: usize| bits.get(at / 8 + i).copied().unwrap_or(0);
    let low = match bits.get(at / 8..at / 8 + 8) {
        Some(bytes) => bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
        None => (0..8)
            .rev()
            .fold(0, |word, i| word << 8 | u64::from(byte(i))),
    };
    match at % 8 {
        0 => low,
        shift => low >> shift | u64::from(byte(8)) << (64 - shift),
    }
}

/// Writes less than a cache line of booleans from their bits, in one piece.
#[inline]
fn copy(word: u64, out: &mut [bool]) {
    let mut line = [false; LINE];
    for (i, eight) in line.chunks_exact_mut(8).enumerate() {
        eight.copy_from_slice(&EXPANDED[usize::from((word >> (8 * i)) as u8)]);
    }
    out.copy_from_slice(&line[..out.len()]);
}

/// Writes a cache line of booleans from their bits.
#[inline]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "streaming stores")]
fn stream(word: u64, line: &mut [bool]) {
    use std::arch::x86_64::_mm_stream_si64;
    assert!(line.len() == LINE && line.as_ptr().align_offset(LINE) == 0);
    for (i, eight) in line.chunks_exact_mut(8).enumerate() {
        let booleans = EXPANDED[usize::from((word >> (8 * i)) as u8)];
        // SAFETY: `eight` is eight bytes of an exclusive borrow, aligned to eight since the line is aligned to 64; every
        // byte of the table is a valid boolean. The batch ends with a fence, before any other thread may look.
        unsafe {
            _mm_stream_si64(
                eight.as_mut_ptr().cast(),
                i64::from_ne_bytes(booleans.map(u8::from)),
            );
        };
    }
}

/// Makes streamed stores visible in order with all that follow.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "streaming stores")]
fn fence() {
    // SAFETY: SSE is part of every x86-64 processor.
    unsafe { std::arch::x86_64::_mm_sfence() };
}

/// Writes a cache line of booleans from their bits.
#[inline]
#[cfg(not(target_arch = "x86_64"))]
fn stream(word: u64, line: &mut [bool]) {
    copy(word, line);
}

#[cfg(not(target_arch = "x86_64"))]
fn fence() {}

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
