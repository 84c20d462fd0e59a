//! Regions: the connected cells around every listed peak, at fractions of its own height.

use ndarray::ArrayView3;

use crate::analysis::Peaks;
use crate::analyzer::cores;
use crate::choices::Connectivity;
use crate::element::{Dtype, Element};
use crate::error::Error;
use crate::memory::{self, Budget, KeptLimit};
use crate::options::Options;
use crate::parts::{self, Part};
use crate::plan::Estimate;
use crate::posterior::{Posterior, check_map};

/// What is known of the region of each peak at one alpha: columns beside those of the peaks, a row for each.
///
/// Regions at thresholds of their own never cross: of two that share a cell, one holds the other.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Regions {
    /// Number of cells.
    pub areas: Vec<i64>,
    /// First and last x, first and last y.
    pub boxes: Vec<[i64; 4]>,
    /// Mean of x and of y over the cells.
    pub centres: Vec<[f64; 2]>,
    /// Cells between the region and the nearest border of the map; 0 where it touches one. Where maps are one cell wide, as those
    /// of linear tracks, their two ends alone count.
    pub border_distances: Vec<i64>,
    /// Number of other peaks, of the same bin and listed too, whose regions share cells with this one.
    pub overlaps: Vec<i64>,
    /// Row of the peak with the smallest region that holds this one; of equal regions, that of the first peak holds the others.
    /// -1 where none does.
    pub holders: Vec<i64>,
    /// Cells of each region, if they were asked for: those of row `i` are `cells[cell_offsets[i] .. cell_offsets[i + 1]]`,
    /// row-major.
    pub cell_offsets: Vec<i64>,
    /// Cells `[x, y]`.
    pub cells: Vec<[i64; 2]>,
}

/// Measures the region of every peak of a list at every alpha: the cells with `P >= alpha * height` of the peak itself that are
/// connected to it, and in any case the peak. One [`Regions`] for each alpha, in the order given.
///
/// `p` is the `P[x, y, t]` that `peaks` were found in, filtered or not ([`Peaks::filtered`] leaves the most prominent ones).
/// Thresholds are those of masks: a product in `f64`, for `f32` rounded once. With `cells`, the cells themselves are listed.
///
/// Of the options, connectivity, the number of threads, the memory limit and the guard, and the cancel token count.
///
/// ```
/// use peakmask::{Options, analyze, regions};
///
/// let p = ndarray::arr3(&[[[0.0], [5.0], [3.0], [4.0], [2.0], [9.0], [0.0]]]);
/// let options = Options::new();
/// let peaks = analyze(p.view(), &options)?.peaks;
/// let half = &regions(p.view(), &peaks, &[0.5], &options, true)?[0];
/// assert_eq!(half.areas, [3, 5, 1]);
/// assert_eq!(half.boxes[0], [0, 0, 1, 3]);
/// assert_eq!(half.border_distances, [1, 1, 1]); // to the nearer end of a track
/// assert_eq!(half.overlaps, [1, 2, 1]);
/// assert_eq!(half.holders, [1, -1, 1]); // those at 2.5 and 4.5 lie within the one at 2
/// assert_eq!(half.cells[..3], [[0, 1], [0, 2], [0, 3]]);
/// # Ok::<(), peakmask::Error>(())
/// ```
///
/// # Errors
/// [`Error::ForeignPeaks`] when the peaks are not of as many bins, or lie beyond the maps; [`Error::EmptyMap`],
/// [`Error::MapTooLarge`], [`Error::OverBudget`], [`Error::OutOfMemory`], [`Error::Threads`], [`Error::Cancelled`], as
/// [`analyze`](crate::analyze). The limit is compared with columns and scratch; lists of cells come on top.
pub fn regions<T: Element>(
    p: ArrayView3<'_, T>,
    peaks: &Peaks<T>,
    alphas: &[f64],
    options: &Options,
    cells: bool,
) -> Result<Vec<Regions>, Error> {
    let p = Posterior::new(p)?;
    let [n_x, n_y, n_t] = p.shape();
    parts::check_peaks(&p, peaks)?;
    let workers = parts::workers(options.threads.unwrap_or_else(cores), n_t);
    let estimate = Estimate {
        assumed_peaks: peaks.len() as u64,
        ..estimate_regions(p.shape(), T::DTYPE, alphas.len(), options)?
    };
    let (guard, given) = (options.memory_guard, options.memory_limit);
    let limit = KeptLimit::recent().for_need(estimate.total(), given, guard);
    Budget::new(estimate, limit, guard)?;
    let work = || {
        let found = parts::each(&p, options, workers, None::<Vec<()>>, |part, _| {
            let mut found = vec![Regions::default(); alphas.len()];
            let mut flood = Flood::new(n_x, n_y, options.connectivity);
            measure(&part, peaks, alphas, &mut flood, cells, &mut found)?;
            Ok(found)
        })?;
        let empty = Regions {
            cell_offsets: if cells { vec![0] } else { Vec::new() },
            ..Regions::default()
        };
        let mut all = vec![empty; alphas.len()];
        for part in found {
            for (all, part) in all.iter_mut().zip(part) {
                all.append(part);
            }
        }
        Ok(all)
    };
    memory::taking(work)?
}

