//! Outputs: what the caller wants of an analysis, and findings into it. The only room that sees both the words of an engine and
//! the values of the caller.

mod lists;
mod summaries;

use ndarray::{ArrayViewMut1, ArrayViewMut2, ArrayViewMut3, Axis, Slice};
use rayon::ThreadPool;
use rayon::prelude::*;
use smallvec::SmallVec;

use crate::analysis::Peaks;
use crate::error::Error;
use crate::expand::{booleans, ends_soon, fence, pack};
use crate::findings::Findings;
use crate::masks::SparseMask;
use crate::summary::{Near, Summary, SummaryPart};
pub(crate) use lists::{Listing, Lists, write_lists};
pub(crate) use summaries::{Counting, Filling, write_summary};

/// Masks for which there is room without an allocation.
pub(crate) const FEW: usize = 8;

/// Rows between the one that is written and the one whose ends are asked for.
const AHEAD: isize = 8;

/// What an [`Analyzer`](crate::Analyzer) writes: masks as booleans or as bits, peaks, or any part of that.
///
/// What is not wanted is not computed either: the mask of an alpha that has no output here costs nothing, and neither do peaks.
///
/// ```
/// use ndarray::Array3;
/// use peakmask::{Analyzer, Options, Outputs, Peaks};
///
/// let p = Array3::from_shape_fn((5, 7, 20), |(x, y, t)| 1.0 / (1 + x.abs_diff(2) + y.abs_diff(t % 7)) as f64);
/// let mut analyzer = Analyzer::new([5, 7], Options::new().alphas([0.5, 0.9]))?;
/// let mut peaks = Peaks::new();
/// let mut half = Array3::from_elem((5, 7, 20), false);
/// let mut packed = Array3::zeros((5, 7, 20_usize.div_ceil(8)));
/// // The mask of alpha 0.5 as booleans and as bits; none of alpha 0.9.
/// let outputs = Outputs::new()
///     .peaks(&mut peaks)
///     .mask(0, half.view_mut())
///     .packed_mask(0, packed.view_mut());
/// analyzer.run(p.view(), outputs)?;
/// assert_eq!(peaks.len(), 20);
/// assert_eq!(packed[[2, 3, 1]] >> 2 & 1 != 0, half[[2, 3, 10]]);
/// # Ok::<(), peakmask::Error>(())
/// ```
#[derive(Debug)]
pub struct Outputs<'a, T> {
    pub(crate) masks: SmallVec<[MaskOutput<'a>; FEW]>,
    pub(crate) peaks: Option<PeaksOutput<'a, T>>,
    pub(crate) sparse: SmallVec<[SparseOutput<'a>; FEW]>,
    pub(crate) summary: Option<SummaryOutput<'a, T>>,
    pub(crate) near: Option<Near<'a>>,
}

/// Where the cells of one level's mask go.
#[derive(Debug)]
pub(crate) struct SparseOutput<'a> {
    /// Number of the level.
    pub(crate) level: usize,
    pub(crate) mask: &'a mut SparseMask,
    /// Whether its time bins follow those that are there.
    pub(crate) append: bool,
}

/// Where a summary goes.
#[derive(Debug)]
pub(crate) struct SummaryOutput<'a, T> {
    pub(crate) summary: &'a mut Summary<T>,
    /// Whether its time bins follow those that are there.
    pub(crate) append: bool,
}

/// Where peaks go.
#[derive(Debug)]
pub(crate) struct PeaksOutput<'a, T> {
    pub(crate) peaks: &'a mut Peaks<T>,
    /// Whether they are added to those that are there.
    pub(crate) append: bool,
}

/// An output of one alpha's mask, or a part of it.
#[derive(Debug)]
pub(crate) struct MaskOutput<'a> {
    /// Number of the alpha.
    pub(crate) alpha: usize,
    target: Target<'a>,
}

/// The forms of a mask.
#[derive(Debug)]
enum Target<'a> {
    /// `[x, y, t]`, a boolean for each time bin.
    Bytes(ArrayViewMut3<'a, bool>),
    /// `[x, y, t / 8]`, a bit for each time bin, the first bin lowest.
    Bits(ArrayViewMut3<'a, u8>),
}

impl<T> Default for Outputs<'_, T> {
    fn default() -> Self {
        Self {
            masks: SmallVec::new(),
            peaks: None,
            sparse: SmallVec::new(),
            summary: None,
            near: None,
        }
    }
}

impl<'a, T> Outputs<'a, T> {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// All peaks, in place of what `peaks` holds; its memory is kept.
    #[must_use]
    pub fn peaks(mut self, peaks: &'a mut Peaks<T>) -> Self {
        self.peaks = Some(PeaksOutput {
            peaks,
            append: false,
        });
        self
    }

    /// All peaks, behind those that `peaks` holds: for a recording that is fed in pieces.
    ///
    /// When the run fails, `peaks` holds what it held before.
    #[must_use]
    pub fn append_peaks(mut self, peaks: &'a mut Peaks<T>) -> Self {
        self.peaks = Some(PeaksOutput {
            peaks,
            append: true,
        });
        self
    }

