//! The door between Python and the library: it converts arguments and results, and decides nothing.
//!
//! `peakmask/*.py` calls it with plain arrays that have three axes in the order x, y, t: float64 or float32, aligned, in the
//! machine's byte order. What memory safety rests on is looked at here (`arrays.rs`), whoever calls.

mod analyzer;
mod arrays;
mod drivers;
mod ending;
mod forms;
mod lists;
mod watch;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ndarray::{Array2, ArrayView3, ArrayViewMut3};
use numpy::{Element as NumPy, IntoPyArray, PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray3};
use peakmask::{
    Analysis, Backend, CancelToken, Connectivity, Dtype, Element, Error, GpuUse, Level, MaskForm,
    MemoryGuard, MemoryLimit, NanPolicy, Options, Peaks, Prominence, Region, Report, Summary,
};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use analyzer::Beside;
use forms::Masks;
use watch::Watch;

#[pymodule]
mod _core {
    use pyo3::prelude::*;
    use pyo3_log::{Caching, Logger};

    #[pymodule_export]
    use super::analyzer::Analyzer;
    #[pymodule_export]
    use super::drivers::{check_drivers, try_drivers};
    #[pymodule_export]
    use super::ending::at_exit;
    #[pymodule_export]
    use super::forms::packed_numbers;
    #[pymodule_export]
    use super::lists::{filtered_rows, regions, saddles, summits};
    #[pymodule_export]
    use super::{analyze, analyze_many, components, estimate, forked, memory_limit};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Levels are asked for anew each time: there are few messages, and callers change levels at run time.
        let logger = Logger::new(module.py(), Caching::Loggers)?
            .filter(log::LevelFilter::Off)
            .filter_target("peakmask".to_owned(), log::LevelFilter::Debug);
        // Refused only when this process has initialised the module before; that logger serves still.
        if log::set_boxed_logger(Box::new(super::ending::Log(logger))).is_ok() {
            log::set_max_level(log::LevelFilter::Debug);
        }
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// Peaks, masks and summary of `p`, with masks of its own or in `out`: (masks, offsets, coords, prominences, heights, report,
/// summary); packed masks are arrays of bytes, sparse ones pairs (offsets, cells).
#[pyfunction]
#[pyo3(signature = (
    p, levels, *, region = "dominant", nan_policy = "silence", connectivity, prominence = "reference", backend, threads,
    memory_limit, on_limit, check_axis_order, out, progress, masks = "bytes", summary = false, animal = None
))]
#[expect(
    clippy::too_many_arguments,
    reason = "the keywords of Python's function"
)]
fn analyze<'py>(
    p: &Bound<'py, PyAny>,
    levels: Vec<(String, f64)>,
    region: &str,
    nan_policy: &str,
    connectivity: i64,
    prominence: &str,
    backend: &str,
    threads: usize,
    memory_limit: Option<u64>,
    on_limit: &str,
    check_axis_order: bool,
    out: Option<Vec<Bound<'py, PyArray3<u8>>>>,
    progress: Option<Py<PyAny>>,
    masks: &str,
    summary: bool,
    animal: Option<Animal>,
) -> PyResult<Bound<'py, PyTuple>> {
    let options = Chosen {
        levels,
        region,
        nan_policy,
        connectivity,
        prominence,
        backend,
        adapter: None,
        threads,
        memory_limit,
        on_limit,
    }
    .options()?
    .masks(named("masks", masks, MaskForm::NAMES)?)
    .summary(summary);
    let beside = Beside { summary, animal };
    let call = Call {
        check_axis_order,
        may_wait: backend == "gpu",
        out,
        progress,
    };
    let watched = Watched::default();
    drivers::expect(backend, None, &watched.token);
    let options = watched.over(options).cancel_token(watched.token.clone());
    if let Ok(p) = p.cast::<PyArray3<f64>>() {
        call.run(p, &watched, |p, out| analyze_with(p, &options, beside, out))
    } else if let Ok(p) = p.cast::<PyArray3<f32>>() {
        call.run(p, &watched, |p, out| analyze_with(p, &options, beside, out))
    } else {
        Err(PyTypeError::new_err(
            "an array of three axes, of native float64 or float32, was expected",
        ))
    }
}

