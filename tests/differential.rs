//! The crate equals the oracle, to the bit, on random posteriors: both element types, both connectivities, every memory
//! layout, every engine.
//!
//! `PEAKMASK_TEST_BINS` sets the number of random bins (100,000 unless set), `PEAKMASK_TEST_SEED` replays one case.

mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array3, Axis};
use peakmask::Peaks;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use support::census::Census;
use support::compare::{Answer, Zeros};
use support::engine::Engine;
use support::float::Float;
use support::generator::Case;
use support::layout::Layout;
use support::trial::Trial;

fn rules(eight: bool) -> oracle::Rules {
    oracle::Rules {
        eight,
        ..oracle::Rules::default()
    }
}

/// Random bins by default, both element types together.
const BINS: usize = 100_000;

#[test]
fn random_bins_f64() {
    random_bins::<f64>();
}

#[test]
fn random_bins_f32() {
    random_bins::<f32>();
}

fn random_bins<T: Float>() {
    if let Some(seed) = variable("PEAKMASK_TEST_SEED") {
        report(T::NAME, &check_case::<T>(seed));
        return;
    }
    let wanted = variable("PEAKMASK_TEST_BINS").unwrap_or(BINS as u64) as usize / 2 + 1;
    let (seeds, census) = (AtomicU64::new(0), Mutex::new(Census::default()));
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while census.lock().is_ok_and(|census| census.bins < wanted) {
                    let one = check_case::<T>(seeds.fetch_add(1, Ordering::Relaxed));
                    if let Ok(mut census) = census.lock() {
                        *census += one;
                    }
                }
            });
        }
    });
    let census = census.into_inner().expect("no worker panicked");
    report(T::NAME, &census);
    assert!(census.bins >= wanted);
    census.assert_various();
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name} has to be a whole number, but is {text:?}")))
}

/// Says what ran, past the test harness, which keeps the output of tests that pass to itself.
fn report(name: &str, census: &Census) {
    let _ = writeln!(std::io::stderr(), "random posteriors of {name}: {census}");
}

/// Analyses the posterior of this seed with every instruction set, each time in other layouts.
fn check_case<T: Float>(seed: u64) -> Census {
    let case = Case::<T>::new(seed);
    let bins = oracle::answer(case.p.view(), &case.alphas, case.eight);
    let expected = Answer::of_bins(case.p.dim(), case.alphas.len(), &bins);
    let trial = Trial {
        origin: format!(
            "seed {seed}: replay with PEAKMASK_TEST_SEED={seed} cargo test --test differential random_bins_{}",
            T::NAME
        ),
        p: case.p.view(),
        levels: &oracle::of_peak(&case.alphas),
        rules: rules(case.eight),
        expected: &expected,
        zeros: Zeros::Signed,
    };
    let mut rng = fastrand::Rng::with_seed(case.seed ^ 0x5eed);
    let mut peaks = Peaks::new();
    for engine in Engine::draw(&mut rng) {
        let layout = Layout::draw(&mut rng);
        match case.broadcast {
            Some(axis) if rng.bool() => {
                let one = case.p.slice_axis(axis, ndarray::Slice::from(..1));
                let view = one.broadcast(case.p.dim()).expect("the axis repeats");
                trial.owned_view(engine, view, &format!("input broadcast along {axis:?}"));
            }
            _ if rng.u8(..4) == 0 => trial.owned(engine, layout),
            _ => trial.given_outputs(engine, layout, Layout::draw(&mut rng), &mut peaks),
        }
    }
    let mut census = Census::default();
    for (z, answer) in case.p.axis_iter(Axis(2)).zip(&bins) {
        census += Census::of(z, answer, case.eight);
    }
    census
}

/// A posterior of many kinds of bins, the first of this shape.
fn posterior_of_shape<T: Float>(shape: [usize; 3]) -> Case<T> {
    let seeds = 0..100_000;
    seeds
        .map(|seed| Case::<T>::sized(seed, shape))
        .find(|case| !case.alphas.is_empty())
        .expect("most cases have alphas")
}

