//! The whole job, peaks and masks for alpha 0.5 and 0.9, with the floor beside it.
//!
//! ```text
//! cargo bench --bench end_to_end                        criterion
//! cargo bench --bench end_to_end -- gm_xyt              criterion, ids that hold these words
//! cargo bench --bench end_to_end -- --table gm xyt f64  one line a case: medians in us per bin, and ratios
//! ```
//!
//! | topic | what is timed |
//! |---|---|
//! | `end_to_end` | the job into warm outputs (`analyze_into`, masks and peaks reused) |
//! | `fresh` | the job into fresh outputs (`analyze`), every byte of them read |
//! | `peaks_only` | no alpha: peaks into warm columns |
//! | `floor` | XOR of the input's 64-bit words, and `fill` of the same warm masks, on as many threads |
//!
//! Before anything is timed, some time bins are compared with a slow answer, and warm with fresh outputs. A floor
//! whose read is slower than 80 % of a copy is no floor: the bench fails.
//!
//! `PEAKMASK_BENCH_BINS=20000,65536` sets the numbers of time bins: the first has every case, the others `f64` alone.
//! `PEAKMASK_BENCH_PAGES=default` leaves the input's pages to the operating system; huge pages are advised otherwise.

#[path = "support/bed.rs"]
mod bed;
#[path = "support/check.rs"]
mod check;
#[path = "support/floor.rs"]
mod floor;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/stack.rs"]
mod stack;
#[path = "support/value.rs"]
mod value;

use std::io::Write;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};

use bed::Bed;
use inputs::Kind;
use stack::{Layout, Pages};
use value::Value;

const ALPHAS: [f64; 2] = [0.5, 0.9];
const SEED: u64 = 20_240_611;
const ROUNDS: usize = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let timed = given("--bench") && !given("--test");
    let words: Vec<&str> = (arguments.iter().map(String::as_str))
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let cases = cases(&bin_counts(timed), timed);
    if given("--table") {
        table(&cases, &words);
    } else {
        criterion(&cases);
    }
}

/// One input in one layout and type.
#[derive(Debug, Clone, Copy)]
struct Case {
    kind: Kind,
    layout: Layout,
    n_t: usize,
    wide: bool,
    timed: bool,
}

impl Case {
    /// `openfield_xyt_0100000/f64`.
    fn shape_and_type(self) -> String {
        let kind = self.kind.name();
        let layout = match self.layout {
            Layout::Xyt => "xyt",
            Layout::Txy => "txy",
        };
        let element = if self.wide { f64::NAME } else { f32::NAME };
        format!("{kind}_{layout}_{:07}/{element}", self.n_t)
    }

    /// A checked bed.
    fn bed<T: Value>(self) -> Bed<T> {
        let stack = self.kind.stack(self.n_t, self.layout, pages(), SEED);
        let mut bed = Bed::new(stack, &ALPHAS);
        let bins = (0..self.n_t).step_by(self.n_t.div_ceil(40).max(1));
        let bins = bins.chain(self.n_t.checked_sub(1));
        check::assert_bins(bed.stack().view(), &ALPHAS, bed.masks(), bed.peaks(), bins);
        if self.timed {
            let (mean, known) = (
                bed.peaks().len() as f64 / self.n_t as f64,
                self.kind.peaks_per_bin(),
            );
            assert!(
                (mean / known - 1.0).abs() < 0.15,
                "{mean} peaks a bin, not about {known}"
            );
        }
        for threads in threads() {
            bed.reanalyse(threads);
            let fresh = bed.analysis(threads);
            assert!(bed.masks() == fresh.masks, "warm and fresh masks differ");
            assert!(*bed.peaks() == fresh.peaks, "warm and fresh peaks differ");
            if self.timed {
                let speeds = floor::speeds(bed.stack().words(), &floor::pool(threads));
                assert!(
                    speeds.read >= 0.8 * speeds.copy,
                    "the floor reads slower than a copy on {threads} threads: {speeds:?}; the machine is busy, or \
                     the read is badly compiled"
                );
            }
        }
        bed
    }
}

