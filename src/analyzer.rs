//! Analyzers: everything that an analysis needs and can be kept for the next one.

use std::sync::OnceLock;
use std::time::Instant;

use ndarray::{Array3, ArrayView3, ArrayViewMut3};
use smallvec::SmallVec;

use crate::analysis::{Analysis, Peaks, Report};
use crate::choices::{CancelToken, Level};
use crate::columns;
use crate::element::{Dtype, Element};
use crate::engine::Task;
use crate::epochs::Epochs;
use crate::error::Error;
use crate::instruction_set::InstructionSet;
use crate::mask_form::MaskForm;
use crate::masks::{PackedMask, SparseMask};
use crate::memory::{self, Budget, KeptLimit};
use crate::options::Options;
use crate::outputs::{
    FEW, Filling, Lists, Outputs, Parts, PeaksOutput, SparseOutput, SummaryOutput,
};
use crate::plan::{Estimate, Plan, Wanted};
use crate::posterior::{Posterior, check_map};
use crate::schedule::{Crew, Job, crew};
use crate::summary::Summary;

/// Finds all peaks of every time bin and, for each alpha, the mask of the region around the dominant peak.
///
/// `p` is `P[x, y, t]`, of shape `(n_x, n_y, n_t)`, in any memory order: C and Fortran order, an array `(t, x, y)` seen
/// through `permuted_axes`, reversed, stepped and broadcast views. It is read where it lies, and the order changes
/// nothing but the speed; time or a map axis that is contiguous is read fastest.
///
/// # Result
/// * [`Analysis::masks`]: for each alpha, in the order given, a C-order array of `p`'s shape. Repeated alphas have
///   masks of their own; without alphas there are no masks.
/// * [`Analysis::peaks`]: the peaks of all bins one after the other, with offsets. Coordinates `[x, y]` count cells
///   from 0; heights and prominences are in the unit of `p`, whatever it is (probability, density, its logarithm).
/// * [`Analysis::report`]: engines, instruction set, threads, adapter, and where the time went.
///
/// The [crate's documentation](crate#what-one-time-bin-yields) defines every number.
///
/// # Edge cases
/// * Ties for the maximum: the first cell in row-major order is the dominant one.
/// * Plateaus: every cell is a peak, with the prominence of its group.
/// * A bin with a NaN anywhere, and a constant bin: no peaks, empty masks; other bins are not touched by it.
/// * `n_t == 0`: a valid, empty result. A map of one cell is constant.
///
/// ```
/// use ndarray::{Array3, arr3};
/// use peakmask::{Error, Options, analyze};
///
/// let options = Options::new().alphas([0.5]);
/// // Three bins of a map of 2 x 3 cells: a tie, a NaN, a constant.
/// let p = arr3(&[
///     [[4.0, 1.0, 2.0], [1.0, 1.0, 2.0], [4.0, 1.0, 2.0]],
///     [[0.0, 2.0, 2.0], [0.0, f64::NAN, 2.0], [1.0, 4.0, 2.0]],
/// ]);
/// let analysis = analyze(p.view(), &options)?;
/// assert_eq!(analysis.peaks.offsets, [0, 2, 2, 2]);
/// assert_eq!(analysis.peaks.bin(0).coords, [[0, 0], [0, 2]]);
/// assert_eq!(analysis.peaks.bin(0).prominences, [3.0, 3.0]);
/// let inside: Vec<_> = analysis.masks[0]
///     .indexed_iter()
///     .filter_map(|(cell, &inside)| inside.then_some(cell))
///     .collect();
/// assert_eq!(inside, [(0, 0, 0)]); // the first of the two maxima, which do not touch
///
/// // The same bins with time as the first axis in memory.
/// let txy = p.view().permuted_axes([2, 0, 1]).as_standard_layout().into_owned();
/// assert_eq!(analyze(txy.view().permuted_axes([1, 2, 0]), &options)?.peaks, analysis.peaks);
///
/// // No bins are a result, no cells are an error.
/// let no_bins = Array3::<f64>::zeros((2, 3, 0));
/// assert_eq!(analyze(no_bins.view(), &options)?.peaks.offsets, [0]);
/// let no_cells = Array3::<f64>::zeros((0, 3, 5));
/// assert!(matches!(analyze(no_cells.view(), &options), Err(Error::EmptyMap { .. })));
/// # Ok::<(), Error>(())
/// ```
///
/// Whether the first axis is really `x` is not checked here, since a few arrays look like the other order and are
/// right: see [`check_axis_order`](crate::check_axis_order).
///
/// # Errors
/// Before anything is allocated: [`Error::EmptyMap`] when `n_x` or `n_y` is 0, [`Error::MapTooLarge`] when a map has 2^32 cells
/// or more, [`Error::Coverage`] when a coverage is no share of a whole, [`Error::InstructionSet`] when the processor lacks the
/// one asked for, [`Error::OverBudget`] when the [`estimate`] exceeds the memory limit. With
/// [`Backend::Gpu`](crate::Backend::Gpu), or a GPU that is required: [`Error::NoGpu`] when there is none, or one that cannot be
/// trusted; [`Error::Environment`] when a variable has a value that means nothing.
///
/// Later: [`Error::Nan`] with [`NanPolicy::Error`](crate::NanPolicy::Error), [`Error::GpuTooSmall`] and [`Error::GpuFailed`]
/// with [`Backend::Gpu`](crate::Backend::Gpu); [`Error::OverBudget`] when the peaks found cross the limit,
/// [`Error::OutOfMemory`], [`Error::Threads`], [`Error::Cancelled`], and [`Error::Worker`] for a defect in this crate.
///
/// # Panics
/// When the progress callback panics: the analysis is stopped, and the panic goes on.
pub fn analyze<T: Element>(p: ArrayView3<'_, T>, options: &Options) -> Result<Analysis<T>, Error> {
    let (n_x, n_y, _) = p.dim();
    Analyzer::closed([n_x, n_y], p.dim().2, options.clone())?.analyze(p)
}

