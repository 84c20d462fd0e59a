//! The end of the interpreter, and forks: threads that are not Python's must not meet either.
//!
//! A daemon thread may be in an analysis while the interpreter ends. Whoever waits for its lock then is never to return, and
//! a thread that is ended within foreign code takes the process with it. So all who are about to take the lock pass a door;
//! it is closed before the interpreter ends, when all who are past it have been let through, and those who come later wait
//! for the process to end.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// Who closed the door. That thread alone goes on.
static CLOSED_BY: OnceLock<ThreadId> = OnceLock::new();

/// How many are past the door.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// How long the end waits for those who are past the door: a callback may never return.
const PATIENCE: Duration = Duration::from_secs(1);

/// Held while the interpreter's lock is taken or held.
pub(crate) struct Inside(());

impl Inside {
    /// Waits for ever if the interpreter is ending.
    pub(crate) fn enter() -> Self {
        loop {
            if let Some(inside) = Self::try_enter() {
                return inside;
            }
            thread::park();
        }
    }

    /// None if the interpreter is ending.
    pub(crate) fn try_enter() -> Option<Self> {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        let inside = Self(());
        match CLOSED_BY.get() {
            Some(&thread) if thread != thread::current().id() => None,
            _ => Some(inside),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // A fork in between has forgotten those who were inside.
        let _ = INSIDE.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    }
}

/// Whether the interpreter is ending for this thread.
pub(crate) fn is_near() -> bool {
    CLOSED_BY
        .get()
        .is_some_and(|&thread| thread != thread::current().id())
}

/// Called before the interpreter ends.
#[pyfunction]
pub(crate) fn at_exit(py: Python<'_>) {
    log::set_max_level(log::LevelFilter::Off);
    let _ = CLOSED_BY.set(thread::current().id());
    let deadline = Instant::now() + PATIENCE;
    py.detach(|| {
        while INSIDE.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        // Daemon threads that have not come to the door yet may have a driver opened.
        peakmask::before_exit();
    });
}

/// In a child, none of the parent's other threads is left.
pub(crate) fn forked() {
    INSIDE.store(0, Ordering::SeqCst);
}

/// Python's logger, which is not told anything when the interpreter is ending.
pub(crate) struct Log(pub(crate) pyo3_log::Logger);

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if let Some(_inside) = Inside::try_enter() {
            self.0.log(record);
        }
    }

    fn flush(&self) {}
}