/// Peaks and masks of several epochs, one after the other, each read where it lies: as `analyze` yields them of one.
#[pyfunction]
#[pyo3(signature = (
    epochs, levels, *, region, nan_policy, connectivity, backend, threads, memory_limit, on_limit, check_axis_order, progress,
    masks = "bytes", summary = false, animal = None
))]
#[expect(
    clippy::too_many_arguments,
    reason = "the keywords of Python's function"
)]
fn analyze_many<'py>(
    py: Python<'py>,
    epochs: Vec<Bound<'py, PyAny>>,
    levels: Vec<(String, f64)>,
    region: &str,
    nan_policy: &str,
    connectivity: i64,
    backend: &str,
    threads: usize,
    memory_limit: Option<u64>,
    on_limit: &str,
    check_axis_order: bool,
    progress: Option<Py<PyAny>>,
    masks: &str,
    summary: bool,
    animal: Option<Animal>,
) -> PyResult<Bound<'py, PyTuple>> {
    let options = Chosen {
        levels,
        region,
        nan_policy,
        connectivity,
        prominence: "reference",
        backend,
        adapter: None,
        threads,
        memory_limit,
        on_limit,
    }
    .options()?
    .masks(named("masks", masks, MaskForm::NAMES)?)
    .summary(summary);
    let options = with(options, animal);
    let call = Call {
        check_axis_order,
        may_wait: backend == "gpu",
        out: None,
        progress,
    };
    let watched = Watched::default();
    drivers::expect(backend, None, &watched.token);
    let options = watched.over(options).cancel_token(watched.token.clone());
    let single = |p: &Bound<'_, PyAny>| p.cast::<PyArray3<f32>>().is_ok();
    match epochs.first().is_some_and(single) {
        true => many::<f32>(py, &epochs, &options, &call, &watched),
        false => many::<f64>(py, &epochs, &options, &call, &watched),
    }
}

fn many<'py, T: Element + NumPy>(
    py: Python<'py>,
    epochs: &[Bound<'py, PyAny>],
    options: &Options,
    call: &Call<'_>,
    watched: &Watched,
) -> PyResult<Bound<'py, PyTuple>> {
    let borrowed = |p: &Bound<'py, PyAny>| match p.cast::<PyArray3<T>>() {
        Ok(p) => arrays::readable(p),
        Err(_) => Err(PyTypeError::new_err(format!(
            "arrays of three axes, all of native float{}, were expected",
            8 * T::DTYPE.size()
        ))),
    };
    let epochs: Vec<_> = epochs.iter().map(borrowed).collect::<PyResult<_>>()?;
    let views: Vec<_> = epochs.iter().map(|p| p.as_array()).collect();
    let watch = Watch {
        progress: call.progress.as_ref(),
        done: &watched.done,
        total: views.iter().map(|p| p.dim().2).sum(),
        cells: views.iter().map(ArrayView3::len).sum(),
        may_wait: call.may_wait,
    };
    let check = call.check_axis_order;
    let work = || {
        if check {
            for &p in &views {
                peakmask::check_axis_order(p)?;
            }
        }
        peakmask::analyze_many(&views, options).map(|epochs| parts(epochs.analysis))
    };
    let results = watch.over(py, &watched.token, work)?.map_err(raised)?;
    columns(py, results)
}

/// Bytes that an analysis will allocate: {"masks", "summary", "fixed", "per_peak", "assumed_peaks", "total"}.
#[pyfunction]
#[pyo3(signature = (shape, itemsize, n_alpha, *, threads, masks = "bytes", summary = false))]
fn estimate<'py>(
    py: Python<'py>,
    shape: [usize; 3],
    itemsize: usize,
    n_alpha: usize,
    threads: usize,
    masks: &str,
    summary: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let options = Options::new()
        .alphas(std::iter::repeat_n(0.0, n_alpha))
        .threads(threads)
        .masks(named("masks", masks, MaskForm::NAMES)?)
        .summary(summary);
    let dtype = if itemsize == Dtype::F32.size() {
        Dtype::F32
    } else {
        Dtype::F64
    };
    let estimate = peakmask::estimate(shape, dtype, &options).map_err(raised)?;
    let bytes = PyDict::new(py);
    bytes.set_item("masks", estimate.mask_bytes)?;
    bytes.set_item("summary", estimate.summary_bytes)?;
    bytes.set_item("fixed", estimate.fixed_bytes)?;
    bytes.set_item("per_peak", estimate.bytes_per_peak)?;
    bytes.set_item("assumed_peaks", estimate.assumed_peaks)?;
    bytes.set_item("total", estimate.total())?;
    Ok(bytes)
}

