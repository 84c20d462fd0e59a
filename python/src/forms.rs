//! Masks in every form, and summaries, as NumPy's arrays.

use ndarray::{Array2, Array3, ArrayBase, Ix2, OwnedRepr};
use numpy::{Element as NumPy, IntoPyArray, PyArray1, PyArray2, PyArray3, PyReadonlyArray3};
use peakmask::{Element, PackedMask, SparseMask, Summary};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Masks in one of their forms.
pub(crate) enum Masks {
    Bytes(Vec<Array3<bool>>),
    Packed(Vec<PackedMask>),
    Sparse(Vec<SparseMask>),
}

impl Masks {
    /// A list of arrays of booleans, of arrays of bytes, or of pairs (offsets, cells).
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
        match self {
            Self::Bytes(masks) => {
                PyList::new(py, masks.into_iter().map(|mask| mask.into_pyarray(py)))
            }
            Self::Packed(masks) => {
                let bits = masks.into_iter().map(PackedMask::into_bits);
                PyList::new(py, bits.map(|bits| bits.into_pyarray(py)))
            }
            Self::Sparse(masks) => {
                let pairs = masks
                    .into_iter()
                    .map(|mask| (mask.offsets.into_pyarray(py), mask.cells.into_pyarray(py)));
                PyList::new(py, pairs)
            }
        }
    }
}

/// The columns of a summary by name: arrays by time bin, and by level and time bin.
pub(crate) fn summary<T: Element + NumPy>(
    py: Python<'_>,
    summary: Summary<T>,
) -> PyResult<Bound<'_, PyDict>> {
    let columns = PyDict::new(py);
    columns.set_item("live", summary.live.into_pyarray(py))?;
    columns.set_item("dominant", pairs(py, summary.dominant)?)?;
    columns.set_item("height", summary.height.into_pyarray(py))?;
    columns.set_item("prominence", summary.prominence.into_pyarray(py))?;
    let highest = summary.highest_prominence.into_pyarray(py);
    columns.set_item("highest_prominence", highest)?;
    columns.set_item("peaks", summary.peaks.into_pyarray(py))?;
    columns.set_item("minimum", summary.minimum.into_pyarray(py))?;
    columns.set_item("total", summary.total.into_pyarray(py))?;
    columns.set_item("distance", summary.distance.into_pyarray(py))?;
    columns.set_item("threshold", summary.threshold.into_pyarray(py))?;
    columns.set_item("area", summary.area.into_pyarray(py))?;
    columns.set_item("reached", summary.reached.into_pyarray(py))?;
    columns.set_item("mass", summary.mass.into_pyarray(py))?;
    columns.set_item("sums", pairs_by_level(py, summary.sums)?)?;
    columns.set_item("centroid", pairs_by_level(py, summary.centroid)?)?;
    columns.set_item("first", pairs_by_level(py, summary.first)?)?;
    columns.set_item("last", pairs_by_level(py, summary.last)?)?;
    columns.set_item("border", summary.border.into_pyarray(py))?;
    columns.set_item("overlap", summary.overlap.into_pyarray(py))?;
    let dilated = summary.dilated_overlap.into_pyarray(py);
    columns.set_item("dilated_overlap", dilated)?;
    columns.set_item("dilated_union", summary.dilated_union.into_pyarray(py))?;
    columns.set_item("near", summary.near.into_pyarray(py))?;
    Ok(columns)
}

/// `(n_t, 2)`.
fn pairs<A: NumPy>(py: Python<'_>, column: Vec<[A; 2]>) -> PyResult<Bound<'_, PyArray2<A>>> {
    Array2::from_shape_vec((column.len(), 2), column.into_flattened())
        .map(|array| array.into_pyarray(py))
        .map_err(shapeless)
}

/// `(n_levels, n_t, 2)`, of a column that lies bin after bin.
fn pairs_by_level<A: NumPy>(
    py: Python<'_>,
    column: ArrayBase<OwnedRepr<[A; 2]>, Ix2>,
) -> PyResult<Bound<'_, PyArray3<A>>> {
    let (levels, bins) = column.dim();
    let (values, _) = column.into_raw_vec_and_offset();
    Array3::from_shape_vec((bins, levels, 2), values.into_flattened())
        .map(|array| array.permuted_axes([1, 0, 2]).into_pyarray(py))
        .map_err(shapeless)
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err calls")]
fn shapeless(error: ndarray::ShapeError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// Areas and overlaps.
type Numbers<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<i64>>);

/// Areas `(n_t,)` and overlaps `(n_t - 1, 3)` of a packed mask.
#[pyfunction]
pub(crate) fn packed_numbers<'py>(
    py: Python<'py>,
    bits: PyReadonlyArray3<'py, u8>,
    n_t: usize,
) -> PyResult<Numbers<'py>> {
    let bits = bits.as_array().to_owned();
    if bits.dim().2 != n_t.div_ceil(8) {
        return Err(PyValueError::new_err(format!(
            "{} bytes along t were given for {n_t} time bins, eight a byte",
            bits.dim().2
        )));
    }
    let (areas, overlaps) = py.detach(|| {
        let mask = PackedMask::new(bits, n_t);
        (mask.areas(), mask.overlaps())
    });
    let overlaps = Array2::from_shape_vec((overlaps.len(), 3), overlaps.into_flattened());
    let overlaps = overlaps.map_err(shapeless)?.into_pyarray(py);
    Ok((areas.into_pyarray(py), overlaps))
}
