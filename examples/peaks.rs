//! Peaks, prominences and a mask of a small posterior made on the spot.
//!
//! `cargo run --example peaks`

#![expect(clippy::print_stdout, reason = "a program that prints")]

use ndarray::Array3;
use peakmask::{Error, Options, analyze};

fn main() -> Result<(), Error> {
    let p = two_places();
    let analysis = analyze(p.view(), &Options::new().alphas([0.5]))?;

    for (t, bin) in analysis.peaks.bins().enumerate() {
        println!("time bin {t}: {} peaks", bin.len());
        for ((xy, height), prominence) in bin.coords.iter().zip(bin.heights).zip(bin.prominences) {
            println!("  at {xy:?}: height {height:.4}, prominence {prominence:.4}");
        }
    }

    println!("cells at half the height of the dominant peak, in time bin 0:");
    for row in analysis.masks[0].index_axis(ndarray::Axis(2), 0).rows() {
        println!(
            "  {}",
            row.iter()
                .map(|&inside| if inside { '#' } else { '.' })
                .collect::<String>()
        );
    }
    Ok(())
}

/// Three time bins of a 9 x 16 map: one place fades, another one brightens.
fn two_places() -> Array3<f64> {
    let bump = |x: usize, y: usize, at: [f64; 2]| {
        (-((x as f64 - at[0]).powi(2) + (y as f64 - at[1]).powi(2)) / 4.0).exp()
    };
    let mut p = Array3::from_shape_fn((9, 16, 3), |(x, y, t)| {
        let brightness = 0.2 + 0.3 * t as f64;
        (1.0 - brightness) * bump(x, y, [3.0, 4.0]) + brightness * bump(x, y, [5.0, 11.0])
    });
    for mut map in p.axis_iter_mut(ndarray::Axis(2)) {
        let sum = map.sum();
        map /= sum;
    }
    p
}
