//! The probe: known posteriors that decide whether a device is trusted. Some drivers compile a kernel wrong, or stop it
//! early, without a word.
//!
//! One posterior is of mazes, whose floods take long. The other one is of values: full mantissas and such as differ in
//! their lowest bits alone, every special value, levels that cells reach by one bit or miss by one, plateaus, in more
//! lanes than a workgroup has, words of lanes and words of cells that are not full, and more peaks than there is room for.

use std::sync::Arc;

use ndarray::Array3;

use super::context::Context;
use super::device::{Failure, FailureKind};
use super::engine::{Gpu, Host};
use super::kernels::Pipelines;
use super::plan::{GpuPlan, ITERATIONS};
use super::slot::Slot;
use crate::choices::{Level, NanPolicy, Prominence, Region};
use crate::engine::{Call, Engine, Finisher, Halt, Stop, Task};
use crate::findings::Findings;
use crate::posterior::Posterior;
use crate::tuning::{Demand, GpuTuning};
use crate::{Dtype, Element, InstructionSet, Seconds};

const STAGE: &str = "probing the device";

/// Wide enough for rows of several words, and so large that a maze's flood takes more iterations than [`DISPATCHES`] have.
const MAZES: [usize; 3] = [48, 257, 6];
/// Dispatches in the first submission: 98,304 iterations in all, which must survive being cut up, and which are more than
/// any driver is known to count to.
const DISPATCHES: u32 = 3;

/// Rows of three words, the last of them short; more lanes than three workgroups have, the last word of them short.
const VALUES: [usize; 3] = [7, 70, 203];
/// Room for peaks, of which there are some ten thousand.
const ROOM: usize = 3_000;
/// Factors of levels: ordinary ones, with all bits of a product in use, and some that make an infinity, or nothing, or no
/// number of what is infinite.
const FACTORS: [f64; 6] = [
    1.0 - 1.0 / 8_388_608.0,
    0.731_058_578_630_004_9,
    f64::from_bits(0x3fe2_2c70_f86d_1407),
    f64::from_bits(0x3fee_55fd_5308_36d7),
    1.5,
    0.0,
];
/// Heights beside which cells lie that reach a level by a bit, or miss it by one: the number of a factor, and the bits of a
/// height in `f64` and in `f32`. Products lie so close to the middle of two neighbours that every part of them counts: in
/// the second and third row for `f64` their very last bits, in all rows but the first for `f32` any word of theirs.
const BRINKS: [(usize, u64, u64); 6] = [
    (0, 0x3ff0_1234_5678_9abc, 0x3f80_1234),
    (2, 0x3ff2_36eb_2265_b1f5, 0x3fc0_e6f3),
    (3, 0x3ffe_623b_c2ce_6f45, 0x3f8f_6e29),
    (1, 0x3fef_edcb_a987_6543, 0x3f94_7fbf),
    (1, 0x3ff7_6543_210f_edcb, 0x3fce_3a8e),
    (2, 0x3ff3_3333_3333_3333, 0x3fed_6135),
];

/// A posterior whose analysis is known.
struct Known<T> {
    p: Array3<T>,
    factors: &'static [f64],
    tuning: GpuTuning,
    /// Whether its floods need more than one submission.
    long: bool,
}

/// Analyses known posteriors on the device, and refuses the device if the finisher finds anything else.
pub(super) fn probe<T: Element>(
    context: &Context,
    pipelines: &Arc<Pipelines>,
    finisher: Finisher<T>,
) -> Result<(), Failure> {
    let mazes = Known {
        p: Array3::from_shape_fn(MAZES, |(x, y, t)| T::from(maze(x, y, t))),
        factors: &[0.5, 0.9],
        tuning: GpuTuning {
            iterations: Some(ITERATIONS),
            dispatches: Some(DISPATCHES),
            ..GpuTuning::default()
        },
        long: true,
    };
    let values = Known {
        p: Array3::from_shape_fn(VALUES, |(x, y, t)| from_bits(value::<T>(x, y, t))),
        factors: &FACTORS,
        tuning: GpuTuning {
            rows: Some(ROOM),
            ..GpuTuning::default()
        },
        long: false,
    };
    [mazes, values]
        .into_iter()
        .try_for_each(|known| compare(context, pipelines, finisher, known))
}

fn failure(message: String) -> Failure {
    Failure {
        kind: FailureKind::Rejected,
        stage: STAGE,
        message,
    }
}

