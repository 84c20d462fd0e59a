//! What a caller can choose, all together.

use std::fmt;
use std::sync::Arc;

use crate::adapter::OPTIONS;
use crate::choices::{
    Backend, CancelToken, Connectivity, GpuUse, Level, MemoryGuard, NanPolicy, Progress,
    ProgressFn, Prominence, Region,
};
use crate::context::GpuContext;
use crate::engine::Task;
use crate::error::Error;
use crate::instruction_set::InstructionSet;
use crate::mask_form::MaskForm;
use crate::plan::Wanted;
use crate::tuning::{Demand, GpuTuning};

/// What to compute and how: a builder whose defaults suit most callers.
///
/// ```
/// use peakmask::{Connectivity, Level, Options};
///
/// let options = Options::new().alphas([0.5, 0.9]).connectivity(Connectivity::Eight).threads(2);
/// assert_eq!(options.level_values(), [Level::OfPeak(0.5), Level::OfPeak(0.9)]);
/// ```
#[derive(Clone, Default)]
pub struct Options {
    pub(crate) levels: Vec<Level>,
    pub(crate) region: Region,
    pub(crate) nan_policy: NanPolicy,
    pub(crate) no_peaks: bool,
    pub(crate) masks: MaskForm,
    pub(crate) summary: bool,
    pub(crate) animal: Option<(Arc<[[f64; 2]]>, f64)>,
    /// Whether peaks are found all the same, to be counted.
    pub(crate) counted: bool,
    pub(crate) prominence: Prominence,
    pub(crate) connectivity: Connectivity,
    pub(crate) backend: Backend,
    pub(crate) threads: Option<usize>,
    pub(crate) instruction_set: Option<InstructionSet>,
    pub(crate) adapter: Option<String>,
    pub(crate) gpu_use: Option<GpuUse>,
    pub(crate) gpu_context: Option<GpuContext>,
    pub(crate) gpu_memory_limit: Option<u64>,
    pub(crate) gpu_tuning: GpuTuning,
    pub(crate) memory_guard: MemoryGuard,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) progress: Option<ProgressFn>,
    pub(crate) cancel: Option<CancelToken>,
}

impl Options {
    /// Peaks only, four-connected masks, any backend, all cores, strict memory guard.
    pub fn new() -> Self {
        Self::default()
    }

    /// One mask is made for each alpha, in this order: the connected cells around the dominant peak with
    /// `P >= alpha * height`. Short for [`levels`](Self::levels) that are all [`Level::OfPeak`].
    ///
    /// Any float is allowed, NaN, infinities, negative numbers and repetitions included. No alpha (the default) means
    /// peaks only.
    #[must_use]
    pub fn alphas(self, alphas: impl IntoIterator<Item = f64>) -> Self {
        self.levels(alphas.into_iter().map(Level::OfPeak))
    }

    /// One mask is made for each level, in this order, in place of those chosen before. Kinds may be mixed, and levels
    /// repeated.
    ///
    /// ```
    /// use peakmask::{Level, Options, analyze};
    ///
    /// let p = ndarray::arr3(&[[[1.0], [4.0], [3.0], [0.0], [8.0]]]);
    /// let options = Options::new().levels([Level::OfPeak(0.5), Level::Absolute(3.0)]);
    /// let masks = analyze(p.view(), &options)?.masks;
    /// assert_eq!(masks[0].iter().collect::<Vec<_>>(), [&false, &false, &false, &false, &true]);
    /// assert_eq!(masks[1], masks[0]); // the two cells that reach 3 are not connected to the peak
    /// # Ok::<(), peakmask::Error>(())
    /// ```
    #[must_use]
    pub fn levels(mut self, levels: impl IntoIterator<Item = Level>) -> Self {
        self.levels = levels.into_iter().collect();
        self
    }

    /// Whether to list peaks (the default), or to leave [`Peaks`](crate::Peaks) without any and make masks alone.
    #[must_use]
    pub fn peaks(mut self, peaks: bool) -> Self {
        self.no_peaks = !peaks;
        self
    }

    /// The form of the masks that [`analyze`](crate::analyze) makes: booleans unless something else is said. Outputs given to an
    /// [`Analyzer`](crate::Analyzer) have the forms that they have.
    #[must_use]
    pub fn masks(mut self, form: MaskForm) -> Self {
        self.masks = form;
        self
    }

