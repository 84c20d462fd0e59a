//! The jobs that are timed on a bed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytemuck::Pod;
use peakmask::{Analysis, Element};

use crate::bed::{Bed, Job};

/// All jobs, by name.
pub(crate) fn jobs<T: Element + Pod>() -> [(&'static str, Job<T>); 5] {
    [
        ("end_to_end", |bed, engine| timed(|| bed.reanalyse(engine))),
        ("fresh", |bed, engine| {
            timed(|| {
                let analysis = bed.analysis(engine);
                black_box(read_all(&analysis));
                // Freed after the clock has stopped.
                analysis
            })
        }),
        ("peaks_only", |bed, engine| timed(|| bed.peaks_only(engine))),
        ("masks_only", |bed, engine| timed(|| bed.masks_only(engine))),
        ("floor", Bed::floor),
    ]
}

fn timed<R>(job: impl FnOnce() -> R) -> Duration {
    let start = Instant::now();
    let result = black_box(job());
    let time = start.elapsed();
    drop(result);
    time
}

fn read_all<T: Element + Pod>(analysis: &Analysis<T>) -> u64 {
    let peaks = &analysis.peaks;
    let masks = analysis
        .masks
        .iter()
        .map(|mask| bytemuck::cast_slice(mask.as_slice().expect("masks in C order")));
    masks
        .chain([
            bytemuck::cast_slice(&peaks.offsets),
            bytemuck::cast_slice(&peaks.coords),
            bytemuck::cast_slice(&peaks.prominences),
            bytemuck::cast_slice(&peaks.heights),
        ])
        .map(|bytes: &[u8]| {
            let (head, words, tail) = bytemuck::pod_align_to::<u8, u64>(bytes);
            let ends = head.iter().chain(tail).fold(0, |sum, byte| sum ^ byte);
            words.iter().fold(u64::from(ends), |sum, &word| sum ^ word)
        })
        .fold(0, |sum, part| sum ^ part)
}
