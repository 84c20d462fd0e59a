//! What not every test target asks for: kinds of levels, and parts of masks.

#![allow(dead_code, reason = "what one target does not ask for, another does")]

use ndarray::{Array2, ArrayView2};

use super::connected;

/// How high the cells of a mask are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Level {
    /// This times the height of the dominant peak.
    OfPeak(f64),
    /// This value.
    Absolute(f64),
    /// As high as it takes to hold this share of the total.
    Coverage(f64),
}

/// The number of parts of a mask.
pub(crate) fn components(mask: ArrayView2<'_, bool>, eight: bool) -> u32 {
    let mut seen = Array2::from_elem(mask.dim(), false);
    let mut count = 0;
    for ((x, y), &inside) in mask.indexed_iter() {
        if inside && !seen[(x, y)] {
            count += 1;
            connected((x, y), eight, &mut seen, |c| mask[c]);
        }
    }
    count
}
