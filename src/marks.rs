//! Marks: what an engine returns for a batch of time bins, before any of it reaches the caller's arrays.

/// Filled cells by alpha, and the peaks of every bin with the two values that make a prominence.
#[derive(Debug)]
pub(crate) struct Marks<T> {
    /// `[alpha][cell][row_bytes]`: the cells of each mask, one bit for each bin, the first bin lowest.
    filled: Vec<u8>,
    row_bytes: usize,
    /// The peaks of the batch.
    pub(crate) peaks: PeakMarks<T>,
}

/// The peaks of a batch, bin after bin, in row-major order of their cells.
#[derive(Debug)]
pub(crate) struct PeakMarks<T> {
    /// Number of peaks of each bin.
    pub(crate) counts: Vec<u32>,
    /// Row-major cell of each peak.
    pub(crate) cells: Vec<u32>,
    /// Value of each peak.
    pub(crate) heights: Vec<T>,
    /// Highest value among the non-peak neighbours of the group of peak cells to which the peak belongs.
    pub(crate) bases: Vec<T>,
}

impl<T> PeakMarks<T> {
    /// Room for `most` peaks, whose memory is touched only when it is written: lists that never move leave no holes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            counts: Vec::new(),
            cells: Vec::with_capacity(most),
            heights: Vec::with_capacity(most),
            bases: Vec::with_capacity(most),
        }
    }

    /// Bytes in use.
    pub(crate) fn bytes(&self) -> usize {
        self.cells.len() * (size_of::<u32>() + 2 * size_of::<T>())
    }

    pub(crate) fn clear(&mut self) {
        self.counts.clear();
        self.cells.clear();
        self.heights.clear();
        self.bases.clear();
    }
}

impl<T> Marks<T> {
    /// Marks with room for `most` peaks.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            filled: Vec::new(),
            row_bytes: 0,
            peaks: PeakMarks::new(most),
        }
    }

    /// Makes room for `planes` (alphas times cells) rows of `lanes` bits, and forgets the peaks of the last batch.
    pub(crate) fn start(&mut self, lanes: usize, planes: usize) {
        self.row_bytes = lanes.div_ceil(8);
        self.filled.resize(planes * self.row_bytes, 0);
        self.peaks.clear();
    }

    /// The rows of the mask of alpha number `alpha`, cell by cell.
    pub(crate) fn rows(&self, alpha: usize, cells: usize) -> impl Iterator<Item = &[u8]> {
        let plane = cells * self.row_bytes;
        self.filled[alpha * plane..(alpha + 1) * plane].chunks_exact(self.row_bytes)
    }

    /// The rows of the mask of alpha number `alpha`, to be written by lane.
    pub(crate) fn rows_mut(
        &mut self,
        alpha: usize,
        cells: usize,
    ) -> impl Iterator<Item = &mut [u8]> {
        let plane = cells * self.row_bytes;
        self.filled[alpha * plane..(alpha + 1) * plane].chunks_exact_mut(self.row_bytes)
    }
}
