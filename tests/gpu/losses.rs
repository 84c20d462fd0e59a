//! Devices that are lost, and devices that are too small.

use std::time::{Duration, Instant};

use peakmask::{
    Backend, Engines, Error, GpuContext, GpuFault, GpuTuning, GpuUse, Options, analyze,
};

use crate::processes::Child;
use crate::support::engine::gpu;
use crate::{Known, corridors, gpu_or_return, on};

/// A device of its own, for a test that destroys it.
fn own_context() -> GpuContext {
    GpuContext::open(&Options::new()).expect("it could be opened before")
}

fn losing(after: usize) -> GpuTuning {
    GpuTuning {
        batch: Some(64),
        slots: Some(1),
        lose_after: Some(after),
        ..Default::default()
    }
}

#[test]
fn a_lost_device_is_an_error_and_the_next_one_works() {
    gpu_or_return!();
    let known = Known::<f64>::drawn(2, [9, 20, 300]);
    for after in [0, 1, 4] {
        let context = own_context();
        for tuning in [losing(after), GpuTuning::default()] {
            let lost = analyze(known.p.view(), &known.options(&on(&context, tuning)));
            let Err(Error::GpuFailed { adapter, reason }) = &lost else {
                panic!(
                    "lost after {after} batches: {:?}",
                    lost.map(|found| found.report)
                )
            };
            assert_eq!(*adapter, context.adapter().name);
            assert!(reason.contains("lost"), "{reason}");
            assert!(
                lost.unwrap_err()
                    .to_string()
                    .contains(&context.adapter().name)
            );
        }
        let report = known.exact(&on(&own_context(), GpuTuning::default()));
        assert_eq!(report.gpu_bins, 300);
    }
}

/// So many levels that let a flood through the whole of a corridor: work for the CPU.
fn levels(n: usize) -> Vec<f64> {
    (0..n).map(|k| 0.5 + 0.01 * k as f64).collect()
}

/// The GPU computes some batches and is lost in the next: the CPU does that one, and the rest.
#[test]
fn a_gpu_that_fails_half_way_gives_its_batch_back() {
    gpu_or_return!();
    let known = Known::by_cpu(corridors([64, 64, 3_000], false), levels(4), true);
    let warm = Known::by_cpu(corridors([8, 8, 8], false), levels(4), true);
    // How far the CPU comes meanwhile is not ours to say.
    let both = (0..8).any(|_| {
        let context = own_context();
        let options = Options::new().gpu_context(&context).threads(1);
        // Kernels are compiled beforehand, so that the GPU joins at once.
        warm.exact(&options.clone().backend(Backend::Gpu));
        let report = known.exact(&options.gpu_tuning(losing(1)));
        assert_eq!(report.cpu_bins + report.gpu_bins, 3_000);
        let lost = report.no_gpu.is_some_and(|why| why.contains("lost"));
        lost && report.gpu_bins > 0 && report.cpu_bins > 0 && report.engine == Engines::Both
    });
    assert!(
        both,
        "in none of eight runs was the GPU lost after its first batch"
    );
}

#[test]
fn a_device_that_is_too_small_is_an_error_or_no_help() {
    let context = gpu_or_return!();
    let known = Known::<f64>::drawn(6, [20, 30, 100]);
    let options = on(
        context,
        GpuTuning {
            binding: Some(4_000),
            ..Default::default()
        },
    );
    let refused = analyze(known.p.view(), &known.options(&options)).map(|found| found.report);
    let Err(Error::GpuTooSmall {
        n_x: 20,
        n_y: 30,
        needed,
        limit: 4_000,
        ..
    }) = refused
    else {
        panic!("{refused:?}")
    };
    assert!(needed >= 20 * 30 * 8, "{needed}");
    let stated =
        |sentence: &str| sentence.contains(&needed.to_string()) && sentence.contains("4000");
    let sentence = refused.unwrap_err().to_string();
    assert!(stated(&sentence), "{sentence}");
    let report = known.exact(&options.backend(Backend::Auto).gpu(GpuUse::Require));
    assert_eq!((report.cpu_bins, report.gpu_bins), (100, 0));
    let why = report.no_gpu.expect("it was too small");
    assert!(stated(&why), "{why}");
}

