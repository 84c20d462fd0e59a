//! Peaks: the local maxima of every lane.
//!
//! Reads: Values, Live, Floor. Writes: Peaks.
//! Peaks: set where a live lane's value exceeds its Floor and is `>=` all of the eight neighbours that exist. A per-cell
//! map, so no order matters. NaN off the track is no neighbour, and exceeds nothing.

use super::lanes::present;
use super::load::Soon;
use crate::vector::{Line, Set, width};
use crate::{Element, memory};

/// What one map row of one group of lanes yields: a bit for each cell and lane, cell after cell.
pub(super) struct Row {
    /// Highest neighbours of each cell; negative infinity where there are none.
    pub(super) around: Vec<Line>,
    /// Cells that are `>=` all around, and exceed the floor.
    pub(super) peaks: Vec<u64>,
    /// Cells that are `>=` all around and lie on the floor, if they do not exceed it.
    pub(super) flat: u64,
    /// A row below every value, for the neighbours that do not exist.
    nothing: Vec<Line>,
}

impl Row {
    /// For rows of `n_y` cells of type `T`.
    pub(super) fn new<T: Element>(n_y: usize) -> Self {
        Self {
            around: memory::filled(n_y, Line::of(T::LOWEST)),
            peaks: memory::zeros((n_y * width::<T>()).div_ceil(64)),
            flat: 0,
            nothing: memory::filled(n_y, Line::of(T::LOWEST)),
        }
    }

    /// Finds the peaks of the map row `here` between two others, where there are any, and asks for the values at `soon`
    /// meanwhile, a cache line for each cell. Absent cells are nobody's neighbours, if there may be any.
    #[inline(always)]
    pub(super) fn find<T: Element, S: Set<T>, const OFF_TRACK: bool>(
        &mut self,
        up: Option<&[Line]>,
        here: &[Line],
        down: Option<&[Line]>,
        floor: &Line,
        mut soon: Soon<T>,
    ) {
        let n_y = here.len();
        let up = &up.unwrap_or(&self.nothing)[..n_y];
        let down = &down.unwrap_or(&self.nothing)[..n_y];
        let around = &mut self.around[..n_y];
        let floor = S::load(floor);
        // The 3x3 maximum is separable: columns of three cells, the column before, and the one after. The cell itself is
        // left out, so that a tie with a neighbour is known at once.
        let mut before = S::splat(T::LOWEST);
        let mut value = S::load(&here[0]);
        let first = present::<T, S, OFF_TRACK>(S::load(&up[0]));
        let mut beside = S::higher(first, S::load(&down[0]));
        let mut column = S::higher(beside, value);
        let cells = 64 / width::<T>();
        let (mut y, mut flat) = (0, 0);
        for peaks in &mut self.peaks {
            let (mut above_floor, mut highest) = (0, 0);
            for k in 0..cells.min(n_y - y) {
                let (next, next_beside) = if y + 1 < n_y {
                    let next_up = present::<T, S, OFF_TRACK>(S::load(&up[y + 1]));
                    let beside = S::higher(next_up, S::load(&down[y + 1]));
                    (S::load(&here[y + 1]), beside)
                } else {
                    (S::splat(T::LOWEST), S::splat(T::LOWEST))
                };
                let next_column = S::higher(next_beside, next);
                let all = S::higher(S::higher(before, next_column), beside);
                S::store(all, &mut around[y]);
                highest |= S::reaches(value, all) << (k * width::<T>());
                above_floor |= S::exceeds(value, floor) << (k * width::<T>());
                (before, column, value, beside) = (column, next_column, next, next_beside);
                soon.ask();
                y += 1;
            }
            soon.close_word();
            *peaks = highest & above_floor;
            flat |= highest & !above_floor;
        }
        self.flat = flat;
    }
}
