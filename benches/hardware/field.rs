//! One input with what the CPU makes of it, and the contests that are run on it.

use bytemuck::{Pod, cast_slice};
use ndarray::{Array3, ArrayViewMut3};
use peakmask::{
    Analysis, Element, GpuReport, GpuTuning, Options, Peaks, Report, analyze, analyze_into,
};

use crate::check;
use crate::clock::Clock;
use crate::engine::{Engine, cores};
use crate::inputs::Kind;
use crate::stack::{Layout, Pages, Stack};
use crate::table::Section;
use crate::value::Value;

const ALPHAS: [f64; 2] = [0.5, 0.9];
const SEED: u64 = 20_240_611;
/// Bins whose results are held against a slow answer.
const CHECKED: usize = 20;
/// Timed runs of each side of a contest, unless the time is over before.
const ROUNDS: usize = 7;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Whole,
    Masks,
    Peaks,
}

impl Work {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Whole => "masks and peaks",
            Self::Masks => "masks",
            Self::Peaks => "peaks",
        }
    }
}

/// One way to do some work.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) engine: Engine,
    pub(crate) work: Work,
    pub(crate) tuning: GpuTuning,
}

impl Side {
    /// The whole job, untuned.
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            name: engine.to_string(),
            engine,
            work: Work::Whole,
            tuning: GpuTuning::default(),
        }
    }

    /// The GPU with other knobs.
    pub(crate) fn tuned(name: impl Into<String>, tuning: GpuTuning) -> Self {
        Self {
            name: name.into(),
            tuning,
            ..Self::new(Engine::Gpu)
        }
    }

    fn options(&self) -> Options {
        let options = Options::from(self.engine).gpu_tuning(self.tuning.clone());
        match self.work {
            Work::Whole => options.alphas(ALPHAS),
            Work::Masks => options.alphas(ALPHAS).peaks(false),
            Work::Peaks => options,
        }
    }
}

/// An input, its warm outputs, and what the CPU makes of it.
pub(crate) struct Field<T> {
    kind: Kind,
    stack: Stack<T>,
    n_t: usize,
    masks: Vec<Array3<bool>>,
    peaks: Peaks<T>,
    expected: Analysis<T>,
}

impl<T: Value> Field<T> {
    pub(crate) fn new(kind: Kind, n_t: usize, layout: Layout) -> Self {
        let stack = kind.stack(n_t, layout, Pages::Huge, SEED);
        let side = Side::new(Engine::Cpu(cores()));
        let expected: Analysis<T> =
            analyze(stack.view(), &side.options()).expect("an analysis on the CPU");
        let bins = (0..n_t).step_by(n_t.div_ceil(CHECKED).max(1));
        check::assert_bins(
            stack.view(),
            &ALPHAS,
            &expected.masks,
            &expected.peaks,
            bins,
        );
        Self {
            kind,
            stack,
            n_t,
            masks: expected.masks.clone(),
            peaks: expected.peaks.clone(),
            expected,
        }
    }

