//! How the crate behaves towards its caller: errors, progress, cancellation, threads, memory, unusual shapes.

mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use ndarray::{Array2, Array3, ArrayView3, arr0, s};
#[cfg(feature = "gpu")]
use peakmask::{Analyzer, Backend, GpuUse, Level};
use peakmask::{
    CancelToken, Dtype, Error, InstructionSet, LimitSource, MemoryGuard, MemoryLimit, Options,
    Peaks, Progress, analyze, analyze_into, check_axis_order, estimate,
};

use support::compare::{Answer, Zeros, first_difference};
use support::engine::Engine;
use support::float::Float;
use support::generator::Case;
use support::layout::Layout;
use support::trial::Trial;

/// Options of most tests here: two masks.
fn options() -> Options {
    Options::new().alphas([0.5, 0.9])
}

/// A posterior of many kinds of bins.
fn mixture() -> Case<f64> {
    Case::sized(7, [17, 19, 200])
}

/// Fails if the answer of `found` is not that of the oracle, with the alphas of [`options`].
fn assert_right<T: Float>(p: ArrayView3<'_, T>, found: &peakmask::Analysis<T>, what: &str) {
    let expected = Answer::of_oracle(p, &[0.5, 0.9], false);
    let masks: Vec<_> = found.masks.iter().map(|mask| mask.view()).collect();
    if let Some(difference) = first_difference(&expected, &masks, &found.peaks, Zeros::Signed) {
        panic!("{what}: {difference} in bin {:?}", difference.bin);
    }
}

/// Runs on a thread of its own, and fails instead of waiting for ever.
fn within<R: Send + 'static>(limit: Duration, body: impl FnOnce() -> R + Send + 'static) -> R {
    let (send, receive) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = send.send(body());
    });
    match receive.recv_timeout(limit) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("no answer within {limit:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("the thread sent nothing"))
        }
    }
}

const LONG: Duration = Duration::from_secs(60);

// Errors.

#[test]
fn a_map_without_cells() {
    let p = Array3::<f64>::zeros((0, 3, 2));
    let error = analyze(p.view(), &options()).expect_err("no cells");
    assert_eq!(
        error,
        Error::EmptyMap {
            n_x: 0,
            n_y: 3,
            n_t: 2
        }
    );
    assert!(error.to_string().contains("(0, 3, 2)"), "{error}");
    let error = estimate([3, 0, 2], Dtype::F64, &options()).expect_err("no cells");
    assert_eq!(
        error,
        Error::EmptyMap {
            n_x: 3,
            n_y: 0,
            n_t: 2
        }
    );
}

#[test]
fn a_map_of_too_many_cells() {
    let shape = [1 << 16, 1 << 16, 1];
    let expected = Error::MapTooLarge {
        n_x: 1 << 16,
        n_y: 1 << 16,
    };
    let one = arr0(0.5_f32);
    let view = one.broadcast(shape).expect("a scalar repeats");
    let options = options().memory_guard(MemoryGuard::Off);
    assert_eq!(analyze(view, &options).map(|_| ()), Err(expected.clone()));
    assert_eq!(estimate(shape, Dtype::F32, &options), Err(expected));
    for shape in [[usize::MAX, 2, 1], [2, usize::MAX, 1], [usize::MAX; 3]] {
        let error = estimate(shape, Dtype::F64, &options).expect_err("too many cells");
        assert!(matches!(error, Error::MapTooLarge { .. }), "{error}");
    }
}

#[test]
fn a_wrong_number_of_outputs() {
    let p = Array3::<f64>::zeros((3, 4, 5));
    let mut mask = Array3::from_elem((3, 4, 5), true);
    let found = analyze_into(
        p.view(),
        &options(),
        &mut [mask.view_mut()],
        &mut Peaks::new(),
    );
    let error = found.expect_err("one output for two alphas");
    assert_eq!(
        error,
        Error::OutputCount {
            alphas: 2,
            outputs: 1
        }
    );
    let text = error.to_string();
    assert!(
        text.contains("2 alphas") && text.contains("1 output"),
        "{text}"
    );
}

