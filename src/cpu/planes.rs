//! Bit planes: one word a cell, with a frame of clear cells around the map.

use std::ops::Range;

/// Where the cells of a map lie in a framed bit plane: a clear row before the first and after the last, and one clear
/// cell between rows, so that every neighbour of every cell exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) n_x: usize,
    pub(super) n_y: usize,
}

impl Frame {
    /// Cells of the map.
    #[inline(always)]
    pub(super) fn cells(self) -> usize {
        self.n_x * self.n_y
    }

    /// Words from a cell to the one below it.
    #[inline(always)]
    pub(super) fn stride(self) -> usize {
        self.n_y + 1
    }

    /// Words of a plane.
    pub(super) fn len(self) -> usize {
        (self.n_x + 2) * self.stride() + 1
    }

    /// The words of map row `x`.
    #[inline(always)]
    pub(super) fn row(self, x: usize) -> Range<usize> {
        let start = (x + 1) * self.stride() + 1;
        start..start + self.n_y
    }

    /// The word of row-major cell `cell`.
    #[inline(always)]
    pub(super) fn word(self, cell: usize) -> usize {
        self.row(cell / self.n_y).start + cell % self.n_y
    }
}
