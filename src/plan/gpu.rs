//! The GPU engine's arrays, and how large a batch of them a device and the host can hold.

use crate::{Dtype, GpuTuning, Options};

/// Loop iterations that an invocation may run in one dispatch. Some drivers stop a kernel silently after twice as many,
/// others reset a device that takes too long.
pub(crate) const ITERATIONS: u32 = 1 << 15;
/// Invocations of a workgroup.
const GROUP: u32 = 64;
/// Batches in flight: one is copied in, one computed, one expanded.
const SLOTS: usize = 3;
/// Bytes of the values of a batch: large enough to fill a device and to hide its latencies.
const VALUES_BYTES: u64 = 256 << 20;
/// The same for software that emulates a device, which gains nothing from large batches.
const SOFTWARE_VALUES_BYTES: u64 = 32 << 20;
/// Batches for each slot, if there are enough bins.
const BATCHES: usize = 2;
/// The most cells of a map: what every kernel can walk within its iterations.
const MOST_CELLS: u64 = 1 << 24;
/// The most lanes of a batch, for the same reason.
const MOST_LANES: u64 = 1 << 20;
/// The most alphas of a pass, for the same reason.
const MOST_ALPHAS: usize = 256;
/// Peaks of a bin for which there is room, one for so many cells; further ones are collected in further rounds.
const CELLS_PER_ROW: usize = 8;
/// Continuations of what a batch left pending, before the CPU takes over.
const ROUNDS: u32 = 4;
/// Sweeps over a whole map that a batch has in its first submission, at least.
const SWEEPS: u64 = 4;

