//! Levels of all kinds, whole regions and cells off the track, mixed as they come: the crate equals the oracle on random
//! posteriors, to the bit, and a share of the total is what others in the field take it for.
//!
//! `PEAKMASK_TEST_BINS` sets the number of random bins (20,000 unless set), `PEAKMASK_TEST_SEED` replays one case.

mod oracle;
#[path = "support/recorded.rs"]
mod recorded;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use std::io::Write;

use ndarray::{Array3, ArrayView2, Axis, s};
use ndarray_npy::ReadableElement;
use peakmask::{
    Analyzer, Backend, Connectivity, Dtype, Error, Level, NanPolicy, Options, Outputs, Peaks,
    Region, analyze, components, estimate,
};

use oracle::{BinAnswer, Rules};
use support::compare::{Answer, Zeros};
use support::engine::Engine;
use support::float::Float;
use support::generator::Case;
use support::layout::{Layout, Placed};
use support::trial::{Trial, options};

/// Random bins by default, both element types together.
const BINS: usize = 20_000;

#[test]
fn random_rules_f64() {
    random_rules::<f64>();
}

#[test]
fn random_rules_f32() {
    random_rules::<f32>();
}

/// What the random bins turned out to hold.
#[derive(Debug, Default)]
struct Census {
    bins: usize,
    /// With cells that are absent, and peaks.
    on_track: usize,
    /// With a peak that has no neighbour.
    islands: usize,
    /// With a region of a share, and without though one was asked for.
    covered: usize,
    uncovered: usize,
    /// With a whole level that is not connected.
    scattered: usize,
}

fn random_rules<T: Float>() {
    if let Some(seed) = variable("PEAKMASK_TEST_SEED") {
        check_case::<T>(seed, &mut Census::default());
        return;
    }
    let wanted = variable("PEAKMASK_TEST_BINS").unwrap_or(BINS as u64) as usize / 2 + 1;
    let mut census = Census::default();
    let mut seed = 0;
    while census.bins < wanted {
        check_case::<T>(seed, &mut census);
        seed += 1;
    }
    // Past the test harness, which keeps the output of tests that pass to itself.
    let _ = writeln!(
        std::io::stderr(),
        "random rules, {}, {seed} cases: {census:?}",
        T::NAME
    );
    for (what, count) in [
        ("cells off the track", census.on_track),
        ("islands", census.islands),
        ("a share", census.covered),
        ("no share", census.uncovered),
        ("a scattered level", census.scattered),
    ] {
        assert!(
            100 * count >= census.bins,
            "fewer than 1 % hold {what}: {census:?}"
        );
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name} has to be a whole number, but is {text:?}")))
}

/// Analyses the posterior of this seed, by rules of its own, with every instruction set, each time in other layouts.
fn check_case<T: Float>(seed: u64, census: &mut Census) {
    let case = Case::<T>::new(seed);
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x1e7e15);
    let mut p = case.p;
    if rng.bool() {
        p.mapv_inplace(|v| T::of(v.into().abs()));
    }
    let absent = absent(&mut rng, &mut p);
    let levels = levels(&mut rng, &p, &case.alphas);
    let rules = Rules {
        eight: case.eight,
        whole: rng.u8(..3) == 0,
        off_track: rng.u8(..8) < if absent { 7 } else { 3 },
    };
    let bins = oracle::answer_by(p.view(), &levels, rules);
    let expected = Answer::of_bins(p.dim(), levels.len(), &bins);
    let trial = Trial {
        origin: format!(
            "seed {seed}: replay with PEAKMASK_TEST_SEED={seed} cargo test --test levels random_rules_{}",
            T::NAME
        ),
        p: p.view(),
        levels: &levels,
        rules,
        expected: &expected,
        zeros: Zeros::Signed,
    };
    let mut peaks = Peaks::new();
    for engine in Engine::draw(&mut rng) {
        let layout = Layout::draw(&mut rng);
        match rng.u8(..4) {
            0 => trial.owned(engine, layout),
            _ => trial.given_outputs(engine, layout, Layout::draw(&mut rng), &mut peaks),
        }
    }
    let asked = options(Options::new().backend(Backend::Cpu), &levels, rules);
    let report = analyze(p.view(), &asked).expect("the CPU works").report;
    let uncovered = bins.iter().filter(|bin| bin.uncovered).count();
    assert_eq!(report.uncovered_bins, uncovered, "{}", trial.origin);
    for mask in &expected.masks {
        let connectivity = match rules.eight {
            true => Connectivity::Eight,
            false => Connectivity::Four,
        };
        let t = rng.usize(..p.dim().2);
        let from = mask.slice(s![.., .., t..]);
        let parts = components(from, connectivity);
        let naive = from.axis_iter(Axis(2));
        let naive = naive.map(|mask| oracle::levels::components(mask, rules.eight));
        assert_eq!(parts, naive.collect::<Vec<_>>(), "{}", trial.origin);
    }
    let covered = |level: &oracle::Level| matches!(level, oracle::Level::Coverage(_));
    let shares = levels.iter().position(covered);
    for (z, bin) in p.axis_iter(Axis(2)).zip(&bins) {
        census.add(z, bin, rules, shares);
    }
}

