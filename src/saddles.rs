//! Saddles: where every listed peak is connected to higher ground, and to which peak.

use ndarray::ArrayView3;

use crate::analysis::Peaks;
use crate::analyzer::cores;
use crate::choices::NanPolicy;
use crate::element::{Dtype, Element};
use crate::error::Error;
use crate::memory::{self, Budget, KeptLimit};
use crate::options::Options;
use crate::parts::{self, Part};
use crate::plan::Estimate;
use crate::posterior::{Posterior, check_map};
use crate::terrain::Terrain;

/// The saddle and the parent of every peak of a list: columns beside those of the peaks, a row for each.
///
/// Every cell of a plateau that is a summit has the saddle and the parent of its summit. A peak on a shoulder is connected to
/// higher ground by cells of its own height: its saddle is its own cell, its prominence 0.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Saddles<T> {
    /// The saddle's cell `[x, y]`, as of [`Summits`](crate::Summits); `[-1, -1]` of a peak without one.
    pub cells: Vec<[i64; 2]>,
    /// Value of the saddle; of a peak without one, the lowest value of its map.
    pub heights: Vec<T>,
    /// Topographic prominence: the peak's height minus `heights`, in the input's type.
    pub prominences: Vec<T>,
    /// Row, in the list, of the peak that the parent is; -1 of a peak without one, and where the parent is not listed.
    pub parents: Vec<i64>,
    /// Cell `[x, y]` of the parent, listed or not: the first of its summit; `[-1, -1]` without one.
    pub parent_cells: Vec<[i64; 2]>,
}

impl<T> Default for Saddles<T> {
    fn default() -> Self {
        Self {
            cells: Vec::new(),
            heights: Vec::new(),
            prominences: Vec::new(),
            parents: Vec::new(),
            parent_cells: Vec::new(),
        }
    }
}

/// Finds, for every peak of a list, the saddle over which it is connected to higher ground, and the peak that it meets there.
///
/// `p` is the `P[x, y, t]` that `peaks` were found in, filtered or not. They are the saddles of [`summits`](crate::summits),
/// which finds the trees of whole maps. Of equal heights the first counts as the higher; a parent is higher than its child, and
/// has more topographic prominence: filters by either leave parents in the list.
///
/// Of the options, the NaN rule (that of the analysis), the number of threads, the memory limit and the guard, and the cancel
/// token count.
///
/// ```
/// use peakmask::{Options, analyze, saddles};
///
/// let p = ndarray::arr3(&[[[0.0], [5.0], [2.0], [3.0], [1.0], [9.0], [0.0]]]);
/// let options = Options::new();
/// let peaks = analyze(p.view(), &options)?.peaks;
/// let found = saddles(p.view(), &peaks, &options)?;
/// assert_eq!(found.cells, [[0, 4], [0, 2], [-1, -1]]);
/// assert_eq!(found.heights, [1.0, 2.0, 0.0]);
/// assert_eq!(found.parents, [2, 0, -1]);
/// # Ok::<(), peakmask::Error>(())
/// ```
///
/// # Errors
/// [`Error::ForeignPeaks`] and [`Error::ForeignPeak`] when the peaks are not of this input, or were found with another rule for
/// NaN; otherwise as [`summits`](crate::summits).
pub fn saddles<T: Element>(
    p: ArrayView3<'_, T>,
    peaks: &Peaks<T>,
    options: &Options,
) -> Result<Saddles<T>, Error> {
    let p = Posterior::new(p)?;
    let [n_x, n_y, n_t] = p.shape();
    parts::check_peaks(&p, peaks)?;
    parts::refuse_nan(&p, options)?;
    let estimate = Estimate {
        assumed_peaks: peaks.len() as u64,
        ..estimate_saddles(p.shape(), T::DTYPE, options)?
    };
    let workers = parts::workers(options.threads.unwrap_or_else(cores), n_t);
    let (guard, given) = (options.memory_guard, options.memory_limit);
    let limit = KeptLimit::recent().for_need(estimate.total(), given, guard);
    Budget::new(estimate, limit, guard)?;
    let off_track = options.nan_policy == NanPolicy::OffTrack;
    let work = || {
        let found = parts::each(&p, options, workers, None::<Vec<()>>, |part, _| {
            some_bins(&part, [n_x, n_y], peaks, off_track)
        })?;
        let mut all = Saddles::default();
        found.into_iter().for_each(|part| all.append(part));
        Ok(all)
    };
    memory::taking(work)?
}