/// A device that does not answer in time, as patience of a nanosecond makes of any, is given up for good, and closing it
/// keeps nobody waiting.
#[test]
fn a_device_that_hangs_is_given_up() {
    let name = &gpu_or_return!().adapter().name;
    let known = Known::<f64>::drawn(7, [20, 30, 300]);
    // Ready before it is hurried, so that it is the analysis that has no patience.
    let ready = || {
        let context = GpuContext::open(&Options::new().adapter(name)).expect("it was there before");
        known.exact(&on(&context, GpuTuning::default()));
        context
    };
    let hasty = |context| {
        let patience = Some(Duration::from_nanos(1));
        let tuning = GpuTuning {
            patience,
            ..Default::default()
        };
        on(context, tuning)
    };

    let context = ready();
    for options in [hasty(&context), on(&context, GpuTuning::default())] {
        let refused = analyze(known.p.view(), &known.options(&options)).map(|found| found.report);
        let Err(Error::GpuFailed { reason, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert!(reason.contains("did not answer in time"), "{reason}");
    }

    let context = ready();
    let both = hasty(&context).backend(Backend::Auto).gpu(GpuUse::Require);
    let report = known.exact(&both);
    assert_eq!((report.cpu_bins, report.gpu_bins), (300, 0));
    assert!(report.no_gpu.is_some(), "{report:?}");

    drop(context);
    known.exact(&on(&ready(), GpuTuning::default()));
}

/// A submission that takes minutes: floods that never come to an end, in very many dispatches. The driver is at work all
/// the while, and whoever asks it to wait, or to close the device, waits for it.
fn endless(context: &GpuContext) -> Options {
    let tuning = GpuTuning {
        fault: Some(GpuFault {
            file: "flood",
            from: "flags |= DONE;\n            break;",
            to: "flags |= SECOND;",
        }),
        dispatches: Some(20_000),
        patience: Some(PATIENCE),
        ..Default::default()
    };
    on(context, tuning)
}

const PATIENCE: Duration = Duration::from_secs(1);

/// A child's part: its device hangs, beside the CPU and alone.
pub(crate) fn hang(child: &mut Child) {
    let name = gpu().expect("the parent has one").adapter().name.clone();
    let open = || GpuContext::open(&Options::new().adapter(&name)).expect("it can be opened");

    // Floods of a while for the CPU, so that the GPU comes to draw a batch before all is done: how soon is not ours to say.
    let known = Known::by_cpu(corridors([64, 64, 3_000], false), levels(4), true);
    let auto = (0..8).find_map(|_| {
        let both = endless(&open())
            .backend(Backend::Auto)
            .gpu(GpuUse::Require)
            .threads(1);
        let start = Instant::now();
        let report = known.exact(&both);
        assert_eq!(report.cpu_bins, 3_000, "{report:?}");
        let why = report.no_gpu.unwrap_or_default();
        why.contains("answer")
            .then(|| (why, start.elapsed().as_millis()))
    });
    let (why, took) = auto.expect("in one of eight runs the GPU draws a batch");
    child.say("auto", why);
    child.say("took", took);

    let known = Known::<f64>::drawn(7, [20, 30, 256]);
    let context = open();
    let refused = analyze(known.p.view(), &known.options(&endless(&context)));
    child.say("gpu", refused.expect_err("it never ends"));
    let start = Instant::now();
    drop(context);
    child.say("closing", start.elapsed().as_millis());
}

#[test]
fn a_driver_that_never_comes_to_an_end_keeps_nobody() {
    gpu_or_return!();
    let start = Instant::now();
    let said = crate::processes::child("hang", &[], None);
    // Patience, kernels that are compiled, the CPU's work, and the end of the process, on a machine that is busy.
    let seconds = start.elapsed().as_secs();
    assert!(seconds < 120, "{seconds} s\n{}", said.text);
    for who in ["auto", "gpu"] {
        let answer = said.get(who);
        assert!(answer.contains("did not answer in time"), "{}", said.text);
    }
    assert!(said.value("closing") < 500, "{}", said.text);
}

/// Opened beside the CPU, as for a caller who names an adapter and keeps nothing. The CPU has floods of seconds before it,
/// which a GPU takes in a few sweeps.
#[test]
fn auto_has_both_engines_at_work() {
    let context = gpu_or_return!();
    let known = Known::by_cpu(corridors([1024, 1024, 32], false), levels(4), false);
    let options = Options::new()
        .peaks(false)
        .backend(Backend::Auto)
        .adapter(&context.adapter().name)
        .threads(1);
    let both = (0..4).any(|_| {
        let report = known.exact(&options);
        assert_eq!(report.cpu_bins + report.gpu_bins, 32);
        assert!(
            report.gpu_bins == 0 || report.no_gpu.is_none(),
            "{report:?}"
        );
        report.cpu_bins > 0 && report.gpu_bins > 0 && report.engine == Engines::Both
    });
    assert!(both, "in none of four runs did both engines take part");
}