impl Census {
    fn add<T: Float>(
        &mut self,
        z: ArrayView2<'_, T>,
        bin: &BinAnswer<T>,
        rules: Rules,
        share: Option<usize>,
    ) {
        let is_there = |c: (usize, usize)| !z[c].into().is_nan();
        let all_there = z.iter().all(|v| !(*v).into().is_nan());
        let alone = |&c: &(usize, usize)| !oracle::neighbours(z.dim(), c, true).any(is_there);
        self.bins += 1;
        self.on_track += usize::from(!all_there && !bin.peaks.is_empty());
        self.islands += usize::from(z.len() > 1 && bin.peaks.iter().any(alone));
        self.uncovered += usize::from(bin.uncovered);
        self.covered += usize::from(share.is_some_and(|a| bin.masks[a].iter().any(|&is| is)));
        let touches_none = |mask: &ndarray::Array2<bool>| {
            mask.indexed_iter()
                .filter(|(_, is)| **is)
                .any(|(c, _)| !oracle::neighbours(z.dim(), c, true).any(|d| mask[d]))
        };
        self.scattered += usize::from(rules.whole && bin.masks.iter().any(touches_none));
    }
}

/// Takes cells off the track: the same in all bins, or others in each, or some of both; whether there are any.
fn absent<T: Float>(rng: &mut fastrand::Rng, p: &mut Array3<T>) -> bool {
    let (track, any) = (rng.u8(..3) > 0, rng.u8(..3) > 0);
    if track {
        let share = rng.f64() * rng.f64();
        for mut cell in p.lanes_mut(Axis(2)) {
            if rng.f64() < share {
                cell.fill(T::of(f64::NAN));
            }
        }
    }
    if any {
        for mut bin in p.axis_iter_mut(Axis(2)) {
            let share = rng.f64().powi(3);
            bin.mapv_inplace(|v| match rng.f64() < share {
                true => T::of(f64::NAN),
                false => v,
            });
        }
    }
    track || any
}

/// Levels in place of these alphas, and perhaps some more; in every other case no shares, which not every engine serves.
fn levels<T: Float>(rng: &mut fastrand::Rng, p: &Array3<T>, alphas: &[f64]) -> Vec<oracle::Level> {
    let shares = rng.bool();
    let mut levels = Vec::new();
    for &alpha in alphas.iter().chain(&[0.5, 0.9][..rng.usize(..3)]) {
        levels.push(match rng.u8(..3) {
            0 => oracle::Level::OfPeak(alpha),
            1 if shares => oracle::Level::Coverage(match rng.u8(..6) {
                0 => 1.0,
                1 => f64::MIN_POSITIVE,
                2 => 0.95,
                3 => 0.5,
                _ => 1.0 - rng.f64(),
            }),
            _ => {
                let [x, y, t] = [0, 1, 2].map(|axis| rng.usize(..p.len_of(Axis(axis))));
                let value: f64 = p[[x, y, t]].into();
                oracle::Level::Absolute(match rng.u8(..8) {
                    0 => value.next_up(),
                    1 => value.next_down(),
                    2 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][rng.usize(..3)],
                    3 => alpha,
                    _ => value,
                })
            }
        });
    }
    levels
}

/// The input of a fixture.
fn fixture<T: ReadableElement>(name: &str) -> Array3<T> {
    recorded::array(&mut recorded::open(&format!("{name}.npz")), "p_x_given_n")
}

/// The position among the values from the highest down at which `get_highest_posterior_threshold` of non_local_detector finds
/// its threshold, and how near to the coverage a sum of its has come: it divides by the total, and adds what it has divided.
fn transcribed(z: ArrayView2<'_, f64>, coverage: f64) -> (Vec<f64>, usize, f64) {
    let mut sorted: Vec<f64> = z.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let total: f64 = sorted.iter().sum();
    let (mut sum, mut nearest) = (0.0, f64::INFINITY);
    let mut critical = None;
    for (rank, value) in sorted.iter().enumerate() {
        sum += value / total;
        nearest = f64::min(nearest, f64::abs(sum - coverage));
        if sum >= coverage && critical.is_none() {
            critical = Some(rank);
        }
    }
    let last = sorted.len() - 1;
    (sorted, critical.unwrap_or(last), nearest)
}

