//! The memory guard against the operating system's own figure.
//!
//! Every test runs in a process of its own, so that nothing else allocates while anonymous resident memory (RssAnon) is
//! watched, and no other test's warnings are heard.

#![cfg(target_os = "linux")]

use std::ops::RangeInclusive;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use ndarray::Array3;
use peakmask::{
    Element, Error, Estimate, LimitSource, MaskForm, MemoryGuard, Options, analyze, estimate,
};

const MIB: u64 = 1 << 20;
const N_X: usize = 41;
const N_Y: usize = 63;

#[test]
fn estimate_is_what_the_system_sees_f64() {
    in_own_process("estimate_is_what_the_system_sees_f64", || {
        compare_with_system(
            &noisy_bump([N_X, N_Y, 20_000], f64::from),
            &[0.5, 0.9],
            10.0,
        );
    });
}

#[test]
fn estimate_is_what_the_system_sees_f32() {
    in_own_process("estimate_is_what_the_system_sees_f32", || {
        compare_with_system(
            &noisy_bump([N_X, N_Y, 20_000], |v| v as f32),
            &[0.5, 0.9],
            10.0,
        );
    });
}

#[test]
fn estimate_is_what_the_system_sees_without_masks() {
    in_own_process("estimate_is_what_the_system_sees_without_masks", || {
        compare(
            &noisy_bump([N_X, N_Y, 20_000], f64::from),
            &options(&[]).threads(1),
            -10.0..=10.0,
        );
    });
}

/// Columns of small values, which begin small, and leave no holes when they have grown.
#[test]
fn estimate_is_what_the_system_sees_of_f32_without_masks() {
    in_own_process(
        "estimate_is_what_the_system_sees_of_f32_without_masks",
        || {
            compare(
                &noisy_bump([N_X, N_Y, 20_000], |v| v as f32),
                &options(&[]).threads(1),
                -10.0..=2.0,
            );
        },
    );
}

#[test]
fn estimate_is_what_the_system_sees_of_packed_masks() {
    in_own_process("estimate_is_what_the_system_sees_of_packed_masks", || {
        compare(
            &noisy_bump([N_X, N_Y, 20_000], f64::from),
            &options(&[0.5; 60]).masks(MaskForm::Packed).peaks(false),
            -10.0..=10.0,
        );
    });
}

#[test]
fn estimate_is_what_the_system_sees_of_sparse_masks() {
    in_own_process("estimate_is_what_the_system_sees_of_sparse_masks", || {
        compare(
            &noisy_bump([N_X, N_Y, 20_000], f64::from),
            &options(&[0.1; 10]).masks(MaskForm::Sparse).peaks(false),
            -10.0..=10.0,
        );
    });
}

#[test]
fn estimate_is_what_the_system_sees_of_a_summary() {
    in_own_process("estimate_is_what_the_system_sees_of_a_summary", || {
        compare(
            &noisy_bump([13, 17, 200_000], f64::from),
            &options(&[0.5; 8])
                .masks(MaskForm::None)
                .summary(true)
                .peaks(false),
            -10.0..=10.0,
        );
    });
}

/// A refusal names the first form of masks that has room.
#[test]
fn a_refusal_names_what_would_fit() {
    let p = one_peak_a_bin([N_X, N_Y, 2_000]);
    let options = options(&[0.5, 0.9]);
    let of = |form: MaskForm| {
        let options = options.clone().masks(form).summary(form == MaskForm::None);
        plan(&p, &options).total()
    };
    let forms = [MaskForm::Packed, MaskForm::Sparse, MaskForm::None];
    for limit in [
        of(MaskForm::Bytes) - 1,
        of(MaskForm::Packed) - 1,
        of(MaskForm::None),
        1000,
    ] {
        let error = analyze(p.view(), &options.clone().memory_limit(limit)).unwrap_err();
        let Error::OverBudget { fits, .. } = error else {
            panic!("{error}");
        };
        let expected = forms
            .into_iter()
            .map(|form| (form, of(form)))
            .find(|&(_, bytes)| bytes <= limit);
        assert_eq!(fits, expected, "a limit of {limit} bytes");
        let text = error.to_string();
        assert_eq!(text.contains("would need"), expected.is_some(), "{text}");
        // What is named really fits.
        if let Some((form, _)) = fits {
            let fitting = options
                .clone()
                .masks(form)
                .summary(form == MaskForm::None)
                .memory_limit(limit);
            assert_eq!(analyze(p.view(), &fitting).unwrap().peaks.len(), 2_000);
        }
    }
}