    /// The mask of level number `level` as the cells of each time bin, in place of what `mask` holds; its memory is kept.
    #[must_use]
    pub fn sparse_mask(mut self, level: usize, mask: &'a mut SparseMask) -> Self {
        self.sparse.push(SparseOutput {
            level,
            mask,
            append: false,
        });
        self
    }

    /// The same, behind the time bins that `mask` holds. When the run fails, it holds what it held before.
    #[must_use]
    pub fn append_sparse_mask(mut self, level: usize, mask: &'a mut SparseMask) -> Self {
        self.sparse.push(SparseOutput {
            level,
            mask,
            append: true,
        });
        self
    }

    /// What every time bin and each of its masks comes to, in place of what `summary` holds; its memory is kept. No masks are made
    /// for it.
    #[must_use]
    pub fn summary(mut self, summary: &'a mut Summary<T>) -> Self {
        self.summary = Some(SummaryOutput {
            summary,
            append: false,
        });
        self
    }

    /// The same, behind the time bins that `summary` holds: for a recording that is fed in pieces. The masks of the first bin are
    /// compared with those of the last one before it.
    ///
    /// When the run fails, `summary` holds what it held before.
    #[must_use]
    pub fn append_summary(mut self, summary: &'a mut Summary<T>) -> Self {
        self.summary = Some(SummaryOutput {
            summary,
            append: true,
        });
        self
    }

    /// Where the animal was in each time bin, in cells along x and y, whole or not: the summary then has its distance to the
    /// dominant cell, and tells whether each mask holds a cell no further from it than `radius` cells. A position that is not
    /// finite is not known.
    #[must_use]
    pub fn animal(mut self, positions: &'a [[f64; 2]], radius: f64) -> Self {
        self.near = Some(Near { positions, radius });
        self
    }

    /// The mask of alpha number `alpha` as booleans, of the input's shape `(n_x, n_y, n_t)`, in any memory order. Every element
    /// is written. Arrays in which time is contiguous are written fastest.
    #[must_use]
    pub fn mask(mut self, alpha: usize, mask: ArrayViewMut3<'a, bool>) -> Self {
        let target = Target::Bytes(mask);
        self.masks.push(MaskOutput { alpha, target });
        self
    }

    /// The mask of alpha number `alpha` as bits: eight time bins a byte, the first one lowest, of shape
    /// `(n_x, n_y, n_t.div_ceil(8))`, in any memory order. Every byte is written; bits beyond the last bin are clear. NumPy makes
    /// the same of booleans with `numpy.packbits(mask, axis=-1, bitorder="little")`.
    #[must_use]
    pub fn packed_mask(mut self, alpha: usize, mask: ArrayViewMut3<'a, u8>) -> Self {
        let target = Target::Bits(mask);
        self.masks.push(MaskOutput { alpha, target });
        self
    }

    /// The masks of all alphas as booleans, in the order of the alphas.
    #[must_use]
    pub fn masks(self, masks: impl IntoIterator<Item = ArrayViewMut3<'a, bool>>) -> Self {
        masks
            .into_iter()
            .enumerate()
            .fold(self, |outputs, (alpha, mask)| outputs.mask(alpha, mask))
    }

    /// Refuses outputs of alphas that are not there, or of other shapes than an input of shape `[n_x, n_y, n_t]` has.
    pub(crate) fn check(&self, alphas: usize, shape: [usize; 3]) -> Result<(), Error> {
        for (index, output) in self.masks.iter().enumerate() {
            if output.alpha >= alphas {
                return Err(Error::OutputCount {
                    alphas,
                    outputs: output.alpha + 1,
                });
            }
            let [n_x, n_y, n_t] = shape;
            let (found, expected) = match &output.target {
                Target::Bytes(mask) => (mask.dim(), shape),
                Target::Bits(mask) => (mask.dim(), [n_x, n_y, n_t.div_ceil(8)]),
            };
            let found: [usize; 3] = found.into();
            if found != expected {
                return Err(Error::OutputShape {
                    index,
                    expected,
                    found,
                });
            }
        }
        if let Some(output) = self.sparse.iter().find(|output| output.level >= alphas) {
            return Err(Error::OutputCount {
                alphas,
                outputs: output.level + 1,
            });
        }
        if let Some(near) = &self.near
            && near.positions.len() != shape[2]
        {
            return Err(Error::Positions {
                expected: shape[2],
                found: near.positions.len(),
            });
        }
        if let Some(SummaryOutput {
            summary,
            append: true,
        }) = &self.summary
        {
            summary.check(alphas, shape)?;
        }
        Ok(())
    }
}

/// A batch's part of every output of masks, and of the offsets of peaks.
#[derive(Debug)]
pub(crate) struct Parts<'a, T> {
    pub(crate) masks: SmallVec<[MaskOutput<'a>; FEW]>,
    /// A row number for the end of each time bin; none where no peaks are wanted.
    pub(crate) offsets: &'a mut [i64],
    pub(crate) summary: Option<SummaryPart<'a, T>>,
    pub(crate) near: Option<Near<'a>>,
}

