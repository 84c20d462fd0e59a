//! A kept analyzer: what it yields does not depend on how the bins of a recording are divided into calls, on which outputs
//! are wanted, or on what came before.

mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use ndarray::{Array3, Axis, Slice, s};
use peakmask::{Analyzer, CancelToken, Error, Options, Outputs, Peaks, analyze};

use support::compare::{Answer, Zeros, first_difference};
use support::engine::Engine;
use support::generator::Case;

const ALPHAS: [f64; 3] = [0.5, f64::NAN, 0.9];

fn posterior() -> Array3<f64> {
    Case::<f64>::sized(7, [11, 13, 333]).p
}

fn assert_same(found: &Answer<f64>, expected: &Answer<f64>, what: &str) {
    let (masks, peaks) = (found.mask_views(), &found.peaks);
    if let Some(difference) = first_difference(expected, &masks, peaks, Zeros::Signed) {
        panic!("{what}: {difference}");
    }
}

/// `numpy.packbits(mask, axis=-1, bitorder="little")`, written out.
fn packed(mask: &Array3<bool>) -> Array3<u8> {
    let (n_x, n_y, n_t) = mask.dim();
    let mut bits = Array3::zeros((n_x, n_y, n_t.div_ceil(8)));
    for ((x, y, t), &set) in mask.indexed_iter() {
        bits[[x, y, t / 8]] |= u8::from(set) << (t % 8);
    }
    bits
}

/// Pieces of every length, on every engine, appended to one recording.
#[test]
fn pieces_of_a_recording_are_the_recording() {
    let p = posterior();
    let (n_x, n_y, n_t) = p.dim();
    let expected = Answer::of_oracle(p.view(), &ALPHAS, false);
    for engine in Engine::all() {
        let mut analyzer = Analyzer::new([n_x, n_y], engine.options().alphas(ALPHAS)).unwrap();
        let mut found = Answer {
            masks: vec![Array3::from_elem(p.dim(), true); ALPHAS.len()],
            peaks: Peaks::new(),
        };
        let mut first = 0;
        for bins in [1, 0, 1, 7, 8, 9, 64, 1, 65, 100, 3, 74] {
            let piece = Slice::from(first..first + bins);
            let masks = found.masks.iter_mut();
            let outputs = Outputs::new()
                .masks(masks.map(|mask| mask.slice_axis_mut(Axis(2), piece)))
                .append_peaks(&mut found.peaks);
            let report = analyzer.run(p.slice_axis(Axis(2), piece), outputs).unwrap();
            assert_eq!(report.bins, bins);
            first += bins;
        }
        assert_eq!(first, n_t);
        assert_same(&found, &expected, &engine.to_string());
    }
}

/// Any choice of outputs, each as if it were alone; what is not wanted is not touched, and an analyzer remembers nothing.
#[test]
fn every_output_is_what_it_is_alone() {
    let p = posterior();
    let (n_x, n_y, n_t) = p.dim();
    let expected = Answer::of_oracle(p.view(), &ALPHAS, false);
    for engine in Engine::all() {
        let mut analyzer = Analyzer::new([n_x, n_y], engine.options().alphas(ALPHAS)).unwrap();
        for wanted in 0..32 {
            let what = format!("{engine}, outputs {wanted:05b}");
            let is = |bit: u32| wanted >> bit & 1 != 0;
            let mut peaks = Peaks::new();
            let mut booleans = vec![Array3::from_elem(p.dim(), true); 2];
            let mut bits = vec![Array3::from_elem((n_x, n_y, n_t.div_ceil(8)), 0xa5); 2];
            let mut outputs = Outputs::new();
            if is(0) {
                outputs = outputs.peaks(&mut peaks);
            }
            let (first, last) = booleans.split_at_mut(1);
            // The same alpha twice, in both forms, out of order.
            if is(1) {
                outputs = outputs.mask(2, last[0].view_mut());
            }
            if is(2) {
                outputs = outputs.mask(0, first[0].view_mut());
            }
            let (first, last) = bits.split_at_mut(1);
            if is(3) {
                outputs = outputs.packed_mask(2, last[0].view_mut());
            }
            if is(4) {
                outputs = outputs.packed_mask(1, first[0].view_mut());
            }
            analyzer.run(p.view(), outputs).unwrap();
            assert_eq!(peaks == expected.peaks, is(0), "{what}: peaks");
            assert_eq!(booleans[1] == expected.masks[2], is(1), "{what}: mask 2");
            assert_eq!(booleans[0] == expected.masks[0], is(2), "{what}: mask 0");
            assert_eq!(
                bits[1] == packed(&expected.masks[2]),
                is(3),
                "{what}: bits 2"
            );
            assert_eq!(
                bits[0] == packed(&expected.masks[1]),
                is(4),
                "{what}: bits 1"
            );
            let untouched = booleans.iter().all(|mask| mask.iter().all(|&set| set));
            assert_eq!(untouched, !is(1) && !is(2), "{what}");
        }
    }
}

