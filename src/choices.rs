//! The choices that callers have, one by one, and what they watch a running analysis with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::names::names;

/// Which neighbours connect cells of a mask.
///
/// Peaks always compare all eight neighbours; this choice concerns masks alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Connectivity {
    /// The four cells that share an edge (the default).
    #[default]
    Four,
    /// The eight cells that share an edge or a corner.
    Eight,
}

names!(Connectivity as "the connectivity" { Four => "4", Eight => "8" });

/// How high a cell has to be to belong to a mask: a threshold for every time bin, and `>=` reaches it.
///
/// Kinds may be mixed in one analysis; each level has a mask of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Level {
    /// `alpha * height` of the bin's dominant peak: a product in `f64`, for `f32` input rounded once to `f32`. Any float is
    /// allowed, NaN, infinities, numbers below 0 and above 1 included.
    OfPeak(f64),
    /// The same value in every bin, in the unit of the input; for `f32` input rounded once to `f32`. Any float is allowed;
    /// nothing reaches NaN.
    Absolute(f64),
    /// The edge of the highest-density region (a credible region) that holds this share of the bin's total, above 0 and up to
    /// 1: the value at which the sum of the bin's values, taken from the highest down, reaches `share * total`; or the lowest
    /// value, if rounding keeps it below that.
    ///
    /// All sums are in `f64`, one addition after the other, the total in row-major order. Values need not add up to 1, but a
    /// region of them has a share only if none is negative: in a bin with a negative value, or whose total is zero, infinite or
    /// NaN, the mask is empty, and [`Report::uncovered_bins`](crate::Report::uncovered_bins) counts it. The GPU engine does not
    /// add floats, and declines this level.
    Coverage(f64),
}

/// An alpha as the number that it is; other kinds by name and number.
impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OfPeak(alpha) => write!(f, "{alpha}"),
            Self::Absolute(value) => write!(f, "absolute {value}"),
            Self::Coverage(share) => write!(f, "coverage {share}"),
        }
    }
}

/// Which cells that reach a level belong to its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Region {
    /// Those that are connected to the dominant cell through such cells, and in any case that cell itself (the default).
    #[default]
    Dominant,
    /// All of them, connected or not: none where nothing reaches the level, as with an alpha above 1 and a positive height.
    Whole,
}

names!(Region as "the region" { Dominant => "dominant", Whole => "whole" });

/// What a NaN among a bin's cells means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum NanPolicy {
    /// The whole bin is silent: no peaks, and empty masks (the default).
    #[default]
    Silence,
    /// The cell is absent, as one that lies off the track: it is no peak and in no mask, nobody's neighbour, and counts in no
    /// minimum, maximum or total. A bin is live when two cells that are present differ. A group of peaks without a neighbour
    /// that is present has the lowest value as its base.
    OffTrack,
    /// The analysis is refused, and the first NaN named ([`Error::Nan`](crate::Error::Nan)). To look for it takes a pass over
    /// the input.
    Error,
}

names!(NanPolicy as "the NaN policy" {
    Silence => "silence",
    OffTrack => "off_track",
    Error => "error",
});

/// Which prominence peaks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Prominence {
    /// That of the reference implementation: height minus the highest value on the rim of the peak's plateau (the default).
    #[default]
    Reference,
    /// Height minus the highest saddle on the way to higher ground, by eight neighbours; of the dominant peak, minus the
    /// lowest value. All cells of a plateau have the same one, those of a shoulder 0. Of separate summits of equal height the
    /// row-major first counts as the higher. The CPU engine alone computes it.
    Topographic,
    /// None: the column is NaN. The CPU engine alone leaves it out.
    None,
}

names!(Prominence as "the prominence" { Reference => "reference", Topographic => "topographic", None => "none" });

/// Which engine computes.
///
/// Every engine yields the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Backend {
    /// Whatever is there (the default).
    #[default]
    Auto,
    /// The processor's cores, or an error.
    Cpu,
    /// A GPU, or an error. Software that behaves like one serves too.
    Gpu,
}

names!(Backend as "the backend" { Auto => "auto", Cpu => "cpu", Gpu => "gpu" });

/// Whether [`Backend::Auto`] may, or has to, use a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum GpuUse {
    /// If there is one and the work is worth opening it (the default).
    #[default]
    WhereUseful,
    /// Never. [`Backend::Gpu`] is then an error.
    Off,
    /// Always: it is opened before anything else is done, and without one the analysis is an error.
    Require,
}

names!(GpuUse as "the use of a GPU" { WhereUseful => "where-useful", Off => "off", Require => "require" });

/// What happens when an analysis needs more memory than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MemoryGuard {
    /// Refuse, before anything is allocated, or as soon as the peaks found cross the limit (the default).
    #[default]
    Strict,
    /// Go on, and say so once through `log::warn!`.
    Warn,
    /// Do not look.
    Off,
}

names!(MemoryGuard as "what happens above the memory limit" { Strict => "error", Warn => "warn", Off => "ignore" });

/// How far an analysis has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Time bins completed.
    pub done: usize,
    /// Time bins in all.
    pub total: usize,
}

/// A switch that stops a running analysis from another thread, a signal handler or a progress callback.
///
/// Clones share the switch. A stopped analysis returns [`Error::Cancelled`](crate::Error::Cancelled).
///
/// ```
/// let token = peakmask::CancelToken::new();
/// token.clone().cancel();
/// assert!(token.is_cancelled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns the switch on, for good.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the switch is on.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What tells the caller how far an analysis has come.
pub(crate) type ProgressFn = Arc<dyn Fn(Progress) + Send + Sync>;
