//! A checked view of the input: one array, or several one after the other. It and the loaders of both engines alone know its
//! memory order.

mod axis_order;

pub use axis_order::{check_axis_order, track};

use std::ops::Range;

use ndarray::ArrayView3;
use smallvec::SmallVec;

use crate::{Element, Error};

/// The axis along which neighbours lie closest in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fastest {
    X,
    Y,
    T,
}

/// An array of the caller's: time bins one after the other, in any memory order.
#[derive(Debug, Clone)]
pub(crate) struct Piece<'a, T> {
    view: ArrayView3<'a, T>,
    fastest: Fastest,
}

/// A posterior `P[x, y, t]` with at least one cell and no more cells than a `u32` can name: time bins of one array, or of
/// several, numbered through.
#[derive(Debug, Clone)]
pub(crate) struct Posterior<'a, T> {
    shape: [usize; 3],
    /// Those that hold time bins.
    pieces: SmallVec<[Piece<'a, T>; 1]>,
    /// The number of the first bin of each piece.
    starts: SmallVec<[usize; 1]>,
    /// Whether bins of some piece lie side by side in memory, and whether map rows, or columns, of some piece do.
    orders: [bool; 3],
}

/// Neighbouring bins of one piece.
#[derive(Debug)]
pub(crate) struct Segment<'p, 'a, T> {
    pub(crate) piece: &'p Piece<'a, T>,
    /// Numbers of the bins in the piece.
    pub(crate) bins: Range<usize>,
}

/// Segments one after the other.
#[derive(Debug)]
pub(crate) struct Segments<'p, 'a, T> {
    p: &'p Posterior<'a, T>,
    /// Number of the piece that comes next.
    piece: usize,
    bins: Range<usize>,
}

impl<'p, 'a, T> Iterator for Segments<'p, 'a, T> {
    type Item = Segment<'p, 'a, T>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.bins.is_empty() {
            return None;
        }
        let Posterior { pieces, starts, .. } = self.p;
        let (piece, start) = (&pieces[self.piece], starts[self.piece]);
        let end = self.bins.end.min(start + piece.n_bins());
        let bins = self.bins.start - start..end - start;
        self.bins.start = end;
        self.piece += 1;
        Some(Segment { piece, bins })
    }
}

impl<'a, T: Element> Posterior<'a, T> {
    /// One array.
    pub(crate) fn new(view: ArrayView3<'a, T>) -> Result<Self, Error> {
        let (n_x, n_y, _) = view.dim();
        Self::of_many([n_x, n_y], [view])
    }

    /// Several arrays of maps of this shape, one after the other.
    pub(crate) fn of_many(
        [n_x, n_y]: [usize; 2],
        views: impl IntoIterator<Item = ArrayView3<'a, T>>,
    ) -> Result<Self, Error> {
        let mut p = Self {
            shape: [n_x, n_y, 0],
            pieces: SmallVec::new(),
            starts: SmallVec::new(),
            orders: [false; 3],
        };
        for (epoch, view) in views.into_iter().enumerate() {
            let (found_x, found_y, n_t) = view.dim();
            if [found_x, found_y] != [n_x, n_y] {
                return Err(Error::EpochShape {
                    epoch,
                    expected: [n_x, n_y],
                    found: [found_x, found_y],
                });
            }
            if n_t > 0 {
                let piece = Piece::new(view);
                p.orders[piece.fastest as usize] = true;
                p.pieces.push(piece);
                p.starts.push(p.shape[2]);
                p.shape[2] += n_t;
            }
        }
        check_map(p.shape)?;
        Ok(p)
    }

    #[inline(always)]
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Whether some piece has this order in memory.
    #[inline(always)]
    pub(crate) fn has(&self, fastest: Fastest) -> bool {
        self.orders[fastest as usize]
    }

    /// The first NaN of these bins, as `[x, y, t]`: in the earliest bin that holds one the first cell in row-major order.
    pub(crate) fn first_nan(&self, bins: Range<usize>) -> Option<[usize; 3]> {
        let mut start = bins.start;
        self.segments(bins).find_map(|Segment { piece, bins }| {
            let first = start;
            start += bins.len();
            let [x, y, t] = piece.first_nan(bins.clone())?;
            Some([x, y, first + t - bins.start])
        })
    }

    /// The time bins `bins`, piece by piece.
    #[inline(always)]
    pub(crate) fn segments(&self, bins: Range<usize>) -> Segments<'_, 'a, T> {
        let piece = match self.starts.len() {
            0 | 1 => 0,
            _ => self.starts.partition_point(|&start| start <= bins.start) - 1,
        };
        Segments {
            p: self,
            piece,
            bins,
        }
    }
}

