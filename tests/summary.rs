//! Summaries equal the oracle's to the bit: on every engine, in every memory layout, in pieces of any length, with masks beside
//! them and without.
//!
//! `PEAKMASK_TEST_BINS` sets the number of random bins (20,000 unless set), `PEAKMASK_TEST_SEED` replays one case.

mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use ndarray::{Array3, ArrayView3, Axis, Slice};
use peakmask::{
    Analyzer, Backend, CancelToken, Connectivity, Error, MaskForm, Options, Outputs, PackedMask,
    Peaks, SparseMask, Summary, analyze,
};

use support::compare::Answer;
use support::engine::Engine;
use support::float::Float;
use support::generator::Case;
use support::layout::{Layout, Placed};
use support::summaries::{expected, first_difference};

/// Random bins by default, of each element type.
const BINS: usize = 20_000;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name} has to be a whole number, but is {text:?}")))
}

fn random_bins<T: Float>() {
    if let Some(seed) = variable("PEAKMASK_TEST_SEED") {
        check_case::<T>(seed);
        return;
    }
    let wanted = variable("PEAKMASK_TEST_BINS").map_or(BINS, |bins| bins as usize);
    let mut bins = 0;
    for seed in 0.. {
        if bins >= wanted {
            break;
        }
        bins += check_case::<T>(seed);
    }
}

#[test]
fn random_bins_f64() {
    random_bins::<f64>();
}

#[test]
fn random_bins_f32() {
    random_bins::<f32>();
}

/// Analyses the posterior of this seed on some engines, in layouts and pieces drawn at random: the number of bins.
fn check_case<T: Float>(seed: u64) -> usize {
    let case = Case::<T>::new(seed);
    let answers = oracle::answer(case.p.view(), &case.alphas, case.eight);
    let expected = expected(case.p.view(), &case.alphas, &answers);
    let connectivity = match case.eight {
        true => Connectivity::Eight,
        false => Connectivity::Four,
    };
    let (n_x, n_y, n_t) = case.p.dim();
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
    for engine in Engine::draw(&mut rng) {
        let layout = Layout::draw(&mut rng);
        let options = engine
            .options()
            .alphas(case.alphas.iter().copied())
            .connectivity(connectivity);
        let mut analyzer = Analyzer::new([n_x, n_y], options).expect("an analyzer");
        let placed = Placed::new(case.p.view(), layout, |_| T::of(f64::NAN));
        let (mut summary, mut peaks) = (Summary::new(), Peaks::new());
        let mut mask = Array3::from_elem((n_x, n_y, n_t), true);
        let mut first = 0;
        // At least one run, of no bins perhaps.
        while first == 0 || first < n_t {
            let left = n_t - first;
            let bins = if rng.bool() { left } else { rng.usize(..=left) };
            let piece = Slice::from(first..first + bins);
            let mut outputs = Outputs::new().append_summary(&mut summary);
            if rng.bool() {
                outputs = outputs.append_peaks(&mut peaks);
            }
            if !case.alphas.is_empty() && rng.bool() {
                outputs = outputs.mask(case.alphas.len() - 1, mask.slice_axis_mut(Axis(2), piece));
            }
            let view = placed.view();
            let report = analyzer
                .run(view.slice_axis(Axis(2), piece), outputs)
                .expect("an analysis");
            let found: i64 = summary.peaks[first..].iter().sum();
            assert_eq!(report.peaks as i64, found, "the report's peaks");
            first += bins;
            if n_t == 0 {
                break;
            }
        }
        if let Some(difference) = first_difference(&expected, case.alphas.len(), &summary) {
            panic!(
                "{difference}\nseed {seed}, {}, shape {:?}, alphas {:?}, {connectivity}\n{engine}, {layout:?}",
                T::NAME,
                case.p.shape(),
                case.alphas
            );
        }
    }
    n_t
}

/// Long enough for many batches, of bins whose values go everywhere.
fn posterior() -> Case<f64> {
    Case::sized(7, [11, 13, 2_600])
}

const ALPHAS: [f64; 3] = [0.5, f64::NAN, 0.9];

fn of_oracle(p: ArrayView3<'_, f64>, alphas: &[f64]) -> Vec<oracle::summary::BinSummary<f64>> {
    expected(p, alphas, &oracle::answer(p, alphas, false))
}

