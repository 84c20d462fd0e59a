//! Random posteriors: any seed names one, on any machine.
//!
//! Sizes straddle the widths of words, vectors and tiles; the maps of one posterior are of many kinds, side by side in
//! neighbouring time bins, and in some posteriors all of one kind.

use ndarray::{Array2, Array3, Axis};

use super::float::Float;

/// A posterior, and how to analyse it.
pub(crate) struct Case<T> {
    pub(crate) seed: u64,
    pub(crate) p: Array3<T>,
    pub(crate) alphas: Vec<f64>,
    pub(crate) eight: bool,
    /// The axis along which all values repeat, if there is one: the posterior can be shown as a broadcast view.
    pub(crate) broadcast: Option<Axis>,
}

impl<T: Float> Case<T> {
    /// The case of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let shape = shape(&mut rng);
        let broadcast = (rng.u8(..12) == 0).then(|| Axis(rng.usize(..3)));
        Self::draw(seed, &mut rng, shape, broadcast)
    }

    /// A case of this shape, not broadcast.
    pub(crate) fn sized(seed: u64, shape: [usize; 3]) -> Self {
        Self::draw(seed, &mut fastrand::Rng::with_seed(seed), shape, None)
    }

    fn draw(
        seed: u64,
        rng: &mut fastrand::Rng,
        shape: [usize; 3],
        broadcast: Option<Axis>,
    ) -> Self {
        let alphas = alphas(rng);
        let mut base = shape;
        if let Some(Axis(axis)) = broadcast {
            base[axis] = 1;
        }
        let base = posterior(rng, base, &alphas);
        let p = base.broadcast(shape).expect("an axis of length 1 repeats");
        Self {
            seed,
            p: p.to_owned(),
            alphas,
            eight: rng.bool(),
            broadcast,
        }
    }
}

/// The lengths along time: one and two bins, and around the widths of one, two and several words of 64 lanes.
const N_T: [usize; 9] = [1, 2, 63, 64, 65, 127, 128, 129, 513];

/// The lengths of a map: tiny ones, and around the widths of words.
const EDGES: [usize; 14] = [1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 130, 41];

/// The number of values in most posteriors, and in a few.
const VALUES: usize = 1 << 17;
const VALUES_OF_FEW: usize = 1 << 19;

fn shape(rng: &mut fastrand::Rng) -> [usize; 3] {
    let n_t = N_T[rng.usize(..N_T.len())];
    let values = if rng.u8(..10) == 0 {
        VALUES_OF_FEW
    } else {
        VALUES
    };
    let a = edge(rng, values / n_t);
    let b = edge(rng, values / n_t / a);
    if rng.bool() { [a, b, n_t] } else { [b, a, n_t] }
}

/// A length of a map, at most `limit`.
fn edge(rng: &mut fastrand::Rng, limit: usize) -> usize {
    if rng.u8(..3) == 0 {
        return rng.usize(4..=30).min(limit);
    }
    let fitting = EDGES.iter().filter(|&&n| n <= limit).count();
    let mut edges = EDGES;
    edges.sort_unstable();
    edges[rng.usize(..fitting)]
}

/// Levels of every sort, repeated ones and no level at all among them.
fn alphas(rng: &mut fastrand::Rng) -> Vec<f64> {
    let n = [0, 1, 1, 2, 2, 2, 3, 3, 4, 5][rng.usize(..10)];
    let mut alphas: Vec<f64> = Vec::new();
    for _ in 0..n {
        let alpha = match rng.u8(..16) {
            0 => 0.0,
            1 => 1.0,
            2 => [1.1, 2.0, 1e300][rng.usize(..3)],
            3 => [-0.5, -1.0, -0.0][rng.usize(..3)],
            4 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][rng.usize(..3)],
            5..8 => rng.f64(),
            8 if !alphas.is_empty() => alphas[rng.usize(..alphas.len())],
            _ => [0.9, 0.5, 0.1, 0.25, 0.75, 0.99][rng.usize(..6)],
        };
        alphas.push(alpha);
    }
    alphas
}

/// What a map looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Independent values.
    Noise,
    /// A few smooth bumps: a posterior.
    Bumps,
    /// The logarithm of bumps, -inf where they vanish.
    LogBumps,
    /// Bumps rounded to a few levels: plateaus with shoulders.
    Quantised,
    /// Every cell one of two to four values.
    Levels,
    /// Overlapping rectangles of a few heights.
    Terraces,
    /// A corridor that winds through the whole map.
    Maze,
    /// Values at, just above and just below `alpha` times the greatest.
    Brink,
    /// Small multiples of the smallest subnormal, of both signs.
    Subnormals,
    /// Mostly zeros of both signs.
    SignedZeros,
    /// Infinities and the largest finite values.
    Extremes,
    /// One value everywhere.
    Constant,
    /// One value everywhere but in a cell or two.
    NearlyConstant,
    /// Any other kind, with a NaN or several.
    Nan,
}

