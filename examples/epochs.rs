//! Many short epochs at once, read where they lie: about as fast as one long recording.
//!
//! `cargo run --release --example epochs`

#![expect(clippy::print_stdout, reason = "a program that prints")]

use ndarray::Array3;
use peakmask::{Error, Options, analyze_many};

fn main() -> Result<(), Error> {
    // 500 epochs of 3 to 40 time bins.
    let epochs: Vec<_> = (0..500)
        .map(|n| wandering_place(3 + n * 7 % 38, n))
        .collect();
    let views: Vec<_> = epochs.iter().map(|epoch| epoch.view()).collect();

    let results = analyze_many(&views, &Options::new().alphas([0.5, 0.9]))?;
    for (n, epoch) in results.epochs().enumerate().step_by(100) {
        let peaks: usize = epoch.bins().map(|bin| bin.len()).sum();
        let [half, core] = [0, 1].map(|alpha| {
            let inside = epoch.mask(alpha).iter().filter(|&&inside| inside).count();
            inside as f64 / epoch.n_bins() as f64
        });
        println!(
            "epoch {n}: {peaks} peaks in {} time bins; {half:.1} cells at half height, {core:.1} at nine tenths",
            epoch.n_bins()
        );
    }
    let report = &results.analysis.report;
    println!(
        "{} epochs, {} time bins in {:.1} ms",
        results.len(),
        report.bins,
        report.seconds.total * 1e3
    );
    Ok(())
}

/// A place that wanders over a 30 x 40 map.
fn wandering_place(n_t: usize, epoch: usize) -> Array3<f64> {
    Array3::from_shape_fn((30, 40, n_t), |(x, y, t)| {
        let t = (t + 40 * epoch) as f64;
        let (cx, cy) = (
            15.0 + 10.0 * (t / 50.0).sin(),
            20.0 + 15.0 * (t / 80.0).cos(),
        );
        (-((x as f64 - cx).powi(2) + (y as f64 - cy).powi(2)) / 18.0).exp()
    })
}