/// Declares the arrays of a batch under their binding numbers, with their bytes.
macro_rules! arrays {
    ($($(#[doc = $doc:literal])+ $name:ident = $binding:literal: |$b:ident| $bytes:expr;)*) => {
        /// The arrays of a batch; the numbers are those of `shaders/shared.wgsl`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Array {
            $($(#[doc = $doc])+ $name = $binding,)*
        }

        impl Array {
            /// All arrays, in the order of their numbers.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Bytes in a batch of this size.
            pub(crate) fn bytes(self, batch: &Sizes) -> u64 {
                match self {
                    $(Self::$name => { let $b = batch; $bytes })*
                }
            }
        }
    };
}

arrays! {
    /// Values by cell and lane.
    Values = 1: |b| b.cells() * b.lanes * b.value();
    /// Bits of each alpha.
    Alphas = 2: |b| b.alphas * 8;
    /// What each block of the survey has found.
    Partials = 3: |b| b.survey_blocks() * b.lanes * (2 * b.value() + 8);
    /// Live, floor and dominant cell of each lane.
    Surveys = 4: |b| b.lanes * (b.value() + 8);
    /// Thresholds.
    Levels = 5: |b| b.alphas * b.lanes * b.value();
    /// Bits by cell: what reaches its threshold.
    Above = 6: |b| b.alphas * b.places() * b.lanes * 4;
    /// Bits by cell: the masks.
    Filled = 7: |b| b.alphas * b.places() * b.lanes * 4;
    /// Where each flood stands.
    Floods = 8: |b| b.alphas * b.lanes * 16;
    /// Bits by lane: the masks.
    Masks = 9: |b| b.alphas * b.cells() * b.lane_words() * 4;
    /// Bits by cell: the peaks.
    Peaks = 10: |b| b.listed(b.places() * b.lanes * 4);
    /// Bits by cell: the peaks that equal a neighbour.
    Ties = 11: |b| b.listed(b.places() * b.lanes * 4);
    /// The highest cell known of the rim of each tied peak's plateau.
    Rims = 12: |b| b.listed(b.cells() * b.lanes * 4);
    /// Where the sweeps over each lane's plateaus stand.
    Plateaus = 13: |b| b.listed(b.lanes * 16);
    /// Peaks before each block of the list.
    Before = 14: |b| b.listed(b.list_blocks() * b.lanes * 4);
    /// Peaks of each lane, whether it is pending, and peaks before it.
    Tally = 15: |b| 3 * b.lanes * 4;
    /// Cells of the listed peaks.
    RowCells = 16: |b| b.listed(b.rows * 4);
    /// Heights and bases of the listed peaks.
    RowValues = 17: |b| b.listed(2 * b.rows * b.value());
}

/// The sizes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) n_x: u64,
    pub(crate) n_y: u64,
    pub(crate) dtype: Dtype,
    /// Alphas of one pass.
    pub(crate) alphas: u64,
    /// Whether peaks are listed.
    pub(crate) peaks: bool,
    /// Time bins side by side, padding included.
    pub(crate) lanes: u64,
    /// Room for this many peaks.
    pub(crate) rows: u64,
}

impl Sizes {
    pub(crate) fn cells(&self) -> u64 {
        self.n_x * self.n_y
    }

    /// Words of 32 cells in a map row.
    pub(crate) fn words(&self) -> u64 {
        self.n_y.div_ceil(32)
    }

    /// Words of 32 cells in a map.
    pub(crate) fn places(&self) -> u64 {
        self.n_x * self.words()
    }

    /// Words of 32 lanes in a row of bits by lane.
    pub(crate) fn lane_words(&self) -> u64 {
        self.lanes.div_ceil(32)
    }

    fn value(&self) -> u64 {
        self.dtype.size() as u64
    }

    fn listed(&self, bytes: u64) -> u64 {
        if self.peaks { bytes } else { 0 }
    }

    /// Cells that one invocation surveys: about as many as there are blocks.
    pub(crate) fn survey_cells(&self) -> u64 {
        self.cells()
            .isqrt()
            .clamp(32, 4096)
            .max(self.cells().div_ceil(4096))
    }

    pub(crate) fn survey_blocks(&self) -> u64 {
        self.cells().div_ceil(self.survey_cells())
    }

    /// Words of 32 cells in which one invocation lists the peaks.
    pub(crate) fn list_words(&self) -> u64 {
        self.places()
            .isqrt()
            .clamp(4, 64)
            .max(self.places().div_ceil(16_384))
    }

    pub(crate) fn list_blocks(&self) -> u64 {
        if self.peaks {
            self.places().div_ceil(self.list_words())
        } else {
            0
        }
    }

    /// Bytes of all arrays on the device.
    pub(crate) fn device_bytes(&self) -> u64 {
        Array::ALL.iter().map(|array| array.bytes(self)).sum()
    }

    /// Bytes that are mapped into the host's memory: values in, results out.
    pub(crate) fn staging_bytes(&self) -> u64 {
        self.upload_bytes() + self.readback_bytes()
    }

    /// Bytes of the staging buffer of what goes to the device: values, alphas, parameters.
    pub(crate) fn upload_bytes(&self) -> u64 {
        Array::Values.bytes(self).next_multiple_of(8) + Array::Alphas.bytes(self) + PARAMS_BYTES
    }

    /// Bytes of the staging buffer of what comes back: tallies, mask bits by lane, listed peaks, timestamps.
    pub(crate) fn readback_bytes(&self) -> u64 {
        self.tally_bytes()
            + Array::Masks.bytes(self).next_multiple_of(8)
            + Array::RowCells.bytes(self).next_multiple_of(8)
            + 2 * (Array::RowValues.bytes(self) / 2).next_multiple_of(8)
            + TIMES_BYTES
    }

    /// Bytes of the tallies that come back: peaks of each lane, and whether it is pending.
    pub(crate) fn tally_bytes(&self) -> u64 {
        2 * self.lanes * 4
    }

    /// The most loop iterations of any invocation of any kernel in one dispatch.
    #[cfg(test)]
    fn most_iterations(&self, tuned: u32) -> u64 {
        let per_word = self.n_y.min(32);
        let share = self.lanes.div_ceil(u64::from(GROUP));
        [
            self.survey_cells(),
            self.survey_blocks() + self.alphas,
            self.alphas.div_ceil(4) * (1 + per_word),
            u64::from(tuned),
            per_word,
            32,
            self.list_words(),
            self.list_blocks() + self.alphas,
            2 * share + u64::from(GROUP),
            self.list_words() * (1 + per_word),
        ]
        .into_iter()
        .max()
        .unwrap_or(0)
    }
}

/// Bytes set aside for the parameters of a submission.
pub(crate) const PARAMS_BYTES: u64 = 64;
/// Bytes set aside for timestamps.
pub(crate) const TIMES_BYTES: u64 = 256;

/// What a device, the host and the caller allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of one array.
    pub(crate) binding: u64,
    /// Workgroups of one dimension of a dispatch.
    pub(crate) groups: u64,
    /// Bytes of all arrays of all batches in flight.
    pub(crate) device: Option<u64>,
    /// Bytes of host memory for staging.
    pub(crate) host: Option<u64>,
    /// Whether the device's memory is the host's.
    pub(crate) shared: bool,
    /// Whether the device is software on the host's processor.
    pub(crate) software: bool,
}

/// How the GPU engine cuts up an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GpuPlan {
    /// The largest batch.
    pub(crate) sizes: Sizes,
    /// Batches in flight.
    pub(crate) slots: usize,
    /// Invocations of a workgroup.
    pub(crate) group: u32,
    /// Loop iterations of an invocation of a resumable kernel, in one dispatch.
    pub(crate) iterations: u32,
    /// Dispatches of the resumable kernels in one submission.
    pub(crate) dispatches: u32,
    /// Continuations before the CPU takes over.
    pub(crate) rounds: u32,
}

/// Why a map cannot be analysed on a device: not one bin of it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge {
    /// What one time bin needs.
    pub(crate) needed: u64,
    /// What there is.
    pub(crate) limit: u64,
    /// Of what.
    pub(crate) what: &'static str,
}

