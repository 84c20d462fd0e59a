//! The memory that this process may still take, who says so, and what an analysis takes of it.

mod control_group;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::choices::MemoryGuard;
use crate::error::{Error, LimitSource};
use crate::locks::lock;
use crate::plan::Estimate;

/// So large a block lies in a mapping of its own, which grows without a copy, and leaves no hole in the heap.
pub(crate) const MAPPED: usize = 33 << 20;

/// A number of bytes, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes that results and scratch may take together.
    pub bytes: u64,
    /// Who set it.
    pub source: LimitSource,
}

impl MemoryLimit {
    /// What the machine and the process's control group have to spare now, the smaller of the two, less what they need
    /// themselves: 64 MiB or, if that is more, a twentieth of it. Programs, page tables and buffers of files take some, too.
    ///
    /// Where the operating system tells neither, `bytes` is `u64::MAX` and `source` is [`LimitSource::Unknown`].
    pub fn detect() -> Self {
        if cfg!(miri) {
            // Miri sees no operating system.
            return Self::smaller(None, None);
        }
        Self::smaller(
            available_physical(),
            control_group::bytes_left(Path::new("/")),
        )
        .with_headroom()
    }

    fn with_headroom(self) -> Self {
        const LEAST: u64 = 64 << 20;
        let headroom = match self.source {
            LimitSource::Unknown => 0,
            _ => LEAST.max(self.bytes / 20),
        };
        Self {
            bytes: self.bytes.saturating_sub(headroom),
            ..self
        }
    }

    fn smaller(physical: Option<u64>, control_group: Option<u64>) -> Self {
        let by = |source| move |bytes| Self { bytes, source };
        [
            physical.map(by(LimitSource::Physical)),
            control_group.map(by(LimitSource::ControlGroup)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|limit| limit.bytes)
        .unwrap_or(Self {
            bytes: u64::MAX,
            source: LimitSource::Unknown,
        })
    }
}

/// What programs can take without swapping; `None` where `sysinfo` does not know the operating system.
fn available_physical() -> Option<u64> {
    let ram = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(ram);
    (system.total_memory() > 0).then(|| system.available_memory())
}

/// A memory limit that is read when it is first needed, and again when the need is large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptLimit {
    found: Option<MemoryLimit>,
}

/// What this process has last found, and when.
static RECENT: Mutex<Option<(Instant, MemoryLimit)>> = Mutex::new(None);

impl KeptLimit {
    /// The limit is read again when an analysis needs more than this part of it.
    const LARGE: u64 = 16;
    /// How long other analyses of this process may use what one has found.
    const RECENTLY: Duration = Duration::from_secs(1);

    /// With what another analysis of this process has found a moment ago.
    pub(crate) fn recent() -> Self {
        let recent = lock(&RECENT).filter(|(when, _)| when.elapsed() < Self::RECENTLY);
        Self {
            found: recent.map(|(_, limit)| limit),
        }
    }

    /// The limit for an analysis that needs so many bytes; none if the guard is off.
    pub(crate) fn for_need(
        &mut self,
        needed: u64,
        given: Option<u64>,
        guard: MemoryGuard,
    ) -> Option<MemoryLimit> {
        if guard == MemoryGuard::Off {
            return None;
        }
        if let Some(bytes) = given {
            return Some(MemoryLimit {
                bytes,
                source: LimitSource::Caller,
            });
        }
        let small = |limit: &MemoryLimit| needed <= limit.bytes / Self::LARGE;
        Some(self.found.filter(small).unwrap_or_else(|| {
            let limit = MemoryLimit::detect();
            self.found = Some(limit);
            *lock(&RECENT) = Some((Instant::now(), limit));
            limit
        }))
    }
}

/// What is left of the memory limit while peaks are found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    estimate: Estimate,
    limit: Option<MemoryLimit>,
    guard: MemoryGuard,
    peaks: u64,
    /// Bytes of listed cells.
    listed: u64,
}

impl Budget {
    /// Refuses an estimate above the limit, if there is one.
    pub(crate) fn new(
        estimate: Estimate,
        limit: Option<MemoryLimit>,
        guard: MemoryGuard,
    ) -> Result<Self, Error> {
        let mut budget = Self {
            estimate,
            limit,
            guard,
            peaks: 0,
            listed: 0,
        };
        budget.check(estimate.total(), None)?;
        Ok(budget)
    }