/// Cells that are listed beyond what was assumed are counted while they are found.
#[test]
fn listed_cells_that_cross_the_limit_end_the_run() {
    let p = plateaus([N_X, N_Y, 2_000]);
    let options = options(&[0.0]).masks(MaskForm::Sparse).peaks(false);
    let planned = plan(&p, &options).total();
    let error = analyze(p.view(), &options.clone().memory_limit(planned)).unwrap_err();
    assert!(
        matches!(error, Error::OverBudget { limit, .. } if limit == planned),
        "{error}"
    );
    let all = planned + 4 * p.len() as u64;
    let found = analyze(p.view(), &options.memory_limit(all)).unwrap();
    assert_eq!(found.sparse.unwrap()[0].cells.len(), p.len());
}

#[test]
fn estimate_is_what_the_system_sees_on_large_maps() {
    in_own_process("estimate_is_what_the_system_sees_on_large_maps", || {
        compare(
            &noisy_bump([512, 512, 150], f64::from),
            &options(&[0.5, 0.9]).threads(1),
            -10.0..=2.0,
        );
    });
}

#[test]
fn estimate_is_what_the_system_sees_where_every_cell_is_a_peak() {
    in_own_process(
        "estimate_is_what_the_system_sees_where_every_cell_is_a_peak",
        || {
            compare(
                &plateaus([1000, 1000, 6]),
                &options(&[0.5]).threads(1),
                -10.0..=2.0,
            );
        },
    );
}

/// A tile is one map here, and its lists have room for each of the million cells: three times for each of two threads, 120 MB,
/// where results are 198. They are filled when a batch has to wait for another, which a run may do without. Anything less would
/// be short where they are, so here the estimate is a bound.
#[test]
fn estimate_is_enough_where_every_cell_is_a_peak_and_batches_wait() {
    in_own_process(
        "estimate_is_enough_where_every_cell_is_a_peak_and_batches_wait",
        || compare_with_system(&plateaus([1000, 1000, 6]), &[0.5], 50.0),
    );
}

#[test]
fn limit_below_the_estimate_refuses_before_anything_is_allocated() {
    in_own_process(
        "limit_below_the_estimate_refuses_before_anything_is_allocated",
        || {
            let p = one_peak_a_bin([N_X, N_Y, 20_000]);
            let options = options(&[0.5, 0.9]);
            let needed = plan(&p, &options).total();
            assert!(needed > 90 * MIB, "too small to be seen: {needed} bytes");
            let packed = plan(&p, &options.clone().masks(MaskForm::Packed)).total();

            let short = options.clone().memory_limit(needed - 1);
            let (refusal, grown) = peak_growth(|| analyze(p.view(), &short).unwrap_err());
            assert_eq!(
                refusal,
                Error::OverBudget {
                    needed,
                    limit: needed - 1,
                    source_of_limit: LimitSource::Caller,
                    peaks: None,
                    fits: Some((MaskForm::Packed, packed))
                }
            );
            assert!(grown < MIB, "{grown} bytes were allocated before refusing");

            let enough = options.memory_limit(needed);
            assert_eq!(analyze(p.view(), &enough).unwrap().peaks.len(), 20_000);
        },
    );
}

