//! Which peaks a result lists.

use clap::Args;
use peakmask::{Element, PeakFilter, Peaks};

/// Filters of the list of peaks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which peaks are listed (masks do not change)")]
pub(crate) struct ListArgs {
    /// Only peaks of this height or more, in the unit of P
    #[arg(long, value_name = "HEIGHT", allow_hyphen_values = true)]
    min_height: Option<f64>,

    /// Only peaks that reach this fraction of the height of their time bin's highest
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    min_relative_height: Option<f64>,

    /// Only peaks of this prominence or more, of the kind that --prominence says
    #[arg(long, value_name = "PROMINENCE")]
    min_prominence: Option<f64>,

    /// Only peaks that are this far, in cells, from every better one that is listed
    #[arg(long, value_name = "CELLS")]
    min_distance: Option<f64>,

    /// Of the peaks that are left, only the K highest of each time bin
    #[arg(long, value_name = "K", conflicts_with = "most_prominent")]
    highest: Option<usize>,

    /// Of the peaks that are left, only the K most prominent of each time bin
    #[arg(long, value_name = "K")]
    most_prominent: Option<usize>,
}

impl ListArgs {
    /// The peaks to be listed.
    pub(crate) fn of<T: Element>(&self, peaks: Peaks<T>) -> Peaks<T> {
        let filter = self.filter();
        match filter == PeakFilter::new() {
            true => peaks,
            false => peaks.filtered(&filter),
        }
    }

    fn filter(&self) -> PeakFilter {
        let set = |filter, value: Option<f64>, add: fn(PeakFilter, f64) -> PeakFilter| {
            value.into_iter().fold(filter, add)
        };
        let mut filter = set(PeakFilter::new(), self.min_height, PeakFilter::min_height);
        filter = set(
            filter,
            self.min_relative_height,
            PeakFilter::min_relative_height,
        );
        filter = set(filter, self.min_prominence, PeakFilter::min_prominence);
        filter = set(filter, self.min_distance, PeakFilter::min_distance);
        filter = self.highest.into_iter().fold(filter, PeakFilter::highest);
        let most_prominent = self.most_prominent.into_iter();
        most_prominent.fold(filter, PeakFilter::most_prominent)
    }
}