/// Has the device and the finisher analyse a posterior.
fn compare<T: Element>(
    context: &Context,
    pipelines: &Arc<Pipelines>,
    finisher: Finisher<T>,
    known: Known<T>,
) -> Result<(), Failure> {
    let variant = pipelines.variant;
    let nan_policy = match variant.off_track {
        true => NanPolicy::OffTrack,
        false => NanPolicy::Silence,
    };
    let factors = if variant.levels > 0 {
        known.factors
    } else {
        &[]
    };
    let levels: Vec<_> = factors
        .iter()
        .flat_map(|&factor| [Level::OfPeak(factor), Level::Absolute(1.0 + factor)])
        .collect();
    let tuning = GpuTuning {
        slots: Some(1),
        group: Some(variant.group),
        rounds: Some(u32::MAX),
        few: Some(0),
        ..known.tuning
    };
    let demand = Demand {
        levels: levels.len(),
        peaks: variant.peaks,
        connectivity: variant.connectivity,
        region: variant.region,
        nan_policy,
        memory_limit: None,
        tuning: &tuning,
    };
    let p = Posterior::new(known.p.view()).map_err(|error| failure(error.to_string()))?;
    let [n_x, n_y, n_t] = p.shape();
    let plan = GpuPlan::new(p.shape(), T::DTYPE, demand, &context.device().limits())
        .map_err(|too_large| failure(format!("a small map does not fit: {too_large:?}")))?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|error| failure(error.to_string()))?;
    let instruction_set = InstructionSet::detect();
    let host = Host::new(&pool, finisher, instruction_set);
    let slot = Slot::new(context.device(), &plan.sizes)?;
    let mut gpu = Gpu::new(context, pipelines, slot, plan, host, tuning)?;
    let mut reference = finisher(p.shape(), levels.len(), instruction_set);

    let stop = Stop::default();
    let (mut expected, mut found) = (Findings::new(0), Findings::new(0));
    let mut first = 0;
    while first < n_t {
        let mut call = Call {
            p: &p,
            bins: first..n_t.min(first + gpu.lanes()),
            task: Task {
                measures: false,
                levels: &levels,
                connectivity: variant.connectivity,
                region: variant.region,
                nan_policy,
                peaks: variant.peaks,
                prominence: Prominence::Reference,
            },
            stop: &stop,
        };
        match gpu.run(&call, &mut found, &mut Seconds::default()) {
            Ok(_) => {}
            Err(Halt::Failed(reason)) => return Err(failure(reason)),
            Err(Halt::Stopped) => return Err(failure("stopped".to_owned())),
        }
        // The finisher stops early where there are many peaks.
        let end = call.bins.end;
        let mut lane = 0;
        while first < end {
            call.bins = first..end;
            let Ok(done) = reference.run(&call, &mut expected, &mut Seconds::default()) else {
                return Err(failure("the known posterior was not analysed".to_owned()));
            };
            if let Some(what) =
                found.differs(lane..lane + done, &expected, levels.len() * n_x * n_y)
            {
                return Err(failure(format!(
                    "{what} of a known posterior differ from those of the CPU; the device or its driver computes wrong, and is not used"
                )));
            }
            lane += done;
            first += done;
        }
    }
    let floods = variant.levels > 0 && variant.region == Region::Dominant;
    if known.long && floods && gpu.tally.continued_bins == 0 {
        let iterations = DISPATCHES * ITERATIONS;
        return Err(failure(format!(
            "a maze that takes more than {iterations} iterations was done in fewer; the device or its driver computes wrong, and is not used"
        )));
    }
    Ok(())
}

/// The value of a cell of the mazes, a small integer.
fn maze(x: usize, y: usize, t: usize) -> i16 {
    let [n_x, n_y, _] = MAZES;
    match t {
        // Corridors up and down, joined at alternate ends, so that each sweep gains one.
        0 => match (y % 2, y % 4) {
            (0, _) => 8 + i16::from(x == 0 && y == 0),
            (_, 1) => 8 * i16::from(x == n_x - 1),
            _ => 8 * i16::from(x == 0),
        },
        // The same on its side.
        1 => match (x % 2, x % 4) {
            (0, _) => 8 + i16::from(x == 0 && y == 0),
            (_, 1) => 8 * i16::from(y == n_y - 1),
            _ => 8 * i16::from(y == 0),
        },
        // A plateau with a hole, a shoulder and a rim of several heights, beside a higher peak.
        2 => {
            let inside = (5..30).contains(&x)
                && (20..200).contains(&y)
                && !((10..20).contains(&x) && (40..90).contains(&y));
            6 * i16::from(inside)
                + 5 * i16::from(x == 31 && y == 100)
                + 9 * i16::from(x == 38 && y == 250)
                + i16::from(y == 201)
        }
        // Pseudo-random, with many ties, negative values among them.
        3 => ((x * 7919 + y * 104_729 + x * y * 31) % 23) as i16 - 11,
        // A slope.
        4 => (x * 3 + y) as i16,
        // Constant: no peaks, no mask.
        _ => 4,
    }
}

