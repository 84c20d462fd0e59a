//! A recording of any length in bounded memory: one input, several times over.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytemuck::Pod;
use ndarray::{Array3, Array4, s};
use peakmask::{
    Analysis, Analyzer, Element, MaskForm, Options, Outputs, Peaks, analyze, analyze_many,
};

use crate::engine::{Engine, cores};
use crate::forms::assert_bits;
use crate::stack::Stack;

/// An input, how often it is analysed in a row, and the warm outputs: peaks, and masks as bits.
pub(crate) struct Growth<T> {
    stack: Stack<T>,
    times: usize,
    alphas: Vec<f64>,
    packed: Vec<Array3<u8>>,
    peaks: Peaks<T>,
}

impl<T: Element + Pod> Growth<T> {
    pub(crate) fn new(stack: Stack<T>, alphas: &[f64], times: usize) -> Self {
        Self {
            stack,
            times,
            alphas: alphas.to_vec(),
            packed: Vec::new(),
            peaks: Peaks::new(),
        }
    }

    pub(crate) fn peaks(&self) -> &Peaks<T> {
        &self.peaks
    }

    fn options(&self, threads: usize) -> Options {
        Options::from(Engine::Cpu(threads))
            .alphas(self.alphas.iter().copied())
            .masks(MaskForm::Packed)
    }

    /// The whole job into fresh arrays.
    pub(crate) fn fresh(&self, threads: usize) -> Analysis<T> {
        analyze_many(&vec![self.stack.view(); self.times], &self.options(threads))
            .expect("an analysis")
            .analysis
    }

    /// The whole job into the warm outputs, which are made by the first call.
    pub(crate) fn again(&mut self, threads: usize) -> Duration {
        let (n_x, n_y, n_t) = self.stack.view().dim();
        let bytes = (n_t * self.times).div_ceil(8);
        self.packed
            .resize_with(self.alphas.len(), || Array3::zeros((n_x, n_y, bytes)));
        let options = self.options(threads);
        let pieces = vec![self.stack.view(); self.times];
        let start = Instant::now();
        let outputs = self.packed.iter_mut().enumerate().fold(
            Outputs::new().peaks(&mut self.peaks),
            |outputs, (level, mask)| outputs.packed_mask(level, mask.view_mut()),
        );
        let mut analyzer = Analyzer::new([n_x, n_y], options).expect("an analyzer");
        analyzer.run_many(&pieces, outputs).expect("an analysis");
        start.elapsed()
    }

    /// Panics unless the input alone has the same results, with masks as bytes, and every repetition those of the first; how
    /// many time bins that are.
    pub(crate) fn assert_right(&self) -> usize {
        let n_t = self.stack.view().dim().2;
        let rows = |bins: Range<usize>| {
            let offsets = &self.peaks.offsets[bins.start..=bins.end];
            let rows = offsets[0] as usize..offsets[n_t] as usize;
            let counts = offsets.windows(2).map(|pair| pair[1] - pair[0]);
            (rows, counts)
        };
        let (first, counts) = rows(0..n_t);
        let options = Options::from(Engine::Cpu(cores())).alphas(self.alphas.iter().copied());
        let alone = analyze(self.stack.view(), &options).expect("an analysis");
        assert_bits(&alone.masks, &self.packed);
        let same = alone.peaks.offsets == self.peaks.offsets[..=n_t]
            && alone.peaks.coords == self.peaks.coords[first.clone()]
            && alone.peaks.prominences == self.peaks.prominences[first.clone()]
            && alone.peaks.heights == self.peaks.heights[first.clone()];
        assert!(
            same,
            "peaks beside masks as bits differ from those beside bytes"
        );
        for time in 1..self.times {
            assert_eq!(n_t % 8, 0, "a repetition that begins within a byte");
            let bytes = |time| n_t / 8 * time..n_t / 8 * (time + 1);
            for mask in &self.packed {
                let same = mask.slice(s![.., .., bytes(time)]) == mask.slice(s![.., .., bytes(0)]);
                assert!(same, "masks of repetition {time}");
            }
            let (here, counts_here) = rows(n_t * time..n_t * (time + 1));
            let peaks = &self.peaks;
            let same = counts.clone().eq(counts_here)
                && peaks.coords[here.clone()] == peaks.coords[first.clone()]
                && peaks.prominences[here.clone()] == peaks.prominences[first.clone()]
                && peaks.heights[here] == peaks.heights[first.clone()];
            assert!(same, "peaks of repetition {time}");
        }
        n_t * self.times
    }

    /// Masks of some time bins as booleans.
    pub(crate) fn masks(&self, bins: Range<usize>) -> Array4<bool> {
        let (n_x, n_y, _) = self.stack.view().dim();
        Array4::from_shape_fn(
            (self.alphas.len(), n_x, n_y, bins.len()),
            |(level, x, y, t)| {
                let t = bins.start + t;
                self.packed[level][[x, y, t / 8]] >> (t % 8) & 1 == 1
            },
        )
    }
}
