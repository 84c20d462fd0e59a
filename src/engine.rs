//! The ground floor: what an engine is asked for, what it answers, and how it is stopped. It knows no engine.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::ThreadPool;

use crate::analysis::Seconds;
use crate::choices::{CancelToken, Connectivity, Level, NanPolicy, Prominence, Region};
use crate::findings::{Findings, Measures};
use crate::posterior::Posterior;

/// Whether work should stop: the caller's token, or a failure.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    failed: AtomicBool,
    token: Option<CancelToken>,
}

impl Stop {
    /// Stops when the caller's token says so.
    pub(crate) fn new(token: Option<CancelToken>) -> Self {
        Self {
            token,
            ..Self::default()
        }
    }

    /// Has all work stop.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn requested(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
            || self.token.as_ref().is_some_and(CancelToken::is_cancelled)
    }
}

/// An engine: bins in, findings out. Holding one proves that it can run.
pub(crate) trait Engine<T> {
    /// Computes the findings of the bins of the call, or of the first of them if they hold so many peaks that the rest has to
    /// wait: the number of bins done.
    fn run(
        &mut self,
        call: &Call<'_, '_, T>,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Result<usize, Halt>;

    /// Whether engines of this kind can do what is asked, and if not, why: known before one exists.
    fn supports(_: Task<'_>) -> Result<(), &'static str>
    where
        Self: Sized,
    {
        Ok(())
    }

    /// The most levels of one call.
    fn levels(&self) -> usize;

    /// The most bins of one call that it looks at.
    fn bins(&self) -> usize {
        usize::MAX
    }

    /// Room for peaks that its findings begin with.
    fn peak_room(&self) -> usize {
        0
    }

    /// Threads that write its masks, if these are not for the worker alone to write.
    fn pool(&self) -> Option<&ThreadPool> {
        None
    }
}

/// An engine that has the values at hand, and adds them: what others leave to it.
pub(crate) trait Measuring<T>: Engine<T> {
    /// Measures the values of the bins of the call, whose masks, from bit `at` on, are in `found`.
    #[cfg_attr(
        not(feature = "gpu"),
        expect(dead_code, reason = "there is no engine that leaves values to others")
    )]
    fn measure(
        &mut self,
        call: &Call<'_, '_, T>,
        found: &Findings<T>,
        at: usize,
        measures: &mut Measures<T>,
    ) -> Result<(), Halt>;
}

/// Makes the engine that finishes what another leaves undone, and knows the right answers that another is probed with:
/// for an input of this shape, so many levels at a time, and this instruction set.
pub(crate) type Finisher<T> =
    fn([usize; 3], usize, crate::instruction_set::InstructionSet) -> Box<dyn Measuring<T> + Send>;

/// What an engine is asked for.
#[derive(Debug)]
pub(crate) struct Call<'a, 'p, T> {
    pub(crate) p: &'a Posterior<'p, T>,
    pub(crate) bins: Range<usize>,
    pub(crate) task: Task<'a>,
    pub(crate) stop: &'a Stop,
}

/// What to compute of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    /// Those of the masks that are wanted.
    pub(crate) levels: &'a [Level],
    pub(crate) connectivity: Connectivity,
    pub(crate) region: Region,
    pub(crate) nan_policy: NanPolicy,
    /// Whether peaks are listed.
    pub(crate) peaks: bool,
    /// Whether the values are measured for a summary.
    pub(crate) measures: bool,
    pub(crate) prominence: Prominence,
}

/// Why an engine did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It was stopped.
    Stopped,
    /// It cannot go on, for this reason.
    #[cfg_attr(
        not(any(feature = "gpu", test)),
        expect(dead_code, reason = "the CPU engine does not fail")
    )]
    Failed(String),
}
