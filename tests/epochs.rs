//! Several epochs at once: the results are those of one recording of as many bins, however it is divided, and in whatever
//! memory order each epoch lies.

mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use ndarray::{Array3, ArrayView3, Axis, Slice, s};
use peakmask::{Analyzer, Error, Options, Outputs, Peaks, analyze, analyze_many};

use support::compare::{Answer, Zeros, first_difference};
use support::engine::Engine;
use support::float::Float;
use support::generator::Case;
use support::layout::{Layout, Placed};

const ALPHAS: [f64; 3] = [0.5, f64::NAN, 0.9];

/// Bounds of epochs of the lengths that `length` draws.
fn divided(n_t: usize, mut length: impl FnMut() -> usize) -> Vec<usize> {
    let mut bounds = vec![0];
    while let Some(&last) = bounds.last()
        && last < n_t
    {
        bounds.push(n_t.min(last + length()));
    }
    bounds
}

/// Epochs cut out of a recording, each in a layout of its own, among NaN.
fn placed<T: Float>(
    p: ArrayView3<'_, T>,
    bounds: &[usize],
    mut layout: impl FnMut() -> Layout,
) -> Vec<Placed<T>> {
    let bins = bounds.windows(2).map(|ends| Slice::from(ends[0]..ends[1]));
    bins.map(|bins| Placed::new(p.slice_axis(Axis(2), bins), layout(), |_| T::of(f64::NAN)))
        .collect()
}

fn assert_epochs<T: Float>(engine: Engine, placed: &[Placed<T>], expected: &Answer<T>, how: &str) {
    let views: Vec<_> = placed.iter().map(Placed::view).collect();
    let options = engine.options().alphas(ALPHAS);
    let found = analyze_many(&views, &options).unwrap();
    let masks: Vec<_> = found
        .analysis
        .masks
        .iter()
        .map(|mask| mask.view())
        .collect();
    if let Some(difference) =
        first_difference(expected, &masks, &found.analysis.peaks, Zeros::Signed)
    {
        panic!("{difference}\n{engine}, {how}, epochs {:?}", found.bounds);
    }
    assert_eq!(found.len(), views.len());
    let mut first = 0;
    for (view, epoch) in views.iter().zip(found.epochs()) {
        let n_t = view.dim().2;
        assert_eq!((epoch.n_bins(), epoch.range()), (n_t, first..first + n_t));
        for (alpha, mask) in expected.masks.iter().enumerate() {
            assert_eq!(
                epoch.mask(alpha),
                mask.slice(s![.., .., first..first + n_t])
            );
        }
        for (t, bin) in epoch.bins().enumerate() {
            assert_eq!(bin, epoch.bin(t));
            assert_eq!(bin, expected.peaks.bin(first + t));
        }
        first += n_t;
    }
}

/// Lengths that fill less than a group of lanes, less than a tile, and more; single maps; every memory order, and mixtures.
#[test]
fn epochs_of_a_recording_are_the_recording() {
    fn of_type<T: Float>(seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        for shape in [[11, 13, 333], [1, 29, 150], [23, 1, 150]] {
            let p = Case::<T>::sized(seed, shape).p;
            let expected = Answer::of_oracle(p.view(), &ALPHAS, false);
            for engine in Engine::all() {
                for longest in [1, 9, 40, 200] {
                    let lengths =
                        |rng: &mut fastrand::Rng| rng.usize(usize::from(longest > 1)..=longest);
                    let mut draws = fastrand::Rng::with_seed(rng.u64(..));
                    let mut bounds = divided(shape[2], || {
                        lengths(&mut draws).max(usize::from(longest == 1))
                    });
                    if bounds.len() > 3 {
                        // Epochs without bins, at both ends and in the middle.
                        bounds.insert(0, 0);
                        bounds.insert(3, bounds[2]);
                        bounds.push(shape[2]);
                    }
                    for one in [
                        Some(Layout::C),
                        Some(Layout::FORTRAN),
                        Some(Layout::TXY),
                        None,
                    ] {
                        let layout = || one.unwrap_or_else(|| Layout::draw(&mut rng));
                        let epochs = placed(p.view(), &bounds, layout);
                        assert_epochs(engine, &epochs, &expected, &format!("{one:?}"));
                    }
                }
            }
        }
    }
    of_type::<f64>(3);
    of_type::<f32>(4);
}

/// A kept analyzer takes single arrays and lists in turn, and appends.
#[test]
fn an_analyzer_takes_lists_into_any_outputs() {
    let p = Case::<f64>::sized(5, [7, 9, 120]).p;
    let expected = Answer::of_oracle(p.view(), &ALPHAS, false);
    let epochs = placed(p.view(), &divided(100, || 7), || Layout::C);
    let views: Vec<_> = epochs.iter().map(Placed::view).collect();
    let mut analyzer = Analyzer::new([7, 9], Options::new().alphas(ALPHAS)).unwrap();
    let mut peaks = Peaks::new();
    let mut half = Array3::from_elem((7, 9, 120), true);
    let mut packed = Array3::zeros((7, 9, 13));
    let outputs = Outputs::new()
        .append_peaks(&mut peaks)
        .mask(0, half.slice_mut(s![.., .., ..100]))
        .packed_mask(2, packed.view_mut());
    assert_eq!(analyzer.run_many(&views, outputs).unwrap().bins, 100);
    let outputs = Outputs::new()
        .append_peaks(&mut peaks)
        .mask(0, half.slice_mut(s![.., .., 100..]));
    analyzer.run(p.slice(s![.., .., 100..]), outputs).unwrap();
    assert_eq!(peaks, expected.peaks);
    assert_eq!(half, expected.masks[0]);
    for ((x, y, t), &set) in expected.masks[2].slice(s![.., .., ..100]).indexed_iter() {
        assert_eq!(packed[[x, y, t / 8]] >> (t % 8) & 1 != 0, set);
    }
}

