//! Coverage: the values at which the highest cells of a bin hold a share of its total.
//!
//! Reads: Values, Live, Floor. Writes: Levels.
//! Levels: of a live lane without negative values, whose total is neither zero, infinite nor NaN, the value at which the sum
//! of its cells, taken from the highest down, first reaches the share times the total, or its lowest value, if it never does;
//! a zero is positive. All sums are in `f64`, one addition after the other: the total in row-major order, which each lane keeps
//! however many are added side by side; the other in the order of the values, of which equal ones are interchangeable.

use smallvec::SmallVec;

use super::lanes::set_lanes;
use super::tile::{Lane, Shape};
use crate::plan::BLOCK;
use crate::vector::{Line, Set, width};
use crate::{Element, Level};

/// The most values of a vector.
const MOST: usize = 16;

/// Room for the highest values of each lane of a group.
pub(super) struct Coverage {
    highest: [Vec<u64>; MOST],
}

/// The shares that are asked for, with the numbers of their levels, the greatest first.
type Shares = SmallVec<[(usize, f64); 8]>;

/// The shares among these levels; none, if no level is a coverage.
pub(super) fn shares(levels: &[Level]) -> Shares {
    let numbered = levels.iter().enumerate();
    let mut shares: Shares = numbered
        .filter_map(|(a, level)| match *level {
            Level::Coverage(share) => Some((a, share)),
            _ => None,
        })
        .collect();
    shares.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    shares
}

/// Whether regions of a bin hold shares of it: of its lowest value, and its total.
#[inline(always)]
fn has_shares<T: Element>(floor: T, total: f64) -> bool {
    floor >= T::default() && total > 0.0 && total < f64::INFINITY
}

/// A value below which the cells of a bin hold so little that they hardly ever matter.
#[inline(always)]
fn cut<T: Element>(shares: &Shares, total: f64, cells: usize) -> T {
    let greatest = shares.first().map_or(1.0, |&(_, share)| share);
    T::rounded((1.0 - greatest) * total / cells as f64)
}

/// A number that orders as values do that are not negative.
#[inline(always)]
fn key<T: Element>(value: T) -> u64 {
    (value.into() + 0.0).to_bits()
}

/// A value as a summand: absent cells add nothing.
#[inline(always)]
pub(super) fn summand<T: Element>(value: T, off_track: bool) -> f64 {
    if off_track && value.is_nan() {
        0.0
    } else {
        value.into()
    }
}

impl Coverage {
    pub(super) fn new() -> Self {
        Self {
            highest: [const { Vec::new() }; MOST],
        }
    }

    /// Writes the levels of the live lanes of group `g` for every share, of level number `a` at `[a][group]`; the lanes of the
    /// group that have none, live or not. `tops` has the highest values of the group's blocks.
    #[inline(always)]
    pub(super) fn of_group<T: Element, S: Set<T>>(
        &mut self,
        shape: Shape,
        (tile, tops): (&[Line], &[Line]),
        g: usize,
        (live, floor): (u64, &Line),
        (shares, off_track): (&Shares, bool),
        levels: &mut [Line],
    ) -> u64 {
        let width = width::<T>();
        let totals = totals::<T>(shape, tile, g, off_track);
        let mut cuts = Line::of(T::NAN);
        let mut without = 0;
        let cells = shape.n_x * shape.n_y;
        for (lane, &floor) in floor.values::<T>().iter().enumerate() {
            if !has_shares(floor, totals[lane]) {
                without |= 1 << lane;
            } else if live >> lane & 1 != 0 {
                cuts.values_mut()[lane] = cut::<T>(shares, totals[lane], cells);
            }
        }
        for highest in &mut self.highest[..width] {
            highest.clear();
            highest.reserve(cells);
        }
        let cut = S::load(&cuts);
        for (x, tops) in tops.chunks_exact(shape.blocks()).enumerate() {
            let row = &tile[shape.start(x, g)..][..shape.n_y];
            for (cells, top) in row.chunks(BLOCK).zip(tops) {
                if S::reaches(S::load(top), cut) == 0 {
                    continue;
                }
                for cell in cells {
                    for lane in set_lanes(S::reaches(S::load(cell), cut)) {
                        self.highest[lane].push(key(cell.values::<T>()[lane]));
                    }
                }
            }
        }
        for lane in set_lanes(live & !without) {
            let map = shape.lane(tile, g * width + lane);
            edges(
                &mut self.highest[lane],
                shares,
                totals[lane],
                (map, [shape.n_x, shape.n_y], cuts.values()[lane]),
                floor.values()[lane],
                |a, edge: T| levels[a * shape.groups + g].values_mut()[lane] = edge,
            );
        }
        without
    }

    /// Hands `put` the level of a live bin alone for every share, with the number of its level; false, if it has none.
    #[inline(always)]
    pub(super) fn of_map<T: Element>(
        &mut self,
        (map, [n_x, n_y]): (Lane<'_, T>, [usize; 2]),
        floor: T,
        (shares, off_track): (&Shares, bool),
        put: impl FnMut(usize, T),
    ) -> bool {
        let rows = || (0..n_x).flat_map(|x| (0..n_y).map(move |y| map.at(x, y)));
        let total = rows().fold(0.0, |total, value| total + summand(value, off_track));
        if !has_shares(floor, total) {
            return false;
        }
        let cut = cut(shares, total, n_x * n_y);
        let highest = &mut self.highest[0];
        highest.clear();
        highest.reserve(n_x * n_y);
        highest.extend(rows().filter(|&value| value >= cut).map(key));
        edges(highest, shares, total, (map, [n_x, n_y], cut), floor, put);
        true
    }
}

/// The totals of the lanes of a group.
#[inline(always)]
fn totals<T: Element>(shape: Shape, tile: &[Line], g: usize, off_track: bool) -> [f64; MOST] {
    let mut totals = [0.0; MOST];
    for x in 0..shape.n_x {
        for cell in &tile[shape.start(x, g)..][..shape.n_y] {
            for (total, &value) in totals[..width::<T>()].iter_mut().zip(cell.values::<T>()) {
                *total += summand(value, off_track);
            }
        }
    }
    totals
}

/// Hands `put` the values at which the cells of a bin hold each of the shares. `highest` has those that reach a cut, in any
/// order; the others are looked at only if those do not hold enough.
#[inline(always)]
fn edges<T: Element>(
    highest: &mut Vec<u64>,
    shares: &Shares,
    total: f64,
    (map, [n_x, n_y], cut): (Lane<'_, T>, [usize; 2], T),
    floor: T,
    mut put: impl FnMut(usize, T),
) {
    let mut wanted: &[(usize, f64)] = shares;
    let mut running = 0.0;
    let mut walk = |keys: &mut Vec<u64>| {
        keys.sort_unstable();
        for &key in keys.iter().rev() {
            running += f64::from_bits(key);
            // Of several shares the smallest, which is the last, is reached first.
            while let Some((&(a, share), others)) = wanted.split_last() {
                if running < share * total {
                    break;
                }
                put(a, T::rounded(f64::from_bits(key)));
                wanted = others;
            }
            if wanted.is_empty() {
                return true;
            }
        }
        false
    };
    if walk(highest) {
        return;
    }
    highest.clear();
    for x in 0..n_x {
        highest.extend((0..n_y).map(|y| map.at(x, y)).filter(|&v| v < cut).map(key));
    }
    if walk(highest) {
        return;
    }
    for &(a, _) in wanted {
        put(a, T::rounded(f64::from_bits(key(floor))));
    }
}
