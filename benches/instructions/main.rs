//! Instructions a time bin of the CPU engine's stages, counted by valgrind, against those on record.
//!
//! ```text
//! cargo test -p peakmask-benches --bench instructions               each job once, nothing is counted
//! cargo test --workspace --bench instructions -- compare            fails where a stage takes 3 % more than on record
//! cargo test --workspace --bench instructions -- record             puts what is counted on record
//! ```
//!
//! A stage is what a job takes more than one without it; all run on one thread into warm outputs.

#[path = "../support/check.rs"]
#[expect(dead_code, reason = "inputs need its trait alone")]
mod check;
#[path = "../support/inputs.rs"]
#[expect(dead_code, reason = "peaks are not counted here")]
mod inputs;
#[path = "../support/stack.rs"]
#[expect(dead_code, reason = "one layout serves")]
mod stack;
#[path = "../support/value.rs"]
#[expect(dead_code, reason = "one type serves")]
mod value;

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use inputs::Kind;
use ndarray::{Array3, ArrayView3};
use peakmask::{
    Analyzer, Backend, InstructionSet, Level, MemoryGuard, Options, Outputs, Peaks, Prominence,
    Summary,
};
use stack::{Layout, Pages, Stack};

const BINS: usize = 256;
const SEED: u64 = 20_240_611;
/// What a stage may take more than on record.
const BOUND: f64 = 0.03;
/// The sets that valgrind knows.
const SETS: [InstructionSet; 2] = [InstructionSet::Baseline, InstructionSet::Avx2];
/// The stages: a job, and the one that has everything else of it.
const STAGES: [(&str, Job, Option<Job>); 6] = [
    ("survey", Job::Nothing, None),
    ("peaks", Job::Peaks, Some(Job::Nothing)),
    ("topographic", Job::Topographic, Some(Job::Peaks)),
    ("masks", Job::Bits, Some(Job::Nothing)),
    ("expansion", Job::Booleans, Some(Job::Bits)),
    ("summaries", Job::Summary, Some(Job::Bits)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    /// Bits of the mask of a level that no value reaches.
    Nothing,
    Peaks,
    Topographic,
    Bits,
    Booleans,
    /// Bits of masks, and summaries.
    Summary,
}

impl Job {
    const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Peaks,
        Self::Topographic,
        Self::Bits,
        Self::Booleans,
        Self::Summary,
    ];

    fn options(self, set: InstructionSet) -> Options {
        let options = Options::new()
            .threads(1)
            .memory_guard(MemoryGuard::Off)
            .backend(Backend::Cpu)
            .instruction_set(set);
        match self {
            Self::Nothing => options.levels([Level::Absolute(2.0)]),
            Self::Topographic => options.prominence(Prominence::Topographic),
            _ => options.alphas([0.5, 0.9]),
        }
    }

    /// Does the job twice; what is between marks is the second time.
    fn run(self, p: ArrayView3<'_, f64>, set: InstructionSet) {
        let (n_x, n_y, n_t) = p.dim();
        let mut analyzer =
            Analyzer::<f64>::new([n_x, n_y], self.options(set)).expect("an analyzer");
        let (mut peaks, mut summary) = (Peaks::new(), Summary::new());
        let mut masks = [(); 2].map(|()| Array3::from_elem((n_x, n_y, n_t), false));
        let mut bits = [(); 2].map(|()| Array3::zeros((n_x, n_y, n_t.div_ceil(8))));
        for counted in [false, true] {
            let [half, most] = &mut bits;
            let with_bits = Outputs::new().packed_mask(0, half.view_mut());
            let outputs = match self {
                Self::Nothing => with_bits,
                Self::Peaks | Self::Topographic => Outputs::new().peaks(&mut peaks),
                Self::Bits => with_bits.packed_mask(1, most.view_mut()),
                Self::Booleans => {
                    Outputs::new().masks(masks.iter_mut().map(|mask| mask.view_mut()))
                }
                Self::Summary => with_bits
                    .packed_mask(1, most.view_mut())
                    .summary(&mut summary),
            };
            if counted {
                mark_of_counts();
            }
            analyzer.run(p, outputs).expect("an analysis");
            if counted {
                mark_of_counts();
            }
        }
    }
}

