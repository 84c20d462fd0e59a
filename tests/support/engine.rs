//! The engines under test: every way to compute that must yield the same bytes.

use std::fmt;
use std::sync::OnceLock;

use peakmask::{Backend, GpuContext, GpuTuning, GpuUse, InstructionSet, Options};

/// One way to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The CPU engine with an instruction set and a number of threads.
    Cpu(InstructionSet, usize),
    /// The GPU engine alone.
    Gpu(Tuning),
    /// Both engines on one queue.
    Both,
}

/// How the GPU engine is cut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tuning {
    /// Not at all.
    Plain,
    /// Budgets of a few iterations, so that floods and plateaus are continued over and over, batches of a few bins, room
    /// for few peaks.
    Continued,
    /// A budget that is soon used up, so that the CPU finishes much.
    HandedOver,
}

impl Tuning {
    /// The knobs.
    pub(crate) fn knobs(self) -> GpuTuning {
        let knobs = GpuTuning {
            poison: true,
            ..GpuTuning::default()
        };
        match self {
            Self::Plain => knobs,
            Self::Continued => GpuTuning {
                batch: Some(65),
                iterations: Some(37),
                dispatches: Some(3),
                rounds: Some(u32::MAX),
                rows: Some(211),
                ..knobs
            },
            Self::HandedOver => GpuTuning {
                batch: Some(63),
                slots: Some(2),
                iterations: Some(37),
                dispatches: Some(1),
                rounds: Some(1),
                rows: Some(1999),
                ..knobs
            },
        }
    }
}

impl Engine {
    /// The numbers of threads under test: one, two, and more than most machines that run the tests have cores to spare.
    pub(crate) const THREADS: [usize; 3] = [1, 2, 7];

    /// Every instruction set that this processor offers, with every number of threads; then, where there is a GPU, that,
    /// cut down in every way, and both together.
    pub(crate) fn all() -> Vec<Self> {
        let cpu = sets()
            .into_iter()
            .flat_map(|set| Self::THREADS.map(|threads| Self::Cpu(set, threads)));
        cpu.chain(Self::with_gpu()).collect()
    }

    /// Every instruction set, each with a number of threads drawn at random, and one of those with a GPU.
    pub(crate) fn draw(rng: &mut fastrand::Rng) -> Vec<Self> {
        let with_gpu = Self::with_gpu();
        let drawn = rng.usize(..with_gpu.len().max(1));
        let with_gpu = with_gpu.into_iter().skip(drawn).take(1);
        let cpu = sets()
            .into_iter()
            .map(|set| Self::Cpu(set, Self::THREADS[rng.usize(..Self::THREADS.len())]));
        cpu.collect::<Vec<_>>()
            .into_iter()
            .chain(with_gpu)
            .collect()
    }

    /// The engines whose budgets are not cut down: for maps so large that the others would take minutes.
    pub(crate) fn whole() -> Vec<Self> {
        let cut_down = [Self::Gpu(Tuning::Continued), Self::Gpu(Tuning::HandedOver)];
        Self::all()
            .into_iter()
            .filter(|engine| !cut_down.contains(engine))
            .collect()
    }

    /// The engines that need a GPU; none where there is none.
    pub(crate) fn with_gpu() -> Vec<Self> {
        match gpu() {
            Some(_) => vec![
                Self::Gpu(Tuning::Plain),
                Self::Gpu(Tuning::Continued),
                Self::Gpu(Tuning::HandedOver),
                Self::Both,
            ],
            None => Vec::new(),
        }
    }

    /// Options that choose this engine.
    pub(crate) fn options(self) -> Options {
        let with_gpu = |backend, tuning: Tuning| {
            let options = Options::new().backend(backend).gpu_tuning(tuning.knobs());
            gpu().into_iter().fold(options, Options::gpu_context)
        };
        match self {
            Self::Cpu(set, threads) => Options::new()
                .backend(Backend::Cpu)
                .instruction_set(set)
                .threads(threads),
            Self::Gpu(tuning) => with_gpu(Backend::Gpu, tuning).threads(2),
            // Required, so that the CPU does not begin before the GPU is ready.
            Self::Both => with_gpu(Backend::Auto, Tuning::Plain)
                .gpu(GpuUse::Require)
                .threads(1),
        }
    }
}

/// The instruction sets under test: all of this processor's, or none where `PEAKMASK_TEST_ENGINES=gpu` says that they have
/// been looked at before, and there is a GPU to look at.
fn sets() -> Vec<InstructionSet> {
    let only_gpu = std::env::var("PEAKMASK_TEST_ENGINES").is_ok_and(|engines| engines == "gpu");
    match only_gpu && gpu().is_some() {
        true => Vec::new(),
        false => InstructionSet::available(),
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(set, threads) => write!(f, "{set} on {threads} thread(s)"),
            Self::Gpu(tuning) => write!(f, "GPU, {tuning:?}"),
            Self::Both => f.write_str("CPU and GPU together"),
        }
    }
}

/// The GPU under test, opened once for each test program: what `PEAKMASK_TEST_ADAPTER` names, or the best one, software
/// included. None where there is none, unless `PEAKMASK_TEST_GPU=require` makes that a failure.
#[expect(clippy::print_stderr, reason = "skips are declared")]
pub(crate) fn gpu() -> Option<&'static GpuContext> {
    static GPU: OnceLock<Option<GpuContext>> = OnceLock::new();
    let set = |variable: &str| std::env::var(variable).ok();
    let options = set("PEAKMASK_TEST_ADAPTER")
        .into_iter()
        .fold(Options::new(), Options::adapter);
    GPU.get_or_init(|| match GpuContext::open(&options) {
        Ok(context) => {
            eprintln!("GPU under test: {}", context.adapter());
            Some(context)
        }
        Err(error) if set("PEAKMASK_TEST_GPU").is_some_and(|gpu| gpu == "require") => {
            panic!("PEAKMASK_TEST_GPU=require: {error}")
        }
        Err(error) => {
            eprintln!("SKIPPED everything that needs a GPU: {error}");
            None
        }
    })
    .as_ref()
}
