//! Summits: every map's tree of peaks, with saddles, parents, and the land that each rules.

use std::sync::Mutex;

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis};

use crate::analyzer::cores;
use crate::choices::NanPolicy;
use crate::element::Element;
use crate::error::Error;
use crate::locks::lock;
use crate::memory::{self, Budget, KeptLimit};
use crate::options::Options;
use crate::parts::{self, BINS, Part};
use crate::plan::Estimate;
use crate::posterior::Posterior;
use crate::terrain::Terrain;

/// The summits of all time bins, as flat columns: a tree for each bin.
///
/// A *summit* is a peak on its own, or a plateau of peaks that touches no equal cell outside it; it is named by its first
/// cell in row-major order. Summits of time bin `t` are the rows `offsets[t] .. offsets[t + 1]`, in row-major order of
/// these cells. Summits are numbered within their bin, from 0.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Summits<T> {
    /// `n_t + 1` row numbers.
    pub offsets: Vec<i64>,
    /// First cell `[x, y]` of each summit.
    pub coords: Vec<[i64; 2]>,
    /// Height of each summit: the input's value, to the bit.
    pub heights: Vec<T>,
    /// Topographic prominence of each summit: its height minus `saddle_heights`, in the input's type. Above 0, never NaN.
    pub prominences: Vec<T>,
    /// The saddle of each summit: the cell `[x, y]` over which it is connected to higher ground. Cells come one after the
    /// other, in descending order of value and row-major among equals, and the saddle is the one that makes the
    /// connection. `[-1, -1]` for a summit that is connected to none.
    pub saddles: Vec<[i64; 2]>,
    /// Value of the saddle; of a summit without one, the lowest value of the map.
    pub saddle_heights: Vec<T>,
    /// The number, within the bin, of the highest summit that can be reached without stepping below the saddle; -1 for a
    /// summit without one.
    pub parents: Vec<i64>,
    /// If they were asked for, the number of the summit that rules each cell, of shape `(n_x, n_y, n_t)`: the highest that
    /// can be reached from the cell without stepping below it. -1 where there is none. Bins lie whole in memory.
    pub labels: Option<Array3<i32>>,
}

impl<T> Default for Summits<T> {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            coords: Vec::new(),
            heights: Vec::new(),
            prominences: Vec::new(),
            saddles: Vec::new(),
            saddle_heights: Vec::new(),
            parents: Vec::new(),
            labels: None,
        }
    }
}

impl<T: Element> Summits<T> {
    /// Number of summits in all time bins together.
    pub fn len(&self) -> usize {
        self.heights.len()
    }

    /// Whether there is no summit in any time bin.
    pub fn is_empty(&self) -> bool {
        self.heights.is_empty()
    }

    /// Appends the summits of a bin, and numbers the cells that they rule.
    fn add(&mut self, terrain: &mut Terrain<T>, numbers: &mut [i32], labels: Option<&mut [i32]>) {
        let [_, n_y] = terrain.shape();
        let cell = |[x, y]: [usize; 2]| x * n_y + y;
        let first = self.len();
        self.reserve(terrain.summits().count());
        for (number, summit) in terrain.summits().enumerate() {
            numbers[cell(summit.cell)] = number as i32;
            self.coords.push(summit.cell.map(|c| c as i64));
            self.heights.push(summit.height);
            let prominence = T::prominence(summit.height, summit.base);
            self.prominences.push(prominence);
            self.saddle_heights.push(summit.base);
            let saddle = summit.saddle.map_or([-1; 2], |cell| cell.map(|c| c as i64));
            self.saddles.push(saddle);
            // Its number is known when all are.
            self.parents
                .push(summit.parent.map_or(-1, |parent| cell(parent) as i64));
        }
        for parent in &mut self.parents[first..] {
            if let Ok(cell) = usize::try_from(*parent) {
                *parent = i64::from(numbers[cell]);
            }
        }
        for (x, row) in labels
            .into_iter()
            .flat_map(|labels| labels.chunks_exact_mut(n_y).enumerate())
        {
            for (y, label) in row.iter_mut().enumerate() {
                if let Some(ruler) = terrain.ruler_of(x, y) {
                    *label = numbers[cell(ruler)];
                }
            }
        }
        self.close_bin();
    }