/// The number of connected parts of a mask, of any bytes, in every time bin: along its third axis.
#[pyfunction]
fn components<'py>(
    mask: PyReadonlyArray3<'py, u8>,
    connectivity: i64,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let name = connectivity.to_string();
    let connectivity = named("connectivity", &name, Connectivity::NAMES)?;
    let view = mask.as_array();
    let count = || peakmask::components(view.mapv(|byte| byte != 0).view(), connectivity);
    Ok(mask.py().detach(count).into_pyarray(mask.py()))
}

/// Bytes that this process may still take, and who says so.
#[pyfunction]
fn memory_limit() -> (u64, String) {
    let limit = MemoryLimit::detect();
    (limit.bytes, limit.source.to_string())
}

/// Whether this process has made calls that may have opened a GPU.
static MAY_HOLD_GPU: AtomicBool = AtomicBool::new(false);

/// Whether this process was forked from such a process: drivers do not survive that.
static INHERITED_GPU: AtomicBool = AtomicBool::new(false);

const INHERITED: &str = "this process was forked from one that may have used a GPU, and drivers do not survive a fork; \
    start processes with \"spawn\" or \"forkserver\"";

/// Called in a child after `fork`.
#[pyfunction]
fn forked() {
    ending::forked();
    analyzer::forked();
    INHERITED_GPU.fetch_or(MAY_HOLD_GPU.load(Ordering::Relaxed), Ordering::Relaxed);
}

fn without_inherited_gpu(options: Options, backend: &str) -> PyResult<Options> {
    if !INHERITED_GPU.load(Ordering::Relaxed) {
        MAY_HOLD_GPU.store(true, Ordering::Relaxed);
        return Ok(options);
    }
    if backend == "gpu" {
        return Err(PyRuntimeError::new_err(format!(
            "a GPU was asked for, but {INHERITED}"
        )));
    }
    Ok(options.gpu(GpuUse::Off))
}

/// An option by its name.
pub(crate) fn named<T: FromStr>(option: &str, name: &str, names: &[&str]) -> PyResult<T> {
    name.parse().map_err(|_| {
        let names = names.join(", ");
        PyValueError::new_err(format!("{option} is one of {names}, not {name:?}"))
    })
}

/// A level by the name of its kind.
fn level(kind: &str, number: f64) -> PyResult<Level> {
    match kind {
        "of_peak" => Ok(Level::OfPeak(number)),
        "absolute" => Ok(Level::Absolute(number)),
        "coverage" => Ok(Level::Coverage(number)),
        _ => Err(PyValueError::new_err(format!(
            "a level is of_peak, absolute or coverage, not {kind:?}"
        ))),
    }
}

/// Where the animal was in each time bin, and how near is near it.
pub(crate) type Animal = (Vec<[f64; 2]>, f64);

/// Options that know where the animal was, if anybody does.
fn with(options: Options, animal: Option<Animal>) -> Options {
    match animal {
        Some((positions, radius)) => options.animal(positions, radius),
        None => options,
    }
}

/// Options as Python passes them.
pub(crate) struct Chosen<'a> {
    /// Kinds and numbers.
    pub(crate) levels: Vec<(String, f64)>,
    pub(crate) region: &'a str,
    pub(crate) nan_policy: &'a str,
    pub(crate) connectivity: i64,
    pub(crate) prominence: &'a str,
    pub(crate) backend: &'a str,
    pub(crate) adapter: Option<&'a str>,
    pub(crate) threads: usize,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) on_limit: &'a str,
}

