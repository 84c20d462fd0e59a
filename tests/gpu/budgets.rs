//! Budgets of iterations, dispatches, rounds and rows: what they leave undone is continued, or handed over, and counted.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use ndarray::{Array1, Array3, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};
use peakmask::{Analysis, GpuTuning, analyze};

use crate::support::compare::{Answer, Zeros, first_difference};
use crate::support::float::Float;
use crate::{Known, gpu_or_return, on};

fn budget(iterations: u32, dispatches: u32, rounds: u32) -> GpuTuning {
    GpuTuning {
        iterations: Some(iterations),
        dispatches: Some(dispatches),
        rounds: Some(rounds),
        few: Some(0),
        ..Default::default()
    }
}

#[test]
fn what_a_budget_leaves_is_continued_or_handed_over() {
    fn of_type<T: Float>(seed: u64) {
        let context = gpu_or_return!();
        let known = Known::<T>::drawn(seed, [17, 40, 70]);
        let counts = |tuning| {
            let gpu = known.exact(&on(context, tuning)).gpu.expect("it ran");
            (gpu.continued_bins, gpu.handed_over_bins)
        };
        // Enough for everything, however slow the device has been so far.
        let unhurried = GpuTuning {
            submission: Some(Duration::from_secs(3600)),
            ..Default::default()
        };
        assert_eq!(counts(unhurried), (0, 0));
        // No cap: all is continued to the end.
        for (iterations, dispatches) in [(5, 64), (7, 30), (61, 1)] {
            let (continued, handed_over) = counts(budget(iterations, dispatches, u32::MAX));
            assert!(
                continued > 0,
                "{iterations} iterations, {dispatches} dispatches"
            );
            assert_eq!(
                handed_over, 0,
                "{iterations} iterations, {dispatches} dispatches"
            );
        }
        // A cap of none, and of one.
        let (continued, all) = counts(budget(61, 1, 0));
        assert!(continued == 0 && all > 0, "{continued}, {all}");
        let (continued, handed_over) = counts(budget(61, 1, 1));
        assert_eq!(continued, all);
        assert!((1..all).contains(&handed_over), "{handed_over} of {all}");
        // Too few for the device to go on with, and one more.
        let few = |bins| GpuTuning {
            few: Some(bins),
            batch: Some(70),
            slots: Some(1),
            ..budget(61, 1, u32::MAX)
        };
        assert_eq!(counts(few(all)), (0, all));
        assert_eq!(counts(few(all - 1)).0, all);
        // One iteration is too little for any bin with something to flood.
        let (_, handed_over) = counts(budget(1, 1, 1));
        assert!(handed_over > all / 2, "{handed_over}");
    }
    of_type::<f32>(9);
    of_type::<f64>(10);
}

/// A peak that finds no room is collected later.
#[test]
fn a_list_of_one_row() {
    let context = gpu_or_return!();
    for (rows, shape) in [(1, [4, 5, 7]), (1, [6, 33, 2]), (3, [5, 5, 40])] {
        let known = Known::<f64>::drawn(31, shape);
        assert!(known.answer.peaks.len() > 3 * rows, "{shape:?}");
        let tuning = GpuTuning {
            rows: Some(rows),
            ..Default::default()
        };
        known.exact(&on(context, tuning.clone()));
        // Also where masks come in groups, and bins are handed over.
        known.exact(&on(
            context,
            GpuTuning {
                rows: Some(rows),
                ..budget(11, 1, 0)
            },
        ));
    }
}

fn fixture<T: ReadableElement>(name: &str) -> (Array3<T>, Vec<f64>) {
    let file = format!("{name}.npz");
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "data", &file]
        .iter()
        .collect();
    let opened = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut npz = NpzReader::new(opened).expect("it is an .npz file");
    let alphas: Array1<f64> = npz.by_name::<OwnedRepr<f64>, _>("alpha").expect("alpha");
    let p = npz.by_name::<OwnedRepr<T>, _>("p_x_given_n").expect("p");
    (p, alphas.to_vec())
}

#[test]
fn the_cpu_finishes_less_than_one_bin_in_a_hundred_of_any_fixture() {
    fn of<T: Float + ReadableElement>(name: &str) {
        let (p, alphas) = fixture::<T>(name);
        rarely_handed_over(name, &p, &alphas);
    }
    of::<f64>("openfield_41x63_f64");
    of::<f64>("umaze_offtrack_f64");
    of::<f32>("box_f32");
    of::<f64>("track_logposterior_f64");
}

