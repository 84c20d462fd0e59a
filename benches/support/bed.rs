//! The test bed: one input, its warm outputs, and the analyses that fill them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytemuck::Pod;
use ndarray::{Array3, ArrayViewMut3};
use peakmask::{Analysis, Element, Options, Peaks, Report, analyze, analyze_into};

use crate::engine::{Engine, cores};
use crate::floor;
use crate::stack::Stack;

/// Has an engine run something on a bed, and says how long it took.
pub(crate) type Job<T> = fn(&mut Bed<T>, Engine) -> Duration;

/// An input with outputs to reuse.
pub(crate) struct Bed<T> {
    stack: Stack<T>,
    alphas: Vec<f64>,
    masks: Vec<Array3<bool>>,
    peaks: Peaks<T>,
    /// What [`masks_only`](Self::masks_only) fills in place of `peaks`: a row number a bin, no peak.
    no_peaks: Peaks<T>,
}

impl<T: Element + Pod> Bed<T> {
    /// Analyses the input once, on the CPU; the arrays that come back are the warm outputs from then on.
    pub(crate) fn new(stack: Stack<T>, alphas: &[f64]) -> Self {
        let mut bed = Self::cold(stack, alphas);
        bed.keep(bed.analysis(Engine::Cpu(cores())));
        bed
    }

    /// A bed without outputs as yet.
    pub(crate) fn cold(stack: Stack<T>, alphas: &[f64]) -> Self {
        Self {
            stack,
            alphas: alphas.to_vec(),
            masks: Vec::new(),
            peaks: Peaks::new(),
            no_peaks: Peaks::new(),
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
    pub(crate) fn analysis(&self, engine: Engine) -> Analysis<T> {
        analyze(self.stack.view(), &options(&self.alphas, engine)).expect("an analysis")
    }

    /// The whole job into the warm outputs.
    pub(crate) fn reanalyse(&mut self, engine: Engine) -> Report {
        run(
            &self.stack,
            &options(&self.alphas, engine),
            &mut self.masks,
            &mut self.peaks,
        )
    }

    /// The peaks alone, into the warm columns.
    pub(crate) fn peaks_only(&mut self, engine: Engine) -> Report {
        run(&self.stack, &options(&[], engine), &mut [], &mut self.peaks)
    }

    /// The masks alone, into the warm ones.
    pub(crate) fn masks_only(&mut self, engine: Engine) -> Report {
        run(
            &self.stack,
            &options(&self.alphas, engine).peaks(false),
            &mut self.masks,
            &mut self.no_peaks,
        )
    }

    /// Panics unless the masks made without peaks are the warm ones.
    pub(crate) fn assert_masks_only(&mut self, engine: Engine) {
        let whole_job = self.masks.clone();
        // Leaves no mask as it was.
        self.floor(engine);
        self.masks_only(engine);
        assert!(
            self.masks == whole_job,
            "masks made without peaks differ from those of the whole job"
        );
        assert_eq!(self.no_peaks.n_bins(), self.peaks.n_bins());
        assert!(self.no_peaks.is_empty(), "peaks, though left out");
    }

    /// Time of the floor, on as many threads: XOR of the input, `fill` of the warm masks.
    pub(crate) fn floor(&mut self, engine: Engine) -> Duration {
        let pool = floor::pool(engine.threads());
        let start = Instant::now();
        let sum = floor::read(self.stack.words(), &pool);
        for mask in &mut self.masks {
            let cells = mask.as_slice_mut().expect("masks in C order");
            floor::fill(cells, black_box(sum) & 1 == 1, &pool);
        }
        start.elapsed()
    }
}

fn run<T: Element + Pod>(
    stack: &Stack<T>,
    options: &Options,
    masks: &mut [Array3<bool>],
    peaks: &mut Peaks<T>,
) -> Report {
    let mut masks: Vec<ArrayViewMut3<'_, bool>> =
        masks.iter_mut().map(|mask| mask.view_mut()).collect();
    analyze_into(stack.view(), options, &mut masks, peaks).expect("an analysis")
}

fn options(alphas: &[f64], engine: Engine) -> Options {
    Options::from(engine).alphas(alphas.iter().copied())
}