/// Every layout of the input against every layout of the outputs, and every engine in all of them.
fn every_layout<T: Float>() {
    let case = posterior_of_shape::<T>([5, 7, 131]);
    for eight in [false, true] {
        let expected = Answer::of_oracle(case.p.view(), &case.alphas, eight);
        let trial = Trial {
            origin: format!("seed {} in one shape", case.seed),
            p: case.p.view(),
            levels: &oracle::of_peak(&case.alphas),
            rules: rules(eight),
            expected: &expected,
            zeros: Zeros::Signed,
        };
        let engines = Engine::all();
        let mut peaks = Peaks::new();
        for (i, &input) in Layout::all().iter().enumerate() {
            for (o, &output) in Layout::all().iter().enumerate() {
                let engine = engines[(i + o) % engines.len()];
                trial.given_outputs(engine, input, output, &mut peaks);
            }
            for &engine in &engines {
                trial.owned(engine, input);
            }
        }
    }
}

#[test]
fn every_layout_f64() {
    every_layout::<f64>();
}

#[test]
fn every_layout_f32() {
    every_layout::<f32>();
}

/// One map, one row or one column, repeated without a copy along each axis.
#[test]
fn broadcast_views() {
    for axis in 0..3 {
        let (mut shape, mut base) = ([9, 6, 70], [9, 6, 70]);
        base[axis] = 1;
        shape[axis] = 67;
        let base = posterior_of_shape::<f64>(base);
        let view = base
            .p
            .broadcast(shape)
            .expect("an axis of length 1 repeats");
        let expected = Answer::of_oracle(view, &base.alphas, false);
        let trial = Trial {
            origin: format!("seed {} in one shape", base.seed),
            p: view,
            levels: &oracle::of_peak(&base.alphas),
            rules: rules(false),
            expected: &expected,
            zeros: Zeros::Signed,
        };
        for engine in Engine::all() {
            trial.owned_view(engine, view, &format!("broadcast along axis {axis}"));
        }
    }
}

/// The values of small maps: few, so that ties and plateaus are the rule. A failure shrinks towards the first.
const ALPHABET: [f64; 10] = [
    0.0,
    1.0,
    2.0,
    3.0,
    -0.0,
    -1.0,
    5e-324,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

const ALPHAS: [f64; 10] = [
    0.5,
    1.0,
    0.0,
    0.3,
    1.5,
    -1.0,
    -0.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Small posteriors `(x, y, t)` of the first `letters` values of the alphabet.
fn small_posterior() -> impl Strategy<Value = Array3<f64>> {
    let letters = prop_oneof![
        Just(2_usize),
        Just(4),
        Just(5),
        Just(7),
        Just(ALPHABET.len())
    ];
    (1..7_usize, 1..7_usize, 1..3_usize, letters).prop_flat_map(|(n_x, n_y, n_t, letters)| {
        prop::collection::vec(0..letters, n_x * n_y * n_t).prop_map(move |values| {
            let values = values.into_iter().map(|k| ALPHABET[k]).collect();
            Array3::from_shape_vec((n_x, n_y, n_t), values).expect("the length fits the shape")
        })
    })
}

fn small_alphas() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop::sample::select(&ALPHAS[..]), 0..4)
}

fn small_maps<T: Float>(p: &Array3<f64>, alphas: &[f64], eight: bool) {
    let p = p.mapv(T::of);
    let expected = Answer::of_oracle(p.view(), alphas, eight);
    let trial = Trial {
        origin: "the minimal input above".to_owned(),
        p: p.view(),
        levels: &oracle::of_peak(alphas),
        rules: rules(eight),
        expected: &expected,
        zeros: Zeros::Signed,
    };
    let engines = Engine::all();
    let engine = engines[p.len() % engines.len()];
    trial.owned(engine, Layout::C);
    trial.given_outputs(engine, Layout::TXY, Layout::FORTRAN, &mut Peaks::new());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/proptest-regressions/differential.txt"
        )))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn small_maps_f64(p in small_posterior(), alphas in small_alphas(), eight in any::<bool>()) {
        small_maps::<f64>(&p, &alphas, eight);
    }

    #[test]
    fn small_maps_f32(p in small_posterior(), alphas in small_alphas(), eight in any::<bool>()) {
        small_maps::<f32>(&p, &alphas, eight);
    }
}
