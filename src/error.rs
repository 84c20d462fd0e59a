//! The one error type: what was asked, what was found, what to change.

use std::fmt;

use crate::instruction_set::InstructionSet;
use crate::mask_form::MaskForm;

/// Why an analysis did not take place, or did not finish.
///
/// Whenever one of these is returned no [`Analysis`](crate::Analysis) exists, and output arrays given to
/// [`analyze_into`](crate::analyze_into) hold valid but unspecified values.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The maps have no cells.
    #[error(
        "a map needs at least one cell, but P[x, y, t] has shape ({n_x}, {n_y}, {n_t}); give an array whose first two axes are the position bins"
    )]
    EmptyMap {
        /// Length of the first axis.
        n_x: usize,
        /// Length of the second axis.
        n_y: usize,
        /// Length of the third axis.
        n_t: usize,
    },
    /// One map has more cells than a 32-bit index can name.
    #[error(
        "a map of {n_x} x {n_y} cells has more than 2^32 - 1 cells, the most that peakmask can index; split the map"
    )]
    MapTooLarge {
        /// Length of the first axis.
        n_x: usize,
        /// Length of the second axis.
        n_y: usize,
    },
    /// The maps have another shape than those that the analyzer was made for.
    #[error(
        "the analyzer is for maps of shape {expected:?}, but P[x, y, t] has maps of shape {found:?}; make an analyzer for each shape"
    )]
    MapShape {
        /// The shape `[n_x, n_y]` that the analyzer was made for.
        expected: [usize; 2],
        /// The input's.
        found: [usize; 2],
    },
    /// A cell holds a NaN, and the options say that none may ([`NanPolicy::Error`](crate::NanPolicy::Error)).
    #[error(
        "P[{x}, {y}, {t}] is NaN, the first of time bin {t}, and none is allowed; if NaN marks cells off the track, declare it so (NanPolicy::OffTrack), or let it silence its time bin (NanPolicy::Silence)"
    )]
    Nan {
        /// The cell's first coordinate.
        x: usize,
        /// The cell's second coordinate.
        y: usize,
        /// The first time bin that holds one.
        t: usize,
    },
    /// A coverage is no share of a whole.
    #[error(
        "a coverage has to be above 0 and at most 1, but {share} was asked for; give a fraction, not a percentage"
    )]
    Coverage {
        /// What was asked for.
        share: f64,
    },
    /// The maps of an epoch have another shape than those of the others.
    #[error(
        "epoch {epoch} has maps of shape {found:?}, but the others have maps of shape {expected:?}; analyse epochs of one shape at a time"
    )]
    EpochShape {
        /// Position of the epoch in the list.
        epoch: usize,
        /// The shape `[n_x, n_y]` of the first epoch's maps, or of those that the analyzer was made for.
        expected: [usize; 2],
        /// The epoch's.
        found: [usize; 2],
    },
    /// The number of output masks differs from the number of alphas.
    #[error(
        "{alphas} alphas were asked for, but {outputs} output masks were given; give one output mask for each alpha, in the same order"
    )]
    OutputCount {
        /// Number of alphas in the options.
        alphas: usize,
        /// Number of output arrays.
        outputs: usize,
    },
    /// An output mask does not have the shape of the input.
    #[error(
        "output mask {index} has shape {found:?}, but P[x, y, t] has shape {expected:?}; give a mask of the input's shape"
    )]
    OutputShape {
        /// Position of the mask in the list of outputs.
        index: usize,
        /// The input's shape.
        expected: [usize; 3],
        /// The output's shape.
        found: [usize; 3],
    },
    /// There is not one position of the animal for each time bin.
    #[error(
        "{found} positions of the animal were given for {expected} time bins; give one for each, NaN where it is not known"
    )]
    Positions {
        /// Time bins of the input.
        expected: usize,
        /// Positions given.
        found: usize,
    },
    /// A summary that is to be appended to holds time bins of another kind.
    #[error(
        "the summary holds time bins with {} levels and maps of {} cells, but those to be appended have {} levels and maps of {} cells; give another summary, or clear this one",
        found[0], found[1], expected[0], expected[1]
    )]
    SummaryShape {
        /// Levels, and cells of a map, of the time bins to be appended.
        expected: [usize; 2],
        /// Those of the summary.
        found: [usize; 2],
    },
    /// The analysis needs, or came to need, more memory than the limit.
    #[error(
        "the analysis needs {needed} bytes ({found_peaks}), but the memory limit is {limit} bytes ({source_of_limit}); {advice}analyse fewer time bins or fewer alphas at once, or raise the limit",
        advice = match fits {
            Some((MaskForm::None, bytes)) => format!("no masks, but a summary, would need {bytes} bytes, and fit; "),
            Some((form, bytes)) => format!("masks in the form {form} would need {bytes} bytes, and fit; "),
            None => String::new(),
        },
        found_peaks = match peaks { Some(n) => format!("{n} peaks found so far"), None => "estimated before the start".to_owned() }
    )]
    OverBudget {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
        /// Where the limit comes from.
        source_of_limit: LimitSource,
        /// `None` when the estimate alone exceeds the limit; else the number of peaks whose storage crossed it.
        peaks: Option<u64>,
        /// The form of masks that the limit has room for, and the bytes that it needs, where another was asked for; with
        /// [`MaskForm::None`], a summary is counted.
        fits: Option<(MaskForm, u64)>,
    },
    /// The operating system refused an allocation.
    #[error(
        "the operating system refused an allocation of {bytes} bytes; analyse fewer time bins or fewer alphas at once"
    )]
    OutOfMemory {
        /// Bytes asked for.
        bytes: u64,
    },
    /// Peaks were not found in this input.
    #[error(
        "the peaks are of {bins} time bins, or lie beyond the maps, but the input has the shape {shape:?}; pass the input that they were found in"
    )]
    ForeignPeaks {
        /// Time bins of the peaks.
        bins: usize,
        /// Shape `[n_x, n_y, n_t]` of the input.
        shape: [usize; 3],
    },
    /// A peak was not found in this input, or with another rule for NaN.
    #[error(
        "cell ({x}, {y}) of time bin {t} is listed as a peak, but is none of that height here; pass the input that the peaks were found in, and its rule for NaN"
    )]
    ForeignPeak {
        /// The cell's x.
        x: usize,
        /// The cell's y.
        y: usize,
        /// The time bin.
        t: usize,
    },
    /// The caller cancelled.
    #[error("cancelled after {done} of {total} time bins")]
    Cancelled {
        /// Time bins completed.
        done: usize,
        /// Time bins asked for.
        total: usize,
    },
    /// The requested instruction set does not exist on this processor.
    #[error(
        "the instruction set {requested} was asked for, but this processor offers at most {best}; leave the choice to peakmask"
    )]
    InstructionSet {
        /// What the options ask for.
        requested: InstructionSet,
        /// The widest set that this processor offers.
        best: InstructionSet,
    },
    /// The array looks like `(t, x, y)` passed as `(x, y, t)`; see [`check_axis_order`](crate::check_axis_order).
    #[error(
        "the array of shape {shape:?} looks like (t, x, y), not (x, y, t): {evidence}; declare the layout as txy, or, if it is (x, y, t), leave out the check"
    )]
    AxisOrder {
        /// The array's shape.
        shape: [usize; 3],
        /// What gives it away.
        evidence: String,
    },
    /// The array looks like `(t, x)` passed as `(x, t)`; see [`track`](crate::track).
    #[error(
        "the array of shape {shape:?} looks like (t, x), not (x, t): {evidence}; pass its transpose, p.t(), or, if it is (x, t), see it as maps of one column yourself, with p.insert_axis(Axis(1))"
    )]
    TrackOrder {
        /// The array's shape.
        shape: [usize; 2],
        /// What gives it away.
        evidence: String,
    },
    /// A name stands for nothing; see `FromStr` of [`Backend`](crate::Backend), [`Connectivity`](crate::Connectivity),
    /// [`GpuUse`](crate::GpuUse) and [`MemoryGuard`](crate::MemoryGuard).
    #[error("{what} can be {}, not {found:?}", allowed.join(", "))]
    Name {
        /// What was to be named.
        what: &'static str,
        /// What was found.
        found: String,
        /// What there is.
        allowed: &'static [&'static str],
    },
    /// An environment variable has a value that means nothing.
    #[error("the environment variable {variable} is {value:?}; it can be {allowed}")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// What was found.
        value: String,
        /// What it can be.
        allowed: &'static str,
    },
    /// A GPU was asked for, and there is none.
    #[error("a GPU was asked for, but {reason}; ask for the CPU, or let peakmask choose")]
    NoGpu {
        /// Why there is none, in wgpu's own words where it is a driver's matter.
        reason: String,
    },
    /// Not one time bin of so large a map fits the GPU.
    #[error(
        "the GPU {adapter} was asked for, but one time bin of {n_x} x {n_y} cells takes {needed} {what}, and there are {limit}; ask for the CPU, or let peakmask choose"
    )]
    GpuTooSmall {
        /// The adapter's name.
        adapter: String,
        /// Length of the first axis.
        n_x: usize,
        /// Length of the second axis.
        n_y: usize,
        /// What one bin needs.
        needed: u64,
        /// What there is.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// The GPU failed during the analysis.
    #[error(
        "the GPU {adapter} was asked for, but {reason}; ask for the CPU, or let peakmask choose"
    )]
    GpuFailed {
        /// The adapter's name.
        adapter: String,
        /// What failed, at which stage, and what the driver said.
        reason: String,
    },
    /// Worker threads could not be started.
    #[error("{threads} worker threads could not be started: {reason}; ask for fewer threads")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// The operating system's reason.
        reason: String,
    },
    /// A worker thread panicked: a defect in peakmask.
    #[error("a worker thread panicked ({message}); this is a defect in peakmask, please report it")]
    Worker {
        /// The panic's message.
        message: String,
    },
}

/// Where a memory limit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitSource {
    /// The caller gave it.
    Caller,
    /// Available physical memory.
    Physical,
    /// The limit of the process's control group, less what the group uses (page cache not counted).
    ControlGroup,
    /// The operating system did not tell.
    Unknown,
}

impl fmt::Display for LimitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "given by the caller",
            Self::Physical => "available physical memory",
            Self::ControlGroup => "limit of the process's control group",
            Self::Unknown => "unknown to the operating system",
        })
    }
}
