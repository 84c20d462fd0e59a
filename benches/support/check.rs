//! What single time bins have to be, by the oracle of the tests: to be right before being fast.

#[path = "../../tests/oracle/mod.rs"]
#[expect(dead_code, reason = "a part of it serves the tests alone")]
mod oracle;

use ndarray::{Array3, ArrayView3, Axis};
use peakmask::Peaks;

use crate::value::Value;

pub(crate) use oracle::Real;

/// Panics unless the results of these time bins are what the oracle says, to the bit.
pub(crate) fn assert_bins<T: Value>(
    p: ArrayView3<'_, T>,
    alphas: &[f64],
    masks: &[Array3<bool>],
    peaks: &Peaks<T>,
    bins: impl IntoIterator<Item = usize>,
) {
    assert_eq!(peaks.n_bins(), p.dim().2, "number of time bins");
    let bits = |values: &[T]| -> Vec<u64> { values.iter().map(|v| v.wide().to_bits()).collect() };
    for t in bins {
        let expected = oracle::answer_bin(p.index_axis(Axis(2), t), alphas, false);
        let found = peaks.bin(t);
        let cells = (found.coords.iter()).map(|&[x, y]| (x as usize, y as usize));
        assert!(cells.eq(expected.peaks), "peaks of time bin {t}");
        assert_eq!(
            bits(found.heights),
            bits(&expected.heights),
            "heights of time bin {t}"
        );
        assert_eq!(
            bits(found.prominences),
            bits(&expected.prominences),
            "prominences of time bin {t}"
        );
        assert_eq!(masks.len(), expected.masks.len(), "number of masks");
        for ((alpha, mask), expected) in alphas.iter().zip(masks).zip(expected.masks) {
            assert!(
                mask.index_axis(Axis(2), t) == expected,
                "mask of time bin {t} at alpha {alpha}"
            );
        }
    }
}
