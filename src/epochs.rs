//! What an analysis of several epochs yields: the results of all of them, one after the other, and views of those of each.

use std::ops::Range;

use ndarray::{ArrayView3, s};

use crate::analysis::{Analysis, BinPeaks};
use crate::element::Element;
use crate::summary::Summary;

/// The results of [`analyze_many`](crate::analyze_many): those of all epochs, one after the other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Epochs<T> {
    /// Masks and peaks of the time bins of all epochs, as if they were one recording.
    pub analysis: Analysis<T>,
    /// The time bins of epoch `i` are `bounds[i] .. bounds[i + 1]` of those of `analysis`: one number more than there are
    /// epochs.
    pub bounds: Vec<usize>,
}

/// The results of one epoch, where they lie among those of all.
#[derive(Debug, Clone)]
pub struct Epoch<'a, T> {
    analysis: &'a Analysis<T>,
    bins: Range<usize>,
}

impl<T> Epochs<T> {
    /// Results of epochs of these lengths.
    pub(crate) fn new(analysis: Analysis<T>, lengths: impl Iterator<Item = usize>) -> Self {
        let mut end = 0;
        let ends = lengths.map(|n_t| {
            end += n_t;
            end
        });
        let bounds = std::iter::once(0).chain(ends).collect();
        Self { analysis, bounds }
    }

    /// Number of epochs.
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Whether there is no epoch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The results of epoch number `epoch`.
    ///
    /// # Panics
    /// When `epoch >= len()`.
    pub fn epoch(&self, epoch: usize) -> Epoch<'_, T> {
        Epoch {
            analysis: &self.analysis,
            bins: self.bounds[epoch]..self.bounds[epoch + 1],
        }
    }

    /// The results of every epoch, in the order given.
    pub fn epochs(&self) -> impl ExactSizeIterator<Item = Epoch<'_, T>> {
        (0..self.len()).map(|epoch| self.epoch(epoch))
    }
}

impl<'a, T> Epoch<'a, T> {
    /// Number of time bins.
    pub fn n_bins(&self) -> usize {
        self.bins.len()
    }

    /// The time bins of the epoch among those of all: its rows of a summary, and its bins in the other forms of masks.
    pub fn range(&self) -> Range<usize> {
        self.bins.clone()
    }

    /// The mask of alpha number `alpha`, of the epoch's shape `(n_x, n_y, n_t)`.
    ///
    /// # Panics
    /// When there is no such mask.
    pub fn mask(&self, alpha: usize) -> ArrayView3<'a, bool> {
        self.analysis.masks[alpha].slice(s![.., .., self.bins.clone()])
    }

    /// The peaks of time bin `t` of the epoch.
    ///
    /// # Panics
    /// When `t >= n_bins()`.
    pub fn bin(&self, t: usize) -> BinPeaks<'a, T> {
        assert!(
            t < self.n_bins(),
            "the epoch has {} time bins",
            self.n_bins()
        );
        self.analysis.peaks.bin(self.bins.start + t)
    }

    /// The peaks of every time bin of the epoch, in order.
    pub fn bins(&self) -> impl ExactSizeIterator<Item = BinPeaks<'a, T>> + use<'a, T> {
        let peaks = &self.analysis.peaks;
        self.bins.clone().map(|t| peaks.bin(t))
    }
}

impl<T: Element> Epoch<'_, T> {
    /// The summary of the epoch's time bins, if one was asked for: a copy of its rows of that of all, which
    /// [`range`](Self::range) finds without one.
    ///
    /// ```
    /// use ndarray::Array3;
    /// use peakmask::{Options, analyze, analyze_many};
    ///
    /// let epochs = [4, 3].map(|n_t| Array3::from_shape_fn((5, 7, n_t), |(x, y, t)| ((x * y + 3 * t) % 11) as f64));
    /// let options = Options::new().alphas([0.5]).summary(true);
    /// let results = analyze_many(&[epochs[0].view(), epochs[1].view()], &options)?;
    ///
    /// let second = results.epoch(1).summary().expect("asked for");
    /// let alone = analyze(epochs[1].view(), &options)?.summary.expect("asked for");
    /// assert_eq!(second.area, alone.area);
    /// assert_eq!(second.sequentiality(0), alone.sequentiality(0));
    /// # Ok::<(), peakmask::Error>(())
    /// ```
    pub fn summary(&self) -> Option<Summary<T>> {
        let summary = self.analysis.summary.as_ref()?;
        Some(summary.copied(self.bins.clone()))
    }
}
