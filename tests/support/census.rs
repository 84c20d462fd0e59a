//! What random bins turn out to hold.

use std::fmt;
use std::ops::AddAssign;

use ndarray::{Array2, ArrayView2};

use super::float::Float;
use crate::oracle::{BinAnswer, Cell, neighbours};

/// Counts of bins by what they hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Census {
    pub(crate) bins: usize,
    pub(crate) peaks: usize,
    /// Bins without a peak: constant, or with a NaN.
    pub(crate) silent: usize,
    /// Bins in which two peaks touch.
    pub(crate) plateaus: usize,
    /// Bins in which a peak touches a cell of equal value that is no peak.
    pub(crate) shoulders: usize,
    /// Bins with a mask that takes more than 64 steps to fill.
    pub(crate) long_floods: usize,
    /// Bins in which several cells hold the maximum.
    pub(crate) ties: usize,
}

impl Census {
    /// Counts one bin.
    pub(crate) fn of<T: Float>(z: ArrayView2<'_, T>, answer: &BinAnswer<T>, eight: bool) -> Self {
        let mut is_peak = Array2::from_elem(z.dim(), false);
        for &peak in &answer.peaks {
            is_peak[peak] = true;
        }
        let touches = |wanted: bool| {
            let equal = |c: &Cell| {
                neighbours(z.dim(), *c, true).any(|d| is_peak[d] == wanted && z[d] == z[*c])
            };
            usize::from(answer.peaks.iter().any(equal))
        };
        let highest = answer.peaks.iter().map(|&c| z[c]);
        let highest = highest.reduce(|a, b| if b > a { b } else { a });
        let dominant = answer.peaks.iter().find(|&&c| Some(z[c]) == highest);
        let depth = |mask| dominant.map_or(0, |&start| flood_depth(mask, start, eight));
        Self {
            bins: 1,
            peaks: answer.peaks.len(),
            silent: usize::from(answer.peaks.is_empty()),
            plateaus: touches(true),
            shoulders: touches(false),
            long_floods: usize::from(answer.masks.iter().any(|mask| depth(mask) > 64)),
            ties: usize::from(z.iter().filter(|&&v| Some(v) == highest).count() > 1),
        }
    }

    /// Fails unless the bins are as various as they have to be.
    pub(crate) fn assert_various(&self) {
        let at_least = |what: &str, count: usize, percent: usize| {
            assert!(
                100 * count >= percent * self.bins,
                "fewer than {percent} % of the bins hold {what}: {self}"
            );
        };
        at_least("plateaus of several cells", self.plateaus, 10);
        at_least("shoulders", self.shoulders, 5);
        at_least("floods longer than 64 steps", self.long_floods, 4);
        at_least("ties for the maximum", self.ties, 10);
        at_least("no peak", self.silent, 2);
        at_least("a peak", self.bins - self.silent, 50);
    }
}

impl AddAssign for Census {
    fn add_assign(&mut self, other: Self) {
        self.bins += other.bins;
        self.peaks += other.peaks;
        self.silent += other.silent;
        self.plateaus += other.plateaus;
        self.shoulders += other.shoulders;
        self.long_floods += other.long_floods;
        self.ties += other.ties;
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |count: usize| 100.0 * count as f64 / self.bins.max(1) as f64;
        write!(
            f,
            "{} bins, {} peaks; plateaus in {:.1} %, shoulders in {:.1} %, floods longer than 64 steps in {:.1} %, \
             ties for the maximum in {:.1} %, no peak in {:.1} %",
            self.bins,
            self.peaks,
            percent(self.plateaus),
            percent(self.shoulders),
            percent(self.long_floods),
            percent(self.ties),
            percent(self.silent)
        )
    }
}

/// The number of steps from `start` to the farthest cell of the mask.
fn flood_depth(mask: &Array2<bool>, start: Cell, eight: bool) -> usize {
    let mut left = mask.clone();
    left[start] = false;
    let mut front = vec![start];
    let mut depth = 0;
    loop {
        let mut next = Vec::new();
        for c in front {
            for d in neighbours(mask.dim(), c, eight) {
                if left[d] {
                    left[d] = false;
                    next.push(d);
                }
            }
        }
        if next.is_empty() {
            return depth;
        }
        depth += 1;
        front = next;
    }
}