#[test]
fn peaks_that_cross_the_limit_end_the_run() {
    in_own_process("peaks_that_cross_the_limit_end_the_run", || {
        let p = plateaus([N_X, N_Y, 4_000]);
        let options = options(&[0.5]);
        let (plan, true_peaks) = (plan(&p, &options), (p.len() - 4_000) as u64);
        let limit = between(plan, true_peaks);

        let short = options.clone().memory_limit(limit);
        let (error, grown) = peak_growth(|| analyze(p.view(), &short).unwrap_err());
        let Error::OverBudget {
            needed,
            limit: stated,
            source_of_limit: LimitSource::Caller,
            peaks: Some(found),
            fits: None,
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(stated, limit);
        assert!(needed > limit, "{needed} bytes needed, {limit} allowed");
        assert!(
            found > plan.assumed_peaks && found <= true_peaks,
            "{found} peaks found of {true_peaks}, {} assumed",
            plan.assumed_peaks
        );
        assert!(
            grown <= limit + limit / 10,
            "{grown} bytes were taken, {limit} allowed"
        );

        let enough = options.memory_limit(plan.total_with(true_peaks));
        let found = analyze(p.view(), &enough).unwrap().peaks.len() as u64;
        assert_eq!(found, true_peaks);
    });
}

#[test]
fn warn_says_so_once_and_goes_on() {
    in_own_process("warn_says_so_once_and_goes_on", || {
        let p = plateaus([N_X, N_Y, 300]);
        let options = options(&[0.5]);
        let plan = plan(&p, &options);
        let expected = analyze(
            p.view(),
            &options
                .clone()
                .memory_guard(MemoryGuard::Off)
                .memory_limit(1),
        )
        .unwrap();
        assert_eq!(expected.peaks.len(), p.len() - 300);
        assert_eq!(warnings(), [""; 0], "off is silent");

        let warn = options.memory_guard(MemoryGuard::Warn);
        let at_the_start = plan.total() - 1;
        let on_the_way = between(plan, expected.peaks.len() as u64);
        for limit in [at_the_start, on_the_way] {
            let result = analyze(p.view(), &warn.clone().memory_limit(limit)).unwrap();
            assert_eq!(result.masks, expected.masks);
            assert_eq!(result.peaks, expected.peaks);
            let heard = warnings();
            assert_eq!(heard.len(), 1, "{heard:?}");
            assert!(heard[0].contains(&limit.to_string()), "{heard:?}");
        }

        analyze(p.view(), &warn.memory_limit(u64::MAX)).unwrap();
        assert_eq!(
            warnings(),
            [""; 0],
            "within the limit there is nothing to say"
        );
    });
}

/// Runs the body in a process that runs nothing else: this program again, with the one test's name.
fn in_own_process(test: &str, body: impl FnOnce()) {
    const ALONE: &str = "PEAKMASK_TEST_ALONE";
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    assert!(
        output.status.success() && text[0].contains("1 passed"),
        "{}{}",
        text[0],
        text[1]
    );
}

/// Analyses, and compares what the system saw with the estimate for the true number of peaks: `spare` percent of it may not
/// have been needed, and no more than 2 beyond it.
fn compare_with_system<T: Element>(p: &Array3<T>, alphas: &[f64], spare: f64) {
    compare(p, &options(alphas), -spare..=2.0);
}

fn compare<T: Element>(p: &Array3<T>, options: &Options, percent: RangeInclusive<f64>) {
    let plan = plan(p, options);
    let (analysis, grown) = peak_growth(|| analyze(p.view(), options).unwrap());
    // The true number of listed cells, in place of the assumed one.
    let listed = analysis
        .sparse
        .iter()
        .flatten()
        .map(|mask| 4 * mask.cells.len() as u64);
    let listed = listed.sum::<u64>();
    let estimated = plan.total_with(analysis.peaks.len() as u64) - plan.list_bytes + listed;
    let off = (grown as f64 / estimated as f64 - 1.0) * 100.0;
    let sentence = format!(
        "{} bytes seen, {estimated} estimated for {} peaks ({off:+.1} %)",
        grown,
        analysis.peaks.len()
    );
    // Scratch is counted for the worst, a peak in every cell of a tile and a batch that waits for every thread. Results are so
    // large here that the part of it that is not needed matters little.
    assert!(percent.contains(&off), "{sentence}");
    assert_eq!(analysis.report.bytes_planned, plan.total());
}

fn options(alphas: &[f64]) -> Options {
    Options::new().alphas(alphas.iter().copied()).threads(2)
}

fn plan<T: Element>(p: &Array3<T>, options: &Options) -> Estimate {
    estimate(p.dim().into(), T::DTYPE, options).unwrap()
}

/// A limit that admits the assumed number of peaks, but not the true one.
fn between(plan: Estimate, true_peaks: u64) -> u64 {
    assert!(
        true_peaks > plan.assumed_peaks + 1,
        "{true_peaks} peaks cross nothing when {} are assumed",
        plan.assumed_peaks
    );
    plan.total_with(plan.assumed_peaks + (true_peaks - plan.assumed_peaks) / 2)
}

/// Runs, and yields by how much anonymous resident memory had grown at its highest, looking every millisecond.
fn peak_growth<R>(run: impl FnOnce() -> R) -> (R, u64) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let before = rss_anon();
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = Stop(&stopped);
        let sampler = scope.spawn(|| {
            let mut highest = 0;
            while !stopped.load(Ordering::Relaxed) {
                highest = rss_anon().max(highest);
                thread::sleep(Duration::from_millis(1));
            }
            highest
        });
        let result = run();
        let at_the_end = rss_anon();
        drop(stop);
        let highest = sampler.join().unwrap().max(at_the_end);
        (result, highest.saturating_sub(before))
    })
}

