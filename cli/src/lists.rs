//! Columns beside those of the listed peaks: their saddles and parents, and their regions.

use std::io::{self, Seek, Write};

use bytemuck::{NoUninit, Pod};
use peakmask::{Analysis, Dtype, Element, Error, Estimate, Options, Regions, Saddles};

use crate::args::ListArgs;
use crate::budget::{self, Budget};
use crate::failure::Failure;
use crate::input::Posterior;
use crate::output::{Npz, along_track, native, npz_bytes};

/// What columns beside those of peaks take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ListPlan {
    saddles: Option<Estimate>,
    regions: Option<Estimate>,
    /// The most peaks that filters leave in a time bin.
    most: Option<usize>,
    n_bins: usize,
}

impl ListPlan {
    pub(crate) fn new(
        args: &ListArgs,
        most: Option<usize>,
        shape: [usize; 3],
        dtype: Dtype,
        options: &Options,
    ) -> Result<Self, Error> {
        let saddles = (args.saddles).then(|| peakmask::estimate_saddles(shape, dtype, options));
        let alphas = args.peak_regions.len();
        let regions =
            (alphas > 0).then(|| peakmask::estimate_regions(shape, dtype, alphas, options));
        Ok(Self {
            saddles: saddles.transpose()?,
            regions: regions.transpose()?,
            most,
            n_bins: shape[2],
        })
    }

    /// Bytes beside all that an analysis leaves, for so many peaks before they are filtered: first of saddles, then of regions
    /// beside the saddles, none if neither is asked for.
    pub(crate) fn bytes(&self, peaks: u64) -> u64 {
        let most = (self.most).map(|most| (most as u64).saturating_mul(self.n_bins as u64));
        let listed = peaks.min(most.unwrap_or(u64::MAX));
        let of = |plan: Option<Estimate>| plan.map_or(0, |plan| plan.total_with(listed));
        // While columns are put together they are there twice.
        let kept =
            (self.saddles).map_or(0, |plan| (plan.bytes_per_peak / 2).saturating_mul(listed));
        of(self.saddles).max(match self.regions {
            None => 0,
            regions => of(regions).saturating_add(kept),
        })
    }

    /// What they are, by the options that ask for them.
    pub(crate) fn names(&self) -> &'static str {
        match (self.saddles, self.regions) {
            (Some(_), Some(_)) => "columns of --saddles and --peak-regions",
            (Some(_), None) => "columns of --saddles",
            (None, _) => "columns of --peak-regions",
        }
    }
}

/// What was asked for beside the columns of peaks.
pub(crate) struct Lists<'a, T> {
    saddles: Option<Saddles<T>>,
    alphas: &'a [f64],
    regions: Vec<Regions>,
}

impl<'a, T: Element + Pod> Lists<'a, T> {
    /// Finds them for the peaks that are listed, within what results, copies and a picture leave of the memory limit.
    pub(crate) fn find(
        args: &'a ListArgs,
        posterior: &Posterior<'_, T>,
        analysis: &Analysis<T>,
        budget: &Budget<'_>,
        beside_analysis: u64,
    ) -> Result<Self, Failure> {
        let mut lists = Self {
            saddles: None,
            alphas: &args.peak_regions,
            regions: Vec::new(),
        };
        let taken = beside_analysis.saturating_add(npz_bytes(analysis));
        let left = |taken: u64| {
            let options = budget.options.clone();
            options.memory_limit(budget.limit.bytes.saturating_sub(taken))
        };
        let refused = |option: &str, error: Error| match error {
            Error::OverBudget { needed, .. } | Error::OutOfMemory { bytes: needed } => {
                Failure::Memory(format!(
                    "{option} needs {} beside the {} of results and copies, but the memory limit is {}; list fewer peaks with filters, analyse fewer time bins at once with --bins, or raise --memory-limit",
                    budget::size(needed),
                    budget::size(taken),
                    budget::limit_in_words(budget.limit)
                ))
            }
            other => Failure::of_part(other, budget.bins.start),
        };
        let peaks = &analysis.peaks;
        if args.saddles {
            let found = peakmask::saddles(posterior.view()?, peaks, &left(taken));
            lists.saddles = Some(found.map_err(|error| refused("--saddles", error))?);
        }
        if !args.peak_regions.is_empty() {
            let options = left(taken.saturating_add(lists.bytes()));
            let found = peakmask::regions(posterior.view()?, peaks, lists.alphas, &options, false);
            lists.regions = found.map_err(|error| refused("--peak-regions", error))?;
        }
        Ok(lists)
    }

    /// Bytes of values in the archive.
    pub(crate) fn bytes(&self) -> u64 {
        let saddles = self.saddles.as_ref().map_or(0, |found| found.cells.len());
        let regions: usize = self.regions.iter().map(|found| found.areas.len()).sum();
        (saddles * (2 * 16 + 8 + 2 * size_of::<T>()) + regions * (4 * 8 + 32 + 16)) as u64
    }

    /// Writes them as members; positions on a track are x alone.
    pub(crate) fn write<W: Write + Seek>(
        &self,
        npz: &mut Npz<'_, W>,
        track: bool,
    ) -> io::Result<()> {
        let (i8, f8) = (native('i', 8), native('f', 8));
        let float = native('f', size_of::<T>());
        let axes = 2 - usize::from(track);
        if let Some(found) = &self.saddles {
            let n = found.cells.len();
            let mut coords = |name: &str, cells: &[[i64; 2]]| {
                npz.member(name, &i8, &[n, axes])?;
                match track {
                    false => npz.values(cells),
                    true => npz.values(&along_track(cells)),
                }
            };
            coords("saddle_coords", &found.cells)?;
            coords("parent_coords", &found.parent_cells)?;
            npz.member("saddle_heights", &float, &[n])?;
            npz.values(&found.heights)?;
            npz.member("topographic_prominences", &float, &[n])?;
            npz.values(&found.prominences)?;
            npz.member("peak_parents", &i8, &[n])?;
            npz.values(&found.parents)?;
        }
        let Some(first) = self.regions.first() else {
            return Ok(());
        };
        let shape = [self.alphas.len(), first.areas.len()];
        npz.member("region_alpha", &f8, &shape[..1])?;
        npz.values(self.alphas)?;
        let mut column = |name: &str, of: fn(&Regions) -> &[i64]| {
            npz.member(name, &i8, &shape)?;
            let mut all = self.regions.iter();
            all.try_for_each(|found| npz.values(of(found)))
        };
        column("region_areas", |found| &found.areas)?;
        column("region_border_distances", |found| &found.border_distances)?;
        column("region_overlaps", |found| &found.overlaps)?;
        column("region_holders", |found| &found.holders)?;
        npz.member("region_boxes", &i8, &[shape[0], shape[1], 2 * axes])?;
        for found in &self.regions {
            along_axes::<_, 4, 2>(npz, &found.boxes, track)?;
        }
        npz.member("region_centres", &f8, &[shape[0], shape[1], axes])?;
        for found in &self.regions {
            along_axes::<_, 2, 1>(npz, &found.centres, track)?;
        }
        Ok(())
    }
}

/// Writes rows of which the first half is about x, on a track that half alone.
fn along_axes<V: NoUninit, const N: usize, const HALF: usize>(
    npz: &mut Npz<'_, impl Write + Seek>,
    rows: &[[V; N]],
    track: bool,
) -> io::Result<()>
where
    [V; N]: NoUninit,
{
    match track {
        false => npz.values(rows),
        true => {
            let halves: Vec<V> = rows.iter().flat_map(|row| &row[..HALF]).copied().collect();
            npz.values(&halves)
        }
    }
}