#[test]
fn an_output_of_the_wrong_shape() {
    let p = Array3::<f64>::zeros((3, 4, 5));
    let (mut right, mut wrong) = (
        Array3::from_elem((3, 4, 5), true),
        Array3::from_elem((5, 3, 4), true),
    );
    let mut outputs = [right.view_mut(), wrong.view_mut()];
    let error = analyze_into(p.view(), &options(), &mut outputs, &mut Peaks::new())
        .expect_err("the second output has another shape");
    let (expected, found) = ([3, 4, 5], [5, 3, 4]);
    assert_eq!(
        error,
        Error::OutputShape {
            index: 1,
            expected,
            found
        }
    );
    let text = error.to_string();
    assert!(
        text.contains("[3, 4, 5]") && text.contains("[5, 3, 4]"),
        "{text}"
    );
}

#[test]
fn an_instruction_set_that_the_processor_lacks() {
    let available = InstructionSet::available();
    let best = InstructionSet::detect();
    assert_eq!(available.first(), Some(&InstructionSet::Baseline));
    assert_eq!(available.last(), Some(&best));
    let p = Array3::<f64>::zeros((3, 4, 5));
    for requested in [InstructionSet::Avx2, InstructionSet::Avx512] {
        let found = analyze(p.view(), &options().instruction_set(requested));
        if available.contains(&requested) {
            assert_eq!(
                found.expect("it is available").report.instruction_set,
                requested
            );
        } else {
            let expected = Error::InstructionSet { requested, best };
            assert_eq!(found.map(|_| ()), Err(expected));
        }
    }
}

/// A posterior in which each time bin sums to 1, `(x, y, t)`, cells left out for which `off_track` holds.
fn normalised<T: Float>(off_track: impl Fn(usize, usize) -> bool) -> Array3<T> {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut p = Array3::from_shape_fn((6, 7, 30), |(x, y, _)| {
        if off_track(x, y) { f64::NAN } else { rng.f64() }
    });
    for mut bin in p.axis_iter_mut(ndarray::Axis(2)) {
        let sum: f64 = bin.iter().filter(|v| !v.is_nan()).sum();
        bin /= sum;
    }
    p.mapv(T::of)
}

fn axis_order<T: Float>() {
    for off_track in [|_, _| false, |x, y| x == 2 && y > 3] {
        let xyt = normalised::<T>(off_track);
        assert_eq!(check_axis_order(xyt.view()), Ok(()));
        let txy = xyt.view().permuted_axes([2, 0, 1]);
        let error = check_axis_order(txy).expect_err("the time bins lie along the first axis");
        assert!(
            matches!(
                error,
                Error::AxisOrder {
                    shape: [30, 6, 7],
                    ..
                }
            ),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains("txy") && text.contains("[30, 6, 7]"),
            "{text}"
        );
    }
}

#[test]
fn time_passed_as_the_first_axis() {
    axis_order::<f64>();
    axis_order::<f32>();
}

#[test]
fn a_first_axis_too_long_for_positions() {
    let likelihood = Array3::from_elem((1025, 3, 4), 0.3);
    let error = check_axis_order(likelihood.view()).expect_err("1025 bins along x");
    assert!(error.to_string().contains("1025"), "{error}");
    assert_eq!(
        check_axis_order(likelihood.slice(s![..1024, .., ..])),
        Ok(())
    );
    let long = likelihood.slice(s![.., ..1, ..1]);
    assert_eq!(
        check_axis_order(
            long.broadcast((1025, 1, 2000))
                .expect("one bin, again and again")
        ),
        Ok(()),
        "a recording longer than its track"
    );
    let track = Array3::from_elem((2000, 1, 50), 1.0 / 2000.0);
    assert_eq!(check_axis_order(track.view()), Ok(()), "sums decide");
}

