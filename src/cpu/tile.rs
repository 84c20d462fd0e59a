//! Tiles: the values of up to 64 time bins, a vector of lanes beside a vector of lanes.

use bytemuck::Pod;

use crate::plan::BLOCK;
use crate::vector::{Line, width};

/// Where the values of a tile lie: `[map row][group][cell of the row][lane of the group]`. A group is as many lanes as a
/// vector has values, so that the three map rows around a cell lie in the first-level cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) n_x: usize,
    pub(super) n_y: usize,
    /// Groups of lanes in use.
    pub(super) groups: usize,
}

impl Shape {
    /// Lines from one group of a map row to the next: an odd number, so that the lines of a cell do not meet in one set
    /// of a cache.
    #[inline(always)]
    pub(super) fn stride(self) -> usize {
        self.n_y | 1
    }

    /// Lines of a tile.
    pub(super) fn len(self) -> usize {
        self.n_x * self.groups * self.stride()
    }

    /// First line of group `g` of map row `x`.
    #[inline(always)]
    pub(super) fn start(self, x: usize, g: usize) -> usize {
        (x * self.groups + g) * self.stride()
    }

    /// Blocks of a map row.
    #[inline(always)]
    pub(super) fn blocks(self) -> usize {
        self.n_y.div_ceil(BLOCK)
    }

    /// The values of one lane.
    #[inline(always)]
    pub(super) fn lane<T: Pod>(self, tile: &[Line], lane: usize) -> Lane<'_, T> {
        let (g, within) = (lane / width::<T>(), lane % width::<T>());
        Lane {
            values: bytemuck::must_cast_slice(tile),
            first: self.start(0, g) * width::<T>() + within,
            row: self.groups * self.stride() * width::<T>(),
            step: width::<T>(),
        }
    }
}

/// The values of one lane, wherever they lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane<'a, T> {
    pub(super) values: &'a [T],
    /// Where the first cell lies.
    pub(super) first: usize,
    /// From one map row to the next.
    pub(super) row: usize,
    /// From one cell of a row to the next.
    pub(super) step: usize,
}

impl<T: Copy> Lane<'_, T> {
    #[inline(always)]
    pub(super) fn at(self, x: usize, y: usize) -> T {
        self.values[self.first + x * self.row + y * self.step]
    }
}
