//! The inputs on which performance is measured: 41 x 63 cells.
//!
//! `benches/peers/inputs.py` draws from the same distributions; the random numbers differ, the statistics do not.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use ndarray_npy::NpzReader;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal, Poisson};

use crate::stack::{Layout, Pages, Stack};
use crate::value::Value;

const N_X: usize = 41;
const N_Y: usize = 63;
/// Drawn once, then repeated: enough variety, bounded time.
const UNIQUE: usize = 4_000;

/// Where an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A real posterior of an open-field recording, tiled along t: 52 peaks a bin in all but the last 32 of its 786 bins, whose
    /// values are rounded and have wide plateaus: 68 on average.
    Openfield,
    /// One to four Gaussian bumps and 2 % noise, normalised: 206 peaks a bin.
    Gm,
    /// Posterior of a random walk under 80 Poisson place cells, 250 ms and 20 ms bins alternating: 13 peaks a bin.
    Po,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Openfield, Self::Gm, Self::Po];

    /// The input's name in ids.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Openfield => "openfield",
            Self::Gm => "gm",
            Self::Po => "po",
        }
    }

    /// Peaks a bin, on average over many: what the distributions of a random input are held to.
    pub(crate) fn peaks_per_bin(self) -> f64 {
        match self {
            Self::Openfield => 68.0,
            Self::Gm => 206.0,
            Self::Po => 13.0,
        }
    }

    /// An input of `n_t` time bins.
    pub(crate) fn stack<T: Value>(
        self,
        n_t: usize,
        layout: Layout,
        pages: Pages,
        seed: u64,
    ) -> Stack<T> {
        let mut rng = StdRng::seed_from_u64(seed);
        let unique = n_t.min(UNIQUE);
        let maps = match self {
            Self::Openfield => recorded(),
            Self::Gm => mixtures(unique, &mut rng),
            Self::Po => place_cells(unique, &mut rng),
        };
        tiled(maps.view(), n_t, layout, pages)
    }
}

/// Repeats maps, one a row, along t.
fn tiled<T: Value>(
    maps: ArrayView2<'_, f64>,
    n_t: usize,
    layout: Layout,
    pages: Pages,
) -> Stack<T> {
    let mut stack = Stack::zeros([N_X, N_Y, n_t], layout, pages);
    let cells: Array3<T> = Array2::from_shape_fn((N_X * N_Y, maps.nrows()), |(cell, t)| {
        T::nearest(maps[[t, cell]])
    })
    .into_shape_with_order((N_X, N_Y, maps.nrows()))
    .expect("a row for each cell");
    let mut p = stack.view_mut();
    for mut part in p.axis_chunks_iter_mut(Axis(2), maps.nrows().max(1)) {
        let n = part.len_of(Axis(2));
        part.assign(&cells.slice(s![.., .., ..n]));
    }
    stack
}

fn recorded() -> Array2<f64> {
    // Elsewhere when the bench runs on a machine without the sources.
    let data = std::env::var_os("PEAKMASK_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data"),
        PathBuf::from,
    );
    let file = std::fs::File::open(data.join("openfield_41x63_f64.npz"))
        .expect("the open-field posterior");
    let p: Array3<f64> = NpzReader::new(file)
        .and_then(|mut npz| npz.by_name("p_x_given_n"))
        .expect("the open-field posterior");
    let maps = p.view().permuted_axes([2, 0, 1]);
    Array2::from_shape_vec((p.dim().2, N_X * N_Y), maps.iter().copied().collect())
        .expect("41 x 63 cells")
}

fn mixtures(n: usize, rng: &mut StdRng) -> Array2<f64> {
    let mut maps = Array2::zeros((n, N_X * N_Y));
    for mut z in maps.rows_mut() {
        for _ in 0..rng.random_range(1..5) {
            let centre = somewhere(rng);
            let width = [rng.random_range(1.5..6.0), rng.random_range(1.5..6.0)];
            let weight = rng.random_range(0.2..1.0);
            for (cell, z) in z.iter_mut().enumerate() {
                *z += weight * bump(cell, centre, width);
            }
        }
        let noise = 0.02 * z.iter().copied().fold(0.0, f64::max);
        z.mapv_inplace(|z| z + noise * rng.random::<f64>());
        let sum = z.sum();
        z /= sum;
    }
    maps
}

fn place_cells(n: usize, rng: &mut StdRng) -> Array2<f64> {
    const UNITS: usize = 80;
    let mut rate = Array2::zeros((UNITS, N_X * N_Y));
    for mut unit in rate.rows_mut() {
        let centre = somewhere(rng);
        let width = rng.random_range(2.0..6.0);
        let peak = rng.random_range(4.0..20.0);
        for (cell, rate) in unit.iter_mut().enumerate() {
            *rate = 0.05 + peak * bump(cell, centre, [width; 2]);
        }
    }
    let log_rate = rate.ln();
    let total = rate.sum_axis(Axis(0));
    let step = Normal::new(0.0, 1.0).expect("a normal distribution");
    let mut at = [20.0_f64, 30.0];
    let mut maps = Array2::zeros((n, N_X * N_Y));
    for (t, mut p) in maps.rows_mut().into_iter().enumerate() {
        for (at, length) in at.iter_mut().zip([N_X, N_Y]) {
            *at = (*at + step.sample(rng)).clamp(0.0, (length - 1) as f64);
        }
        let here = at[0].round() as usize * N_Y + at[1].round() as usize;
        let dt = if t % 2 == 0 { 0.25 } else { 0.02 };
        p.scaled_add(-dt, &total);
        for (rate, log_rate) in rate.rows().into_iter().zip(log_rate.rows()) {
            let spikes = Poisson::new(rate[here] * dt).expect("a positive rate");
            p.scaled_add(spikes.sample(rng), &log_rate);
        }
        let highest = p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        p.mapv_inplace(|log_p| (log_p - highest).exp());
        let sum = p.sum();
        p /= sum;
    }
    maps
}

fn somewhere(rng: &mut StdRng) -> [f64; 2] {
    [N_X, N_Y].map(|length| rng.random_range(0.0..(length - 1) as f64))
}

fn bump(cell: usize, centre: [f64; 2], width: [f64; 2]) -> f64 {
    let x = ((cell / N_Y) as f64 - centre[0]) / width[0];
    let y = ((cell % N_Y) as f64 - centre[1]) / width[1];
    (-0.5 * (x * x + y * y)).exp()
}
