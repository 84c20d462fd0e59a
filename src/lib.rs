//! Peaks, prominences and dominant-peak masks of decoded position posteriors.
//!
//! A decoder that turns spikes into positions yields a posterior `P[x, y, t]`: one 2-D map for each time bin. For every
//! bin, [`analyze`] finds all peaks with their heights and prominences, and for each alpha the mask of the connected
//! region around the highest peak in which `P >= alpha * height`. The results are those of the reference implementation
//! in Python (see [Sources](#sources)), bit for bit, from every instruction set, any number of threads, any memory
//! layout, and any GPU.
//!
//! ```
//! use ndarray::Array3;
//! use peakmask::{Options, analyze};
//!
//! fn main() -> Result<(), peakmask::Error> {
//!     let maps: [[[f64; 5]; 3]; 2] = [
//!         [[1., 2., 1., 0., 0.], [2., 8., 2., 4., 1.], [1., 5., 1., 1., 6.]],
//!         [[0., 0., 0., 0., 0.], [0., 7., 7., 3., 0.], [0., 1., 0., 0., 0.]],
//!     ];
//!     let p = Array3::from_shape_fn((3, 5, 2), |(x, y, t)| maps[t][x][y]);
//!     let analysis = analyze(p.view(), &Options::new().alphas([0.5, 0.9]))?;
//!
//!     let bin = analysis.peaks.bin(0);
//!     assert_eq!(bin.coords, [[1, 1], [2, 4]]);
//!     assert_eq!(bin.heights, [8.0, 6.0]);
//!     assert_eq!(bin.prominences, [3.0, 2.0]); // 8 - 5 and 6 - 4
//!     assert_eq!(analysis.peaks.bin(1).coords, [[1, 1], [1, 2]]); // a plateau
//!
//!     let half = &analysis.masks[0]; // alpha 0.5, of the shape of P
//!     assert!(half[[1, 1, 0]] && half[[2, 1, 0]] && !half[[2, 4, 0]]);
//!     Ok(())
//! }
//! ```
//!
//! [`analyze_into`] does the same into arrays of the caller; [`estimate`] says how much memory an analysis will take;
//! [`GpuContext`] keeps a GPU open; [`check_axis_order`] recognises an array whose first axis is time. The command-line program `peakmask`, in a package
//! of its own, does all of this for `.npy` and `.npz` files, and draws pictures.
//!
//! # What one time bin yields
//!
//! `Z` is the map of one bin, of `f64` or `f32`. Bins know nothing of each other.
//!
//! 1. **Live bins.** A bin that holds a NaN anywhere, or the same value everywhere (0.0 and -0.0 are the same), has no
//!    peaks, and all its masks are empty. All other bins are live.
//! 2. **Peaks** are the cells above the minimum of `Z` that are at least as high as each of their neighbours: eight of
//!    them, fewer at the border. Every cell of a plateau is a peak of its own; a cell that touches a higher one is
//!    none, also if the rest of its plateau does not. Peaks are listed in row-major order of `(x, y)`.
//! 3. **Heights** are the values of `Z` at the peaks, to the bit: -0.0 stays -0.0.
//! 4. **Prominence** is *reference prominence*: height minus base, in the input's type. The base is the highest value
//!    among those neighbours of the peak's group that are no peaks; the group is the peak with all peaks that are
//!    connected to it (eight neighbours), which all have its height. So the base of a peak on its own is the highest of
//!    its neighbours. A plateau that touches a cell of equal height that is no peak (a shoulder) has prominence 0,
//!    which is always positive zero. A base of negative infinity, and a difference too large for the type, give
//!    positive infinity. Prominence is never NaN.
//! 5. **The dominant peak** is the first cell, in row-major order, that holds the maximum of `Z`.
//! 6. **Masks.** For each alpha, `threshold = alpha * height` of the dominant peak: a product in `f64`, for `f32` input
//!    rounded once to `f32`. The mask holds the dominant cell, always, and all cells with `Z >= threshold` that are
//!    connected to it through such cells, by four neighbours or by eight ([`Connectivity`]). Where the dominant cell
//!    itself does not reach the threshold, the mask is that one cell: alpha above 1 with a positive height, alpha
//!    below 1 with a negative one (a log posterior), a threshold that is NaN (alpha NaN, or zero times infinity).
//!
//! Values are compared, never rounded or flushed: subnormal numbers and infinities are values like any other.
//!
//! Reference prominence is a contrast with the immediate surroundings. It is **not** topographic prominence, the height
//! above the highest saddle on the way to higher ground: in the example above, the peak of height 6 stands 4 above its
//! saddle, and has a reference prominence of 2. The most prominent peak in this sense is often not the dominant one.
//!
//! # Memory
//!
//! Results take `n_alpha * n_x * n_y * n_t` bytes for masks, `8 * (n_t + 1)` for offsets and, for each peak, 32 bytes
//! (`f64`) or 24 (`f32`); scratch, for each thread, does not grow with `n_t`. No copy of the input is made. The sum is
//! compared with a limit before anything is allocated, and again whenever peaks are stored ([`MemoryGuard`],
//! [`MemoryLimit`]).
//!
//! # Engines
//!
//! [`Backend::Auto`], the default, puts all time bins on one queue. Threads of the processor, which belong to the call
//! (no global thread pool is used or changed), start at once; if the work is worth it, a GPU is opened beside them, and
//! draws batches from the far end as soon as it is ready. Nobody waits for it. [`Backend::Cpu`] and [`Backend::Gpu`] are
//! promises: that engine, or an error. [`Report`] says who did what, and why a GPU did not take part.
//!
//! **CPU.** The widest of AVX-512, AVX2 and the build's baseline is chosen at run time ([`InstructionSet`]). aarch64 takes
//! the same portable code as the baseline, and has not been tested.
//!
//! **GPU.** Vulkan, Metal or DirectX 12, through wgpu. Kernels hold no floating-point type: values are compared as
//! integers that order as they do, and the one product for each bin and alpha is an integer multiplication of bit
//! patterns, so `f64` is exact on devices that have none, and no driver's rounding or flushing can reach a result. A
//! device is used only if it analyses a known posterior as the CPU does. [`GpuContext`] keeps a device open between calls,
//! [`adapters`] lists what there is, and [`Options::adapter`] and [`Options::gpu`] choose, as do the environment variables
//! `PEAKMASK_ADAPTER` and `PEAKMASK_GPU`. Software that behaves like a GPU is exact too, but slower than the CPU engine: it
//! serves [`Backend::Gpu`], and [`Backend::Auto`] only when it is named. Maps of up to 2^24 cells are analysed, if a
//! device can hold one.
//!
//! The crate's feature `gpu` (default) can be switched off; [`Backend::Gpu`] is then an error that says so.
//!
//! # Sources
//!
//! The definition is what `PeakPromenence.compute_2d_dt_posterior_peak_promenences` of
//! [pyPhoPlaceCellAnalysis](https://github.com/CommanderPho/pyPhoPlaceCellAnalysis) (commit 0676630) computes bin by
//! bin with SciPy and scikit-image. Recorded results of that function, on posteriors of
//! real decoders, are part of the tests: masks, coordinates and heights are equal to the bit, prominences by value (the
//! reference leaves the sign of a zero open).

