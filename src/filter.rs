//! Filters: which of the peaks found are listed.

use std::ops::Range;

use crate::analysis::Peaks;
use crate::element::Element;

/// Which peaks to keep, bin by bin: a builder. Filters change lists, never masks.
///
/// Peaks that are too low or not prominent enough go first; then those too close to a better one; of what is left, the best
/// stay. The *better* of two peaks is the higher one, or, with [`most_prominent`](Self::most_prominent), the more prominent; of
/// equal ones the higher, then the row-major first.
///
/// ```
/// use peakmask::{Options, PeakFilter, Prominence, analyze};
///
/// let p = ndarray::arr3(&[[[0.0], [5.0], [2.0], [3.0], [1.0], [9.0], [0.0]]]);
/// let peaks = analyze(p.view(), &Options::new().prominence(Prominence::Topographic))?.peaks;
/// assert_eq!(peaks.prominences, [4.0, 1.0, 9.0]);
/// let kept = peaks.filtered(&PeakFilter::new().min_prominence(2.0));
/// assert_eq!(kept.coords, [[0, 1], [0, 5]]);
/// let kept = peaks.filtered(&PeakFilter::new().min_distance(3.0).highest(2));
/// assert_eq!(kept.coords, [[0, 1], [0, 5]]);
/// let kept = peaks.filtered(&PeakFilter::new().min_relative_height(0.6));
/// assert_eq!(kept.coords, [[0, 5]]);
/// # Ok::<(), peakmask::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PeakFilter {
    min_height: Option<f64>,
    min_relative_height: Option<f64>,
    min_prominence: Option<f64>,
    min_distance: Option<f64>,
    most: Option<usize>,
    by_prominence: bool,
}

impl PeakFilter {
    /// Keeps all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps peaks of this height or more, in the input's unit.
    #[must_use]
    pub fn min_height(mut self, height: f64) -> Self {
        self.min_height = Some(height);
        self
    }

    /// Keeps peaks that reach this fraction of the height of the bin's dominant peak: a product in `f64`, for `f32` rounded
    /// once, as for the levels of masks.
    #[must_use]
    pub fn min_relative_height(mut self, fraction: f64) -> Self {
        self.min_relative_height = Some(fraction);
        self
    }

    /// Keeps peaks of this prominence or more, of whichever kind they have; none, if they have none.
    #[must_use]
    pub fn min_prominence(mut self, prominence: f64) -> Self {
        self.min_prominence = Some(prominence);
        self
    }

    /// Keeps, from the best on, peaks that are this far or farther from all better ones that are kept: the Euclidean
    /// distance, in cells.
    #[must_use]
    pub fn min_distance(mut self, cells: f64) -> Self {
        self.min_distance = Some(cells);
        self
    }

    /// Keeps the `k` highest peaks of every bin.
    #[must_use]
    pub fn highest(mut self, k: usize) -> Self {
        (self.most, self.by_prominence) = (Some(k), false);
        self
    }

    /// Keeps the `k` most prominent peaks of every bin.
    #[must_use]
    pub fn most_prominent(mut self, k: usize) -> Self {
        (self.most, self.by_prominence) = (Some(k), true);
        self
    }
}

impl<T: Element> Peaks<T> {
    /// The peaks that a filter keeps, in the same order, with offsets of their own.
    pub fn filtered(&self, filter: &PeakFilter) -> Self {
        let rows = self.filtered_rows(filter);
        let kept = |bound: &i64| rows.partition_point(|&row| (row as i64) < *bound) as i64;
        Self {
            offsets: self.offsets.iter().map(kept).collect(),
            coords: rows.iter().map(|&row| self.coords[row]).collect(),
            prominences: rows.iter().map(|&row| self.prominences[row]).collect(),
            heights: rows.iter().map(|&row| self.heights[row]).collect(),
        }
    }

