//! What an analysis yields: plain data.

use std::borrow::Cow;
use std::ops::Range;

use ndarray::Array3;

use crate::masks::{PackedMask, SparseMask};
use crate::names::names;
use crate::summary::Summary;
use crate::{Adapter, InstructionSet};

/// Masks, peaks and a report of what ran.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Analysis<T> {
    /// One boolean array of the input's shape `(n_x, n_y, n_t)`, C order, for each alpha in the order given: the connected
    /// region around the dominant peak. None of them unless the form of masks is [`MaskForm::Bytes`](crate::MaskForm::Bytes),
    /// the default.
    pub masks: Vec<Array3<bool>>,
    /// The same as bits, if their form is [`MaskForm::Packed`](crate::MaskForm::Packed).
    pub packed: Option<Vec<PackedMask>>,
    /// The same as lists of cells, if their form is [`MaskForm::Sparse`](crate::MaskForm::Sparse).
    pub sparse: Option<Vec<SparseMask>>,
    /// What every time bin and mask comes to, if a summary was asked for.
    pub summary: Option<Summary<T>>,
    /// All peaks of all time bins.
    pub peaks: Peaks<T>,
    /// What ran, where, and for how long.
    pub report: Report,
}

/// All peaks of all time bins, as flat columns.
///
/// Peaks of time bin `t` are the rows `offsets[t] .. offsets[t + 1]`, in row-major order of `(x, y)`.
///
/// ```
/// let p = ndarray::arr3(&[[[0.1, 0.2]], [[0.7, 0.2]], [[0.2, 0.6]]]);
/// let peaks = peakmask::analyze(p.view(), &peakmask::Options::new())?.peaks;
/// assert_eq!(peaks.offsets, [0, 1, 2]);
/// assert_eq!(peaks.bin(1).coords, [[2, 0]]);
/// assert_eq!(peaks.bin(1).heights, [0.6]);
/// # Ok::<(), peakmask::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Peaks<T> {
    /// `n_t + 1` row numbers (`[0]` before the first analysis).
    pub offsets: Vec<i64>,
    /// Position `[x, y]` of each peak, in bins.
    pub coords: Vec<[i64; 2]>,
    /// Prominence of each peak, in the input's unit; never NaN, but for [`Prominence::None`](crate::Prominence::None).
    pub prominences: Vec<T>,
    /// Height of each peak: the input's value, to the bit.
    pub heights: Vec<T>,
}

impl<T> Default for Peaks<T> {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            coords: Vec::new(),
            prominences: Vec::new(),
            heights: Vec::new(),
        }
    }
}

impl<T> Peaks<T> {
    /// Peaks that nobody will look at, which take no memory.
    pub(crate) fn without_bins() -> Self {
        Self {
            offsets: Vec::new(),
            coords: Vec::new(),
            prominences: Vec::new(),
            heights: Vec::new(),
        }
    }

    /// No time bins, no peaks: something to reuse with [`analyze_into`](crate::analyze_into).
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of time bins.
    pub fn n_bins(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of peaks in all time bins together.
    pub fn len(&self) -> usize {
        self.heights.len()
    }

    /// Whether there is no peak in any time bin.
    pub fn is_empty(&self) -> bool {
        self.heights.is_empty()
    }

    /// The peaks of time bin `t`; none for a bin that is constant or holds a NaN.
    ///
    /// # Panics
    /// When `t >= n_bins()`.
    pub fn bin(&self, t: usize) -> BinPeaks<'_, T> {
        let rows = self.rows(t);
        BinPeaks {
            coords: &self.coords[rows.clone()],
            prominences: &self.prominences[rows.clone()],
            heights: &self.heights[rows],
        }
    }

    /// The peaks of every time bin, in order.
    pub fn bins(&self) -> impl ExactSizeIterator<Item = BinPeaks<'_, T>> {
        (0..self.n_bins()).map(|t| self.bin(t))
    }

    /// Forgets all time bins and peaks, and keeps the memory.
    pub fn clear(&mut self) {
        self.offsets.clear();
        self.offsets.push(0);
        self.coords.clear();
        self.prominences.clear();
        self.heights.clear();
    }

    fn rows(&self, t: usize) -> Range<usize> {
        self.offsets[t] as usize..self.offsets[t + 1] as usize
    }
}

/// The peaks of one time bin: three columns of equal length, in row-major order of `(x, y)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinPeaks<'a, T> {
    /// Position `[x, y]` of each peak.
    pub coords: &'a [[i64; 2]],
    /// Prominence of each peak.
    pub prominences: &'a [T],
    /// Height of each peak.
    pub heights: &'a [T],
}

impl<T> BinPeaks<'_, T> {
    /// Number of peaks in the bin.
    pub fn len(&self) -> usize {
        self.heights.len()
    }

    /// Whether the bin has no peak.
    pub fn is_empty(&self) -> bool {
        self.heights.is_empty()
    }
}

/// Which engines analysed time bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engines {
    /// The CPU engine alone.
    Cpu,
    /// A GPU alone.
    Gpu,
    /// A GPU beside the CPU engine.
    Both,
}

names!(Engines { Cpu => "cpu", Gpu => "gpu", Both => "cpu+gpu" });