/// The kinds, the frequent ones repeated.
const KINDS: [Kind; 20] = [
    Kind::Noise,
    Kind::Bumps,
    Kind::Bumps,
    Kind::LogBumps,
    Kind::Quantised,
    Kind::Quantised,
    Kind::Levels,
    Kind::Levels,
    Kind::Terraces,
    Kind::Terraces,
    Kind::Maze,
    Kind::Maze,
    Kind::Maze,
    Kind::Brink,
    Kind::Subnormals,
    Kind::SignedZeros,
    Kind::Extremes,
    Kind::Constant,
    Kind::NearlyConstant,
    Kind::Nan,
];

fn posterior<T: Float>(rng: &mut fastrand::Rng, shape: [usize; 3], alphas: &[f64]) -> Array3<T> {
    let [n_x, n_y, _] = shape;
    let only = (rng.u8(..5) == 0).then(|| KINDS[rng.usize(..KINDS.len())]);
    let mut p = Array3::from_elem(shape, T::default());
    let mut previous = None;
    for mut bin in p.axis_iter_mut(Axis(2)) {
        let repeated = previous.take().filter(|_| rng.u8(..16) == 0);
        let z: Array2<T> = repeated.unwrap_or_else(|| {
            let kind = only.unwrap_or_else(|| KINDS[rng.usize(..KINDS.len())]);
            map(rng, kind, (n_x, n_y), alphas)
        });
        bin.assign(&z);
        previous = Some(z);
    }
    p
}

fn map<T: Float>(
    rng: &mut fastrand::Rng,
    kind: Kind,
    dim: (usize, usize),
    alphas: &[f64],
) -> Array2<T> {
    match kind {
        Kind::Noise => cells(dim, || T::of(rng.f64())),
        Kind::Bumps => bumps(rng, dim).mapv(T::of),
        Kind::LogBumps => bumps(rng, dim).mapv(|v| T::of(v.ln())),
        Kind::Quantised => quantised(rng, dim),
        Kind::Levels => {
            let (n, scale) = (rng.i32(2..=4), [1.0, 0.1, -3.0][rng.usize(..3)]);
            cells(dim, || T::of(f64::from(rng.i32(..n)) * scale))
        }
        Kind::Terraces => terraces(rng, dim),
        Kind::Maze => maze(rng, dim),
        Kind::Brink => brink(rng, dim, alphas),
        Kind::Subnormals => {
            let least = if rng.bool() { 0 } else { -4 };
            cells(dim, || T::subnormal(rng.i32(least..=4)))
        }
        Kind::SignedZeros => {
            let values = [0.0, -0.0, 0.0, -0.0, 0.0, -0.0, -1e-300, 1e-300, -1.0, 1.0];
            let n = rng.usize(7..=values.len());
            cells(dim, || T::of(values[rng.usize(..n)]))
        }
        Kind::Extremes => {
            let largest = T::LARGEST;
            let values = [
                T::of(f64::INFINITY),
                T::of(f64::NEG_INFINITY),
                largest,
                T::of(0.0),
                T::of(1.0),
                T::of(-1.0),
                T::with_bits(largest.bits() | T::of(-0.0).bits()),
            ];
            let first = rng.usize(..3);
            cells(dim, || values[rng.usize(first..values.len())])
        }
        Kind::Constant => {
            let values = [0.0, -0.0, 1.0, 1.0 / 2583.0, f64::INFINITY, -f64::INFINITY];
            Array2::from_elem(dim, T::of(values[rng.usize(..values.len())]))
        }
        Kind::NearlyConstant => {
            let (most, few) = [
                (1.0, 0.0),
                (0.0, 1.0),
                (-f64::INFINITY, -2.0),
                (2.0, f64::NEG_INFINITY),
            ][rng.usize(..4)];
            let mut z = Array2::from_elem(dim, T::of(most));
            for _ in 0..rng.usize(1..3) {
                z[any_cell(rng, dim)] = T::of(few);
            }
            z
        }
        Kind::Nan => {
            let kind = KINDS[rng.usize(..KINDS.len() - 1)];
            let mut z = map(rng, kind, dim, alphas);
            for _ in 0..rng.usize(1..4) {
                z[any_cell(rng, dim)] = T::of(f64::NAN);
            }
            z
        }
    }
}

fn cells<T>(dim: (usize, usize), value: impl FnMut() -> T) -> Array2<T> {
    Array2::from_shape_simple_fn(dim, value)
}

