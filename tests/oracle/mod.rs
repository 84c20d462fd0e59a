//! The oracle: what one time bin yields, computed as plainly as it can be said.
//!
//! It serves the tests as the third implementation, beside the reference in Python and the engines of the crate. It
//! shares no code with the crate, works on one map at a time, and follows the definition sentence by sentence; speed is
//! not its concern.

pub(crate) mod summary;

use ndarray::{Array2, ArrayView2, ArrayView3};

/// The two element types, and the two places where a definition needs arithmetic.
pub(crate) trait Real: Copy + PartialOrd {
    /// Positive zero.
    const ZERO: Self;

    /// `alpha * self`: the product in `f64`, for `f32` rounded to `f32` once.
    fn level(self, alpha: f64) -> Self;
    /// `(self - base) + 0.0` in the type itself.
    fn above_base(self, base: Self) -> Self;
}

impl Real for f64 {
    const ZERO: Self = 0.0;

    fn level(self, alpha: f64) -> Self {
        alpha * self
    }
    fn above_base(self, base: Self) -> Self {
        (self - base) + 0.0
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;

    fn level(self, alpha: f64) -> Self {
        (alpha * f64::from(self)) as Self
    }
    fn above_base(self, base: Self) -> Self {
        (self - base) + 0.0
    }
}

/// A cell of a map.
pub(crate) type Cell = (usize, usize);

/// What one time bin yields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BinAnswer<T> {
    /// All peaks, in row-major order.
    pub(crate) peaks: Vec<Cell>,
    /// The prominence of each peak.
    pub(crate) prominences: Vec<T>,
    /// The height of each peak.
    pub(crate) heights: Vec<T>,
    /// For each alpha, the region around the dominant peak.
    pub(crate) masks: Vec<Array2<bool>>,
}

/// The answers of all time bins of `P[x, y, t]`, in order.
pub(crate) fn answer<T: Real>(
    p: ArrayView3<'_, T>,
    alphas: &[f64],
    eight: bool,
) -> Vec<BinAnswer<T>> {
    p.axis_iter(ndarray::Axis(2))
        .map(|z| answer_bin(z, alphas, eight))
        .collect()
}

/// The answer of one time bin: masks connect 8 neighbours if `eight`, else 4.
pub(crate) fn answer_bin<T: Real>(
    z: ArrayView2<'_, T>,
    alphas: &[f64],
    eight: bool,
) -> BinAnswer<T> {
    if !is_live(z) {
        return BinAnswer {
            peaks: Vec::new(),
            prominences: Vec::new(),
            heights: Vec::new(),
            masks: vec![Array2::from_elem(z.dim(), false); alphas.len()],
        };
    }
    let is_peak = peaks(z);
    let bases = bases(z, &is_peak);
    let peaks: Vec<Cell> = cells(z).filter(|&c| is_peak[c]).collect();
    let dominant = dominant(z);
    BinAnswer {
        prominences: peaks.iter().map(|&c| z[c].above_base(bases[c])).collect(),
        heights: peaks.iter().map(|&c| z[c]).collect(),
        peaks,
        masks: alphas
            .iter()
            .map(|&alpha| mask(z, dominant, alpha, eight))
            .collect(),
    }
}

/// A bin is live unless it holds a NaN or is constant.
fn is_live<T: Real>(z: ArrayView2<'_, T>) -> bool {
    let has_nan = z.iter().any(|&v| is_nan(v));
    let first = z[(0, 0)];
    !has_nan && z.iter().any(|&v| v != first)
}

/// The cells above the minimum that are `>=` all of their eight neighbours.
fn peaks<T: Real>(z: ArrayView2<'_, T>) -> Array2<bool> {
    let minimum = cells(z).fold(z[(0, 0)], |low, c| if z[c] < low { z[c] } else { low });
    let mut is_peak = Array2::from_elem(z.dim(), false);
    for c in cells(z) {
        is_peak[c] = z[c] > minimum && neighbours(z.dim(), c, true).all(|d| z[c] >= z[d]);
    }
    is_peak
}

/// For every peak, the highest value among the non-peak neighbours of its group, where a group is a set of peaks
/// connected through eight neighbours. (For cells that are no peaks: their own value, never read.)
fn bases<T: Real>(z: ArrayView2<'_, T>, is_peak: &Array2<bool>) -> Array2<T> {
    let mut bases = z.to_owned();
    let mut seen = Array2::from_elem(z.dim(), false);
    for start in cells(z) {
        if !is_peak[start] || seen[start] {
            continue;
        }
        let group = connected(start, true, &mut seen, |c| is_peak[c]);
        let base = group
            .iter()
            .flat_map(|&c| neighbours(z.dim(), c, true))
            .filter(|&c| !is_peak[c])
            .map(|c| z[c])
            .reduce(|high, v| if v > high { v } else { high })
            .expect("the minimum of a live bin is no peak, so no group of peaks fills the map");
        for c in group {
            bases[c] = base;
        }
    }
    bases
}

/// The first cell, in row-major order, that holds the maximum.
fn dominant<T: Real>(z: ArrayView2<'_, T>) -> Cell {
    cells(z)
        .reduce(|best, c| if z[c] > z[best] { c } else { best })
        .expect("a map has a cell")
}

/// The cells `>= alpha * height` that are connected to the dominant cell, and in any case that cell itself.
fn mask<T: Real>(z: ArrayView2<'_, T>, dominant: Cell, alpha: f64, eight: bool) -> Array2<bool> {
    let threshold = z[dominant].level(alpha);
    let mut mask = Array2::from_elem(z.dim(), false);
    if z[dominant] >= threshold {
        connected(dominant, eight, &mut mask, |c| z[c] >= threshold);
    } else {
        mask[dominant] = true;
    }
    mask
}

/// All cells that can be reached from `start` through cells that belong; they are marked as seen.
fn connected(
    start: Cell,
    eight: bool,
    seen: &mut Array2<bool>,
    belongs: impl Fn(Cell) -> bool,
) -> Vec<Cell> {
    seen[start] = true;
    let mut reached = vec![start];
    let mut next = 0;
    while next < reached.len() {
        for c in neighbours(seen.dim(), reached[next], eight) {
            if !seen[c] && belongs(c) {
                seen[c] = true;
                reached.push(c);
            }
        }
        next += 1;
    }
    reached
}

/// All cells of the map in row-major order.
fn cells<T>(z: ArrayView2<'_, T>) -> impl Iterator<Item = Cell> + use<T> {
    let (n_x, n_y) = z.dim();
    (0..n_x).flat_map(move |x| (0..n_y).map(move |y| (x, y)))
}

/// The neighbours of a cell within the map: those that share an edge, and if `eight` those that share a corner.
pub(crate) fn neighbours(
    (n_x, n_y): (usize, usize),
    (x, y): Cell,
    eight: bool,
) -> impl Iterator<Item = Cell> {
    (x.saturating_sub(1)..(x + 2).min(n_x))
        .flat_map(move |a| (y.saturating_sub(1)..(y + 2).min(n_y)).map(move |b| (a, b)))
        .filter(move |&(a, b)| (a, b) != (x, y) && (eight || a == x || b == y))
}

fn is_nan<T: Real>(v: T) -> bool {
    v.partial_cmp(&v).is_none()
}
