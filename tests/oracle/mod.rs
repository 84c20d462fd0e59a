//! The oracle: what one time bin yields, computed as plainly as it can be said.
//!
//! It serves the tests as the third implementation, beside the reference in Python and the engines of the crate. It
//! shares no code with the crate, works on one map at a time, and follows the definition sentence by sentence; speed is
//! not its concern.

pub(crate) mod levels;
pub(crate) mod summary;

use ndarray::{Array2, ArrayView2, ArrayView3};

pub(crate) use levels::Level;

/// The two element types, and the places where a definition needs arithmetic.
pub(crate) trait Real: Copy + PartialOrd + Into<f64> {
    /// An `f64`, rounded to the type once.
    fn rounded(value: f64) -> Self;
    /// Positive zero.
    const ZERO: Self;

    /// `alpha * self`: the product in `f64`, for `f32` rounded to `f32` once.
    fn level(self, alpha: f64) -> Self;
    /// `(self - base) + 0.0` in the type itself.
    fn above_base(self, base: Self) -> Self;
}

impl Real for f64 {
    const ZERO: Self = 0.0;

    fn rounded(value: f64) -> Self {
        value
    }
    fn level(self, alpha: f64) -> Self {
        alpha * self
    }
    fn above_base(self, base: Self) -> Self {
        (self - base) + 0.0
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;

    fn rounded(value: f64) -> Self {
        value as Self
    }
    fn level(self, alpha: f64) -> Self {
        (alpha * f64::from(self)) as Self
    }
    fn above_base(self, base: Self) -> Self {
        (self - base) + 0.0
    }
}

/// A cell of a map.
pub(crate) type Cell = (usize, usize);

/// The levels of alphas.
pub(crate) fn of_peak(alphas: &[f64]) -> Vec<Level> {
    alphas.iter().copied().map(Level::OfPeak).collect()
}

/// What can be asked for beside levels; nothing, unless it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    /// Masks connect 8 neighbours, not 4.
    pub(crate) eight: bool,
    /// Masks hold all cells that reach the level, connected or not.
    pub(crate) whole: bool,
    /// Cells that are NaN are absent, and do not silence their bin.
    pub(crate) off_track: bool,
}

/// What one time bin yields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BinAnswer<T> {
    /// All peaks, in row-major order.
    pub(crate) peaks: Vec<Cell>,
    /// The prominence of each peak.
    pub(crate) prominences: Vec<T>,
    /// The height of each peak.
    pub(crate) heights: Vec<T>,
    /// For each level, its region.
    pub(crate) masks: Vec<Array2<bool>>,
    /// Whether a share of the total is asked for, and there is none.
    pub(crate) uncovered: bool,
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
    let rules = Rules {
        eight,
        ..Rules::default()
    };
    answer_bin_by(z, &of_peak(alphas), rules)
}

/// The answers of all time bins, for levels of any kind.
pub(crate) fn answer_by<T: Real>(
    p: ArrayView3<'_, T>,
    levels: &[Level],
    rules: Rules,
) -> Vec<BinAnswer<T>> {
    p.axis_iter(ndarray::Axis(2))
        .map(|z| answer_bin_by(z, levels, rules))
        .collect()
}

/// The answer of one time bin, for levels of any kind.
pub(crate) fn answer_bin_by<T: Real>(
    z: ArrayView2<'_, T>,
    levels: &[Level],
    rules: Rules,
) -> BinAnswer<T> {
    let share = levels
        .iter()
        .any(|level| matches!(level, Level::Coverage(_)));
    let uncovered = share && total(z, rules.off_track).is_none();
    if !is_live(z, rules.off_track) {
        return BinAnswer {
            peaks: Vec::new(),
            prominences: Vec::new(),
            heights: Vec::new(),
            masks: vec![Array2::from_elem(z.dim(), false); levels.len()],
            uncovered,
        };
    }
    // From here on whatever is NaN is absent: where it is not, there is none.
    let is_peak = peaks(z);
    let bases = bases(z, &is_peak);
    let peaks: Vec<Cell> = cells(z).filter(|&c| is_peak[c]).collect();
    let dominant = dominant(z);
    BinAnswer {
        prominences: peaks.iter().map(|&c| z[c].above_base(bases[c])).collect(),
        heights: peaks.iter().map(|&c| z[c]).collect(),
        peaks,
        masks: levels
            .iter()
            .map(|&level| match threshold(z, dominant, level) {
                None => Array2::from_elem(z.dim(), false),
                Some(threshold) if rules.whole => z.mapv(|v| v >= threshold),
                Some(threshold) => mask(z, dominant, threshold, rules.eight),
            })
            .collect(),
        uncovered,
    }
}