/// The largest maps there are, no time bin: nothing may go through their cells, on whichever axis they lie.
#[test]
fn no_time_bins_take_no_time() {
    for shape in [
        (65_535, 65_537, 0),
        (u32::MAX as usize, 1, 0),
        (1, u32::MAX as usize, 0),
    ] {
        let start = std::time::Instant::now();
        let p = Array3::<f32>::zeros(shape);
        check_axis_order(p.view()).unwrap();
        let found = analyze(p.view(), &Options::new().alphas([0.5, 0.9])).unwrap();
        assert_eq!(found.peaks.offsets, [0]);
        assert!(found.masks.iter().all(|mask| mask.dim() == shape));
        let mut masks = found.masks;
        let mut masks: Vec<_> = masks.iter_mut().map(|mask| mask.view_mut()).collect();
        let options = Options::new().alphas([0.5, 0.9]);
        analyze_into(p.view(), &options, &mut masks, &mut Peaks::new()).unwrap();
        assert!(start.elapsed().as_secs_f64() < 1.0, "{shape:?}");
    }
}

#[test]
fn axis_order_without_evidence() {
    let likelihood = Array3::from_elem((30, 6, 7), 0.3);
    assert_eq!(
        check_axis_order(likelihood.view()),
        Ok(()),
        "sums that are not 1 tell nothing"
    );
    let both = Array3::from_elem((5, 5, 5), 1.0 / 25.0);
    assert_eq!(
        check_axis_order(both.view()),
        Ok(()),
        "sums of 1 both ways tell nothing"
    );
    let none = Array3::<f64>::zeros((5, 5, 0));
    assert_eq!(
        check_axis_order(none.view()),
        Ok(()),
        "no time bins tell nothing"
    );
}

// Memory.

/// More time bins than any memory holds, in an input that takes none: whoever allocates before looking dies here.
#[test]
fn an_impossible_analysis_is_refused_before_anything_is_allocated() {
    let one = arr0(0.5_f64);
    for shape in [[4, 4, 1 << 42], [1, 1, 1 << 62]] {
        let view = one.broadcast(shape).expect("a scalar repeats");
        let error = analyze(view, &options()).expect_err("no memory holds the masks");
        let Error::OverBudget {
            needed,
            limit,
            source_of_limit,
            peaks,
            ..
        } = error
        else {
            panic!("{error}")
        };
        assert!(needed > 1 << 47, "{needed}");
        assert!(limit < needed, "{limit}");
        assert_ne!(source_of_limit, LimitSource::Caller);
        assert_eq!(peaks, None);
    }
}

#[test]
fn a_limit_given_by_the_caller_is_obeyed() {
    let case = mixture();
    let options = options().memory_limit(1000);
    let shape = [17, 19, 200];
    let needed = estimate(shape, Dtype::F64, &options)
        .expect("a valid shape")
        .total();
    let error = analyze(case.p.view(), &options).expect_err("1000 bytes are not enough");
    let expected = Error::OverBudget {
        needed,
        limit: 1000,
        source_of_limit: LimitSource::Caller,
        peaks: None,
        fits: None,
    };
    assert_eq!(error, expected);
    let text = error.to_string();
    assert!(
        text.contains("1000 bytes") && text.contains(&needed.to_string()),
        "{text}"
    );
}

#[test]
fn what_was_estimated_is_enough_for_that_many_peaks() {
    let case = mixture();
    let total = estimate([17, 19, 200], Dtype::F64, &options()).expect("a valid shape");
    let peaks = oracle::answer(case.p.view(), &[], false);
    let peaks = peaks.iter().map(|bin| bin.peaks.len() as u64).sum::<u64>();
    let limit = total.total().max(total.total_with(peaks));
    let found = analyze(case.p.view(), &options().memory_limit(limit)).expect("the limit suffices");
    assert_right(case.p.view(), &found, "at the limit");
    assert!(found.report.bytes_planned > 0);
}

/// All cells but one are peaks: more than any estimate assumes.
fn peaks_everywhere(n_t: usize) -> Array3<f64> {
    let mut p = Array3::from_elem((32, 32, n_t), 1.0);
    p.slice_mut(s![5, 6, ..]).fill(0.0);
    p
}

