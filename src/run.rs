//! The run: workers that take batches from the queue, have an engine analyse them, and write what it finds.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use rayon::ThreadPool;

use crate::analysis::Seconds;
use crate::choices::{NanPolicy, Progress, ProgressFn};
use crate::element::Element;
use crate::engine::{Call, Engine, Halt, Stop, Task};
use crate::error::Error;
use crate::findings::{Findings, FoundPeaks};
use crate::gather::Gathering;
use crate::locks::lock;
use crate::memory;
use crate::outputs::{Counting, Listing, Lists, write_lists, write_masks, write_summary};
use crate::posterior::Posterior;
use crate::queue::{Batch, Queue, TICK};
use crate::seams::Seams;

/// An engine and room for what it finds: what one worker needs, from call to call.
pub(crate) struct Worker<E, T> {
    pub(crate) engine: E,
    desk: Desk<T>,
}

/// Where a worker keeps what has been found, and what it needs to write it.
pub(crate) struct Desk<T> {
    findings: Findings<T>,
    counting: Counting,
    listing: Listing,
}

impl<T> Desk<T> {
    /// With room for so many peaks.
    pub(crate) fn new(peak_room: usize) -> Self {
        Self {
            findings: Findings::new(peak_room),
            counting: Counting::default(),
            listing: Listing::default(),
        }
    }
}

impl<T, E: Engine<T>> Worker<E, T> {
    pub(crate) fn new(engine: E) -> Self {
        let desk = Desk::new(engine.peak_room());
        Self { engine, desk }
    }
}

/// Where batches come from, and where what is found of them comes together.
pub(crate) struct Places<'a, T> {
    pub(crate) queue: Queue<'a, T>,
    pub(crate) gathering: Gathering<'a, T>,
    pub(crate) seams: Seams,
    pub(crate) lists: Lists<'a>,
    /// The most batches that wait for those before them.
    pub(crate) most_waiting: usize,
}

/// Everything that the threads of one analysis share.
pub(crate) struct Run<'a, 'p, T> {
    pub(crate) p: &'a Posterior<'p, T>,
    task: Task<'a>,
    /// Whether the peaks are handed over.
    listed: bool,
    /// Whether cells of masks are listed.
    sparse: bool,
    /// Bins that a worker takes at a time.
    batch: usize,
    pub(crate) stop: Stop,
    pub(crate) queue: Queue<'a, T>,
    pub(crate) gathering: Gathering<'a, T>,
    seams: Mutex<Seams>,
    lists: Mutex<Lists<'a>>,
    /// Signalled when lists of cells have grown.
    listed_more: Condvar,
    /// The most batches that wait for those before them.
    most_waiting: usize,
    progress: Option<&'a ProgressFn>,
    done: AtomicUsize,
    /// Those of them in which no share of the total could be told.
    uncovered: AtomicUsize,
    outcome: Mutex<Outcome>,
    /// Signalled when a worker has ended.
    ended: Condvar,
}

/// How the workers ended, and what the caller has been told.
#[derive(Default)]
struct Outcome {
    /// Workers that have not ended.
    running: usize,
    /// Whether anybody waits for them: to wake is a call of the operating system.
    awaited: bool,
    seconds: Seconds,
    error: Option<Error>,
    /// What the caller's callback panicked with.
    panic: Option<Box<dyn Any + Send>>,
    /// When progress was last told, and what.
    told: Option<(Instant, usize)>,
}

/// How a batch ended that was not completed.
pub(crate) enum Ended {
    /// Work should stop.
    Stopped,
    /// It was an error.
    Error(Error),
    /// The engine failed; what it did not complete can be returned.
    Failed(String),
}

