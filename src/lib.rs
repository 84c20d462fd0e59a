//! Peaks, prominences and dominant-peak masks of decoded position posteriors.

mod analysis;
mod cpu;
mod element;
mod error;
mod memory;
mod options;
mod plan;
mod posterior;

pub use analysis::{Analysis, BinPeaks, Peaks, Report, Seconds};
pub use cpu::InstructionSet;
pub use element::{Dtype, Element};
pub use error::Error;
pub use memory::{LimitSource, MemoryLimit};
pub use options::{Backend, CancelToken, Connectivity, MemoryGuard, Options, Progress};
pub use plan::{Estimate, estimate};
pub use posterior::check_axis_order;

use ndarray::{Array3, ArrayView3, ArrayViewMut3};

/// Finds all peaks of every time bin and, for each alpha, the mask of the region around the dominant peak.
///
/// # Errors
/// See [`Error`].
pub fn analyze<T: Element>(p: ArrayView3<'_, T>, options: &Options) -> Result<Analysis<T>, Error> {
    let mut masks: Vec<_> = options
        .alphas
        .iter()
        .map(|_| Array3::from_elem(p.dim(), false))
        .collect();
    let mut peaks = Peaks::new();
    let mut views: Vec<_> = masks.iter_mut().map(|m| m.view_mut()).collect();
    let report = analyze_into(p, options, &mut views, &mut peaks)?;
    Ok(Analysis {
        masks,
        peaks,
        report,
    })
}

/// [`analyze`], into the caller's arrays.
///
/// # Errors
/// See [`Error`].
pub fn analyze_into<T: Element>(
    p: ArrayView3<'_, T>,
    options: &Options,
    masks: &mut [ArrayViewMut3<'_, bool>],
    peaks: &mut Peaks<T>,
) -> Result<Report, Error> {
    let (n_x, n_y, n_t) = p.dim();
    if n_x == 0 || n_y == 0 {
        return Err(Error::EmptyMap { n_x, n_y, n_t });
    }
    if masks.len() != options.alphas.len() {
        return Err(Error::OutputCount {
            alphas: options.alphas.len(),
            outputs: masks.len(),
        });
    }
    for (index, m) in masks.iter().enumerate() {
        if m.dim() != p.dim() {
            let (a, b, c) = m.dim();
            return Err(Error::OutputShape {
                index,
                expected: [n_x, n_y, n_t],
                found: [a, b, c],
            });
        }
    }
    *peaks = Peaks::new();
    for t in 0..n_t {
        let z: Vec<T> = (0..n_x * n_y).map(|c| p[[c / n_y, c % n_y, t]]).collect();
        let (mut lo, mut hi, mut dom, mut nan) = (z[0], z[0], 0, false);
        for (c, &v) in z.iter().enumerate() {
            nan |= v.partial_cmp(&v).is_none();
            if v < lo {
                lo = v;
            }
            if v > hi {
                (hi, dom) = (v, c);
            }
        }
        let live = !nan && lo < hi;
        let near = |c: usize, eight: bool| {
            let (x, y) = ((c / n_y) as isize, (c % n_y) as isize);
            let mut list = Vec::new();
            for dx in -1..=1isize {
                for dy in -1..=1isize {
                    let (a, b) = (x + dx, y + dy);
                    let inside = a >= 0 && b >= 0 && a < n_x as isize && b < n_y as isize;
                    if inside && (dx, dy) != (0, 0) && (eight || dx == 0 || dy == 0) {
                        list.push(a as usize * n_y + b as usize);
                    }
                }
            }
            list
        };
        let is_peak: Vec<bool> = (0..z.len())
            .map(|c| live && z[c] > lo && near(c, true).iter().all(|&d| z[c] >= z[d]))
            .collect();
        for c in (0..z.len()).filter(|&c| is_peak[c]) {
            let (mut group, mut base) = (vec![c], T::LOWEST);
            let mut i = 0;
            while i < group.len() {
                for d in near(group[i], true) {
                    if is_peak[d] {
                        if !group.contains(&d) {
                            group.push(d);
                        }
                    } else if z[d] > base {
                        base = z[d];
                    }
                }
                i += 1;
            }
            peaks.coords.push([(c / n_y) as i64, (c % n_y) as i64]);
            peaks.heights.push(z[c]);
            peaks.prominences.push(T::prominence(z[c], base));
        }
        peaks.offsets.push(peaks.heights.len() as i64);
        for (mask, &alpha) in masks.iter_mut().zip(&options.alphas) {
            let mut filled = vec![false; z.len()];
            if live {
                let threshold = T::threshold(alpha, hi);
                filled[dom] = true;
                let mut stack = if z[dom] >= threshold {
                    vec![dom]
                } else {
                    vec![]
                };
                while let Some(c) = stack.pop() {
                    for d in near(c, options.connectivity == Connectivity::Eight) {
                        if !filled[d] && z[d] >= threshold {
                            filled[d] = true;
                            stack.push(d);
                        }
                    }
                }
            }
            for (c, &f) in filled.iter().enumerate() {
                mask[[c / n_y, c % n_y, t]] = f;
            }
        }
    }
    Ok(Report {
        engine: "cpu",
        instruction_set: InstructionSet::Baseline,
        threads: 1,
        bins: n_t,
        peaks: peaks.len(),
        seconds: Seconds::default(),
        bytes_planned: 0,
    })
}
