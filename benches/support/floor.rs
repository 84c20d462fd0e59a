//! The floor: what reading the input and writing the masks costs when nothing is computed.

use std::time::{Duration, Instant};

use rayon::ThreadPool;
use rayon::prelude::*;

/// Runs `work` on a pool of its own, so that the floor has as many threads as the figure beside it.
pub(crate) fn pool(threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads for the floor")
}

/// XOR of all words, each thread reading one part.
pub(crate) fn read(words: &[u64], pool: &ThreadPool) -> u64 {
    pool.install(|| {
        words
            .par_chunks(part(words.len(), pool))
            .map(|part| part.iter().fold(0, |sum, word| sum ^ word))
            .reduce(|| 0, |a, b| a ^ b)
    })
}

/// Sets every cell of a mask, each thread writing one part.
pub(crate) fn fill(mask: &mut [bool], value: bool, pool: &ThreadPool) {
    pool.install(|| {
        mask.par_chunks_mut(part(mask.len(), pool))
            .for_each(|part| part.fill(value));
    });
}

fn copy(from: &[u64], to: &mut [u64], pool: &ThreadPool) {
    let part = part(from.len(), pool);
    pool.install(|| {
        to.par_chunks_mut(part)
            .zip(from.par_chunks(part))
            .for_each(|(to, from)| to.copy_from_slice(from));
    });
}

fn part(len: usize, pool: &ThreadPool) -> usize {
    len.div_ceil(pool.current_num_threads()).max(1)
}

/// Speeds of the floor's read and of a copy, in bytes of input a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speeds {
    /// Bytes read a second.
    pub(crate) read: f64,
    /// Bytes copied a second.
    pub(crate) copy: f64,
}

/// Times [`read`] beside a copy of the same words (at most 256 MiB of them): the best of seven each, alternating.
pub(crate) fn speeds(words: &[u64], pool: &ThreadPool) -> Speeds {
    let words = &words[..words.len().min(1 << 25)];
    let mut to = vec![1; words.len()];
    let mut best = [Duration::MAX; 2];
    for _ in 0..7 {
        let start = Instant::now();
        std::hint::black_box(read(words, pool));
        best[0] = best[0].min(start.elapsed());
        let start = Instant::now();
        copy(words, &mut to, pool);
        std::hint::black_box(&mut to);
        best[1] = best[1].min(start.elapsed());
    }
    let [read, copy] = best.map(|time| size_of_val(words) as f64 / time.as_secs_f64());
    Speeds { read, copy }
}
