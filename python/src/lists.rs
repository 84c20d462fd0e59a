//! Summits, regions and filters: lists made of maps and of peaks.

use ndarray::{Array2, ArrayView3};
use numpy::{Element as NumPy, IntoPyArray, PyArray1, PyArray2, PyArray3, PyArrayMethods};
use peakmask::{Element, Error, Options, PeakFilter, Peaks, Regions, Saddles, Summits};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::watch::Watch;
use crate::{Chosen, Watched, arrays, raised};

/// How the work is done.
struct How<'a> {
    connectivity: i64,
    nan_policy: &'a str,
    threads: usize,
    memory_limit: Option<u64>,
    on_limit: &'a str,
}

impl How<'_> {
    /// Has `work` look at the maps of `p`, without Python's lock.
    fn run<T: Element + NumPy, R: Send>(
        self,
        p: &Bound<'_, PyArray3<T>>,
        work: impl FnOnce(ArrayView3<'_, T>, &Options) -> Result<R, Error> + Send,
    ) -> PyResult<R> {
        let py = p.py();
        let options = Chosen {
            levels: Vec::new(),
            region: "dominant",
            nan_policy: self.nan_policy,
            connectivity: self.connectivity,
            prominence: "reference",
            backend: "cpu",
            adapter: None,
            threads: self.threads,
            memory_limit: self.memory_limit,
            on_limit: self.on_limit,
        }
        .options()?;
        let watched = Watched::default();
        let options = options.cancel_token(watched.token.clone());
        let p = arrays::readable(p)?;
        let view = p.as_array();
        let watch = Watch {
            progress: None,
            done: &watched.done,
            total: view.dim().2,
            cells: view.len(),
            may_wait: false,
        };
        watch
            .over(py, &watched.token, || work(view, &options))?
            .map_err(raised)
    }
}

fn no_array() -> PyErr {
    PyTypeError::new_err("an array of three axes, of native float64 or float32, was expected")
}

/// (offsets, coords, heights, prominences, saddles, saddle_heights, parents, labels or None) of the maps of `p`.
#[pyfunction]
#[pyo3(signature = (p, *, labels, nan_policy, threads, memory_limit, on_limit))]
pub(crate) fn summits<'py>(
    p: &Bound<'py, PyAny>,
    labels: bool,
    nan_policy: &str,
    threads: usize,
    memory_limit: Option<u64>,
    on_limit: &str,
) -> PyResult<Bound<'py, PyTuple>> {
    let how = How {
        connectivity: 8,
        nan_policy,
        threads,
        memory_limit,
        on_limit,
    };
    if let Ok(p) = p.cast::<PyArray3<f64>>() {
        let found = how.run(p, |p, options| peakmask::summits(p, options, labels))?;
        columns(p.py(), found)
    } else if let Ok(p) = p.cast::<PyArray3<f32>>() {
        let found = how.run(p, |p, options| peakmask::summits(p, options, labels))?;
        columns(p.py(), found)
    } else {
        Err(no_array())
    }
}

fn columns<'py, T: Element + NumPy>(
    py: Python<'py>,
    found: Summits<T>,
) -> PyResult<Bound<'py, PyTuple>> {
    let Summits {
        offsets,
        coords,
        heights,
        prominences,
        saddles,
        saddle_heights,
        parents,
        labels,
        ..
    } = found;
    (
        offsets.into_pyarray(py),
        table(py, coords)?,
        heights.into_pyarray(py),
        prominences.into_pyarray(py),
        table(py, saddles)?,
        saddle_heights.into_pyarray(py),
        parents.into_pyarray(py),
        labels.map(|labels| labels.into_pyarray(py)),
    )
        .into_pyobject(py)
}

