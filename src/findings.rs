//! Findings: what an engine returns for a batch of time bins, before any of it reaches the caller's arrays.

use std::fmt::Debug;

#[cfg(feature = "gpu")]
use rayon::prelude::*;

use crate::element::Element;
use crate::memory;
use crate::reduce::Rows;

/// Bytes that a thread copies in one piece.
#[cfg(feature = "gpu")]
const PIECE: usize = 1 << 20;

/// Filled cells by alpha, and the peaks of every bin with the two values that make a prominence.
#[derive(Debug)]
pub(crate) struct Findings<T> {
    /// `[alpha][cell][row_bytes]`: the cells of each mask, one bit for each bin, the first bin lowest.
    filled: Vec<u8>,
    /// The same where the engine has left them, in place of what is above.
    lent: Option<Box<dyn Lent>>,
    row_bytes: usize,
    /// Bins in which no share of the total can be told, if a level asks for one.
    pub(crate) uncovered: usize,
    /// The peaks of the batch.
    pub(crate) peaks: FoundPeaks<T>,
    /// What a summary needs of the values.
    pub(crate) measures: Measures<T>,
}

/// What the stages that have the values at hand tell of them, for a summary.
#[derive(Debug)]
pub(crate) struct Measures<T> {
    pub(crate) bins: Vec<BinMeasures<T>>,
    /// `[level][bin]`.
    pub(crate) levels: Vec<LevelMeasures<T>>,
}

/// The values of one time bin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BinMeasures<T> {
    /// The lowest; NaN where there is a NaN.
    pub(crate) minimum: T,
    /// One added to the other, in row-major order, from +0.0.
    pub(crate) total: f64,
}

/// The values of one time bin at one level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LevelMeasures<T> {
    /// What a cell has to reach; NaN where the bin is not live.
    pub(crate) threshold: T,
    /// Number of cells that reach it.
    pub(crate) reached: u32,
    /// Sum of the values in the mask, in the order of the total; of f64(x) * value and of f64(y) * value.
    pub(crate) mass: f64,
    pub(crate) moments: [f64; 2],
}

impl<T> Measures<T> {
    pub(crate) fn new() -> Self {
        Self {
            bins: Vec::new(),
            levels: Vec::new(),
        }
    }
}

impl<T: Element> Measures<T> {
    /// Makes room for so many time bins and levels; what was there is of no use.
    pub(crate) fn start(&mut self, bins: usize, levels: usize) {
        let bin = BinMeasures {
            minimum: T::NAN,
            total: f64::NAN,
        };
        memory::resize(&mut self.bins, bins, bin);
        let level = LevelMeasures {
            threshold: T::NAN,
            reached: 0,
            mass: 0.0,
            moments: [0.0; 2],
        };
        memory::resize(&mut self.levels, levels * bins, level);
    }

    /// Puts in those of bin number `bin` at level number `level`.
    pub(crate) fn put_level(&mut self, level: usize, bin: usize, values: LevelMeasures<T>) {
        self.levels[level * self.bins.len() + bin] = values;
    }

    /// The measures of level number `level`.
    pub(crate) fn of_level(&self, level: usize) -> &[LevelMeasures<T>] {
        &self.levels[level * self.bins.len()..][..self.bins.len()]
    }

    /// Puts in those of another piece, from time bin `at` on.
    #[cfg(feature = "gpu")]
    pub(crate) fn put(&mut self, at: usize, piece: &Self) {
        let (bins, others) = (self.bins.len(), piece.bins.len());
        self.bins[at..at + others].copy_from_slice(&piece.bins);
        let levels = self
            .levels
            .chunks_exact_mut(bins)
            .zip(piece.levels.chunks_exact(others));
        for (to, from) in levels {
            to[at..at + others].copy_from_slice(from);
        }
    }
}

/// Bits that an engine lends, until they are dropped.
pub(crate) trait Lent: AsRef<[u8]> + Debug + Send + Sync {}

/// The peaks of a batch, bin after bin, in row-major order of their cells.
#[derive(Debug)]
pub(crate) struct FoundPeaks<T> {
    /// Number of peaks of each bin.
    pub(crate) counts: Vec<u32>,
    /// Row-major cell of each peak.
    pub(crate) cells: Vec<u32>,
    /// Value of each peak.
    pub(crate) heights: Vec<T>,
    /// Highest value among the non-peak neighbours of the group of peak cells to which the peak belongs.
    pub(crate) bases: Vec<T>,
}

impl<T> FoundPeaks<T> {
    /// Room for `most` peaks, whose memory is touched only when it is written: lists that never move leave no holes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            counts: Vec::new(),
            cells: memory::room(most),
            heights: memory::room(most),
            bases: memory::room(most),
        }
    }

    /// Bytes in use.
    pub(crate) fn bytes(&self) -> usize {
        self.cells.len() * (size_of::<u32>() + 2 * size_of::<T>())
    }

    /// The same without room for more.
    pub(crate) fn shrunk(mut self) -> Self {
        self.counts.shrink_to_fit();
        self.cells.shrink_to_fit();
        self.heights.shrink_to_fit();
        self.bases.shrink_to_fit();
        self
    }

    pub(crate) fn clear(&mut self) {
        self.counts.clear();
        self.cells.clear();
        self.heights.clear();
        self.bases.clear();
    }
}

