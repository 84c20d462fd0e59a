//! What a time bin and its masks come to, number by number, from the answers of the bins.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use super::{BinAnswer, Real, cells, dominant, neighbours};

/// The numbers of one time bin.
#[derive(Debug, Clone)]
pub(crate) struct BinSummary<T> {
    pub(crate) live: bool,
    pub(crate) dominant: [i64; 2],
    pub(crate) height: Option<T>,
    pub(crate) prominence: Option<T>,
    pub(crate) highest_prominence: Option<T>,
    pub(crate) peaks: i64,
    pub(crate) minimum: Option<T>,
    pub(crate) total: f64,
    pub(crate) levels: Vec<LevelSummary<T>>,
}

/// The numbers of one mask.
#[derive(Debug, Clone)]
pub(crate) struct LevelSummary<T> {
    pub(crate) threshold: Option<T>,
    pub(crate) area: i64,
    pub(crate) reached: i64,
    pub(crate) mass: f64,
    pub(crate) sums: [i64; 2],
    pub(crate) centroid: [f64; 2],
    pub(crate) first: [i64; 2],
    pub(crate) last: [i64; 2],
    pub(crate) border: bool,
    /// Plain overlap, dilated overlap, dilated union with the next bin.
    pub(crate) overlaps: [i64; 3],
}

/// The summaries of all bins of `P[x, y, t]`; a value that is not there is none.
pub(crate) fn summary<T: Real + Into<f64>>(
    p: ArrayView3<'_, T>,
    alphas: &[f64],
    answers: &[BinAnswer<T>],
) -> Vec<BinSummary<T>> {
    let bins = p.axis_iter(Axis(2)).zip(answers).enumerate();
    bins.map(|(t, (z, answer))| {
        let levels = alphas
            .iter()
            .zip(&answer.masks)
            .enumerate()
            .map(|(level, (&alpha, mask))| {
                let next = answers.get(t + 1).map(|answer| &answer.masks[level]);
                let threshold = (!answer.peaks.is_empty()).then(|| z[dominant(z)].level(alpha));
                level_summary(z, threshold, mask, next)
            });
        bin_summary(z, answer, levels.collect())
    })
    .collect()
}

fn bin_summary<T: Real + Into<f64>>(
    z: ArrayView2<'_, T>,
    answer: &BinAnswer<T>,
    levels: Vec<LevelSummary<T>>,
) -> BinSummary<T> {
    let live = !answer.peaks.is_empty();
    let top = if live { dominant(z) } else { (0, 0) };
    let place = answer.peaks.iter().position(|&peak| peak == top);
    let highest = |a: T, b: T| if b > a { b } else { a };
    let lowest = |a: T, b: T| if b < a { b } else { a };
    let nan = z.iter().any(|v| v.partial_cmp(v).is_none());
    let mut total = 0.0;
    for c in cells(z) {
        total += z[c].into();
    }
    BinSummary {
        live,
        dominant: if live {
            [top.0 as i64, top.1 as i64]
        } else {
            [-1, -1]
        },
        height: live.then(|| z[top]),
        prominence: live.then(|| answer.prominences[place.expect("the dominant cell is a peak")]),
        highest_prominence: answer.prominences.iter().copied().reduce(highest),
        peaks: answer.peaks.len() as i64,
        // A zero is positive: nothing is taken from it.
        minimum: (!nan).then(|| {
            z.iter()
                .copied()
                .reduce(lowest)
                .expect("a map has a cell")
                .above_base(T::ZERO)
        }),
        total,
        levels,
    }
}

fn level_summary<T: Real + Into<f64>>(
    z: ArrayView2<'_, T>,
    threshold: Option<T>,
    mask: &Array2<bool>,
    next: Option<&Array2<bool>>,
) -> LevelSummary<T> {
    let (n_x, n_y) = z.dim();
    let inside: Vec<_> = cells(z).filter(|&c| mask[c]).collect();
    let (mut mass, mut along_x, mut along_y) = (0.0, 0.0, 0.0);
    for &(x, y) in &inside {
        let value: f64 = z[(x, y)].into();
        mass += value;
        along_x += x as f64 * value;
        along_y += y as f64 * value;
    }
    let ends = |most: bool| -> [i64; 2] {
        let of = |values: Vec<usize>| {
            let end = if most {
                values.iter().max()
            } else {
                values.iter().min()
            };
            end.map_or(-1, |&end| end as i64)
        };
        [
            of(inside.iter().map(|c| c.0).collect()),
            of(inside.iter().map(|c| c.1).collect()),
        ]
    };
    let overlaps = next.map_or([-1; 3], |next| {
        let grown = |c| mask[c] || neighbours(z.dim(), c, true).any(|d| mask[d]);
        let number = |belongs: &dyn Fn((usize, usize)) -> bool| {
            cells(z).filter(|&c| belongs(c)).count() as i64
        };
        [
            number(&|c| mask[c] && next[c]),
            number(&|c| grown(c) && next[c]),
            number(&|c| grown(c) || next[c]),
        ]
    });
    LevelSummary {
        threshold,
        area: inside.len() as i64,
        reached: threshold.map_or(0, |threshold| {
            z.iter().filter(|&&v| v >= threshold).count() as i64
        }),
        mass,
        sums: [
            inside.iter().map(|c| c.0 as i64).sum(),
            inside.iter().map(|c| c.1 as i64).sum(),
        ],
        centroid: if inside.is_empty() {
            [f64::NAN; 2]
        } else {
            [along_x / mass, along_y / mass]
        },
        first: ends(false),
        last: ends(true),
        border: inside
            .iter()
            .any(|&(x, y)| x == 0 || y == 0 || x + 1 == n_x || y + 1 == n_y),
        overlaps,
    }
}