/// A bin is live if two of its cells differ, and none of them is NaN, unless that means that it is absent.
fn is_live<T: Real>(z: ArrayView2<'_, T>, off_track: bool) -> bool {
    let has_nan = z.iter().any(|&v| is_nan(v));
    let mut there = present(z).map(|c| z[c]);
    let first = there.next();
    (off_track || !has_nan) && there.any(|v| Some(v) != first)
}

/// The cells that are not NaN, in row-major order.
fn present<T: Real>(z: ArrayView2<'_, T>) -> impl Iterator<Item = Cell> {
    cells(z).filter(move |&c| !is_nan(z[c]))
}

/// The lowest value.
fn minimum<T: Real>(z: ArrayView2<'_, T>) -> T {
    present(z)
        .map(|c| z[c])
        .reduce(|low, v| if v < low { v } else { low })
        .expect("a live bin has cells")
}

/// The cells above the minimum that are `>=` all of their eight neighbours.
fn peaks<T: Real>(z: ArrayView2<'_, T>) -> Array2<bool> {
    let minimum = minimum(z);
    let mut is_peak = Array2::from_elem(z.dim(), false);
    for c in present(z) {
        let mut around = neighbours(z.dim(), c, true).filter(|&d| !is_nan(z[d]));
        is_peak[c] = z[c] > minimum && around.all(|d| z[c] >= z[d]);
    }
    is_peak
}

/// For every peak, the highest value among the non-peak neighbours of its group, where a group is a set of peaks
/// connected through eight neighbours; the minimum, if no such neighbour is there. (For cells that are no peaks: their own
/// value, never read.)
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
            .filter(|&c| !is_peak[c] && !is_nan(z[c]))
            .map(|c| z[c])
            .reduce(|high, v| if v > high { v } else { high })
            .unwrap_or_else(|| minimum(z));
        for c in group {
            bases[c] = base;
        }
    }
    bases
}

/// The first cell, in row-major order, that holds the maximum.
fn dominant<T: Real>(z: ArrayView2<'_, T>) -> Cell {
    present(z)
        .reduce(|best, c| if z[c] > z[best] { c } else { best })
        .expect("a live bin has cells")
}

/// The value that the cells of a level reach; none if it is a share of something that has no shares.
fn threshold<T: Real>(z: ArrayView2<'_, T>, dominant: Cell, level: Level) -> Option<T> {
    match level {
        Level::OfPeak(alpha) => Some(z[dominant].level(alpha)),
        Level::Absolute(value) => Some(T::rounded(value)),
        Level::Coverage(share) => {
            let total = total(z, true)?;
            let mut values: Vec<T> = present(z).map(|c| z[c]).collect();
            values.sort_by(|a, b| b.partial_cmp(a).expect("there is no NaN among them"));
            let mut running = 0.0;
            let held = values.iter().copied().find(|&v| {
                running += v.into();
                running >= share * total
            });
            held.or(values.last().copied())
        }
    }
}

/// The sum of the values in row-major order, if they have shares of it.
fn total<T: Real>(z: ArrayView2<'_, T>, off_track: bool) -> Option<f64> {
    let mut total = 0.0;
    for c in cells(z).filter(|&c| !off_track || !is_nan(z[c])) {
        if z[c].into() < 0.0 {
            return None;
        }
        total += z[c].into();
    }
    (total.is_finite() && total != 0.0).then_some(total)
}

/// The cells `>= threshold` that are connected to the dominant cell, and in any case that cell itself.
fn mask<T: Real>(z: ArrayView2<'_, T>, dominant: Cell, threshold: T, eight: bool) -> Array2<bool> {
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