/// On posteriors of real decoders a coverage ends at the value at which the field's own function ends.
#[test]
fn a_coverage_is_that_of_non_local_detector() {
    let shares = [0.5, 0.8, 0.95, 0.99];
    let mut compared = 0;
    for name in ["openfield_41x63_f64", "umaze_offtrack_f64", "box_f32"] {
        let p = match name {
            "box_f32" => fixture::<f32>(name).mapv(f64::from),
            name => fixture::<f64>(name),
        };
        let options = Options::new()
            .levels(shares.map(Level::Coverage))
            .region(Region::Whole)
            .nan_policy(NanPolicy::OffTrack)
            .peaks(false);
        let found = analyze(p.view(), &options).expect("it can be analysed");
        for (t, z) in p.axis_iter(Axis(2)).enumerate() {
            for (share, mask) in shares.iter().zip(&found.masks) {
                let mask = mask.index_axis(Axis(2), t);
                let inside = z.iter().zip(mask).filter(|&(_, &is)| is).map(|(&v, _)| v);
                let Some(threshold) = inside.reduce(f64::min) else {
                    continue;
                };
                let (sorted, critical, nearest) = transcribed(z, *share);
                if nearest > 1e-12 {
                    compared += 1;
                    assert_eq!(threshold, sorted[critical], "{name}, bin {t}, {share}");
                }
            }
        }
    }
    let _ = writeln!(std::io::stderr(), "{compared} thresholds are the same");
    assert!(compared > 4_000, "{compared}");
}

/// The decoder's own posterior of a U-maze is NaN beside the track: silent as a rule, and alive off it.
#[test]
fn a_maze_is_alive_where_nan_is_off_the_track() {
    let p = fixture::<f64>("umaze_offtrack_f64");
    let [n_x, n_y, n_t]: [usize; 3] = p.dim().into();
    let mut raw = p.clone();
    // What the fixture has filled in again: cells that no bin ever gives a probability.
    let mut beside = 0;
    for mut cell in raw.lanes_mut(Axis(2)) {
        if cell.iter().all(|&v| v == 0.0 || v.is_nan()) {
            cell.fill(f64::NAN);
            beside += 1;
        }
    }
    assert!(0 < beside && beside < n_x * n_y, "{beside} cells");
    let options = Options::new().alphas([0.5]);
    let silent = analyze(raw.view(), &options).expect("it can be analysed");
    assert!(silent.peaks.is_empty());
    let alive = analyze(raw.view(), &options.nan_policy(NanPolicy::OffTrack)).expect("likewise");
    let with_peaks = alive.peaks.bins().filter(|bin| !bin.is_empty()).count();
    let _ = writeln!(
        std::io::stderr(),
        "{beside} of {} cells are off the track; {with_peaks} of {n_t} bins have peaks",
        n_x * n_y
    );
    assert_eq!(with_peaks, n_t);
    let trial = Trial {
        origin: "a U-maze".to_owned(),
        p: raw.view(),
        levels: &[oracle::Level::OfPeak(0.5), oracle::Level::Coverage(0.95)],
        rules: Rules {
            off_track: true,
            ..Rules::default()
        },
        expected: &Answer::by_oracle(
            raw.view(),
            &[oracle::Level::OfPeak(0.5), oracle::Level::Coverage(0.95)],
            Rules {
                off_track: true,
                ..Rules::default()
            },
        ),
        zeros: Zeros::Signed,
    };
    for engine in Engine::all() {
        trial.owned(engine, Layout::C);
    }
}

/// The first NaN is named, whatever meets which bin first.
#[test]
fn a_nan_is_an_error_that_names_the_first() {
    let whole = Array3::from_shape_fn((4, 5, 3_000), |(x, y, t)| ((x * y + t) % 7) as f64);
    let mut p = whole.clone();
    for at in [
        [3, 0, 1_500],
        [1, 2, 1_500],
        [2, 1, 1_500],
        [0, 0, 2_999],
        [0, 0, 1_501],
    ] {
        p[at] = f64::NAN;
    }
    for engine in Engine::all() {
        let options = engine.options().alphas([0.5]).nan_policy(NanPolicy::Error);
        for layout in [Layout::C, Layout::FORTRAN, Layout::TXY, Layout::XTY] {
            let placed = Placed::new(p.view(), layout, |_| 0.0);
            let refused = analyze(placed.view(), &options).map(|_| ());
            let first = Error::Nan {
                x: 1,
                y: 2,
                t: 1_500,
            };
            assert_eq!(refused, Err(first), "{engine}, {layout:?}");
        }
        let same = analyze(whole.view(), &options).expect("there is no NaN");
        let usual = analyze(whole.view(), &engine.options().alphas([0.5])).expect("likewise");
        assert_eq!((same.masks, same.peaks), (usual.masks, usual.peaks));
    }
    let message = Error::Nan { x: 1, y: 2, t: 3 }.to_string();
    assert!(message.contains("P[1, 2, 3]") && message.contains("OffTrack"));
}

