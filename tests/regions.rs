//! Regions of every peak, and filters, equal what a few plain sentences yield on random posteriors.

mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use std::collections::BTreeSet;

use ndarray::{ArrayView2, Axis, s};
use peakmask::{Connectivity, Error, Options, PeakFilter, Peaks, analyze, regions};

use support::float::Float;
use support::generator::Case;

const ALPHAS: [f64; 5] = [0.5, 0.9, 1.0, 1.5, -0.5];

/// The cells around a peak that reach `alpha` times its height, and in any case the peak.
fn region<T: Float>(
    z: ArrayView2<'_, T>,
    peak: oracle::Cell,
    alpha: f64,
    eight: bool,
) -> BTreeSet<oracle::Cell> {
    let threshold = oracle::Real::level(z[peak], alpha);
    let mut cells = BTreeSet::from([peak]);
    let mut next: Vec<_> = cells
        .iter()
        .copied()
        .filter(|&c| z[c] >= threshold)
        .collect();
    while let Some(cell) = next.pop() {
        for near in oracle::neighbours(z.dim(), cell, eight) {
            if z[near] >= threshold && cells.insert(near) {
                next.push(near);
            }
        }
    }
    cells
}

fn random_regions<T: Float>() {
    let (mut overlapping, mut inland) = (0, [false; 2]);
    for (seed, shape) in [
        [6, 7, 70],
        [9, 4, 3],
        [1, 66, 9],
        [12, 12, 5],
        [40, 1, 6],
        [1, 1, 3],
    ]
    .into_iter()
    .cycle()
    .take(60)
    .enumerate()
    {
        let case = Case::<T>::sized(seed as u64, shape);
        let connectivity = if case.eight {
            Connectivity::Eight
        } else {
            Connectivity::Four
        };
        let options = Options::new()
            .connectivity(connectivity)
            .threads(1 + seed % 3);
        let peaks = analyze(case.p.view(), &options).expect("an analysis").peaks;
        let peaks =
            peaks.filtered(&PeakFilter::new().highest(if seed % 2 == 0 { 7 } else { 1000 }));
        let found = regions(case.p.view(), &peaks, &ALPHAS, &options, true).expect("regions");
        for (alpha, found) in ALPHAS.iter().zip(&found) {
            assert_eq!(found.cell_offsets.len(), peaks.len() + 1);
            for t in 0..peaks.n_bins() {
                let z = case.p.index_axis(Axis(2), t);
                let first = peaks.offsets[t] as usize;
                let all: Vec<_> = (peaks.bin(t).coords.iter())
                    .map(|&[x, y]| region(z, (x as usize, y as usize), *alpha, case.eight))
                    .collect();
                for (i, cells) in all.iter().enumerate() {
                    let row = first + i;
                    let story = format!("seed {seed}, bin {t}, peak {i}, alpha {alpha}");
                    let listed =
                        found.cell_offsets[row] as usize..found.cell_offsets[row + 1] as usize;
                    let listed: Vec<_> = found.cells[listed]
                        .iter()
                        .map(|&[x, y]| (x as usize, y as usize))
                        .collect();
                    assert_eq!(listed, cells.iter().copied().collect::<Vec<_>>(), "{story}");
                    assert_eq!(found.areas[row], cells.len() as i64, "{story}");
                    let xs = cells.iter().map(|c| c.0 as i64);
                    let ys = cells.iter().map(|c| c.1 as i64);
                    let corners = [
                        xs.clone().min().expect("a cell"),
                        xs.clone().max().expect("a cell"),
                        ys.clone().min().expect("a cell"),
                        ys.clone().max().expect("a cell"),
                    ];
                    assert_eq!(found.boxes[row], corners, "{story}");
                    let mean = |sum: i64| sum as f64 / cells.len() as f64;
                    assert_eq!(
                        found.centres[row],
                        [mean(xs.sum()), mean(ys.sum())],
                        "{story}"
                    );
                    let border = cells.iter().map(|&(x, y)| match z.dim() {
                        (n_x, 1) => x.min(n_x - 1 - x),
                        (1, n_y) => y.min(n_y - 1 - y),
                        (n_x, n_y) => x.min(y).min(n_x - 1 - x).min(n_y - 1 - y),
                    });
                    let border = border.min().expect("a cell");
                    assert_eq!(found.border_distances[row], border as i64, "{story}");
                    inland[usize::from(z.ncols() == 1)] |= border > 0;
                    let others = || all.iter().enumerate().filter(|&(j, _)| j != i);
                    let overlaps = others()
                        .filter(|(_, other)| !other.is_disjoint(cells))
                        .count();
                    assert_eq!(found.overlaps[row], overlaps as i64, "{story}");
                    overlapping += overlaps;
                    let holders = others().filter(|&(j, other)| {
                        cells.is_subset(other) && (other.len() > cells.len() || j < i)
                    });
                    let holder = holders.min_by_key(|&(j, other)| (other.len(), j));
                    let holder = holder.map_or(-1, |(j, _)| (first + j) as i64);
                    assert_eq!(found.holders[row], holder, "{story}");
                }
            }
        }
    }
    assert!(overlapping > 1000, "{overlapping}");
    assert_eq!(inland, [true; 2]);
}

