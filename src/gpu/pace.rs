//! Pace: how fast a device has been, and so how much one submission may hold. Drivers reset a device that takes too long, and
//! nothing can be stopped meanwhile.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::plan::{GpuPlan, ITERATIONS};

/// How long the kernels of a submission may take.
const SUBMISSION: Duration = Duration::from_millis(300);

/// What the submissions so far have shown; the probe's are the first.
#[derive(Debug, Default)]
pub(super) struct Pace {
    shown: Mutex<Shown>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    /// Values of the batch that showed the next: the larger, the less of it are costs that do not grow.
    values: u64,
    /// Seconds for each value of a batch that left nothing pending.
    value: f64,
    /// Seconds for each iteration of a batch that used up all that it had.
    iteration: f64,
}

/// What a submission may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    /// Loop iterations of an invocation of a resumable kernel, in one dispatch.
    pub(super) iterations: u32,
    /// Dispatches of each resumable kernel.
    pub(super) dispatches: u32,
}

impl Budget {
    fn total(self) -> u64 {
        u64::from(self.iterations) * u64::from(self.dispatches)
    }
}

impl Pace {
    /// Takes note of the seconds that the kernels of a submission took.
    pub(super) fn note(&self, values: u64, budget: Budget, pending: bool, seconds: f64) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if pending {
            shown.iteration = seconds / budget.total() as f64;
        } else if values >= shown.values / 2 {
            shown.values = values;
            shown.value = seconds / values.max(1) as f64;
        }
    }

    /// The most bins of a batch, so that it takes no longer than a submission may.
    pub(super) fn bins(&self, plan: &GpuPlan) -> usize {
        let most = plan.lanes();
        let seconds = self.shown().value * plan.sizes.cells() as f64;
        match plan.submission.unwrap_or(SUBMISSION).as_secs_f64() / seconds {
            bins if bins < most as f64 => (bins as usize).max(1),
            _ => most,
        }
    }

    /// The plan's budget, or what of it a submission has time for.
    pub(super) fn budget(&self, plan: &GpuPlan) -> Budget {
        let planned = Budget {
            iterations: plan.iterations,
            dispatches: plan.dispatches,
        };
        let seconds = plan.submission.unwrap_or(SUBMISSION).as_secs_f64();
        let most = seconds / self.shown().iteration;
        if most.is_nan() || most >= planned.total() as f64 {
            return planned;
        }
        let most = (most as u64).max(1);
        let dispatches = most.div_ceil(u64::from(ITERATIONS));
        Budget {
            iterations: most.div_ceil(dispatches) as u32,
            dispatches: dispatches as u32,
        }
    }

    fn shown(&self) -> Shown {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;
    use crate::gpu::plan::Limits;
    use crate::options::Options;

    const CARD: Limits = Limits {
        binding: (1 << 31) - 1,
        groups: 65_535,
        device: None,
        host: None,
        shared: false,
        mapped: false,
        software: false,
    };

    fn plan(shape: [usize; 3]) -> GpuPlan {
        let options = Options::new().alphas([0.9, 0.5]);
        GpuPlan::new(shape, Dtype::F64, options.demand(), &CARD).expect("it fits")
    }

    const BUDGET: Budget = Budget {
        iterations: 1_000,
        dispatches: 3,
    };

    #[test]
    fn without_a_figure_the_plan_holds() {
        let (pace, plan) = (Pace::default(), plan([41, 63, 100_000]));
        assert_eq!(pace.bins(&plan), plan.lanes());
        assert_eq!(pace.budget(&plan).total(), u64::from(plan.iterations));
    }

    #[test]
    fn batches_are_as_large_as_a_submission_has_time_for() {
        let (pace, plan) = (Pace::default(), plan([41, 63, 100_000]));
        // A microsecond a value: 0.3 s are 116 bins of 2,583 cells.
        pace.note(100_000, BUDGET, false, 0.1);
        assert_eq!(pace.bins(&plan), 116);
        // What used up its budget says nothing about values, and a small batch nothing about large ones.
        pace.note(100_000, BUDGET, true, 100.0);
        pace.note(1_000, BUDGET, false, 100.0);
        assert_eq!(pace.bins(&plan), 116);
        // A larger one shows that most of it was no cost of values.
        pace.note(300_000, BUDGET, false, 0.1);
        assert_eq!(pace.bins(&plan), 348);
        pace.note(300_000, BUDGET, false, 1e6);
        assert_eq!(pace.bins(&plan), 1);
    }

    #[test]
    fn budgets_are_as_large_as_a_submission_has_time_for() {
        let (pace, plan) = (Pace::default(), plan([1024, 1024, 100]));
        let whole = pace.budget(&plan);
        assert_eq!(whole.total(), 16 * 4 * 1024 * 32);
        // Two microseconds an iteration: 150,000 of them.
        pace.note(1, BUDGET, true, 6e-3);
        let budget = pace.budget(&plan);
        assert_eq!((budget.iterations, budget.dispatches), (30_000, 5));
        pace.note(1, BUDGET, true, 6e6);
        assert_eq!(pace.budget(&plan).total(), 1);
        pace.note(1, BUDGET, true, 0.0);
        assert_eq!(pace.budget(&plan), whole);
    }
}