/// Every engine, in every memory layout, in one run.
#[test]
fn every_engine_and_every_layout() {
    let p = posterior().p;
    let expected = of_oracle(p.view(), &ALPHAS);
    for (i, layout) in Layout::all().into_iter().enumerate() {
        let placed = Placed::new(p.view(), layout, |_| f64::NAN);
        let engines = Engine::all();
        for &engine in engines.iter().skip(i % 3).step_by(3) {
            let mut summary = Summary::new();
            let mut analyzer = Analyzer::new([11, 13], engine.options().alphas(ALPHAS)).unwrap();
            analyzer
                .run(placed.view(), Outputs::new().summary(&mut summary))
                .unwrap();
            if let Some(difference) = first_difference(&expected, ALPHAS.len(), &summary) {
                panic!("{difference}\n{engine}, {layout:?}");
            }
        }
    }
}

/// Pieces of every length join, from batch to batch and from run to run; one that fails takes nothing away.
/// Zeros of both signs tie for the maximum; the threshold is made of the one that is the dominant peak's.
#[test]
fn a_threshold_of_zero_has_the_sign_of_its_peak() {
    let mut rng = fastrand::Rng::with_seed(3);
    for n_t in [1, 1, 1, 1, 9, 70, 130] {
        let mut p = Array3::from_elem((3, 37, n_t), -1.0);
        let mut expected = Vec::new();
        for mut bin in p.axis_iter_mut(Axis(2)) {
            let mut cells = [rng.usize(..111), rng.usize(..111), rng.usize(..111)];
            let mut zeros = [0.0, -0.0, 0.0];
            if rng.bool() {
                zeros = zeros.map(|zero: f64| -zero);
            }
            cells.sort_unstable();
            // The first of several values of a cell is the one that stays.
            for (&cell, &zero) in cells.iter().zip(&zeros).rev() {
                bin[[cell / 37, cell % 37]] = zero;
            }
            expected.push([0.5 * zeros[0], -2.0 * zeros[0]].map(f64::to_bits));
        }
        for engine in Engine::all() {
            let options = engine.options().alphas([0.5, -2.0]).summary(true);
            let summary = analyze(p.view(), &options).expect("an analysis").summary;
            let found = summary.expect("it was asked for").threshold;
            let found: Vec<_> = (0..n_t)
                .map(|t| [found[[0, t]], found[[1, t]]].map(f64::to_bits))
                .collect();
            assert_eq!(found, expected, "{n_t} bins, {engine}");
        }
    }
}

#[test]
fn pieces_join() {
    let p = posterior().p;
    let expected = of_oracle(p.view(), &ALPHAS);
    for engine in Engine::all() {
        let token = CancelToken::new();
        token.cancel();
        let mut analyzer = Analyzer::new([11, 13], engine.options().alphas(ALPHAS)).unwrap();
        let mut summary = Summary::new();
        let mut first = 0;
        for bins in [1, 0, 1, 1, 7, 8, 9, 64, 1, 65, 1_100, 100, 3, 1_240] {
            let piece = p.slice_axis(Axis(2), Slice::from(first..first + bins));
            analyzer.set_cancel_token(token.clone());
            let result = analyzer.run(piece, Outputs::new().append_summary(&mut summary));
            assert_eq!(result.is_err(), bins > 0, "a run that has been stopped");
            assert_eq!(summary.n_bins(), first);
            analyzer.set_cancel_token(CancelToken::new());
            analyzer
                .run(piece, Outputs::new().append_summary(&mut summary))
                .unwrap();
            first += bins;
        }
        assert_eq!(first, p.dim().2);
        if let Some(difference) = first_difference(&expected, ALPHAS.len(), &summary) {
            panic!("{difference}\n{engine}");
        }
        // What is not appended begins anew.
        analyzer
            .run(p.view(), Outputs::new().summary(&mut summary))
            .unwrap();
        assert_eq!(
            first_difference(&expected, ALPHAS.len(), &summary),
            None,
            "{engine}"
        );
    }
}