    /// Whether [`analyze`](crate::analyze) makes a [`Summary`](crate::Summary), too. It needs no masks.
    ///
    /// ```
    /// use ndarray::Array3;
    /// use peakmask::{MaskForm, Options, analyze};
    ///
    /// let p = Array3::from_shape_fn((5, 7, 20), |(x, y, t)| 1.0 / (1 + x.abs_diff(2) + y.abs_diff(t % 7)) as f64);
    /// let options = Options::new().alphas([0.5, 0.9]).masks(MaskForm::None).summary(true);
    /// let analysis = analyze(p.view(), &options)?;
    /// let summary = analysis.summary.unwrap();
    /// assert_eq!(summary.dominant[10], [2, 3]);
    /// assert_eq!((summary.area[[0, 10]], summary.area[[1, 10]]), (5, 1));
    /// assert!(analysis.masks.is_empty());
    /// # Ok::<(), peakmask::Error>(())
    /// ```
    #[must_use]
    pub fn summary(mut self, summary: bool) -> Self {
        self.summary = summary;
        self
    }

    /// Which prominence peaks have.
    ///
    /// ```
    /// use peakmask::{Options, Prominence, analyze};
    ///
    /// let p = ndarray::arr3(&[[[1.0], [6.0], [4.0], [5.0], [0.0], [8.0]]]);
    /// let of = |prominence| {
    ///     let options = Options::new().prominence(prominence);
    ///     analyze(p.view(), &options).map(|analysis| analysis.peaks.prominences)
    /// };
    /// assert_eq!(of(Prominence::Reference)?, [2.0, 1.0, 8.0]);
    /// assert_eq!(of(Prominence::Topographic)?, [6.0, 1.0, 8.0]);
    /// # Ok::<(), peakmask::Error>(())
    /// ```
    #[must_use]
    pub fn prominence(mut self, prominence: Prominence) -> Self {
        self.prominence = prominence;
        self
    }

    /// Where the animal was in each time bin, in cells, and how many cells away a mask still counts as near it: what
    /// [`Outputs::animal`](crate::Outputs::animal) is to an analyzer, for the summary that [`analyze`](crate::analyze) makes.
    #[must_use]
    pub fn animal(mut self, positions: impl Into<Arc<[[f64; 2]]>>, radius: f64) -> Self {
        self.animal = Some((positions.into(), radius));
        self
    }

    /// Which neighbours connect cells of a mask.
    #[must_use]
    pub fn connectivity(mut self, connectivity: Connectivity) -> Self {
        self.connectivity = connectivity;
        self
    }

    /// Which cells that reach a level belong to its mask.
    #[must_use]
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// What a NaN among a bin's cells means.
    ///
    /// ```
    /// use peakmask::{NanPolicy, Options, analyze};
    ///
    /// // A track around a cell that is no part of it.
    /// let p = ndarray::arr3(&[
    ///     [[1.0], [5.0], [1.0]],
    ///     [[1.0], [f64::NAN], [4.0]],
    ///     [[1.0], [1.0], [4.0]],
    /// ]);
    /// let options = Options::new().alphas([0.5]).nan_policy(NanPolicy::OffTrack);
    /// let analysis = analyze(p.view(), &options)?;
    /// assert_eq!(analysis.peaks.bin(0).coords, [[0, 1], [2, 2]]);
    /// assert_eq!(analyze(p.view(), &Options::new())?.peaks.len(), 0);
    /// # Ok::<(), peakmask::Error>(())
    /// ```
    #[must_use]
    pub fn nan_policy(mut self, nan_policy: NanPolicy) -> Self {
        self.nan_policy = nan_policy;
        self
    }