/// What ran, where, and for how long.
///
/// With the crate's feature `serde` it can be serialised: the fields by their names, enums by theirs. The program's
/// `--report` and the Python package show the very same.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// Which engines analysed time bins.
    pub engine: Engines,
    /// Instruction set that the CPU engine used, or would have used.
    pub instruction_set: InstructionSet,
    /// Worker threads: of the CPU engine, or those that serve the GPU.
    pub threads: usize,
    /// Time bins analysed.
    pub bins: usize,
    /// Those of `bins` that the CPU engine analysed.
    pub cpu_bins: usize,
    /// Those of `bins` that the GPU engine analysed, [`GpuReport::handed_over_bins`] among them.
    pub gpu_bins: usize,
    /// Peaks found.
    pub peaks: usize,
    /// Those of `bins` that have no highest-density region, because a value is negative or the total is zero, infinite or NaN;
    /// 0 if no [`Level::Coverage`](crate::Level::Coverage) was asked for.
    pub uncovered_bins: usize,
    /// Time from call to return, and where the CPU engine's went.
    pub seconds: Seconds,
    /// Bytes that the plan foresaw for results and scratch, with its assumed number of peaks; what a GPU took of the host's
    /// memory included.
    pub bytes_planned: u64,
    /// The same with the true number of peaks.
    pub bytes_used: u64,
    /// What the GPU did, if one was opened.
    pub gpu: Option<GpuReport>,
    /// Why no GPU took part, or why it stopped before the end; `None` if it did all that it was given, and with
    /// [`Backend::Cpu`](crate::Backend::Cpu).
    pub no_gpu: Option<Cow<'static, str>>,
}

/// What a GPU did.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GpuReport {
    /// The adapter, its backend and its driver.
    pub adapter: Adapter,
    /// Batches completed.
    pub batches: usize,
    /// Time bins of the largest batch that the plan allowed.
    pub batch_bins: usize,
    /// How often batches had to be halved, because the device had no memory for them.
    pub halvings: usize,
    /// Time bins with floods or plateaus that were not done after the first submission of their batch, and were continued.
    pub continued_bins: usize,
    /// Time bins whose floods or plateaus the CPU finished, because they were still not done.
    pub handed_over_bins: usize,
    /// Where the time went.
    pub seconds: GpuSeconds,
    /// Bytes of the device's memory for all batches in flight.
    pub device_bytes: u64,
    /// Bytes of the host's memory for values on their way in and results on their way out.
    pub staging_bytes: u64,
}

impl GpuReport {
    /// Bytes of the host's memory that the GPU engine took.
    pub(crate) fn host_bytes(&self) -> u64 {
        let shared = self.adapter.kind.shares_memory();
        self.staging_bytes + if shared { self.device_bytes } else { 0 }
    }
}

/// Seconds spent in each phase of the GPU engine, added up over the batches in flight, which overlap.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GpuSeconds {
    /// Finding and opening the adapter.
    pub open: f64,
    /// Compiling kernels, probing the device, allocating buffers.
    pub prepare: f64,
    /// Copying values into mapped memory.
    pub upload: f64,
    /// Kernels: by the device's clock if it has one (`by_device`), else the same as `wait`.
    pub kernels: f64,
    /// From submission to completion: kernels, and copies to and from the device's memory.
    pub wait: f64,
    /// Taking results out of mapped memory.
    pub readback: f64,
    /// Writing masks and peaks.
    pub expand: f64,
    /// Whether `kernels` and `stages` are the device's own figures.
    pub by_device: bool,
    /// `kernels` by stage, where the device has a clock, in the order of [`STAGES`](Self::STAGES); serialised as a map by
    /// name.
    #[cfg_attr(feature = "serde", serde(serialize_with = "by_name"))]
    pub stages: [f64; STAGES],
}

impl GpuSeconds {
    /// The stages of the kernels, in the order in which they run.
    pub const STAGES: [&'static str; STAGES] =
        ["survey", "threshold", "flood", "bases", "pack", "collect"];
}

/// The number of stages of the kernels.
const STAGES: usize = 6;

/// Seconds by the name of their stage.
#[cfg(feature = "serde")]
fn by_name<S: serde::Serializer>(
    seconds: &[f64; STAGES],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(GpuSeconds::STAGES.iter().zip(seconds))
}

/// What the engine of one slot has done.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct GpuTally {
    pub(crate) batches: usize,
    pub(crate) continued_bins: usize,
    pub(crate) handed_over_bins: usize,
    pub(crate) seconds: GpuSeconds,
}

impl GpuTally {
    /// Adds another slot's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.continued_bins += other.continued_bins;
        self.handed_over_bins += other.handed_over_bins;
        let (seconds, more) = (&mut self.seconds, &other.seconds);
        seconds.upload += more.upload;
        seconds.kernels += more.kernels;
        seconds.wait += more.wait;
        seconds.readback += more.readback;
        seconds.expand += more.expand;
        seconds.by_device |= more.by_device;
        for (stage, more) in seconds.stages.iter_mut().zip(more.stages) {
            *stage += more;
        }
    }
}
/// Seconds spent in each phase: `total` by the clock, the others added up over all worker threads.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Seconds {
    /// From call to return.
    pub total: f64,
    /// Loading tiles, their minima, maxima and first maxima.
    pub survey: f64,
    /// Comparing values with thresholds and with their neighbours.
    pub compare: f64,
    /// Growing regions from the dominant peaks.
    pub flood: f64,
    /// Putting peaks in order, bases of plateaus.
    pub bases: f64,
    /// Writing masks and peaks.
    pub emit: f64,
}

impl Seconds {
    /// Adds the phases of another thread, or of another analysis; `total` stays, which is no sum where threads work side by side.
    pub fn add(&mut self, other: &Self) {
        self.survey += other.survey;
        self.compare += other.compare;
        self.flood += other.flood;
        self.bases += other.bases;
        self.emit += other.emit;
    }
}
