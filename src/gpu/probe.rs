//! The probe: a known posterior that decides whether a device is trusted. Some drivers compile a kernel wrong, or stop it
//! early, without a word.

use ndarray::Array3;

use super::context::Context;
use super::device::{Failure, FailureKind};
use super::engine::{Gpu, Host};
use super::kernels::Pipelines;
use super::plan::GpuPlan;
use super::slot::Slot;
use crate::engine::{Call, Engine, Finisher, Halt, Stop, Task};
use crate::findings::Findings;
use crate::posterior::Posterior;
use crate::{Element, InstructionSet, Options, Seconds};

const STAGE: &str = "probing the device";

/// The known posterior's maps: wide enough for rows of several words, and so large that the maze's flood takes more
/// iterations than [`DISPATCHES`] have.
const SHAPE: [usize; 3] = [48, 257, 6];
/// Dispatches in the first submission: 98,304 iterations in all, which must survive being cut up, and which are more than
/// any driver is known to count to.
const DISPATCHES: u32 = 3;
const ALPHAS: [f64; 2] = [0.5, 0.9];

/// Analyses the known posterior on the device, and refuses the device if the finisher finds anything else.
pub(super) fn probe<T: Element>(
    context: &Context,
    pipelines: &std::sync::Arc<Pipelines>,
    finisher: Finisher<T>,
) -> Result<(), Failure> {
    let failure = |message: String| Failure {
        kind: FailureKind::Rejected,
        stage: STAGE,
        message,
    };
    let variant = pipelines.variant;
    let alphas = if variant.masks { &ALPHAS[..] } else { &[] };
    let mut options = Options::new()
        .alphas(alphas.iter().copied())
        .peaks(variant.peaks)
        .threads(1);
    options.gpu_tuning.slots = Some(1);
    options.gpu_tuning.group = Some(variant.group);
    options.gpu_tuning.iterations = Some(variant.iterations);
    options.gpu_tuning.dispatches = Some(DISPATCHES);
    options.gpu_tuning.rounds = Some(u32::MAX);
    let gpu_plan = GpuPlan::new(SHAPE, T::DTYPE, &options, &context.device().limits())
        .map_err(|too_large| failure(format!("a small map does not fit: {too_large:?}")))?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|error| failure(error.to_string()))?;
    let instruction_set = InstructionSet::detect();
    let host = Host::new(&pool, finisher, instruction_set);

    let [n_x, n_y, n_t] = SHAPE;
    let known = Array3::from_shape_fn((n_x, n_y, n_t), |(x, y, t)| T::from(known(x, y, t)));
    let p = Posterior::new(known.view()).map_err(|error| failure(error.to_string()))?;
    let stop = Stop::default();
    let task = Task {
        alphas,
        connectivity: variant.connectivity,
        peaks: variant.peaks,
    };
    let call = Call {
        p: &p,
        bins: 0..n_t,
        task,
        stop: &stop,
    };
    let (mut expected, mut found) = (Findings::new(0), Findings::new(0));
    let slot = Slot::new(context.device(), &gpu_plan.sizes)?;
    let mut gpu = Gpu::new(context, pipelines, slot, gpu_plan, host, Default::default())?;
    match gpu.run(&call, &mut found, &mut Seconds::default()) {
        Ok(_) => {}
        Err(Halt::Failed(reason)) => return Err(failure(reason)),
        Err(Halt::Stopped) => return Err(failure("stopped".to_owned())),
    }
    if variant.masks && gpu.tally.continued_bins == 0 {
        let iterations = DISPATCHES * variant.iterations;
        return Err(failure(format!(
            "a maze that takes more than {iterations} iterations was done in fewer; the device or its driver computes wrong, and is not used"
        )));
    }
    let mut reference = finisher(SHAPE, alphas.len(), instruction_set);
    if reference
        .run(&call, &mut expected, &mut Seconds::default())
        .is_err()
    {
        return Err(failure("the known posterior was not analysed".to_owned()));
    }
    match expected.differs(&found, n_t, alphas.len() * n_x * n_y) {
        None => Ok(()),
        Some(what) => Err(failure(format!(
            "{what} of a known posterior differ from those of the CPU; the device or its driver computes wrong, and is not used"
        ))),
    }
}

/// The value of a cell of the known posterior, a small integer.
fn known(x: usize, y: usize, t: usize) -> i16 {
    let (n_x, n_y) = (SHAPE[0], SHAPE[1]);
    match t {
        // A maze: corridors up and down, joined at alternate ends, so that each sweep gains one.
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
