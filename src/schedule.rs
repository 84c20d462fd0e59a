//! The queue of batches, the workers that draw from it, and the order in which peaks come together again.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{ArrayViewMut3, Axis};

use crate::emit;
use crate::marks::{Marks, PeakMarks};
use crate::memory::Budget;
use crate::options::ProgressFn;
use crate::plan::Plan;
use crate::posterior::Posterior;
use crate::{
    CancelToken, Connectivity, Element, Error, InstructionSet, Options, Peaks, Progress, Report,
    Seconds,
};

/// How often the calling thread looks up.
const TICK: Duration = Duration::from_millis(50);

/// Whether work should stop: the caller's token, or a failure.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    failed: AtomicBool,
    token: Option<CancelToken>,
}

impl Stop {
    pub(crate) fn requested(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
            || self.token.as_ref().is_some_and(CancelToken::is_cancelled)
    }
}

/// An engine: bins in, marks out. Holding one proves that it can run.
pub(crate) trait Engine<T> {
    /// Computes the marks of the bins `bins`, or of the first of them if they hold so many peaks that the rest has to
    /// wait: the number of bins done. None when it was stopped.
    fn run(
        &mut self,
        p: &Posterior<'_, T>,
        bins: Range<usize>,
        task: Task<'_>,
        stop: &Stop,
        marks: &mut Marks<T>,
        seconds: &mut Seconds,
    ) -> Option<usize>;
}

/// What to compute of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) alphas: &'a [f64],
    pub(crate) connectivity: Connectivity,
    pub(crate) peaks: bool,
}

/// Runs `plan` over `p`, every worker on an `engine` of its own: fills `masks`, one for each alpha, and appends to `peaks`, which is empty.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that one analysis is made of, once"
)]
pub(crate) fn run<T: Element, E: Engine<T>>(
    p: &Posterior<'_, T>,
    options: &Options,
    plan: &Plan,
    instruction_set: InstructionSet,
    budget: Budget,
    masks: &mut [ArrayViewMut3<'_, bool>],
    peaks: &mut Peaks<T>,
    engine: impl Fn() -> E + Sync,
) -> Result<Report, Error> {
    let started = Instant::now();
    let [_, _, n_t] = p.shape();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(plan.threads)
        .thread_name(|i| format!("peakmask-{i}"))
        .build()
        .map_err(|reason| Error::Threads {
            threads: plan.threads,
            reason: reason.to_string(),
        })?;
    let run = Run {
        p,
        options,
        plan,
        engine,
        stop: Stop {
            failed: AtomicBool::new(false),
            token: options.cancel.clone(),
        },
        queue: Mutex::new(Batch {
            bins: 0..n_t,
            masks: masks.iter_mut().map(|mask| mask.view_mut()).collect(),
        }),
        gathering: Mutex::new(Gathering {
            next: 0,
            waiting: BTreeMap::new(),
            peaks,
            budget,
        }),
        appended: Condvar::new(),
        done: AtomicUsize::new(0),
        outcome: Mutex::new(Outcome {
            running: plan.threads,
            seconds: Seconds::default(),
            error: None,
        }),
        finished: Condvar::new(),
    };
    pool.in_place_scope(|scope| {
        for _ in 0..plan.threads {
            scope.spawn(|_| run.work());
        }
        run.watch(options.progress.as_ref(), n_t);
    });
    let outcome = run
        .outcome
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = outcome.error {
        return Err(error);
    }
    if run.done.load(Ordering::Relaxed) < n_t {
        return Err(Error::Cancelled {
            done: run.done.load(Ordering::Relaxed),
            total: n_t,
        });
    }
    Ok(Report {
        engine: "cpu",
        instruction_set,
        threads: plan.threads,
        bins: n_t,
        peaks: peaks.len(),
        seconds: Seconds {
            total: started.elapsed().as_secs_f64(),
            ..outcome.seconds
        },
        bytes_planned: plan.estimate.total(),
    })
}

/// Everything that the threads of one analysis share.
struct Run<'a, 'p, T, F> {
    p: &'a Posterior<'p, T>,
    options: &'a Options,
    plan: &'a Plan,
    engine: F,
    stop: Stop,
    /// The bins that nobody has taken yet.
    queue: Mutex<Batch<'a>>,
    gathering: Mutex<Gathering<'a, T>>,
    /// Signalled when a batch has been appended.
    appended: Condvar,
    /// Bins completed.
    done: AtomicUsize,
    outcome: Mutex<Outcome>,
    /// Signalled when a worker has ended.
    finished: Condvar,
}

/// A range of bins and its part of every output.
struct Batch<'a> {
    bins: Range<usize>,
    masks: Vec<ArrayViewMut3<'a, bool>>,
}

