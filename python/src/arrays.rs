//! NumPy's arrays as views, after a look at what the views' safety rests on. Nothing that Python code says of an array is
//! believed: its fields are read.

use std::ops::Range;

use ndarray::ArrayViewMut3;
use numpy::npyffi::NPY_ARRAY_WRITEABLE;
use numpy::{
    Element as NumPy, PyArray3, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray3,
    PyUntypedArray, PyUntypedArrayMethods,
};
use peakmask::Element;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A checked borrow of the input.
pub(crate) fn readable<'py, T: Element + NumPy>(
    p: &Bound<'py, PyArray3<T>>,
) -> PyResult<PyReadonlyArray3<'py, T>> {
    plain("P", p.as_untyped())?;
    let whole = |(&bytes, &n): (&isize, &usize)| n < 2 || bytes % size_of::<T>() as isize == 0;
    if !p.is_aligned() || !p.strides().iter().zip(p.shape()).all(whole) {
        return Err(PyTypeError::new_err(
            "P is not aligned, or has strides that are no multiples of an element; pass a copy",
        ));
    }
    p.try_readonly()
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// The bytes of all outputs, if each may be written to, and none shares memory with itself, another, or the input.
#[expect(
    unsafe_code,
    reason = "outputs are borrowed from NumPy, and are parts of one array now and then"
)]
pub(crate) fn writeable<'a>(
    p: &Bound<'_, PyUntypedArray>,
    out: &'a [Bound<'_, PyArray3<u8>>],
) -> PyResult<Vec<ArrayViewMut3<'a, u8>>> {
    for (i, mask) in out.iter().map(PyArrayMethods::as_untyped).enumerate() {
        let name = format!("out[{i}]");
        plain(&name, mask)?;
        // SAFETY: The pointer is that of an array that lives.
        let flags = unsafe { (*mask.as_array_ptr()).fields.flags };
        if flags & NPY_ARRAY_WRITEABLE == 0 {
            return Err(PyValueError::new_err(format!(
                "{name} is read-only; give an array that can be written to"
            )));
        }
        if folded(mask) {
            return Err(PyValueError::new_err(format!(
                "{name} has elements that share memory (strides {:?}); give an array of its own",
                mask.strides()
            )));
        }
        let mut shared = share_memory(mask, p)?.then(|| "P".to_owned());
        for (j, other) in out[..i].iter().enumerate() {
            if share_memory(mask, other.as_untyped())? {
                shared = Some(format!("out[{j}]"));
            }
        }
        if let Some(other) = shared {
            return Err(PyValueError::new_err(format!(
                "{name} and {other} share memory; give every output memory of its own"
            )));
        }
    }
    let view = |mask: &'a Bound<'_, PyArray3<u8>>| match mask.shape() {
        // Strides of nothing are anything.
        &[a, b, c] if a * b * c == 0 => ArrayViewMut3::from_shape((a, b, c), &mut [])
            .map_err(|error| PyValueError::new_err(error.to_string())),
        // SAFETY: The arrays live as long as the borrow. Each is a plain array, so that its fields are NumPy's own; all are
        // writeable, and no element of one is another of it, or of another output, or lies in the input. That no other thread
        // touches them during the call is the promise of whoever passes an output to NumPy, too. NumPy's own registry of borrows
        // cannot be asked: it refuses two threads that fill disjoint time bins of one array.
        _ => Ok(unsafe { mask.as_array_mut() }),
    };
    out.iter().map(view).collect()
}

/// Refuses subclasses, and pointers that would be computed from an empty array.
fn plain(name: &str, array: &Bound<'_, PyUntypedArray>) -> PyResult<()> {
    if !array.is_exact_instance_of::<PyUntypedArray>() {
        return Err(PyTypeError::new_err(format!(
            "{name} is of a subclass of numpy.ndarray; pass numpy.asarray of it"
        )));
    }
    if array.shape().contains(&0) && array.strides().iter().any(|&stride| stride < 0) {
        return Err(PyTypeError::new_err(format!(
            "{name} is empty and has negative strides; pass a new empty array"
        )));
    }
    Ok(())
}

/// Whether two elements of an array may lie in the same place.
fn folded(array: &Bound<'_, PyUntypedArray>) -> bool {
    if array.shape().contains(&0) {
        return false;
    }
    let mut axes: Vec<_> = array
        .strides()
        .iter()
        .zip(array.shape())
        .filter(|&(_, &n)| n > 1)
        .map(|(stride, &n)| (stride.unsigned_abs(), n))
        .collect();
    axes.sort_unstable();
    let mut reach = array.dtype().itemsize();
    for (stride, n) in axes {
        if stride < reach {
            return true;
        }
        reach += stride * (n - 1);
    }
    false
}

/// Whether two arrays have a byte in common.
fn share_memory(a: &Bound<'_, PyUntypedArray>, b: &Bound<'_, PyUntypedArray>) -> PyResult<bool> {
    let (in_a, in_b) = (extent(a), extent(b));
    if in_a.is_empty() || in_b.is_empty() || in_a.end <= in_b.start || in_b.end <= in_a.start {
        return Ok(false);
    }
    // They lie in one another's way, and may still be apart, as every second time bin is.
    static SHARES_MEMORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    SHARES_MEMORY
        .import(a.py(), "numpy", "shares_memory")?
        .call1((a, b))?
        .extract()
}

/// From an array's first byte in memory to behind its last.
#[expect(unsafe_code, reason = "the field of an array that holds its address")]
fn extent(array: &Bound<'_, PyUntypedArray>) -> Range<usize> {
    // SAFETY: The pointer is that of an array that lives.
    let data = unsafe { (*array.as_array_ptr()).fields.data } as usize;
    if array.shape().contains(&0) {
        return data..data;
    }
    let (mut start, mut end) = (data, data + array.dtype().itemsize());
    for (&stride, &n) in array.strides().iter().zip(array.shape()) {
        let reach = stride.unsigned_abs() * (n - 1);
        if stride < 0 {
            start -= reach;
        } else {
            end += reach;
        }
    }
    start..end
}

/// The same memory, all false. Where it holds other bytes than 0 and 1 it may not be looked at as booleans before.
#[expect(
    unsafe_code,
    reason = "the library writes booleans, NumPy may hold any byte"
)]
pub(crate) fn booleans(mut bytes: ArrayViewMut3<'_, u8>) -> ArrayViewMut3<'_, bool> {
    bytes.fill(0);
    // SAFETY: The view is exclusive, is given away with its lifetime, and every byte of it is 0: a boolean of the same
    // size and alignment.
    unsafe { bytes.raw_view_mut().cast().deref_into_view_mut() }
}