#[test]
fn a_coverage_is_a_share_or_an_error() {
    for share in [0.0, -0.5, 1.0_f64.next_up(), 95.0, f64::NAN, f64::INFINITY] {
        let options = Options::new().levels([Level::OfPeak(0.5), Level::Coverage(share)]);
        let refused = Analyzer::<f64>::new([2, 3], options.clone()).map(|_| ());
        let Err(Error::Coverage { share: found }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(found.to_bits(), share.to_bits());
        let p = Array3::<f32>::zeros((2, 3, 4));
        assert!(analyze(p.view(), &options).is_err());
    }
}

/// What shares take is in the estimate, and what the guard refuses is the estimate.
#[test]
fn the_guard_knows_what_shares_take() {
    let p = Array3::<f64>::zeros((41, 63, 200));
    let needed = |level: Level| {
        let options = Options::new()
            .levels([level])
            .backend(Backend::Cpu)
            .threads(1);
        let estimate = estimate([41, 63, 200], Dtype::F64, &options).expect("a valid shape");
        let limited = |bytes| analyze(p.view(), &options.clone().memory_limit(bytes)).map(|_| ());
        limited(estimate.total()).expect("the estimate is enough");
        let refused = limited(estimate.total() - 1);
        assert!(
            matches!(refused, Err(Error::OverBudget { needed, .. }) if needed == estimate.total()),
            "{refused:?}"
        );
        estimate.total()
    };
    // The highest values of eight bins.
    assert_eq!(
        needed(Level::Coverage(0.9)) - needed(Level::OfPeak(0.9)),
        8 * 8 * 41 * 63
    );
}

/// More levels than are taken at a time: bins without a share are counted once, and levels without an output are not computed.
#[test]
fn many_levels_are_taken_in_groups() {
    let p = Array3::from_shape_fn((40, 50, 70), |(x, y, t)| {
        ((x * 7 + y * 3 + t) % 11) as f64 - f64::from(u8::from(t % 7 == 3))
    });
    let kinds = |k: usize| match k % 3 {
        0 => oracle::Level::OfPeak(k as f64 / 200.0),
        1 => oracle::Level::Absolute(k as f64 / 20.0),
        _ => oracle::Level::Coverage(k as f64 / 200.0),
    };
    let levels: Vec<_> = (0..200).map(kinds).collect();
    let few = [199, 1, 2].map(|k| levels[k]);
    let rules = Rules::default();
    let expected = Answer::by_oracle(p.view(), &few, rules);
    let asked = options(Options::new().backend(Backend::Cpu), &levels, rules);
    let found = analyze(p.view(), &asked).expect("it can be analysed");
    assert_eq!(found.report.uncovered_bins, 10);
    for (k, expected) in [199, 1, 2].into_iter().zip(&expected.masks) {
        assert_eq!(found.masks[k], expected, "level {k}");
    }
    let mut analyzer = Analyzer::new([40, 50], asked).expect("likewise");
    let mut mask = Array3::from_elem((40, 50, 70), false);
    let report = analyzer
        .run(p.view(), Outputs::new().mask(1, mask.view_mut()))
        .expect("likewise");
    assert_eq!((report.uncovered_bins, &mask), (0, &found.masks[1]));
    // A bin alone is the same as one among others.
    for t in [0, 3, 69] {
        let mut one = Array3::from_elem((40, 50, 1), false);
        let report = analyzer
            .run(
                p.slice(s![.., .., t..=t]),
                Outputs::new().mask(2, one.view_mut()),
            )
            .expect("likewise");
        assert_eq!(report.uncovered_bins, usize::from(t == 3));
        assert_eq!(one, found.masks[2].slice(s![.., .., t..=t]));
    }
}

/// A bin without a cell on the track has no lowest value, and adds up to nothing; tiles and bins alone say the same.
#[test]
fn nothing_is_lowest_where_nothing_is() {
    for n_t in [1, 70] {
        let mut p = Array3::from_shape_fn((5, 6, n_t), |(x, y, t)| (x * 7 + y * 3 + t) as f64);
        p.index_axis_mut(Axis(2), 0).fill(f64::NAN);
        let options = Options::new()
            .alphas([0.5])
            .nan_policy(NanPolicy::OffTrack)
            .summary(true);
        let found = analyze(p.view(), &options).expect("an analysis");
        let summary = found.summary.expect("it was asked for");
        assert!(summary.minimum[0].is_nan(), "{n_t}: {}", summary.minimum[0]);
        assert_eq!((summary.total[0], summary.live[0]), (0.0, false), "{n_t}");
        assert!(
            summary.minimum.iter().skip(1).all(|low| low.is_finite()),
            "{n_t}"
        );
    }
}
