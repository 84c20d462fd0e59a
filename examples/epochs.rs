//! Several epochs, one after the other, into the same arrays: memory is taken once.
//!
//! `cargo run --example epochs`

#![expect(clippy::print_stdout, reason = "a program that prints")]

use ndarray::{Array3, s};
use peakmask::{Error, Options, Peaks, analyze_into};

fn main() -> Result<(), Error> {
    let epochs = [300, 1_000, 650].map(wandering_place);
    let longest = epochs.iter().map(|p| p.dim().2).max().unwrap_or(0);

    let options = Options::new().alphas([0.5, 0.9]);
    let mut half = Array3::from_elem((30, 40, longest), false);
    let mut core = half.clone();
    let mut peaks = Peaks::new();

    for (n, p) in epochs.iter().enumerate() {
        let n_t = p.dim().2;
        let mut masks = [&mut half, &mut core].map(|mask| mask.slice_mut(s![.., .., ..n_t]));
        let report = analyze_into(p.view(), &options, &mut masks, &mut peaks)?;

        let [half, core] = masks.map(|mask| area(&mask.view()));
        println!(
            "epoch {n}: {} peaks in {n_t} time bins; {half:.1} cells at half height, {core:.1} at nine tenths; {:.1} ms",
            report.peaks,
            report.seconds.total * 1e3,
        );
    }
    Ok(())
}

/// Mean number of cells in a mask.
fn area(mask: &ndarray::ArrayView3<'_, bool>) -> f64 {
    mask.iter().filter(|&&inside| inside).count() as f64 / mask.dim().2 as f64
}

/// A place that wanders over a 30 x 40 map.
fn wandering_place(n_t: usize) -> Array3<f64> {
    Array3::from_shape_fn((30, 40, n_t), |(x, y, t)| {
        let (phase, t) = (n_t as f64, t as f64);
        let (cx, cy) = (
            15.0 + 10.0 * (t / 50.0 + phase).sin(),
            20.0 + 15.0 * (t / 80.0).cos(),
        );
        (-((x as f64 - cx).powi(2) + (y as f64 - cy).powi(2)) / 18.0).exp()
    })
}
