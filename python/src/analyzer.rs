//! Analyzers that are kept from call to call, through forks and without waiting for one another.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use ndarray::ArrayView3;
use numpy::{Element as NumPy, PyArray3};
use peakmask::{Dtype, Element, Error, MaskForm, Outputs, Peaks, Summary};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::watch::Watch;
use crate::{Animal, Call, Chosen, Out, Results, Watched, arrays, drivers, named, parts, raised};

/// How many forks lie between this process and the one that imported the module. What an analyzer keeps does not survive one:
/// the child has none of its threads.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Called in a child after `fork`.
pub(crate) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// What makes an analyzer, and the one that is kept.
#[pyclass(frozen, module = "peakmask._core")]
pub(crate) struct Analyzer {
    shape: [usize; 2],
    dtype: Dtype,
    levels: Vec<(String, f64)>,
    region: String,
    nan_policy: String,
    connectivity: i64,
    prominence: String,
    backend: String,
    adapter: Option<String>,
    threads: usize,
    memory_limit: Option<u64>,
    on_limit: String,
    masks: String,
    summary: bool,
    /// Locked for moments, while Python's lock is held: a fork does not fall into one.
    state: Mutex<State>,
}

/// In whose hands an analyzer is.
struct State {
    /// Not there during a call, and after one that panicked.
    kept: Option<Kept>,
    at_work: bool,
    forks: u64,
}

/// An analyzer for maps of one type, and how it is watched.
struct Kept {
    of_type: OfType,
    watched: Watched,
}

enum OfType {
    F64(peakmask::Analyzer<f64>),
    F32(peakmask::Analyzer<f32>),
}

#[pymethods]
impl Analyzer {
    #[new]
    #[pyo3(signature = (
        shape, itemsize, levels, *, region, nan_policy, connectivity, prominence, backend, adapter, threads, memory_limit, on_limit,
        masks, summary
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "the keywords of Python's function"
    )]
    fn new(
        py: Python<'_>,
        shape: [usize; 2],
        itemsize: usize,
        levels: Vec<(String, f64)>,
        region: String,
        nan_policy: String,
        connectivity: i64,
        prominence: String,
        backend: String,
        adapter: Option<String>,
        threads: usize,
        memory_limit: Option<u64>,
        on_limit: String,
        masks: String,
        summary: bool,
    ) -> PyResult<Self> {
        let analyzer = Self {
            shape,
            dtype: if itemsize == Dtype::F32.size() {
                Dtype::F32
            } else {
                Dtype::F64
            },
            levels,
            region,
            nan_policy,
            connectivity,
            prominence,
            backend,
            adapter,
            threads,
            memory_limit,
            on_limit,
            masks,
            summary,
            state: Mutex::new(State {
                kept: None,
                at_work: false,
                forks: FORKS.load(Ordering::Relaxed),
            }),
        };
        let kept = analyzer.make(py)?;
        analyzer.state().kept = Some(kept);
        Ok(analyzer)
    }

    /// Peaks, masks and summary of `p`, as the function `analyze` yields them.
    #[pyo3(signature = (p, *, memory_limit, check_axis_order, out, progress, animal = None))]
    fn run<'py>(
        &self,
        p: &Bound<'py, PyAny>,
        memory_limit: Option<u64>,
        check_axis_order: bool,
        out: Option<Vec<Bound<'py, PyArray3<u8>>>>,
        progress: Option<Py<PyAny>>,
        animal: Option<Animal>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let call = Call {
            check_axis_order,
            may_wait: self.may_wait(),
            out,
            progress,
        };
        let mut taken = self.take()?;
        let Kept { of_type, watched } = match &mut taken.kept {
            Some(kept) => kept,
            none => none.insert(self.make(p.py())?),
        };
        watched.again();
        let beside = Beside {
            summary: self.summary,
            animal,
        };
        drivers::expect(&self.backend, self.adapter.as_deref(), &watched.token);
        match of_type {
            OfType::F64(analyzer) => run(analyzer, p, memory_limit, watched, &call, beside),
            OfType::F32(analyzer) => run(analyzer, p, memory_limit, watched, &call, beside),
        }
    }
}