mod adapter;
mod analysis;
mod cpu;
mod element;
mod engine;
mod error;
mod expand;
mod findings;
#[cfg_attr(not(feature = "gpu"), path = "gpu_absent.rs")]
mod gpu;
mod memory;
mod names;
mod options;
mod outputs;
mod plan;
mod posterior;
mod schedule;
mod tuning;

pub use adapter::{Adapter, AdapterKind, Adapters, GpuContext, adapters};
pub use analysis::{Analysis, BinPeaks, Engines, GpuReport, GpuSeconds, Peaks, Report, Seconds};
pub use cpu::InstructionSet;
pub use element::{Dtype, Element};
pub use error::Error;
pub use memory::{LimitSource, MemoryLimit};
pub use options::{Backend, CancelToken, Connectivity, GpuUse, MemoryGuard, Options, Progress};
pub use plan::{Estimate, estimate};
pub use posterior::check_axis_order;
#[cfg(feature = "gpu-tuning")]
#[doc(hidden)]
pub use tuning::{GpuFault, GpuTuning};

use std::time::Instant;

use ndarray::{Array3, ArrayView3, ArrayViewMut3};

use cpu::Cpu;
use memory::Budget;
use plan::Plan;
use posterior::Posterior;
use schedule::Gpus;

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
/// right: see [`check_axis_order`].
///
/// # Errors
/// Before anything is allocated: [`Error::EmptyMap`] when `n_x` or `n_y` is 0, [`Error::MapTooLarge`] when a map has
/// 2^32 cells or more, [`Error::InstructionSet`] when the processor lacks the one asked for, [`Error::OverBudget`] when
/// the [`estimate`] exceeds the memory limit. With [`Backend::Gpu`], or a GPU that is required: [`Error::NoGpu`] when
/// there is none, or one that cannot be trusted; [`Error::Environment`] when a variable has a value that means nothing.
///
/// Later: [`Error::GpuTooSmall`] and [`Error::GpuFailed`] with [`Backend::Gpu`]; [`Error::OverBudget`] when the peaks found cross the limit, [`Error::OutOfMemory`], [`Error::Threads`],
/// [`Error::Cancelled`], and [`Error::Worker`] for a defect in this crate.
///
/// # Panics
/// When the progress callback panics: the analysis is stopped, and the panic goes on.
pub fn analyze<T: Element>(p: ArrayView3<'_, T>, options: &Options) -> Result<Analysis<T>, Error> {
    let shape = p.dim();
    let job = Job::new(p, options)?;
    let budget = Budget::new(job.plan.estimate, options)?;
    let mut masks: Vec<_> = options
        .alphas
        .iter()
        .map(|_| outputs::mask(shape))
        .collect::<Result<_, _>>()?;
    let mut peaks = Peaks::new();
    let mut views: Vec<_> = masks
        .iter_mut()
        .map(|mask: &mut Array3<bool>| mask.view_mut())
        .collect();
    let report = job.run(options, budget, &mut views, &mut peaks)?;
    outputs::shrink(&mut peaks);
    Ok(Analysis {
        masks,
        peaks,
        report,
    })
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
    let job = Job::new(p, options)?;
    if masks.len() != options.alphas.len() {
        return Err(Error::OutputCount {
            alphas: options.alphas.len(),
            outputs: masks.len(),
        });
    }
    for (index, mask) in masks.iter().enumerate() {
        let (n_x, n_y, n_t) = mask.dim();
        if [n_x, n_y, n_t] != job.p.shape() {
            return Err(Error::OutputShape {
                index,
                expected: job.p.shape(),
                found: [n_x, n_y, n_t],
            });
        }
    }
    let budget = Budget::new(job.plan.estimate.without_masks(), options)?;
    job.run(options, budget, masks, peaks)
}

