//! Progress on the calling thread, and a switch that another thread throws.
//!
//! `cargo run --release --example cancel`

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::thread;
use std::time::Duration;

use ndarray::Array3;
use peakmask::{CancelToken, Error, Options, analyze};

fn main() -> Result<(), Error> {
    // One map, seen as a million time bins: a view costs no memory, and peaks alone cost little.
    let map = Array3::from_shape_fn((41, 63, 1), |(x, y, _)| (x * 7 + y * 11) as f64 % 97.0);
    let Some(p) = map.broadcast((41, 63, 1_000_000)) else {
        unreachable!("an axis of length one stretches to any length")
    };

    let token = CancelToken::new();
    let options = Options::new()
        .memory_limit(4 << 30)
        .cancel_token(token.clone())
        .progress(|progress| println!("{} of {} time bins", progress.done, progress.total));

    let result = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            token.cancel();
        });
        analyze(p, &options)
    });
    match result {
        Ok(analysis) => println!("finished before the switch: {} peaks", analysis.peaks.len()),
        Err(Error::Cancelled { done, .. }) => println!("cancelled after {done} time bins"),
        Err(error) => return Err(error),
    }
    Ok(())
}