    /// The number of peaks for which the estimate has room.
    pub(crate) fn assumed_peaks(&self) -> u64 {
        self.estimate.assumed_peaks
    }

    /// Bytes that are left when everything that is planned has been taken; none, if nobody counts.
    pub(crate) fn left(&self) -> Option<u64> {
        let peaks = self.peaks.max(self.estimate.assumed_peaks);
        let taken = self.needed(peaks);
        self.limit.map(|limit| limit.bytes.saturating_sub(taken))
    }

    /// Counts bytes beyond the estimate, which [`left`](Self::left) had room for.
    pub(crate) fn take_bytes(&mut self, bytes: u64) {
        self.estimate.fixed_bytes = self.estimate.fixed_bytes.saturating_add(bytes);
    }

    /// Counts peaks that are about to be stored.
    pub(crate) fn take_peaks(&mut self, peaks: usize) -> Result<(), Error> {
        self.peaks += peaks as u64;
        self.check(self.needed(self.peaks), Some(self.peaks))
    }

    /// Counts bytes of listed cells that have been stored.
    pub(crate) fn take_listed(&mut self, bytes: u64) -> Result<(), Error> {
        self.listed += bytes;
        self.check(self.needed(self.peaks), Some(self.peaks))
    }

    /// Bytes with this number of peaks.
    fn needed(&self, peaks: u64) -> u64 {
        let more = self.listed.saturating_sub(self.estimate.list_bytes);
        self.estimate.total_with(peaks).saturating_add(more)
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
            fits: None,
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

/// What a thread unwinds with when the operating system refuses memory for its scratch.
///
/// Scratch is taken deep inside a batch. Whoever runs one notes how it ended, panics included, and makes an error of this.
#[derive(Debug)]
struct Refused {
    bytes: u64,
}

/// The error of a thread that has unwound: of memory that was refused, or else, with the panic's `message`, of a defect.
pub(crate) fn error_of(panic: &(dyn Any + Send), message: impl FnOnce() -> String) -> Error {
    match panic.downcast_ref::<Refused>() {
        Some(&Refused { bytes }) => Error::OutOfMemory { bytes },
        None => Error::Worker { message: message() },
    }
}

/// Memory that is laid by, untouched, and given back once the system refuses more: to unwind, and to say so, takes some.
static LAID_BY: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// More than allocators ask of the system at a time.
const BYTES_LAID_BY: usize = 4 << 20;

/// Whether what was laid by has been given back, and not been laid by again.
static GIVEN_BACK: AtomicBool = AtomicBool::new(false);

fn lay_by() -> Result<(), Error> {
    let mut laid_by = lock(&LAID_BY);
    let bytes = BYTES_LAID_BY.saturating_sub(laid_by.capacity());
    laid_by
        .try_reserve_exact(bytes)
        .map_err(|_| Error::OutOfMemory {
            bytes: bytes as u64,
        })?;
    GIVEN_BACK.store(false, Ordering::SeqCst);
    Ok(())
}

/// Whether there is far more than what is laid by.
fn plenty() -> bool {
    let mut tried = Vec::<u8>::new();
    let there = tried.try_reserve_exact(16 * BYTES_LAID_BY).is_ok();
    // Memory that nobody looks at a compiler need not ask for.
    std::hint::black_box(&tried);
    there
}

/// Does what takes scratch where nobody else notes how it ends.
pub(crate) fn taking<R>(scratch: impl FnOnce() -> R) -> Result<R, Error> {
    lay_by()?;
    catch_unwind(AssertUnwindSafe(scratch)).map_err(|panic| {
        if panic.is::<Refused>() {
            error_of(&*panic, String::new)
        } else {
            resume_unwind(panic)
        }
    })
}

/// Room for so many values, if `take` finds it. What was given back is for those who unwind: until there is plenty again, or the
/// next call begins, no other thread is given more, or it takes that too.
fn grant<V, R, E>(len: usize, take: impl FnOnce() -> Result<R, E>) -> R {
    let free = !GIVEN_BACK.load(Ordering::SeqCst) || (plenty() && lay_by().is_ok());
    match free.then(take) {
        Some(Ok(taken)) => taken,
        _ => refuse::<V>(len),
    }
}

fn refuse<V>(len: usize) -> ! {
    // Else what was asked for was too much, and nobody is short of memory.
    if !plenty() {
        GIVEN_BACK.store(true, Ordering::SeqCst);
        drop(std::mem::take(&mut *lock(&LAID_BY)));
    }
    let bytes = (len as u64).saturating_mul(size_of::<V>() as u64);
    // Without a word on the standard error: it is no defect.
    resume_unwind(Box::new(Refused { bytes }))
}

/// An empty vector with room, whose memory is touched only when it is written.
pub(crate) fn room<V>(len: usize) -> Vec<V> {
    let mut vector = Vec::new();
    grant::<V, _, _>(len, || vector.try_reserve_exact(len));
    vector
}

/// Makes room for so many more values.
pub(crate) fn reserve<V>(vector: &mut Vec<V>, more: usize) {
    if vector.capacity() - vector.len() < more {
        let len = vector.len().saturating_add(more);
        grant::<V, _, _>(len, || vector.try_reserve(more));
    }
}

/// A vector of zeros, whose memory is touched only when it is written.
pub(crate) fn zeros<V: bytemuck::Zeroable>(len: usize) -> Vec<V> {
    grant::<V, _, _>(len, || bytemuck::allocation::try_zeroed_vec(len))
}

/// A vector of so many copies of a value.
pub(crate) fn filled<V: Clone>(len: usize, value: V) -> Vec<V> {
    let mut vector = room(len);
    vector.resize(len, value);
    vector
}

/// Makes a vector as long as this, with copies of a value where it grows.
pub(crate) fn resize<V: Clone>(vector: &mut Vec<V>, len: usize, value: V) {
    if vector.capacity() < len {
        let more = len - vector.len();
        grant::<V, _, _>(len, || vector.try_reserve_exact(more));
    }
    vector.resize(len, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_of_the_two_wins_and_is_named() {
        let limit = MemoryLimit::smaller(Some(5), Some(3));
        assert_eq!((limit.bytes, limit.source), (3, LimitSource::ControlGroup));
        let limit = MemoryLimit::smaller(Some(2), Some(3));
        assert_eq!((limit.bytes, limit.source), (2, LimitSource::Physical));
        let limit = MemoryLimit::smaller(None, None);
        assert_eq!(
            (limit.bytes, limit.source),
            (u64::MAX, LimitSource::Unknown)
        );
    }

    #[test]
    fn refused_scratch_is_an_error_and_other_panics_go_on() {
        let most = usize::MAX >> 4;
        let refused = Error::OutOfMemory { bytes: most as u64 };
        assert_eq!(taking(|| room::<u8>(most)), Err(refused.clone()));
        assert_eq!(taking(|| zeros::<u8>(most)), Err(refused.clone()));
        assert_eq!(taking(|| resize(&mut vec![1_u8], most, 0)), Err(refused));
        assert_eq!(taking(|| zeros::<u32>(3)), Ok(vec![0; 3]));
        let defect = catch_unwind(|| taking(|| resume_unwind(Box::new("a defect"))));
        assert!(defect.is_err());
    }

    #[test]
    fn headroom_is_the_larger_of_64_mib_and_a_twentieth() {
        let left = |bytes, source| MemoryLimit { bytes, source }.with_headroom().bytes;
        assert_eq!(left(100 << 20, LimitSource::Physical), 36 << 20);
        assert_eq!(left(60 << 20, LimitSource::ControlGroup), 0);
        assert_eq!(left(20 << 30, LimitSource::Physical), 19 << 30);
        assert_eq!(left(u64::MAX, LimitSource::Unknown), u64::MAX);
    }

    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "windows"))]
    #[test]
    fn this_machine_has_a_limit() {
        let limit = MemoryLimit::detect();
        assert_ne!(limit.source, LimitSource::Unknown);
        assert!(limit.bytes > 0 && limit.bytes < 1 << 62, "{limit:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn available_physical_memory_is_the_kernels_figure() {
        let kernel = || {
            let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
            let line = meminfo
                .lines()
                .find(|l| l.starts_with("MemAvailable:"))
                .unwrap();
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<u64>()
                .unwrap()
                * 1024
        };
        let (before, found, after) = (kernel(), available_physical().unwrap(), kernel());
        let slack = 256 << 20; // Others allocate meanwhile.
        assert!(found + slack >= before.min(after) && found <= before.max(after) + slack);
    }
}
