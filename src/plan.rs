//! Sizes and budgets: pure arithmetic over the table of arrays.

use crate::choices::Prominence;
use crate::element::Dtype;
use crate::mask_form::MaskForm;
use crate::summary::Summary;
use crate::vector::BYTES as VECTOR_BYTES;

/// Values of one tile: it should about fit a core's second-level cache.
const TILE_BYTES: usize = 3 << 19;
/// Cells of a map row whose highest values the CPU engine keeps, so that most cells need not be compared with a level.
pub(crate) const BLOCK: usize = 16;
/// Filled bits of one batch.
const FILLED_BYTES: usize = 1 << 20;
/// Peaks that a worker lists before it hands them over; one more tile may come on top.
pub(crate) const LISTED_BYTES: usize = 5 << 20;
/// Bins of one batch: its masks are written in rows of this many booleans.
const BATCH_BINS: usize = 1024;
/// Batches for each thread, if there are enough time bins: then all threads end at about the same time.
const BATCHES: usize = 4;

/// What an analysis will allocate, results included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// Bytes of the masks, which are part of `fixed_bytes`; [`analyze_into`](crate::analyze_into) does not allocate them.
    pub mask_bytes: u64,
    /// Bytes of the summary, which are part of `fixed_bytes`.
    pub summary_bytes: u64,
    /// Bytes assumed for the cells of sparse masks, which are part of `mask_bytes`: one for every 32 cells of a map. The true
    /// number is known only afterwards.
    pub list_bytes: u64,
    /// Bytes that do not depend on the number of peaks: masks, the summary, offsets, scratch.
    pub fixed_bytes: u64,
    /// Bytes for each peak.
    pub bytes_per_peak: u64,
    /// Number of peaks assumed, since the true one is known only afterwards: one for every 32 cells.
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

    /// Columns beside those of peaks, which are there twice when they are put together.
    pub(crate) fn of_columns(
        [n_x, n_y, n_t]: [usize; 3],
        fixed_bytes: u64,
        bytes_per_peak: u64,
    ) -> Self {
        Self {
            mask_bytes: 0,
            summary_bytes: 0,
            list_bytes: 0,
            fixed_bytes,
            bytes_per_peak: bytes_per_peak.saturating_mul(2),
            assumed_peaks: (n_t as u64).saturating_mul((n_x * n_y) as u64) / ASSUMED,
        }
    }
}

/// How an analysis is cut up, and what it will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) cpu: CpuPlan,
    pub(crate) threads: usize,
    pub(crate) estimate: Estimate,
}

/// How the CPU engine cuts up a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuPlan {
    /// The most time bins of a tile: 64, 32, 16, 8 (of `f64`), or 1.
    pub(crate) lanes: usize,
    /// Time bins of a batch, a multiple of those of a tile.
    pub(crate) batch: usize,
    /// Alphas of a pass over a batch.
    pub(crate) alphas: usize,
    /// The most peaks that a worker lists before it hands them over.
    pub(crate) peak_room: usize,
}

/// What an analysis makes, as far as its size is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) levels: usize,
    pub(crate) masks: MaskForm,
    pub(crate) peaks: bool,
    pub(crate) summary: bool,
    /// Whether a level is a share of the total.
    pub(crate) shares: bool,
    pub(crate) prominence: Prominence,
}

impl Wanted {
    /// Bytes of all masks, and those of them that are assumed: THE TABLE of the forms.
    fn mask_bytes(self, [n_x, n_y, n_t]: [usize; 3]) -> (u64, u64) {
        let cells = (n_x * n_y) as u64;
        let levels = self.levels as u64;
        let all = |bytes: u64| bytes.saturating_mul(levels);
        match self.masks {
            MaskForm::Bytes => (all(cells.saturating_mul(n_t as u64)), 0),
            MaskForm::Packed => (all(cells.saturating_mul(n_t.div_ceil(8) as u64)), 0),
            MaskForm::Sparse => {
                let listed = all((cells.saturating_mul(n_t as u64) / ASSUMED).saturating_mul(4));
                (all(offset_bytes(n_t)).saturating_add(listed), listed)
            }
            MaskForm::None => (0, 0),
        }
    }
}