impl<'a, 'p, T: Element> Run<'a, 'p, T> {
    pub(crate) fn new(
        p: &'a Posterior<'p, T>,
        (task, listed): (Task<'a>, bool),
        batch: usize,
        stop: Stop,
        places: Places<'a, T>,
        progress: Option<&'a ProgressFn>,
    ) -> Self {
        let Places {
            queue,
            gathering,
            seams,
            lists,
            most_waiting,
        } = places;
        Self {
            p,
            task,
            listed,
            batch,
            stop,
            queue,
            gathering,
            seams: Mutex::new(seams),
            sparse: !lists.is_empty(),
            lists: Mutex::new(lists),
            listed_more: Condvar::new(),
            most_waiting,
            progress,
            done: AtomicUsize::new(0),
            uncovered: AtomicUsize::new(0),
            outcome: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Has the workers, if there are any, complete all bins: each on a thread of the pool, or, without a pool, the only one on
    /// this thread. Meanwhile this thread tells of progress, and calls `admit` now and then, which may start more workers.
    ///
    /// # Panics
    /// When the progress callback panics, with what it panicked with.
    pub(crate) fn drive<E: Engine<T> + Send>(
        &self,
        workers: &mut [Worker<E, T>],
        pool: Option<&ThreadPool>,
        admit: impl Fn(),
    ) {
        let look_around = || {
            admit();
            self.tell(false);
        };
        admit();
        match pool {
            None => {
                for worker in workers {
                    self.expect_worker();
                    self.as_worker(|seconds| self.work(worker, seconds, look_around));
                }
                self.wait(look_around);
            }
            Some(pool) => pool.in_place_scope(|scope| {
                for worker in workers {
                    self.expect_worker();
                    scope.spawn(move |_| {
                        self.as_worker(|seconds| self.work(worker, seconds, || {}));
                    });
                }
                self.wait(look_around);
            }),
        }
        self.tell(true);
        if let Some(panic) = lock(&self.outcome).panic.take() {
            resume_unwind(panic);
        }
    }

    /// Bins completed.
    pub(crate) fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Bins completed in which no share of the total could be told, though a level asked for one.
    pub(crate) fn uncovered(&self) -> usize {
        self.uncovered.load(Ordering::Relaxed)
    }

    /// Gives back what was shared: the columns of peaks, the seams of masks, and, if all workers ended well, their seconds.
    pub(crate) fn end(self) -> (Gathering<'a, T>, Seams, Lists<'a>, Result<Seconds, Error>) {
        let [_, _, total] = self.p.shape();
        let done = self.done.into_inner();
        let outcome = self
            .outcome
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let result = match outcome.error {
            // Workers meet bins in any order; the first of all is the same in every run.
            Some(Error::Nan { t, .. }) => Err(self
                .p
                .first_nan(0..t + 1)
                .map_or_else(|| unreachable!("a NaN has been found in bin {t}"), nan)),
            Some(error) => Err(error),
            None if done < total => Err(Error::Cancelled { done, total }),
            None => Ok(outcome.seconds),
        };
        let seams = self.seams.into_inner();
        let lists = self.lists.into_inner();
        (
            self.gathering,
            seams.unwrap_or_else(PoisonError::into_inner),
            lists.unwrap_or_else(PoisonError::into_inner),
            result,
        )
    }

    /// Counts a worker that is about to start.
    pub(crate) fn expect_worker(&self) {
        lock(&self.outcome).running += 1;
    }

    /// Takes back what [`expect_worker`](Self::expect_worker) counted, since it could not start.
    pub(crate) fn miss_worker(&self, error: Error) {
        lock(&self.outcome).running -= 1;
        self.fail(Some(error));
    }

    /// Runs the part of a worker that is expected, and takes note of how it ended, panics included.
    pub(crate) fn as_worker(&self, work: impl FnOnce(&mut Seconds) -> Result<(), Error>) {
        let mut seconds = Seconds::default();
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut seconds)))
            .unwrap_or_else(|panic| Err(memory::error_of(&*panic, || message(&*panic))));
        if let Err(error) = result {
            self.fail(Some(error));
        }
        let mut outcome = lock(&self.outcome);
        outcome.running -= 1;
        outcome.seconds.add(&seconds);
        if outcome.awaited {
            self.ended.notify_all();
        }
    }

    /// A worker's part: takes batches until there are none, or until it should stop, and calls `look_around` between them.
    fn work<E: Engine<T>>(
        &self,
        worker: &mut Worker<E, T>,
        seconds: &mut Seconds,
        look_around: impl Fn(),
    ) -> Result<(), Error> {
        let Worker { engine, desk } = worker;
        while let Some(mut batch) = self.queue.next(self.batch, &self.stop, &look_around) {
            match self.complete(engine, &mut batch, desk, seconds) {
                Ok(_) => look_around(),
                Err(Ended::Stopped) => return Ok(()),
                Err(Ended::Error(error)) => return Err(error),
                Err(Ended::Failed(message)) => return Err(Error::Worker { message }),
            }
        }
        Ok(())
    }