    /// Makes room for the rows of so many more summits.
    fn reserve(&mut self, more: usize) {
        memory::reserve(&mut self.coords, more);
        memory::reserve(&mut self.heights, more);
        memory::reserve(&mut self.prominences, more);
        memory::reserve(&mut self.saddles, more);
        memory::reserve(&mut self.saddle_heights, more);
        memory::reserve(&mut self.parents, more);
    }

    fn close_bin(&mut self) {
        memory::reserve(&mut self.offsets, 1);
        self.offsets.push(self.heights.len() as i64);
    }

    /// Appends the columns of the bins that come next.
    fn append(&mut self, mut next: Self) {
        let rows = self.heights.len() as i64;
        self.reserve(next.len());
        memory::reserve(&mut self.offsets, next.offsets.len());
        self.offsets
            .extend(next.offsets[1..].iter().map(|end| rows + end));
        self.coords.append(&mut next.coords);
        self.heights.append(&mut next.heights);
        self.prominences.append(&mut next.prominences);
        self.saddles.append(&mut next.saddles);
        self.saddle_heights.append(&mut next.saddle_heights);
        self.parents.append(&mut next.parents);
    }
}

/// Finds the summits of every time bin of `P[x, y, t]`, of shape `(n_x, n_y, n_t)` in any memory order: their topographic
/// prominences, saddles and parents, and, if `labels` are wanted, which of them rules each cell.
///
/// Rate maps are as good as posteriors. The prominences are those that topographic prominence as [`analyze`](crate::analyze)
/// gives peaks; there every cell of a plateau is a peak of its own, here a plateau is one summit. Neighbours are eight.
///
/// Of the options, the NaN rule, the number of threads, the memory limit and the guard, and the cancel token count.
///
/// # Edge cases
/// * A constant bin, and a bin with a NaN anywhere: no summits, all labels -1.
/// * With [`NanPolicy::OffTrack`] cells of NaN are absent, and have the label -1; the highest summit of each of the parts
///   that they separate has no saddle and no parent, and its base is the lowest value of the map.
/// * Of summits of equal height the row-major first counts as the higher.
/// * The highest summit has no saddle and no parent, and its base is the lowest value of the map.
///
/// ```
/// use peakmask::{Options, summits};
///
/// let z = ndarray::arr2(&[[0.0, 5.0, 2.0, 3.0, 1.0, 9.0, 0.0]]);
/// let found = summits(z.view().insert_axis(ndarray::Axis(2)), &Options::new(), true)?;
/// assert_eq!(found.coords, [[0, 1], [0, 3], [0, 5]]);
/// assert_eq!(found.prominences, [4.0, 1.0, 9.0]);
/// assert_eq!(found.saddles, [[0, 4], [0, 2], [-1, -1]]);
/// assert_eq!(found.parents, [2, 0, -1]);
/// let labels = found.labels.as_ref().map(|labels| labels.iter().copied().collect::<Vec<_>>());
/// assert_eq!(labels.as_deref(), Some(&[2, 0, 0, 1, 2, 2, 2][..]));
/// # Ok::<(), peakmask::Error>(())
/// ```
///
/// # Errors
/// [`Error::EmptyMap`], [`Error::MapTooLarge`], [`Error::OverBudget`], [`Error::OutOfMemory`], [`Error::Threads`],
/// [`Error::Cancelled`], [`Error::Nan`] with [`NanPolicy::Error`], as [`analyze`](crate::analyze).
pub fn summits<T: Element>(
    p: ArrayView3<'_, T>,
    options: &Options,
    labels: bool,
) -> Result<Summits<T>, Error> {
    let p = Posterior::new(p)?;
    let [n_x, n_y, n_t] = p.shape();
    parts::refuse_nan(&p, options)?;
    let off_track = options.nan_policy == NanPolicy::OffTrack;
    let threads = options.threads.unwrap_or_else(cores);
    let workers = parts::workers(threads, n_t);
    let estimate = estimate::<T>([n_x, n_y, n_t], workers, labels);
    let (guard, given) = (options.memory_guard, options.memory_limit);
    let limit = KeptLimit::recent().for_need(estimate.total(), given, guard);
    let budget = Mutex::new(Budget::new(estimate, limit, guard)?);
    let work = || -> Result<Summits<T>, Error> {
        let mut labels = labels.then(|| -> Array3<i32> {
            Array3::from_shape_vec((n_t, n_x, n_y), memory::zeros(n_t * n_x * n_y))
                .unwrap_or_default()
        });
        let given = labels
            .as_mut()
            .map(|labels| labels.axis_chunks_iter_mut(Axis(0), BINS).collect());
        let found = parts::each(&p, options, workers, given, |part, labels| {
            let found = some_bins(&part, [n_x, n_y], off_track, labels)?;
            lock(&budget).take_peaks(found.len())?;
            Ok(found)
        })?;
        let mut all = Summits::default();
        found.into_iter().for_each(|part| all.append(part));
        all.labels = labels.map(|labels| labels.permuted_axes([1, 2, 0]));
        Ok(all)
    };
    memory::taking(work)?
}

