//! Memory that is short: on the device, on the host, and by the caller's word.

use ndarray::Array3;
use peakmask::{
    AdapterKind, Backend, Dtype, Error, GpuTuning, MemoryGuard, Options, analyze, estimate,
};

use crate::processes::{Child, child};
use crate::{Known, gpu_or_return, on};

#[test]
fn the_callers_limit_of_device_memory_holds() {
    let context = gpu_or_return!();
    let known = Known::<f64>::drawn(12, [20, 30, 400]);
    let plain = on(context, GpuTuning::default());
    let whole = known.exact(&plain).gpu.expect("it ran");
    let limit = whole.device_bytes / 4;
    let less = known
        .exact(&plain.clone().gpu_memory_limit(limit))
        .gpu
        .expect("it ran");
    assert!(
        less.device_bytes <= limit && less.batch_bins < whole.batch_bins,
        "{less:?}"
    );
    let none = analyze(
        known.p.view(),
        &known.options(&plain.gpu_memory_limit(10_000)),
    );
    let Err(Error::GpuTooSmall {
        needed,
        limit: 10_000,
        what,
        ..
    }) = none.map(|found| found.report)
    else {
        panic!("10,000 bytes were enough")
    };
    assert!(
        needed > 10_000 && what.contains("device"),
        "{needed} {what}"
    );
}

/// Values that kernels read where the host has written them, and values that are copied first: the answers are the same,
/// and a device that shares the host's memory takes that much less of it.
#[test]
fn values_are_copied_only_to_a_memory_of_its_own() {
    let context = gpu_or_return!();
    let known = Known::<f64>::drawn(13, [20, 33, 300]);
    let bytes = |mapped| {
        let tuning = GpuTuning {
            mapped,
            slots: Some(2),
            batch: Some(96),
            ..GpuTuning::default()
        };
        let gpu = known.exact(&on(context, tuning)).gpu.expect("it ran");
        (gpu.device_bytes, gpu.staging_bytes)
    };
    let shared = matches!(
        context.adapter().kind,
        AdapterKind::Software | AdapterKind::Integrated
    );
    let (as_it_lies, copied) = (bytes(None), bytes(Some(false)));
    let values = if shared { 2 * 96 * 20 * 33 * 8 } else { 0 };
    assert_eq!(as_it_lies, (copied.0 - values, copied.1));
}

/// Results come first: a GPU's staging is cut to what they leave of the limit.
#[test]
fn staging_is_cut_to_what_the_memory_guard_leaves() {
    let context = gpu_or_return!();
    // One peak a bin: more than assumed would count against the limit as well.
    let slope = Array3::from_shape_fn((20, 30, 400), |(x, y, t)| (x * 31 + y + t) as f32);
    let known = Known::new(slope, [0.5, 0.9], false);
    let options = known.options(&on(context, GpuTuning::default()));
    let whole = analyze(known.p.view(), &options)
        .expect("it is analysed")
        .report;
    let results = estimate([20, 30, 400], Dtype::F32, &options)
        .expect("it has cells")
        .total();
    let staging = whole.gpu.expect("it ran").staging_bytes;
    let tight = options.clone().memory_limit(results + staging / 8);
    let report = known.exact(&tight);
    let gpu = report.gpu.expect("it ran");
    assert!((1..400).contains(&gpu.batch_bins), "{gpu:?}");
    assert!(gpu.staging_bytes <= staging / 8, "{gpu:?}");
    let refused =
        analyze(known.p.view(), &options.memory_limit(results + 1000)).map(|found| found.report);
    let Err(Error::GpuTooSmall {
        needed,
        limit: 1000,
        what,
        ..
    }) = refused
    else {
        panic!("{refused:?}")
    };
    assert!(needed > 1000 && what.contains("host"), "{needed} {what}");
}

/// Batches for which the system has no address space left: first what a process needs before them, then little more.
#[test]
fn batches_are_halved_until_there_is_memory_for_them() {
    gpu_or_return!();
    let before = child("halving", &[], None).value("VmSize");
    let limit = before + 700 * 1024;
    let halved = child("halving", &[("PEAKMASK_TEST_HALVE", "1")], Some(limit));
    assert!(halved.value("halvings") > 0, "{}", halved.text);
}

/// Analyses in batches that take more than a gigabyte; without the variable it only says what it takes before them.
pub(crate) fn halving(child: &mut Child) {
    let context = gpu_or_return!();
    let known = Known::new(
        Array3::from_shape_fn((41, 63, 300), |(x, y, t)| {
            ((x * 7 + y * 13 + t * 3) % 29) as f64
        }),
        [0.5],
        false,
    );
    // Without poison, which takes memory that nobody has set aside.
    let options = Options::new()
        .backend(Backend::Gpu)
        .gpu_context(context)
        .memory_guard(MemoryGuard::Off);
    let large = GpuTuning {
        batch: Some(6_464),
        ..Default::default()
    };
    // Compiles the kernels.
    known.exact(&options);
    child.say("VmSize", vm_size());
    if std::env::var_os("PEAKMASK_TEST_HALVE").is_some() {
        let report = known.exact(&options.clone().gpu_tuning(large));
        let gpu = report.gpu.expect("it ran");
        child.say("halvings", gpu.halvings as u64);
        assert!(gpu.batch_bins < 6_464, "{gpu:?}");
        // And the device goes on.
        known.exact(&options);
    }
}

/// Kilobytes of address space, as `ulimit -v` counts them.
fn vm_size() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.map_or(0, |number| number.parse().expect("a number of kilobytes"))
}