/// Outputs of bits in any memory order, within a larger array.
#[test]
fn packed_masks_lie_where_they_are_put() {
    let p = posterior();
    let (n_x, n_y, n_t) = p.dim();
    let mask = &Answer::of_oracle(p.view(), &[0.5], false).masks[0];
    let mut analyzer = Analyzer::new([n_x, n_y], Options::new().alphas([0.5]).threads(2)).unwrap();
    let bytes = n_t.div_ceil(8);
    let mut wide = Array3::from_elem((bytes + 4, n_y, n_x), 0x5a_u8);
    let inner = wide
        .slice_mut(s![2..2 + bytes;-1, .., ..])
        .permuted_axes([2, 1, 0]);
    analyzer
        .run(p.view(), Outputs::new().packed_mask(0, inner))
        .unwrap();
    let inner = wide
        .slice(s![2..2 + bytes;-1, .., ..])
        .permuted_axes([2, 1, 0]);
    assert_eq!(inner, packed(mask));
    let around = wide
        .slice(s![..2, .., ..])
        .iter()
        .chain(wide.slice(s![-2.., .., ..]))
        .all(|&byte| byte == 0x5a);
    assert!(around, "bytes around were touched");
}

#[test]
fn analyze_on_an_analyzer_is_analyze() {
    let p = posterior();
    let options = Options::new().alphas(ALPHAS).threads(2);
    let mut analyzer = Analyzer::new([11, 13], options.clone()).unwrap();
    let expected = analyze(p.view(), &options).unwrap();
    for _ in 0..2 {
        let found = analyzer.analyze(p.view()).unwrap();
        assert_eq!(
            (&found.masks, &found.peaks),
            (&expected.masks, &expected.peaks)
        );
        let bin = analyzer.analyze(p.slice(s![.., .., 5..6])).unwrap();
        assert_eq!(bin.peaks.bin(0), expected.peaks.bin(5));
    }
}

/// What a failed run leaves behind: peaks that were there before, and an analyzer that works.
#[test]
fn a_failed_run_takes_nothing_away() {
    let p = posterior();
    let token = CancelToken::new();
    let options = Options::new()
        .alphas([0.5])
        .threads(1)
        .cancel_token(token.clone());
    let mut analyzer = Analyzer::new([11, 13], options).unwrap();
    let mut peaks = Peaks::new();
    analyzer
        .run(p.view(), Outputs::new().append_peaks(&mut peaks))
        .unwrap();
    let before = peaks.clone();
    token.cancel();
    let error = analyzer
        .run(p.view(), Outputs::new().append_peaks(&mut peaks))
        .unwrap_err();
    assert_eq!(
        error,
        Error::Cancelled {
            done: 0,
            total: 333
        }
    );
    assert_eq!(peaks, before);
    let error = analyzer
        .run(p.view(), Outputs::new().peaks(&mut peaks))
        .unwrap_err();
    assert_eq!(
        error,
        Error::Cancelled {
            done: 0,
            total: 333
        }
    );
    assert_eq!((peaks.n_bins(), peaks.len()), (0, 0));
    // With a new switch it goes on; with a limit of its own it does not, until that is lifted.
    analyzer.set_cancel_token(CancelToken::new());
    analyzer.set_memory_limit(Some(1));
    let error = analyzer.analyze(p.view()).unwrap_err();
    assert!(matches!(error, Error::OverBudget { limit: 1, .. }));
    analyzer.set_memory_limit(None);
    assert_eq!(analyzer.analyze(p.view()).unwrap().peaks, before);
}

#[test]
fn wrong_shapes_and_wrong_outputs_are_refused_before_anything_is_touched() {
    let p = posterior();
    let mut analyzer = Analyzer::<f64>::new([13, 11], Options::new().alphas([0.5])).unwrap();
    let error = analyzer.run(p.view(), Outputs::new()).unwrap_err();
    assert_eq!(
        error,
        Error::MapShape {
            expected: [13, 11],
            found: [11, 13]
        }
    );
    assert!(error.to_string().contains("[13, 11]"), "{error}");

    let mut analyzer = Analyzer::new([11, 13], Options::new().alphas([0.5])).unwrap();
    let mut peaks = Peaks::new();
    peaks.offsets.push(0);
    let mut mask = Array3::from_elem(p.dim(), true);
    let mut bits = Array3::from_elem(p.dim(), 1_u8);
    let outputs = Outputs::new().peaks(&mut peaks).mask(1, mask.view_mut());
    assert_eq!(
        analyzer.run(p.view(), outputs).unwrap_err(),
        Error::OutputCount {
            alphas: 1,
            outputs: 2
        }
    );
    let outputs = Outputs::new()
        .peaks(&mut peaks)
        .packed_mask(0, bits.view_mut());
    let error = analyzer.run(p.view(), outputs).unwrap_err();
    let (expected, found) = ([11, 13, 42], [11, 13, 333]);
    assert_eq!(
        error,
        Error::OutputShape {
            index: 0,
            expected,
            found
        }
    );
    assert!(mask.iter().all(|&set| set) && bits.iter().all(|&byte| byte == 1));
    assert_eq!(peaks.n_bins(), 1);
}

#[test]
fn an_analyzer_can_move_to_another_thread() {
    let mut analyzer = Analyzer::new([11, 13], Options::new().alphas(ALPHAS).threads(2)).unwrap();
    let p = posterior();
    let here = analyzer.analyze(p.view()).unwrap();
    let there = std::thread::scope(|threads| {
        let p = p.view();
        threads
            .spawn(move || analyzer.analyze(p).unwrap())
            .join()
            .unwrap()
    });
    assert_eq!((here.masks, here.peaks), (there.masks, there.peaks));
}
