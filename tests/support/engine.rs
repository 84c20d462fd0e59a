//! The engines under test: every way to compute that must yield the same bytes.

use std::fmt;

use peakmask::{InstructionSet, Options};

/// One way to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Engine {
    instruction_set: InstructionSet,
    threads: usize,
}

impl Engine {
    /// The numbers of threads under test: one, two, and more than most machines that run the tests have cores to spare.
    pub(crate) const THREADS: [usize; 3] = [1, 2, 7];

    /// Every instruction set that this processor offers, with every number of threads.
    pub(crate) fn all() -> Vec<Self> {
        InstructionSet::available()
            .into_iter()
            .flat_map(|instruction_set| {
                Self::THREADS.map(|threads| Self {
                    instruction_set,
                    threads,
                })
            })
            .collect()
    }

    /// Every instruction set, each with a number of threads drawn at random.
    pub(crate) fn draw(rng: &mut fastrand::Rng) -> Vec<Self> {
        InstructionSet::available()
            .into_iter()
            .map(|instruction_set| Self {
                instruction_set,
                threads: Self::THREADS[rng.usize(..Self::THREADS.len())],
            })
            .collect()
    }

    /// Options that choose this engine.
    pub(crate) fn options(self) -> Options {
        Options::new()
            .instruction_set(self.instruction_set)
            .threads(self.threads)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} thread(s)", self.instruction_set, self.threads)
    }
}
