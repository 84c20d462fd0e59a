//! Staging: what goes to the device and what comes back, in memory that the host and the device both see.

use std::ops::Range;
use std::sync::Arc;

use bytemuck::{bytes_of, cast_slice, pod_collect_to_vec};
use rayon::prelude::*;

use super::arrays::{Array, Sizes, TIMES_BYTES};
use super::device::{Failure, rejected};
use super::engine::Gpu;
use super::load;
use super::submission::Submitter;
use crate::engine::Task;
use crate::findings::{Findings, Lent};
use crate::posterior::Posterior;
use crate::{Element, Level};

/// Where results lie in the readback buffer.
pub(super) struct Layout {
    pub(super) masks: u64,
    pub(super) cells: u64,
    pub(super) heights: u64,
    pub(super) bases: u64,
    pub(super) times: u64,
    pub(super) end: u64,
}

impl Layout {
    pub(super) fn new(sizes: &Sizes) -> Self {
        let masks = sizes.tally_bytes().next_multiple_of(8);
        let cells = masks + Array::Masks.bytes(sizes).next_multiple_of(8);
        let heights = cells + Array::RowCells.bytes(sizes).next_multiple_of(8);
        let half = (Array::RowValues.bytes(sizes) / 2).next_multiple_of(8);
        let (bases, times) = (heights + half, heights + 2 * half);
        Self {
            masks,
            cells,
            heights,
            bases,
            times,
            end: times + TIMES_BYTES,
        }
    }
}

impl<T: Element> Gpu<'_, T> {
    pub(super) fn upload(
        &self,
        p: &Posterior<'_, T>,
        bins: Range<usize>,
        task: Task<'_>,
        sizes: &Sizes,
    ) -> Result<(), Failure> {
        const STAGE: &str = "copying values in";
        let device = self.context.device();
        if self.tuning.poison {
            self.submitter.slot().poison(device);
        }
        device.alive(STAGE)?;
        let lanes = sizes.lanes as usize;
        load::values(
            p,
            bins,
            lanes,
            &self.submitter.slot().upload,
            self.host.pool,
        )
        .map_err(rejected(STAGE))?;
        if !task.levels.is_empty() {
            let at = Array::Values.bytes(sizes).next_multiple_of(8);
            let words: Vec<[u32; 4]> = task.levels.iter().map(words::<T>).collect();
            self.submitter
                .slot()
                .upload
                .get_mapped_range_mut(at..at + Array::Levels.bytes(sizes))
                .map_err(rejected(STAGE))?
                .copy_from_slice(cast_slice(&words));
        }
        Ok(())
    }

    pub(super) fn read<R>(
        &self,
        at: u64,
        bytes: u64,
        take: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Failure> {
        if bytes == 0 {
            return Ok(take(&[]));
        }
        let view = self
            .submitter
            .slot()
            .readback
            .get_mapped_range(at..at + bytes)
            .map_err(rejected("reading results"))?;
        Ok(take(&view))
    }

    /// The number of peaks of each lane, then whether each is pending; padding has none, and is not.
    pub(super) fn read_tally(&self, sizes: &Sizes) -> Result<Vec<u32>, Failure> {
        self.read(0, sizes.tally_bytes(), pod_collect_to_vec::<u8, u32>)
    }

    /// Lends the masks where they are mapped: nobody may use the readback buffer before they are given back.
    pub(super) fn lend_masks(
        &self,
        sizes: &Sizes,
        findings: &mut Findings<T>,
    ) -> Result<(), Failure> {
        let (at, bytes) = (Layout::new(sizes).masks, Array::Masks.bytes(sizes));
        let readback = &self.submitter.slot().readback;
        let view = match bytes {
            0 => None,
            _ => Some(
                readback
                    .get_mapped_range(at..at + bytes)
                    .map_err(rejected("reading results"))?,
            ),
        };
        let mapped = Mapped {
            view,
            submitter: Arc::clone(&self.submitter),
        };
        findings.lend(Box::new(mapped), sizes.lane_words() as usize * 32);
        Ok(())
    }

    /// Appends the peaks of the window that has been collected; `rows` are left in all.
    pub(super) fn read_rows(
        &self,
        sizes: &Sizes,
        rows: u64,
        findings: &mut Findings<T>,
    ) -> Result<(), Failure> {
        let rows = if sizes.peaks { rows.min(sizes.rows) } else { 0 };
        let (layout, value) = (Layout::new(sizes), size_of::<T>() as u64);
        let (pool, peaks) = (self.host.pool, &mut findings.peaks);
        self.read(layout.cells, rows * 4, |bytes| {
            append(&mut peaks.cells, bytes, pool);
        })?;
        self.read(layout.heights, rows * value, |bytes| {
            append(&mut peaks.heights, bytes, pool);
        })?;
        self.read(layout.bases, rows * value, |bytes| {
            append(&mut peaks.bases, bytes, pool);
        })
    }
}

/// A level as `shaders/shared.wgsl` has it: bits, the low word first, and their kind.
fn words<T: Element>(level: &Level) -> [u32; 4] {
    const OF_PEAK: u32 = 0;
    const ABSOLUTE: u32 = 1;
    let (bits, kind) = match *level {
        Level::OfPeak(alpha) => (alpha.to_bits(), OF_PEAK),
        Level::Absolute(value) => {
            let mut bits = [0; 8];
            bits[..size_of::<T>()].copy_from_slice(bytes_of(&T::rounded(value)));
            (u64::from_le_bytes(bits), ABSOLUTE)
        }
        Level::Coverage(_) => unreachable!("the engine supports no coverage"),
    };
    [bits as u32, (bits >> 32) as u32, kind, 0]
}

/// Masks in the readback buffer, which is unmapped when they are no longer needed.
#[derive(Debug)]
struct Mapped {
    /// None of no masks.
    view: Option<wgpu::BufferView>,
    submitter: Arc<Submitter>,
}

impl Lent for Mapped {}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self.view.as_deref().unwrap_or_default()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        drop(self.view.take());
        self.submitter.slot().readback.unmap();
    }
}

/// Appends what the bytes hold, which may lie anywhere in memory, on the threads of a pool.
fn append<P: bytemuck::Pod + Send + Sync>(
    column: &mut Vec<P>,
    bytes: &[u8],
    pool: &rayon::ThreadPool,
) {
    const PIECE: usize = 1 << 14;
    pool.install(|| match bytemuck::try_cast_slice::<u8, P>(bytes) {
        Ok(values) => column.par_extend(values.par_iter().with_min_len(PIECE)),
        Err(_) => column.par_extend(
            bytes
                .par_chunks_exact(size_of::<P>())
                .with_min_len(PIECE)
                .map(bytemuck::pod_read_unaligned::<P>),
        ),
    });
}
