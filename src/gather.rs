//! Gathering: the peaks of batches, which are completed in any order, in the order of their time bins.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::analysis::Peaks;
use crate::columns::{Columns, Rows};
use crate::element::Element;
use crate::engine::Stop;
use crate::error::Error;
use crate::findings::FoundPeaks;
use crate::locks::lock;
use crate::memory::Budget;
use crate::queue::TICK;

/// Where the peaks of all batches come together.
pub(crate) struct Gathering<'a, T> {
    order: Mutex<Order<'a, T>>,
    /// Signalled when the turn has passed on.
    passed: Condvar,
    columns: Columns<T>,
    /// The most batches that wait for their turn: one for a worker on its own, which never does.
    most_waiting: usize,
}

/// Whose turn it is.
struct Order<'a, T> {
    /// First bin of the batch whose rows are reserved next.
    next: usize,
    /// Batches that came too early, by first bin.
    waiting: BTreeMap<usize, Found<'a, T>>,
    /// Batches from the far end, by first bin: written when all workers have ended.
    later: BTreeMap<usize, Found<'a, T>>,
    /// Lists of batches that have waited: their memory serves the next that has to. To take memory and to give it back costs
    /// more than all else that is done under the lock.
    spare: Vec<FoundPeaks<T>>,
    budget: Budget,
}

/// The peaks of a batch, and where the ends of its bins go.
struct Found<'a, T> {
    peaks: FoundPeaks<T>,
    offsets: &'a mut [i64],
}

impl<'a, T: Element> Gathering<'a, T> {
    /// Peaks are appended to those of `peaks`, and come from maps with rows of `n_y` cells.
    pub(crate) fn new(
        peaks: &mut Peaks<T>,
        n_y: usize,
        budget: Budget,
        most_waiting: usize,
    ) -> Self {
        Self {
            order: Mutex::new(Order {
                next: 0,
                waiting: BTreeMap::new(),
                later: BTreeMap::new(),
                spare: Vec::new(),
                budget,
            }),
            passed: Condvar::new(),
            columns: Columns::open(peaks, n_y),
            most_waiting,
        }
    }

    /// Takes the peaks of the bins from `first` on: reserves their rows when it is their turn, and writes them, and those of
    /// batches that have waited for that, outside the lock. False when work should stop.
    ///
    /// Batches that wait are few: a worker that is far ahead waits too. Batches that are not `in_turn` wait for the end. What
    /// has to wait is taken out of `peaks`, and room for `room` peaks left in its place. What need not wait is written on the
    /// threads of a pool, if there is one.
    #[expect(clippy::too_many_arguments, reason = "what a batch hands over")]
    pub(crate) fn add(
        &self,
        first: usize,
        in_turn: bool,
        peaks: &mut FoundPeaks<T>,
        offsets: &'a mut [i64],
        room: usize,
        pool: Option<&ThreadPool>,
        stop: &Stop,
    ) -> Result<bool, Error> {
        let mut order = lock(&self.order);
        order.budget.take_peaks(peaks.cells.len())?;
        if !in_turn {
            let peaks = std::mem::replace(peaks, FoundPeaks::new(room)).shrunk();
            order.later.insert(first, Found { peaks, offsets });
            return Ok(true);
        }
        while order.next != first && order.waiting.len() >= self.most_waiting {
            if stop.requested() {
                return Ok(false);
            }
            order = self
                .passed
                .wait_timeout(order, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if order.next != first {
            let spare = order.spare.pop();
            let peaks = std::mem::replace(peaks, spare.unwrap_or_else(|| FoundPeaks::new(room)));
            order.waiting.insert(first, Found { peaks, offsets });
            return Ok(true);
        }
        let rows = self.reserve(&mut order, peaks)?;
        let mut ready = Vec::new();
        while let Some(found) = order.next_waiting() {
            ready.push((self.reserve(&mut order, &found.peaks)?, found));
        }
        drop(order);
        // To wake is a call of the operating system, which a worker on its own need not make.
        if self.most_waiting > 1 {
            self.passed.notify_all();
        }
        self.write(rows, peaks, offsets, pool);
        for (rows, mut found) in ready {
            self.write(rows, &found.peaks, found.offsets, pool);
            found.peaks.clear();
            lock(&self.order).spare.push(found.peaks);
        }
        Ok(true)
    }

    /// Writes the peaks of the batches from the far end, each freed at once, on the threads of a pool, if there is one.
    pub(crate) fn add_later(&self, pool: Option<&ThreadPool>) -> Result<(), Error> {
        let mut order = lock(&self.order);
        let mut ready = Vec::new();
        while let Some((first, found)) = order.later.pop_first() {
            if first != order.next {
                // Work was stopped before all bins in between were done.
                break;
            }
            ready.push((self.reserve(&mut order, &found.peaks)?, found));
        }
        drop(order);
        let write = |(rows, found): (Rows, Found<'_, T>)| {
            self.write(rows, &found.peaks, found.offsets, None);
        };
        match pool {
            None => ready.into_iter().for_each(write),
            Some(pool) => pool.install(|| ready.into_par_iter().for_each(write)),
        }
        Ok(())
    }

    /// What is left of the memory limit.
    pub(crate) fn with_budget<R>(&self, look: impl FnOnce(&mut Budget) -> R) -> R {
        look(&mut lock(&self.order).budget)
    }

    /// Has whoever waits look around.
    pub(crate) fn wake(&self) {
        self.passed.notify_all();
    }

    /// Gives the columns back to the peaks that they were taken from: with all rows if they are `wanted`, else as they were.
    pub(crate) fn close(self, peaks: &mut Peaks<T>, wanted: bool) {
        self.columns.close(peaks, wanted);
    }

    fn reserve(&self, order: &mut Order<'a, T>, peaks: &FoundPeaks<T>) -> Result<Rows, Error> {
        let assumed = order.budget.assumed_peaks();
        let rows = self.columns.reserve(peaks.cells.len(), assumed)?;
        order.next += peaks.counts.len();
        Ok(rows)
    }

    /// Writes a batch into its rows, on the threads of a pool, if there is one.
    fn write(
        &self,
        rows: Rows,
        peaks: &FoundPeaks<T>,
        offsets: &mut [i64],
        pool: Option<&ThreadPool>,
    ) {
        let mut row = rows.first() as i64;
        for (end, &count) in offsets.iter_mut().zip(&peaks.counts) {
            row += i64::from(count);
            *end = row;
        }
        self.columns.write(rows, peaks, pool);
    }
}

impl<'a, T> Order<'a, T> {
    fn next_waiting(&mut self) -> Option<Found<'a, T>> {
        self.waiting.remove(&self.next)
    }
}