/// Maps of which no two bins fit a tile, rows wider than a word, a single column: other ways through the engines.
/// What was taken away, and completed by the overlaps of what came next, is what one run finds.
#[test]
fn rows_can_be_taken_away_as_they_come() {
    let p = Array3::from_shape_fn((6, 7, 60), |(x, y, t)| {
        ((x * 31 + y * 17 + t * (x + 3)) % 23) as f64
    });
    let options = Options::new().alphas([0.5, 0.9]);
    let mut analyzer = Analyzer::new([6, 7], options).expect("an analyzer");
    let rows = |summary: &Summary<f64>| -> Vec<_> {
        let levels = |column: &ndarray::Array2<i64>, t| column.column(t).to_vec();
        (0..summary.n_bins())
            .map(|t| {
                let area = levels(&summary.area, t);
                let overlap = levels(&summary.overlap, t);
                let union = levels(&summary.dilated_union, t);
                (summary.dominant[t], area, overlap, union)
            })
            .collect()
    };
    let mut whole = Summary::new();
    analyzer
        .run(p.view(), Outputs::new().summary(&mut whole))
        .expect("an analysis");
    let (mut moving, mut taken) = (Summary::new(), Vec::new());
    for first in (0..60_usize).step_by(13) {
        let piece = p.slice_axis(Axis(2), Slice::from(first..60.min(first + 13)));
        analyzer
            .run(piece, Outputs::new().append_summary(&mut moving))
            .expect("an analysis");
        taken.truncate(first.saturating_sub(1));
        taken.extend(rows(&moving));
        moving.keep_last(1);
        assert_eq!((moving.n_bins(), moving.levels()), (1, 2));
    }
    assert!(taken == rows(&whole));
    assert!(whole.overlap.iter().any(|&cells| cells > 0));
}

#[test]
fn maps_of_every_size() {
    for (shape, engines) in [
        ([1, 1, 70], Engine::all()),
        ([1, 200, 70], Engine::all()),
        ([150, 1, 70], Engine::all()),
        ([9, 131, 20], Engine::all()),
        ([300, 310, 3], Engine::whole()),
    ] {
        let p = Case::<f32>::sized(3, shape).p;
        let alphas = [0.3, 0.8];
        let answers = oracle::answer(p.view(), &alphas, false);
        let expected = expected(p.view(), &alphas, &answers);
        for engine in engines {
            let mut summary = Summary::new();
            let mut analyzer =
                Analyzer::new([shape[0], shape[1]], engine.options().alphas(alphas)).unwrap();
            analyzer
                .run(p.view(), Outputs::new().summary(&mut summary))
                .unwrap();
            if let Some(difference) = first_difference(&expected, alphas.len(), &summary) {
                panic!("{difference}\n{engine}, {shape:?}");
            }
        }
    }
}

/// So many levels that they come in groups.
#[test]
fn many_levels() {
    let p = Case::<f64>::sized(5, [20, 30, 1_500]).p;
    let alphas: Vec<f64> = (0..40).map(|k| f64::from(k) / 39.0).collect();
    let expected = of_oracle(p.view(), &alphas);
    for engine in Engine::whole() {
        let mut summary = Summary::new();
        let options = engine.options().alphas(alphas.iter().copied());
        Analyzer::new([20, 30], options)
            .unwrap()
            .run(p.view(), Outputs::new().summary(&mut summary))
            .unwrap();
        if let Some(difference) = first_difference(&expected, alphas.len(), &summary) {
            panic!("{difference}\n{engine}");
        }
    }
}

/// The animal's distance, and whether masks are near it, against every cell of every mask.
#[test]
fn the_animal() {
    let p = posterior().p;
    let (n_x, n_y, n_t) = p.dim();
    let answers = oracle::answer(p.view(), &ALPHAS, false);
    let mut rng = fastrand::Rng::with_seed(9);
    let mut positions: Vec<[f64; 2]> = (0..n_t)
        .map(|_| [rng.f64() * 14.0 - 1.5, rng.f64() * 16.0 - 1.5])
        .collect();
    for bin in positions.iter_mut().step_by(7) {
        *bin = [bin[0].round(), bin[1].round()];
    }
    positions[5][0] = f64::NAN;
    positions[6] = [f64::INFINITY, 3.0];
    for radius in [0.0, 1.0, 2.5, 100.0, f64::INFINITY, -1.0, f64::NAN] {
        for engine in Engine::all().into_iter().step_by(4) {
            let mut summary = Summary::new();
            let mut analyzer = Analyzer::new([n_x, n_y], engine.options().alphas(ALPHAS)).unwrap();
            let outputs = Outputs::new()
                .summary(&mut summary)
                .animal(&positions, radius);
            analyzer.run(p.view(), outputs).unwrap();
            for t in 0..n_t {
                let [x, y] = positions[t];
                let known = x.is_finite() && y.is_finite();
                let squared = |i: usize, j: usize| {
                    (i as f64 - x) * (i as f64 - x) + (j as f64 - y) * (j as f64 - y)
                };
                let distance = match answers[t].peaks.is_empty() || !known {
                    true => f64::NAN,
                    false => squared(
                        summary.dominant[t][0] as usize,
                        summary.dominant[t][1] as usize,
                    )
                    .sqrt(),
                };
                assert_eq!(
                    summary.distance[t].to_bits(),
                    distance.to_bits(),
                    "distance of bin {t}"
                );
                for level in 0..ALPHAS.len() {
                    let mask = answers[t].masks[level].indexed_iter();
                    let near = known
                        && radius >= 0.0
                        && mask
                            .into_iter()
                            .any(|((i, j), &set)| set && squared(i, j) <= radius * radius);
                    assert_eq!(
                        summary.near[[level, t]],
                        near,
                        "bin {t}, level {level}, radius {radius}"
                    );
                }
            }
        }
    }
}