fn main() -> ExitCode {
    let given = |word: &str| std::env::args().any(|argument| argument == word);
    if given("compare") {
        return compare();
    }
    if given("record") {
        std::fs::write(record(), counted()).expect("the record");
        return ExitCode::SUCCESS;
    }
    run_all();
    ExitCode::SUCCESS
}

/// A place where valgrind begins to count anew.
#[inline(never)]
fn mark_of_counts() {
    black_box(());
}

fn run_all() {
    for kind in Kind::ALL {
        let stack: Stack<f64> = kind.stack(BINS, Layout::Xyt, Pages::Default, SEED);
        for set in SETS
            .into_iter()
            .filter(|&set| set <= InstructionSet::detect())
        {
            for job in Job::ALL {
                job.run(stack.view(), set);
            }
        }
    }
}

fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions/record.txt")
}

/// What is to be on record: the compiler, then a line for each stage.
fn counted() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("counts");
    let status = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--dump-line=no",
            "--dump-before=*mark_of_counts*",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().expect("this program"))
        .status()
        .expect("valgrind, which has to be installed");
    assert!(status.success(), "valgrind: {status}");
    // The first file is of what is before all marks; then jobs and what is between them alternate.
    let mut files = (2..).step_by(2);
    let mut table = compiler();
    table.push_str("# Instructions a time bin: input, instruction set, stage.\n");
    for kind in Kind::ALL {
        for set in SETS {
            let counts = Job::ALL.map(|job| {
                let number = files.next().expect("endless numbers");
                (job, total(&out.with_extension(number.to_string())))
            });
            let of = |job| {
                let found = counts.iter().find(|(counted, _)| *counted == job);
                found.expect("a count of each job").1
            };
            for (stage, job, less) in STAGES {
                let bins = BINS as f64;
                let count = (of(job) - less.map_or(0.0, of)) / bins;
                writeln!(table, "{} {set} {stage} {count:.0}", kind.name()).expect("a string");
            }
        }
    }
    table
}

/// The instructions of one dump.
fn total(path: &Path) -> f64 {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}; has this processor no AVX2?", path.display()));
    text.lines()
        .find_map(|line| {
            line.strip_prefix("totals: ")
                .or(line.strip_prefix("summary: "))
        })
        .and_then(|count| count.trim().parse().ok())
        .expect("a total in the file of counts")
}

/// The compiler's version, as a line of the record.
fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let version = output.expect("the compiler").stdout;
    format!("# {}", String::from_utf8(version).expect("a version"))
}

fn compare() -> ExitCode {
    let now = counted();
    let then = std::fs::read_to_string(record()).expect("the record");
    let mut err = std::io::stderr();
    let split = |line: &str| {
        let (name, count) = line.rsplit_once(' ').expect("a name and a count");
        (String::from(name), count.parse::<f64>().expect("a count"))
    };
    let lines = |text: &str| -> Vec<_> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(split).collect()
    };
    let (now, then) = (lines(&now), lines(&then));
    assert!(
        now.iter()
            .map(|(name, _)| name)
            .eq(then.iter().map(|(name, _)| name)),
        "the record has other stages than are counted: record anew"
    );
    let mut code = ExitCode::SUCCESS;
    for ((name, now), (_, then)) in now.iter().zip(&then) {
        if *now > then * (1.0 + BOUND) {
            code = ExitCode::FAILURE;
            let more = 100.0 * (now / then - 1.0);
            writeln!(
                err,
                "{name}: {now:.0} instructions a time bin, {more:.1} % more than the {then:.0} on record. If that is meant: \
                 cargo test --workspace --bench instructions -- record"
            )
            .expect("standard error");
        } else if *now < then * (1.0 - BOUND) {
            writeln!(
                err,
                "{name}: {now:.0}, less than the {then:.0} on record; record anew to hold it"
            )
            .expect("standard error");
        }
    }
    code
}
