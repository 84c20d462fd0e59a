//! Masks in other forms than booleans: bits, and lists of cells.

use std::ops::Range;

use ndarray::{Array3, ArrayView3};

use crate::expand::booleans;
use crate::reduce::{MaskNumbers, Rows, Scratch, reduce};

/// A mask as bits: an eighth of the memory of booleans.
///
/// ```
/// use ndarray::Array3;
/// use peakmask::{MaskForm, Options, analyze};
///
/// let p = Array3::from_shape_fn((5, 7, 20), |(x, y, t)| 1.0 / (1 + x.abs_diff(2) + y.abs_diff(t % 7)) as f64);
/// let options = Options::new().alphas([0.5]);
/// let booleans = analyze(p.view(), &options)?.masks;
/// let packed = analyze(p.view(), &options.masks(MaskForm::Packed))?.packed.unwrap();
/// assert_eq!(packed[0].bits().dim(), (5, 7, 3)); // 20 time bins in 3 bytes
/// assert!(packed[0].contains([2, 3, 10]));
/// assert_eq!(packed[0].expand(0..20), booleans[0]);
/// assert_eq!(packed[0].areas()[..3], [4, 5, 5]);
/// # Ok::<(), peakmask::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedMask {
    bits: Array3<u8>,
    n_t: usize,
}

impl PackedMask {
    /// A mask of `n_t` time bins from its bits: eight time bins a byte, the first one lowest, of shape
    /// `(n_x, n_y, n_t.div_ceil(8))`. Bits beyond the last bin count for nothing.
    ///
    /// # Panics
    /// When the array has another number of bytes.
    pub fn new(bits: Array3<u8>, n_t: usize) -> Self {
        let (_, _, bytes) = bits.dim();
        assert_eq!(bytes, n_t.div_ceil(8), "bytes for {n_t} time bins");
        let bits = match bits.is_standard_layout() {
            true => bits,
            false => bits.as_standard_layout().into_owned(),
        };
        Self { bits, n_t }
    }

    /// The shape `[n_x, n_y, n_t]` of the mask.
    pub fn shape(&self) -> [usize; 3] {
        let (n_x, n_y, _) = self.bits.dim();
        [n_x, n_y, self.n_t]
    }

    /// The bits `[x, y, t / 8]`: those of `numpy.packbits(mask, axis=-1, bitorder="little")`.
    pub fn bits(&self) -> ArrayView3<'_, u8> {
        self.bits.view()
    }

    /// The same, given away.
    pub fn into_bits(self) -> Array3<u8> {
        self.bits
    }

    /// Whether the mask holds a cell in a time bin.
    ///
    /// # Panics
    /// When there is no such cell or time bin.
    pub fn contains(&self, [x, y, t]: [usize; 3]) -> bool {
        assert!(t < self.n_t, "there are {} time bins", self.n_t);
        self.bits[[x, y, t / 8]] >> (t % 8) & 1 != 0
    }

    /// The mask of some time bins as booleans.
    ///
    /// # Panics
    /// When there are no such time bins.
    pub fn expand(&self, bins: Range<usize>) -> Array3<bool> {
        assert!(
            bins.start <= bins.end && bins.end <= self.n_t,
            "there are {} time bins",
            self.n_t
        );
        let (n_x, n_y, _) = self.bits.dim();
        let mut mask = Array3::from_elem((n_x, n_y, bins.len()), false);
        let shift = bins.start % 8;
        let bytes = bins.start / 8..bins.end.div_ceil(8);
        let mut moved = vec![0; bytes.len()];
        for ((x, y), mut row) in mask
            .lanes_mut(ndarray::Axis(2))
            .into_iter()
            .enumerate()
            .map(|(cell, row)| ((cell / n_y, cell % n_y), row))
        {
            let bits = self.bits.slice(ndarray::s![x, y, bytes.clone()]);
            for (i, moved) in moved.iter_mut().enumerate() {
                let next = bits.get(i + 1).copied().unwrap_or(0);
                *moved = (u16::from_le_bytes([bits[i], next]) >> shift) as u8;
            }
            booleans(&moved, row.view_mut());
        }
        crate::expand::fence();
        mask
    }

    /// The number of cells in each time bin.
    pub fn areas(&self) -> Vec<i64> {
        self.numbers().iter().map(|bin| bin.area).collect()
    }

    /// The overlaps of the mask of each time bin with that of the next, an entry less than there are bins: cells in both; cells in
    /// both after the first has grown by all of its neighbours, eight a cell; and cells in either after that.
    pub fn overlaps(&self) -> Vec<[i64; 3]> {
        let numbers = self.numbers();
        let pairs = numbers.windows(2);
        pairs.map(|pair| pair[0].overlaps(pair[1].area)).collect()
    }

    fn numbers(&self) -> Vec<MaskNumbers> {
        let (n_x, n_y, bytes) = self.bits.dim();
        let rows = Rows {
            bits: self.bits.as_slice().unwrap_or_default(),
            bytes,
            shape: [n_x, n_y],
        };
        let mut numbers = vec![MaskNumbers::default(); self.n_t];
        reduce(rows, 0, &mut numbers, &mut Scratch::default());
        numbers
    }
}

/// A mask as the cells of each time bin: less memory than anything else where regions are small.
///
/// ```
/// use ndarray::Array3;
/// use peakmask::{MaskForm, Options, analyze};
///
/// let p = Array3::from_shape_fn((5, 7, 20), |(x, y, t)| 1.0 / (1 + x.abs_diff(2) + y.abs_diff(t % 7)) as f64);
/// let options = Options::new().alphas([0.5]).masks(MaskForm::Sparse);
/// let sparse = analyze(p.view(), &options)?.sparse.unwrap();
/// assert_eq!(sparse[0].offsets[..3], [0, 4, 9]);
/// assert_eq!(sparse[0].bin(0), [7, 14, 15, 21]); // x * n_y + y, in order
/// # Ok::<(), peakmask::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SparseMask {
    /// `n_t + 1` row numbers (`[0]` before the first analysis): the cells of time bin `t` are those from `offsets[t]` on, up to
    /// `offsets[t + 1]`.
    pub offsets: Vec<i64>,
    /// The number `x * n_y + y` of each cell, in row-major order within a time bin.
    pub cells: Vec<u32>,
}

impl Default for SparseMask {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            cells: Vec::new(),
        }
    }
}

impl SparseMask {
    /// No time bins: something to be filled through [`Outputs`](crate::Outputs).
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of time bins.
    pub fn n_bins(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The cells of time bin `t`.
    ///
    /// # Panics
    /// When `t >= n_bins()`.
    pub fn bin(&self, t: usize) -> &[u32] {
        &self.cells[self.offsets[t] as usize..self.offsets[t + 1] as usize]
    }

    /// Forgets all time bins, and keeps the memory.
    pub fn clear(&mut self) {
        self.offsets.clear();
        self.offsets.push(0);
        self.cells.clear();
    }

    /// Gives back the room that was not needed.
    pub(crate) fn shrink(&mut self) {
        self.cells.shrink_to_fit();
    }

    /// Keeps the first time bins alone.
    pub(crate) fn truncate(&mut self, bins: usize) {
        self.offsets.truncate(bins + 1);
        self.cells.truncate(self.offsets[bins] as usize);
    }
}