/// Anonymous memory of this process that is resident, in bytes.
fn rss_anon() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.strip_suffix("kB"))
        .unwrap();
    kib.trim().parse::<u64>().unwrap() * 1024
}

/// Warnings of this process since the last call.
fn warnings() -> Vec<String> {
    struct Ear;
    static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    impl log::Log for Ear {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            if record.level() <= log::Level::Warn {
                HEARD.lock().unwrap().push(record.args().to_string());
            }
        }
        fn flush(&self) {}
    }
    log::set_logger(&Ear).ok();
    log::set_max_level(log::LevelFilter::Warn);
    std::mem::take(&mut HEARD.lock().unwrap())
}

/// One wandering Gaussian bump under 2 % noise: a few hundred peaks in each time bin.
fn noisy_bump<T>(shape: [usize; 3], narrow: fn(f64) -> T) -> Array3<T> {
    let [n_x, n_y, n_t] = shape;
    let profile = |n: usize, step: f64| {
        Array3::from_shape_fn((1, n, n_t), |(_, i, t)| {
            let centre = (0.5 + 0.4 * (t as f64 * step).sin()) * n as f64;
            (-((i as f64 - centre) / 4.0).powi(2)).exp()
        })
    };
    let (along_x, along_y) = (profile(n_x, 0.01), profile(n_y, 0.007));
    let mut state = 1_u64;
    Array3::from_shape_fn(shape, |(x, y, t)| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let noise = (state >> 40) as f64 / (1 << 24) as f64;
        narrow(along_x[[0, x, t]] * along_y[[0, y, t]] + 0.02 * noise)
    })
}

/// A cone around a wandering cell.
fn one_peak_a_bin(shape: [usize; 3]) -> Array3<f64> {
    let [n_x, n_y, _] = shape;
    Array3::from_shape_fn(shape, |(x, y, t)| {
        let away = x.abs_diff(t % n_x).max(y.abs_diff(t % n_y));
        1.0 / (1 + away) as f64
    })
}

/// All cells but the first are one plateau, and each of them a peak.
fn plateaus(shape: [usize; 3]) -> Array3<f64> {
    Array3::from_shape_fn(shape, |(x, y, _)| f64::from(u8::from((x, y) != (0, 0))))
}