    /// Waits until all workers have ended, and calls `look_around` now and then.
    fn wait(&self, look_around: impl Fn()) {
        loop {
            let mut outcome = lock(&self.outcome);
            if outcome.running == 0 {
                return;
            }
            outcome.awaited = true;
            let waited = self.ended.wait_timeout(outcome, TICK);
            drop(waited);
            look_around();
        }
    }

    /// Tells the caller how far the analysis has come, if that is news; not too often, unless it is the end.
    fn tell(&self, end: bool) {
        let Some(progress) = self.progress else {
            return;
        };
        let [_, _, total] = self.p.shape();
        let done = self.done();
        let mut outcome = lock(&self.outcome);
        let news = match outcome.told {
            None => true,
            Some((when, what)) => what != done && (end || when.elapsed() >= TICK),
        };
        if !news || outcome.panic.is_some() {
            return;
        }
        outcome.told = Some((Instant::now(), done));
        drop(outcome);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| progress(Progress { done, total }))) {
            lock(&self.outcome).panic = Some(panic);
            self.fail(None);
        }
    }

    /// Has an engine analyse a batch, and writes what it finds: the number of bins. What is not completed is not counted.
    pub(crate) fn complete<E: Engine<T>>(
        &self,
        engine: &mut E,
        batch: &mut Batch<'a, T>,
        desk: &mut Desk<T>,
        seconds: &mut Seconds,
    ) -> Result<usize, Ended> {
        let bins = batch.len();
        while !batch.is_empty() {
            let done = self.step(engine, batch, desk, seconds)?;
            batch.next += done;
            self.done.fetch_add(done, Ordering::Relaxed);
        }
        Ok(bins)
    }

    /// Has an engine analyse the next bins of a batch, as many as it does at once, and writes what it finds.
    fn step<E: Engine<T>>(
        &self,
        engine: &mut E,
        batch: &mut Batch<'a, T>,
        desk: &mut Desk<T>,
        seconds: &mut Seconds,
    ) -> Result<usize, Ended> {
        let Desk {
            findings,
            counting,
            listing,
        } = desk;
        let [n_x, n_y, _] = self.p.shape();
        // Levels in groups, so that scratch does not grow with their number; peaks come with the first group.
        let most = engine.levels();
        let mut levels = 0..most.min(self.task.levels.len());
        let left = batch.left();
        let all = left.start..left.end.min(left.start.saturating_add(engine.bins()));
        if self.task.nan_policy == NanPolicy::Error
            && let Some(at) = self.p.first_nan(all.clone())
        {
            return Err(Ended::Error(nan(at)));
        }
        let call = self.call(all, levels.clone(), self.task.peaks);
        let done = engine.run(&call, findings, seconds)?;
        let bins = batch.next..batch.next + done;
        let mut uncovered = findings.uncovered;
        let mut kept = None;
        loop {
            let start = Instant::now();
            let at = batch.at();
            let parts = &mut batch.parts;
            write_masks(findings, parts, at, done, levels.clone(), engine.pool());
            write_summary(
                findings,
                parts,
                (at, bins.clone()),
                levels.clone(),
                [n_x, n_y],
                counting,
                &self.seams,
                engine.pool(),
            );
            if self.sparse {
                if !self.near(bins.start, batch.in_turn) {
                    return Err(Ended::Stopped);
                }
                let bytes = write_lists(
                    findings,
                    (&bins, batch.in_turn),
                    levels.clone(),
                    [n_x, n_y],
                    &self.lists,
                    listing,
                );
                let take = |bytes| {
                    self.gathering
                        .with_budget(|budget| budget.take_listed(bytes))
                };
                bytes.and_then(take).map_err(Ended::Error)?;
                if self.most_waiting > 1 {
                    self.listed_more.notify_all();
                }
            }
            seconds.emit += start.elapsed().as_secs_f64();
            levels = levels.end..(levels.end + most).min(self.task.levels.len());
            if levels.is_empty() {
                break;
            }
            // Peaks are handed over last: a batch that is given back half done has left nothing behind.
            if self.listed && kept.is_none() {
                let room = FoundPeaks::new(engine.peak_room());
                kept = Some(std::mem::replace(&mut findings.peaks, room));
            }
            let call = self.call(bins.clone(), levels.clone(), false);
            engine.run(&call, findings, seconds)?;
            // Every group of levels that asks for a coverage counts the same bins.
            uncovered = uncovered.max(findings.uncovered);
        }
        if self.listed {
            let start = Instant::now();
            let peaks = kept.as_mut().unwrap_or(&mut findings.peaks);
            let offsets = batch.take_offsets(done);
            let added = self.gathering.add(
                bins.start,
                batch.in_turn,
                peaks,
                offsets,
                engine.peak_room(),
                engine.pool(),
                &self.stop,
            );
            match added {
                Ok(true) => {}
                Ok(false) => return Err(Ended::Stopped),
                Err(error) => return Err(Ended::Error(error)),
            }
            seconds.emit += start.elapsed().as_secs_f64();
        }
        self.uncovered.fetch_add(uncovered, Ordering::Relaxed);
        Ok(done)
    }

    /// Waits until lists of cells have come near to a batch from this time bin on: few pieces wait for those before them. False
    /// when work should stop.
    fn near(&self, first: usize, in_turn: bool) -> bool {
        let mut lists = lock(&self.lists);
        while in_turn && lists.far(first, self.most_waiting) {
            if self.stop.requested() {
                return false;
            }
            let waited = self.listed_more.wait_timeout(lists, TICK);
            lists = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn call(&self, bins: Range<usize>, levels: Range<usize>, peaks: bool) -> Call<'_, 'p, T> {
        Call {
            p: self.p,
            bins,
            task: Task {
                levels: &self.task.levels[levels],
                peaks,
                ..self.task
            },
            stop: &self.stop,
        }
    }

    /// Stops all work; the first error is kept.
    pub(crate) fn fail(&self, error: Option<Error>) {
        let mut outcome = lock(&self.outcome);
        outcome.error = outcome.error.take().or(error);
        drop(outcome);
        self.stop.fail();
        self.gathering.wake();
        self.listed_more.notify_all();
        self.queue.wake();
    }
}

impl From<Halt> for Ended {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Stopped => Self::Stopped,
            Halt::Failed(reason) => Self::Failed(reason),
        }
    }
}

