//! How large a batch a device and the host can hold, and how often its kernels may run: pure arithmetic over the table
//! of arrays.

use std::time::Duration;

use super::arrays::{Array, Sizes};
use crate::element::Dtype;
use crate::tuning::{Demand, GpuTuning};

/// Loop iterations that an invocation may run in one dispatch. Some drivers stop a kernel silently after twice as many,
/// others reset a device that takes too long.
pub(crate) const ITERATIONS: u32 = 1 << 15;
/// Invocations of a workgroup.
const GROUP: u32 = 64;
/// Batches in flight: one is copied in, one computed, one expanded.
const SLOTS: usize = 3;
/// Bytes of the values of a batch: large enough to fill a device and to hide its latencies.
const VALUES_BYTES: u64 = 256 << 20;
/// The same where the device's memory is the host's, of which there is less, and nothing to be hidden but the start of
/// kernels.
const SHARED_VALUES_BYTES: u64 = 64 << 20;
/// The same for software that emulates a device, which gains nothing from large batches.
const SOFTWARE_VALUES_BYTES: u64 = 32 << 20;
/// Batches for each slot, if there are enough bins.
const BATCHES: usize = 2;
/// The most cells of a map: what every kernel can walk within its iterations.
const MOST_CELLS: u64 = 1 << 24;
/// The most lanes of a batch for each invocation of a workgroup, for the same reason.
const MOST_LANES: u64 = 1 << 13;
/// The most bytes of an array, whatever the device: compilers of shaders may count them in 32 bits.
const MOST_BYTES: u64 = u32::MAX as u64;
/// The most levels of a pass, for the same reason as the most cells.
const MOST_LEVELS: usize = 256;
/// Peaks of a bin for which there is room, one for so many cells; further ones are collected in further rounds.
const CELLS_PER_ROW: usize = 8;
/// Continuations of what a batch left pending, before the CPU takes over.
const ROUNDS: u32 = 4;
/// Sweeps over a whole map that a batch has in each submission.
const SWEEPS: u64 = 16;
/// Pending bins that the CPU has analysed before the device could go on with them.
const FEW: usize = 64;

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
    /// Whether kernels can read what is mapped.
    pub(crate) mapped: bool,
    /// Whether the device is software on the host's processor.
    pub(crate) software: bool,
}