/// Rows of a few numbers as an array of two axes.
fn table<const N: usize, V: NumPy>(
    py: Python<'_>,
    rows: Vec<[V; N]>,
) -> PyResult<Bound<'_, PyArray2<V>>> {
    let shape = (rows.len(), N);
    Array2::from_shape_vec(shape, rows.into_flattened())
        .map(|rows| rows.into_pyarray(py))
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// Peaks as Python holds them.
fn peaks<T: Element + NumPy>(
    offsets: &Bound<'_, PyArray1<i64>>,
    coords: &Bound<'_, PyArray2<i64>>,
    prominences: &Bound<'_, PyArray1<T>>,
    heights: &Bound<'_, PyArray1<T>>,
) -> PyResult<Peaks<T>> {
    let borrowed = |error: numpy::BorrowError| PyRuntimeError::new_err(error.to_string());
    let coords = coords.try_readonly().map_err(borrowed)?;
    let coords = coords.as_array();
    if coords.dim().1 != 2 {
        return Err(PyValueError::new_err("coords have two columns, x and y"));
    }
    let column = |values: &Bound<'_, PyArray1<T>>| -> PyResult<Vec<T>> {
        let values = values.try_readonly().map_err(borrowed)?;
        Ok(values.as_array().to_vec())
    };
    let peaks = Peaks {
        offsets: offsets
            .try_readonly()
            .map_err(borrowed)?
            .as_array()
            .to_vec(),
        coords: coords
            .rows()
            .into_iter()
            .map(|row| [row[0], row[1]])
            .collect(),
        prominences: column(prominences)?,
        heights: column(heights)?,
    };
    let n = peaks.heights.len();
    let rise = peaks.offsets.is_sorted() && peaks.offsets.first() == Some(&0);
    let fit = [peaks.coords.len(), peaks.prominences.len()] == [n, n];
    if !rise || !fit || peaks.offsets.last() != Some(&(n as i64)) {
        return Err(PyValueError::new_err(format!(
            "columns of peaks do not fit together: {n} heights, {} prominences, {} coords, offsets that {}",
            peaks.prominences.len(),
            peaks.coords.len(),
            if rise {
                "end elsewhere"
            } else {
                "do not rise from 0"
            },
        )));
    }
    Ok(peaks)
}

/// (cells, heights, prominences, parents, parent_cells) of the saddles of peaks.
#[pyfunction]
#[pyo3(signature = (p, offsets, coords, heights, *, nan_policy, threads, memory_limit, on_limit))]
#[expect(
    clippy::too_many_arguments,
    reason = "the keywords of Python's function"
)]
pub(crate) fn saddles<'py>(
    p: &Bound<'py, PyAny>,
    offsets: &Bound<'py, PyArray1<i64>>,
    coords: &Bound<'py, PyArray2<i64>>,
    heights: &Bound<'py, PyAny>,
    nan_policy: &str,
    threads: usize,
    memory_limit: Option<u64>,
    on_limit: &str,
) -> PyResult<Bound<'py, PyTuple>> {
    let how = How {
        connectivity: 8,
        nan_policy,
        threads,
        memory_limit,
        on_limit,
    };
    if let (Ok(p), Ok(h)) = (p.cast::<PyArray3<f64>>(), heights.cast()) {
        let peaks = peaks::<f64>(offsets, coords, h, h)?;
        let found = how.run(p, |p, options| peakmask::saddles(p, &peaks, options))?;
        beside_peaks(p.py(), found)
    } else if let (Ok(p), Ok(h)) = (p.cast::<PyArray3<f32>>(), heights.cast()) {
        let peaks = peaks::<f32>(offsets, coords, h, h)?;
        let found = how.run(p, |p, options| peakmask::saddles(p, &peaks, options))?;
        beside_peaks(p.py(), found)
    } else {
        Err(no_array())
    }
}

fn beside_peaks<'py, T: Element + NumPy>(
    py: Python<'py>,
    found: Saddles<T>,
) -> PyResult<Bound<'py, PyTuple>> {
    let Saddles {
        cells,
        heights,
        prominences,
        parents,
        parent_cells,
        ..
    } = found;
    (
        table(py, cells)?,
        heights.into_pyarray(py),
        prominences.into_pyarray(py),
        parents.into_pyarray(py),
        table(py, parent_cells)?,
    )
        .into_pyobject(py)
}

