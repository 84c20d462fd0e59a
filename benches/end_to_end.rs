//! The whole job, peaks and masks for alpha 0.5 and 0.9, with the floor beside it.
//!
//! ```text
//! cargo bench -p peakmask-benches --bench end_to_end                        criterion
//! cargo bench -p peakmask-benches --bench end_to_end -- gm_xyt              criterion, ids that hold these words
//! cargo bench -p peakmask-benches --bench end_to_end -- --table gm xyt f64  one line a case: medians in us per bin, and ratios
//! cargo bench -p peakmask-benches --bench end_to_end -- --growth gm_xyt     time per bin at the most time bins against the fewest, `f32`
//! ```
//!
//! | topic | what is timed |
//! |---|---|
//! | `end_to_end` | the job into warm outputs (`analyze_into`, masks and peaks reused) |
//! | `fresh` | the job into fresh outputs (`analyze`), every byte of them read |
//! | `peaks_only` | no alpha: peaks into warm columns |
//! | `masks_only` | no peaks: masks into warm arrays |
//! | `floor` | XOR of the input's 64-bit words, and `fill` of the same warm masks, on as many threads of the CPU |
//!
//! Each on `cpu_01`, on `cpu_` with all cores, on `gpu`, and on `auto`, which is both on one queue. One GPU is opened for
//! all: what `PEAKMASK_ADAPTER` names, or the best one; software is timed only if it is named.
//!
//! Before anything is timed, some time bins are compared with a slow answer, and, on every engine, warm with fresh
//! outputs, and peaks and masks alone with those of the whole job. A floor whose read is slower than 80 % of a copy is
//! no floor: the bench fails.
//!
//! `PEAKMASK_BENCH_BINS=20000,65536` sets the numbers of time bins: the first has every case, the others `f64` alone.
//! `PEAKMASK_BENCH_PAGES=default` leaves the input's pages to the operating system; huge pages are advised otherwise.

#[path = "support/bed.rs"]
mod bed;
#[path = "support/case.rs"]
mod case;
#[path = "support/check.rs"]
mod check;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/floor.rs"]
mod floor;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/jobs.rs"]
mod jobs;
#[path = "support/stack.rs"]
mod stack;
#[path = "support/suite.rs"]
mod suite;
#[path = "support/value.rs"]
mod value;

use std::io::Write;
use std::time::Duration;

use case::{Case, cases, engines};
use engine::Engine;
use jobs::jobs;
use suite::{Figure, Suite, measure};
use value::Value;

const ROUNDS: usize = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = (arguments.iter().map(String::as_str))
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if given("--table") {
        table(&cases(), &words);
    } else if given("--growth") {
        growth(&cases(), &words);
    } else {
        measure::<EndToEnd>(&cases());
    }
}

/// Every job on every engine.
struct EndToEnd;

impl Suite for EndToEnd {
    const TIME: Duration = Duration::from_secs(1);

    fn figures<T: Value>() -> Vec<Figure<T>> {
        let figures = |(topic, job)| {
            let floor = topic == "floor";
            let engines = engines().iter().copied();
            engines
                .filter(move |engine| !floor || matches!(engine, Engine::Cpu(_)))
                .map(move |engine| Figure {
                    topic,
                    name: engine.to_string(),
                    engine,
                    job,
                })
        };
        jobs::<T>().into_iter().flat_map(figures).collect()
    }
}

fn table(cases: &[Case], words: &[&str]) {
    let mut out = std::io::stdout().lock();
    let head = "shape/type/engine                        warm   fresh   peaks   masks   floor  warm/floor  masks/floor  lowest-highest warm";
    writeln!(out, "{head}").expect("standard output");
    for &case in cases {
        if named(case, words) {
            let lines = if case.wide {
                lines::<f64>(case)
            } else {
                lines::<f32>(case)
            };
            writeln!(out, "{}", lines.join("\n")).expect("standard output");
        }
    }
}

/// Time per bin of the whole job on one thread, at the most time bins against the fewest: `f32`, so that more of them
/// fit in memory.
fn growth(cases: &[Case], words: &[&str]) {
    let mut out = std::io::stdout().lock();
    let n_t = || cases.iter().map(|case| case.n_t);
    let (fewest, most) = (n_t().min().unwrap_or(0), n_t().max().unwrap_or(0));
    let fits = |case: &&Case| !case.wide && case.n_t == cases[0].n_t && named(**case, words);
    for &case in cases.iter().filter(fits) {
        let mut beds = [fewest, most].map(|n_t| (n_t, Case { n_t, ..case }.bed::<f32>()));
        let mut rounds: Vec<[f64; 2]> = (0..ROUNDS)
            .map(|_| {
                beds.each_mut().map(|(n_t, bed)| {
                    bed.reanalyse(Engine::Cpu(1)).seconds.total * 1e6 / *n_t as f64
                })
            })
            .collect();
        rounds.sort_by(|a, b| (a[1] / a[0]).total_cmp(&(b[1] / b[0])));
        let [few, many] = rounds[ROUNDS / 2];
        writeln!(
            out,
            "{}: {few:.3} us per bin; at {most} time bins {many:.3}, {:.3} times as much",
            Case {
                n_t: fewest,
                ..case
            }
            .shape_and_type(),
            many / few,
        )
        .expect("standard output");
    }
}

fn named(case: Case, words: &[&str]) -> bool {
    let name = case.shape_and_type();
    words.iter().all(|word| name.contains(word))
}

/// Times the jobs in turn, round after round, so that a drift of the machine meets all of them.
fn lines<T: Value>(case: Case) -> Vec<String> {
    let mut bed = case.bed::<T>();
    let line = |&engine: &Engine| {
        let mut times = [const { Vec::new() }; 5];
        for _ in 0..ROUNDS {
            for (times, (_, job)) in times.iter_mut().zip(jobs::<T>()) {
                times.push(job(&mut bed, engine).as_secs_f64() * 1e6 / case.n_t as f64);
            }
        }
        let [warm, fresh, peaks, masks, floor] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times
        });
        let middle = |times: &[f64]| times[times.len() / 2];
        format!(
            "{:36} {:8.3}{:8.3}{:8.3}{:8.3}{:8.3}{:12.2}{:13.2}  {:.3}-{:.3}",
            format!("{}/{engine}", case.shape_and_type()),
            middle(&warm),
            middle(&fresh),
            middle(&peaks),
            middle(&masks),
            middle(&floor),
            middle(&warm) / middle(&floor),
            middle(&masks) / middle(&floor),
            warm[0],
            warm[ROUNDS - 1],
        )
    };
    engines().iter().map(line).collect()
}
