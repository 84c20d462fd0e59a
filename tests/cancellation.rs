//! A long flood is cancelled within a second. Alone in its file, so that no other test runs beside it.

mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use std::thread;
use std::time::{Duration, Instant};

use ndarray::{Array3, s};
use peakmask::{CancelToken, Error, Options, analyze};

use support::generator::corridor;

/// One corridor through 1024 x 1024 cells in 64 time bins. In each bin the dominant cell lies elsewhere in the corridor,
/// so that the fronts of the 64 floods meet nowhere, and a word of lanes saves no step.
fn serpentines() -> Array3<f32> {
    let path = corridor((1024, 1024));
    let mut p = Array3::zeros((1024, 1024, 64));
    for &(x, y) in &path {
        p.slice_mut(s![x, y, ..]).fill(1.0);
    }
    for t in 0..64 {
        let (x, y) = path[t * (path.len() / 64)];
        p[(x, y, t)] = 1.5;
    }
    p
}

/// Uncancelled, the floods take several seconds.
#[test]
fn a_flood_through_a_large_maze_is_cancelled_within_a_second() {
    let p = serpentines();
    // Others may keep the processor busy: one try of three has to be in time.
    let mut late = Vec::new();
    for pause in [300, 1000, 500].map(Duration::from_millis) {
        let token = CancelToken::new();
        let options = Options::new()
            .alphas([0.5, 0.6, 0.55, 0.65])
            .threads(2)
            .cancel_token(token.clone());
        let cancelled = thread::spawn(move || {
            thread::sleep(pause);
            token.cancel();
            Instant::now()
        });
        let error =
            analyze(p.view(), &options).expect_err("the analysis takes longer than the pause");
        let end = Instant::now();
        let after = end.saturating_duration_since(cancelled.join().expect("it only sleeps"));
        assert!(
            matches!(error, Error::Cancelled { total: 64, .. }),
            "{error}"
        );
        if after >= Duration::from_secs(1) {
            late.push(after);
        }
    }
    assert!(
        late.len() < 3,
        "{late:?} from the cancellation to the return"
    );
}