impl Chosen<'_> {
    /// The library's options; without a GPU that a fork has left behind.
    pub(crate) fn options(self) -> PyResult<Options> {
        let levels = self
            .levels
            .iter()
            .map(|(kind, number)| level(kind, *number));
        let levels: Vec<_> = levels.collect::<PyResult<_>>()?;
        let mut options = Options::new()
            .levels(levels)
            .region(named("region", self.region, Region::NAMES)?)
            .nan_policy(named("nan_policy", self.nan_policy, NanPolicy::NAMES)?)
            .connectivity(named(
                "connectivity",
                &self.connectivity.to_string(),
                Connectivity::NAMES,
            )?)
            .prominence(named("prominence", self.prominence, Prominence::NAMES)?)
            .backend(named("backend", self.backend, Backend::NAMES)?)
            .threads(self.threads)
            .memory_guard(named("on_limit", self.on_limit, MemoryGuard::NAMES)?);
        if let Some(bytes) = self.memory_limit {
            options = options.memory_limit(bytes);
        }
        if let Some(name) = self.adapter {
            options = options.adapter(name);
        }
        if self.backend != "cpu" {
            options = without_inherited_gpu(options, self.backend)?;
        }
        Ok(options)
    }
}

/// How the calling thread stops the work, and sees how far it has come.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) token: CancelToken,
    pub(crate) done: Arc<AtomicUsize>,
}

impl Watched {
    /// Options of work that tells how far it has come.
    pub(crate) fn over(&self, options: Options) -> Options {
        let heard = Arc::clone(&self.done);
        options.progress(move |progress| heard.store(progress.done, Ordering::Relaxed))
    }

    /// The same for new work, with a switch that nobody has used.
    pub(crate) fn again(&mut self) {
        self.token = CancelToken::new();
        self.done.store(0, Ordering::Relaxed);
    }
}

/// What one call brings, but for the array.
pub(crate) struct Call<'py> {
    pub(crate) check_axis_order: bool,
    pub(crate) may_wait: bool,
    pub(crate) out: Option<Vec<Bound<'py, PyArray3<u8>>>>,
    pub(crate) progress: Option<Py<PyAny>>,
}

/// The caller's masks, which may hold any bytes; none if they are to be made.
pub(crate) type Out<'a> = Option<Vec<ArrayViewMut3<'a, u8>>>;

/// What comes back to Python.
pub(crate) struct Results<T> {
    /// None, if they are the caller's.
    pub(crate) masks: Masks,
    pub(crate) peaks: Peaks<T>,
    pub(crate) summary: Option<Summary<T>>,
    pub(crate) report: Report,
}

impl<'py> Call<'py> {
    /// Does the work without Python's lock, and watches it.
    pub(crate) fn run<T: Element + NumPy>(
        &self,
        p: &Bound<'py, PyArray3<T>>,
        watched: &Watched,
        work: impl FnOnce(ArrayView3<'_, T>, Out<'_>) -> Result<Results<T>, Error> + Send,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let py = p.py();
        let out = match &self.out {
            Some(out) => Some(arrays::writeable(p.as_untyped(), out)?),
            None => None,
        };
        let p = arrays::readable(p)?;
        let view = p.as_array();
        let check = self.check_axis_order;
        let work = || {
            if check {
                peakmask::check_axis_order(view)?;
            }
            work(view, out)
        };
        let watch = Watch {
            progress: self.progress.as_ref(),
            done: &watched.done,
            total: view.dim().2,
            cells: view.len(),
            may_wait: self.may_wait,
        };
        let results = watch.over(py, &watched.token, work)?.map_err(raised)?;
        columns(py, results)
    }
}

/// Does what `peakmask::analyze` does, or writes masks into those of the caller.
fn analyze_with<T: Element>(
    p: ArrayView3<'_, T>,
    options: &Options,
    beside: Beside,
    out: Out<'_>,
) -> Result<Results<T>, Error> {
    if out.is_none() {
        let options = with(options.clone(), beside.animal);
        return peakmask::analyze(p, &options).map(parts);
    }
    let (n_x, n_y, _) = p.dim();
    let mut analyzer = peakmask::Analyzer::new([n_x, n_y], options.clone())?;
    analyzer::run_with(&mut analyzer, p, out, beside)
}