impl<'a, T> Piece<'a, T> {
    fn new(view: ArrayView3<'a, T>) -> Self {
        // An axis of length one has no neighbours; of equal strides (broadcast axes have stride 0) time goes first.
        let stride = |axis: usize| {
            if view.shape()[axis] > 1 {
                view.strides()[axis].unsigned_abs().max(1)
            } else {
                usize::MAX
            }
        };
        let (x, y, t) = (stride(0), stride(1), stride(2));
        let fastest = if t <= x.min(y) {
            Fastest::T
        } else if y <= x {
            Fastest::Y
        } else {
            Fastest::X
        };
        Self { view, fastest }
    }

    #[inline(always)]
    fn n_bins(&self) -> usize {
        self.view.shape()[2]
    }

    #[inline(always)]
    pub(crate) fn fastest(&self) -> Fastest {
        self.fastest
    }

    /// `len` values from `[x, y, t]` on along an axis, if they lie side by side in memory.
    ///
    /// An array view of them would do, but to make one for each cell takes longer than to copy the values of 16 bins.
    #[inline(always)]
    #[expect(unsafe_code, reason = "rows of the caller's array")]
    pub(crate) fn line(&self, from: [usize; 3], axis: usize, len: usize) -> Option<&[T]> {
        let (shape, strides) = (self.view.shape(), self.view.strides());
        let mut last = from;
        last[axis] += len.checked_sub(1)?;
        assert!(
            (0..3).all(|axis| last[axis] < shape[axis]),
            "inside the array"
        );
        if len > 1 && strides[axis] != 1 {
            return None;
        }
        let offset = (0..3).map(|axis| from[axis] as isize * strides[axis]).sum();
        // SAFETY: the first and the last value are elements of the view, which the assertion holds, and so are those
        // between, which lie side by side along the axis. The view is borrowed for as long as they are.
        Some(unsafe { std::slice::from_raw_parts(self.view.as_ptr().offset(offset), len) })
    }

    /// The value at `[x, y, t]`.
    #[inline(always)]
    pub(crate) fn at(&self, at: [usize; 3]) -> T
    where
        T: Copy,
    {
        self.view[at]
    }

    /// Where the value at `[x, y, t]` lies, and how many values further its neighbours along each axis.
    #[inline(always)]
    pub(crate) fn place(&self, at: [usize; 3]) -> (*const T, [isize; 3]) {
        let strides = self.view.strides();
        let strides = [strides[0], strides[1], strides[2]];
        let offset = (0..3).map(|axis| (at[axis] as isize).wrapping_mul(strides[axis]));
        let offset = offset.fold(0, isize::wrapping_add);
        (self.view.as_ptr().wrapping_offset(offset), strides)
    }

    /// The first NaN of these bins, as `[x, y, t]`: in the earliest bin that holds one the first cell in row-major order.
    fn first_nan(&self, mut bins: Range<usize>) -> Option<[usize; 3]>
    where
        T: Element,
    {
        let (n_x, n_y, _) = self.view.dim();
        let mut first = None;
        if self.fastest == Fastest::T {
            for (x, y) in (0..n_x).flat_map(|x| (0..n_y).map(move |y| (x, y))) {
                if bins.is_empty() {
                    break;
                }
                if let Some(values) = self.line([x, y, bins.start], 2, bins.len())
                    && !any_nan(values)
                {
                    continue;
                }
                // A later cell comes first only with an earlier bin.
                if let Some(t) = bins.clone().find(|&t| self.at([x, y, t]).is_nan()) {
                    first = Some([x, y, t]);
                    bins.end = t;
                }
            }
            return first;
        }
        let rows = bins.flat_map(|t| (0..n_x).map(move |x| (x, t)));
        for (x, t) in rows {
            if let Some(values) = self.line([x, 0, t], 1, n_y)
                && !any_nan(values)
            {
                continue;
            }
            if let Some(y) = (0..n_y).find(|&y| self.at([x, y, t]).is_nan()) {
                return Some([x, y, t]);
            }
        }
        None
    }

    /// The time bins `bins` alone.
    #[cfg(feature = "gpu")]
    pub(crate) fn bins(&self, bins: Range<usize>) -> ArrayView3<'_, T> {
        self.view
            .slice_axis(ndarray::Axis(2), ndarray::Slice::from(bins))
    }
}

/// Whether there is a NaN among these values: no early end, so that the loop is one of vectors.
fn any_nan<T: Element>(values: &[T]) -> bool {
    values.iter().fold(false, |any, value| any | value.is_nan())
}

/// Refuses maps without cells, and maps with more cells than a `u32` can name.
pub(crate) fn check_map([n_x, n_y, n_t]: [usize; 3]) -> Result<(), Error> {
    if n_x == 0 || n_y == 0 {
        return Err(Error::EmptyMap { n_x, n_y, n_t });
    }
    match n_x.checked_mul(n_y) {
        Some(cells) if u32::try_from(cells).is_ok() => Ok(()),
        _ => Err(Error::MapTooLarge { n_x, n_y }),
    }
}