#[test]
fn peaks_that_cross_the_limit_during_the_run_end_it() {
    let p = peaks_everywhere(3000);
    let plan = estimate([32, 32, 3000], Dtype::F64, &options()).expect("a valid shape");
    let true_peaks = 1023 * 3000;
    assert!(plan.assumed_peaks < true_peaks, "{plan:?}");
    let error = analyze(p.view(), &options().memory_limit(plan.total()))
        .expect_err("there are more peaks than the estimate assumed");
    let Error::OverBudget {
        needed,
        limit,
        source_of_limit,
        peaks,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert!(needed > limit, "{needed} against {limit}");
    assert_eq!(
        (limit, source_of_limit),
        (plan.total(), LimitSource::Caller)
    );
    let peaks = peaks.expect("the estimate alone was within the limit");
    assert!((1..=true_peaks).contains(&peaks), "{peaks}");
}

/// Counts what is logged as a warning, by thread.
struct Warnings;

static WARNINGS: Mutex<Vec<(thread::ThreadId, String)>> = Mutex::new(Vec::new());

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }
    fn log(&self, record: &log::Record<'_>) {
        let mut warnings = WARNINGS
            .lock()
            .expect("no test panics while it holds the lock");
        warnings.push((thread::current().id(), record.args().to_string()));
    }
    fn flush(&self) {}
}

fn warnings_of(body: impl FnOnce()) -> Vec<String> {
    // A second call finds the logger in place.
    let _ = log::set_logger(&Warnings);
    log::set_max_level(log::LevelFilter::Warn);
    body();
    let warnings = WARNINGS
        .lock()
        .expect("no test panics while it holds the lock");
    let own = warnings
        .iter()
        .filter(|(thread, _)| *thread == thread::current().id());
    own.map(|(_, text)| text.clone()).collect()
}

#[test]
fn a_guard_that_warns_goes_on_and_says_so_once() {
    let case = mixture();
    let options = options().memory_limit(1000).memory_guard(MemoryGuard::Warn);
    let warnings = warnings_of(|| {
        let found = analyze(case.p.view(), &options).expect("the guard only warns");
        assert_right(case.p.view(), &found, "above the limit");
    });
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("1000"), "{warnings:?}");
}

