//! Many short epochs against one recording of as many bins, alternating in one process.
//!
//! ```text
//! cargo bench -p peakmask-benches --bench epochs
//! cargo bench -p peakmask-benches --bench epochs -- --json  one line of JSON, for benches/peers/measure.py
//! ```
//!
//! Medians of microseconds a bin, with peaks and two masks into warm outputs, 41 x 63 cells, `f64`; results are compared first.
//! `--small` measures a few bins, to try it out.

#[path = "support/check.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod check;
#[path = "support/inputs.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod inputs;
#[path = "support/said.rs"]
mod said;
#[path = "support/stack.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod stack;
#[path = "support/value.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod value;

use std::io::Write;
use std::time::{Duration, Instant};

use inputs::Kind;
use ndarray::{Array3, ArrayView3, s};
use peakmask::{Analyzer, Backend, Options, Outputs, Peaks};
use serde_json::{Value as Json, json};
use stack::{Layout, Pages};

const ALPHAS: [f64; 2] = [0.5, 0.9];
const ROUNDS: usize = 7;

fn main() {
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    let timed = given("--bench") && !given("--small");
    let (epochs, maps) = if timed { (5_000, 100_000) } else { (20, 100) };
    let mut rng = fastrand::Rng::with_seed(1);
    let mut cases = Vec::new();
    for kind in Kind::ALL {
        let lengths: Vec<usize> = (0..epochs).map(|_| rng.usize(3..=40)).collect();
        cases.extend(case(kind, "3 to 40 bins", &lengths));
        cases.extend(case(kind, "single maps", &vec![1; maps]));
    }
    if given("--json") {
        said::say(&cases);
    }
}

/// One line a number of threads: printed, unless it is JSON that is wanted.
fn case(kind: Kind, name: &str, lengths: &[usize]) -> Vec<Json> {
    let n_t: usize = lengths.iter().sum();
    let stack = kind.stack::<f64>(n_t, Layout::Xyt, Pages::Default, 1);
    let p = stack.view();
    let mut first = 0;
    let epochs: Vec<Array3<f64>> = lengths
        .iter()
        .map(|n| {
            first += n;
            let epoch = p.slice(s![.., .., first - n..first]);
            epoch.as_standard_layout().into_owned()
        })
        .collect();
    let views: Vec<ArrayView3<'_, f64>> = epochs.iter().map(|epoch| epoch.view()).collect();
    let (n_x, n_y, _) = p.dim();
    let mut cases = Vec::new();
    for threads in [1, 2] {
        let options = Options::new()
            .alphas(ALPHAS)
            .threads(threads)
            .backend(Backend::Cpu);
        let mut analyzer = Analyzer::new([n_x, n_y], options).expect("an analyzer");
        let mut results = [(); 2].map(|()| {
            let masks = ALPHAS.map(|_| Array3::from_elem((n_x, n_y, n_t), false));
            (masks, Peaks::new())
        });
        // Each way once, and what they found.
        let mut round = || -> [f64; 2] {
            let times = [0, 1].map(|many| {
                let (masks, peaks) = &mut results[many];
                let outputs = Outputs::new()
                    .peaks(peaks)
                    .masks(masks.iter_mut().map(|mask| mask.view_mut()));
                let start = Instant::now();
                match many {
                    0 => analyzer.run(p, outputs),
                    _ => analyzer.run_many(&views, outputs),
                }
                .expect("an analysis");
                start.elapsed()
            });
            let [long, many] = &results;
            assert!(long == many, "epochs differ from the recording");
            times.map(|time: Duration| time.as_secs_f64() * 1e6 / n_t as f64)
        };
        // Makes the outputs, and is compared before anything is timed.
        round();
        let times: Vec<[f64; 2]> = (0..ROUNDS).map(|_| round()).collect();
        let [long, many] =
            [0, 1].map(|way| times.iter().map(|round| round[way]).collect::<Vec<_>>());
        if !std::env::args().any(|argument| argument == "--json") {
            let (long, many) = (median(&long), median(&many));
            writeln!(
                std::io::stdout(),
                "{:<10} {:>7} x {name:<13} {threads} thread(s)   long {long:6.2} us   epochs {many:6.2} us   speed {:.2}",
                kind.name(),
                lengths.len(),
                long / many
            )
            .expect("standard output");
        }
        cases.push(json!({
            "kind": kind.name(),
            "epochs": name,
            "count": lengths.len(),
            "n_t": n_t,
            "threads": threads,
            "equality": said::equality("one recording", n_t),
            "us_per_bin": {"recording": long, "epochs": many},
        }));
    }
    cases
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
