//! Summaries: what every time bin and each of its masks comes to, as columns.

use std::ops::Range;

use ndarray::{Array2, ShapeBuilder, s};

use crate::element::Element;
use crate::error::Error;
use crate::reduce::Rows;
use crate::seams::Seams;

/// Declares the columns of a summary: an entry for each time bin, or one for each level and time bin.
macro_rules! columns {
    (
        by bin { $($(#[$bin_doc:meta])* $bin:ident: $bin_type:ty = $no_bin:expr,)* }
        by level { $($(#[$level_doc:meta])* $level:ident: $level_type:ty = $no_level:expr,)* }
    ) => {
        /// What every time bin and each of its masks comes to: the numbers that callers would otherwise take from masks.
        ///
        /// Columns have an entry for each time bin, or are arrays `[level, bin]`, bin after bin in memory. Positions are cells
        /// `[x, y]`, counted from 0. Whatever is no number is the same NaN everywhere.
        ///
        /// Every number is the same to the bit from every engine, memory layout, batch and thread. Floating-point sums add one
        /// value after the other, in row-major order of cells, from +0.0, in `f64`.
        ///
        /// An analysis fills one through
        /// [`Outputs::summary`](crate::Outputs::summary), and makes no masks for it.
        ///
        /// ```
        /// use ndarray::{arr2, arr3};
        /// use peakmask::{Analyzer, Options, Outputs, Summary};
        ///
        /// // A row of five cells in two time bins.
        /// let p = arr3(&[[[0.0, 0.0], [4.0, 1.0], [8.0, 5.0], [1.0, 8.0], [5.0, 0.0]]]);
        /// let mut summary = Summary::new();
        /// Analyzer::new([1, 5], Options::new().alphas([0.5]))?
        ///     .run(p.view(), Outputs::new().summary(&mut summary))?;
        ///
        /// assert_eq!(summary.dominant, [[0, 2], [0, 3]]);
        /// assert_eq!(summary.peaks, [2, 1]);
        /// assert_eq!(summary.total, [18.0, 14.0]);
        /// assert_eq!(summary.threshold[[0, 0]], 4.0);
        /// assert_eq!(summary.area, arr2(&[[2, 2]])); // cells 1 and 2, then 2 and 3
        /// assert_eq!(summary.reached, arr2(&[[3, 2]])); // cell 4 is high enough, too
        /// assert_eq!(summary.mass, arr2(&[[12.0, 13.0]]));
        /// assert_eq!(summary.overlap, arr2(&[[1, -1]]));
        /// assert_eq!(summary.sequentiality(0), [2.0 / 4.0]); // cells 0 to 3, of which the next bin has 2 and 3
        /// # Ok::<(), peakmask::Error>(())
        /// ```
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct Summary<T> {
            $($(#[$bin_doc])* pub $bin: Vec<$bin_type>,)*
            $($(#[$level_doc])* pub $level: Array2<$level_type>,)*
            /// The masks of the last time bin, which those of the next to be appended overlap.
            pub(crate) seams: Seams,
        }

        impl<T> Default for Summary<T> {
            fn default() -> Self {
                Self {
                    $($bin: Vec::new(),)*
                    $($level: by_level(0, 0, Vec::new()),)*
                    seams: Seams::default(),
                }
            }
        }

        /// The rows of a range of time bins.
        #[derive(Debug)]
        pub(crate) struct SummaryPart<'a, T> {
            pub(crate) levels: usize,
            $(pub(crate) $bin: &'a mut [$bin_type],)*
            $(pub(crate) $level: &'a mut [$level_type],)*
        }

        impl<T: Element> Summary<T> {
            /// Makes room for time bins up to `bins`, those that are new with nothing in them.
            pub(crate) fn resize(&mut self, levels: usize, bins: usize) -> Result<(), Error> {
                $(resize(&mut self.$bin, bins, $no_bin)?;)*
                $(resize_by_level(&mut self.$level, levels, bins, $no_level)?;)*
                Ok(())
            }

            /// The rows from time bin `first` on.
            pub(crate) fn part(&mut self, first: usize) -> SummaryPart<'_, T> {
                let levels = self.levels();
                SummaryPart {
                    levels,
                    $($bin: &mut self.$bin[first..],)*
                    $($level: &mut rows(&mut self.$level)[first * levels..],)*
                }
            }
        }

        impl<T: Clone> Summary<T> {
            /// A copy of the rows of a range of time bins.
            pub(crate) fn copied(&self, bins: Range<usize>) -> Self {
                Self {
                    $($bin: self.$bin[bins.clone()].to_vec(),)*
                    $($level: copied(&self.$level, bins.clone()),)*
                    seams: Seams::default(),
                }
            }
        }

        impl<T> Summary<T> {
            /// Bytes of `bins` time bins.
            pub(crate) fn bytes(levels: usize, bins: usize) -> u64 {
                let bin = 0 $(+ size_of::<$bin_type>())*;
                let level = 0 $(+ size_of::<$level_type>())*;
                (level as u64)
                    .saturating_mul(levels as u64)
                    .saturating_add(bin as u64)
                    .saturating_mul(bins as u64)
            }

            /// Forgets all time bins, and keeps the memory.
            pub fn clear(&mut self) {
                $(self.$bin.clear();)*
                $(clear(&mut self.$level);)*
                self.seams.forget();
            }

            /// Forgets all time bins but the last `n`, and keeps the memory: for a recording of any length, whose rows are taken
            /// away piece by piece. What is appended next still follows the last time bin, and completes its overlaps; so keep
            /// one.
            pub fn keep_last(&mut self, n: usize) {
                let gone = self.n_bins().saturating_sub(n);
                $(self.$bin.drain(..gone);)*
                $(forget_first(&mut self.$level, gone);)*
            }
        }

        impl<'a, T> SummaryPart<'a, T> {
            /// Keeps the rows of the first `n` time bins, and yields the others.
            pub(crate) fn split_off(&mut self, n: usize) -> Self {
                let levels = self.levels;
                Self {
                    levels,
                    $($bin: split_off(&mut self.$bin, n),)*
                    $($level: split_off(&mut self.$level, n * levels),)*
                }
            }
        }
    };
}

columns! {
    by bin {
        /// Whether the bin has peaks and masks: it holds no NaN, and two values that differ.
        live: bool = false,
        /// Cell of the dominant peak; `[-1, -1]` where the bin is not live.
        dominant: [i64; 2] = [-1, -1],
        /// Height of the dominant peak; NaN where the bin is not live.
        height: T = T::NAN,
        /// Prominence of the dominant peak; NaN where the bin is not live.
        prominence: T = T::NAN,
        /// Highest prominence of a peak, not always the dominant one's; NaN where the bin is not live.
        highest_prominence: T = T::NAN,
        /// Number of peaks.
        peaks: i64 = 0,
        /// Lowest value, a zero as +0.0; NaN where the bin holds one, or has no cell on the track.
        minimum: T = T::NAN,
        /// Sum of all values.
        total: f64 = f64::NAN,
        /// Distance, in cells, from the animal's position to the dominant cell; NaN where either is missing.
        distance: f64 = f64::NAN,
    }
    by level {
        /// The value that cells of the mask reach; NaN where the bin is not live.
        threshold: T = T::NAN,
        /// Number of cells of the mask.
        area: i64 = 0,
        /// Number of cells that reach the threshold, wherever they are.
        reached: i64 = 0,
        /// Sum of the values in the mask.
        mass: f64 = 0.0,
        /// Sums of x and of y over the cells of the mask.
        sums: [i64; 2] = [0, 0],
        /// Centroid of the cells of the mask, weighted by their values: sums of f64(x) * value and of f64(y) * value, over the
        /// mass. NaN where the mask is empty.
        centroid: [f64; 2] = [f64::NAN, f64::NAN],
        /// Lowest x and lowest y of the mask; -1 where it is empty.
        first: [i64; 2] = [-1, -1],
        /// Highest x and highest y of the mask; -1 where it is empty.
        last: [i64; 2] = [-1, -1],
        /// Whether the mask holds a cell of the map's border; in a map that is one cell wide every cell is one.
        border: bool = false,
        /// Number of cells that are in the mask, and in that of the next time bin; -1 where there is none.
        overlap: i64 = -1,
        /// Number of cells that are in the mask or touch one of its cells (eight neighbours), and are in that of the next time
        /// bin; -1 where there is none.
        dilated_overlap: i64 = -1,
        /// Number of cells that are in the mask or touch one of its cells, or are in that of the next time bin; -1 where there
        /// is none.
        dilated_union: i64 = -1,
        /// Whether the mask holds a cell within the radius of the animal's position.
        near: bool = false,
    }
}

/// Where the animal was, and what is near it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Near<'a> {
    /// In cells, for each time bin.
    pub(crate) positions: &'a [[f64; 2]],
    /// In cells.
    pub(crate) radius: f64,
}

impl Near<'_> {
    /// The positions of `n` time bins from bin `first` on.
    pub(crate) fn of(self, first: usize, n: usize) -> Self {
        let positions = &self.positions[first..first + n];
        Self { positions, ..self }
    }

    /// The square of the distance from the position in a time bin to a cell.
    pub(crate) fn squared(self, bin: usize, cell: [usize; 2]) -> f64 {
        let [x, y] = self.positions[bin];
        if !(x.is_finite() && y.is_finite()) {
            return f64::NAN;
        }
        let (along_x, along_y) = (cell[0] as f64 - x, cell[1] as f64 - y);
        along_x * along_x + along_y * along_y
    }

    /// Whether a mask, one bit of each of these rows, holds a cell within the radius.
    pub(crate) fn meets(self, bin: usize, rows: Rows<'_>) -> bool {
        let [x, y] = self.positions[bin];
        let most = self.radius * self.radius;
        // A cell more than enough on both sides: what counts is the square.
        let reach = |at: f64, n: usize| {
            let first = (at - self.radius).max(1.0) as usize - 1;
            first.min(n)..((at + self.radius).max(-2.0) + 2.0).min(n as f64) as usize
        };
        let [n_x, n_y] = rows.shape;
        self.radius >= 0.0
            && reach(x, n_x).any(|i| {
                reach(y, n_y).any(|j| {
                    let row = &rows.bits[(i * n_y + j) * rows.bytes..];
                    row[bin / 8] >> (bin % 8) & 1 != 0 && self.squared(bin, [i, j]) <= most
                })
            })
    }
}

impl<T> SummaryPart<'_, T> {
    /// Writes the overlaps of a mask with the one that follows it: plain, after dilation, and the union after dilation.
    pub(crate) fn put_overlaps(&mut self, row: usize, [plain, dilated, union]: [i64; 3]) {
        self.overlap[row] = plain;
        self.dilated_overlap[row] = dilated;
        self.dilated_union[row] = union;
    }
}

impl<T> Summary<T> {
    /// No time bins: something to be filled through [`Outputs`](crate::Outputs).
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of time bins.
    pub fn n_bins(&self) -> usize {
        self.live.len()
    }

    /// Says of epochs of these numbers of time bins, one after the other, that none follows another.
    pub(crate) fn part_epochs(&mut self, bins: impl Iterator<Item = usize>) {
        let mut end = 0;
        for bins in bins.filter(|&bins| bins > 0) {
            end += bins;
            for level in 0..self.levels() {
                let last = [level, end - 1];
                self.overlap[last] = -1;
                self.dilated_overlap[last] = -1;
                self.dilated_union[last] = -1;
            }
        }
    }

    /// Refuses to append time bins with other levels or of other maps than those that are there.
    pub(crate) fn check(&self, levels: usize, [n_x, n_y, _]: [usize; 3]) -> Result<(), Error> {
        let cells = self.seams.cells().unwrap_or(n_x * n_y);
        if self.n_bins() > 0 && (self.levels(), cells) != (levels, n_x * n_y) {
            return Err(Error::SummaryShape {
                expected: [levels, n_x * n_y],
                found: [self.levels(), cells],
            });
        }
        Ok(())
    }

    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.area.nrows()
    }

    /// How alike the masks of consecutive time bins are at a level, an entry less than there are bins: the cells that are in the
    /// first mask, or touch one of its cells, and in the second, over those that are in either. 0 where either mask is empty.
    ///
    /// # Panics
    /// When there is no such level.
    pub fn sequentiality(&self, level: usize) -> Vec<f64> {
        assert!(level < self.levels(), "there are {} levels", self.levels());
        (1..self.n_bins())
            .map(|next| {
                let t = next - 1;
                match self.area[[level, t]] == 0 || self.area[[level, next]] == 0 {
                    true => 0.0,
                    false => {
                        self.dilated_overlap[[level, t]] as f64
                            / self.dilated_union[[level, t]] as f64
                    }
                }
            })
            .collect()
    }

    /// The way of the dominant peak from each time bin to the next, an entry less than there are bins: along x and y, in the unit
    /// of the coordinates `x` and `y` of the cells. NaN where either bin is not live.
    ///
    /// # Panics
    /// When a dominant peak lies beyond the coordinates.
    pub fn change_vectors(&self, x: &[f64], y: &[f64]) -> Vec<[f64; 2]> {
        let at = |t: usize| match self.live[t] {
            true => {
                let [i, j] = self.dominant[t];
                [x[i as usize], y[j as usize]]
            }
            false => [f64::NAN; 2],
        };
        (1..self.n_bins())
            .map(|next| {
                let ([x0, y0], [x1, y1]) = (at(next - 1), at(next));
                [x1 - x0, y1 - y0]
            })
            .collect()
    }

    /// The angle, from 0 to pi, between each change vector and the next, two entries less than there are bins. NaN where one of
    /// the three bins is not live, or a vector is shorter than 1e-9.
    ///
    /// # Panics
    /// As [`change_vectors`](Self::change_vectors).
    pub fn turn_angles(&self, x: &[f64], y: &[f64]) -> Vec<f64> {
        const SHORTEST: f64 = 1e-9;
        let vectors = self.change_vectors(x, y);
        let pairs = vectors.windows(2).map(|pair| {
            let [[ax, ay], [bx, by]] = [pair[0], pair[1]];
            let (a, b) = (ax.hypot(ay), bx.hypot(by));
            match a >= SHORTEST && b >= SHORTEST {
                true => ((ax * bx + ay * by) / (a * b)).clamp(-1.0, 1.0).acos(),
                false => f64::NAN,
            }
        });
        pairs.collect()
    }
}

/// Gives a column this length.
fn resize<C: Clone>(column: &mut Vec<C>, len: usize, nothing: C) -> Result<(), Error> {
    let more = len.saturating_sub(column.len());
    column.try_reserve(more).map_err(|_| Error::OutOfMemory {
        bytes: (len * size_of::<C>()) as u64,
    })?;
    column.resize(len, nothing);
    Ok(())
}

/// The same for a column `[level, bin]`.
fn resize_by_level<C: Clone + Copy>(
    column: &mut Array2<C>,
    levels: usize,
    bins: usize,
    nothing: C,
) -> Result<(), Error> {
    let mut values = std::mem::replace(column, by_level(0, 0, Vec::new()))
        .into_raw_vec_and_offset()
        .0;
    let result = resize(&mut values, levels * bins, nothing);
    let bins = match result {
        Ok(()) => bins,
        Err(_) => values.len() / levels.max(1),
    };
    *column = by_level(levels, bins, values);
    result
}

/// Takes all time bins out of a column.
fn clear<C>(column: &mut Array2<C>) {
    let mut values = std::mem::replace(column, by_level(0, 0, Vec::new()))
        .into_raw_vec_and_offset()
        .0;
    values.clear();
    *column = by_level(0, 0, values);
}

/// Takes the first time bins out of a column.
fn forget_first<C>(column: &mut Array2<C>, gone: usize) {
    let (levels, bins) = column.dim();
    let mut values = std::mem::replace(column, by_level(0, 0, Vec::new()))
        .into_raw_vec_and_offset()
        .0;
    values.drain(..gone * levels);
    *column = by_level(levels, bins - gone, values);
}

/// The same time bins of a column, bin after bin as well.
fn copied<C: Clone>(column: &Array2<C>, bins: Range<usize>) -> Array2<C> {
    let part = column.slice(s![.., bins]);
    by_level(
        part.nrows(),
        part.ncols(),
        part.t().iter().cloned().collect(),
    )
}

/// A column `[level, bin]` of values that lie bin after bin.
fn by_level<C>(levels: usize, bins: usize, values: Vec<C>) -> Array2<C> {
    Array2::from_shape_vec((levels, bins).f(), values)
        .unwrap_or_else(|_| unreachable!("a value for each level and bin"))
}

/// The values of a column `[level, bin]`, bin after bin.
fn rows<C>(column: &mut Array2<C>) -> &mut [C] {
    column.as_slice_memory_order_mut().unwrap_or_default()
}

/// Keeps the first `n` entries, and yields the others.
fn split_off<'a, C>(column: &mut &'a mut [C], n: usize) -> &'a mut [C] {
    let (kept, others) = std::mem::take(column).split_at_mut(n);
    *column = kept;
    others
}
