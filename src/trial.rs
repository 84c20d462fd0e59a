//! The trial of drivers, in the process that is there for it.

use std::io::{self, Write as _};

use ndarray::Array3;

use crate::analyzer::analyze;
use crate::choices::Backend;
use crate::driver::{BEGINS, LOOKED};
use crate::gpus::adapters;
use crate::options::Options;

/// Does with the drivers of GPUs what an analysis by `backend` would do with these options or, without one, what
/// [`adapters`](crate::adapters) does, and tells of it on the standard output: the part of the process that
/// [`Trial::of`](crate::Trial::of) has started, where there is an example.
///
/// What fails in an orderly way will do so again where it matters, and is nothing here. The process should end when its
/// standard input does, and at once when this returns: drivers have code of their own for the end of a process.
pub fn try_drivers(options: &Options, backend: Option<Backend>) {
    say(BEGINS);
    let chosen = adapters(options).is_ok_and(|adapters| adapters.chosen.is_some());
    if backend == Some(Backend::Gpu) || backend.is_some() && chosen {
        let p = Array3::from_shape_fn((4, 4, 4), |(x, y, t)| (x * y + t) as f32);
        let options = options.clone().alphas([0.5]).backend(Backend::Gpu);
        let _ = analyze(p.view(), &options);
    }
    say(LOOKED);
}

fn say(line: &str) {
    let mut stdout = io::stdout();
    // Who does not listen need not be told.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