#[test]
fn lists_without_epochs_and_epochs_without_bins() {
    let none = analyze_many::<f64>(&[], &Options::new().alphas([0.5])).unwrap();
    assert!(none.is_empty() && none.analysis.peaks.n_bins() == 0);
    let empty = Array3::<f64>::zeros((3, 4, 0));
    let found = analyze_many(&[empty.view(), empty.view()], &Options::new().alphas([0.5])).unwrap();
    assert_eq!((found.len(), found.bounds.as_slice()), (2, &[0, 0, 0][..]));
    assert_eq!(found.epoch(1).mask(0).dim(), (3, 4, 0));
    assert!(found.epoch(1).summary().is_none());
}

#[test]
fn epochs_of_other_maps_are_refused_by_their_number() {
    let (a, b) = (
        Array3::<f64>::zeros((3, 4, 2)),
        Array3::<f64>::zeros((4, 3, 2)),
    );
    let refused = Error::EpochShape {
        epoch: 2,
        expected: [3, 4],
        found: [4, 3],
    };
    let epochs = [a.view(), a.view(), b.view()];
    assert_eq!(analyze_many(&epochs, &Options::new()).unwrap_err(), refused);
    // An epoch without bins has a shape, too.
    let none = b.slice(s![.., .., ..0]);
    let epochs = [a.view(), a.view(), none];
    assert_eq!(analyze_many(&epochs, &Options::new()).unwrap_err(), refused);
    let mut analyzer = Analyzer::<f64>::new([4, 3], Options::new()).unwrap();
    assert!(matches!(
        analyzer.analyze_many(&[a.view()]),
        Err(Error::EpochShape { epoch: 0, .. })
    ));
    let no_cells = Array3::<f64>::zeros((0, 4, 2));
    assert!(matches!(
        analyze_many(&[no_cells.view()], &Options::new()),
        Err(Error::EmptyMap { .. })
    ));
    assert!(matches!(
        analyze(b.view().slice(s![.., 0..0, ..]), &Options::new()),
        Err(Error::EmptyMap { .. })
    ));
}

/// In a summary no epoch overlaps the next: each has the rows that it has alone.
#[test]
fn epochs_have_the_summaries_that_they_have_alone() {
    let p = Array3::from_shape_fn((11, 13, 333), |(x, y, t)| {
        100.0 - (x.abs_diff(t % 11).max(y.abs_diff(t % 13))) as f64
    });
    let mut rng = fastrand::Rng::with_seed(4);
    let mut bounds = divided(333, || [1, 1, 3, 8, 64, 70][rng.usize(..6)]);
    bounds.insert(2, bounds[2]);
    bounds.push(333);
    for engine in Engine::all() {
        let options = engine.options().alphas(ALPHAS).summary(true);
        let views: Vec<_> = (bounds.windows(2))
            .map(|ends| p.slice_axis(Axis(2), Slice::from(ends[0]..ends[1])))
            .collect();
        let found = analyze_many(&views, &options).unwrap();
        let summary = found.analysis.summary.as_ref().expect("it was asked for");
        for (view, epoch) in views.iter().zip(found.epochs()) {
            let bins = epoch.range();
            let alone = analyze(*view, &options).unwrap().summary.expect("one");
            let how = format!("{engine}, bins {bins:?}");
            assert_eq!(summary.dominant[bins.clone()], alone.dominant, "{how}");
            assert_eq!(summary.peaks[bins.clone()], alone.peaks, "{how}");
            for (all, theirs) in [
                (&summary.area, &alone.area),
                (&summary.overlap, &alone.overlap),
                (&summary.dilated_overlap, &alone.dilated_overlap),
                (&summary.dilated_union, &alone.dilated_union),
            ] {
                assert_eq!(all.slice(s![.., bins.clone()]), theirs, "{how}");
            }
            // The epoch's own rows, doubles by their bits.
            let own = epoch.summary().expect("it was asked for");
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!((own.n_bins(), own.levels()), (bins.len(), 3), "{how}");
            assert_eq!(own.live, alone.live, "{how}");
            assert_eq!(own.dominant, alone.dominant, "{how}");
            assert_eq!(bits(&own.height), bits(&alone.height), "{how}");
            assert_eq!(bits(&own.total), bits(&alone.total), "{how}");
            assert_eq!(own.area, alone.area, "{how}");
            assert_eq!(own.sums, alone.sums, "{how}");
            assert_eq!(
                own.mass.mapv(f64::to_bits),
                alone.mass.mapv(f64::to_bits),
                "{how}"
            );
            assert_eq!(own.dilated_union, alone.dilated_union, "{how}");
            for level in 0..3 {
                let sequences = (own.sequentiality(level), alone.sequentiality(level));
                assert_eq!(bits(&sequences.0), bits(&sequences.1), "{how}");
            }
            if let Some(last) = bins.clone().last() {
                assert_eq!(summary.overlap[[0, last]], -1, "{how}");
            }
        }
        assert!(summary.overlap.iter().any(|&overlap| overlap > 0));
    }
}