/// What [`saddles`] will allocate for the peaks of an input of this shape `[n_x, n_y, n_t]` and type, found columns included, which
/// are there twice while they are put together; [`Estimate::total_with`] says it for a known number of peaks.
///
/// # Errors
/// [`Error::EmptyMap`] and [`Error::MapTooLarge`].
pub fn estimate_saddles(
    shape @ [n_x, n_y, n_t]: [usize; 3],
    dtype: Dtype,
    options: &Options,
) -> Result<Estimate, Error> {
    check_map(shape)?;
    let workers = parts::workers(options.threads.unwrap_or_else(cores), n_t);
    let (cells, size) = (n_x * n_y, dtype.size());
    let scratch = cells * (size + 1 + 4 * 4 + 4 + 24 + 8 + size + 4 + 8 + 96);
    let scratch = (scratch as u64).saturating_mul(workers as u64);
    let parts = parts::scratch_bytes(cells, dtype, workers);
    Ok(Estimate::of_columns(
        shape,
        scratch.saturating_add(parts),
        2 * 16 + 8 + 2 * size as u64,
    ))
}

/// The saddles of the peaks of some bins.
fn some_bins<T: Element>(
    part: &Part<'_, '_, T>,
    [n_x, n_y]: [usize; 2],
    peaks: &Peaks<T>,
    off_track: bool,
) -> Result<Saddles<T>, Error> {
    let mut terrain = Terrain::new(n_x, n_y);
    let mut summits = Vec::new();
    // By cell, the number of the summit there, and the row of the peak there.
    let mut numbers: Vec<u32> = memory::zeros(n_x * n_y);
    let mut rows_at: Vec<i64> = memory::zeros(n_x * n_y);
    rows_at.fill(-1);
    let cell = |[x, y]: [usize; 2]| x * n_y + y;
    let place = |at: Option<[usize; 2]>| at.map_or([-1; 2], |at| at.map(|c| c as i64));
    let (mut found, mut foreign) = (Saddles::default(), None);
    part.maps(|bin, map| {
        let rows = peaks.offsets[bin] as usize..peaks.offsets[bin + 1] as usize;
        if rows.is_empty() || foreign.is_some() {
            return;
        }
        let at = |row: usize| peaks.coords[row].map(|c| c as usize);
        let lower = |low: T, &value: &T| if value < low { value } else { low };
        let floor = map.iter().fold(T::HIGHEST, lower);
        let silent = !off_track && map.iter().any(|value| value.is_nan());
        terrain.explore::<T::Plain>(floor, |x, y| map[cell([x, y])]);
        summits.clear();
        summits.extend(terrain.summits());
        for (number, summit) in summits.iter().enumerate() {
            numbers[cell(summit.cell)] = number as u32;
        }
        for row in rows.clone() {
            rows_at[cell(at(row))] = row as i64;
        }
        found.reserve(rows.len());
        for row in rows.clone() {
            let ([x, y], height) = (at(row), peaks.heights[row]);
            let ruler = terrain.ruler_of(x, y).filter(|_| !silent);
            let Some(ruler) = ruler.filter(|_| map[cell([x, y])] == height) else {
                foreign = Some(Error::ForeignPeak { x, y, t: bin });
                return;
            };
            let summit = summits[numbers[cell(ruler)] as usize];
            // What is ruled by something higher is no summit: a shoulder.
            let (saddle, base, parent) = if summit.height > height {
                (Some([x, y]), height, Some(summit.cell))
            } else {
                (summit.saddle, summit.base, summit.parent)
            };
            found.cells.push(place(saddle));
            found.heights.push(base);
            found.prominences.push(T::prominence(height, base));
            let parent_row = parent.map_or(-1, |parent| rows_at[cell(parent)]);
            found.parents.push(parent_row);
            found.parent_cells.push(place(parent));
        }
        for row in rows {
            rows_at[cell(at(row))] = -1;
        }
    })?;
    foreign.map_or(Ok(found), Err)
}

impl<T> Saddles<T> {
    /// Makes room for the rows of so many more peaks.
    fn reserve(&mut self, more: usize) {
        memory::reserve(&mut self.cells, more);
        memory::reserve(&mut self.heights, more);
        memory::reserve(&mut self.prominences, more);
        memory::reserve(&mut self.parents, more);
        memory::reserve(&mut self.parent_cells, more);
    }

    /// Appends the columns of the peaks that come next.
    fn append(&mut self, mut next: Self) {
        self.reserve(next.cells.len());
        self.cells.append(&mut next.cells);
        self.heights.append(&mut next.heights);
        self.prominences.append(&mut next.prominences);
        self.parents.append(&mut next.parents);
        self.parent_cells.append(&mut next.parent_cells);
    }
}
