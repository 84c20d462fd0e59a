//! Survey: minimum, maximum, first maximum and NaN of every lane.
//!
//! Reads: Values. Writes: Live, Floor, Dominant.
//! Live: no NaN among the lane's cells, and its maximum exceeds its minimum. Floor: its minimum. Dominant: the first
//! cell, in row-major order, that holds its maximum. Per lane and by comparison alone, so no order of lanes matters.
//! Where NaN is off the track, it is no cell.

use super::lanes::set_lanes;
use super::tile::Shape;
use crate::plan::BLOCK;
use crate::vector::{Line, Set, width};
use crate::{Element, memory};

/// What the survey of a tile finds, group by group of lanes.
pub(super) struct Survey {
    /// Lowest values so far.
    pub(super) floor: Vec<Line>,
    /// Highest values, when finished.
    pub(super) top: Vec<Line>,
    /// Highest values of each block: `[group][map row][block]`.
    pub(super) tops: Vec<Line>,
    /// A bit for each live lane, when finished; before, for each lane with a NaN.
    pub(super) live: u64,
    pub(super) dominant: [u32; 64],
}

impl Survey {
    pub(super) fn new() -> Self {
        Self {
            floor: Vec::new(),
            top: Vec::new(),
            tops: Vec::new(),
            live: 0,
            dominant: [0; 64],
        }
    }

    /// Forgets the previous tile.
    pub(super) fn start<T: Element>(&mut self, shape: Shape) {
        self.live = 0;
        self.floor.clear();
        self.floor.resize(shape.groups, Line::of(T::HIGHEST));
        self.top.resize(shape.groups, Line::ZERO);
        let blocks = shape.groups * shape.n_x * shape.blocks();
        memory::resize(&mut self.tops, blocks, Line::ZERO);
    }

    /// Highest values of the blocks of group `g`: of map row after map row.
    #[inline(always)]
    pub(super) fn blocks(&self, shape: Shape, g: usize) -> &[Line] {
        let blocks = shape.n_x * shape.blocks();
        &self.tops[g * blocks..][..blocks]
    }

    /// Takes in map row `x`, which has just been loaded.
    #[inline(always)]
    pub(super) fn add<T: Element, S: Set<T>, const OFF_TRACK: bool>(
        &mut self,
        shape: Shape,
        tile: &[Line],
        x: usize,
    ) {
        let blocks = shape.blocks();
        for g in 0..shape.groups {
            let cells = &tile[shape.start(x, g)..][..shape.n_y];
            let tops = &mut self.tops[(g * shape.n_x + x) * blocks..][..blocks];
            let mut floor = S::load(&self.floor[g]);
            let mut nan = 0;
            for (cells, top) in cells.chunks(BLOCK).zip(tops) {
                let mut highest = S::splat(T::LOWEST);
                let mut pairs = cells.chunks_exact(2);
                for pair in &mut pairs {
                    let (a, b) = (S::load(&pair[0]), S::load(&pair[1]));
                    if OFF_TRACK {
                        // One after the other: what is absent must not hide its neighbour.
                        floor = S::lower(S::lower(floor, a), b);
                        highest = S::higher(S::higher(highest, a), b);
                        continue;
                    }
                    floor = S::lower(floor, S::lower(a, b));
                    highest = S::higher(highest, S::higher(a, b));
                    nan |= S::unordered(a, b);
                }
                for last in pairs.remainder() {
                    let last = S::load(last);
                    floor = S::lower(floor, last);
                    highest = S::higher(highest, last);
                    if !OFF_TRACK {
                        nan |= S::unordered(last, last);
                    }
                }
                S::store(highest, top);
            }
            S::store(floor, &mut self.floor[g]);
            self.live |= nan << (g * width::<T>());
        }
    }

    /// Closes the survey, all map rows taken in, of which the first `bins` lanes are time bins.
    #[inline(always)]
    pub(super) fn finish<T: Element, S: Set<T>>(
        &mut self,
        shape: Shape,
        tile: &[Line],
        bins: usize,
    ) {
        let nan = self.live;
        self.live = 0;
        for g in 0..shape.groups {
            let mut top = S::splat(T::LOWEST);
            for block in self.blocks(shape, g) {
                top = S::higher(top, S::load(block));
            }
            let above = S::exceeds(top, S::load(&self.floor[g]));
            self.live |= above << (g * width::<T>());
            S::store(top, &mut self.top[g]);
        }
        self.live &= !nan & (u64::MAX >> (64 - bins));
        for g in 0..shape.groups {
            self.find_dominant::<T, S>(shape, tile, g);
        }
    }

    /// The first cell that holds the maximum, of each live lane of group `g`.
    #[inline(always)]
    fn find_dominant<T: Element, S: Set<T>>(&mut self, shape: Shape, tile: &[Line], g: usize) {
        let (width, blocks) = (width::<T>(), shape.n_x * shape.blocks());
        let top = S::load(&self.top[g]);
        let mut pending = self.live >> (g * width) & (u64::MAX >> (64 - width));
        for i in 0..blocks {
            let found = pending & S::equals(top, S::load(&self.tops[g * blocks + i]));
            if found == 0 {
                continue;
            }
            pending &= !found;
            let (x, first) = (i / shape.blocks(), i % shape.blocks() * BLOCK);
            let cells = &tile[shape.start(x, g)..][first..shape.n_y];
            for lane in set_lanes(found) {
                let top = self.top[g].values::<T>()[lane];
                let within = cells
                    .iter()
                    .position(|cell| cell.values::<T>()[lane] == top);
                let within = within.unwrap_or(0);
                // As it is stored there: of zeros, another cell's may have the other sign.
                self.top[g].values_mut::<T>()[lane] = cells[within].values::<T>()[lane];
                let y = first + within;
                self.dominant[g * width + lane] = (x * shape.n_y + y) as u32;
            }
            if pending == 0 {
                break;
            }
        }
    }
}
