//! What the report says about time.

use peakmask::GpuTuning;

use crate::{Known, gpu_or_return, on};

/// With one batch in flight its phases follow each other, and so none can take longer than the whole.
#[test]
fn phases_of_one_slot_fit_into_the_whole() {
    let context = gpu_or_return!();
    let tuning = GpuTuning {
        slots: Some(1),
        batch: Some(512),
        ..Default::default()
    };
    let known = Known::<f64>::drawn(41, [41, 63, 2_048]);
    let report = known.exact(&on(context, tuning));
    let gpu = report.gpu.clone().expect("it ran");
    let seconds = gpu.seconds;
    assert!(gpu.batches >= 4 && seconds.wait > 0.0, "{gpu:?}");
    // Software computes in what the host calls waiting: most of the whole, so that what is counted twice shows.
    let phases = seconds.upload + seconds.wait + seconds.readback + seconds.expand;
    assert!(phases <= report.seconds.total, "{report:?}");
    assert!(
        seconds.kernels > 0.0 && seconds.kernels <= seconds.wait,
        "{gpu:?}"
    );
    if seconds.by_device {
        let stages: f64 = seconds.stages.iter().sum();
        assert!((stages - seconds.kernels).abs() < 1e-9, "{gpu:?}");
    } else {
        assert_eq!(seconds.kernels, seconds.wait);
    }
}
