//! The test programs, run as they are with a GPU required.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::engine::gpu;
use crate::table::{Cell, Section};

/// The programs, the quickest first.
const PROGRAMS: [&str; 3] = ["golden", "behaviour", "differential"];

/// Runs the test programs of a folder; with words, only those tests whose names contain one of them.
pub(crate) fn run(tests: &Path, bins: usize, words: &[&str], section: &mut Section, clock: Clock) {
    let adapter = &gpu().expect("a GPU").adapter().index.to_string();
    section.columns(&[
        "tests",
        "passed",
        "failed",
        "random bins",
        "verdict",
        "seconds",
    ]);
    let mut equal = 0;
    for name in PROGRAMS {
        let program = tests.join(name);
        if clock.over() {
            section.cut(name);
            continue;
        }
        let start = Instant::now();
        let ended = run_one(&program, adapter, bins, words, clock);
        let seconds = Cell::Number(start.elapsed().as_secs_f64(), 1);
        let name = Cell::from(name);
        match ended {
            Ok(ended) => {
                let verdict = match (ended.killed, ended.success) {
                    (true, _) => "out of time",
                    (_, true) => "equal",
                    (_, false) => "DIFFERENT",
                };
                if ended.killed {
                    section.cut(format!("the rest of {}", program.display()));
                } else if !ended.success || ended.passed == 0 {
                    section.fail(format!("{}: {}", program.display(), ended.tail));
                } else {
                    equal += ended.bins;
                }
                section.row([
                    name,
                    ended.passed.into(),
                    ended.failed.into(),
                    ended.bins.into(),
                    verdict.into(),
                    seconds,
                ]);
            }
            Err(error) => section.fail(format!("{}: {error}", program.display())),
        }
    }
    if equal == 0 && !section.failed() {
        section.fail("no random bin was compared: the time was over before");
    }
    section.note(format!(
        "PEAKMASK_TEST_GPU=require. {equal} random bins, each by every instruction set and by the GPU in a way drawn at \
         random: all equal to the oracle's, to the bit, beside the drawn cases and the goldens."
    ));
}

struct Ended {
    success: bool,
    killed: bool,
    passed: usize,
    failed: usize,
    bins: usize,
    /// The last lines of what it said.
    tail: String,
}

fn run_one(
    program: &Path,
    adapter: &str,
    bins: usize,
    words: &[&str],
    clock: Clock,
) -> std::io::Result<Ended> {
    let output = tempfile::NamedTempFile::new()?;
    let mut child = Command::new(program)
        .args(words)
        .env("PEAKMASK_TEST_GPU", "require")
        .env("PEAKMASK_TEST_ADAPTER", adapter)
        .env("PEAKMASK_TEST_BINS", bins.to_string())
        .stdin(Stdio::null())
        .stdout(File::options().append(true).open(output.path())?)
        .stderr(File::options().append(true).open(output.path())?)
        .spawn()?;
    let mut killed = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if clock.over() {
            killed = true;
            child.kill()?;
            break child.wait()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = String::from_utf8_lossy(&std::fs::read(output.path())?).into_owned();
    let tail: Vec<&str> = said.lines().rev().take(12).collect();
    Ok(Ended {
        success: status.success(),
        killed,
        passed: count(&said, " passed;"),
        failed: count(&said, " failed;"),
        bins: count(&said, " bins, "),
        tail: tail.into_iter().rev().collect::<Vec<_>>().join(" / "),
    })
}

/// The sum of the numbers before these words.
fn count(said: &str, words: &str) -> usize {
    let numbers = said.match_indices(words).filter_map(|(at, _)| {
        let before = said[..at].rsplit(|c: char| !c.is_ascii_digit()).next();
        before?.parse::<usize>().ok()
    });
    numbers.sum()
}