/// An analyzer that is kept is told anew where the animal was, for each call.
#[test]
fn the_animal_of_a_kept_analyzer() {
    let p = posterior().p;
    let (n_x, n_y, n_t) = p.dim();
    let mut rng = fastrand::Rng::with_seed(9);
    let positions: Vec<[f64; 2]> = (0..n_t)
        .map(|_| [rng.f64() * 12.0, rng.f64() * 14.0])
        .collect();
    let options = Options::new()
        .alphas(ALPHAS)
        .masks(MaskForm::None)
        .summary(true);
    let whole = analyze(p.view(), &options.clone().animal(positions.clone(), 2.5)).unwrap();
    let whole = whole.summary.expect("it was asked for");
    assert!(whole.near.iter().any(|&near| near) && !whole.near.iter().all(|&near| near));
    let bits = |distances: &[f64]| -> Vec<_> { distances.iter().map(|d| d.to_bits()).collect() };
    let mut analyzer = Analyzer::new([n_x, n_y], options).unwrap();
    for bins in [0..n_t, 3..4, 10..75] {
        analyzer.set_animal(Some((positions[bins.clone()].to_vec(), 2.5)));
        let piece = p.slice_axis(Axis(2), Slice::from(bins.clone()));
        for many in [false, true] {
            let analysis = match many {
                false => analyzer.analyze(piece).unwrap(),
                true => analyzer.analyze_many(&[piece]).unwrap().analysis,
            };
            let found = analysis.summary.expect("it was asked for");
            assert_eq!(
                bits(&found.distance),
                bits(&whole.distance[bins.clone()]),
                "{bins:?}"
            );
            let near = whole.near.slice_axis(Axis(1), Slice::from(bins.clone()));
            assert_eq!(found.near, near, "{bins:?}");
        }
    }
    // Positions of another call's bins are refused, and forgotten.
    assert!(matches!(
        analyzer.analyze(p.view()),
        Err(Error::Positions { .. })
    ));
    analyzer.set_animal(None);
    let found = analyzer.analyze(p.view()).unwrap().summary.expect("one");
    assert!(found.distance.iter().all(|distance| distance.is_nan()));
    assert!(!found.near.iter().any(|&near| near));
}