fn nan([x, y, t]: [usize; 3]) -> Error {
    Error::Nan { x, y, t }
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ndarray::{Array3, Axis, Slice};
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::Peaks;
    use crate::choices::{Connectivity, Level, MemoryGuard, Prominence, Region};
    use crate::element::Dtype;
    use crate::findings::LevelMeasures;
    use crate::masks::SparseMask;
    use crate::memory::Budget;
    use crate::outputs::{Filling, Outputs, Parts, SparseOutput};
    use crate::plan::Plan;
    use crate::summary::Summary;

    const N_X: usize = 2;
    const N_Y: usize = 3;
    const CELLS: usize = N_X * N_Y;
    const ALPHAS: [f64; 3] = [0.1, 0.2, 0.3];

    /// Whether a cell is in the mask of an alpha: what the engine of these tests finds.
    fn inside(alpha: f64, cell: usize, t: usize) -> bool {
        (t * 7 + cell * 3 + (alpha * 10.0) as usize * 5) % 11 < 5
    }

    /// Number of peaks of a bin, likewise.
    fn count(t: usize) -> usize {
        t % 4
    }

    /// Finds what the functions above say, a few bins at a time, after a wait that brings batches out of order; fails when it
    /// has no call left.
    struct Scripted {
        most: usize,
        wait: Duration,
        calls_left: usize,
    }

    impl Scripted {
        fn doing(most: usize) -> Self {
            Self {
                most,
                wait: Duration::ZERO,
                calls_left: usize::MAX,
            }
        }
    }

    impl Engine<f64> for Scripted {
        fn run(
            &mut self,
            call: &Call<'_, '_, f64>,
            findings: &mut Findings<f64>,
            _: &mut Seconds,
        ) -> Result<usize, Halt> {
            assert!(
                !call.bins.contains(&5_000),
                "bin 5000 is more than this engine can take"
            );
            self.calls_left = self
                .calls_left
                .checked_sub(1)
                .ok_or_else(|| Halt::Failed("no call is left".to_owned()))?;
            std::thread::sleep(self.wait * (call.bins.start as u32 / 512 * 7 % 5));
            let done = match call.task.peaks {
                true => call.bins.len().min(self.most),
                false => call.bins.len(),
            };
            findings.start(done, call.task.levels.len() * CELLS);
            for (number, level) in call.task.levels.iter().enumerate() {
                let &Level::OfPeak(alpha) = level else {
                    panic!("{level:?}")
                };
                for (cell, row) in findings.rows_mut(number, CELLS, 0).enumerate() {
                    row.fill(0);
                    for i in 0..done {
                        row[i / 8] |= u8::from(inside(alpha, cell, call.bins.start + i)) << (i % 8);
                    }
                }
            }
            findings.measures.start(done, call.task.levels.len());
            for (i, t) in (call.bins.start..call.bins.start + done).enumerate() {
                findings.measures.bins[i].total = t as f64;
                for (number, level) in call.task.levels.iter().enumerate() {
                    let &Level::OfPeak(alpha) = level else {
                        panic!("{level:?}")
                    };
                    let values = LevelMeasures {
                        threshold: alpha,
                        reached: 0,
                        mass: alpha * t as f64,
                        moments: [0.0; 2],
                    };
                    findings.measures.put_level(number, i, values);
                }
            }
            if call.task.peaks {
                for t in call.bins.start..call.bins.start + done {
                    findings.peaks.counts.push(count(t) as u32);
                    for cell in 0..count(t) {
                        findings.peaks.cells.push(cell as u32);
                        findings.peaks.heights.push(t as f64);
                        findings.peaks.bases.push(1.0);
                    }
                }
            }
            Ok(done)
        }

        fn levels(&self) -> usize {
            2
        }
    }

    fn budget() -> Budget {
        let wanted = crate::options::Options::new().wanted();
        let plan = Plan::new([N_X, N_Y, 1], Dtype::F64, wanted, 1);
        Budget::new(plan.estimate, None, MemoryGuard::Off).unwrap()
    }

    /// What all of these tests write: booleans and bits of every alpha within larger arrays, and peaks behind others.
    struct Sheet {
        n_t: usize,
        booleans: Vec<Array3<bool>>,
        bits: Vec<Array3<u8>>,
        peaks: Peaks<f64>,
        summary: Summary<f64>,
        listed: Vec<SparseMask>,
    }

    /// Bins, and bytes of bits, around every output that nobody may touch.
    const AROUND: usize = 3;
    const CANARY: u8 = 0b1010_0101;

    impl Sheet {
        fn new(n_t: usize) -> Self {
            let booleans = Array3::from_shape_fn((N_X, N_Y, n_t + 2 * AROUND), |(x, y, t)| {
                (x + y + t) % 2 == 0
            });
            let bytes = n_t.div_ceil(8) + 2 * AROUND;
            let bits = Array3::from_elem((N_X, N_Y, bytes), CANARY);
            let mut peaks = Peaks::new();
            peaks.offsets.push(1);
            peaks.coords.push([7, 7]);
            peaks.heights.push(7.0);
            peaks.prominences.push(7.0);
            Self {
                n_t,
                booleans: vec![booleans; ALPHAS.len()],
                bits: vec![bits; ALPHAS.len()],
                peaks,
                summary: Summary::new(),
                listed: Vec::new(),
            }
        }

        /// Has `fill` complete all bins of a run over this sheet.
        fn filled(
            n_t: usize,
            threads: usize,
            fill: impl FnOnce(&Run<'_, '_, f64>),
        ) -> (Self, Result<Seconds, Error>) {
            let mut sheet = Self::new(n_t);
            let zeros = Array3::zeros((N_X, N_Y, n_t));
            let p = Posterior::new(zeros.view()).unwrap();
            let inner = Slice::from(AROUND..AROUND + n_t);
            let bytes = Slice::from(AROUND..AROUND + n_t.div_ceil(8));
            let mut offsets = vec![0; n_t];
            let mut listed = vec![SparseMask::new(); ALPHAS.len()];
            let sparse = listed.iter_mut().enumerate();
            let sparse = sparse.map(|(level, mask)| SparseOutput {
                level,
                mask,
                append: true,
            });
            let booleans = sheet.booleans.iter_mut();
            let mut outputs = Outputs::<f64>::new()
                .summary(&mut sheet.summary)
                .masks(booleans.map(|mask| mask.slice_axis_mut(Axis(2), inner)));
            for (alpha, mask) in sheet.bits.iter_mut().enumerate() {
                outputs = outputs.packed_mask(alpha, mask.slice_axis_mut(Axis(2), bytes));
            }
            outputs.check(ALPHAS.len(), p.shape()).unwrap();
            let Outputs {
                mut masks, summary, ..
            } = { outputs };
            let mut filling = Filling::open(summary, ALPHAS.len(), n_t).unwrap();
            let (summary, seams) = filling.parts();
            let lent = masks.iter_mut().map(|mask| {
                let alpha = mask.alpha;
                mask.of_alpha(alpha)
            });
            let parts = Parts {
                masks: lent.collect(),
                offsets: &mut offsets,
                summary,
                near: None,
            };
            let task = Task {
                levels: &ALPHAS.map(Level::OfPeak),
                measures: true,
                connectivity: Connectivity::Four,
                region: Region::Dominant,
                nan_policy: NanPolicy::Silence,
                peaks: true,
                prominence: Prominence::Reference,
            };
            let run = Run::new(
                &p,
                (task, true),
                64,
                Stop::default(),
                Places {
                    queue: Queue::new(Batch::whole(n_t, parts)),
                    gathering: Gathering::new(&mut sheet.peaks, N_Y, budget(), threads),
                    seams: std::mem::take(seams),
                    lists: Lists::open(sparse, n_t).unwrap(),
                    most_waiting: threads,
                },
                None,
            );
            fill(&run);
            let (gathering, met, lists, result) = run.end();
            lists.close(result.is_ok());
            *seams = met;
            let result = result.and_then(|seconds| gathering.add_later(None).map(|()| seconds));
            gathering.close(&mut sheet.peaks, result.is_ok());
            filling.close(result.is_ok()).unwrap();
            drop(masks);
            sheet.listed = listed;
            sheet.peaks.offsets.extend(offsets);
            (sheet, result)
        }

        /// Panics unless every output holds what the engine finds, and everything around is as it was.
        fn assert_right(&self, what: &str) {
            let untouched = Self::new(self.n_t);
            for (number, &alpha) in ALPHAS.iter().enumerate() {
                let (booleans, bits) = (&self.booleans[number], &self.bits[number]);
                for ((x, y, at), &found) in booleans.indexed_iter() {
                    let t = at.wrapping_sub(AROUND);
                    let expected = match t < self.n_t {
                        true => inside(alpha, x * N_Y + y, t),
                        false => untouched.booleans[number][[x, y, at]],
                    };
                    assert_eq!(found, expected, "{what}: alpha {alpha}, boolean of bin {t}");
                }
                for ((x, y, at), &found) in bits.indexed_iter() {
                    let byte = at.wrapping_sub(AROUND);
                    let expected = match byte < self.n_t.div_ceil(8) {
                        true => (0..8)
                            .map(|i| (i, 8 * byte + i))
                            .filter(|&(_, t)| t < self.n_t && inside(alpha, x * N_Y + y, t))
                            .fold(0, |byte, (i, _)| byte | 1 << i),
                        false => CANARY,
                    };
                    assert_eq!(
                        found, expected,
                        "{what}: alpha {alpha}, bits of byte {byte}"
                    );
                }
            }
            for t in 0..self.n_t {
                assert_eq!(self.summary.total[t], t as f64, "{what}: bin {t}");
                assert_eq!(self.summary.peaks[t], count(t) as i64, "{what}: bin {t}");
                for (level, &alpha) in ALPHAS.iter().enumerate() {
                    let cells = |belongs: &dyn Fn(usize) -> bool| {
                        (0..CELLS).filter(|&cell| belongs(cell)).count() as i64
                    };
                    let area = cells(&|cell| inside(alpha, cell, t));
                    let list = (0..CELLS as u32).filter(|&cell| inside(alpha, cell as usize, t));
                    let listed = self.listed[level].bin(t).iter().copied();
                    assert!(listed.eq(list), "{what}: alpha {alpha}, cells of bin {t}");
                    let overlap = match t + 1 < self.n_t {
                        true => cells(&|cell| inside(alpha, cell, t) && inside(alpha, cell, t + 1)),
                        false => -1,
                    };
                    let at = [level, t];
                    let found = (
                        self.summary.area[at],
                        self.summary.overlap[at],
                        self.summary.mass[at],
                    );
                    assert_eq!(
                        found,
                        (area, overlap, alpha * t as f64),
                        "{what}: alpha {alpha}, bin {t}"
                    );
                }
            }
            let mut row = 1;
            assert_eq!(self.peaks.offsets[..2], [0, 1], "{what}: the peaks before");
            for t in 0..self.n_t {
                let bin = self.peaks.bin(1 + t);
                assert_eq!(bin.len(), count(t), "{what}: peaks of bin {t}");
                assert!(
                    bin.heights.iter().all(|&height| height == t as f64),
                    "{what}: bin {t}"
                );
                row += count(t);
            }
            assert_eq!(
                (self.peaks.len(), self.peaks.heights[0]),
                (row, 7.0),
                "{what}"
            );
        }
    }

    /// How a batch is taken from the queue, and what becomes of it.
    #[derive(Debug, Clone)]
    struct Draw {
        from_far_end: bool,
        bins: usize,
        /// Bins that the engine hands over at a time.
        at_once: usize,
        /// Calls after which the engine at the far end fails, and the rest of its batch goes back.
        calls: usize,
    }

    fn draw() -> impl Strategy<Value = Draw> {
        (
            any::<bool>(),
            0..200_usize,
            1..70_usize,
            prop_oneof![0..12_usize, Just(usize::MAX)],
        )
            .prop_map(|(from_far_end, bins, at_once, calls)| Draw {
                from_far_end,
                bins,
                at_once,
                calls,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Any sequence of splits, from both ends, with parts handed over early and batches that come back half done, writes what
        /// one write does.
        #[test]
        fn outputs_do_not_depend_on_how_batches_are_split(
            n_t in 0..700_usize,
            draws in prop::collection::vec(draw(), 0..12),
            at_once in 1..70_usize,
        ) {
            let (sheet, result) = Sheet::filled(n_t, 1, |run| {
                let mut desk = Desk::new(0);
                for draw in &draws {
                    let near = !draw.from_far_end;
                    let Some(mut batch) = run.queue.draw(near, |_| draw.bins) else {
                        continue;
                    };
                    let mut engine = Scripted {
                        calls_left: if near { usize::MAX } else { draw.calls },
                        ..Scripted::doing(draw.at_once)
                    };
                    let ended = run.complete(&mut engine, &mut batch, &mut desk, &mut Seconds::default());
                    run.queue.settle(match ended {
                        Ok(_) => None,
                        Err(Ended::Failed(_)) => Some(batch),
                        Err(_) => panic!("it fails, and nothing else"),
                    });
                }
                run.drive(&mut [Worker::new(Scripted::doing(at_once))], None, || {});
            });
            prop_assert!(result.is_ok(), "{:?}", result);
            sheet.assert_right("split");
        }
    }

    #[test]
    fn workers_bring_peaks_together_in_order_of_bins() {
        for threads in [2, 5] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let (sheet, result) = Sheet::filled(4_321, threads, |run| {
                let worker = |_| {
                    Worker::new(Scripted {
                        wait: Duration::from_millis(1),
                        ..Scripted::doing(30)
                    })
                };
                let mut workers: Vec<_> = (0..threads).map(worker).collect();
                run.drive(&mut workers, Some(&pool), || {});
            });
            result.unwrap();
            sheet.assert_right(&format!("{threads} threads"));
        }
    }

    #[test]
    fn a_panic_in_a_worker_is_an_error_and_nothing_more() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        for pool in [None, Some(&pool)] {
            let (sheet, result) = Sheet::filled(6_000, 3, |run| {
                let mut workers: Vec<_> = (0..pool.map_or(1, |_| 3))
                    .map(|_| Worker::new(Scripted::doing(64)))
                    .collect();
                run.drive(&mut workers, pool, || {});
            });
            let Err(Error::Worker { message }) = result else {
                panic!("{result:?}")
            };
            assert!(message.contains("bin 5000 is more"), "{message}");
            assert_eq!(sheet.peaks.len(), 1, "the peaks before");
        }
    }
}