/// A checked input and the plan for it.
struct Job<'a, T> {
    p: Posterior<'a, T>,
    plan: Plan,
    instruction_set: InstructionSet,
}

impl<'a, T: Element> Job<'a, T> {
    fn new(p: ArrayView3<'a, T>, options: &Options) -> Result<Self, Error> {
        let p = Posterior::new(p)?;
        let plan = Plan::new(p.shape(), T::DTYPE, options);
        let best = InstructionSet::detect();
        let instruction_set = options.instruction_set.unwrap_or(best);
        if instruction_set > best {
            return Err(Error::InstructionSet {
                requested: instruction_set,
                best,
            });
        }
        Ok(Self {
            p,
            plan,
            instruction_set,
        })
    }

    fn run(
        &self,
        options: &Options,
        budget: Budget,
        masks: &mut [ArrayViewMut3<'_, bool>],
        peaks: &mut Peaks<T>,
    ) -> Result<Report, Error> {
        let start = Instant::now();
        let (gpus, no_gpu) = self.gpus(options)?;
        peaks.clear();
        let [n_x, n_y, _] = self.p.shape();
        let engine = || Cpu::new(&self.plan.cpu, n_x, n_y, self.instruction_set);
        let job = schedule::Job {
            p: &self.p,
            options,
            plan: &self.plan,
            instruction_set: self.instruction_set,
            budget,
            gpus,
            no_gpu,
        };
        let mut result = schedule::run(job, masks, peaks, engine);
        match &mut result {
            // A GPU that was asked for has been opened before.
            Ok(report) => report.seconds.total = start.elapsed().as_secs_f64(),
            Err(_) => peaks.clear(),
        }
        result
    }
}

impl<T: Element> Job<'_, T> {
    /// The GPU that is to take part, open or being opened, or why there is none.
    fn gpus(&self, options: &Options) -> Result<(Gpus, Option<String>), Error> {
        if options.backend == Backend::Cpu {
            return Ok((Gpus::None, None));
        }
        let (gpu_use, who) = options.wanted_gpu()?;
        let required = options.backend == Backend::Gpu || gpu_use == GpuUse::Require;
        let none = match gpu_use {
            GpuUse::Off => Some(adapter::switched_off(who)),
            _ => gpu::ABSENT.map(str::to_owned),
        };
        if let Some(reason) = none {
            return if required {
                Err(Error::NoGpu { reason })
            } else {
                Ok((Gpus::None, Some(reason)))
            };
        }
        let adapter = options.wanted_adapter();
        let alone = options.backend == Backend::Gpu;
        // Software helps nobody, unless it is what was asked for.
        let software = alone || adapter.is_some();
        let variant = gpu::Variant::of(T::DTYPE, options);
        let kept = options
            .gpu_context
            .as_ref()
            .map(|kept| kept.context.clone());
        let named = adapter.is_some();
        let is_kept = kept.is_some();
        let open = move || match kept {
            Some(context) => Ok(context),
            None => gpu::Context::open(adapter.as_deref(), software).map(Into::into),
        };
        if required {
            // A promise: before anything else is done.
            let ready = open().and_then(|context| {
                let seconds = context.prepare::<T>(variant, schedule::finisher)?;
                Ok((context, seconds))
            });
            let (context, seconds) = ready.map_err(|reason| Error::NoGpu { reason })?;
            let gpus = if alone {
                Gpus::Only(context, seconds)
            } else {
                Gpus::Beside(context, seconds)
            };
            return Ok((gpus, None));
        }
        if let Some(kept) = &options.gpu_context
            && kept.context.is_ready(variant)
        {
            return Ok((Gpus::Beside(kept.context.clone(), 0.0), None));
        }
        let seconds = self.plan.seconds(self.p.shape());
        if !named && !is_kept && seconds < LEAST_SECONDS {
            let reason = format!(
                "the work is too little to open one for: about {seconds:.3} s on the CPU, less than {LEAST_SECONDS}"
            );
            return Ok((Gpus::None, Some(reason)));
        }
        Ok(
            match gpu::Opener::start::<T>(open, variant, schedule::finisher) {
                Ok(opener) => (Gpus::Opening(opener), None),
                Err(reason) => (Gpus::None, Some(reason)),
            },
        )
    }
}

/// Work on the CPU for which it does not pay to open a GPU.
const LEAST_SECONDS: f64 = 0.3;

/// The README's example, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
