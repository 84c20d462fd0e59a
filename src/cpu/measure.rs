//! Measure: sums of every lane's values, over all of its cells and over its mask.
//!
//! Reads: Values, Above, bits by lane of the masks. Writes: Measures.
//! Measures: the sums of a lane add one value after the other, in row-major order of its cells, from +0.0, in `f64`; the
//! only order that counts is that of the cells, and each lane keeps it, however many lanes are added side by side. To add
//! +0.0 where a lane's cell is outside its mask changes no sum that began with +0.0.

use super::coverage::summand;
use super::planes::Planes;
use super::tile::{Lane, Shape};
use crate::element::{Element, number};
use crate::findings::{BinMeasures, LevelMeasures};
use crate::vector::{Line, width};

/// Lanes that are added side by side.
const EIGHT: usize = 8;
type Eight = [f64; EIGHT];

/// The sums of the lanes of a tile, eight by eight.
pub(super) struct Sums {
    pub(super) total: [Eight; 8],
    pub(super) mass: [Eight; 8],
    pub(super) moments: [[Eight; 8]; 2],
    /// Cells that reach the threshold.
    pub(super) reached: [u32; 64],
}

impl Sums {
    pub(super) fn new() -> Self {
        const ZERO: [Eight; 8] = [[0.0; EIGHT]; 8];
        Self {
            total: ZERO,
            mass: ZERO,
            moments: [ZERO; 2],
            reached: [0; 64],
        }
    }

    /// Begins a tile.
    pub(super) fn start(&mut self) {
        self.total = [[0.0; EIGHT]; 8];
    }

    /// Adds map row `x` to the totals.
    #[inline(always)]
    pub(super) fn add_row<T: Element>(
        &mut self,
        shape: Shape,
        tile: &[Line],
        x: usize,
        off_track: bool,
    ) {
        const SEVERAL: usize = 4;
        let eights = shape.groups * width::<T>() / EIGHT;
        let mut first = 0;
        // Several at a time, since an addition waits for the one before it.
        while first + SEVERAL <= eights {
            add::<T, SEVERAL>(shape, tile, x, first, off_track, &mut self.total);
            first += SEVERAL;
        }
        for first in first..eights {
            add::<T, 1>(shape, tile, x, first, off_track, &mut self.total);
        }
    }

    /// Counts the cells of each lane that reach its threshold.
    #[inline(always)]
    pub(super) fn count(&mut self, planes: Planes, above: &[u64]) {
        self.reached = [0; 64];
        for words in above.chunks_exact(planes.lanes) {
            for (n, word) in self.reached.iter_mut().zip(words) {
                *n += word.count_ones();
            }
        }
    }

    /// Sums over the cells of a mask: `rows` has a row of bits for each cell, in row-major order, of which those from `at` on
    /// are the tile's `bins`.
    #[inline(always)]
    pub(super) fn add_mask<'a, T: Element>(
        &mut self,
        shape: Shape,
        tile: &[Line],
        rows: impl Iterator<Item = &'a [u8]>,
        at: usize,
        bins: usize,
    ) {
        self.clear_mask();
        let bytes = bins.div_ceil(8);
        let (mut x, mut y) = (0, 0);
        for row in rows {
            let row = &row[at / 8..at / 8 + bytes];
            let word = match row.first_chunk() {
                Some(bytes) => u64::from_le_bytes(*bytes),
                None => row
                    .iter()
                    .rev()
                    .fold(0, |word, &byte| word << 8 | u64::from(byte)),
            };
            let mut left = word;
            while left != 0 {
                let e = left.trailing_zeros() as usize / EIGHT;
                let inside = word >> (EIGHT * e) & 0xff;
                left &= !(0xff << (EIGHT * e));
                let values: &[T] = eight(shape, tile, [x, y], e);
                let (mass, [along_x, along_y]) = (&mut self.mass[e], &mut self.moments);
                let (along_x, along_y) = (&mut along_x[e], &mut along_y[e]);
                let (at_x, at_y) = (x as f64, y as f64);
                for i in 0..EIGHT {
                    let value: f64 = values[i].into();
                    let kept = if inside >> i & 1 != 0 { value } else { 0.0 };
                    mass[i] += kept;
                    along_x[i] += at_x * kept;
                    along_y[i] += at_y * kept;
                }
            }
            y += 1;
            if y == shape.n_y {
                (x, y) = (x + 1, 0);
            }
        }
    }

    /// What the lanes' sums say of one at one level.
    #[inline(always)]
    pub(super) fn of_lane<T>(&self, lane: usize, threshold: T) -> LevelMeasures<T> {
        let (e, i) = (lane / EIGHT, lane % EIGHT);
        LevelMeasures {
            threshold,
            reached: self.reached[lane],
            mass: self.mass[e][i],
            moments: [self.moments[0][e][i], self.moments[1][e][i]],
        }
    }

    #[inline(always)]
    pub(super) fn total(&self, lane: usize) -> f64 {
        self.total[lane / EIGHT][lane % EIGHT]
    }

    fn clear_mask(&mut self) {
        self.mass = [[0.0; EIGHT]; 8];
        self.moments = [self.mass; 2];
    }
}

