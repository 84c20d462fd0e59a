//! How long a few time bins take: what a closed loop waits for, on one thread of the CPU.
//!
//! ```text
//! cargo bench -p peakmask-benches --bench latency            criterion
//! cargo bench -p peakmask-benches --bench latency -- --json  medians and 99th percentiles, for benches/peers/measure.py
//! ```
//!
//! | id | what is timed |
//! |---|---|
//! | `kept` | a call of an `Analyzer` that has been called before, with peaks and two masks into warm outputs |
//! | `single` | the same by `analyze_into`, which keeps nothing |
//!
//! for 1, 8 and 64 time bins of 41 x 63 cells, `f64`, alphas 0.5 and 0.9. The bins are the next ones of a recording with every
//! call, contiguous in memory as a decoder hands them over. Before anything is timed, all bins are compared with those of one
//! analysis of the whole recording.

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

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use inputs::Kind;
use ndarray::{Array3, ArrayView3, Axis};
use peakmask::{Analyzer, Backend, Options, Outputs, Peaks, analyze, analyze_into};
use serde_json::{Value as Json, json};
use stack::{Layout, Pages};

const ALPHAS: [f64; 2] = [0.5, 0.9];
const SIZES: [usize; 3] = [1, 8, 64];
/// Calls that percentiles are taken of, after some that are not counted.
const CALLS: usize = 2_000;
const WARM: usize = 50;

fn main() {
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    let timed = given("--bench") && !given("--test");
    let n_t = if timed { 2_048 } else { 128 };
    let percentiles = given("--json");
    let mut cases = Vec::new();
    let mut criterion = Criterion::default();
    if !percentiles {
        criterion = criterion.configure_from_args();
    }
    for kind in Kind::ALL {
        let stack = kind.stack::<f64>(n_t, Layout::Xyt, Pages::Default, 1);
        for bins in SIZES {
            let mut loops = Loop::new(stack.view(), bins);
            loops.assert_right(stack.view());
            if percentiles {
                cases.push(loops.percentiles(kind.name(), n_t));
            } else {
                loops.bench(kind.name(), &mut criterion);
            }
        }
    }
    if percentiles {
        said::say(&cases);
    } else {
        criterion.final_summary();
    }
}

fn options() -> Options {
    Options::new()
        .alphas(ALPHAS)
        .threads(1)
        .backend(Backend::Cpu)
}

/// A recording in pieces, and the warm outputs of one piece.
struct Loop {
    pieces: Vec<Array3<f64>>,
    next: usize,
    analyzer: Analyzer<f64>,
    masks: [Array3<bool>; 2],
    peaks: Peaks<f64>,
}

impl Loop {
    fn new(p: ArrayView3<'_, f64>, bins: usize) -> Self {
        let (n_x, n_y, _) = p.dim();
        let pieces = p.axis_chunks_iter(Axis(2), bins);
        Self {
            pieces: pieces
                .map(|piece| piece.as_standard_layout().into_owned())
                .collect(),
            next: 0,
            analyzer: Analyzer::new([n_x, n_y], options()).expect("an analyzer"),
            masks: [(); 2].map(|()| Array3::from_elem((n_x, n_y, bins), false)),
            peaks: Peaks::new(),
        }
    }

    fn bins(&self) -> usize {
        self.pieces[0].len_of(Axis(2))
    }

    /// One call of the analyzer.
    fn kept(&mut self) -> Duration {
        let p = self.pieces[self.next % self.pieces.len()].view();
        self.next += 1;
        let start = Instant::now();
        let outputs = Outputs::new()
            .peaks(&mut self.peaks)
            .masks(self.masks.iter_mut().map(|mask| mask.view_mut()));
        self.analyzer.run(p, outputs).expect("an analysis");
        start.elapsed()
    }

    /// One call that keeps nothing.
    fn single(&mut self) -> Duration {
        let p = self.pieces[self.next % self.pieces.len()].view();
        self.next += 1;
        let start = Instant::now();
        let mut masks = self.masks.each_mut().map(|mask| mask.view_mut());
        analyze_into(p, &options(), &mut masks, &mut self.peaks).expect("an analysis");
        start.elapsed()
    }

    /// Panics unless both ways find in every piece what one analysis of the whole finds.
    fn assert_right(&mut self, p: ArrayView3<'_, f64>) {
        let whole = analyze(p, &options()).expect("an analysis");
        let bins = self.bins();
        for call in [Self::kept, Self::single] {
            self.next = 0;
            for piece in 0..self.pieces.len() {
                call(self);
                for (mask, whole) in self.masks.iter().zip(&whole.masks) {
                    let part = whole.slice_axis(Axis(2), (piece * bins..(piece + 1) * bins).into());
                    assert!(*mask == part, "masks of piece {piece}");
                }
                for t in 0..bins {
                    assert_eq!(
                        self.peaks.bin(t),
                        whole.peaks.bin(piece * bins + t),
                        "piece {piece}"
                    );
                }
            }
        }
    }

    fn bench(&mut self, input: &str, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group(format!("latency/{input}_41x63/f64"));
        let bins = self.bins();
        for (name, call) in [
            ("kept", Self::kept as fn(&mut Self) -> Duration),
            ("single", Self::single),
        ] {
            group.bench_function(BenchmarkId::new(name, bins), |bencher| {
                bencher.iter_custom(|n| (0..n).map(|_| call(self)).sum());
            });
        }
        group.finish();
    }

    /// The median and the 99th percentile of both ways.
    fn percentiles(&mut self, input: &str, n_t: usize) -> Json {
        let [kept, single] = [Self::kept as fn(&mut Self) -> Duration, Self::single].map(|call| {
            for _ in 0..WARM {
                call(self);
            }
            let mut times: Vec<Duration> = (0..CALLS).map(|_| call(self)).collect();
            times.sort();
            let [p50, p99] = [50, 99].map(|share| times[CALLS * share / 100].as_secs_f64() * 1e6);
            json!({"p50": p50, "p99": p99})
        });
        json!({
            "kind": input,
            "bins": self.bins(),
            "calls": CALLS,
            "equality": said::equality("one recording", n_t),
            "us_per_call": {"kept": kept, "single": single},
        })
    }
}