    /// Leaves only the peaks that a filter keeps: [`filtered`](Self::filtered), without a copy of the columns.
    ///
    /// ```
    /// use peakmask::{Options, PeakFilter, analyze};
    ///
    /// let p = ndarray::arr3(&[[[0.0], [5.0], [2.0], [3.0], [1.0], [9.0], [0.0]]]);
    /// let mut peaks = analyze(p.view(), &Options::new())?.peaks;
    /// peaks.retain(&PeakFilter::new().highest(1));
    /// assert_eq!((peaks.coords, peaks.offsets), (vec![[0, 5]], vec![0, 1]));
    /// # Ok::<(), peakmask::Error>(())
    /// ```
    pub fn retain(&mut self, filter: &PeakFilter) {
        let (mut of_bin, mut kept) = (Vec::new(), 0);
        let mut start = self.offsets.first().map_or(0, |&start| start as usize);
        for bin in 0..self.n_bins() {
            let end = self.offsets[bin + 1] as usize;
            self.keep(start..end, filter, &mut of_bin);
            self.offsets[bin] = kept as i64;
            for row in of_bin.drain(..) {
                self.coords[kept] = self.coords[row];
                self.prominences[kept] = self.prominences[row];
                self.heights[kept] = self.heights[row];
                kept += 1;
            }
            start = end;
        }
        if let Some(end) = self.offsets.last_mut() {
            *end = kept as i64;
        }
        self.coords.truncate(kept);
        self.prominences.truncate(kept);
        self.heights.truncate(kept);
    }

    /// The rows that a filter keeps, ascending.
    pub fn filtered_rows(&self, filter: &PeakFilter) -> Vec<usize> {
        let mut kept = Vec::new();
        for bin in 0..self.n_bins() {
            let rows = self.offsets[bin] as usize..self.offsets[bin + 1] as usize;
            self.keep(rows, filter, &mut kept);
        }
        kept
    }

    /// Appends those of the rows of a bin that a filter keeps.
    fn keep(&self, rows: Range<usize>, filter: &PeakFilter, kept: &mut Vec<usize>) {
        let start = kept.len();
        let highest = rows.clone().map(|row| self.heights[row]);
        let highest = highest.reduce(|a, b| if b > a { b } else { a });
        kept.extend(rows.filter(|&row| self.is_tall(row, highest, filter)));
        self.thin(kept, start, filter);
    }

    /// Whether a peak is high and prominent enough by itself.
    fn is_tall(&self, row: usize, highest: Option<T>, filter: &PeakFilter) -> bool {
        let (height, prominence) = (self.heights[row], self.prominences[row]);
        let reaches =
            |value: T, least: Option<f64>| least.is_none_or(|least| value.into() >= least);
        let relative = match (filter.min_relative_height, highest) {
            (Some(fraction), Some(highest)) => height >= T::threshold(fraction, highest),
            _ => true,
        };
        relative && reaches(height, filter.min_height) && reaches(prominence, filter.min_prominence)
    }

    /// Leaves of the rows from `start` on, which are of one bin, those that are far enough from better ones, and the best.
    fn thin(&self, kept: &mut Vec<usize>, start: usize, filter: &PeakFilter) {
        if filter.min_distance.is_none() && filter.most.is_none() {
            return;
        }
        let descending = |a: T, b: T| b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal);
        let rows = &mut kept[start..];
        rows.sort_by(|&a, &b| {
            let by_height = descending(self.heights[a], self.heights[b]);
            match filter.by_prominence {
                true => descending(self.prominences[a], self.prominences[b]).then(by_height),
                false => by_height,
            }
        });
        let most = filter.most.unwrap_or(usize::MAX);
        let mut best = start;
        for at in start..kept.len() {
            if best - start == most {
                break;
            }
            let row = kept[at];
            let far = |&other: &usize| {
                filter
                    .min_distance
                    .is_none_or(|least| self.distance(row, other) >= least)
            };
            if kept[start..best].iter().all(far) {
                kept[best] = row;
                best += 1;
            }
        }
        kept.truncate(best);
        kept[start..].sort_unstable();
    }

    fn distance(&self, a: usize, b: usize) -> f64 {
        let [(a_x, a_y), (b_x, b_y)] = [a, b].map(|row| (self.coords[row][0], self.coords[row][1]));
        let (x, y) = ((a_x - b_x) as f64, (a_y - b_y) as f64);
        (x * x + y * y).sqrt()
    }
}