    /// Bytes that a field takes of the host's memory, at most, for each time bin.
    pub(crate) fn bytes_per_bin(kind: Kind) -> f64 {
        let peak = (16 + 2 * size_of::<T>()) as f64;
        let cells = (41 * 63) as f64;
        cells * (size_of::<T>() + 2 * ALPHAS.len()) as f64 + 2.5 * peak * kind.peaks_per_bin()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn n_t(&self) -> usize {
        self.n_t
    }

    pub(crate) fn stack(&self) -> &Stack<T> {
        &self.stack
    }

    /// The masks that the CPU makes.
    pub(crate) fn masks(&self) -> &[Array3<bool>] {
        &self.expected.masks
    }

    /// Bytes of the values.
    pub(crate) fn input_bytes(&self) -> f64 {
        self.stack.view().len() as f64 * size_of::<T>() as f64
    }

    /// Bytes that a device has to give back: a bit for each cell of a mask; of each peak its cell, its height and its base;
    /// a count for each bin.
    pub(crate) fn returned_bytes(&self, work: Work) -> f64 {
        let masks = self.stack.view().len() * ALPHAS.len() / 8;
        let peaks = self.expected.peaks.len() * (4 + 2 * size_of::<T>()) + 4 * self.n_t;
        (match work {
            Work::Whole => masks + peaks,
            Work::Masks => masks,
            Work::Peaks => peaks,
        }) as f64
    }

    /// Has the side do its work into warm outputs.
    pub(crate) fn run(&mut self, side: &Side) -> Result<Report, String> {
        let masks = match side.work {
            Work::Peaks => &mut [],
            Work::Whole | Work::Masks => &mut self.masks[..],
        };
        let mut masks: Vec<ArrayViewMut3<'_, bool>> =
            masks.iter_mut().map(|mask| mask.view_mut()).collect();
        let report = analyze_into(
            self.stack.view(),
            &side.options(),
            &mut masks,
            &mut self.peaks,
        )
        .map_err(|error| error.to_string())?;
        match (side.engine, report.gpu_bins == self.n_t, &report.no_gpu) {
            (Engine::Gpu, false, _) => Err("the GPU did not do all of it".to_owned()),
            (Engine::Auto, _, Some(why)) => Err(why.clone()),
            _ => Ok(report),
        }
    }

    /// Has the side do its work over wrong outputs, and compares every bit with what the CPU made.
    pub(crate) fn check(&mut self, side: &Side) -> Result<(), String> {
        for mask in &mut self.masks {
            mask.fill(true);
        }
        self.peaks.clear();
        self.run(side)?;
        let masks = side.work == Work::Peaks || self.masks == self.expected.masks;
        let peaks = match side.work {
            Work::Masks => self.peaks.is_empty(),
            Work::Whole | Work::Peaks => same(&self.peaks, &self.expected.peaks),
        };
        match (masks, peaks) {
            (true, true) => Ok(()),
            (false, _) => Err("masks differ from the CPU's".to_owned()),
            (_, false) => Err("peaks differ from the CPU's".to_owned()),
        }
    }

    /// Lets the sides do their work in turn, round after round, so that a drift of the machine meets all of them. Each is
    /// checked before any is timed; what fails, or comes too late, has no figures.
    pub(crate) fn contest(
        &mut self,
        sides: &[Side],
        clock: Clock,
        section: &mut Section,
    ) -> Vec<Option<Figures>> {
        let input = self.kind.name();
        let ready: Vec<bool> = sides
            .iter()
            .map(|side| {
                if clock.over() {
                    return false;
                }
                let result = self.check(side);
                if let Err(why) = &result {
                    section.fail(format!("{input}, {}: {why}", side.name));
                }
                result.is_ok()
            })
            .collect();
        let mut reports = vec![Vec::new(); sides.len()];
        'rounds: for _ in 0..ROUNDS {
            for ((side, &ready), reports) in sides.iter().zip(&ready).zip(&mut reports) {
                if !ready {
                    continue;
                }
                if clock.over() {
                    break 'rounds;
                }
                match self.run(side) {
                    Ok(report) => reports.push(report),
                    Err(why) => section.fail(format!("{input}, {}: {why}", side.name)),
                }
            }
        }
        let figures = sides.iter().zip(reports).map(|(side, reports)| {
            if reports.is_empty() {
                section.leave_out(format!("{input}, {}", side.name));
                return None;
            }
            Some(Figures {
                reports,
                n_t: self.n_t as f64,
            })
        });
        figures.collect()
    }
}

/// Whether two lists hold the same bits.
fn same<T: Element + Pod>(a: &Peaks<T>, b: &Peaks<T>) -> bool {
    a.offsets == b.offsets
        && a.coords == b.coords
        && cast_slice::<T, u8>(&a.heights) == cast_slice::<T, u8>(&b.heights)
        && cast_slice::<T, u8>(&a.prominences) == cast_slice::<T, u8>(&b.prominences)
}

/// What the timed runs of one side have reported. Times are medians in microseconds a bin.
#[derive(Debug)]
pub(crate) struct Figures {
    reports: Vec<Report>,
    n_t: f64,
}

impl Figures {
    fn sorted(&self, of: impl Fn(&Report) -> f64) -> Vec<f64> {
        let mut times: Vec<f64> = self
            .reports
            .iter()
            .map(|report| of(report) * 1e6 / self.n_t)
            .collect();
        times.sort_by(f64::total_cmp);
        times
    }

    fn median(&self, of: impl Fn(&Report) -> f64) -> f64 {
        let times = self.sorted(of);
        times[times.len() / 2]
    }

    /// From call to return.
    pub(crate) fn total(&self) -> f64 {
        self.median(|report| report.seconds.total)
    }

    /// The shortest and the longest run, and how many there were.
    pub(crate) fn spread(&self) -> String {
        let times = self.sorted(|report| report.seconds.total);
        format!(
            "{:.3}-{:.3} of {}",
            times[0],
            times[times.len() - 1],
            times.len()
        )
    }

    /// A time of the GPU's report.
    pub(crate) fn gpu(&self, of: impl Fn(&GpuReport) -> f64) -> Option<f64> {
        self.reports[0].gpu.as_ref()?;
        Some(self.median(|report| report.gpu.as_ref().map_or(0.0, &of)))
    }

    pub(crate) fn kernels(&self) -> Option<f64> {
        self.gpu(|gpu| gpu.seconds.kernels)
    }

    /// A stage by its place in the report, if the device has a clock.
    pub(crate) fn stage(&self, stage: usize) -> Option<f64> {
        self.by_device()
            .then(|| self.gpu(|gpu| gpu.seconds.stages[stage]))
            .flatten()
    }

    pub(crate) fn by_device(&self) -> bool {
        self.last_gpu().is_some_and(|gpu| gpu.seconds.by_device)
    }

    pub(crate) fn last(&self) -> &Report {
        &self.reports[self.reports.len() - 1]
    }

    pub(crate) fn last_gpu(&self) -> Option<&GpuReport> {
        self.last().gpu.as_ref()
    }
}
