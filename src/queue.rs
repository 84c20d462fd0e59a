//! The queue: the time bins that nobody has completed, in batches that each have a part of every output to themselves.

use std::ops::Range;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::engine::Stop;
use crate::locks::lock;
use crate::outputs::Parts;

/// How long a worker waits before it looks around again.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// Batches are split between such time bins alone, so that no byte of packed masks has two writers.
pub(crate) const BYTE: usize = 8;

/// A range of time bins and its part of every output.
#[derive(Debug)]
pub(crate) struct Batch<'a, T> {
    bins: Range<usize>,
    /// The first bin that has not been completed.
    pub(crate) next: usize,
    /// Outputs of masks from the first bin on; offsets of peaks from the next bin on.
    pub(crate) parts: Parts<'a, T>,
    /// Whether it was taken from the near end, so that all bins before it have been taken too and its peaks may wait for
    /// their turn.
    pub(crate) in_turn: bool,
}

impl<'a, T> Batch<'a, T> {
    /// All bins from 0 to `n_t`, with all outputs.
    pub(crate) fn whole(n_t: usize, parts: Parts<'a, T>) -> Self {
        Self {
            bins: 0..n_t,
            next: 0,
            parts,
            in_turn: true,
        }
    }

    /// The bins that have not been completed.
    pub(crate) fn left(&self) -> Range<usize> {
        self.next..self.bins.end
    }

    /// Number of bins that have not been completed.
    pub(crate) fn len(&self) -> usize {
        self.left().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left().is_empty()
    }

    /// Where the next bin lies in the outputs of masks.
    pub(crate) fn at(&self) -> usize {
        self.next - self.bins.start
    }

    /// Takes the offsets of the next `n` bins.
    pub(crate) fn take_offsets(&mut self, n: usize) -> &'a mut [i64] {
        let offsets = std::mem::take(&mut self.parts.offsets);
        if offsets.is_empty() {
            return offsets;
        }
        let (taken, others) = offsets.split_at_mut(n);
        self.parts.offsets = others;
        taken
    }

    /// Keeps what lies before bin `middle`, a multiple of eight or the end, and yields the rest.
    fn split_off(&mut self, middle: usize) -> Self {
        debug_assert!(middle >= self.next && middle <= self.bins.end);
        let parts = if middle == self.bins.end {
            Parts::default()
        } else {
            self.parts
                .split_off(middle - self.bins.start, middle - self.next)
        };
        let bins = middle..self.bins.end;
        self.bins.end = middle;
        Self {
            next: middle,
            bins,
            parts,
            in_turn: self.in_turn,
        }
    }

    /// Takes the first bins away: `most` of them or eight, or fewer.
    fn take(&mut self, most: usize) -> Self {
        let end = self.next.saturating_add(most.max(BYTE));
        if end >= self.bins.end {
            return self.take_all();
        }
        // A byte of which a part is done stays whole.
        let rest = self.split_off(end / BYTE * BYTE);
        std::mem::replace(self, rest)
    }

    /// Takes the last bins away: `most` of them or eight, or fewer.
    fn take_last(&mut self, most: usize) -> Self {
        let from = (self.bins.end.saturating_sub(most.max(BYTE))).max(self.next);
        let middle = match from == self.next {
            true => from,
            false => from.next_multiple_of(BYTE).min(self.bins.end),
        };
        match middle == self.next {
            true => self.take_all(),
            false => self.split_off(middle),
        }
    }

    /// Takes all bins away.
    pub(crate) fn take_all(&mut self) -> Self {
        let rest = self.split_off(self.bins.end);
        std::mem::replace(self, rest)
    }
}

/// The time bins of one analysis that nobody has completed.
pub(crate) struct Queue<'a, T> {
    left: Mutex<Left<'a, T>>,
    /// Signalled when a batch has been returned, or when one that might have been has been completed.
    changed: Condvar,
}

struct Left<'a, T> {
    /// Bins that nobody has taken yet.
    rest: Batch<'a, T>,
    /// Batches that an engine took and could not complete.
    returned: Vec<Batch<'a, T>>,
    /// Batches taken by workers that may return them.
    away: usize,
}

impl<'a, T> Queue<'a, T> {
    pub(crate) fn new(rest: Batch<'a, T>) -> Self {
        Self {
            left: Mutex::new(Left {
                rest,
                returned: Vec::new(),
                away: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// The next batch, of at most `most` bins or eight, for a worker that completes what it takes; none when all bins are
    /// completed, or when work should stop. While others may still return something it waits, and calls `idle` now and then.
    pub(crate) fn next(&self, most: usize, stop: &Stop, idle: impl Fn()) -> Option<Batch<'a, T>> {
        let mut left = lock(&self.left);
        loop {
            if stop.requested() {
                return None;
            }
            let batch = match left.returned.last_mut() {
                Some(returned) => returned.take(most),
                None => left.rest.take(most),
            };
            left.returned.retain(|batch| !batch.is_empty());
            if !batch.is_empty() {
                return Some(batch);
            }
            if left.away == 0 {
                return None;
            }
            // What is away may come back.
            left = self
                .changed
                .wait_timeout(left, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            drop(left);
            idle();
            left = lock(&self.left);
        }
    }

    /// A batch for a worker that may return it, and says so by [`settle`](Self::settle): as many bins as `size` says of those
    /// that nobody has taken, from the far end, or, `in_turn`, from the near one. None if that is none.
    pub(crate) fn draw(
        &self,
        in_turn: bool,
        size: impl FnOnce(usize) -> usize,
    ) -> Option<Batch<'a, T>> {
        let mut left = lock(&self.left);
        let most = size(left.rest.len());
        if most == 0 {
            return None;
        }
        let batch = match in_turn {
            true => left.rest.take(most),
            false => Batch {
                in_turn,
                ..left.rest.take_last(most)
            },
        };
        if batch.is_empty() {
            return None;
        }
        left.away += 1;
        Some(batch)
    }

    /// Ends what [`draw`](Self::draw) began; `returned` has not been completed.
    pub(crate) fn settle(&self, returned: Option<Batch<'a, T>>) {
        let mut left = lock(&self.left);
        left.away -= 1;
        // Who takes an empty batch believes that all is done.
        left.returned
            .extend(returned.filter(|batch| !batch.is_empty()));
        drop(left);
        self.changed.notify_all();
    }

    /// Number of bins that nobody has taken.
    pub(crate) fn untaken(&self) -> usize {
        lock(&self.left).rest.len()
    }

    /// Has whoever waits look around.
    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }
}
