//! A closed loop: one time bin after another, as an online decoder hands them over, each analysed in microseconds.
//!
//! ```text
//! cargo run --release --example closed_loop
//! ```

use std::time::{Duration, Instant};

use ndarray::Array3;
use peakmask::{Analyzer, Backend, Options, Outputs, Peaks};

/// What a decoder would say of time bin `t`: a bump that moves, and a second, lower one.
fn decode(t: usize, p: &mut Array3<f64>) {
    let bump = |x: usize, y: usize, at: (f64, f64)| {
        let (dx, dy) = (x as f64 - at.0, y as f64 - at.1);
        (-(dx * dx + dy * dy) / 18.0).exp()
    };
    let angle = t as f64 / 50.0;
    let at = (20.0 + 12.0 * angle.sin(), 31.0 + 20.0 * angle.cos());
    for ((x, y, _), value) in p.indexed_iter_mut() {
        *value = bump(x, y, at) + 0.3 * bump(x, y, (8.0, 50.0));
    }
}

#[expect(clippy::print_stdout, reason = "an example")]
fn main() -> Result<(), peakmask::Error> {
    // Made once: threads, scratch and the memory limit are kept. One thread answers fastest when there is one bin.
    let options = Options::new()
        .alphas([0.5, 0.9])
        .threads(1)
        .backend(Backend::Cpu);
    let mut analyzer = Analyzer::new([41, 63], options)?;

    // So are the outputs.
    let mut p = Array3::zeros((41, 63, 1));
    let mut half = Array3::from_elem((41, 63, 1), false);
    let mut peaks = Peaks::new();

    let mut times = Vec::new();
    for t in 0..1_000 {
        decode(t, &mut p);
        let start = Instant::now();
        // The mask of alpha 0.9 is not asked for, and costs nothing.
        let outputs = Outputs::new().peaks(&mut peaks).mask(0, half.view_mut());
        analyzer.run(p.view(), outputs)?;
        times.push(start.elapsed());

        let bin = peaks.bin(0);
        let area = half.iter().filter(|&&inside| inside).count();
        if t % 250 == 0 {
            println!(
                "bin {t}: {} peaks, the first at {:?}; {area} cells within half of the highest",
                bin.len(),
                bin.coords[0]
            );
        }
        // Here a stimulator would decide.
        assert!(area > 0);
    }
    times.sort();
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "median {:.1} us, 99th percentile {:.1} us",
        us(times[500]),
        us(times[990])
    );
    Ok(())
}
