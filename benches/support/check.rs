//! A slow answer for single time bins, to be right before being fast: nothing of the crate's engine is used.

use ndarray::{Array3, ArrayView3};
use peakmask::Peaks;

use crate::value::Value;

/// Panics unless the results of these time bins are what [`Bin`] says, to the bit.
pub(crate) fn assert_bins<T: Value>(
    p: ArrayView3<'_, T>,
    alphas: &[f64],
    masks: &[Array3<bool>],
    peaks: &Peaks<T>,
    bins: impl IntoIterator<Item = usize>,
) {
    assert_eq!(peaks.n_bins(), p.dim().2, "number of time bins");
    for t in bins {
        let bin = Bin::new(p, t);
        let found = peaks.bin(t);
        let expected = bin.peaks();
        let columns: Vec<_> = (found.coords.iter())
            .zip(found.heights.iter().zip(found.prominences))
            .map(|(&at, (height, prominence))| {
                (at, height.wide().to_bits(), prominence.wide().to_bits())
            })
            .collect();
        assert_eq!(columns, expected, "peaks of time bin {t}");
        for (alpha, mask) in alphas.iter().zip(masks) {
            let found: Vec<bool> = mask.slice(ndarray::s![.., .., t]).iter().copied().collect();
            assert!(
                found == bin.mask(*alpha),
                "mask of time bin {t} at alpha {alpha}"
            );
        }
    }
}

/// One map, its values widened to `f64`, which changes none of the comparisons.
struct Bin<T> {
    z: Vec<f64>,
    n_y: usize,
    element: std::marker::PhantomData<T>,
}

impl<T: Value> Bin<T> {
    fn new(p: ArrayView3<'_, T>, t: usize) -> Self {
        let z = p.slice(ndarray::s![.., .., t]);
        Self {
            z: z.iter().map(|z| z.wide()).collect(),
            n_y: p.dim().1,
            element: std::marker::PhantomData,
        }
    }

    /// Cells up to `reach` steps away in all: 1 for the four neighbours, 2 for all eight.
    fn neighbours(&self, cell: usize, reach: usize) -> impl Iterator<Item = usize> {
        let n_y = self.n_y;
        let (x, y) = (cell / n_y, cell % n_y);
        let near = |at: usize, n: usize| at.saturating_sub(1)..(at + 2).min(n);
        let ys = near(y, n_y);
        near(x, self.z.len() / n_y)
            .flat_map(move |i| ys.clone().map(move |j| (i, j)))
            .filter(move |&(i, j)| (1..=reach).contains(&(i.abs_diff(x) + j.abs_diff(y))))
            .map(move |(i, j)| i * n_y + j)
    }

    fn live(&self) -> bool {
        !self.z.iter().any(|z| z.is_nan()) && self.z.iter().any(|z| *z != self.z[0])
    }

    /// All cells that `inside` allows and that hang together with the first.
    fn region(&self, first: usize, reach: usize, inside: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut filled = vec![false; self.z.len()];
        filled[first] = true;
        let mut open = vec![first];
        while let Some(cell) = open.pop() {
            for next in self.neighbours(cell, reach) {
                if inside(next) && !filled[next] {
                    filled[next] = true;
                    open.push(next);
                }
            }
        }
        filled
    }

    /// Position, height and prominence of each peak, the numbers as bits of an `f64`.
    fn peaks(&self) -> Vec<([i64; 2], u64, u64)> {
        let z = &self.z;
        let lowest = z.iter().copied().fold(f64::INFINITY, f64::min);
        let is_peak: Vec<bool> = (0..z.len())
            .map(|cell| {
                self.live()
                    && z[cell] > lowest
                    && self.neighbours(cell, 2).all(|near| z[near] <= z[cell])
            })
            .collect();
        let base = |peak: usize| {
            let group = self.region(peak, 2, |cell| is_peak[cell]);
            (0..z.len())
                .filter(|&cell| !is_peak[cell] && self.neighbours(cell, 2).any(|near| group[near]))
                .map(|cell| z[cell])
                .fold(f64::NEG_INFINITY, f64::max)
        };
        (0..z.len())
            .filter(|&cell| is_peak[cell])
            .map(|cell| {
                let prominence = T::nearest(z[cell] - base(cell)).wide() + 0.0;
                let at = [(cell / self.n_y) as i64, (cell % self.n_y) as i64];
                (at, z[cell].to_bits(), prominence.to_bits())
            })
            .collect()
    }

    fn mask(&self, alpha: f64) -> Vec<bool> {
        if !self.live() {
            return vec![false; self.z.len()];
        }
        let highest = self.z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let dominant = self.z.iter().position(|&z| z == highest);
        let threshold = T::nearest(alpha * highest).wide();
        self.region(dominant.expect("a maximum"), 1, |cell| {
            highest >= threshold && self.z[cell] >= threshold
        })
    }
}