impl GpuPlan {
    /// The largest batches within the limits.
    pub(crate) fn new(
        [n_x, n_y, n_t]: [usize; 3],
        dtype: Dtype,
        options: &Options,
        limits: &Limits,
    ) -> Result<Self, TooLarge> {
        let tuning = &options.gpu_tuning;
        let slots = tuning.slots.unwrap_or(SLOTS).max(1);
        let group = Self::group(tuning);
        let iterations = Self::iterations(tuning);
        let mut sizes = Sizes {
            n_x: n_x as u64,
            n_y: n_y as u64,
            dtype,
            alphas: 0,
            peaks: !options.no_peaks,
            lanes: 1,
            rows: 0,
        };
        if sizes.cells() > MOST_CELLS {
            return Err(TooLarge {
                needed: sizes.cells(),
                limit: MOST_CELLS,
                what: "cells of a map",
            });
        }
        // So many alphas that their bits take a few times the room of the values, and no more.
        let bits = sizes.places() * 8 + sizes.cells() / 8;
        let alphas = (4 * sizes.cells() * sizes.value() / bits).clamp(1, MOST_ALPHAS as u64);
        sizes.alphas = alphas.min(options.alphas.len() as u64);
        let with_lanes = |lanes: u64| Sizes {
            lanes,
            rows: match tuning.rows {
                Some(rows) => rows.max(1) as u64,
                None => (lanes * sizes.cells().div_ceil(CELLS_PER_ROW as u64)).max(1),
            },
            ..sizes
        };
        let refusal = |lanes: u64| {
            let batch = with_lanes(lanes);
            let largest = Array::ALL
                .iter()
                .map(|array| array.bytes(&batch))
                .max()
                .unwrap_or(0);
            let slots = slots as u64;
            let host = (batch.staging_bytes()
                + if limits.shared {
                    batch.device_bytes()
                } else {
                    0
                })
                * slots;
            let exceeds = |needed: u64, limit: u64, what: &'static str| {
                (needed > limit).then_some(TooLarge {
                    needed,
                    limit,
                    what,
                })
            };
            exceeds(largest, limits.binding, "bytes of one buffer of the device")
                .or_else(|| {
                    exceeds(
                        batch.readback_bytes().max(batch.upload_bytes()),
                        limits.binding,
                        "bytes of one buffer of the device",
                    )
                })
                .or_else(|| {
                    exceeds(
                        lanes.div_ceil(u64::from(group)),
                        limits.groups,
                        "workgroups",
                    )
                })
                .or_else(|| {
                    exceeds(
                        batch.device_bytes() * slots,
                        limits.device.unwrap_or(u64::MAX),
                        "bytes of device memory",
                    )
                })
                .or_else(|| {
                    exceeds(
                        host,
                        limits.host.unwrap_or(u64::MAX),
                        "bytes of host memory",
                    )
                })
        };
        if let Some(refusal) = refusal(1) {
            return Err(refusal);
        }
        let target = if limits.software {
            SOFTWARE_VALUES_BYTES
        } else {
            VALUES_BYTES
        };
        let target = target / (sizes.cells() * sizes.value());
        // Enough batches that slots overlap, unless they would be too small to fill a device.
        let share = (n_t.div_ceil(slots * BATCHES) as u64)
            .max(1024)
            .min(n_t as u64);
        let wanted = tuning
            .batch
            .map_or_else(|| target.min(share), |bins| bins as u64)
            .clamp(1, MOST_LANES);
        let lanes = largest_that(wanted, |lanes| refusal(lanes).is_none());
        let whole_sweep = 4 * sizes.places();
        let dispatches = (SWEEPS * whole_sweep)
            .div_ceil(u64::from(iterations))
            .clamp(2, 64) as u32;
        Ok(Self {
            sizes: with_lanes(lanes),
            slots,
            group,
            iterations,
            dispatches: tuning.dispatches.unwrap_or(dispatches).max(1),
            rounds: tuning.rounds.unwrap_or(ROUNDS),
        })
    }

    /// Invocations of a workgroup.
    pub(crate) fn group(tuning: &GpuTuning) -> u32 {
        tuning.group.unwrap_or(GROUP)
    }

    /// Loop iterations of an invocation of a resumable kernel, in one dispatch.
    pub(crate) fn iterations(tuning: &GpuTuning) -> u32 {
        tuning.iterations.unwrap_or(ITERATIONS).clamp(1, ITERATIONS)
    }

    /// The same in batches of half as many bins; none below one bin.
    pub(crate) fn halved(mut self) -> Option<Self> {
        (self.sizes.lanes > 1).then(|| {
            self.sizes.rows = (self.sizes.rows / 2).max(1);
            self.sizes.lanes = lanes_for(self.sizes.lanes / 2);
            self
        })
    }

    /// Bytes of device memory of all batches in flight.
    pub(crate) fn device_bytes(&self) -> u64 {
        self.sizes.device_bytes() * self.slots as u64
    }

    /// Bytes of host memory for staging of all batches in flight.
    pub(crate) fn staging_bytes(&self) -> u64 {
        self.sizes.staging_bytes() * self.slots as u64
    }
}

/// The largest number of lanes up to that for `wanted` bins for which `fits` holds; it holds for 1.
fn largest_that(wanted: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (1, lanes_for(wanted));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    if low < 64 { low } else { low / 32 * 32 }
}

/// Lanes for so many bins: in batches worth it, rows begin at multiples of 128 bytes.
pub(crate) fn lanes_for(bins: u64) -> u64 {
    if bins < 64 {
        bins
    } else {
        bins.next_multiple_of(32)
    }
}
