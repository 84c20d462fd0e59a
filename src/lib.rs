//! Peaks, prominences and dominant-peak masks of decoded position posteriors.

mod analysis;
mod cpu;
mod element;
mod emit;
mod error;
mod marks;
mod memory;
mod options;
mod plan;
mod posterior;
mod schedule;

pub use analysis::{Analysis, BinPeaks, Peaks, Report, Seconds};
pub use cpu::InstructionSet;
pub use element::{Dtype, Element};
pub use error::Error;
pub use memory::{LimitSource, MemoryLimit};
pub use options::{Backend, CancelToken, Connectivity, MemoryGuard, Options, Progress};
pub use plan::{Estimate, estimate};
pub use posterior::check_axis_order;

use ndarray::{Array3, ArrayView3, ArrayViewMut3};

use memory::Budget;
use plan::Plan;
use posterior::Posterior;

/// Finds all peaks of every time bin and, for each alpha, the mask of the region around the dominant peak.
///
/// # Errors
/// See [`Error`].
pub fn analyze<T: Element>(p: ArrayView3<'_, T>, options: &Options) -> Result<Analysis<T>, Error> {
    let shape = p.dim();
    let job = Job::new(p, options)?;
    let budget = Budget::new(job.plan.estimate, options)?;
    let mut masks: Vec<_> = options
        .alphas
        .iter()
        .map(|_| emit::mask(shape))
        .collect::<Result<_, _>>()?;
    let mut peaks = Peaks::new();
    let mut views: Vec<_> = masks
        .iter_mut()
        .map(|mask: &mut Array3<bool>| mask.view_mut())
        .collect();
    let report = job.run(options, budget, &mut views, &mut peaks)?;
    emit::shrink(&mut peaks);
    Ok(Analysis {
        masks,
        peaks,
        report,
    })
}

/// [`analyze`], into the caller's arrays.
///
/// # Errors
/// See [`Error`].
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
        peaks.clear();
        let result = schedule::run(
            &self.p,
            options,
            &self.plan,
            self.instruction_set,
            budget,
            masks,
            peaks,
        );
        if result.is_err() {
            peaks.clear();
        }
        result
    }
}
