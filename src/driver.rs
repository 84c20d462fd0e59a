//! What comes before drivers: they run in this process, and may hang or crash it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

type Check = Box<dyn Fn() -> Trial + Send + Sync>;

static CHECK: OnceLock<Check> = OnceLock::new();

/// What the process that tries drivers says before it loads one, and when it has come back from them: an exit code of 0 may be
/// a driver's doing.
pub(crate) const BEGINS: &str = "drivers are tried";
pub(crate) const LOOKED: &str = "drivers were tried";

/// The variable that says how many seconds drivers may take, and how many they may without it.
const SECONDS: (&str, f64) = ("PEAKMASK_DRIVER_SECONDS", 15.0);

/// How often who waits looks whether it is still to wait.
const TICK: Duration = Duration::from_millis(20);

/// How long a process that is ended is waited for: it may be where nothing can be killed.
const GRACE: Duration = Duration::from_millis(300);

/// What came of drivers in another process, before any is loaded into this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// They may be loaded.
    Passed,
    /// None is loaded, now or later, for this reason.
    Failed(String),
    /// None is loaded now, for this reason; who needs one next asks again.
    GivenUp(String),
}

/// Has `check` asked before the first driver of a GPU is loaded into this process.
///
/// A driver that crashes takes the process with it, and one that hangs keeps it. A program can have another process look
/// first ([`Trial::of`]), and say here what became of it. `check` is called until it says that drivers may be loaded, or not,
/// on the thread that would load them; with [`Backend::Auto`](crate::Backend::Auto) that is one that no result waits for.
///
/// Whether this is the first check of the process: only that one counts.
///
/// ```
/// use peakmask::{Options, Trial, adapters, check_drivers};
///
/// assert!(check_drivers(|| Trial::Failed("this machine's driver is known to hang".to_owned())));
/// let adapters = adapters(&Options::new())?;
/// assert!(adapters.found.is_empty());
/// # if cfg!(feature = "gpu") {
/// assert_eq!(adapters.why, "this machine's driver is known to hang");
/// # }
/// # Ok::<(), peakmask::Error>(())
/// ```
pub fn check_drivers(check: impl Fn() -> Trial + Send + Sync + 'static) -> bool {
    CHECK.set(Box::new(check)).is_ok()
}

/// Whether drivers may be loaded, or why not. The first call may take long.
#[cfg(feature = "gpu")]
pub(crate) fn verdict() -> Result<(), String> {
    use std::sync::Mutex;

    use crate::locks::lock;

    static VERDICT: Mutex<Option<Result<(), String>>> = Mutex::new(None);
    let mut verdict = lock(&VERDICT);
    if let Some(known) = &*verdict {
        return known.clone();
    }
    let known = match CHECK.get().map_or(Trial::Passed, |check| check()) {
        Trial::Passed => Ok(()),
        Trial::Failed(reason) => Err(reason),
        Trial::GivenUp(reason) => return Err(reason),
    };
    verdict.insert(known).clone()
}