impl Analyzer {
    fn make(&self, py: Python<'_>) -> PyResult<Kept> {
        let options = Chosen {
            levels: self.levels.clone(),
            region: &self.region,
            nan_policy: &self.nan_policy,
            connectivity: self.connectivity,
            prominence: &self.prominence,
            backend: &self.backend,
            adapter: self.adapter.as_deref(),
            threads: self.threads,
            memory_limit: self.memory_limit,
            on_limit: &self.on_limit,
        }
        .options()?
        .masks(named("masks", &self.masks, MaskForm::NAMES)?)
        .summary(self.summary);
        let watched = Watched::default();
        drivers::expect(&self.backend, self.adapter.as_deref(), &watched.token);
        let options = watched.over(options);
        let watch = Watch {
            progress: None,
            done: &watched.done,
            total: 0,
            cells: 0,
            may_wait: self.may_wait(),
        };
        let make = || {
            Ok(match self.dtype {
                Dtype::F64 => OfType::F64(peakmask::Analyzer::new(self.shape, options)?),
                Dtype::F32 => OfType::F32(peakmask::Analyzer::new(self.shape, options)?),
            })
        };
        let of_type = watch.over(py, &watched.token, make)?.map_err(raised)?;
        Ok(Kept { of_type, watched })
    }

    /// Whether a call may have to wait for a driver.
    fn may_wait(&self) -> bool {
        self.backend == "gpu"
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is kept for one call; nothing, after a fork or a panic.
    fn take(&self) -> PyResult<Taken<'_>> {
        let mut state = self.state();
        let forks = FORKS.load(Ordering::Relaxed);
        if state.forks != forks {
            mem::forget(state.kept.take());
            state.forks = forks;
            state.at_work = false;
        }
        if state.at_work {
            return Err(PyRuntimeError::new_err(
                "this analyzer is at work in another call, of another thread or around this one (a progress callback); make \
                 an analyzer for each thread",
            ));
        }
        state.at_work = true;
        Ok(Taken {
            owner: self,
            kept: state.kept.take(),
            forks,
        })
    }
}

impl Drop for Analyzer {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.forks != FORKS.load(Ordering::Relaxed) {
            mem::forget(state.kept.take());
        }
    }
}

/// What one call has taken, to be put back.
struct Taken<'a> {
    owner: &'a Analyzer,
    kept: Option<Kept>,
    forks: u64,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let kept = self.kept.take();
        if self.forks != FORKS.load(Ordering::Relaxed) {
            // The callback has forked, and this is the child.
            mem::forget(kept);
            return;
        }
        let mut state = self.owner.state();
        state.at_work = false;
        if !thread::panicking() {
            state.kept = kept;
        }
    }
}

/// What is made beside peaks and masks.
pub(crate) struct Beside {
    pub(crate) summary: bool,
    pub(crate) animal: Option<Animal>,
}

fn run<'py, T: Element + NumPy>(
    analyzer: &mut peakmask::Analyzer<T>,
    p: &Bound<'py, PyAny>,
    memory_limit: Option<u64>,
    watched: &Watched,
    call: &Call<'py>,
    beside: Beside,
) -> PyResult<Bound<'py, PyTuple>> {
    let p = p.cast::<PyArray3<T>>().map_err(|_| {
        PyTypeError::new_err(format!(
            "an array of three axes, of native float{}, was expected",
            8 * T::DTYPE.size()
        ))
    })?;
    analyzer.set_cancel_token(watched.token.clone());
    analyzer.set_memory_limit(memory_limit);
    call.run(p, watched, |p, out| run_with(analyzer, p, out, beside))
}

/// Does what `peakmask::Analyzer::analyze` does.
pub(crate) fn run_with<T: Element>(
    analyzer: &mut peakmask::Analyzer<T>,
    p: ArrayView3<'_, T>,
    out: Out<'_>,
    Beside { summary, animal }: Beside,
) -> Result<Results<T>, Error> {
    let Some(out) = out else {
        analyzer.set_animal(animal);
        return analyzer.analyze(p).map(parts);
    };
    let alphas = analyzer.options().level_values().len();
    if out.len() != alphas {
        return Err(Error::OutputCount {
            alphas,
            outputs: out.len(),
        });
    }
    let mut peaks = Peaks::new();
    let masks = out.into_iter().map(arrays::booleans);
    let mut summary = summary.then(Summary::new);
    let mut outputs = Outputs::new().peaks(&mut peaks).masks(masks);
    if let Some(summary) = &mut summary {
        outputs = outputs.summary(summary);
    }
    if let Some((positions, radius)) = &animal {
        outputs = outputs.animal(positions, *radius);
    }
    let report = analyzer.run(p, outputs)?;
    Ok(Results::without_masks(peaks, summary, report))
}