/// What [`regions`] will allocate for so many alphas and the peaks of an input of this shape `[n_x, n_y, n_t]` and type, found columns
/// included, which are there twice while they are put together; [`Estimate::total_with`] says it for a known number of peaks. Lists
/// of cells come on top.
///
/// # Errors
/// [`Error::EmptyMap`] and [`Error::MapTooLarge`].
pub fn estimate_regions(
    shape @ [n_x, n_y, n_t]: [usize; 3],
    dtype: Dtype,
    alphas: usize,
    options: &Options,
) -> Result<Estimate, Error> {
    check_map(shape)?;
    let workers = parts::workers(options.threads.unwrap_or_else(cores), n_t);
    let scratch = ((n_x * n_y * 12) as u64).saturating_mul(workers as u64);
    let parts = parts::scratch_bytes(n_x * n_y, dtype, workers);
    Ok(Estimate::of_columns(
        shape,
        scratch.saturating_add(parts),
        (alphas as u64).saturating_mul(5 * 8 + 4 * 8 + 2 * 8),
    ))
}

/// Measures the regions of the peaks of some bins.
fn measure<T: Element>(
    part: &Part<'_, '_, T>,
    peaks: &Peaks<T>,
    alphas: &[f64],
    flood: &mut Flood,
    cells: bool,
    found: &mut [Regions],
) -> Result<(), Error> {
    let mut inside = Vec::new();
    part.maps(|bin, map| {
        let rows = peaks.offsets[bin] as usize..peaks.offsets[bin + 1] as usize;
        let places: Vec<usize> = peaks.coords[rows.clone()]
            .iter()
            .map(|&[x, y]| x as usize * flood.n_y + y as usize)
            .collect();
        for (&alpha, found) in alphas.iter().zip(&mut *found) {
            inside.clear();
            let first = found.areas.len();
            for (i, &place) in places.iter().enumerate() {
                let level = T::threshold(alpha, peaks.heights[rows.start + i]);
                flood.around(place, |cell| map[cell] >= level);
                found.add(flood, cells);
                let others = places.iter().enumerate();
                let others = others.filter(|&(j, &other)| j != i && flood.holds(other));
                inside.extend(others.map(|(j, _)| (i, j)));
            }
            found.relate(first, rows.start, &inside);
        }
    })
}

impl Regions {
    /// Appends what is known of the region that has been flooded.
    fn add(&mut self, flood: &mut Flood, cells: bool) {
        let (n_x, n_y) = (flood.n_x as i64, flood.n_y as i64);
        let cell = |place: u32| [i64::from(place) / n_y, i64::from(place) % n_y];
        let area = flood.reached.len() as i64;
        let mut corners = [i64::MAX, -1, i64::MAX, -1];
        let mut sums = [0, 0];
        for &place in &flood.reached {
            let [x, y] = cell(place);
            sums = [sums[0] + x, sums[1] + y];
            let [low_x, high_x, low_y, high_y] = corners;
            corners = [low_x.min(x), high_x.max(x), low_y.min(y), high_y.max(y)];
        }
        self.reserve(1);
        let [low_x, high_x, low_y, high_y] = corners;
        let axes = [(low_x, high_x, n_x), (low_y, high_y, n_y)];
        // A linear track has two ends, and no sides.
        let along = axes.iter().filter(|&&(_, _, n)| n > 1);
        let border = along.map(|&(low, high, n)| low.min(n - 1 - high)).min();
        self.areas.push(area);
        self.boxes.push(corners);
        self.centres.push(sums.map(|sum| sum as f64 / area as f64));
        self.border_distances.push(border.unwrap_or(0));
        self.overlaps.push(0);
        self.holders.push(-1);
        if cells {
            flood.reached.sort_unstable();
            memory::reserve(&mut self.cells, flood.reached.len());
            memory::reserve(&mut self.cell_offsets, 1);
            self.cells
                .extend(flood.reached.iter().map(|&place| cell(place)));
            self.cell_offsets.push(self.cells.len() as i64);
        }
    }

