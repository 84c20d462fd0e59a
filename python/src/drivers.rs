//! Drivers of GPUs are tried in another process before this one loads them: Python's, which loads the module alone.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use peakmask::{Backend, CancelToken, Options, Trial};
use pyo3::prelude::*;

/// What the latest call wants of a GPU, and how it is stopped.
static LATEST: Mutex<Option<Wanted>> = Mutex::new(None);

#[derive(Clone)]
struct Wanted {
    backend: String,
    adapter: String,
    token: CancelToken,
}

fn latest() -> Option<Wanted> {
    LATEST
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// Notes what a call wants, for a trial that it may cause or wait for.
pub(crate) fn expect(backend: &str, adapter: Option<&str>, token: &CancelToken) {
    if backend != "cpu" {
        let wanted = Wanted {
            backend: backend.to_owned(),
            adapter: adapter.unwrap_or_default().to_owned(),
            token: token.clone(),
        };
        *LATEST.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted);
    }
}

/// Has drivers tried by the process that `words` start, which calls [`try_drivers`] with two more.
#[pyfunction]
pub(crate) fn check_drivers(words: Vec<String>) {
    peakmask::check_drivers(move || {
        let Some((program, arguments)) = words.split_first() else {
            return Trial::Passed;
        };
        let mut command = Command::new(program);
        command.args(arguments);
        let (backend, adapter) = latest().map_or_else(
            || ("auto".to_owned(), String::new()),
            |wanted| (wanted.backend, wanted.adapter),
        );
        command.args([backend, adapter]);
        Trial::of(command, || {
            latest().is_some_and(|wanted| wanted.token.is_cancelled())
        })
    });
}

/// The other process: does with drivers what the first one is about to do.
#[pyfunction]
pub(crate) fn try_drivers(py: Python<'_>, backend: &str, adapter: &str) {
    let mut options = Options::new();
    if !adapter.is_empty() {
        options = options.adapter(adapter);
    }
    let backend: Option<Backend> = backend.parse().ok();
    py.detach(|| peakmask::try_drivers(&options, backend));
}
