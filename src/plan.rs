//! Sizes and budgets.

use crate::{Dtype, Error, Options};

/// What an analysis will allocate, results included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes that do not depend on the number of peaks: masks, offsets, scratch.
    pub fixed_bytes: u64,
    /// Bytes for each peak.
    pub bytes_per_peak: u64,
    /// Number of peaks assumed, since the true one is known only afterwards.
    pub assumed_peaks: u64,
}

impl Estimate {
    /// Bytes in all, with the assumed number of peaks.
    pub fn total(&self) -> u64 {
        self.total_with(self.assumed_peaks)
    }

    /// Bytes in all, with a known number of peaks.
    pub fn total_with(&self, peaks: u64) -> u64 {
        self.fixed_bytes
            .saturating_add(self.bytes_per_peak.saturating_mul(peaks))
    }
}

/// What [`analyze`](crate::analyze) will allocate for an input of this shape `[n_x, n_y, n_t]` and type.
///
/// # Errors
/// [`Error::EmptyMap`] and [`Error::MapTooLarge`], as `analyze` would return.
pub fn estimate(shape: [usize; 3], dtype: Dtype, options: &Options) -> Result<Estimate, Error> {
    let [n_x, n_y, n_t] = shape;
    if n_x == 0 || n_y == 0 {
        return Err(Error::EmptyMap { n_x, n_y, n_t });
    }
    let cells = (n_x * n_y * n_t) as u64;
    Ok(Estimate {
        fixed_bytes: cells * options.alphas.len() as u64,
        bytes_per_peak: 16 + 2 * dtype.size() as u64,
        assumed_peaks: cells / 32,
    })
}