    /// Which engine computes.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Number of worker threads; 0 (the default) means one for each core that the process may use.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = (threads > 0).then_some(threads);
        self
    }

    /// Insists on one instruction set instead of the widest that the processor offers; the results are the same.
    #[must_use]
    pub fn instruction_set(mut self, instruction_set: InstructionSet) -> Self {
        self.instruction_set = Some(instruction_set);
        self
    }

    /// Which GPU: its number among those that [`adapters`](crate::adapters) lists (one or two digits), its place on the PCI
    /// bus (`0000:65:00.0`), or a part of its name, whatever the case. Without it the environment variable `PEAKMASK_ADAPTER`
    /// counts, and then the best one serves; of several cards of a kind, the first.
    ///
    /// A GPU that is named takes part in [`Backend::Auto`] however little work there is, and so does software, which
    /// otherwise serves [`Backend::Gpu`] alone: it is exact, but slower than the CPU engine.
    #[must_use]
    pub fn adapter(mut self, name: impl Into<String>) -> Self {
        self.adapter = Some(name.into());
        self
    }

    /// Whether a GPU may be used, or has to be. Without it the environment variable `PEAKMASK_GPU` counts: `off` or
    /// `require`.
    #[must_use]
    pub fn gpu(mut self, gpu_use: GpuUse) -> Self {
        self.gpu_use = Some(gpu_use);
        self
    }

    /// A GPU that is open already; [`GpuContext`] says what that saves.
    #[must_use]
    pub fn gpu_context(mut self, context: &GpuContext) -> Self {
        self.gpu_context = Some(context.clone());
        self
    }

    /// The most bytes of a GPU's memory to take; without it, what its driver has to spare.
    #[must_use]
    pub fn gpu_memory_limit(mut self, bytes: u64) -> Self {
        self.gpu_memory_limit = Some(bytes);
        self
    }

    /// Knobs of the GPU engine for tests and measurements.
    #[cfg(feature = "gpu-tuning")]
    #[doc(hidden)]
    #[must_use]
    pub fn gpu_tuning(mut self, tuning: GpuTuning) -> Self {
        self.gpu_tuning = tuning;
        self
    }

    /// What happens when more memory is needed than the limit.
    #[must_use]
    pub fn memory_guard(mut self, memory_guard: MemoryGuard) -> Self {
        self.memory_guard = memory_guard;
        self
    }

    /// The most bytes that results and scratch may take; without it, what the machine and the process's control group
    /// have to spare ([`MemoryLimit::detect`](crate::MemoryLimit::detect)).
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Called on the calling thread, at most some twenty times a second, with the number of time bins completed, and once at
    /// the end.
    ///
    /// A panic in the callback cancels the analysis and propagates.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// A switch that stops the analysis.
    #[must_use]
    pub fn cancel_token(mut self, token: CancelToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Which adapter is wanted: chosen here, or by the environment.
    pub(crate) fn wanted_adapter(&self) -> Option<String> {
        self.adapter
            .clone()
            .or_else(|| std::env::var("PEAKMASK_ADAPTER").ok())
            .filter(|name| !name.is_empty())
    }

    /// Whether a GPU may be used, and who says so.
    pub(crate) fn wanted_gpu(&self) -> Result<(GpuUse, &'static str), Error> {
        const VARIABLE: &str = "PEAKMASK_GPU";
        if let Some(gpu_use) = self.gpu_use {
            return Ok((gpu_use, OPTIONS));
        }
        let value = std::env::var(VARIABLE).unwrap_or_default();
        let gpu_use = match value.as_str() {
            "" => Ok(GpuUse::WhereUseful),
            name => name.parse(),
        };
        match gpu_use {
            Ok(gpu_use) => Ok((gpu_use, VARIABLE)),
            Err(_) => Err(Error::Environment {
                variable: VARIABLE,
                value,
                allowed: "off, require, where-useful, or nothing",
            }),
        }
    }

    /// What is asked of a GPU.
    pub(crate) fn demand(&self) -> Demand<'_> {
        Demand {
            levels: self.levels.len(),
            peaks: !self.no_peaks || self.counted,
            connectivity: self.connectivity,
            region: self.region,
            nan_policy: self.nan_policy,
            memory_limit: self.gpu_memory_limit,
            tuning: &self.gpu_tuning,
        }
    }

    /// What is to be computed of every time bin, if all that can be written is wanted.
    pub(crate) fn task(&self) -> Task<'_> {
        Task {
            levels: &self.levels,
            connectivity: self.connectivity,
            region: self.region,
            nan_policy: self.nan_policy,
            measures: false,
            peaks: !self.no_peaks,
            prominence: self.prominence,
        }
    }

    /// What [`analyze`](crate::analyze) makes.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            levels: self.levels.len(),
            masks: self.masks,
            peaks: !self.no_peaks,
            summary: self.summary,
            shares: self
                .levels
                .iter()
                .any(|level| matches!(level, Level::Coverage(_))),
            prominence: self.prominence,
        }
    }

    /// The levels chosen so far, those of alphas included.
    pub fn level_values(&self) -> &[Level] {
        &self.levels
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("levels", &self.levels)
            .field("region", &self.region)
            .field("nan_policy", &self.nan_policy)
            .field("peaks", &!self.no_peaks)
            .field("masks", &self.masks)
            .field("summary", &self.summary)
            .field("prominence", &self.prominence)
            .field("connectivity", &self.connectivity)
            .field("backend", &self.backend)
            .field("threads", &self.threads)
            .field("instruction_set", &self.instruction_set)
            .field("adapter", &self.adapter)
            .field("gpu", &self.gpu_use)
            .field("gpu_context", &self.gpu_context)
            .field("gpu_memory_limit", &self.gpu_memory_limit)
            .field("memory_guard", &self.memory_guard)
            .field("memory_limit", &self.memory_limit)
            .field("progress", &self.progress.is_some())
            .field("cancel", &self.cancel)
            .finish()
    }
}