impl Batch<'_> {
    /// Takes the first `n` bins away; all of them, if there are fewer.
    fn take(&mut self, n: usize) -> Self {
        let n = n.min(self.bins.len());
        let middle = self.bins.start + n;
        let (masks, rest) = std::mem::take(&mut self.masks)
            .into_iter()
            .map(|mask| mask.split_at(Axis(2), n))
            .unzip();
        self.masks = rest;
        let bins = self.bins.start..middle;
        self.bins.start = middle;
        Self { bins, masks }
    }
}

/// Brings the peaks of batches into the order of their bins.
struct Gathering<'a, T> {
    /// First bin of the batch to be appended next.
    next: usize,
    /// Batches that came too early, by first bin.
    waiting: BTreeMap<usize, PeakMarks<T>>,
    peaks: &'a mut Peaks<T>,
    budget: Budget,
}

/// How the workers ended.
struct Outcome {
    running: usize,
    seconds: Seconds,
    error: Option<Error>,
}

impl<'a, T: Element, E: Engine<T>, F: Fn() -> E + Sync> Run<'a, '_, T, F> {
    /// The calling thread's part: reports progress until all workers have ended.
    fn watch(&self, progress: Option<&ProgressFn>, total: usize) {
        let mut told = usize::MAX;
        loop {
            let outcome = lock(&self.outcome);
            let (outcome, _) = self
                .finished
                .wait_timeout_while(outcome, TICK, |outcome| outcome.running > 0)
                .unwrap_or_else(PoisonError::into_inner);
            let running = outcome.running;
            drop(outcome);
            let done = self.done.load(Ordering::Relaxed);
            if let Some(progress) = progress.filter(|_| done != told) {
                told = done;
                if let Err(panic) =
                    catch_unwind(AssertUnwindSafe(|| progress(Progress { done, total })))
                {
                    self.fail(None);
                    resume_unwind(panic);
                }
            }
            if running == 0 {
                return;
            }
        }
    }

    /// A worker's part: takes batches until there are none, or until it should stop.
    fn work(&self) {
        let mut seconds = Seconds::default();
        let result =
            catch_unwind(AssertUnwindSafe(|| self.batches(&mut seconds))).unwrap_or_else(|panic| {
                Err(Error::Worker {
                    message: message(&*panic),
                })
            });
        if let Err(error) = result {
            self.fail(Some(error));
        }
        let mut outcome = lock(&self.outcome);
        outcome.running -= 1;
        outcome.seconds.add(&seconds);
        self.finished.notify_all();
    }

    fn batches(&self, seconds: &mut Seconds) -> Result<(), Error> {
        let [_, n_y, _] = self.p.shape();
        let mut engine = (self.engine)();
        let mut marks = Marks::new(self.plan.cpu.listed);
        while let Some(mut batch) = self.next() {
            while !batch.bins.is_empty() {
                // Alphas in groups, so that scratch does not grow with their number; peaks come with the first group.
                let mut groups = groups(&self.options.alphas, self.plan.cpu.alphas);
                let first = self.task(groups.next().unwrap_or_default(), !self.options.no_peaks);
                let Some(done) = engine.run(
                    self.p,
                    batch.bins.clone(),
                    first,
                    &self.stop,
                    &mut marks,
                    seconds,
                ) else {
                    return Ok(());
                };
                let mut part = batch.take(done);
                let mut masks = &mut part.masks[..];
                emit(&marks, &mut masks, first.alphas.len(), seconds);
                let start = Instant::now();
                if !self.append(part.bins.start, &mut marks.peaks, n_y)? {
                    return Ok(());
                }
                seconds.emit += start.elapsed().as_secs_f64();
                for alphas in groups {
                    let task = self.task(alphas, false);
                    if engine
                        .run(
                            self.p,
                            part.bins.clone(),
                            task,
                            &self.stop,
                            &mut marks,
                            seconds,
                        )
                        .is_none()
                    {
                        return Ok(());
                    }
                    emit(&marks, &mut masks, alphas.len(), seconds);
                }
                self.done.fetch_add(part.bins.len(), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn task(&self, alphas: &'a [f64], peaks: bool) -> Task<'a> {
        Task {
            alphas,
            connectivity: self.options.connectivity,
            peaks,
        }
    }

    /// The next batch; none when all are taken, or when work should stop.
    fn next(&self) -> Option<Batch<'a>> {
        if self.stop.requested() {
            return None;
        }
        let batch = lock(&self.queue).take(self.plan.cpu.batch);
        (!batch.bins.is_empty()).then_some(batch)
    }

    /// Appends the peaks of the bins from `start` on, now or when their turn has come; false when work should stop.
    /// Batches that wait are few: a worker that is far ahead waits too.
    fn append(&self, start: usize, marks: &mut PeakMarks<T>, n_y: usize) -> Result<bool, Error> {
        let mut gathering = lock(&self.gathering);
        while gathering.next != start && gathering.waiting.len() >= self.plan.threads {
            if self.stop.requested() {
                return Ok(false);
            }
            gathering = self
                .appended
                .wait_timeout(gathering, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if gathering.next != start {
            let fresh = PeakMarks::new(self.plan.cpu.listed);
            gathering
                .waiting
                .insert(start, std::mem::replace(marks, fresh));
            return Ok(true);
        }
        gathering.append(marks, n_y)?;
        while let Some(marks) = gathering.next_waiting() {
            gathering.append(&marks, n_y)?;
        }
        self.appended.notify_all();
        Ok(true)
    }

    /// Stops all work; the first error is kept.
    fn fail(&self, error: Option<Error>) {
        let mut outcome = lock(&self.outcome);
        outcome.error = outcome.error.take().or(error);
        self.stop.failed.store(true, Ordering::Relaxed);
        self.appended.notify_all();
    }
}

impl<T: Element> Gathering<'_, T> {
    fn next_waiting(&mut self) -> Option<PeakMarks<T>> {
        self.waiting.remove(&self.next)
    }

    fn append(&mut self, marks: &PeakMarks<T>, n_y: usize) -> Result<(), Error> {
        self.budget.take_peaks(marks.cells.len())?;
        emit::reserve(self.peaks, marks.cells.len(), self.budget.assumed_peaks())?;
        emit::peaks(marks, n_y, self.peaks);
        self.next += marks.counts.len();
        Ok(())
    }
}

/// Writes the masks of the next `n` alphas, and leaves the others in `masks`.
fn emit<'m, 'a, T>(
    marks: &Marks<T>,
    masks: &mut &'m mut [ArrayViewMut3<'a, bool>],
    n: usize,
    seconds: &mut Seconds,
) {
    let start = Instant::now();
    let (now, later) = std::mem::take(masks).split_at_mut(n);
    emit::masks(marks, now);
    *masks = later;
    seconds.emit += start.elapsed().as_secs_f64();
}

/// The alphas in groups of at most `most`; one empty group if there are none.
fn groups(alphas: &[f64], most: usize) -> impl Iterator<Item = &[f64]> {
    alphas
        .chunks(most)
        .chain(alphas.is_empty().then_some(alphas))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while a lock is held ends the analysis with an error; what the lock guards is then only dropped.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    use ndarray::Array3;

    use super::*;
    use crate::MemoryGuard;

    /// Finds one peak of height t in every bin t, after a wait that brings batches out of order.
    struct Slow;

    impl Engine<f64> for Slow {
        fn run(
            &mut self,
            _: &Posterior<'_, f64>,
            bins: Range<usize>,
            _: Task<'_>,
            _: &Stop,
            marks: &mut Marks<f64>,
            _: &mut Seconds,
        ) -> Option<usize> {
            assert!(
                !bins.contains(&5_000),
                "bin 5000 is more than this engine can take"
            );
            std::thread::sleep(Duration::from_millis((bins.start as u64 / 512 * 7) % 5));
            marks.start(bins.len(), 0);
            // Now and then it hands over fewer bins than it was given.
            let done = if bins.len() > 300 { 300 } else { bins.len() };
            for t in bins.start..bins.start + done {
                marks.peaks.counts.push(1);
                marks.peaks.cells.push(0);
                marks.peaks.heights.push(t as f64);
                marks.peaks.bases.push(0.0);
            }
            Some(done)
        }
    }

    fn run_slow(n_t: usize, threads: usize) -> (Result<Report, Error>, Peaks<f64>) {
        let p = Array3::zeros((41, 63, n_t));
        let p = Posterior::new(p.view()).unwrap();
        let options = Options::new()
            .threads(threads)
            .memory_guard(MemoryGuard::Off);
        let plan = Plan::new(p.shape(), f64::DTYPE, &options);
        let budget = Budget::new(plan.estimate, &options).unwrap();
        let mut peaks = Peaks::new();
        let baseline = InstructionSet::Baseline;
        let report = run(
            &p,
            &options,
            &plan,
            baseline,
            budget,
            &mut [],
            &mut peaks,
            || Slow,
        );
        (report, peaks)
    }

    #[test]
    fn peaks_come_together_in_order_of_bins() {
        for threads in [1, 2, 5] {
            let (report, peaks) = run_slow(4_321, threads);
            assert_eq!(report.unwrap().peaks, 4_321);
            assert!(
                peaks.offsets.iter().copied().eq(0..=4_321),
                "{threads} threads"
            );
            assert!(
                peaks
                    .heights
                    .iter()
                    .enumerate()
                    .all(|(t, &height)| height == t as f64),
                "{threads} threads"
            );
        }
    }

    #[test]
    fn a_panic_in_a_worker_is_an_error_and_nothing_more() {
        for threads in [1, 3] {
            let (report, _) = run_slow(6_000, threads);
            let Err(Error::Worker { message }) = report else {
                panic!("{report:?}")
            };
            assert!(message.contains("bin 5000 is more"), "{message}");
            assert!(run_slow(600, threads).0.is_ok(), "the next analysis runs");
        }
    }
}
