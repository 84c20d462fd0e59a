//! The calling thread's part while another works: it looks for signals, and tells of progress.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use peakmask::CancelToken;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::ending::{self, Inside};

/// How often the calling thread looks for signals and tells of progress.
const TICK: Duration = Duration::from_millis(50);

/// So many cells take some milliseconds: less than starting a thread is worth, and no one interrupts that.
const LITTLE: usize = 1 << 20;

/// What is to be watched.
pub(crate) struct Watch<'a> {
    pub(crate) progress: Option<&'a Py<PyAny>>,
    pub(crate) done: &'a AtomicUsize,
    /// Time bins.
    pub(crate) total: usize,
    /// Cells in all time bins.
    pub(crate) cells: usize,
    /// Whether the work may have to wait for a driver.
    pub(crate) may_wait: bool,
}

impl Watch<'_> {
    /// Runs `work`, and stops it when a signal handler or the callback raises; without Python's lock.
    pub(crate) fn over<R: Send>(
        &self,
        py: Python<'_>,
        token: &CancelToken,
        work: impl FnOnce() -> R + Send,
    ) -> PyResult<R> {
        // Taking the lock back falls behind the door, too.
        let (result, _inside) = py.detach(|| {
            let result = if self.cells <= LITTLE && !self.may_wait {
                Ok(work())
            } else {
                self.over_thread(token, work)
            };
            (result, Inside::enter())
        });
        let result = result?;
        self.tell(py, &mut None)?;
        Ok(result)
    }

    /// On a thread of its own.
    fn over_thread<R: Send>(
        &self,
        token: &CancelToken,
        work: impl FnOnce() -> R + Send,
    ) -> PyResult<R> {
        thread::scope(|scope| {
            let (at_work, ended) = channel::<()>();
            let worker = thread::Builder::new()
                .name("peakmask".to_owned())
                .spawn_scoped(scope, move || {
                    let _at_work = at_work;
                    work()
                })
                .map_err(|error| {
                    PyRuntimeError::new_err(format!("a thread could not be started: {error}"))
                })?;
            let mut told = None;
            let mut raised = Ok(());
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if ending::is_near() {
                    token.cancel();
                } else if raised.is_ok() {
                    let _inside = Inside::enter();
                    raised = Python::attach(|py| self.tell(py, &mut told));
                    if raised.is_err() {
                        token.cancel();
                    }
                }
            }
            let result = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
            raised.map(|()| result)
        })
    }

    /// Lets signal handlers run, and the callback if there is news.
    fn tell(&self, py: Python<'_>, told: &mut Option<usize>) -> PyResult<()> {
        py.check_signals()?;
        let done = self.done.load(Ordering::Relaxed);
        if let Some(progress) = self.progress
            && told.replace(done) != Some(done)
        {
            progress.call1(py, (done, self.total))?;
        }
        Ok(())
    }
}
