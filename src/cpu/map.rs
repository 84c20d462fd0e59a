//! One time bin alone: the same stages along the map, a vector of neighbouring cells at a time.
//!
//! What lanes side by side are to many bins, neighbouring cells are to one: no lane is idle when a bin comes alone, and a
//! map too large for tiles of several bins takes no more memory than itself.

use super::bases::Lists;
use super::lanes::present;
use super::planes::Planes;
use super::tile::Lane;
use crate::posterior::Piece;
use crate::vector::{Line, Set, width};
use crate::{Element, memory};

/// The values of one bin, in rows with a frame of values below all others, so that every neighbour of every cell exists.
pub(super) struct Map {
    n_x: usize,
    n_y: usize,
    lines: Vec<Line>,
    around: Vec<Line>,
    pub(super) floor: Line,
    pub(super) top: Line,
}

impl Map {
    pub(super) fn new<T: Element>(n_x: usize, n_y: usize) -> Self {
        let row = 1 + n_y.div_ceil(width::<T>());
        Self {
            n_x,
            n_y,
            lines: memory::filled((n_x + 2) * row + 1, Line::of(T::LOWEST)),
            around: memory::filled(row - 1, Line::of(T::LOWEST)),
            floor: Line::ZERO,
            top: Line::ZERO,
        }
    }

    /// Values from one map row to the next: those of the row, and a line before it.
    #[inline(always)]
    fn row<T>(&self) -> usize {
        self.lines.len() / (self.n_x + 2) * width::<T>()
    }

    /// Where the first value of map row `x` lies.
    #[inline(always)]
    fn start<T>(&self, x: usize) -> usize {
        (x + 1) * self.row::<T>() + width::<T>()
    }

    /// The values as those of a lane.
    pub(super) fn values<T: Element>(&self) -> Lane<'_, T> {
        Lane {
            values: bytemuck::must_cast_slice(&self.lines),
            first: self.start::<T>(0),
            row: self.row::<T>(),
            step: 1,
        }
    }

    /// Copies map row `x` of a bin of a piece.
    #[inline(always)]
    pub(super) fn load<T: Element>(&mut self, piece: &Piece<'_, T>, bin: usize, x: usize) {
        let start = self.start::<T>(x);
        let values: &mut [T] = bytemuck::must_cast_slice_mut(&mut self.lines);
        let to = &mut values[start..start + self.n_y];
        match piece.line([x, 0, bin], 1, self.n_y) {
            Some(from) => to.copy_from_slice(from),
            None => {
                for (y, to) in to.iter_mut().enumerate() {
                    *to = piece.at([x, y, bin]);
                }
            }
        }
    }

    /// The lowest value, and, when the bin is live, the highest one with the first cell that holds it.
    #[inline(always)]
    pub(super) fn survey<T: Element, S: Set<T>>(
        &mut self,
        off_track: bool,
    ) -> (T, Option<(T, usize)>) {
        let width = width::<T>();
        let values: &[T] = bytemuck::must_cast_slice(&self.lines);
        let (mut low, mut high) = (S::splat(T::HIGHEST), S::splat(T::LOWEST));
        let (mut floor, mut top) = (T::HIGHEST, T::LOWEST);
        let mut nan = 0;
        for x in 0..self.n_x {
            let row = &values[self.start::<T>(x)..][..self.n_y];
            let mut full = row.chunks_exact(width);
            for cells in &mut full {
                let v = S::load_from(cells);
                low = S::lower(low, v);
                high = S::higher(high, v);
                nan |= S::unordered(v, v);
            }
            for &value in full.remainder() {
                floor = if value < floor { value } else { floor };
                top = if value > top { value } else { top };
                nan |= u64::from(value.is_nan());
            }
        }
        S::store(low, &mut self.floor);
        S::store(high, &mut self.top);
        for &value in self.floor.values::<T>() {
            floor = if value < floor { value } else { floor };
        }
        for &value in self.top.values::<T>() {
            top = if value > top { value } else { top };
        }
        if (nan != 0 && !off_track) || top <= floor {
            return (floor, None);
        }
        self.floor = Line::of(floor);
        self.top = Line::of(top);
        let wanted = S::splat(top);
        for x in 0..self.n_x {
            let row = &values[self.start::<T>(x)..];
            for y in (0..self.n_y).step_by(width) {
                let found = S::equals(S::load_from(&row[y..]), wanted);
                if found != 0 {
                    let y = y + found.trailing_zeros() as usize;
                    // As it is stored there: of zeros, another cell's may have the other sign.
                    return (floor, Some((row[y], x * self.n_y + y)));
                }
            }
        }
        (floor, None)
    }

    /// The cells that reach a level, as the only lane of a plane.
    #[inline(always)]
    pub(super) fn threshold<T: Element, S: Set<T>>(
        &self,
        planes: Planes,
        level: T,
        above: &mut [u64],
    ) {
        let values: &[T] = bytemuck::must_cast_slice(&self.lines);
        let wanted = S::splat(level);
        for x in 0..self.n_x {
            let row = &values[self.start::<T>(x)..];
            for w in 0..planes.words {
                let mut word = 0;
                for y in (w * 64..self.n_y.min(w * 64 + 64)).step_by(width::<T>()) {
                    word |= S::reaches(S::load_from(&row[y..]), wanted) << (y % 64);
                }
                let last = self.n_y - w * 64;
                // Beyond the row lies the frame, which a level of negative infinity is reached by.
                above[planes.word(x, w, 0)] = if last < 64 {
                    word & !(u64::MAX << last)
                } else {
                    word
                };
            }
        }
    }

    /// Lists the peaks of map row `x`. Absent cells are nobody's neighbours, if there may be any.
    #[inline(always)]
    pub(super) fn find<T: Element, S: Set<T>, const OFF_TRACK: bool>(
        &mut self,
        x: usize,
        floor: T,
        lists: &mut Lists<T>,
    ) {
        let (width, row) = (width::<T>(), self.row::<T>());
        let start = self.start::<T>(x);
        let values: &[T] = bytemuck::must_cast_slice(&self.lines);
        // From the cell before the first of a row on: the cell at `y`, and those beside it, are `y`, `y + 1`, `y + 2`.
        let up = &values[start - row - 1..];
        let here = &values[start - 1..];
        let down = &values[start + row - 1..];
        let floor = S::splat(floor);
        for (v, y) in (0..self.n_y).step_by(width).enumerate() {
            let value = S::load_from(&here[y + 1..]);
            // No closure: it would be compiled on its own, for the baseline.
            let mut beside = [S::splat(T::LOWEST); 3];
            for (k, beside) in beside.iter_mut().enumerate() {
                let up = present::<T, S, OFF_TRACK>(S::load_from(&up[y + k..]));
                *beside = S::higher(up, S::load_from(&down[y + k..]));
            }
            let left = S::higher(beside[0], S::load_from(&here[y..]));
            let right = S::higher(beside[2], S::load_from(&here[y + 2..]));
            let around = S::higher(S::higher(left, right), beside[1]);
            let mut peaks = S::reaches(value, around) & S::exceeds(value, floor);
            if peaks != 0 {
                S::store(around, &mut self.around[v]);
                let around = self.around[v].values::<T>();
                while peaks != 0 {
                    let k = peaks.trailing_zeros() as usize;
                    peaks &= peaks - 1;
                    lists.add(0, x * self.n_y + y + k, here[y + 1 + k], around[k]);
                }
            }
        }
    }
}
