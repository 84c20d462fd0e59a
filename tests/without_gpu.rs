//! A build without the GPU engine does all else, and says what it lacks.

#![cfg(not(feature = "gpu"))]

use ndarray::Array3;
use peakmask::{Backend, Error, GpuContext, GpuUse, Options, adapters, analyze};

const ABSENT: &str = "this build of peakmask has no GPU engine";

#[test]
fn auto_works_and_says_why_no_gpu_took_part() {
    let p = Array3::from_shape_fn((5, 6, 70), |(x, y, t)| ((x * 7 + y * 3 + t) % 11) as f64);
    let options = Options::new().alphas([0.5]);
    let report = analyze(p.view(), &options).unwrap().report;
    assert_eq!((report.cpu_bins, report.gpu_bins), (70, 0));
    assert!(report.no_gpu.unwrap().contains(ABSENT));
    let by_cpu = analyze(p.view(), &options.backend(Backend::Cpu)).unwrap();
    assert_eq!(by_cpu.report.no_gpu, None);
}

#[test]
fn a_gpu_that_is_asked_for_is_an_error() {
    let p = Array3::<f32>::zeros((2, 2, 2));
    let refused = [
        analyze(p.view(), &Options::new().backend(Backend::Gpu)).map(|_| ()),
        analyze(p.view(), &Options::new().gpu(GpuUse::Require)).map(|_| ()),
        GpuContext::open(&Options::new()).map(|_| ()),
    ];
    for refused in refused {
        let Err(Error::NoGpu { reason }) = refused else {
            panic!("{refused:?}")
        };
        assert!(reason.contains(ABSENT), "{reason}");
    }
    let none = adapters(&Options::new()).unwrap();
    assert!(none.found.is_empty() && none.chosen.is_none() && none.why.contains(ABSENT));
}