impl<T> Default for Parts<'_, T> {
    fn default() -> Self {
        Self {
            masks: SmallVec::new(),
            offsets: &mut [],
            summary: None,
            near: None,
        }
    }
}

impl<'a, T> Parts<'a, T> {
    /// Keeps the masks of the first `n` time bins, a multiple of eight, and the first `ends` offsets, and yields the others.
    pub(crate) fn split_off(&mut self, n: usize, ends: usize) -> Self {
        debug_assert_eq!(n % 8, 0, "a byte of bits has one writer");
        let (first, masks) = std::mem::take(&mut self.masks)
            .into_iter()
            .map(|mask| mask.split_at(n))
            .unzip();
        self.masks = first;
        let mut offsets = std::mem::take(&mut self.offsets);
        if !offsets.is_empty() {
            (self.offsets, offsets) = offsets.split_at_mut(ends);
        }
        let near = self.near.map(|near| near.of(n, near.positions.len() - n));
        Self {
            masks,
            offsets,
            summary: self.summary.as_mut().map(|part| part.split_off(n)),
            near,
        }
    }
}

impl MaskOutput<'_> {
    /// The same output, for a while, under another number of its alpha.
    pub(crate) fn of_alpha(&mut self, alpha: usize) -> MaskOutput<'_> {
        let target = match &mut self.target {
            Target::Bytes(mask) => Target::Bytes(mask.view_mut()),
            Target::Bits(mask) => Target::Bits(mask.view_mut()),
        };
        MaskOutput { alpha, target }
    }

    fn split_at(self, n: usize) -> (Self, Self) {
        let alpha = self.alpha;
        let part = |target| Self { alpha, target };
        match self.target {
            Target::Bytes(mask) => {
                let (first, others) = mask.split_at(Axis(2), n);
                (part(Target::Bytes(first)), part(Target::Bytes(others)))
            }
            Target::Bits(mask) => {
                let (first, others) = mask.split_at(Axis(2), n / 8);
                (part(Target::Bits(first)), part(Target::Bits(others)))
            }
        }
    }
}

/// Writes the masks of `bins` time bins, which are bins `at` and on of these parts, from findings about alphas `first` and on,
/// as many as there are `alphas`: on the threads of a pool, if there is one.
pub(crate) fn write_masks<T: Sync>(
    findings: &Findings<T>,
    parts: &mut Parts<'_, T>,
    at: usize,
    bins: usize,
    alphas: std::ops::Range<usize>,
    pool: Option<&ThreadPool>,
) {
    let wanted = |output: &&mut MaskOutput<'_>| alphas.contains(&output.alpha);
    for output in parts.masks.iter_mut().filter(wanted) {
        let alpha = output.alpha - alphas.start;
        match &mut output.target {
            Target::Bytes(mask) => {
                let mut mask = mask.slice_axis_mut(Axis(2), Slice::from(at..at + bins));
                if bins == 1 {
                    // A bin alone has no rows: to make one for each cell would take longer than the analysis.
                    let (n_x, n_y, _) = mask.dim();
                    for (out, bits) in mask.iter_mut().zip(findings.rows(alpha, n_x * n_y)) {
                        *out = bits[0] & 1 != 0;
                    }
                    continue;
                }
                map_rows(findings, alpha, mask, pool, |bits, row| {
                    booleans(bits, row);
                });
            }
            Target::Bits(mask) => {
                let bytes = Slice::from(at / 8..(at + bins).div_ceil(8));
                let mask = mask.slice_axis_mut(Axis(2), bytes);
                map_rows(findings, alpha, mask, pool, |bits, row| {
                    pack(bits, at % 8, bins, row);
                });
            }
        }
    }
}

/// Has `write` make a row of an output from a row of bits, for every cell of a map, map row by map row.
fn map_rows<T: Sync, A: Send + Sync>(
    findings: &Findings<T>,
    alpha: usize,
    mut mask: ArrayViewMut3<'_, A>,
    pool: Option<&ThreadPool>,
    write: impl Fn(&[u8], ArrayViewMut1<'_, A>) + Sync,
) {
    let (n_x, n_y, _) = mask.dim();
    let map_row = |(x, mut column): (usize, ArrayViewMut2<'_, A>)| {
        let bits = findings.rows(alpha, n_x * n_y).skip(x * n_y);
        let ahead = column.strides()[0].wrapping_mul(AHEAD);
        for (row, bits) in column.lanes_mut(Axis(1)).into_iter().zip(bits) {
            ends_soon(row.as_ptr().wrapping_offset(ahead), row.len());
            write(bits, row);
        }
        fence();
    };
    let columns = mask.axis_iter_mut(Axis(0));
    match pool {
        None => columns.enumerate().for_each(map_row),
        Some(pool) => pool.install(|| columns.into_par_iter().enumerate().for_each(map_row)),
    }
}
