//! The memory that this process may still take, and who says so.

use std::fmt;

use crate::{Error, Estimate, MemoryGuard, Options};

/// A number of bytes, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes that results and scratch may take together.
    pub bytes: u64,
    /// Who set it.
    pub source: LimitSource,
}

/// Where a memory limit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitSource {
    /// The caller gave it.
    Caller,
    /// Available physical memory.
    Physical,
    /// The limit of the process's control group, less what the group uses (page cache not counted).
    ControlGroup,
    /// The operating system did not tell.
    Unknown,
}

impl fmt::Display for LimitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "given by the caller",
            Self::Physical => "available physical memory",
            Self::ControlGroup => "limit of the process's control group",
            Self::Unknown => "unknown to the operating system",
        })
    }
}

impl MemoryLimit {
    /// What the machine and the process's control group have to spare now: the smaller of the two.
    pub fn detect() -> Self {
        Self {
            bytes: u64::MAX,
            source: LimitSource::Unknown,
        }
    }
}

/// What is left of the memory limit while peaks are found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    estimate: Estimate,
    limit: Option<MemoryLimit>,
    guard: MemoryGuard,
    peaks: u64,
}

impl Budget {
    /// Refuses an estimate above the limit, as the options say.
    pub(crate) fn new(estimate: Estimate, options: &Options) -> Result<Self, Error> {
        let guard = options.memory_guard;
        let limit = match options.memory_limit {
            _ if guard == MemoryGuard::Off => None,
            Some(bytes) => Some(MemoryLimit {
                bytes,
                source: LimitSource::Caller,
            }),
            None => Some(MemoryLimit::detect()),
        };
        let mut budget = Self {
            estimate,
            limit,
            guard,
            peaks: 0,
        };
        budget.check(estimate.total(), None)?;
        Ok(budget)
    }

    /// Counts peaks that are about to be stored.
    pub(crate) fn take_peaks(&mut self, peaks: usize) -> Result<(), Error> {
        self.peaks += peaks as u64;
        self.check(self.estimate.total_with(self.peaks), Some(self.peaks))
    }

    fn check(&mut self, needed: u64, peaks: Option<u64>) -> Result<(), Error> {
        let Some(limit) = self.limit.filter(|limit| needed > limit.bytes) else {
            return Ok(());
        };
        let error = Error::OverBudget {
            needed,
            limit: limit.bytes,
            source_of_limit: limit.source,
            peaks,
        };
        if self.guard == MemoryGuard::Strict {
            return Err(error);
        }
        log::warn!("{error}");
        // Said once.
        self.limit = None;
        Ok(())
    }
}
