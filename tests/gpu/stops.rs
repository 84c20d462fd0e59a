//! Cancellation and progress.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use peakmask::{Backend, CancelToken, Error, GpuTuning, Progress, analyze};

use crate::{Known, corridors, gpu_or_return, on};

/// A corridor that costs the GPU a sweep for each of its turns, with no cap on continuations, and the CPU a step for each
/// of its cells: seconds for both.
#[test]
fn a_long_flood_is_cancelled_within_a_second() {
    let context = gpu_or_return!();
    let p = corridors([512, 512, 96], true);
    let tuning = GpuTuning {
        batch: Some(8),
        slots: Some(1),
        // Short on slow machines too: the test is about the look at the switch between two submissions.
        iterations: Some(4096),
        dispatches: Some(1),
        rounds: Some(u32::MAX),
        ..Default::default()
    };
    let warm = on(context, tuning).peaks(false).threads(1);
    let levels = (0..8).map(|k| 0.5 + 0.01 * f64::from(k));
    let warm = warm.alphas(levels);
    analyze(corridors([8, 8, 8], true).view(), &warm).expect("it is analysed");
    // Other tests may keep the processor busy: one try of three has to be in time.
    let mut late = Vec::new();
    for backend in [
        Backend::Gpu,
        Backend::Auto,
        Backend::Gpu,
        Backend::Auto,
        Backend::Gpu,
        Backend::Auto,
    ] {
        let token = CancelToken::new();
        let options = warm.clone().backend(backend).cancel_token(token.clone());
        let cancelled = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            token.cancel();
            Instant::now()
        });
        let error = analyze(p.view(), &options).expect_err("it takes longer than the pause");
        let end = Instant::now();
        let after = end.saturating_duration_since(cancelled.join().expect("it only sleeps"));
        assert!(
            matches!(error, Error::Cancelled { total: 96, .. }),
            "{error}"
        );
        if after >= Duration::from_secs(1) {
            late.push((backend, after));
        }
    }
    for backend in [Backend::Gpu, Backend::Auto] {
        let times = late.iter().filter(|(of, _)| *of == backend).count();
        assert!(times < 3, "{backend}: late every time: {late:?}");
    }
}

#[test]
fn progress_grows_to_the_end() {
    let context = gpu_or_return!();
    let known = Known::<f64>::drawn(17, [20, 30, 1000]);
    for backend in [Backend::Gpu, Backend::Auto] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let tuning = GpuTuning {
            batch: Some(32),
            ..Default::default()
        };
        let options = on(context, tuning)
            .backend(backend)
            .progress(move |progress: Progress| {
                tell.lock().expect("nobody panics here").push(progress);
            });
        known.exact(&options);
        let told = told.lock().expect("nobody panics here");
        assert!(told.iter().all(|progress| progress.total == 1000));
        assert!(told.is_sorted_by_key(|progress| progress.done), "{told:?}");
        assert_eq!(
            told.last().map(|progress| progress.done),
            Some(1000),
            "{backend:?}"
        );
    }
}

#[test]
fn a_progress_callback_can_cancel() {
    let context = gpu_or_return!();
    let p = Known::<f64>::drawn(18, [20, 30, 3000]).p;
    let token = CancelToken::new();
    let switch = token.clone();
    let tuning = GpuTuning {
        batch: Some(1),
        ..Default::default()
    };
    let options = on(context, tuning)
        .alphas([0.5])
        .cancel_token(token)
        .progress(move |_| switch.cancel());
    let error = analyze(p.view(), &options).expect_err("it is cancelled");
    assert!(
        matches!(error, Error::Cancelled { total: 3000, .. }),
        "{error}"
    );
}