/// Peaks are counted also where they are not listed.
#[test]
fn peaks_that_nobody_lists() {
    let p = posterior().p;
    let expected = of_oracle(p.view(), &[]);
    for engine in Engine::all() {
        let mut analyzer = Analyzer::new([11, 13], engine.options().peaks(false)).unwrap();
        let mut summary = Summary::new();
        analyzer
            .run(p.view(), Outputs::new().summary(&mut summary))
            .unwrap();
        assert_eq!(first_difference(&expected, 0, &summary), None, "{engine}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let p = posterior().p;
    let mut analyzer =
        Analyzer::new([11, 13], Options::new().backend(Backend::Cpu).alphas([0.5])).unwrap();
    let mut summary = Summary::new();
    let outputs = Outputs::new()
        .summary(&mut summary)
        .animal(&[[0.0; 2]; 5], 1.0);
    let error = analyzer.run(p.view(), outputs).unwrap_err();
    assert_eq!(
        error,
        Error::Positions {
            expected: 2_600,
            found: 5
        }
    );
    analyzer
        .run(p.view(), Outputs::new().summary(&mut summary))
        .unwrap();
    let mut others = Analyzer::new(
        [11, 13],
        Options::new().backend(Backend::Cpu).alphas([0.5, 0.9]),
    )
    .unwrap();
    let error = others
        .run(p.view(), Outputs::new().append_summary(&mut summary))
        .unwrap_err();
    let (expected, found) = ([2, 143], [1, 143]);
    assert_eq!(error, Error::SummaryShape { expected, found });
    let turned = p.view().permuted_axes([1, 0, 2]);
    let mut turned_too =
        Analyzer::new([13, 11], Options::new().backend(Backend::Cpu).alphas([0.5])).unwrap();
    assert!(
        turned_too
            .run(turned, Outputs::new().append_summary(&mut summary))
            .is_ok()
    );
    summary.clear();
    assert_eq!((summary.n_bins(), summary.levels()), (0, 0));
    assert!(
        others
            .run(p.view(), Outputs::new().append_summary(&mut summary))
            .is_ok()
    );
    assert_eq!(summary.area.dim(), (2, 2_600));
}

/// What callers compute next from masks, from a summary alone.
#[test]
fn metrics_of_callers() {
    let p = posterior().p;
    let (n_x, n_y, n_t) = p.dim();
    let answers = oracle::answer(p.view(), &ALPHAS, false);
    let mut summary = Summary::new();
    Analyzer::new([n_x, n_y], Options::new().alphas(ALPHAS))
        .unwrap()
        .run(p.view(), Outputs::new().summary(&mut summary))
        .unwrap();
    let x: Vec<f64> = (0..n_x).map(|i| 10.0 + 2.5 * i as f64).collect();
    let y: Vec<f64> = (0..n_y).map(|j| -3.0 * j as f64).collect();
    for level in 0..ALPHAS.len() {
        let sequentiality = summary.sequentiality(level);
        assert_eq!(sequentiality.len(), n_t - 1);
        for t in 0..n_t - 1 {
            let [first, second] = [&answers[t].masks[level], &answers[t + 1].masks[level]];
            let grown = |c: (usize, usize)| {
                first[c] || oracle::neighbours((n_x, n_y), c, true).any(|d| first[d])
            };
            let (mut both, mut either) = (0, 0);
            for (c, &inside) in second.indexed_iter() {
                both += usize::from(grown(c) && inside);
                either += usize::from(grown(c) || inside);
            }
            let empty = !first.iter().any(|&set| set) || !second.iter().any(|&set| set);
            let ratio = if empty {
                0.0
            } else {
                both as f64 / either as f64
            };
            assert_eq!(sequentiality[t], ratio, "level {level}, bin {t}");
        }
    }
    let at = |t: usize| -> Option<[f64; 2]> {
        let [i, j] = summary.dominant[t];
        (!answers[t].peaks.is_empty()).then(|| [x[i as usize], y[j as usize]])
    };
    let vectors = summary.change_vectors(&x, &y);
    let angles = summary.turn_angles(&x, &y);
    assert_eq!((vectors.len(), angles.len()), (n_t - 1, n_t - 2));
    let mut turns = 0;
    for t in 0..n_t - 1 {
        match (at(t), at(t + 1)) {
            (Some(a), Some(b)) => assert_eq!(vectors[t], [b[0] - a[0], b[1] - a[1]]),
            _ => assert!(vectors[t][0].is_nan() && vectors[t][1].is_nan()),
        }
    }
    for (t, &angle) in angles.iter().enumerate() {
        let [[ax, ay], [bx, by]] = [vectors[t], vectors[t + 1]];
        let lengths = [ax.hypot(ay), bx.hypot(by)];
        if lengths.iter().all(|&length| length >= 1e-9) {
            let direction = (ax * by - ay * bx).atan2(ax * bx + ay * by).abs();
            assert!((angle - direction).abs() < 1e-6, "{angle} {direction}");
            turns += 1;
        } else {
            assert!(angle.is_nan());
        }
    }
    assert!(turns > n_t / 4, "{turns}");
}

/// Masks in every form are the same masks, on every engine, and a summary beside them is the same summary.
#[test]
fn every_form_of_masks() {
    let p = posterior().p;
    let (_, _, n_t) = p.dim();
    let answers = oracle::answer(p.view(), &ALPHAS, false);
    let expected = of_oracle(p.view(), &ALPHAS);
    let expected_masks = Answer::of_bins(p.dim(), ALPHAS.len(), &answers).masks;
    for engine in Engine::all() {
        let of = |form| {
            let options = engine.options().alphas(ALPHAS).masks(form).summary(true);
            let found = analyze(p.view(), &options).unwrap();
            assert_eq!(
                first_difference(&expected, ALPHAS.len(), found.summary.as_ref().unwrap()),
                None,
                "{engine}"
            );
            assert_eq!(
                found.masks.len(),
                if form == MaskForm::Bytes {
                    ALPHAS.len()
                } else {
                    0
                }
            );
            assert_eq!(found.packed.is_some(), form == MaskForm::Packed);
            assert_eq!(found.sparse.is_some(), form == MaskForm::Sparse);
            found
        };
        assert_eq!(of(MaskForm::Bytes).masks, expected_masks, "{engine}");
        of(MaskForm::None);
        let packed = of(MaskForm::Packed).packed.unwrap();
        let sparse = of(MaskForm::Sparse).sparse.unwrap();
        for (level, mask) in expected_masks.iter().enumerate() {
            assert_eq!(packed[level].expand(0..n_t), mask, "{engine}");
            assert_eq!(sparse[level].n_bins(), n_t);
            for t in 0..n_t {
                let cells = mask.index_axis(Axis(2), t);
                let cells = cells
                    .iter()
                    .enumerate()
                    .filter_map(|(cell, &set)| set.then_some(cell as u32));
                assert!(
                    sparse[level].bin(t).iter().copied().eq(cells),
                    "{engine}, bin {t}"
                );
            }
        }
    }
}

/// What a packed mask tells of itself.
#[test]
fn packed_masks_count_and_expand() {
    let p = posterior().p;
    let (n_x, n_y, n_t) = p.dim();
    let expected = of_oracle(p.view(), &[0.5]);
    let options = Options::new().alphas([0.5]);
    let mask = &analyze(p.view(), &options).unwrap().masks[0];
    let packed = &analyze(p.view(), &options.masks(MaskForm::Packed))
        .unwrap()
        .packed
        .unwrap()[0];
    assert_eq!(packed.shape(), [n_x, n_y, n_t]);
    assert!(
        packed
            .areas()
            .into_iter()
            .eq(expected.iter().map(|bin| bin.levels[0].area))
    );
    let overlaps = expected[..n_t - 1].iter().map(|bin| bin.levels[0].overlaps);
    assert!(packed.overlaps().into_iter().eq(overlaps));
    for bins in [
        0..0,
        0..1,
        3..9,
        7..64,
        8..8,
        9..1_000,
        2_599..2_600,
        1..2_600,
    ] {
        let part = mask.slice_axis(Axis(2), Slice::from(bins.clone()));
        assert_eq!(packed.expand(bins.clone()), part, "bins {bins:?}");
    }
    for ((x, y, t), &set) in mask.indexed_iter().step_by(17) {
        assert_eq!(packed.contains([x, y, t]), set);
    }
    // Fortran order in, the same mask.
    let turned = packed
        .bits()
        .permuted_axes([2, 1, 0])
        .as_standard_layout()
        .into_owned();
    let again = PackedMask::new(turned.permuted_axes([2, 1, 0]), n_t);
    assert_eq!((&again, again.areas()), (packed, packed.areas()));
}

/// Lists of cells in pieces, and what a run leaves that fails.
#[test]
fn sparse_masks_are_appended() {
    let p = posterior().p;
    let options = Options::new().alphas(ALPHAS).masks(MaskForm::Sparse);
    let expected = analyze(p.view(), &options.clone().threads(1))
        .unwrap()
        .sparse
        .unwrap();
    for engine in Engine::all() {
        let mut analyzer = Analyzer::new([11, 13], engine.options().alphas(ALPHAS)).unwrap();
        let (mut first, mut last) = (SparseMask::new(), SparseMask::new());
        let stopped = CancelToken::new();
        stopped.cancel();
        let mut at = 0;
        for bins in [1, 0, 9, 1_500, 1_090] {
            let piece = p.slice_axis(Axis(2), Slice::from(at..at + bins));
            for token in [stopped.clone(), CancelToken::new()] {
                analyzer.set_cancel_token(token);
                let outputs = Outputs::new()
                    .append_sparse_mask(2, &mut last)
                    .append_sparse_mask(0, &mut first);
                let _ = analyzer.run(piece, outputs);
            }
            at += bins;
            assert_eq!((first.n_bins(), last.n_bins()), (at, at));
        }
        assert_eq!((&first, &last), (&expected[0], &expected[2]), "{engine}");
        // What is not appended begins anew.
        analyzer
            .run(p.view(), Outputs::new().sparse_mask(2, &mut last))
            .unwrap();
        assert_eq!(last, expected[2], "{engine}");
        let error = analyzer
            .run(p.view(), Outputs::new().sparse_mask(3, &mut last))
            .unwrap_err();
        assert!(
            matches!(error, Error::OutputCount { outputs: 4, .. }),
            "{error}"
        );
    }
}