/// One cell of so many is assumed to be a peak, or in a mask.
const ASSUMED: u64 = 32;

/// Bytes of the row numbers of `n_t` time bins.
fn offset_bytes(n_t: usize) -> u64 {
    (n_t as u64).saturating_add(1).saturating_mul(8)
}

impl Plan {
    /// A plan for a shape that [`check_map`](crate::posterior::check_map) has passed, and for `most` threads or fewer.
    pub(crate) fn new(shape: [usize; 3], dtype: Dtype, wanted: Wanted, most: usize) -> Self {
        let [n_x, n_y, n_t] = shape;
        let cpu = CpuPlan::new(n_x * n_y, n_t, dtype, wanted.levels, most);
        // Without time bins nobody works.
        let workers = most.min(n_t.div_ceil(cpu.batch));
        let threads = workers.max(1);
        let bins_and_cells = (n_t as u64).saturating_mul((n_x * n_y) as u64);
        let (mask_bytes, list_bytes) = wanted.mask_bytes(shape);
        let mut scratch = cpu.scratch_bytes(n_x, n_y, dtype);
        let mut summary_bytes = 0;
        // A summary counts peaks that nobody lists; those of a worker on its own never wait.
        if wanted.peaks || wanted.summary {
            let waiting = wanted.peaks && workers > 1;
            scratch = scratch.saturating_add(cpu.found_bytes(n_x * n_y, dtype, waiting));
        }
        if wanted.masks == MaskForm::Sparse {
            let pieces = 1 + if workers > 1 { wanted.levels } else { 0 };
            let pieces = (pieces as u64).saturating_mul(cpu.piece_bytes(n_x * n_y));
            scratch = scratch.saturating_add(pieces);
        }
        if wanted.summary {
            scratch = scratch.saturating_add(cpu.summary_scratch_bytes(n_x, n_y));
            summary_bytes = match dtype {
                Dtype::F64 => Summary::<f64>::bytes(wanted.levels, n_t),
                Dtype::F32 => Summary::<f32>::bytes(wanted.levels, n_t),
            };
        }
        let fixed_bytes = [
            mask_bytes,
            summary_bytes,
            offset_bytes(n_t),
            scratch.saturating_mul(workers as u64),
        ];
        let estimate = Estimate {
            mask_bytes,
            summary_bytes,
            list_bytes,
            fixed_bytes: fixed_bytes.into_iter().fold(0, u64::saturating_add),
            bytes_per_peak: 16 + 2 * dtype.size() as u64,
            assumed_peaks: if wanted.peaks {
                bins_and_cells / ASSUMED
            } else {
                0
            },
        };
        let mut plan = Self {
            cpu,
            threads,
            estimate,
        };
        if wanted.peaks && wanted.prominence == Prominence::Topographic {
            plan = plan.with_terrain(n_x * n_y, dtype);
        }
        if wanted.shares {
            plan = plan.with_shares(n_x * n_y, dtype);
        }
        plan
    }
}

impl Plan {
    /// With what each worker keeps for topographic prominence, for maps of so many cells.
    fn with_terrain(mut self, cells: usize, dtype: Dtype) -> Self {
        // Values, and what comes before; a tip, its saddle and who was met there; joints, their order, and a way.
        let terrain = cells * (dtype.size() + 1 + 4 * 4 + 4 + 24 + 8 + dtype.size() + 4);
        let terrain = (terrain as u64).saturating_mul(self.threads as u64);
        self.estimate.fixed_bytes = self.estimate.fixed_bytes.saturating_add(terrain);
        self
    }