impl<T> Findings<T> {
    /// Findings with room for `most` peaks.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            filled: Vec::new(),
            lent: None,
            row_bytes: 0,
            uncovered: 0,
            peaks: FoundPeaks::new(most),
            measures: Measures::new(),
        }
    }

    /// Makes room for `planes` (alphas times cells) rows of `lanes` bits, none of them set, and forgets the peaks of the last
    /// batch.
    pub(crate) fn start(&mut self, lanes: usize, planes: usize) {
        self.lent = None;
        self.row_bytes = lanes.div_ceil(8);
        self.uncovered = 0;
        memory::resize(&mut self.filled, planes * self.row_bytes, 0);
        self.filled.fill(0);
        self.peaks.clear();
    }

    /// The bits of the mask of level number `level`, of maps of this shape.
    pub(crate) fn mask(&self, level: usize, shape: [usize; 2]) -> Rows<'_> {
        let plane = shape[0] * shape[1] * self.row_bytes;
        Rows {
            bits: &self.bits()[level * plane..(level + 1) * plane],
            bytes: self.row_bytes,
            shape,
        }
    }

    fn bits(&self) -> &[u8] {
        match &self.lent {
            Some(lent) => (**lent).as_ref(),
            None => &self.filled,
        }
    }

    /// The rows of the mask of alpha number `alpha`, cell by cell.
    pub(crate) fn rows(&self, alpha: usize, cells: usize) -> impl Iterator<Item = &[u8]> {
        let plane = cells * self.row_bytes;
        self.bits()[alpha * plane..(alpha + 1) * plane].chunks_exact(self.row_bytes)
    }

    /// The rows of the mask of alpha number `alpha`, from cell number `first` on, to be written by lane.
    pub(crate) fn rows_mut(
        &mut self,
        alpha: usize,
        cells: usize,
        first: usize,
    ) -> impl Iterator<Item = &mut [u8]> {
        let plane = cells * self.row_bytes;
        self.filled[alpha * plane..(alpha + 1) * plane][first * self.row_bytes..]
            .chunks_exact_mut(self.row_bytes)
    }
}

/// What the GPU engine needs: findings that stay where they lie, are completed by another engine, and are compared with its.
#[cfg(feature = "gpu")]
impl<T> Findings<T> {
    /// Rows of `lanes` bits that stay where they are, and no peaks yet.
    pub(crate) fn lend(&mut self, bits: Box<dyn Lent>, lanes: usize) {
        self.row_bytes = lanes.div_ceil(8);
        self.lent = Some(bits);
        self.peaks.clear();
    }

    /// Gives back what was lent.
    pub(crate) fn give_back(&mut self) {
        self.lent = None;
    }

    /// Takes over what was lent, on the threads of a pool, and gives it back.
    pub(crate) fn keep(&mut self, pool: &rayon::ThreadPool) {
        if let Some(lent) = self.lent.take() {
            let bits = (*lent).as_ref();
            memory::resize(&mut self.filled, bits.len(), 0);
            let pieces = self.filled.par_chunks_mut(PIECE);
            let copy = |(to, from): (&mut [u8], &[u8])| to.copy_from_slice(from);
            pool.install(|| pieces.zip(bits.par_chunks(PIECE)).for_each(copy));
        }
    }

    /// Puts the findings of another engine, which begin at its first lane, in place of those of `lanes`; there are
    /// `planes` rows of bits. The peaks are the same; their bases may not have been known.
    pub(crate) fn replace(
        &mut self,
        lanes: std::ops::Range<usize>,
        found: &Self,
        planes: usize,
    ) -> Result<(), &'static str>
    where
        T: Copy,
    {
        debug_assert!(self.lent.is_none(), "what is lent cannot be written");
        for plane in 0..planes {
            let from = &found.bits()[plane * found.row_bytes..];
            let to = &mut self.filled[plane * self.row_bytes..];
            for (i, lane) in lanes.clone().enumerate() {
                let bit = from[i / 8] >> (i % 8) & 1;
                to[lane / 8] = to[lane / 8] & !(1 << (lane % 8)) | bit << (lane % 8);
            }
        }
        let rows = self.peak_rows(lanes);
        let bases = &mut self.peaks.bases[rows];
        if bases.len() != found.peaks.bases.len() {
            return Err("the device and the CPU find different numbers of peaks");
        }
        bases.copy_from_slice(&found.peaks.bases);
        Ok(())
    }

    /// What differs, in these lanes, from another engine's findings, which begin at its first lane and end with the last of
    /// these; there are `planes` rows of bits.
    pub(crate) fn differs(
        &self,
        lanes: std::ops::Range<usize>,
        other: &Self,
        planes: usize,
    ) -> Option<&'static str>
    where
        T: Element,
    {
        let bit = |findings: &Self, plane: usize, lane: usize| {
            findings.bits()[plane * findings.row_bytes + lane / 8] >> (lane % 8) & 1
        };
        let masks = (0..planes).all(|plane| {
            let mut lanes = lanes.clone().enumerate();
            lanes.all(|(there, here)| bit(self, plane, here) == bit(other, plane, there))
        });
        if !masks {
            return Some("the masks");
        }
        let (here, there) = (&self.peaks, &other.peaks);
        let rows = self.peak_rows(lanes.clone());
        let bits = bytemuck::cast_slice::<T, u8>;
        if here.counts[lanes] != there.counts[..]
            || here.cells[rows.clone()] != there.cells[..]
            || bits(&here.heights[rows.clone()]) != bits(&there.heights)
        {
            return Some("the peaks");
        }
        // By value, and there is no NaN among them: the sign of a zero base is nobody's.
        (here.bases[rows] != there.bases[..]).then_some("the prominences")
    }

    /// The rows of the peaks of these lanes.
    fn peak_rows(&self, lanes: std::ops::Range<usize>) -> std::ops::Range<usize> {
        let rows = |lanes: &[u32]| lanes.iter().map(|&count| count as usize).sum::<usize>();
        let first = rows(&self.peaks.counts[..lanes.start]);
        first..first + rows(&self.peaks.counts[lanes])
    }
}
