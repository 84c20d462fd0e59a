//! The test bed: one input, its warm outputs, and the jobs that are timed on them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytemuck::Pod;
use ndarray::{Array3, ArrayViewMut3};
use peakmask::{Analysis, Element, MemoryGuard, Options, Peaks, Report, analyze, analyze_into};

use crate::floor;
use crate::stack::Stack;

/// An input with outputs to reuse.
pub(crate) struct Bed<T> {
    stack: Stack<T>,
    alphas: Vec<f64>,
    masks: Vec<Array3<bool>>,
    peaks: Peaks<T>,
}

impl<T: Element + Pod> Bed<T> {
    /// Analyses the input once; the arrays that come back are the warm outputs from then on.
    pub(crate) fn new(stack: Stack<T>, alphas: &[f64]) -> Self {
        let mut bed = Self::cold(stack, alphas);
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        bed.keep(bed.analysis(all));
        bed
    }

    /// A bed without outputs as yet.
    pub(crate) fn cold(stack: Stack<T>, alphas: &[f64]) -> Self {
        Self {
            stack,
            alphas: alphas.to_vec(),
            masks: Vec::new(),
            peaks: Peaks::new(),
        }
    }

    /// Makes these arrays the warm outputs.
    pub(crate) fn keep(&mut self, analysis: Analysis<T>) {
        (self.masks, self.peaks) = (analysis.masks, analysis.peaks);
    }

    /// The input.
    pub(crate) fn stack(&self) -> &Stack<T> {
        &self.stack
    }

    /// The warm masks, as the last job left them.
    pub(crate) fn masks(&self) -> &[Array3<bool>] {
        &self.masks
    }

    /// The warm peaks, as the last job left them.
    pub(crate) fn peaks(&self) -> &Peaks<T> {
        &self.peaks
    }

    /// The whole job into fresh arrays.
    pub(crate) fn analysis(&self, threads: usize) -> Analysis<T> {
        analyze(self.stack.view(), &options(&self.alphas, threads)).expect("an analysis")
    }

    /// The whole job into the warm outputs.
    pub(crate) fn reanalyse(&mut self, threads: usize) -> Report {
        let mut masks: Vec<ArrayViewMut3<'_, bool>> =
            self.masks.iter_mut().map(|mask| mask.view_mut()).collect();
        analyze_into(
            self.stack.view(),
            &options(&self.alphas, threads),
            &mut masks,
            &mut self.peaks,
        )
        .expect("an analysis")
    }

    /// Time of the whole job with warm outputs.
    pub(crate) fn warm(&mut self, threads: usize) -> Duration {
        let start = Instant::now();
        black_box(self.reanalyse(threads));
        start.elapsed()
    }

    /// Time of the whole job with fresh outputs, every byte of them read.
    pub(crate) fn fresh(&self, threads: usize) -> Duration {
        let start = Instant::now();
        let analysis = self.analysis(threads);
        black_box(read_all(&analysis));
        start.elapsed()
    }

    /// Time of the peaks alone, into the warm columns.
    pub(crate) fn peaks_only(&mut self, threads: usize) -> Duration {
        let start = Instant::now();
        let report = analyze_into(
            self.stack.view(),
            &options(&[], threads),
            &mut [],
            &mut self.peaks,
        );
        black_box(report.expect("an analysis"));
        start.elapsed()
    }

    /// Time of the floor: XOR of the input, `fill` of the warm masks.
    pub(crate) fn floor(&mut self, threads: usize) -> Duration {
        let pool = floor::pool(threads);
        let start = Instant::now();
        let sum = floor::read(self.stack.words(), &pool);
        for mask in &mut self.masks {
            let cells = mask.as_slice_mut().expect("masks in C order");
            floor::fill(cells, black_box(sum) & 1 == 1, &pool);
        }
        start.elapsed()
    }
}

fn options(alphas: &[f64], threads: usize) -> Options {
    Options::new()
        .alphas(alphas.iter().copied())
        .threads(threads)
        .memory_guard(MemoryGuard::Off)
}

fn read_all<T: Element + Pod>(analysis: &Analysis<T>) -> u64 {
    let peaks = &analysis.peaks;
    let masks = analysis
        .masks
        .iter()
        .map(|mask| bytemuck::cast_slice(mask.as_slice().expect("masks in C order")));
    masks
        .chain([
            bytemuck::cast_slice(&peaks.offsets),
            bytemuck::cast_slice(&peaks.coords),
            bytemuck::cast_slice(&peaks.prominences),
            bytemuck::cast_slice(&peaks.heights),
        ])
        .map(|bytes: &[u8]| {
            let (head, words, tail) = bytemuck::pod_align_to::<u8, u64>(bytes);
            let ends = head.iter().chain(tail).fold(0, |sum, byte| sum ^ byte);
            words.iter().fold(u64::from(ends), |sum, &word| sum ^ word)
        })
        .fold(0, |sum, part| sum ^ part)
}