    /// With what each worker keeps for shares of a total: the highest values of the bins of a vector, in maps of so many cells.
    fn with_shares(mut self, cells: usize, dtype: Dtype) -> Self {
        let bins = self.cpu.lanes.min(VECTOR_BYTES / dtype.size());
        let highest = (8 * bins * cells) as u64;
        let highest = highest.saturating_mul(self.threads as u64);
        self.estimate.fixed_bytes = self.estimate.fixed_bytes.saturating_add(highest);
        self
    }

    /// About how long the CPU will take, in seconds: a guess from the speed of common processors.
    pub(crate) fn seconds(&self, [n_x, n_y, n_t]: [usize; 3]) -> f64 {
        const SECONDS_PER_CELL: f64 = 2e-9;
        (n_x * n_y) as f64 * n_t as f64 * SECONDS_PER_CELL / self.threads as f64
    }
}

impl CpuPlan {
    pub(crate) fn new(
        cells: usize,
        n_t: usize,
        dtype: Dtype,
        n_alpha: usize,
        threads: usize,
    ) -> Self {
        let lane = cells * dtype.size();
        let lanes = [64, 32, 16, 8]
            .into_iter()
            .find(|&lanes| lanes * lane <= TILE_BYTES && lanes * dtype.size() >= VECTOR_BYTES)
            .unwrap_or(1);
        let filled = |bins: usize, alphas: usize| (bins.div_ceil(8) * cells).saturating_mul(alphas);
        let share = BATCH_BINS.min(n_t / threads.saturating_mul(BATCHES));
        let batch = (1..=(share / lanes).max(1))
            .rev()
            .map(|tiles| tiles * lanes)
            .find(|&bins| filled(bins, n_alpha) <= FILLED_BYTES)
            .unwrap_or(lanes);
        let alphas = (FILLED_BYTES / filled(batch, 1)).clamp(1, n_alpha.max(1));
        Self {
            lanes,
            batch,
            alphas,
            peak_room: LISTED_BYTES / (4 + 2 * dtype.size()) + lanes.min(n_t) * cells,
        }
    }

    /// What one worker keeps besides for a summary: measures and numbers of a batch, and planes of counters.
    fn summary_scratch_bytes(&self, n_x: usize, n_y: usize) -> u64 {
        let measures = self.batch * (16 + 40 * self.alphas + 88);
        let planes = 6 * (n_y + 2) + (n_y + 4) * 32 + 10 * 64;
        (measures + planes * VECTOR_BYTES + n_x) as u64
    }

    /// A list of the cells of a mask in the bins of a batch: the one that a worker makes, or one of those, for each level, that wait
    /// for the bins before them.
    fn piece_bytes(&self, cells: usize) -> u64 {
        (self.batch as u64).saturating_mul(12 + 4 * (cells as u64 / ASSUMED))
    }

    /// What one worker keeps: tiles, planes, and the masks of a batch.
    fn scratch_bytes(&self, n_x: usize, n_y: usize, dtype: Dtype) -> u64 {
        let cells = n_x * n_y;
        let tile = n_x * (n_y + 2) * self.lanes * dtype.size();
        // Highest values of blocks, and rows of lines.
        let blocks = tile / BLOCK + 3 * n_y * VECTOR_BYTES;
        // Above of each alpha, and Filled.
        let planes = (1 + self.alphas) * n_x * n_y.div_ceil(64) * self.lanes * 8;
        let filled = self.batch.div_ceil(8) * cells * self.alphas;
        (tile + blocks + planes + filled) as u64
    }

    /// What one worker keeps to find peaks: in the order in which they are met, in order of bins, and, where they have to
    /// wait, those of another batch; ties, and those pending. A tile may list a peak in every cell.
    fn found_bytes(&self, cells: usize, dtype: Dtype, waiting: bool) -> u64 {
        let batches = 1 + usize::from(waiting);
        let tile = self.lanes * cells * (4 + 2 * dtype.size());
        let ties = 2 * 8 * cells;
        ((1 + batches) * tile + batches * LISTED_BYTES + ties + 12 * cells) as u64
    }
}