/// Analyses with the budgets that everybody has, and leaves no bin to the CPU as long as there are rounds.
#[expect(clippy::print_stderr, reason = "a figure for those who ask")]
fn rarely_handed_over<T: Float>(name: &str, p: &Array3<T>, alphas: &[f64]) {
    let context = gpu_or_return!();
    for eight in [false, true] {
        let known = Known::new(p.clone(), alphas, eight);
        let tuning = GpuTuning {
            few: Some(0),
            ..Default::default()
        };
        let report = known.exact(&on(context, tuning));
        let gpu = report.gpu.expect("it ran");
        eprintln!(
            "{name}, {} neighbours: {} bins, {} continued, {} handed over",
            if eight { 8 } else { 4 },
            report.gpu_bins,
            gpu.continued_bins,
            gpu.handed_over_bins
        );
        assert_eq!(report.gpu_bins, p.dim().2);
        assert!(
            100 * gpu.handed_over_bins < report.gpu_bins,
            "{name}: {gpu:?}"
        );
    }
}

/// As where rate maps are not smoothed: all places that were never visited have one value, and fill what a walk leaves
/// of the map. In a third of the bins that value is the highest, so that they are one plateau with a maze for a rim.
fn unvisited_places_tie([n_x, n_y, n_t]: [usize; 3]) -> Array3<f64> {
    let mut rng = fastrand::Rng::with_seed(77);
    let mut visited = vec![false; n_x * n_y];
    let (mut x, mut y) = (n_x / 2, n_y / 2);
    let mut left = n_x * n_y * 2 / 5;
    // Long straight legs, as of an animal that runs.
    while left > 0 {
        let (dx, dy) = [(0, 1), (0, -1), (1, 0), (-1, 0)][rng.usize(..4)];
        for _ in 0..rng.usize(2..12) {
            x = x.saturating_add_signed(dx).min(n_x - 1);
            y = y.saturating_add_signed(dy).min(n_y - 1);
            left -= usize::from(!visited[x * n_y + y] && left > 0);
            visited[x * n_y + y] = true;
        }
    }
    let places: Vec<_> = (0..n_x * n_y).filter(|&cell| visited[cell]).collect();
    let centres: Vec<_> = (0..n_t)
        .map(|_| places[rng.usize(..places.len())])
        .collect();
    Array3::from_shape_fn((n_x, n_y, n_t), |(x, y, t)| {
        if !visited[x * n_y + y] {
            return [1e-3, 0.3, 2.0][t % 3];
        }
        let (dx, dy) = (
            (centres[t] / n_y) as f64 - x as f64,
            (centres[t] % n_y) as f64 - y as f64,
        );
        (-(dx * dx + dy * dy) / 20.0).exp() + 1e-4 * ((x * 31 + y * 17 + t * 7) % 101) as f64
    })
}

#[test]
fn the_cpu_finishes_less_than_one_bin_in_a_hundred_where_unvisited_places_tie() {
    let p = unvisited_places_tie([41, 63, 600]);
    rarely_handed_over("unvisited places tie", &p, &[0.9, 0.5]);
    let p = unvisited_places_tie([128, 128, 40]).mapv(|v| v as f32);
    rarely_handed_over("unvisited places tie, 128 x 128", &p, &[0.9, 0.5]);
}

/// On the usual batches, of which several are in flight, the answer is that of the CPU engine.
#[test]
fn usual_batches() {
    let context = gpu_or_return!();
    let part = unvisited_places_tie([41, 63, 500]);
    let p = ndarray::concatenate(ndarray::Axis(2), &[part.view(); 11]).expect("one shape");
    let options = on(context, GpuTuning::default()).alphas([0.9, 0.5]);
    let found = analyze(p.view(), &options).expect("it is analysed");
    let gpu = found.report.gpu.as_ref().expect("it ran");
    assert!(gpu.batches > 3, "{gpu:?}");
    let Analysis { masks, peaks, .. } =
        analyze(p.view(), &options.clone().backend(peakmask::Backend::Cpu))
            .expect("it is analysed");
    let expected = Answer { masks, peaks };
    let views: Vec<_> = found.masks.iter().map(|mask| mask.view()).collect();
    assert_eq!(
        first_difference(&expected, &views, &found.peaks, Zeros::Signed),
        None
    );
}

/// Where a submission may take no time at all, batches are as small as can be, and budgets too.
#[test]
fn submissions_end_in_time() {
    let context = gpu_or_return!();
    let known = Known::<f64>::drawn(12, [17, 40, 300]);
    let batches = |submission| {
        let tuning = GpuTuning {
            submission,
            ..Default::default()
        };
        known
            .exact(&on(context, tuning))
            .gpu
            .expect("it ran")
            .batches
    };
    let usual = batches(None);
    let least = batches(Some(Duration::from_nanos(1)));
    assert!(least > usual && least >= 300 / 8, "{usual}, {least}");
}
