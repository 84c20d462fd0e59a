//! Where the time of the whole job goes: its phases on one thread of the CPU, with the floor beside them, and its stages
//! on a GPU.
//!
//! ```text
//! cargo bench -p peakmask-benches --bench stages                      criterion
//! cargo bench -p peakmask-benches --bench stages -- 'gm_xyt.*flood'   criterion, ids that match
//! ```
//!
//! | id ends in | what is timed |
//! |---|---|
//! | `cpu/survey` | loading tiles, their minima, maxima and first maxima |
//! | `cpu/compare` | values against thresholds and neighbours |
//! | `cpu/flood` | regions from the dominant peaks |
//! | `cpu/bases` | peaks in order, bases of plateaus |
//! | `cpu/emit` | masks and peaks written |
//! | `gpu/upload`, `gpu/readback`, `gpu/expand` | values into mapped memory, results out of it, masks and peaks written |
//! | `gpu/kernels` | all kernels, by the device's clock; without one, from submission to completion |
//! | `gpu/survey` and other stems of `shaders/` | the kernels of one file, where the device has a clock |
//! | `floor` | XOR of the input's 64-bit words, and `fill` of the same warm masks |
//!
//! A phase's time is what the report of the whole job into warm outputs says of it, so all of the job runs for each
//! figure. Checks, inputs and environment variables are those of `end_to_end`.

#[path = "support/bed.rs"]
mod bed;
#[path = "support/case.rs"]
mod case;
#[path = "support/check.rs"]
mod check;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/floor.rs"]
mod floor;
#[path = "support/inputs.rs"]
mod inputs;
#[path = "support/stack.rs"]
mod stack;
#[path = "support/suite.rs"]
mod suite;
#[path = "support/value.rs"]
mod value;

use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use bed::{Bed, Job};
use case::{cases, engines};
use engine::Engine;
use ndarray::Array3;
use peakmask::{GpuSeconds, Options, Seconds, analyze};
use suite::{Figure, Suite, measure};
use value::Value;

fn main() {
    measure::<Stages>(&cases());
}

/// The phases of the whole job.
struct Stages;

impl Suite for Stages {
    // All of the job runs for each of its phases: the clock on the wall shows several times this.
    const TIME: Duration = Duration::from_millis(200);

    fn figures<T: Value>() -> Vec<Figure<T>> {
        let gpu = engines().contains(&Engine::Gpu);
        let clock = gpu && device_clock();
        let on_cpu = cpu::<T>().into_iter().map(|job| (Engine::Cpu(1), job));
        let on_gpu = gpu.then(gpu_phases::<T>).into_iter().flatten();
        let by_clock = clock.then(gpu_stages::<T>).into_iter().flatten();
        let on_gpu = on_gpu.chain(by_clock).map(|job| (Engine::Gpu, job));
        on_cpu
            .chain(on_gpu)
            .map(|(engine, (name, job))| Figure {
                topic: "stages",
                name: String::from(name),
                engine,
                job,
            })
            .collect()
    }
}

fn cpu<T: Value>() -> [(&'static str, Job<T>); 6] {
    [
        ("cpu/survey", |bed, engine| {
            phase(bed, engine, |seconds| seconds.survey)
        }),
        ("cpu/compare", |bed, engine| {
            phase(bed, engine, |seconds| seconds.compare)
        }),
        ("cpu/flood", |bed, engine| {
            phase(bed, engine, |seconds| seconds.flood)
        }),
        ("cpu/bases", |bed, engine| {
            phase(bed, engine, |seconds| seconds.bases)
        }),
        ("cpu/emit", |bed, engine| {
            phase(bed, engine, |seconds| seconds.emit)
        }),
        ("floor", Bed::floor),
    ]
}

fn gpu_phases<T: Value>() -> [(&'static str, Job<T>); 4] {
    [
        ("gpu/upload", |bed, engine| {
            on_gpu(bed, engine, |seconds| seconds.upload)
        }),
        ("gpu/kernels", |bed, engine| {
            on_gpu(bed, engine, |seconds| seconds.kernels)
        }),
        ("gpu/readback", |bed, engine| {
            on_gpu(bed, engine, |seconds| seconds.readback)
        }),
        ("gpu/expand", |bed, engine| {
            on_gpu(bed, engine, |seconds| seconds.expand)
        }),
    ]
}

/// In the order of the report.
fn gpu_stages<T: Value>() -> [(&'static str, Job<T>); 6] {
    [
        ("gpu/survey", stage::<T, 0>),
        ("gpu/threshold", stage::<T, 1>),
        ("gpu/flood", stage::<T, 2>),
        ("gpu/bases", stage::<T, 3>),
        ("gpu/pack", stage::<T, 4>),
        ("gpu/collect", stage::<T, 5>),
    ]
}

fn phase<T: Value>(bed: &mut Bed<T>, engine: Engine, of: fn(Seconds) -> f64) -> Duration {
    Duration::from_secs_f64(of(bed.reanalyse(engine).seconds))
}

fn stage<T: Value, const STAGE: usize>(bed: &mut Bed<T>, engine: Engine) -> Duration {
    on_gpu(bed, engine, |seconds| seconds.stages[STAGE])
}

fn on_gpu<T: Value>(bed: &mut Bed<T>, engine: Engine, of: fn(GpuSeconds) -> f64) -> Duration {
    let gpu = bed.reanalyse(engine).gpu.expect("a GPU took part");
    Duration::from_secs_f64(of(gpu.seconds))
}

/// Whether the device tells the time of a stage; a line says so if it does not.
fn device_clock() -> bool {
    static CLOCK: OnceLock<bool> = OnceLock::new();
    *CLOCK.get_or_init(|| {
        let p = Array3::from_shape_fn((3, 3, 1), |(x, y, _)| (x + y) as f32);
        let options = Options::from(Engine::Gpu).alphas([0.5]);
        let analysis = analyze(p.view(), &options).expect("an analysis of one map");
        let by_device = analysis.report.gpu.is_some_and(|gpu| gpu.seconds.by_device);
        if !by_device {
            let said = "The GPU has no clock: its stages are not told apart.";
            writeln!(std::io::stderr(), "{said}").expect("standard error");
        }
        by_device
    })
}