impl Limits {
    /// Bytes of the values of a batch on memory of this kind.
    fn values_bytes(&self) -> u64 {
        match (self.software, self.shared) {
            (true, _) => SOFTWARE_VALUES_BYTES,
            (false, true) => SHARED_VALUES_BYTES,
            (false, false) => VALUES_BYTES,
        }
    }
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
    /// Pending bins so few that it takes over at once.
    pub(crate) few: usize,
    /// How long the kernels of a submission may take, if not as long as usual.
    pub(crate) submission: Option<Duration>,
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
        demand: Demand<'_>,
        limits: &Limits,
    ) -> Result<Self, TooLarge> {
        let tuning = demand.tuning;
        let slots = tuning.slots.unwrap_or(SLOTS).max(1);
        let group = Self::group(tuning);
        let mut sizes = Sizes {
            n_x: n_x as u64,
            n_y: n_y as u64,
            dtype,
            levels: 0,
            // A copy within one memory gains nothing; where a card has memory of its own, kernels may read through its link.
            mapped: limits.mapped && tuning.mapped.unwrap_or(limits.shared),
            peaks: demand.peaks,
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
        // So many levels that their bits take a few times the room of the values, and no more.
        let bits = sizes.map_words() * 8 + sizes.cells() / 8;
        let levels = (4 * sizes.cells() * sizes.value() / bits).clamp(1, MOST_LEVELS as u64);
        sizes.levels = levels.min(demand.levels as u64);
        let with_lanes = |lanes: u64| Sizes {
            lanes,
            rows: match tuning.rows {
                Some(rows) => rows.max(1) as u64,
                None => (lanes * sizes.cells().div_ceil(CELLS_PER_ROW as u64)).max(1),
            },
            ..sizes
        };
        let binding = limits.binding.min(MOST_BYTES);
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
            // Buffers are whole numbers of words of eight bytes.
            let whole = |bytes: u64| bytes.next_multiple_of(8);
            let exceeds = |needed: u64, limit: u64, what: &'static str| {
                (needed > limit).then_some(TooLarge {
                    needed,
                    limit,
                    what,
                })
            };
            exceeds(whole(largest), binding, "bytes of one buffer of the device")
                .or_else(|| {
                    exceeds(
                        whole(batch.readback_bytes().max(batch.upload_bytes())),
                        binding,
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
        let target = limits.values_bytes() / (sizes.cells() * sizes.value());
        // Enough batches that slots overlap, unless they would be too small to fill a device.
        let share = (n_t.div_ceil(slots * BATCHES) as u64)
            .max(1024)
            .min(n_t as u64);
        let wanted = tuning
            .batch
            .map_or_else(|| target.min(share), |bins| bins as u64)
            .clamp(1, MOST_LANES * u64::from(group));
        let lanes = largest_that(wanted, |lanes| refusal(lanes).is_none());
        // A word to the right and to the left, in each row, from above and from below.
        let sweeps = SWEEPS * 4 * sizes.map_words();
        let dispatches = sweeps.div_ceil(u64::from(ITERATIONS)).clamp(1, 64);
        let iterations = sweeps.div_ceil(dispatches).min(u64::from(ITERATIONS)) as u32;
        Ok(Self {
            sizes: with_lanes(lanes),
            slots,
            group,
            iterations: tuning.iterations.unwrap_or(iterations).clamp(1, ITERATIONS),
            dispatches: tuning.dispatches.unwrap_or(dispatches as u32).max(1),
            rounds: tuning.rounds.unwrap_or(ROUNDS),
            few: tuning.few.unwrap_or(FEW),
            submission: tuning.submission,
        })
    }

    /// Invocations of a workgroup.
    pub(crate) fn group(tuning: &GpuTuning) -> u32 {
        tuning.group.unwrap_or(GROUP)
    }

    /// The same in batches of half as many bins; none below one bin.
    pub(crate) fn halved(mut self) -> Option<Self> {
        (self.sizes.lanes > 1).then(|| {
            self.sizes.rows = (self.sizes.rows / 2).max(1);
            self.sizes.lanes = lanes_for(self.sizes.lanes / 2);
            self
        })
    }

    /// Time bins of the largest batch.
    pub(crate) fn lanes(&self) -> usize {
        self.sizes.lanes as usize
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

#[cfg(test)]
mod tests {
    use naga::{Block, Function, Module, Statement};

    use super::*;
    use crate::gpu::kernels::{KERNELS, source};
    use crate::options::Options;

    const NO_LIMITS: Limits = Limits {
        binding: u64::MAX,
        groups: 65_535,
        device: None,
        host: None,
        shared: false,
        mapped: false,
        software: false,
    };

    /// Software Vulkan.
    const SOFTWARE: Limits = Limits {
        binding: 128 << 20,
        shared: true,
        mapped: true,
        software: true,
        ..NO_LIMITS
    };

    /// A part of the processor.
    const INTEGRATED: Limits = Limits {
        binding: (1 << 31) - 1,
        shared: true,
        mapped: true,
        ..NO_LIMITS
    };

    /// A card, as wgpu shows it.
    const CARD: Limits = Limits {
        binding: (1 << 31) - 1,
        ..NO_LIMITS
    };

    /// Limits of every sort, from what a card has down to what serves for nothing.
    fn limits() -> Vec<Limits> {
        let mut all = vec![NO_LIMITS, SOFTWARE, CARD, INTEGRATED];
        for bytes in [1 << 30, 1 << 20, 40_000, 1_000, 64, 0] {
            all.extend([
                Limits {
                    binding: bytes,
                    ..CARD
                },
                Limits {
                    device: Some(bytes),
                    ..CARD
                },
                Limits {
                    host: Some(bytes),
                    ..CARD
                },
                Limits {
                    host: Some(bytes),
                    ..SOFTWARE
                },
                Limits {
                    device: Some(2 * bytes),
                    host: Some(bytes),
                    ..SOFTWARE
                },
            ]);
        }
        all.extend([100, 7, 1].map(|groups| Limits { groups, ..CARD }));
        all
    }

    const SHAPES: [[usize; 2]; 21] = [
        [1, 1],
        [1, 2],
        [2, 1],
        [1, 31],
        [1, 32],
        [1, 33],
        [33, 1],
        [3, 64],
        [41, 63],
        [63, 41],
        [100, 100],
        [256, 257],
        [512, 512],
        [1023, 1025],
        [1024, 1024],
        [1, 70_000],
        [1, 1_000_000],
        [1_000_000, 1],
        [4096, 4096],
        [1, 1 << 24],
        [1 << 24, 1],
    ];

    const ALPHAS: [usize; 7] = [0, 1, 2, 3, 40, 300, 5_000];

    /// Calls `look` with every kind of analysis and every kind of limits, and what the plan is.
    fn every_plan(
        tunings: &[GpuTuning],
        mut look: impl FnMut(&Limits, &GpuTuning, Sizes, Result<GpuPlan, TooLarge>),
    ) {
        let limits = limits();
        for [n_x, n_y] in SHAPES {
            for (n_levels, n_t) in ALPHAS
                .into_iter()
                .zip([100_000_000, 0, 1, 65, 5_000].into_iter().cycle())
            {
                for dtype in [Dtype::F32, Dtype::F64] {
                    for peaks in [true, false] {
                        for tuning in tunings {
                            let options = Options::new()
                                .alphas((0..n_levels).map(|k| k as f64))
                                .peaks(peaks)
                                .gpu_tuning(tuning.clone());
                            for limits in &limits {
                                let plan =
                                    GpuPlan::new([n_x, n_y, n_t], dtype, options.demand(), limits);
                                let asked = Sizes {
                                    n_x: n_x as u64,
                                    n_y: n_y as u64,
                                    dtype,
                                    levels: n_levels as u64,
                                    mapped: false,
                                    peaks,
                                    lanes: n_t as u64,
                                    rows: 0,
                                };
                                look(limits, tuning, asked, plan);
                            }
                        }
                    }
                }
            }
        }
    }

    fn tunings() -> Vec<GpuTuning> {
        let plain = GpuTuning::default();
        vec![
            plain.clone(),
            GpuTuning {
                slots: Some(1),
                batch: Some(usize::MAX),
                ..plain.clone()
            },
            GpuTuning {
                slots: Some(2),
                group: Some(32),
                ..plain.clone()
            },
            GpuTuning {
                batch: Some(65),
                group: Some(256),
                rows: Some(1),
                ..plain
            },
        ]
    }

    /// What a plan needs, each with what there is.
    fn needs(plan: &GpuPlan, limits: &Limits) -> Vec<(u64, u64)> {
        let GpuPlan { sizes, slots, .. } = plan;
        let slots = *slots as u64;
        let binding = limits.binding.min(MOST_BYTES);
        let device: u64 = Array::ALL
            .iter()
            .filter(|&&array| !(limits.mapped && array == Array::Values))
            .map(|array| array.bytes(sizes))
            .sum();
        let staging = sizes.upload_bytes() + sizes.readback_bytes();
        let host = slots
            * if limits.shared {
                staging + device
            } else {
                staging
            };
        let mut needs: Vec<_> = Array::ALL
            .iter()
            .map(|array| (array.bytes(sizes).next_multiple_of(8), binding))
            .collect();
        needs.extend([
            (sizes.upload_bytes().next_multiple_of(8), binding),
            (sizes.readback_bytes().next_multiple_of(8), binding),
            (sizes.lanes.div_ceil(u64::from(plan.group)), limits.groups),
            (slots * device, limits.device.unwrap_or(u64::MAX)),
            (host, limits.host.unwrap_or(u64::MAX)),
        ]);
        needs
    }

    #[test]
    fn every_plan_keeps_within_all_limits_or_says_which_one_is_too_low() {
        let (mut plans, mut refusals) = (0, 0);
        every_plan(&tunings(), |limits, tuning, asked, plan| match plan {
            Ok(plan) => {
                plans += 1;
                for (needed, limit) in needs(&plan, limits) {
                    assert!(
                        needed <= limit,
                        "{needed} of {limit}: {plan:?} in {limits:?}"
                    );
                }
                assert!(plan.sizes.lanes >= 1 && plan.sizes.rows >= 1);
                let groups = if asked.levels > 0 {
                    1..=asked.levels
                } else {
                    0..=0
                };
                assert!(groups.contains(&plan.sizes.levels), "{plan:?}");
                assert_eq!(plan.sizes.peaks, asked.peaks);
                // No more than was asked for, padding apart.
                let wanted = tuning.batch.map_or(asked.lanes, |batch| batch as u64);
                assert!(
                    plan.sizes.lanes <= lanes_for(wanted.clamp(1, u64::MAX - 31)),
                    "{plan:?}"
                );
            }
            Err(too_large) => {
                refusals += 1;
                assert!(too_large.needed > too_large.limit, "{too_large:?}");
                let stated = [limits.binding, MOST_BYTES, limits.groups, MOST_CELLS]
                    .into_iter()
                    .chain(limits.device)
                    .chain(limits.host);
                assert!(
                    stated.into_iter().any(|limit| limit == too_large.limit),
                    "{too_large:?}"
                );
            }
        });
        assert!(
            plans > 10_000 && refusals > 10_000,
            "{plans} plans, {refusals} refusals"
        );
    }

    /// The largest that fits: one step more of lanes would not, or is not wanted.
    #[test]
    fn no_batch_is_smaller_than_it_has_to_be() {
        let mut limited = 0;
        every_plan(&tunings(), |limits, tuning, asked, plan| {
            let Ok(mut plan) = plan else { return };
            let share = asked
                .lanes
                .div_ceil(2 * plan.slots as u64)
                .max(1024)
                .min(asked.lanes);
            let target = limits.values_bytes() / (asked.cells() * asked.value());
            let wanted = tuning.batch.map_or(target.min(share), |batch| batch as u64);
            if plan.sizes.lanes >= wanted.clamp(1, MOST_LANES * u64::from(plan.group)) {
                return;
            }
            limited += 1;
            let per_lane = plan.sizes.rows.div_ceil(plan.sizes.lanes);
            plan.sizes.lanes += if plan.sizes.lanes < 63 { 1 } else { 32 };
            if tuning.rows.is_none() {
                plan.sizes.rows = per_lane * plan.sizes.lanes;
            }
            assert!(
                needs(&plan, limits)
                    .iter()
                    .any(|(needed, limit)| needed > limit),
                "{plan:?} would fit {limits:?}"
            );
        });
        assert!(limited > 10_000, "{limited}");
    }

    #[test]
    fn batches_of_a_usual_recording() {
        let options = Options::new().alphas([0.9, 0.5]);
        let shape = [41, 63, 100_000];
        let lanes = |limits: &Limits| {
            GpuPlan::new(shape, Dtype::F64, options.demand(), limits).map(|plan| plan.sizes.lanes)
        };
        // 256 MiB, 64 MiB and 32 MiB of values.
        assert_eq!(lanes(&CARD), Ok(12_992));
        assert_eq!(lanes(&INTEGRATED), Ok(3_264));
        assert_eq!(lanes(&SOFTWARE), Ok(1_632));
        // 1 MiB holds 50 bins of 41 x 63 values of 8 bytes.
        assert_eq!(
            lanes(&Limits {
                binding: 1 << 20,
                ..CARD
            }),
            Ok(50)
        );
        // 100 groups of 64.
        assert_eq!(
            lanes(&Limits {
                groups: 100,
                ..CARD
            }),
            Ok(6_400)
        );
        assert_eq!(
            lanes(&Limits {
                binding: 20_000,
                ..CARD
            }),
            Err(TooLarge {
                needed: 41 * 63 * 8,
                limit: 20_000,
                what: "bytes of one buffer of the device"
            })
        );
        let Err(too_large) = lanes(&Limits {
            device: Some(1 << 16),
            ..CARD
        }) else {
            panic!("three bins and their findings take more than 64 KiB")
        };
        assert_eq!(
            (too_large.limit, too_large.what),
            (1 << 16, "bytes of device memory")
        );
        let Err(too_large) = lanes(&Limits {
            host: Some(1 << 16),
            ..CARD
        }) else {
            panic!("staging for three bins takes more than 64 KiB")
        };
        assert_eq!(
            (too_large.limit, too_large.what),
            (1 << 16, "bytes of host memory")
        );
        let Err(too_large) =
            GpuPlan::new([4096, 4097, 1], Dtype::F32, options.demand(), &NO_LIMITS)
        else {
            panic!("more cells than kernels can walk")
        };
        assert_eq!((too_large.needed, too_large.limit), (4096 * 4097, 1 << 24));
    }

    /// Every index into every array is a `u32` in the shaders, and so is a workgroup's number.
    #[test]
    fn shaders_can_count_so_far() {
        every_plan(&tunings(), |limits, _, _, plan| {
            let Ok(plan) = plan else { return };
            for array in Array::ALL {
                let bytes = array.bytes(&plan.sizes);
                assert!(u32::try_from(bytes).is_ok(), "{array:?}: {plan:?}");
            }
            if limits.groups == NO_LIMITS.groups {
                for kernel in KERNELS {
                    let tasks = (kernel.tasks)(&plan.sizes);
                    assert!(
                        tasks <= limits.groups * limits.groups,
                        "{}: {plan:?}",
                        kernel.entry
                    );
                }
            }
        });
    }

    #[test]
    fn halving_ends_at_one_bin() {
        for lanes in (1..200).chain([1_632, 12_992, 1 << 19]) {
            let options = Options::new().alphas([0.5]).gpu_tuning(GpuTuning {
                batch: Some(lanes),
                ..Default::default()
            });
            let plan = GpuPlan::new([5, 7, 1 << 20], Dtype::F32, options.demand(), &NO_LIMITS);
            let mut plan = plan.expect("there are no limits");
            assert_eq!(plan.sizes.lanes, lanes_for(lanes as u64));
            let mut halvings = 0;
            while let Some(half) = plan.halved() {
                halvings += 1;
                assert!(half.sizes.lanes < plan.sizes.lanes, "{plan:?}");
                assert!(half.sizes.lanes >= plan.sizes.lanes / 2, "{plan:?}");
                assert!(half.sizes.rows >= 1 && half.sizes.rows <= plan.sizes.rows);
                assert!(half.device_bytes() < plan.device_bytes());
                plan = half;
            }
            assert_eq!(plan.sizes.lanes, 1);
            assert!(halvings <= 21, "{halvings}");
        }
    }

    /// The loops of every entry point, and how often an invocation runs through them in one dispatch, at most.
    fn loops(plan: &GpuPlan) -> Vec<(&'static str, usize, u64)> {
        let sizes = &plan.sizes;
        let Sizes { levels, .. } = *sizes;
        let cells_of_word = sizes.n_y.min(32);
        let tuned = u64::from(plan.iterations);
        vec![
            ("survey", 2, sizes.survey_words() * (1 + cells_of_word)),
            ("join", 2, sizes.survey_blocks() + levels),
            // One level at a time, at worst.
            ("threshold", 3, cells_of_word + levels * (1 + cells_of_word)),
            ("seed", 0, 0),
            ("flood", 1, tuned),
            ("rim", 1, cells_of_word),
            ("share_even", 1, u64::from(ITERATIONS)),
            ("share_odd", 1, u64::from(ITERATIONS)),
            ("settle", 1, cells_of_word),
            ("spread", 1, tuned),
            ("pack", 1, 32),
            ("count", 1, sizes.list_words()),
            ("sum", 1, sizes.list_blocks()),
            ("remain", 1, levels),
            ("order", 2, sizes.lanes.div_ceil(256) * (1 + 8)),
            ("collect", 2, sizes.list_words() * (1 + cells_of_word)),
        ]
    }

    #[test]
    fn no_invocation_runs_more_iterations_than_every_driver_bears() {
        let mut most = 0;
        every_plan(&tunings(), |_, _, _, plan| {
            let Ok(plan) = plan else { return };
            for (entry, _, iterations) in loops(&plan) {
                assert!(
                    iterations <= u64::from(ITERATIONS),
                    "{entry}: {iterations} in {plan:?}"
                );
                if !["flood", "share_even", "share_odd", "spread"].contains(&entry) {
                    most = most.max(iterations);
                }
            }
        });
        assert!(
            most > 8_192,
            "the largest maps and batches are among them: {most}"
        );
    }

    /// The bound above has been derived by reading these loops; another one needs another reading.
    #[test]
    fn the_bound_knows_every_loop() {
        fn loops_of(block: &Block, module: &Module) -> usize {
            let of = |function: &Function| loops_of(&function.body, module);
            block
                .iter()
                .map(|statement| match statement {
                    Statement::Loop {
                        body, continuing, ..
                    } => 1 + loops_of(body, module) + loops_of(continuing, module),
                    Statement::Block(block) => loops_of(block, module),
                    Statement::If { accept, reject, .. } => {
                        loops_of(accept, module) + loops_of(reject, module)
                    }
                    Statement::Switch { cases, .. } => {
                        cases.iter().map(|case| loops_of(&case.body, module)).sum()
                    }
                    Statement::Call { function, .. } => of(&module.functions[*function]),
                    _ => 0,
                })
                .sum()
        }
        let options = Options::new().alphas([0.5]);
        let plan = GpuPlan::new([41, 63, 1000], Dtype::F64, options.demand(), &NO_LIMITS);
        let bounds = loops(&plan.expect("there are no limits"));
        assert_eq!(bounds.len(), KERNELS.len());
        for (kernel, (entry, loops, _)) in KERNELS.iter().zip(bounds) {
            assert_eq!(kernel.entry, entry);
            for dtype in [Dtype::F32, Dtype::F64] {
                let module = naga::front::wgsl::parse_str(&source(kernel.file, dtype))
                    .expect("shaders are valid");
                let found = module
                    .entry_points
                    .iter()
                    .find(|found| found.name == entry)
                    .map(|found| loops_of(&found.function.body, &module));
                assert_eq!(found, Some(loops), "loops of {entry}");
            }
        }
    }
}
