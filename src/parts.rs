//! Parts: bins one map after the other, a run of them for each thread at a time.

use std::ops::Range;

use rayon::prelude::*;

use crate::analysis::Peaks;
use crate::choices::{CancelToken, NanPolicy};
use crate::element::{Dtype, Element};
use crate::error::Error;
use crate::memory;
use crate::options::Options;
use crate::posterior::{Posterior, Segment};
use crate::schedule::pool;

/// Time bins that a thread takes at a time.
pub(crate) const BINS: usize = 64;

/// Time bins that are copied at a time: where time is the fastest axis, they share cache lines.
const TURNED: usize = 8;

/// A run of time bins.
pub(crate) struct Part<'a, 'p, T> {
    p: &'a Posterior<'p, T>,
    pub(crate) bins: Range<usize>,
    token: Option<&'a CancelToken>,
}

impl<T: Element> Part<'_, '_, T> {
    /// Calls `look` with each bin's number and its map, row-major.
    pub(crate) fn maps(&self, mut look: impl FnMut(usize, &[T])) -> Result<(), Error> {
        let [n_x, n_y, n_t] = self.p.shape();
        let cells = n_x * n_y;
        let mut maps: Vec<T> = memory::zeros(TURNED.min(self.bins.len()) * cells);
        for first in self.bins.clone().step_by(TURNED) {
            if self.token.is_some_and(CancelToken::is_cancelled) {
                return Err(Error::Cancelled {
                    done: first,
                    total: n_t,
                });
            }
            let turned = first..self.bins.end.min(first + TURNED);
            turn(self.p, turned.clone(), &mut maps);
            for (bin, map) in turned.zip(maps.chunks_exact(cells)) {
                look(bin, map);
            }
        }
        Ok(())
    }
}

/// Copies bins, one map after the other.
fn turn<T: Element>(p: &Posterior<'_, T>, bins: Range<usize>, maps: &mut [T]) {
    let [n_x, n_y, _] = p.shape();
    let mut maps = maps.chunks_exact_mut(n_x * n_y);
    for Segment { piece, bins } in p.segments(bins) {
        let mut maps: Vec<_> = maps.by_ref().take(bins.len()).collect();
        for x in 0..n_x {
            for y in 0..n_y {
                for (bin, map) in bins.clone().zip(&mut maps) {
                    map[x * n_y + y] = piece.at([x, y, bin]);
                }
            }
        }
    }
}

/// Refuses peaks that are not of as many bins, or lie beyond the maps.
pub(crate) fn check_peaks<T: Element>(p: &Posterior<'_, T>, peaks: &Peaks<T>) -> Result<(), Error> {
    let shape @ [n_x, n_y, n_t] = p.shape();
    let inside = |&[x, y]: &[i64; 2]| (0..n_x as i64).contains(&x) && (0..n_y as i64).contains(&y);
    match peaks.n_bins() == n_t && peaks.coords.iter().all(inside) {
        true => Ok(()),
        false => Err(Error::ForeignPeaks {
            bins: peaks.n_bins(),
            shape,
        }),
    }
}

/// Refuses a NaN where none is allowed.
pub(crate) fn refuse_nan<T: Element>(p: &Posterior<'_, T>, options: &Options) -> Result<(), Error> {
    let [_, _, n_t] = p.shape();
    match options.nan_policy {
        NanPolicy::Error => p
            .first_nan(0..n_t)
            .map_or(Ok(()), |[x, y, t]| Err(Error::Nan { x, y, t })),
        _ => Ok(()),
    }
}

/// Threads for so many bins.
pub(crate) fn workers(threads: usize, n_t: usize) -> usize {
    threads.min(n_t.div_ceil(BINS)).max(1)
}

/// Bytes that copies take on so many threads.
pub(crate) fn scratch_bytes(cells: usize, dtype: Dtype, workers: usize) -> u64 {
    (TURNED as u64) * (cells as u64) * (workers as u64) * dtype.size() as u64
}

/// Has `work` look at all parts, each with what is `given` for it, if anything is; the results in order.
pub(crate) fn each<T: Element, G: Send, R: Send>(
    p: &Posterior<'_, T>,
    options: &Options,
    workers: usize,
    given: Option<Vec<G>>,
    work: impl Fn(Part<'_, '_, T>, Option<G>) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let [_, _, n_t] = p.shape();
    let token = options.cancel.as_ref();
    let parts = (0..n_t).step_by(BINS).map(|first| Part {
        p,
        bins: first..n_t.min(first + BINS),
        token,
    });
    let tasks: Vec<_> = match given {
        Some(given) => parts.zip(given.into_iter().map(Some)).collect(),
        None => parts.map(|part| (part, None)).collect(),
    };
    let work = |(part, given)| work(part, given);
    match workers {
        1 => tasks.into_iter().map(work).collect(),
        // All of them, so that of several errors the first is told.
        _ => {
            let pool = pool("peakmask", workers)?;
            let found: Vec<_> = pool.install(|| tasks.into_par_iter().map(work).collect());
            found.into_iter().collect()
        }
    }
}