#[test]
fn a_guard_that_is_off_says_nothing() {
    let case = mixture();
    let options = options().memory_limit(1000).memory_guard(MemoryGuard::Off);
    let warnings = warnings_of(|| {
        let found = analyze(case.p.view(), &options).expect("the guard is off");
        assert_right(case.p.view(), &found, "above the limit");
    });
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn estimates_grow_with_what_is_asked() {
    let total = |shape, dtype, alphas: &[f64]| {
        let options = Options::new().threads(2).alphas(alphas.iter().copied());
        estimate(shape, dtype, &options)
            .expect("a valid shape")
            .total()
    };
    let base = total([41, 63, 1000], Dtype::F64, &[0.5]);
    assert!(total([41, 63, 2000], Dtype::F64, &[0.5]) > base);
    assert!(total([41, 63, 1000], Dtype::F64, &[0.5, 0.9]) >= base + 41 * 63 * 1000);
    assert!(total([41, 63, 1000], Dtype::F32, &[0.5]) < base);
    // Far beyond any memory, but no overflow.
    assert!(total([1000, 1000, usize::MAX / 8_000_000], Dtype::F64, &[0.5; 9]) > 1 << 40);
    assert_eq!(
        total([1000, 1000, usize::MAX], Dtype::F64, &[0.5; 9]),
        u64::MAX
    );
}

#[test]
fn the_machine_has_a_limit() {
    let limit = MemoryLimit::detect();
    assert!(limit.bytes > 0, "{limit:?}");
    assert_ne!(limit.source, LimitSource::Caller);
    if cfg!(target_os = "linux") {
        assert_ne!(limit.source, LimitSource::Unknown);
        assert!(limit.bytes < 1 << 50, "{limit:?}");
    }
}

// Progress and cancellation.

type Calls = Arc<Mutex<Vec<(thread::ThreadId, Progress)>>>;

/// Options whose progress callback records its calls.
fn recorded(options: Options) -> (Options, Calls) {
    let calls = Calls::default();
    let record = Arc::clone(&calls);
    let options = options.progress(move |progress| {
        let mut calls = record
            .lock()
            .expect("no callback panics while it holds the lock");
        calls.push((thread::current().id(), progress));
    });
    (options, calls)
}

#[test]
fn progress_comes_on_the_calling_thread_rises_and_ends_at_the_total() {
    let case = mixture();
    for threads in Engine::THREADS {
        let (options, calls) = recorded(options().threads(threads));
        analyze(case.p.view(), &options).expect("nothing is wrong");
        let calls = calls.lock().expect("no callback panicked");
        let here = thread::current().id();
        assert!(calls.iter().all(|(thread, _)| *thread == here), "{calls:?}");
        assert!(
            calls.iter().all(|(_, progress)| progress.total == 200),
            "{calls:?}"
        );
        assert!(
            calls.is_sorted_by_key(|(_, progress)| progress.done),
            "{calls:?}"
        );
        assert_eq!(
            calls.last().map(|(_, progress)| progress.done),
            Some(200),
            "{calls:?}"
        );
    }
}

/// A posterior that takes long to analyse and no memory: one map, repeated.
fn long_posterior() -> Array2<f64> {
    Array2::from_shape_fn((100, 100), |(x, y)| {
        1.0 / (1.0 + (x as f64 - 40.0).abs() + y as f64)
    })
}

#[test]
fn progress_comes_while_the_analysis_runs() {
    let one = long_posterior();
    let one = one.view().insert_axis(ndarray::Axis(2));
    let p = one.broadcast((100, 100, 100_000)).expect("one bin repeats");
    let token = CancelToken::new();
    let (switch, calls) = (token.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&calls);
    let options = Options::new()
        .threads(1)
        .cancel_token(token)
        .progress(move |progress| {
            count.fetch_add(1, Ordering::Relaxed);
            if (1..progress.total).contains(&progress.done) {
                switch.cancel();
            }
        });
    let error = analyze(p, &options).expect_err("the first call with some bins done cancels");
    let Error::Cancelled { done, total } = error else {
        panic!("{error}")
    };
    assert_eq!(total, 100_000);
    assert!((1..total).contains(&done), "{done}");
    assert!(calls.load(Ordering::Relaxed) >= 1);
}

#[test]
fn a_token_that_is_already_on_stops_at_once() {
    let case = mixture();
    let token = CancelToken::new();
    token.cancel();
    let found = analyze(case.p.view(), &options().cancel_token(token));
    assert_eq!(
        found.map(|_| ()),
        Err(Error::Cancelled {
            done: 0,
            total: 200
        })
    );
}

#[test]
fn a_token_that_stays_off_changes_nothing() {
    let case = mixture();
    let found = analyze(case.p.view(), &options().cancel_token(CancelToken::new()));
    assert_right(
        case.p.view(),
        &found.expect("nobody cancelled"),
        "with a token",
    );
}

#[test]
fn a_panic_in_the_callback_cancels_and_propagates() {
    let case = mixture();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let failing = options().progress(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        std::panic::panic_any("the callback's own reason");
    });
    let caught = catch_unwind(AssertUnwindSafe(|| analyze(case.p.view(), &failing)));
    let reason = caught.expect_err("the panic propagates");
    assert_eq!(reason.downcast_ref(), Some(&"the callback's own reason"));
    assert_eq!(calls.load(Ordering::Relaxed), 1, "nobody calls it again");
    let found = analyze(case.p.view(), &options()).expect("nothing is poisoned");
    assert_right(case.p.view(), &found, "after the panic");
}

