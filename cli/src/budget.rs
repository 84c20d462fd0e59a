//! How much memory an analysis needs, how much it may take, and how many time bins would fit.

use std::fmt;
use std::ops::Range;

use bytesize::ByteSize;
use peakmask::{Estimate, LimitSource, MaskForm, MemoryLimit, Options};

use crate::args::ListArgs;
use crate::failure::Failure;
use crate::input::Input;
use crate::lists::ListPlan;

/// A number of bytes in words, as in `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> impl fmt::Display {
    ByteSize::b(bytes).display().iec()
}

/// The user's limit, or else what can be spared now.
pub(crate) fn limit(asked: Option<u64>) -> MemoryLimit {
    match asked {
        Some(bytes) => MemoryLimit {
            bytes,
            source: LimitSource::Caller,
        },
        None => MemoryLimit::detect(),
    }
}

/// A limit in words, with its source.
pub(crate) fn limit_in_words(limit: MemoryLimit) -> String {
    match limit.source {
        LimitSource::Unknown => {
            "none (the operating system does not say what it can spare)".to_owned()
        }
        LimitSource::Caller => format!("{} (given by --memory-limit)", size(limit.bytes)),
        source => format!("{} ({source})", size(limit.bytes)),
    }
}

/// What the analysis of some time bins of an input allocates, a copy of the input included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) n_bins: usize,
    pub(crate) copy: u64,
    /// What a picture takes.
    pub(crate) picture: u64,
    pub(crate) estimate: Estimate,
    /// What columns beside those of peaks take, when the analysis has given its scratch back.
    pub(crate) lists: ListPlan,
}

impl Plan {
    pub(crate) fn new(
        input: &Input,
        n_bins: usize,
        options: &Options,
        panels: usize,
    ) -> Result<Self, Failure> {
        let [n_x, n_y, _] = input.shape();
        let estimate = peakmask::estimate([n_x, n_y, n_bins], input.dtype, options)
            .map_err(|error| input.array.unusable(error))?;
        Ok(Self {
            n_bins,
            copy: input.copy_bytes(n_bins),
            picture: picture_bytes(input, panels.min(n_bins), options.level_values().len()),
            estimate,
            lists: ListPlan::default(),
        })
    }

    pub(crate) fn total(&self) -> u64 {
        self.total_with(self.estimate.assumed_peaks)
    }

    /// The most that is there at a time, with a known number of peaks.
    fn total_with(&self, peaks: u64) -> u64 {
        let analysis = self.estimate.total_with(peaks);
        self.beside_analysis()
            .saturating_add(analysis.max(match self.lists.bytes(peaks) {
                0 => 0,
                bytes => self.result_bytes(peaks).saturating_add(bytes),
            }))
    }

    /// What an analysis leaves.
    fn result_bytes(&self, peaks: u64) -> u64 {
        let Estimate {
            mask_bytes,
            summary_bytes,
            bytes_per_peak,
            ..
        } = self.estimate;
        [
            summary_bytes,
            8 * self.n_bins as u64,
            bytes_per_peak.saturating_mul(peaks),
        ]
        .into_iter()
        .fold(mask_bytes, u64::saturating_add)
    }

    /// What is taken beside the analysis.
    pub(crate) fn beside_analysis(&self) -> u64 {
        self.copy.saturating_add(self.picture)
    }

    /// The total if every time bin has so many peaks, should that be more than assumed.
    fn total_with_density(&self, peaks_per_bin: f64) -> u64 {
        let peaks = (peaks_per_bin * self.n_bins as f64) as u64;
        self.total_with(peaks.max(self.estimate.assumed_peaks))
    }
}

/// What the maps and outlines of so many panels take: values as they are and as `f64`, and masks.
pub(crate) fn picture_bytes(input: &Input, panels: usize, alphas: usize) -> u64 {
    let [n_x, n_y, _] = input.shape();
    let cell = input.dtype.size() + size_of::<f64>() + alphas;
    [n_y, panels, cell]
        .iter()
        .fold(n_x as u64, |product, &n| product.saturating_mul(n as u64))
}

/// An input, what is asked of it, and the memory that it may take.
pub(crate) struct Budget<'a> {
    pub(crate) input: &'a Input,
    pub(crate) options: &'a Options,
    pub(crate) bins: Range<usize>,
    pub(crate) limit: MemoryLimit,
    /// Time bins that are drawn.
    pub(crate) panels: usize,
    /// The form of the masks; none where it cannot be another.
    pub(crate) form: Option<MaskForm>,
    /// What is written of every listed peak, and the most peaks that filters leave in a time bin.
    pub(crate) lists: Option<(&'a ListArgs, Option<usize>)>,
}

