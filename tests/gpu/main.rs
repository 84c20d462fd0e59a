//! The GPU engine's own cases: budgets that end, memory that is short, devices that go, processes that end early.
//!
//! What every engine must yield is in the other test targets, which run on the GPU too. Where there is no GPU, software
//! included, these tests say so and pass, unless `PEAKMASK_TEST_GPU=require` makes that a failure.

#![cfg(feature = "gpu")]

#[path = "../oracle/mod.rs"]
mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
#[path = "../support/mod.rs"]
mod support;

mod budgets;
mod contexts;
mod faults;
mod losses;
mod memory;
mod processes;
mod shapes;
mod stops;
mod times;

use ndarray::{Array3, ArrayView3};
use peakmask::{Analysis, Backend, GpuContext, GpuTuning, Options, Report, analyze};

use oracle::{Level, Rules, of_peak};
use support::compare::{Answer, Difference, Zeros, first_difference};
use support::engine::gpu;
use support::float::Float;
use support::generator::{Case, corridor};
use support::trial;

/// Skips a test where there is no GPU.
macro_rules! gpu_or_return {
    () => {
        match crate::gpu() {
            Some(context) => context,
            None => return,
        }
    };
}
pub(crate) use gpu_or_return;

/// Options that have this GPU alone compute, in poisoned arrays.
fn on(context: &GpuContext, tuning: GpuTuning) -> Options {
    Options::new()
        .backend(Backend::Gpu)
        .gpu_context(context)
        .gpu_tuning(GpuTuning {
            poison: true,
            ..tuning
        })
        .threads(2)
}

/// A posterior, how to analyse it, and what the oracle says.
struct Known<T> {
    p: Array3<T>,
    levels: Vec<Level>,
    rules: Rules,
    answer: Answer<T>,
}

impl<T: Float> Known<T> {
    fn new(p: Array3<T>, alphas: impl Into<Vec<f64>>, eight: bool) -> Self {
        let rules = Rules {
            eight,
            ..Rules::default()
        };
        Self::by_rules(p, of_peak(&alphas.into()), rules)
    }

    fn by_rules(p: Array3<T>, levels: Vec<Level>, rules: Rules) -> Self {
        let answer = Answer::by_oracle(p.view(), &levels, rules);
        Self {
            p,
            levels,
            rules,
            answer,
        }
    }

    /// Large maps, of which the CPU engine's answer has to do for the oracle's.
    fn by_cpu(p: Array3<T>, alphas: Vec<f64>, peaks: bool) -> Self {
        let options = Options::new()
            .alphas(alphas.iter().copied())
            .peaks(peaks)
            .backend(Backend::Cpu);
        let Analysis { masks, peaks, .. } = analyze(p.view(), &options).expect("the CPU works");
        Self {
            p,
            levels: of_peak(&alphas),
            rules: Rules::default(),
            answer: Answer { masks, peaks },
        }
    }

    /// A random posterior of this shape, with maps of all kinds.
    fn drawn(seed: u64, shape: [usize; 3]) -> Self {
        let case = Case::sized(seed, shape);
        Self::new(case.p, case.alphas, case.eight)
    }

    /// Analyses with these options: what ran, and the first difference from the oracle.
    fn analyze(&self, options: &Options) -> (Report, Option<Difference>) {
        self.analyze_view(self.p.view(), options)
    }

    fn analyze_view(
        &self,
        view: ArrayView3<'_, T>,
        options: &Options,
    ) -> (Report, Option<Difference>) {
        let found = analyze(view, &self.options(options)).unwrap_or_else(|error| panic!("{error}"));
        let difference = self.difference(&found);
        (found.report, difference)
    }

    /// The first difference of what was found from what the oracle says.
    fn difference(&self, found: &Analysis<T>) -> Option<Difference> {
        let views: Vec<_> = found.masks.iter().map(|mask| mask.view()).collect();
        first_difference(&self.answer, &views, &found.peaks, Zeros::Signed)
    }

    /// Analyses with these options, which must find what the oracle finds: what ran.
    fn exact(&self, options: &Options) -> Report {
        let (report, difference) = self.analyze(options);
        if let Some(difference) = difference {
            panic!(
                "bin {:?}, alpha {:?}: {difference}\n{:?} of {}, {options:?}\n{report:?}",
                difference.bin,
                difference.alpha,
                self.p.shape(),
                T::NAME
            );
        }
        report
    }

    fn options(&self, options: &Options) -> Options {
        trial::options(options.clone(), &self.levels, self.rules)
    }
}

/// A winding corridor in every bin, ever higher, with the dominant cell elsewhere in each. Levels of up to two thirds let
/// a flood through all of it: in one go when it runs along the rows; when it runs `across` them, the GPU needs a sweep for
/// each of its turns, and the CPU a step for each of its cells.
fn corridors([n_x, n_y, n_t]: [usize; 3], across: bool) -> Array3<f32> {
    let mut path = corridor(if across { (n_y, n_x) } else { (n_x, n_y) });
    if across {
        path.iter_mut().for_each(|(x, y)| std::mem::swap(x, y));
    }
    let mut p = Array3::zeros((n_x, n_y, n_t));
    for (k, &(x, y)) in path.iter().enumerate() {
        let height = 1.0 + 0.2 * k as f32 / path.len() as f32;
        p.slice_mut(ndarray::s![x, y, ..]).fill(height);
    }
    for t in 0..n_t {
        // Far from each other in a word of lanes, so that fronts do not meet.
        let (x, y) = path[(t % 64 * (path.len() / 64) + t / 64) % path.len()];
        p[(x, y, t)] = 1.5;
    }
    p
}