#[test]
fn random_regions_f64() {
    random_regions::<f64>();
}

#[test]
fn random_regions_f32() {
    random_regions::<f32>();
}

#[test]
fn peaks_of_another_input_are_refused() {
    let case = Case::<f64>::sized(1, [6, 7, 5]);
    let peaks = analyze(case.p.view(), &Options::new())
        .expect("an analysis")
        .peaks;
    for part in [s![.., .., ..4], s![..2, .., ..]] {
        let result = regions(case.p.slice(part), &peaks, &[0.5], &Options::new(), false);
        assert!(
            matches!(result, Err(Error::ForeignPeaks { bins: 5, .. })),
            "{result:?}"
        );
    }
}

/// What a filter keeps of one bin, said plainly: rows of the bin.
fn kept<T: Float>(bin: peakmask::BinPeaks<'_, T>, by: &Sieve) -> Vec<usize> {
    let value = |v: T| -> f64 { v.into() };
    let top = bin
        .heights
        .iter()
        .copied()
        .map(value)
        .fold(f64::NEG_INFINITY, f64::max);
    let mut rows: Vec<usize> = (0..bin.len())
        .filter(|&row| value(bin.heights[row]) >= by.height)
        .filter(|&row| {
            let level = by
                .relative
                .map(|fraction| oracle::Real::level(T::of(top), fraction));
            level.is_none_or(|level| bin.heights[row] >= level)
        })
        .filter(|&row| value(bin.prominences[row]) >= by.prominence)
        .collect();
    let key = |row: usize| {
        let (height, prominence) = (value(bin.heights[row]), value(bin.prominences[row]));
        if by.by_prominence {
            [prominence, height]
        } else {
            [height, height]
        }
    };
    // Stable, so that the row-major first of equal ones comes first.
    rows.sort_by(|&a, &b| key(b).partial_cmp(&key(a)).expect("no NaN"));
    let mut best: Vec<usize> = Vec::new();
    for row in rows {
        let squared = |other: usize| {
            let [a, b] = [row, other].map(|row| bin.coords[row]);
            ((a[0] - b[0]).pow(2) + (a[1] - b[1]).pow(2)) as f64
        };
        if best
            .iter()
            .all(|&other| squared(other) >= by.distance * by.distance)
        {
            best.push(row);
        }
    }
    best.truncate(by.most);
    best.sort_unstable();
    best
}

/// All sieves at once.
struct Sieve {
    height: f64,
    relative: Option<f64>,
    prominence: f64,
    distance: f64,
    most: usize,
    by_prominence: bool,
}

#[test]
fn random_filters() {
    let mut dropped = 0;
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let case = Case::<f64>::sized(seed, [9, 8, 20]);
        let peaks: Peaks<f64> = analyze(case.p.view(), &Options::new())
            .expect("an analysis")
            .peaks;
        let by = Sieve {
            height: [f64::NEG_INFINITY, 0.01, 1.0][rng.usize(..3)],
            relative: [None, Some(0.5), Some(0.9)][rng.usize(..3)],
            prominence: [f64::NEG_INFINITY, 0.0, 0.1, 1.0][rng.usize(..4)],
            distance: [0.0, 1.0, 1.5, 3.0][rng.usize(..4)],
            most: [usize::MAX, 0, 1, 3][rng.usize(..4)],
            by_prominence: rng.bool(),
        };
        let mut filter = PeakFilter::new();
        if by.height > f64::NEG_INFINITY {
            filter = filter.min_height(by.height);
        }
        if let Some(fraction) = by.relative {
            filter = filter.min_relative_height(fraction);
        }
        if by.prominence > f64::NEG_INFINITY {
            filter = filter.min_prominence(by.prominence);
        }
        if by.distance > 0.0 {
            filter = filter.min_distance(by.distance);
        }
        if by.by_prominence {
            filter = filter.most_prominent(by.most);
        } else {
            filter = filter.highest(by.most);
        }
        let found = peaks.filtered(&filter);
        assert_eq!(found.n_bins(), peaks.n_bins());
        let mut left = peaks.clone();
        left.retain(&filter);
        assert_eq!(left, found, "seed {seed}, {filter:?}");
        for t in 0..peaks.n_bins() {
            let bin = peaks.bin(t);
            let rows = kept(bin, &by);
            let coords: Vec<_> = rows.iter().map(|&row| bin.coords[row]).collect();
            let heights: Vec<_> = rows.iter().map(|&row| bin.heights[row]).collect();
            assert_eq!(
                found.bin(t).coords,
                coords,
                "seed {seed}, bin {t}, {filter:?}"
            );
            assert_eq!(
                found.bin(t).heights,
                heights,
                "seed {seed}, bin {t}, {filter:?}"
            );
            dropped += bin.len() - rows.len();
        }
    }
    assert!(dropped > 1000, "{dropped}");
}
