//! Components: how many connected parts a mask has.

use ndarray::{ArrayView3, Axis};

use crate::choices::Connectivity;

/// Bins that are looked at together, so that time, where it lies fastest, is read in rows.
const BINS: usize = 64;

/// The number of connected parts of a mask in every time bin, by four neighbours or eight; 0 where it is empty.
///
/// `mask` is of shape `(n_x, n_y, n_t)`, in any memory order: one of [`Analysis::masks`](crate::Analysis::masks), or any other.
/// A mask of [`Region::Dominant`](crate::Region::Dominant) has one part, or none; of
/// [`Region::Whole`](crate::Region::Whole) there may be many.
///
/// ```
/// use peakmask::{Connectivity, Options, Region, analyze, components};
///
/// let p = ndarray::arr3(&[[[9.0, 9.0], [1.0, 9.0], [5.0, 1.0]], [[1.0, 0.0], [7.0, 1.0], [1.0, 5.0]]]);
/// let options = Options::new().alphas([0.5]).region(Region::Whole);
/// let mask = &analyze(p.view(), &options)?.masks[0];
/// assert_eq!(components(mask.view(), Connectivity::Four), [3, 2]);
/// assert_eq!(components(mask.view(), Connectivity::Eight), [1, 1]);
/// # Ok::<(), peakmask::Error>(())
/// ```
pub fn components(mask: ArrayView3<'_, bool>, connectivity: Connectivity) -> Vec<u32> {
    let (n_x, n_y, n_t) = mask.dim();
    let reach = match connectivity {
        Connectivity::Four => 0,
        Connectivity::Eight => 1,
    };
    let mut counts = Vec::with_capacity(n_t);
    let mut maps = vec![false; BINS.min(n_t) * n_x * n_y];
    let mut parts = Parts::default();
    for bins in mask.axis_chunks_iter(Axis(2), BINS) {
        for (cell, times) in bins.lanes(Axis(2)).into_iter().enumerate() {
            for (map, &inside) in maps[cell..]
                .iter_mut()
                .step_by((n_x * n_y).max(1))
                .zip(times)
            {
                *map = inside;
            }
        }
        let maps = maps.chunks((n_x * n_y).max(1)).take(bins.len_of(Axis(2)));
        counts.extend(maps.map(|map| parts.count(map, n_y, reach)));
    }
    counts
}

/// Runs of cells of two map rows, and the parts that they belong to.
#[derive(Default)]
struct Parts {
    /// By part, one that it has been joined with, or itself.
    joined: Vec<u32>,
    above: Vec<Run>,
    here: Vec<Run>,
}

/// Cells of a map row, from the first to the one after the last, and their part.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
    part: u32,
}

impl Parts {
    /// Counts the parts of one map; runs touch those of the row above that begin up to `reach` cells beyond them.
    fn count(&mut self, map: &[bool], n_y: usize, reach: usize) -> u32 {
        self.joined.clear();
        self.above.clear();
        let mut count = 0;
        for row in map.chunks(n_y.max(1)) {
            self.here.clear();
            let mut above = 0;
            let mut y = 0;
            while let Some(start) = row[y..].iter().position(|&inside| inside) {
                let start = y + start;
                let length = row[start..].iter().position(|&inside| !inside);
                let end = length.map_or(n_y, |length| start + length);
                y = end;
                let part = self.joined.len() as u32;
                self.joined.push(part);
                count += 1;
                while above < self.above.len() && self.above[above].end + reach <= start {
                    above += 1;
                }
                let touching = self.above[above..].iter();
                for run in touching.take_while(|run| run.start < end + reach) {
                    let (a, b) = (
                        root(&mut self.joined, run.part),
                        root(&mut self.joined, part),
                    );
                    count -= u32::from(a != b);
                    self.joined[a.max(b) as usize] = a.min(b);
                }
                self.here.push(Run { start, end, part });
            }
            std::mem::swap(&mut self.above, &mut self.here);
        }
        count
    }
}

/// The part that stands for all that this one has been joined with.
fn root(joined: &mut [u32], mut part: u32) -> u32 {
    while joined[part as usize] != part {
        joined[part as usize] = joined[joined[part as usize] as usize];
        part = joined[part as usize];
    }
    part
}