fn cases(bin_counts: &[usize], timed: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, &n_t) in bin_counts.iter().enumerate() {
        for kind in Kind::ALL {
            for wide in [true, false] {
                for layout in [Layout::Xyt, Layout::Txy] {
                    if wide || index == 0 {
                        cases.push(Case {
                            kind,
                            layout,
                            n_t,
                            wide,
                            timed,
                        });
                    }
                }
            }
        }
    }
    cases
}

fn bin_counts(timed: bool) -> Vec<usize> {
    match std::env::var("PEAKMASK_BENCH_BINS") {
        Ok(list) => list
            .split(',')
            .map(|n| {
                n.trim()
                    .parse()
                    .expect("PEAKMASK_BENCH_BINS: numbers of time bins, by commas")
            })
            .collect(),
        Err(_) if timed => vec![20_000, 20_037, 65_536],
        Err(_) => vec![130],
    }
}

fn pages() -> Pages {
    match std::env::var("PEAKMASK_BENCH_PAGES").as_deref() {
        Ok("default") => Pages::Default,
        Ok("huge") | Err(_) => Pages::Huge,
        Ok(other) => panic!("PEAKMASK_BENCH_PAGES is huge or default, not {other}"),
    }
}

/// One thread, and one for each core.
fn threads() -> Vec<usize> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = vec![1, all];
    threads.dedup();
    threads
}

/// What is timed on a bed, by topic.
type Job<T> = fn(&mut Bed<T>, usize) -> Duration;

fn jobs<T: Value>() -> [(&'static str, Job<T>); 4] {
    [
        ("end_to_end", Bed::warm),
        ("fresh", |bed, threads| bed.fresh(threads)),
        ("peaks_only", Bed::peaks_only),
        ("floor", Bed::floor),
    ]
}

fn criterion(cases: &[Case]) {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for &case in cases {
        if case.wide {
            measure::<f64>(&mut criterion, case);
        } else {
            measure::<f32>(&mut criterion, case);
        }
    }
    criterion.final_summary();
}

fn measure<T: Value>(criterion: &mut Criterion, case: Case) {
    // Made when the first id that passes the filter asks for it.
    let mut bed = None;
    for (topic, job) in jobs::<T>() {
        let mut group = criterion.benchmark_group(format!("{topic}/{}", case.shape_and_type()));
        group.throughput(Throughput::Elements(case.n_t as u64));
        group.sampling_mode(SamplingMode::Flat);
        for threads in threads() {
            group.bench_function(format!("cpu_{threads:02}"), |bencher| {
                let bed = bed.get_or_insert_with(|| case.bed::<T>());
                bencher.iter_custom(|n| (0..n).map(|_| job(bed, threads)).sum());
            });
        }
        group.finish();
    }
}

fn table(cases: &[Case], words: &[&str]) {
    let mut out = std::io::stdout().lock();
    let head = "shape/type/engine                        warm   fresh   peaks   floor  warm/floor  lowest-highest warm";
    writeln!(out, "{head}").expect("standard output");
    for &case in cases {
        if words
            .iter()
            .all(|word| case.shape_and_type().contains(word))
        {
            let lines = if case.wide {
                lines::<f64>(case)
            } else {
                lines::<f32>(case)
            };
            writeln!(out, "{}", lines.join("\n")).expect("standard output");
        }
    }
}

/// Times the jobs in turn, round after round, so that a drift of the machine meets all of them.
fn lines<T: Value>(case: Case) -> Vec<String> {
    let mut bed = case.bed::<T>();
    let line = |threads: usize| {
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            for (times, (_, job)) in times.iter_mut().zip(jobs::<T>()) {
                times.push(job(&mut bed, threads).as_secs_f64() * 1e6 / case.n_t as f64);
            }
        }
        let [warm, fresh, peaks, floor] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times
        });
        let middle = |times: &[f64]| times[times.len() / 2];
        format!(
            "{:36} {:8.3}{:8.3}{:8.3}{:8.3}{:12.2}  {:.3}-{:.3}",
            format!("{}/cpu_{threads:02}", case.shape_and_type()),
            middle(&warm),
            middle(&fresh),
            middle(&peaks),
            middle(&floor),
            middle(&warm) / middle(&floor),
            warm[0],
            warm[ROUNDS - 1],
        )
    };
    threads().into_iter().map(line).collect()
}