impl Trial {
    /// Starts a process that calls [`try_drivers`](crate::try_drivers), and waits for it: for 15 seconds at most, or for as many as
    /// the environment variable `PEAKMASK_DRIVER_SECONDS` says, and until `given_up`. It is gone afterwards.
    ///
    /// A process that cannot be started, or ends before it has begun, tells nothing of drivers: they pass.
    ///
    /// ```no_run
    /// use std::process::Command;
    /// use peakmask::{Options, Trial, check_drivers, try_drivers};
    ///
    /// // At the start of a program that ...
    /// if std::env::args().nth(1).as_deref() == Some("try-drivers") {
    ///     return try_drivers(&Options::new(), None);
    /// }
    /// // ... starts itself.
    /// check_drivers(|| {
    ///     let mut again = Command::new(std::env::current_exe().expect("a program has a path"));
    ///     again.arg("try-drivers");
    ///     Trial::of(again, || false)
    /// });
    /// ```
    pub fn of(mut command: Command, given_up: impl Fn() -> bool) -> Self {
        let seconds = match patience() {
            Ok(seconds) => seconds,
            Err(reason) => return Self::Failed(reason),
        };
        // Ctrl-C is for this process, which ends that one.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = command
            // It ends when this process does, which closes the pipe.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = started else {
            return Self::Passed;
        };
        let Some(lines) = child.stdout.take().and_then(lines) else {
            end(&mut child);
            return Self::Passed;
        };
        let start = Instant::now();
        let patience = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let mut begun = false;
        loop {
            if given_up() {
                end(&mut child);
                return Self::GivenUp("the user wanted to stop".to_owned());
            }
            if start.elapsed() >= patience {
                end(&mut child);
                return Self::late(begun, seconds);
            }
            let status = child.try_wait();
            let ended = !matches!(status, Ok(None));
            match lines.recv_timeout(if ended { GRACE } else { TICK }) {
                // A driver may have begun the line with words of its own.
                Ok(line) if line.ends_with(LOOKED) => {
                    end(&mut child);
                    return Self::Passed;
                }
                Ok(line) => begun |= line.ends_with(BEGINS),
                Err(_) if ended => return Self::ended(begun, status.ok().flatten()),
                Err(RecvTimeoutError::Timeout) => {}
                // A driver may close the standard output, and live on.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
            }
        }
    }

    fn late(begun: bool, seconds: f64) -> Self {
        if begun {
            Self::Failed(format!(
                "a driver did not answer within {seconds} s ({} allows more)",
                SECONDS.0
            ))
        } else {
            Self::Passed
        }
    }

    /// Of a process that has ended without the last word; somebody else may have taken its status.
    fn ended(begun: bool, status: Option<ExitStatus>) -> Self {
        if !begun {
            return Self::Passed;
        }
        let how = match status {
            #[cfg(unix)]
            Some(status) if std::os::unix::process::ExitStatusExt::signal(&status).is_some() => {
                let signal = std::os::unix::process::ExitStatusExt::signal(&status);
                format!("crashed (signal {})", signal.unwrap_or_default())
            }
            Some(status) if status.code().is_some() => {
                format!(
                    "ended the process (exit code {})",
                    status.code().unwrap_or_default()
                )
            }
            _ => "crashed".to_owned(),
        };
        Self::Failed(format!("a driver {how} when it was tried"))
    }
}

/// Seconds that drivers may take.
fn patience() -> Result<f64, String> {
    let Ok(text) = std::env::var(SECONDS.0) else {
        return Ok(SECONDS.1);
    };
    text.parse()
        .ok()
        .filter(|seconds| *seconds > 0.0)
        .ok_or_else(|| {
            format!(
                "the environment variable {} is {text:?}; it can be a number of seconds",
                SECONDS.0
            )
        })
}

/// What a process says, line by line, read on a thread of its own: others that it has started may hold the pipe open.
fn lines(stdout: ChildStdout) -> Option<Receiver<String>> {
    let (sender, lines) = channel();
    let reader = move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("peakmask-drivers".to_owned());
    thread.spawn(reader).ok().map(|_| lines)
}

/// Kills the process and waits, but not for long.
fn end(child: &mut Child) {
    let start = Instant::now();
    let _ = child.kill();
    while matches!(child.try_wait(), Ok(None)) && start.elapsed() < GRACE {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn trial(script: &str) -> Trial {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        Trial::of(shell, || false)
    }

    #[test]
    fn a_process_tells_how_drivers_are() {
        let failed = |how: &str| Trial::Failed(format!("a driver {how} when it was tried"));
        let begins = format!("echo {BEGINS}");
        for (script, expected) in [
            (format!("{begins}; echo {LOOKED}; sleep 60"), Trial::Passed),
            (
                format!("{begins}; printf noise; echo {LOOKED}; exit 1"),
                Trial::Passed,
            ),
            (
                format!("{begins}; exit 0"),
                failed("ended the process (exit code 0)"),
            ),
            (
                format!("{begins}; kill -SEGV $$"),
                failed("crashed (signal 11)"),
            ),
            // It never began: that says nothing of drivers.
            ("exit 1".to_owned(), Trial::Passed),
            (
                format!("{begins}; exec >/dev/null; sleep 0.1; exit 3"),
                failed("ended the process (exit code 3)"),
            ),
            // What it has started holds the pipe open.
            (
                format!("sleep 60 & {begins}; exit 4"),
                failed("ended the process (exit code 4)"),
            ),
        ] {
            let start = Instant::now();
            assert_eq!(trial(&script), expected, "{script}");
            assert!(start.elapsed().as_secs_f64() < 10.0, "{script}");
        }
        let none = Command::new("/there/is/no/such/program");
        assert_eq!(Trial::of(none, || false), Trial::Passed);
    }

    #[test]
    fn who_gives_up_does_not_wait() {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("echo {BEGINS}; sleep 60")]);
        let start = Instant::now();
        let found = Trial::of(shell, || start.elapsed().as_millis() > 100);
        assert_eq!(found, Trial::GivenUp("the user wanted to stop".to_owned()));
        assert!(start.elapsed().as_secs_f64() < 10.0);
    }
}
