//! Opens a GPU once and analyses several epochs on it; without one it says why.
//!
//! `cargo run --release --example gpu`

#![expect(clippy::print_stdout, reason = "a program that prints")]

use ndarray::Array3;
use peakmask::{Backend, GpuContext, Options, analyze};

fn main() -> Result<(), peakmask::Error> {
    let context = match GpuContext::open(&Options::new()) {
        Ok(context) => context,
        Err(no_gpu) => {
            println!("{no_gpu}");
            return Ok(());
        }
    };
    println!("{}", context.adapter());
    let options = Options::new()
        .alphas([0.5, 0.9])
        .backend(Backend::Gpu)
        .gpu_context(&context);
    for epoch in 0..3 {
        // A cone around a cell that moves on with every time bin.
        let p = Array3::from_shape_fn((41, 63, 2000), |(x, y, t)| {
            1.0 / (1 + x.abs_diff((t + epoch) % 41) + y.abs_diff(t % 63)) as f64
        });
        let analysis = analyze(p.view(), &options)?;
        let report = &analysis.report;
        println!(
            "epoch {epoch}: {} peaks in {} bins, {} of them on the GPU, {:.3} s",
            report.peaks, report.bins, report.gpu_bins, report.seconds.total
        );
    }
    Ok(())
}