/// The summits of some bins.
fn some_bins<T: Element>(
    part: &Part<'_, '_, T>,
    [n_x, n_y]: [usize; 2],
    off_track: bool,
    mut labels: Option<ArrayViewMut3<'_, i32>>,
) -> Result<Summits<T>, Error> {
    if let Some(labels) = &mut labels {
        labels.fill(-1);
    }
    let mut terrain = Terrain::new(n_x, n_y);
    let mut numbers: Vec<i32> = memory::zeros(n_x * n_y);
    let mut found = Summits::default();
    part.maps(|bin, map| {
        let lower = |low: T, &value: &T| if value < low { value } else { low };
        let floor = map.iter().fold(T::HIGHEST, lower);
        let silent = !off_track && map.iter().any(|value| value.is_nan());
        if silent || !map.iter().any(|&value| value > floor) {
            found.close_bin();
            return;
        }
        terrain.explore::<T::Plain>(floor, |x, y| map[x * n_y + y]);
        let at = bin - part.bins.start;
        let mut labels = labels
            .as_mut()
            .map(|labels| labels.index_axis_mut(Axis(0), at));
        let labels = labels.as_mut().and_then(|labels| labels.as_slice_mut());
        found.add(&mut terrain, &mut numbers, labels);
    })?;
    Ok(found)
}

/// What will be allocated. Columns are there twice when they are put together.
fn estimate<T: Element>([n_x, n_y, n_t]: [usize; 3], workers: usize, labels: bool) -> Estimate {
    let cells = (n_x * n_y) as u64;
    let size = T::DTYPE.size() as u64;
    let all = cells.saturating_mul(n_t as u64);
    let scratch = cells * (size + 1 + 4 * 4 + 4 + 24 + 8 + size + 4 + 4) * workers as u64;
    let copies = parts::scratch_bytes(n_x * n_y, T::DTYPE, workers);
    let labels = if labels { all.saturating_mul(4) } else { 0 };
    Estimate {
        summary_bytes: 0,
        list_bytes: 0,
        mask_bytes: 0,
        fixed_bytes: labels
            .saturating_add(scratch + copies)
            .saturating_add(16 * (n_t as u64 + 1)),
        bytes_per_peak: 2 * (16 + 16 + 8 + 3 * size),
        assumed_peaks: all / 32,
    }
}