fn any_cell(rng: &mut fastrand::Rng, (n_x, n_y): (usize, usize)) -> (usize, usize) {
    (rng.usize(..n_x), rng.usize(..n_y))
}

fn bumps(rng: &mut fastrand::Rng, (n_x, n_y): (usize, usize)) -> Array2<f64> {
    let noise = if rng.bool() { 0.02 } else { 0.0 };
    let mut z = cells((n_x, n_y), || noise * rng.f64());
    for _ in 0..rng.usize(1..4) {
        let (cx, cy) = (rng.f64() * n_x as f64, rng.f64() * n_y as f64);
        let (sx, sy) = (1.0 + 5.0 * rng.f64(), 1.0 + 5.0 * rng.f64());
        let across: Vec<f64> = (0..n_y)
            .map(|y| (-0.5 * ((y as f64 - cy) / sy).powi(2)).exp())
            .collect();
        for (x, mut row) in z.rows_mut().into_iter().enumerate() {
            let along = (-0.5 * ((x as f64 - cx) / sx).powi(2)).exp();
            row.iter_mut()
                .zip(&across)
                .for_each(|(v, across)| *v += along * across);
        }
    }
    let sum = z.sum();
    z.mapv_into(|v| v / sum)
}

fn quantised<T: Float>(rng: &mut fastrand::Rng, dim: (usize, usize)) -> Array2<T> {
    let z = bumps(rng, dim);
    let steps = f64::from(rng.u32(2..9)) / z.iter().copied().fold(0.0, f64::max);
    z.mapv(|v| T::of((v * steps).round() / 8.0))
}

fn terraces<T: Float>(rng: &mut fastrand::Rng, (n_x, n_y): (usize, usize)) -> Array2<T> {
    let mut z = Array2::from_elem((n_x, n_y), T::of(0.0));
    for _ in 0..rng.usize(1..8) {
        let ((x, y), height) = (any_cell(rng, (n_x, n_y)), rng.u32(1..5));
        let x_end = (x + rng.usize(1..6)).min(n_x);
        let y_end = (y + rng.usize(1..6)).min(n_y);
        z.slice_mut(ndarray::s![x..x_end, y..y_end])
            .fill(T::of(f64::from(height)));
    }
    z
}

/// The cells of a corridor, in order, that runs to and fro along the second axis, with walls one cell thick.
pub(crate) fn corridor((n_x, n_y): (usize, usize)) -> Vec<(usize, usize)> {
    let mut path = Vec::new();
    for x in 0..n_x {
        let turned = (x / 2) % 2 == 1;
        let along = |k: usize| if turned { n_y - 1 - k } else { k };
        if x % 2 == 0 {
            path.extend((0..n_y).map(|k| (x, along(k))));
        } else if x + 1 < n_x {
            path.push((x, along(n_y - 1)));
        }
    }
    path
}

fn maze<T: Float>(rng: &mut fastrand::Rng, (n_x, n_y): (usize, usize)) -> Array2<T> {
    let across = rng.bool();
    let mut path = corridor(if across { (n_y, n_x) } else { (n_x, n_y) });
    if across {
        path.iter_mut().for_each(|(x, y)| std::mem::swap(x, y));
    }
    let (sort, length) = (rng.u8(..4), path.len() as f64);
    // Below zero, levels above 1 let the flood in.
    let lower = if rng.u8(..6) == 0 { -2.0 } else { 0.0 };
    let mut z = Array2::from_elem((n_x, n_y), T::of(lower));
    for (k, &c) in path.iter().enumerate() {
        let v = match sort {
            0 => 1.0,
            1 => 0.92 + 0.08 * k as f64 / length,
            2 => 0.92 + 0.08 * (1.0 - k as f64 / length),
            _ => 0.92 + 0.08 * rng.f64(),
        };
        z[c] = T::of(v + lower);
    }
    z
}

fn brink<T: Float>(rng: &mut fastrand::Rng, dim: (usize, usize), alphas: &[f64]) -> Array2<T> {
    let height = T::of(rng.f64() + f64::from(rng.u8(..2)) * 1e-3);
    let ordinary: Vec<f64> = alphas
        .iter()
        .copied()
        .filter(|a| (0.0..1.0).contains(a))
        .collect();
    let mut z = cells(dim, || {
        let alpha = if ordinary.is_empty() {
            rng.f64()
        } else {
            ordinary[rng.usize(..ordinary.len())]
        };
        let level = height.level(alpha);
        match rng.u8(..4) {
            0 => level.down(),
            1 => level.up(),
            _ => level,
        }
    });
    z[any_cell(rng, dim)] = height;
    z
}