#[test]
fn a_panic_in_the_callback_stops_the_analysis() {
    let one = long_posterior();
    let one = one.view().insert_axis(ndarray::Axis(2));
    let p = one.broadcast((100, 100, 100_000)).expect("one bin repeats");
    let seen = Arc::new(AtomicUsize::new(usize::MAX));
    let done = Arc::clone(&seen);
    let failing = Options::new().threads(1).progress(move |progress| {
        done.store(progress.done, Ordering::Relaxed);
        panic!("enough");
    });
    let caught = catch_unwind(AssertUnwindSafe(|| analyze(p, &failing)));
    assert!(caught.is_err());
    assert!(
        seen.load(Ordering::Relaxed) < 100_000,
        "the first call comes long before the end"
    );
}

#[test]
fn outputs_are_usable_after_an_error() {
    let case = mixture();
    let mut masks = [
        Array3::from_elem((17, 19, 200), true),
        Array3::from_elem((17, 19, 200), true),
    ];
    let mut peaks = Peaks::new();
    let token = CancelToken::new();
    token.cancel();
    let mut analyse = |options: &Options| {
        let mut views = masks.each_mut().map(|mask| mask.view_mut());
        let found = analyze_into(case.p.view(), options, &mut views, &mut peaks);
        found.map(|_| (masks.clone(), peaks.clone()))
    };
    assert!(analyse(&options().cancel_token(token)).is_err());
    assert!(analyse(&options().memory_limit(10)).is_err());
    let (masks, peaks) = analyse(&options()).expect("nothing is wrong any more");
    let expected = Answer::of_oracle(case.p.view(), &[0.5, 0.9], false);
    let masks = masks.each_ref().map(|mask| mask.view());
    assert_eq!(
        first_difference(&expected, &masks, &peaks, Zeros::Signed),
        None
    );
}

#[test]
fn peaks_are_reused_and_replaced() {
    let (large, small) = (mixture().p, Case::<f64>::sized(8, [5, 4, 3]).p);
    let mut peaks = Peaks::new();
    for p in [&large, &small, &large] {
        analyze_into(p.view(), &Options::new(), &mut [], &mut peaks).expect("nothing is wrong");
        let fresh = analyze(p.view(), &Options::new())
            .expect("nothing is wrong")
            .peaks;
        let expected = Answer::of_oracle(p.view(), &[], false);
        for found in [&peaks, &fresh] {
            assert_eq!(first_difference(&expected, &[], found, Zeros::Signed), None);
        }
    }
}

// Threads.

#[test]
fn a_call_from_inside_a_pool_of_the_caller() {
    for pool_threads in [1, 2] {
        for threads in Engine::THREADS {
            within(LONG, move || {
                let case = mixture();
                let pool = rayon::ThreadPoolBuilder::new().num_threads(pool_threads);
                let pool = pool.build().expect("threads can be started");
                pool.install(|| {
                    let (options, calls) = recorded(options().threads(threads));
                    let found = analyze(case.p.view(), &options).expect("nothing is wrong");
                    assert_right(case.p.view(), &found, "inside a pool");
                    let calls = calls.lock().expect("no callback panicked");
                    let here = thread::current().id();
                    assert!(calls.iter().all(|(thread, _)| *thread == here));
                });
            });
        }
    }
}

#[test]
fn many_calls_from_inside_a_pool_of_the_caller() {
    within(LONG, || {
        use rayon::prelude::*;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3);
        let pool = pool.build().expect("threads can be started");
        pool.install(|| {
            (0..24_u64).into_par_iter().for_each(|seed| {
                let case = Case::<f32>::sized(seed, [8, 9, 66]);
                let found =
                    analyze(case.p.view(), &options().threads(2)).expect("nothing is wrong");
                assert_right(case.p.view(), &found, "one of many calls");
            });
        });
    });
}

#[test]
fn concurrent_calls() {
    within(LONG, || {
        thread::scope(|scope| {
            for seed in 0..8 {
                scope.spawn(move || {
                    let case = Case::<f64>::sized(seed, [11, 12, 130]);
                    for threads in [0, 1, 3] {
                        let options = options().threads(threads);
                        let found = analyze(case.p.view(), &options).expect("nothing is wrong");
                        assert_right(case.p.view(), &found, "one of several calls");
                    }
                });
            }
        });
    });
}

