//! One context for many calls, one after another and side by side.

use std::thread;

use peakmask::GpuTuning;

use crate::support::float::Float;
use crate::{Known, gpu_or_return, on};

fn drawn_on<T: Float>(seed: u64, shape: [usize; 3]) {
    let context = gpu_or_return!();
    let report = Known::<T>::drawn(seed, shape).exact(&on(context, GpuTuning::default()));
    assert_eq!((report.gpu_bins, report.cpu_bins), (shape[2], 0));
}

/// Buffers of one call serve the next if they are large enough, whatever was in them.
#[test]
fn calls_of_every_sort_one_after_another() {
    for round in 0..2 {
        for (seed, shape) in (50..).zip([
            [5, 7, 300],
            [31, 65, 40],
            [1, 200, 129],
            [64, 3, 65],
            [2, 2, 1],
        ]) {
            drawn_on::<f64>(seed + round, shape);
            drawn_on::<f32>(seed + round, shape);
        }
    }
}

#[test]
fn several_threads_at_once() {
    thread::scope(|threads| {
        for k in 0..4 {
            threads.spawn(move || {
                for seed in [60, 61, 62] {
                    let shape = [5 + 3 * k, 20 + k, 100 * (k + 1)];
                    if k % 2 == 0 {
                        drawn_on::<f64>(seed, shape);
                    } else {
                        drawn_on::<f32>(seed, shape);
                    }
                }
            });
        }
    });
}