/// Does what [`analyze`] does for several epochs at once, however short each of them is.
///
/// `epochs` are posteriors of the same maps, `(n_x, n_y, n_t)` each, of any numbers of time bins and in any memory orders, one
/// map for each of many arrays included. They are read where they lie, and fill tiles and batches together: thousands of
/// epochs of a few bins take about as long as one recording of as many bins. The results lie one epoch after the other, and
/// [`Epochs::epoch`] looks at those of one.
///
/// ```
/// use ndarray::Array3;
/// use peakmask::{Options, analyze, analyze_many};
///
/// // Three epochs of 4, 1 and 0 time bins.
/// let epochs = [4, 1, 0].map(|n_t| Array3::from_shape_fn((5, 7, n_t), |(x, y, t)| ((x * y + 3 * t) % 11) as f64));
/// let options = Options::new().alphas([0.5, 0.9]);
/// let results = analyze_many(&[epochs[0].view(), epochs[1].view(), epochs[2].view()], &options)?;
/// assert_eq!(results.len(), 3);
///
/// let (second, alone) = (results.epoch(1), analyze(epochs[1].view(), &options)?);
/// assert_eq!(second.mask(0), alone.masks[0]);
/// assert_eq!(second.bin(0), alone.peaks.bin(0));
/// assert_eq!(results.epoch(2).n_bins(), 0);
/// # Ok::<(), peakmask::Error>(())
/// ```
///
/// No epochs are an empty result.
///
/// # Errors
/// As [`analyze`], and [`Error::EpochShape`] when an epoch has other maps than the first.
///
/// # Panics
/// As [`analyze`].
pub fn analyze_many<T: Element>(
    epochs: &[ArrayView3<'_, T>],
    options: &Options,
) -> Result<Epochs<T>, Error> {
    let (n_x, n_y) = epochs.first().map_or((1, 1), |p| (p.dim().0, p.dim().1));
    let n_t = epochs.iter().map(|p| p.dim().2).sum();
    Analyzer::closed([n_x, n_y], n_t, options.clone())?.analyze_many(epochs)
}

/// Does what [`analyze`] does, into the caller's arrays, and so takes no memory for masks.
///
/// `masks` has one array for each alpha, in the same order, each of the shape of `p`, in any memory order; every
/// element is written, whatever was there. Arrays in which time is contiguous are written fastest. `peaks` is emptied
/// and filled again, and keeps its memory from call to call.
///
/// ```
/// use ndarray::Array3;
/// use peakmask::{Options, Peaks, analyze_into};
///
/// let options = Options::new().alphas([0.5]);
/// let mut half = Array3::from_elem((41, 63, 100), false);
/// let mut peaks = Peaks::new();
/// for epoch in 0..3 {
///     // A cone around a cell that moves on with every time bin.
///     let p = Array3::from_shape_fn((41, 63, 100), |(x, y, t)| {
///         1.0 / (1 + x.abs_diff((t + epoch) % 41) + y.abs_diff(t % 63)) as f64
///     });
///     let report = analyze_into(p.view(), &options, &mut [half.view_mut()], &mut peaks)?;
///     assert_eq!((report.bins, peaks.len()), (100, 100));
///     assert!(half[[epoch, 0, 0]] && half[[epoch + 1, 0, 0]] && !half[[epoch + 2, 0, 0]]);
/// }
/// # Ok::<(), peakmask::Error>(())
/// ```
///
/// Arrays larger than an epoch serve as well: hand over `mask.slice_mut(s![.., .., ..n_t])`.
///
/// # Errors
/// As [`analyze`], and before anything is written [`Error::OutputCount`] when there is not one mask for each alpha and
/// [`Error::OutputShape`] when one has another shape than `p`. The memory limit is compared with what this call
/// allocates: masks do not count.
///
/// On any error the masks hold valid but unspecified values. `peaks` is as it was if the call was refused at the start,
/// and empty if it failed later.
///
/// # Panics
/// As [`analyze`]; masks and `peaks` then hold valid but unspecified values.
pub fn analyze_into<T: Element>(
    p: ArrayView3<'_, T>,
    options: &Options,
    masks: &mut [ArrayViewMut3<'_, bool>],
    peaks: &mut Peaks<T>,
) -> Result<Report, Error> {
    let (n_x, n_y, n_t) = p.dim();
    let mut analyzer = Analyzer::closed([n_x, n_y], n_t, options.clone())?;
    if masks.len() != options.levels.len() {
        return Err(Error::OutputCount {
            alphas: options.levels.len(),
            outputs: masks.len(),
        });
    }
    let outputs = Outputs::new().masks(masks.iter_mut().map(|mask| mask.view_mut()));
    if options.no_peaks {
        let report = analyzer.run(p, outputs)?;
        peaks.clear();
        memory::taking(|| memory::resize(&mut peaks.offsets, n_t + 1, 0))?;
        return Ok(report);
    }
    analyzer.run(p, outputs.peaks(peaks))
}

/// What [`analyze`](crate::analyze) will allocate on the CPU for an input of this shape `[n_x, n_y, n_t]` and type.
///
/// A GPU's staging comes on top; it is cut to what is left of the memory limit.
///
/// ```
/// let options = peakmask::Options::new().alphas([0.5, 0.9]).threads(2);
/// let estimate = peakmask::estimate([41, 63, 100_000], peakmask::Dtype::F64, &options)?;
/// assert_eq!(estimate.mask_bytes, 2 * 41 * 63 * 100_000);
/// assert_eq!(estimate.bytes_per_peak, 32);
/// # Ok::<(), peakmask::Error>(())
/// ```
///
/// # Errors
/// [`Error::EmptyMap`] and [`Error::MapTooLarge`], as `analyze` would return.
pub fn estimate(shape: [usize; 3], dtype: Dtype, options: &Options) -> Result<Estimate, Error> {
    check_map(shape)?;
    let threads = options.threads.unwrap_or_else(cores);
    Ok(Plan::new(shape, dtype, options.wanted(), threads).estimate)
}

/// Analyses maps of one shape and type again and again, and keeps what that takes: worker threads, scratch, the memory limit, the
/// choice of instructions, and a GPU, once one has been opened.
///
/// [`run`](Self::run) takes any number of time bins. What it yields is what [`analyze`] would, to the bit, however the bins of
/// a recording are divided into calls. A call of little work, one or a few bins, runs on the calling thread; after the first
/// such call there are no allocations (for up to eight masks, as long as peaks and lists of cells have room), no new threads, no
/// file and no environment variable is read.
///
/// An analyzer is [`Send`], and a call borrows it exclusively: threads that analyse at the same time have an analyzer each, and may
/// share a GPU through a [`GpuContext`](crate::GpuContext).
///
/// ```
/// use ndarray::{Array3, s};
/// use peakmask::{Analyzer, Options, Outputs, Peaks};
///
/// // A decoder that hands over one time bin after another.
/// let p = Array3::from_shape_fn((41, 63, 50), |(x, y, t)| {
///     1.0 / (1 + x.abs_diff(20) + y.abs_diff(t)) as f64
/// });
/// let mut analyzer = Analyzer::new([41, 63], Options::new().alphas([0.5]).threads(1))?;
/// let mut inside = Array3::from_elem((41, 63, 1), false);
/// let mut peaks = Peaks::new();
/// for t in 0..50 {
///     let bin = p.slice(s![.., .., t..t + 1]);
///     analyzer.run(bin, Outputs::new().peaks(&mut peaks).mask(0, inside.view_mut()))?;
///     assert_eq!(peaks.bin(0).coords, [[20, t as i64]]);
///     assert!(inside[[20, t, 0]] && !inside[[30, t, 0]]);
/// }
/// # Ok::<(), peakmask::Error>(())
/// ```
pub struct Analyzer<T> {
    shape: [usize; 2],
    options: Options,
    threads: usize,
    limit: KeptLimit,
    crew: Box<dyn Crew<T> + Send>,
}

impl<T: Element> Analyzer<T> {
    /// An analyzer of maps of `[n_x, n_y]` cells. A GPU that the options require is opened here, and threads and scratch come with
    /// the first call that needs them.
    ///
    /// # Errors
    /// [`Error::EmptyMap`], [`Error::MapTooLarge`], [`Error::Coverage`], [`Error::InstructionSet`], [`Error::Environment`],
    /// [`Error::NoGpu`], as [`analyze`].
    pub fn new(shape: [usize; 2], options: Options) -> Result<Self, Error> {
        let mut analyzer = Self::closed(shape, 0, options)?;
        analyzer.crew.open(&analyzer.options)?;
        Ok(analyzer)
    }

    /// The same without a GPU, which then comes with the first call that needs it; `n_t` is for messages.
    fn closed([n_x, n_y]: [usize; 2], n_t: usize, options: Options) -> Result<Self, Error> {
        check_map([n_x, n_y, n_t])?;
        let share = options.levels.iter().find_map(|level| match *level {
            Level::Coverage(share) if !(share > 0.0 && share <= 1.0) => Some(share),
            _ => None,
        });
        if let Some(share) = share {
            return Err(Error::Coverage { share });
        }
        let best = InstructionSet::detect();
        let instruction_set = options.instruction_set.unwrap_or(best);
        if instruction_set > best {
            return Err(Error::InstructionSet {
                requested: instruction_set,
                best,
            });
        }
        Ok(Self {
            shape: [n_x, n_y],
            threads: options.threads.unwrap_or_else(cores),
            crew: crew(&options, instruction_set)?,
            options,
            limit: KeptLimit::recent(),
        })
    }

    /// The shape `[n_x, n_y]` of the maps.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The switch that stops the runs to come, in place of that of the options: one that has been used stays on.
    pub fn set_cancel_token(&mut self, token: CancelToken) {
        self.options.cancel = Some(token);
    }

    /// The memory limit of the runs to come, in place of that of the options; without one, what the machine and the process's
    /// control group have to spare.
    pub fn set_memory_limit(&mut self, bytes: Option<u64>) {
        self.options.memory_limit = bytes;
    }

    /// Where the animal was in each time bin of the next [`analyze`](Self::analyze) or [`analyze_many`](Self::analyze_many), in
    /// place of what [`Options::animal`] says; none, where nobody knows.
    pub fn set_animal(&mut self, animal: Option<(Vec<[f64; 2]>, f64)>) {
        self.options.animal = animal.map(|(positions, radius)| (positions.into(), radius));
    }

    /// Finds what [`analyze`] finds, with fresh outputs for all of it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn analyze(&mut self, p: ArrayView3<'_, T>) -> Result<Analysis<T>, Error> {
        let p = self.posterior(p)?;
        self.fresh(&p)
    }

    /// Finds what [`analyze_many`] finds.
    ///
    /// # Errors
    /// As [`run`](Self::run), with [`Error::EpochShape`] in place of [`Error::MapShape`].
    pub fn analyze_many(&mut self, epochs: &[ArrayView3<'_, T>]) -> Result<Epochs<T>, Error> {
        let p = Posterior::of_many(self.shape, epochs.iter().copied())?;
        let mut analysis = self.fresh(&p)?;
        let bins = || epochs.iter().map(|p| p.dim().2);
        if let Some(summary) = &mut analysis.summary {
            summary.part_epochs(bins());
        }
        Ok(Epochs::new(analysis, bins()))
    }

    /// Analyses all time bins of `p`, with fresh outputs for all of it.
    fn fresh(&mut self, p: &Posterior<'_, T>) -> Result<Analysis<T>, Error> {
        let [n_x, n_y, n_t] = p.shape();
        let levels = self.options.levels.len();
        let wanted = self.options.wanted();
        let plan = self.plan(p, wanted);
        let budget = self.budget(plan.estimate);
        let budget = budget.map_err(|error| self.with_advice(error, p.shape(), wanted))?;
        let (mut masks, mut packed, mut sparse) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..levels {
            match wanted.masks {
                MaskForm::Bytes => masks.push(columns::mask((n_x, n_y, n_t))?),
                MaskForm::Packed => packed.push(columns::mask((n_x, n_y, n_t.div_ceil(8)))?),
                MaskForm::Sparse => sparse.push(SparseMask::new()),
                MaskForm::None => {}
            }
        }
        let mut peaks = Peaks::new();
        let mut summary = wanted.summary.then(Summary::new);
        let animal = self.options.animal.clone();
        let mut outputs = Outputs::new();
        let booleans = masks
            .iter_mut()
            .map(|mask: &mut Array3<bool>| mask.view_mut());
        outputs = outputs.masks(booleans);
        for (level, mask) in packed.iter_mut().enumerate() {
            let mask: &mut Array3<u8> = mask;
            outputs = outputs.packed_mask(level, mask.view_mut());
        }
        for (level, mask) in sparse.iter_mut().enumerate() {
            outputs = outputs.sparse_mask(level, mask);
        }
        outputs.summary = summary.as_mut().map(|summary| SummaryOutput {
            summary,
            append: false,
        });
        if let Some((positions, radius)) = &animal {
            outputs = outputs.animal(positions, *radius);
        }
        if self.options.no_peaks {
            memory::taking(|| memory::resize(&mut peaks.offsets, n_t + 1, 0))?;
        } else {
            outputs = outputs.peaks(&mut peaks);
        }
        outputs.check(levels, p.shape())?;
        let report = self.fill(p, &plan, budget, outputs)?;
        columns::shrink(&mut peaks);
        sparse.iter_mut().for_each(SparseMask::shrink);
        let packed = packed.into_iter().map(|bits| PackedMask::new(bits, n_t));
        Ok(Analysis {
            masks,
            packed: (wanted.masks == MaskForm::Packed).then(|| packed.collect()),
            sparse: (wanted.masks == MaskForm::Sparse).then_some(sparse),
            summary,
            peaks,
            report,
        })
    }

    /// Adds to a refusal for want of memory what else would fit.
    fn with_advice(&self, error: Error, shape: [usize; 3], wanted: Wanted) -> Error {
        let Error::OverBudget {
            needed,
            limit,
            source_of_limit,
            peaks: None,
            ..
        } = error
        else {
            return error;
        };
        let forms = [MaskForm::Packed, MaskForm::Sparse, MaskForm::None];
        let others = forms.into_iter().filter(|&form| form != wanted.masks);
        let fits = others.map(|masks| {
            let summary = wanted.summary || masks == MaskForm::None;
            let other = Wanted {
                masks,
                summary,
                ..wanted
            };
            let plan = Plan::new(shape, T::DTYPE, other, self.threads);
            (masks, plan.estimate.total())
        });
        Error::OverBudget {
            needed,
            limit,
            source_of_limit,
            peaks: None,
            fits: { fits }.find(|&(_, bytes)| bytes <= limit),
        }
    }

    /// Analyses the time bins of `p`, of shape `(n_x, n_y, n_t)` in any memory order, into `outputs`.
    ///
    /// # Errors
    /// As [`analyze_into`], and [`Error::MapShape`] when the maps of `p` have another shape than the analyzer's. On any error
    /// masks hold valid but unspecified values, and peaks are as [`Outputs`] says: those to be appended to hold what they held,
    /// others are empty.
    ///
    /// # Panics
    /// When the progress callback panics: the analysis is stopped, and the panic goes on.
    pub fn run(&mut self, p: ArrayView3<'_, T>, outputs: Outputs<'_, T>) -> Result<Report, Error> {
        let p = self.posterior(p)?;
        self.run_over(&p, outputs)
    }

    /// Analyses the time bins of all `epochs`, each of shape `(n_x, n_y, n_t)` in any memory order, into `outputs`, which hold
    /// them one after the other: masks of shape `(n_x, n_y, sum of n_t)`. Epochs fill tiles and batches together, however short
    /// they are, and are read where they lie. A summary takes them for one recording: the last mask of each is compared with the
    /// first of the next.
    ///
    /// ```
    /// use ndarray::Array3;
    /// use peakmask::{Analyzer, Options, Outputs, Peaks};
    ///
    /// let epochs: Vec<_> = (1..4)
    ///     .map(|n_t| Array3::from_shape_fn((5, 7, n_t), |(x, y, t)| 1.0 / (1 + x.abs_diff(2) + y.abs_diff(t)) as f64))
    ///     .collect();
    /// let views: Vec<_> = epochs.iter().map(|p| p.view()).collect();
    /// let mut analyzer = Analyzer::new([5, 7], Options::new())?;
    /// let mut peaks = Peaks::new();
    /// analyzer.run_many(&views, Outputs::new().peaks(&mut peaks))?;
    /// assert_eq!(peaks.n_bins(), 1 + 2 + 3);
    /// assert_eq!(peaks.bin(1 + 2 + 2).coords, [[2, 2]]); // bin 2 of the last epoch
    /// # Ok::<(), peakmask::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run), with [`Error::EpochShape`] in place of [`Error::MapShape`].
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_many(
        &mut self,
        epochs: &[ArrayView3<'_, T>],
        outputs: Outputs<'_, T>,
    ) -> Result<Report, Error> {
        let p = Posterior::of_many(self.shape, epochs.iter().copied())?;
        self.run_over(&p, outputs)
    }

    fn run_over(&mut self, p: &Posterior<'_, T>, outputs: Outputs<'_, T>) -> Result<Report, Error> {
        outputs.check(self.options.levels.len(), p.shape())?;
        let wanted = Wanted {
            // What the caller brings is not counted; what grows is.
            masks: match outputs.sparse.is_empty() {
                true => MaskForm::None,
                false => MaskForm::Sparse,
            },
            summary: outputs.summary.is_some(),
            ..self.options.wanted()
        };
        let plan = self.plan(p, wanted);
        let budget = self.budget(plan.estimate)?;
        self.fill(p, &plan, budget, outputs)
    }

    /// Checks an input.
    fn posterior<'p>(&self, p: ArrayView3<'p, T>) -> Result<Posterior<'p, T>, Error> {
        let p = Posterior::new(p)?;
        let [n_x, n_y, _] = p.shape();
        if [n_x, n_y] != self.shape {
            return Err(Error::MapShape {
                expected: self.shape,
                found: [n_x, n_y],
            });
        }
        Ok(p)
    }

    fn plan(&self, p: &Posterior<'_, T>, wanted: Wanted) -> Plan {
        Plan::new(p.shape(), T::DTYPE, wanted, self.threads)
    }

    /// Compares an estimate with the memory limit.
    fn budget(&mut self, estimate: Estimate) -> Result<Budget, Error> {
        let Options {
            memory_limit,
            memory_guard,
            ..
        } = self.options;
        let limit = (self.limit).for_need(estimate.total(), memory_limit, memory_guard);
        Budget::new(estimate, limit, memory_guard)
    }

    fn fill(
        &mut self,
        p: &Posterior<'_, T>,
        plan: &Plan,
        budget: Budget,
        outputs: Outputs<'_, T>,
    ) -> Result<Report, Error> {
        let start = Instant::now();
        let [_, _, n_t] = p.shape();
        let Outputs {
            mut masks,
            peaks,
            sparse,
            summary,
            near,
        } = outputs;
        self.options.counted |= summary.is_some();
        // Alphas whose masks nobody wants are not computed.
        let wanted = |level: usize| {
            summary.is_some()
                || masks.iter().any(|mask| mask.alpha == level)
                || sparse.iter().any(|output| output.level == level)
        };
        let numbers: SmallVec<[usize; FEW]> = (0..self.options.levels.len())
            .filter(|&alpha| wanted(alpha))
            .collect();
        let levels: SmallVec<[Level; FEW]> = numbers
            .iter()
            .map(|&number| self.options.levels[number])
            .collect();
        let masks = masks.iter_mut().map(|mask| {
            let alpha = numbers.partition_point(|&number| number < mask.alpha);
            mask.of_alpha(alpha)
        });
        let sparse = sparse.into_iter().map(|output| SparseOutput {
            level: numbers.partition_point(|&number| number < output.level),
            ..output
        });
        let listed = peaks.is_some() && !self.options.no_peaks;
        let task = Task {
            levels: &levels,
            peaks: listed || summary.is_some(),
            measures: summary.is_some(),
            ..self.options.task()
        };
        let helper = self.crew.helper(p.shape(), plan, &self.options, task)?;
        let mut summary = Filling::open(summary, self.options.levels.len(), n_t)?;
        let mut nowhere = Peaks::without_bins();
        let (peaks, append) = match peaks {
            Some(PeaksOutput { peaks, append }) => (peaks, append),
            None => (&mut nowhere, true),
        };
        if !append {
            peaks.clear();
        }
        let (bins, mut offsets) = (peaks.offsets.len(), std::mem::take(&mut peaks.offsets));
        if listed {
            if offsets.try_reserve(n_t).is_err() {
                peaks.offsets = offsets;
                let bytes = 8 * n_t as u64;
                return Err(Error::OutOfMemory { bytes });
            }
            offsets.resize(bins + n_t, 0);
        }
        let lists = match Lists::open(sparse, n_t) {
            Ok(lists) => lists,
            Err(error) => {
                offsets.truncate(bins);
                peaks.offsets = offsets;
                return Err(error);
            }
        };
        let (part, seams) = summary.parts();
        let job = Job {
            p,
            task,
            listed,
            plan,
            options: &self.options,
            helper,
            budget,
            parts: Parts {
                masks: masks.collect(),
                offsets: &mut offsets[bins..],
                summary: part,
                near,
            },
            lists,
        };
        let result = self.crew.run(job, peaks, seams);
        peaks.offsets = offsets;
        let counted = summary.close(result.is_ok())?;
        match result {
            Ok(mut report) => {
                report.seconds.total = start.elapsed().as_secs_f64();
                if !listed {
                    report.peaks = counted.unwrap_or(0);
                }
                Ok(report)
            }
            Err(error) => {
                peaks.offsets.truncate(bins);
                Err(error)
            }
        }
    }
}

impl<T> std::fmt::Debug for Analyzer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analyzer")
            .field("shape", &self.shape)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The cores that this process may use, asked for once.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}
