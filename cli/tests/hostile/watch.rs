//! A program under observation: when it ended, how, and what it said.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest that a program may run which ought to have ended: it is killed then, and the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stderr: String,
    /// Seconds since it was told to end, or else since it was started.
    pub(crate) seconds: f64,
}

/// A program that has been started.
pub(crate) struct Watched {
    child: Child,
    since: Instant,
}

impl Watched {
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Self {
            child,
            since: Instant::now(),
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_none()
    }

    /// Waits until it has taken over the handling of signals.
    pub(crate) fn until_listening(&mut self) {
        let status = format!("/proc/{}/status", self.child.id());
        if !std::path::Path::new(&status).exists() {
            // Not Linux: it has begun long before.
            sleep(Duration::from_millis(300));
        }
        self.until(|| {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            caught.is_none_or(|bits| {
                u64::from_str_radix(bits.trim(), 16).is_ok_and(|bits| bits >> 1 & 1 == 1)
            })
        });
    }

    /// Looks every millisecond until `seen`, or until the program has ended.
    pub(crate) fn until(&mut self, seen: impl Fn() -> bool) {
        let start = Instant::now();
        while !seen() && self.is_running() && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(1));
        }
    }

    /// Sends a signal, of a name that `kill` knows; the time counts from here.
    pub(crate) fn send(&mut self, signal: &str) {
        let id = self.child.id().to_string();
        self.since = Instant::now();
        // It may have ended meanwhile.
        let _ = Command::new("kill")
            .args(["-s", signal, &id])
            .stderr(Stdio::null())
            .status();
    }

    pub(crate) fn end(mut self) -> End {
        while self.is_running() {
            if self.since.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("it did not end within {PATIENCE:?}");
            }
            sleep(Duration::from_millis(1));
        }
        let seconds = self.since.elapsed().as_secs_f64();
        let output = self.child.wait_with_output().expect("it has ended");
        End {
            code: output.status.code(),
            signal: output.status.signal(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            seconds,
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> End {
    Watched::start(command).end()
}