// Reports.

#[test]
fn the_report_says_what_ran() {
    let one = long_posterior();
    let one = one.view().insert_axis(ndarray::Axis(2));
    let shape = [100, 100, 2000];
    let p = one.broadcast(shape).expect("one bin repeats");
    let options = options().threads(2);
    let found = analyze(p, &options).expect("nothing is wrong");
    let report = &found.report;
    assert_eq!(report.engine, peakmask::Engines::Cpu);
    assert_eq!(report.instruction_set, InstructionSet::detect());
    assert_eq!(report.threads, 2);
    assert_eq!((report.bins, report.peaks), (2000, found.peaks.len()));
    assert!(report.seconds.total > 0.0, "{report:?}");
    let planned = estimate(shape, Dtype::F64, &options).expect("a valid shape");
    assert_eq!(report.bytes_planned, planned.total());
}

#[test]
fn the_peaks_of_a_bin() {
    let case = mixture();
    let peaks = analyze(case.p.view(), &options())
        .expect("nothing is wrong")
        .peaks;
    assert_eq!(peaks.n_bins(), 200);
    assert_eq!(peaks.bins().len(), 200);
    assert_eq!(
        peaks.bins().map(|bin| bin.len()).sum::<usize>(),
        peaks.len()
    );
    let caught = catch_unwind(|| peaks.bin(200).len());
    assert!(caught.is_err(), "there is no bin 200");
}

// Unusual shapes.

fn unusual<T: Float>(shape: [usize; 3]) {
    let case = Case::<T>::sized(11, shape);
    let expected = Answer::of_oracle(case.p.view(), &[0.5], false);
    let trial = Trial {
        origin: format!("seed 11 in one shape, {}", T::NAME),
        p: case.p.view(),
        levels: &[oracle::Level::OfPeak(0.5)],
        rules: oracle::Rules::default(),
        expected: &expected,
        zeros: Zeros::Signed,
    };
    for engine in Engine::whole().into_iter().step_by(2) {
        trial.owned(engine, Layout::C);
        trial.given_outputs(engine, Layout::TXY, Layout::C, &mut Peaks::new());
    }
}

#[test]
fn a_map_of_1024_x_1024() {
    unusual::<f64>([1024, 1024, 2]);
}

#[test]
fn a_map_of_one_wide_row() {
    unusual::<f64>([1, 70_000, 3]);
}

#[test]
fn a_map_of_one_tall_column() {
    unusual::<f32>([70_000, 1, 3]);
}

#[test]
fn many_more_time_bins_than_cells() {
    unusual::<f64>([2, 3, 30_011]);
    unusual::<f32>([1, 2, 30_011]);
}

/// A task that an engine cannot do is declined before there is an engine, and whoever asked for it is told why.
#[cfg(feature = "gpu")]
#[test]
fn what_the_gpu_cannot_do_is_left_to_the_cpu_and_said() {
    let p = Array3::from_shape_fn((5, 6, 70), |(x, y, t)| ((x * 7 + y * 3 + t) % 11) as f64);
    let options = Options::new().levels([Level::Coverage(0.5)]);
    let report = analyze(p.view(), &options).unwrap().report;
    assert_eq!((report.cpu_bins, report.gpu_bins), (70, 0));
    let why = report.no_gpu.unwrap();
    let by_gpu = options.clone().backend(Backend::Gpu);
    let required = options.gpu(GpuUse::Require);
    for options in [by_gpu, required] {
        let refused = analyze(p.view(), &options).map(|_| ()).unwrap_err();
        let of_analyzer = Analyzer::<f64>::new([5, 6], options)
            .map(|_| ())
            .unwrap_err();
        for refused in [refused, of_analyzer] {
            let Error::NoGpu { reason } = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(reason, why);
        }
    }
}