impl Budget<'_> {
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        self.plan_for(self.bins.len())
    }

    fn plan_for(&self, n_bins: usize) -> Result<Plan, Failure> {
        self.plan_with(n_bins, self.options)
    }

    fn plan_with(&self, n_bins: usize, options: &Options) -> Result<Plan, Failure> {
        let mut plan = Plan::new(self.input, n_bins, options, self.panels)?;
        if let Some((args, most)) = self.lists {
            let [n_x, n_y, _] = self.input.shape();
            let (shape, dtype) = ([n_x, n_y, n_bins], self.input.dtype);
            plan.lists = ListPlan::new(args, most, shape, dtype, options)
                .map_err(|error| self.input.array.unusable(error))?;
        }
        Ok(plan)
    }

    /// Refuses a plan that exceeds the limit; `peaks_per_bin` samples the input, for advice that holds.
    pub(crate) fn check(
        &self,
        plan: &Plan,
        peaks_per_bin: impl FnOnce() -> Result<f64, Failure>,
    ) -> Result<(), Failure> {
        if plan.total() <= self.limit.bytes {
            return Ok(());
        }
        let copy = match plan.copy {
            0 => String::new(),
            bytes => format!("; a copy of the input takes {}", size(bytes)),
        };
        let picture = match plan.picture {
            0 => String::new(),
            bytes => format!("; a picture takes {}", size(bytes)),
        };
        let lists = match plan.lists.bytes(plan.estimate.assumed_peaks) {
            0 => String::new(),
            bytes => format!(
                "; {} take {} beside results",
                plan.lists.names(),
                size(bytes)
            ),
        };
        Err(self.refusal(
            format!(
                "analysing {} time bins needs {} (masks and scratch {}, some {} peaks {}{lists}{copy}{picture})",
                self.bins.len(),
                size(plan.total()),
                size(plan.estimate.fixed_bytes),
                plan.estimate.assumed_peaks,
                size(
                    plan.estimate
                        .total()
                        .saturating_sub(plan.estimate.fixed_bytes)
                ),
            ),
            peaks_per_bin()?,
        ))
    }

    /// What to say when the library needs more than it may take; `peaks_per_bin` samples the input, when the number of
    /// peaks is what was underestimated.
    pub(crate) fn exceeded(
        &self,
        error: peakmask::Error,
        peaks_per_bin: impl FnOnce() -> Result<f64, Failure>,
    ) -> Failure {
        let n_bins = self.bins.len();
        match error {
            peakmask::Error::OverBudget { needed, peaks: Some(_), .. } => match peaks_per_bin() {
                Ok(density) => self.refusal(
                    format!(
                        "analysing {n_bins} time bins needs more than {}, since there are some {density:.0} peaks in each",
                        size(needed.saturating_add(self.input.copy_bytes(n_bins)))
                    ),
                    density,
                ),
                Err(failure) => failure,
            },
            peakmask::Error::OverBudget { needed, .. } => self.refusal(format!("analysing {n_bins} time bins needs {}", size(needed)), 0.0),
            peakmask::Error::OutOfMemory { bytes } => {
                self.refusal(format!("the operating system refused an allocation of {}", size(bytes)), 0.0)
            }
            other => Failure::of_part(other, self.bins.start),
        }
    }

    /// The first other form of masks that has room, as options name it, and what it needs.
    fn other_form(&self, peaks_per_bin: f64) -> Option<(&'static str, u64)> {
        let forms = [
            (MaskForm::Bytes, "--masks bytes"),
            (MaskForm::Packed, "--masks packed"),
            (MaskForm::Sparse, "--masks sparse"),
            (MaskForm::None, "--masks none and a --summary"),
        ];
        let own = self.form?;
        let smaller = forms.iter().skip_while(|&&(form, _)| form != own).skip(1);
        smaller.copied().find_map(|(form, option)| {
            let options = self.options.clone().masks(form);
            let options = match form {
                MaskForm::None => options.summary(true),
                _ => options,
            };
            let plan = self.plan_with(self.bins.len(), &options).ok()?;
            let bytes = plan.total_with_density(peaks_per_bin);
            (bytes <= self.limit.bytes).then_some((option, bytes))
        })
    }

    fn refusal(&self, need: String, peaks_per_bin: f64) -> Failure {
        let advice = match self.largest(peaks_per_bin) {
            0 => "not even one time bin fits; raise --memory-limit".to_owned(),
            n => format!(
                "analyse at most {n} time bins at once with --bins {}:{}, or raise --memory-limit",
                self.bins.start,
                self.bins.start + n
            ),
        };
        let form = match self.other_form(peaks_per_bin) {
            None => String::new(),
            Some((option, bytes)) => format!("with {option} it needs {}; else ", size(bytes)),
        };
        Failure::Memory(format!(
            "{need}, but the memory limit is {}; {form}{advice}",
            limit_in_words(self.limit)
        ))
    }

    /// The largest number of time bins that fits, fewer than all chosen ones. What a machine can spare is a little less the
    /// next time that it is asked.
    fn largest(&self, peaks_per_bin: f64) -> usize {
        let limit = match self.limit.source {
            LimitSource::Caller => self.limit.bytes,
            _ => self.limit.bytes - self.limit.bytes / 16,
        };
        most(self.bins.len().saturating_sub(1), |n_bins| {
            self.plan_for(n_bins)
                .is_ok_and(|plan| plan.total_with_density(peaks_per_bin) <= limit)
        })
    }

    /// The largest number of time bins that fits, all included.
    pub(crate) fn largest_of_all(&self) -> usize {
        most(self.bins.len(), |n_bins| {
            self.plan_for(n_bins)
                .is_ok_and(|plan| plan.total() <= self.limit.bytes)
        })
    }
}

/// The largest `n <= upper` that fits, given that everything smaller than what fits does too; 0 if nothing does.
fn most(upper: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut yes, mut no) = (0, upper.saturating_add(1));
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if fits(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    yes
}

#[cfg(test)]
mod tests {
    use super::most;

    #[test]
    fn the_largest_that_fits_is_found() {
        for upper in 0..40 {
            for limit in 0..45 {
                assert_eq!(
                    most(upper, |n| n <= limit),
                    upper.min(limit),
                    "{upper} {limit}"
                );
            }
        }
        assert_eq!(most(usize::MAX - 1, |n| n <= 1 << 40), 1 << 40);
    }
}
