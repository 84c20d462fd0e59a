//! Many short epochs against one recording of as many bins, alternating in one process.
//!
//! ```text
//! cargo bench -p peakmask-benches --bench epochs
//! ```
//!
//! Medians of microseconds a bin, with peaks and two masks into warm outputs, 41 x 63 cells, `f64`; results are compared first.

#[path = "support/check.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod check;
#[path = "support/inputs.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod inputs;
#[path = "support/stack.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod stack;
#[path = "support/value.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod value;

use std::io::Write;
use std::time::Instant;

use inputs::Kind;
use ndarray::{Array3, ArrayView3, s};
use peakmask::{Analyzer, Backend, Options, Outputs, Peaks};
use stack::{Layout, Pages};

const ALPHAS: [f64; 2] = [0.5, 0.9];
const ROUNDS: usize = 7;

fn main() {
    let timed = std::env::args().any(|argument| argument == "--bench");
    let (epochs, maps) = if timed { (5_000, 100_000) } else { (20, 100) };
    let mut rng = fastrand::Rng::with_seed(1);
    for kind in Kind::ALL {
        let lengths: Vec<usize> = (0..epochs).map(|_| rng.usize(3..=40)).collect();
        case(kind, "3 to 40 bins", &lengths);
        case(kind, "single maps", &vec![1; maps]);
    }
}

fn case(kind: Kind, name: &str, lengths: &[usize]) {
    let n_t = lengths.iter().sum();
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
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (many, (masks, peaks)) in results.iter_mut().enumerate() {
                let outputs = Outputs::new()
                    .peaks(peaks)
                    .masks(masks.iter_mut().map(|mask| mask.view_mut()));
                let start = Instant::now();
                match many {
                    0 => analyzer.run(p, outputs),
                    _ => analyzer.run_many(&views, outputs),
                }
                .expect("an analysis");
                times[many].push(start.elapsed().as_secs_f64() * 1e6 / n_t as f64);
            }
        }
        let [long, many] = &results;
        assert!(long == many, "epochs differ from the recording");
        let [long, many] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        });
        writeln!(
            std::io::stdout(),
            "{:<10} {:>7} x {name:<13} {threads} thread(s)   long {long:6.2} us   epochs {many:6.2} us   speed {:.2}",
            kind.name(),
            lengths.len(),
            long / many
        )
        .expect("standard output");
    }
}