/// The rows of peaks that a filter keeps.
#[pyfunction]
#[pyo3(signature = (offsets, coords, prominences, heights, *, min_height, min_relative_height, min_prominence, min_distance, highest, most_prominent))]
#[expect(
    clippy::too_many_arguments,
    reason = "the keywords of Python's function"
)]
pub(crate) fn filtered_rows<'py>(
    offsets: &Bound<'py, PyArray1<i64>>,
    coords: &Bound<'py, PyArray2<i64>>,
    prominences: &Bound<'py, PyAny>,
    heights: &Bound<'py, PyAny>,
    min_height: Option<f64>,
    min_relative_height: Option<f64>,
    min_prominence: Option<f64>,
    min_distance: Option<f64>,
    highest: Option<usize>,
    most_prominent: Option<usize>,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let set = |filter: PeakFilter, value: Option<f64>, add: fn(PeakFilter, f64) -> PeakFilter| {
        value.into_iter().fold(filter, add)
    };
    let mut filter = set(PeakFilter::new(), min_height, PeakFilter::min_height);
    filter = set(filter, min_relative_height, PeakFilter::min_relative_height);
    filter = set(filter, min_prominence, PeakFilter::min_prominence);
    filter = set(filter, min_distance, PeakFilter::min_distance);
    filter = highest.into_iter().fold(filter, PeakFilter::highest);
    filter = most_prominent
        .into_iter()
        .fold(filter, PeakFilter::most_prominent);
    let rows = if let (Ok(p), Ok(h)) = (prominences.cast(), heights.cast()) {
        peaks::<f64>(offsets, coords, p, h)?.filtered_rows(&filter)
    } else if let (Ok(p), Ok(h)) = (prominences.cast(), heights.cast()) {
        peaks::<f32>(offsets, coords, p, h)?.filtered_rows(&filter)
    } else {
        return Err(PyTypeError::new_err(
            "prominences and heights are both of float64, or both of float32",
        ));
    };
    let rows: Vec<i64> = rows.into_iter().map(|row| row as i64).collect();
    Ok(rows.into_pyarray(offsets.py()))
}

/// For each alpha (areas, boxes, centres, border_distances, overlaps, holders, cell_offsets, cells) of the regions of peaks.
#[pyfunction]
#[pyo3(signature = (p, offsets, coords, heights, alphas, *, connectivity, cells, threads, memory_limit, on_limit))]
#[expect(
    clippy::too_many_arguments,
    reason = "the keywords of Python's function"
)]
pub(crate) fn regions<'py>(
    p: &Bound<'py, PyAny>,
    offsets: &Bound<'py, PyArray1<i64>>,
    coords: &Bound<'py, PyArray2<i64>>,
    heights: &Bound<'py, PyAny>,
    alphas: Vec<f64>,
    connectivity: i64,
    cells: bool,
    threads: usize,
    memory_limit: Option<u64>,
    on_limit: &str,
) -> PyResult<Vec<Bound<'py, PyTuple>>> {
    let how = How {
        connectivity,
        nan_policy: "silence",
        threads,
        memory_limit,
        on_limit,
    };
    let py = p.py();
    let found = if let (Ok(p), Ok(h)) = (p.cast::<PyArray3<f64>>(), heights.cast()) {
        let peaks = peaks::<f64>(offsets, coords, h, h)?;
        how.run(p, |p, options| {
            peakmask::regions(p, &peaks, &alphas, options, cells)
        })?
    } else if let (Ok(p), Ok(h)) = (p.cast::<PyArray3<f32>>(), heights.cast()) {
        let peaks = peaks::<f32>(offsets, coords, h, h)?;
        how.run(p, |p, options| {
            peakmask::regions(p, &peaks, &alphas, options, cells)
        })?
    } else {
        return Err(no_array());
    };
    found
        .into_iter()
        .map(|regions| {
            let Regions {
                areas,
                boxes,
                centres,
                border_distances,
                overlaps,
                holders,
                cell_offsets,
                cells,
                ..
            } = regions;
            (
                areas.into_pyarray(py),
                table(py, boxes)?,
                table(py, centres)?,
                border_distances.into_pyarray(py),
                overlaps.into_pyarray(py),
                holders.into_pyarray(py),
                cell_offsets.into_pyarray(py),
                table(py, cells)?,
            )
                .into_pyobject(py)
        })
        .collect()
}