impl<T> Results<T> {
    /// Those of a call that has written into the caller's masks.
    pub(crate) fn without_masks(
        peaks: Peaks<T>,
        summary: Option<Summary<T>>,
        report: Report,
    ) -> Self {
        Self {
            masks: Masks::Bytes(Vec::new()),
            peaks: shrunk(peaks),
            summary,
            report,
        }
    }
}

pub(crate) fn parts<T>(analysis: Analysis<T>) -> Results<T> {
    let Analysis {
        masks,
        packed,
        sparse,
        peaks,
        summary,
        report,
        ..
    } = analysis;
    let masks = match (packed, sparse) {
        (Some(packed), _) => Masks::Packed(packed),
        (_, Some(sparse)) => Masks::Sparse(sparse),
        _ => Masks::Bytes(masks),
    };
    Results {
        masks,
        peaks,
        summary,
        report,
    }
}

/// Peaks that take no more memory than they need.
fn shrunk<T>(mut peaks: Peaks<T>) -> Peaks<T> {
    peaks.coords.shrink_to_fit();
    peaks.prominences.shrink_to_fit();
    peaks.heights.shrink_to_fit();
    peaks
}

/// (masks, offsets, coords, prominences, heights, report, summary), without a copy.
fn columns<'py, T: Element + NumPy>(
    py: Python<'py>,
    results: Results<T>,
) -> PyResult<Bound<'py, PyTuple>> {
    let Results {
        masks,
        peaks,
        summary,
        report,
    } = results;
    let rows = peaks.coords.len();
    let coords = Array2::from_shape_vec((rows, 2), peaks.coords.into_flattened())
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    (
        masks.into_python(py)?,
        peaks.offsets.into_pyarray(py),
        coords.into_pyarray(py),
        peaks.prominences.into_pyarray(py),
        peaks.heights.into_pyarray(py),
        json(report)?,
        summary
            .map(|summary| forms::summary(py, summary))
            .transpose()?,
    )
        .into_pyobject(py)
}

/// The report as JSON, which Python reads when somebody looks at it.
fn json(mut report: Report) -> PyResult<String> {
    if INHERITED_GPU.load(Ordering::Relaxed) && report.no_gpu.is_some() {
        report.no_gpu = Some(INHERITED.into());
    }
    serde_json::to_string(&report).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// The library's error as Python's, in words that name what Python can change.
pub(crate) fn raised(error: Error) -> PyErr {
    match error {
        Error::OverBudget { .. } => PyMemoryError::new_err(format!(
            "{error} (memory_limit=, masks=, on_limit=\"warn\", or out= to reuse masks)"
        )),
        Error::OutOfMemory { .. } => PyMemoryError::new_err(error.to_string()),
        Error::AxisOrder { shape, evidence } => {
            let [a, b, c] = shape;
            PyValueError::new_err(format!(
                "the array of shape ({a}, {b}, {c}) looks like (t, x, y), not (x, y, t): {evidence}; \
                 pass layout=\"txy\", or numpy.moveaxis(P, 0, 2); if it is (x, y, t), pass layout=\"xyt\""
            ))
        }
        Error::Nan { x, y, t } => PyValueError::new_err(format!(
            "cell ({x}, {y}) of time bin {t} is NaN, the first there is, and none is allowed; if NaN marks cells beside the \
             track, pass nan_policy=\"off_track\"; to have it silence its time bin, nan_policy=\"silence\""
        )),
        Error::EmptyMap { .. }
        | Error::Coverage { .. }
        | Error::MapTooLarge { .. }
        | Error::MapShape { .. }
        | Error::EpochShape { .. }
        | Error::OutputCount { .. }
        | Error::OutputShape { .. }
        | Error::ForeignPeaks { .. }
        | Error::ForeignPeak { .. }
        | Error::Positions { .. }
        | Error::Environment { .. } => PyValueError::new_err(error.to_string()),
        _ => PyRuntimeError::new_err(error.to_string()),
    }
}
