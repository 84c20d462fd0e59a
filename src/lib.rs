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
//! [`analyze_into`] does the same into arrays of the caller; an [`Analyzer`] keeps threads, scratch and a GPU for call after
//! call, down to one time bin in microseconds; [`estimate`] says how much memory an analysis will take; [`GpuContext`] keeps
//! a GPU open for several of them; [`check_axis_order`] recognises an array whose first axis is time. The command-line program `peakmask`, in a package
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
//! [`Options::prominence`] chooses topographic prominence instead ([`Prominence::Topographic`]), and [`summits`] yields the
//! whole tree, with saddles, parents, and the land of every summit.
//!
//! # Other rules on demand
//!
//! [`Options::levels`] takes levels of other kinds than alphas, mixed as one likes: [`Level::Absolute`] is a threshold of
//! its own, [`Level::Coverage`] the edge of the highest-density region (credible region) that holds a share of the bin's
//! total. [`Options::region`] with [`Region::Whole`] keeps all cells at or above a threshold, connected or not; [`components`] counts
//! their parts.
//! [`Options::nan_policy`] says what a NaN means: with [`NanPolicy::OffTrack`] its cell is absent, with
//! [`NanPolicy::Error`] the input is refused. On bins without NaN the three are the same. All but `Coverage` run on a GPU
//! too; an engine that cannot do what is asked declines before it starts: [`Backend::Gpu`] is then an error,
//! [`Backend::Auto`] goes on without it, and the report says why.
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
mod analyzer;
mod bits;
mod choices;
mod columns;
mod components;
mod context;
mod coordinates;
mod cpu;
mod driver;
mod element;
mod engine;
mod epochs;
mod error;
mod expand;
mod filter;
mod findings;
mod gather;
#[cfg_attr(not(feature = "gpu"), path = "gpu_absent.rs")]
mod gpu;
mod gpus;
mod instruction_set;
mod locks;
mod maps;
mod mask_form;
mod masks;
mod memory;
mod names;
mod options;
mod outputs;
mod parts;
mod plan;
mod posterior;
mod queue;
mod reduce;
mod regions;
mod run;
mod saddles;
mod schedule;
mod seams;
mod summary;
mod summits;
mod terrain;
mod trial;
mod tuning;
mod vector;

pub use adapter::{Adapter, AdapterKind, Adapters};
pub use analysis::{Analysis, BinPeaks, Engines, GpuReport, GpuSeconds, Peaks, Report, Seconds};
pub use analyzer::{Analyzer, analyze, analyze_into, analyze_many, estimate};
pub use choices::{
    Backend, CancelToken, Connectivity, GpuUse, Level, MemoryGuard, NanPolicy, Progress,
    Prominence, Region,
};
pub use components::components;
pub use context::GpuContext;
pub use driver::{Trial, check_drivers};
pub use element::{Dtype, Element};
pub use epochs::{Epoch, Epochs};
pub use error::{Error, LimitSource};
pub use filter::PeakFilter;
pub use gpus::{adapters, before_exit};
pub use instruction_set::InstructionSet;
pub use maps::MapReader;
pub use mask_form::MaskForm;
pub use masks::{PackedMask, SparseMask};
pub use memory::MemoryLimit;
pub use options::Options;
pub use outputs::Outputs;
pub use plan::Estimate;
pub use posterior::{check_axis_order, track};
pub use regions::{Regions, estimate_regions, regions};
pub use saddles::{Saddles, estimate_saddles, saddles};
pub use summary::Summary;
pub use summits::{Summits, summits};
pub use trial::try_drivers;
#[cfg(feature = "gpu-tuning")]
#[doc(hidden)]
pub use tuning::{GpuFault, GpuTuning};

/// The README's example, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