/// The same for the only lane of a map: all of its cells.
#[inline(always)]
pub(super) fn measure_map<T: Element>(
    [n_x, n_y]: [usize; 2],
    map: Lane<'_, T>,
    off_track: bool,
) -> BinMeasures<T> {
    let (mut total, mut minimum) = (0.0, T::HIGHEST);
    let (mut nan, mut present) = (false, false);
    for x in 0..n_x {
        for y in 0..n_y {
            let value = map.at(x, y);
            total += summand(value, off_track);
            minimum = if value < minimum { value } else { minimum };
            nan |= !off_track && value.is_nan();
            present |= !value.is_nan();
        }
    }
    let minimum = match present && !nan {
        true => minimum.unsigned_zero(),
        false => T::NAN,
    };
    BinMeasures { minimum, total }
}

/// The same for its cells in a mask, of which bit `at` of each row tells; `above` holds the cells that reach the threshold, if
/// there is one.
#[inline(always)]
pub(super) fn measure_mask<'a, T: Element>(
    n_y: usize,
    map: Lane<'_, T>,
    (rows, at): (impl Iterator<Item = &'a [u8]>, usize),
    above: &[u64],
    threshold: Option<T>,
) -> LevelMeasures<T> {
    let (mut mass, mut moments) = (0.0, [0.0; 2]);
    for (cell, row) in rows.enumerate() {
        if row[at / 8] >> (at % 8) & 1 != 0 {
            let (x, y) = (cell / n_y, cell % n_y);
            let value: f64 = map.at(x, y).into();
            mass += value;
            moments[0] += x as f64 * value;
            moments[1] += y as f64 * value;
        }
    }
    LevelMeasures {
        threshold: threshold.map_or(T::NAN, number),
        reached: threshold.map_or(0, |_| above.iter().map(|word| word.count_ones()).sum()),
        mass,
        moments,
    }
}

/// Adds `N` eights of lanes of a map row to their totals.
#[inline(always)]
fn add<T: Element, const N: usize>(
    shape: Shape,
    tile: &[Line],
    x: usize,
    first: usize,
    off_track: bool,
    total: &mut [Eight; 8],
) {
    let mut sums = [[0.0; EIGHT]; N];
    sums.copy_from_slice(&total[first..first + N]);
    for y in 0..shape.n_y {
        for k in 0..N {
            let values: &[T] = eight(shape, tile, [x, y], first + k);
            for i in 0..EIGHT {
                sums[k][i] += summand(values[i], off_track);
            }
        }
    }
    total[first..first + N].copy_from_slice(&sums);
}

/// The values of the lanes of eight number `e` at a cell.
#[inline(always)]
fn eight<T: Element>(shape: Shape, tile: &[Line], [x, y]: [usize; 2], e: usize) -> &[T] {
    let lane = EIGHT * e;
    let line = &tile[shape.start(x, lane / width::<T>()) + y];
    &line.values()[lane % width::<T>()..][..EIGHT]
}