    /// Makes room for the rows of so many more regions.
    fn reserve(&mut self, more: usize) {
        memory::reserve(&mut self.areas, more);
        memory::reserve(&mut self.boxes, more);
        memory::reserve(&mut self.centres, more);
        memory::reserve(&mut self.border_distances, more);
        memory::reserve(&mut self.overlaps, more);
        memory::reserve(&mut self.holders, more);
    }

    /// Says which regions overlap, of those from `first` on, which belong to the peaks from `row` on: `inside` holds for each
    /// region the peaks of others that lie in it.
    fn relate(&mut self, first: usize, row: usize, inside: &[(usize, usize)]) {
        for &(i, j) in inside {
            let (large, small) = (first + i, first + j);
            self.overlaps[small] += 1;
            // Where each lies in the other, both pairs are listed.
            if inside.binary_search(&(j, i)).is_err() {
                self.overlaps[large] += 1;
            }
            // Of two that overlap, the larger holds the other, and those of one size are equal.
            let (area, of_small) = (self.areas[large], self.areas[small]);
            if area < of_small || area == of_small && i > j {
                continue;
            }
            let closer = match usize::try_from(self.holders[small]) {
                Ok(holder) => {
                    let other = holder - row;
                    (self.areas[large], i) < (self.areas[first + other], other)
                }
                Err(_) => true,
            };
            if closer {
                self.holders[small] = (row + i) as i64;
            }
        }
    }

    /// Appends the columns of the peaks that come next.
    fn append(&mut self, mut next: Self) {
        let cells = self.cells.len() as i64;
        self.reserve(next.areas.len());
        memory::reserve(&mut self.cells, next.cells.len());
        memory::reserve(&mut self.cell_offsets, next.cell_offsets.len());
        self.areas.append(&mut next.areas);
        self.boxes.append(&mut next.boxes);
        self.centres.append(&mut next.centres);
        self.border_distances.append(&mut next.border_distances);
        self.overlaps.append(&mut next.overlaps);
        self.holders.append(&mut next.holders);
        self.cell_offsets
            .extend(next.cell_offsets.iter().map(|end| cells + end));
        self.cells.append(&mut next.cells);
    }
}

/// A flood over a map, and the cells that the last one has reached.
struct Flood {
    n_x: usize,
    n_y: usize,
    eight: bool,
    /// By cell, the last flood that reached it.
    stamps: Vec<u32>,
    number: u32,
    reached: Vec<u32>,
}

impl Flood {
    fn new(n_x: usize, n_y: usize, connectivity: Connectivity) -> Self {
        Self {
            n_x,
            n_y,
            eight: connectivity == Connectivity::Eight,
            stamps: memory::zeros(n_x * n_y),
            number: 0,
            reached: memory::room(n_x * n_y),
        }
    }

    /// Reaches a cell, and all that are connected to it through cells that belong, if it belongs itself.
    fn around(&mut self, from: usize, belongs: impl Fn(usize) -> bool) {
        if self.number == u32::MAX {
            self.stamps.fill(0);
            self.number = 0;
        }
        self.number += 1;
        self.reached.clear();
        self.reach(from);
        if !belongs(from) {
            return;
        }
        let mut walked = 0;
        while let Some(&place) = self.reached.get(walked) {
            walked += 1;
            let (x, y) = (place as usize / self.n_y, place as usize % self.n_y);
            for near_x in x.saturating_sub(1)..(x + 2).min(self.n_x) {
                for near_y in y.saturating_sub(1)..(y + 2).min(self.n_y) {
                    let near = near_x * self.n_y + near_y;
                    let beside = self.eight || near_x == x || near_y == y;
                    if beside && !self.holds(near) && belongs(near) {
                        self.reach(near);
                    }
                }
            }
        }
    }

    fn reach(&mut self, place: usize) {
        self.stamps[place] = self.number;
        self.reached.push(place as u32);
    }

    /// Whether the last flood has reached a cell.
    fn holds(&self, place: usize) -> bool {
        self.stamps[place] == self.number
    }
}