/// The bits of a cell of the values.
fn value<T: Element>(x: usize, y: usize, t: usize) -> u64 {
    let [n_x, n_y, _] = VALUES;
    let (bits, fraction, exponents) = match T::DTYPE {
        Dtype::F32 => (32, 23, 0xff),
        Dtype::F64 => (64, 52, 0x7ff),
    };
    let drawn = scattered([x, y, t]);
    let mantissa = drawn >> (64 - fraction);
    let sign = drawn & 1;
    let infinity = exponents << fraction;
    let one = (exponents / 2) << fraction;
    let round = t / 10;
    let special = [
        0,
        1,
        mantissa,
        (1 << fraction) - 1,
        1 << fraction,
        one,
        infinity - 1,
        infinity,
    ];
    let signed = |bits_of: u64| bits_of | sign << (bits - 1);
    match t % 10 {
        // From 1 to 2, with every bit of the mantissa in use.
        0 => one | mantissa,
        // The same, but for the lowest bits alone: half of a mantissa, at most a word.
        1 => one | mantissa >> (fraction - fraction.min(64 - bits + 16)),
        // Any finite number.
        2 => signed(drawn >> (65 - bits)).min(signed(infinity - 1)),
        // Special values alone: infinities, zeros, the least and the greatest of each sort.
        3 => signed(special[(drawn >> 8) as usize % special.len()]),
        // No number in one cell, of every sort.
        4 => match scattered([t, 0, 1]) as usize % (n_x * n_y) == x * n_y + y {
            true => signed(infinity | [1, 1 << (fraction - 1), mantissa | 1][round % 3]),
            false => one | mantissa,
        },
        // Zeros of both signs, which are one constant; now and then with one number above them or below.
        5 => match (x, y, round % 3) {
            (3, 40, 1) => 1,
            (3, 40, 2) => 1 << (bits - 1) | 1,
            _ => signed(0),
        },
        // A height, and cells that lie at a level, just above it and just below; one level after the other.
        6 | 7 => {
            let (factor, wide, narrow) = BRINKS[(2 * round + t % 2) % BRINKS.len()];
            let height = match T::DTYPE {
                Dtype::F64 => wide,
                Dtype::F32 => narrow,
            };
            if (x, y) == (t % n_x, t % n_y) {
                return height;
            }
            let level = to_bits(T::threshold(FACTORS[factor], from_bits(height)));
            level - 1 + (drawn >> 8) % 3
        }
        // Plateaus of a few heights, across words.
        8 => one | 5 | (scattered([x / 2, y / (3 + round % 20), t]) % 3) << (fraction - 9),
        // Negative and very small numbers.
        _ => match round % 2 {
            0 => 1 << (bits - 1) | one | mantissa,
            _ => signed(mantissa),
        },
    }
}

/// Numbers that look as if drawn at random, one for each place.
fn scattered(place: [usize; 3]) -> u64 {
    // The finalizer of SplitMix64.
    place.into_iter().fold(0, |state: u64, coordinate| {
        let state = (state ^ coordinate as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ state >> 31
    })
}

fn from_bits<T: Element>(bits: u64) -> T {
    match T::DTYPE {
        Dtype::F32 => bytemuck::pod_read_unaligned(&(bits as u32).to_ne_bytes()),
        Dtype::F64 => bytemuck::pod_read_unaligned(&bits.to_ne_bytes()),
    }
}

fn to_bits<T: Element>(value: T) -> u64 {
    match T::DTYPE {
        Dtype::F32 => u64::from(bytemuck::pod_read_unaligned::<u32>(bytemuck::bytes_of(
            &value,
        ))),
        Dtype::F64 => bytemuck::pod_read_unaligned(bytemuck::bytes_of(&value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the documentation of this file promises is there, in both types.
    #[test]
    fn values_are_of_every_sort() {
        fn of_type<T: Element>(infinity: u64) {
            let [n_x, n_y, n_t] = VALUES;
            let sign = (infinity << 1) & !infinity;
            let bins: Vec<Vec<u64>> = (0..n_t)
                .map(|t| {
                    let cells = (0..n_x * n_y).map(|cell| (cell / n_y, cell % n_y));
                    cells.map(|(x, y)| value::<T>(x, y, t)).collect()
                })
                .collect();
            let any = |is: &dyn Fn(u64) -> bool| bins.iter().flatten().any(|&bits| is(bits));
            let least = infinity & infinity.wrapping_neg();
            for bits in [0, 1, least - 1, least, infinity - 1, infinity] {
                assert!(any(&|found| found == bits), "{bits:x}");
                assert!(any(&|found| found == bits | sign), "-{bits:x}");
            }
            assert!(any(&|found| found & !sign > infinity), "no number");
            // In some bins all values have one high half.
            let high = |bits: u64| bits >> (least.trailing_zeros() - 20).max(16);
            let by_low_bits = |bin: &Vec<u64>| {
                bin.iter().all(|&bits| high(bits) == high(bin[0]))
                    && bin.iter().any(|&bits| bits != bin[0])
            };
            assert!(bins.iter().any(by_low_bits));
        }
        of_type::<f32>(0x7f80_0000);
        of_type::<f64>(0x7ff0_0000_0000_0000);
    }
}
