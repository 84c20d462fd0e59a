//! The queue of batches, the workers that draw from it, and the order in which peaks come together again.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Call, Engine, Halt, Stop, Task};
use crate::findings::{Findings, FoundPeaks};
use crate::memory::Budget;
use crate::options::ProgressFn;
use crate::outputs;
use crate::plan::Plan;
use crate::posterior::Posterior;
use crate::{
    Element, Engines, Error, GpuReport, InstructionSet, Options, Peaks, Progress, Report, Seconds,
};
use crate::{cpu::Cpu, plan::CpuPlan};
use ndarray::{ArrayViewMut3, Axis};

mod second;
pub(crate) use second::Gpus;
use second::Second;

/// How often the calling thread looks up.
const TICK: Duration = Duration::from_millis(50);

/// An analysis that is about to run.
pub(crate) struct Job<'a, 'p, T> {
    pub(crate) p: &'a Posterior<'p, T>,
    pub(crate) options: &'a Options,
    pub(crate) plan: &'a Plan,
    pub(crate) instruction_set: InstructionSet,
    pub(crate) budget: Budget,
    pub(crate) gpus: Gpus,
    /// Why no GPU takes part, if none was looked for.
    pub(crate) no_gpu: Option<String>,
}

/// Runs a job, every worker of the CPU on an `engine` of its own: fills `masks`, one for each alpha, and appends to
/// `peaks`, which is empty.
pub(crate) fn run<T: Element, E: Engine<T>>(
    job: Job<'_, '_, T>,
    masks: &mut [ArrayViewMut3<'_, bool>],
    peaks: &mut Peaks<T>,
    engine: impl Fn() -> E + Sync,
) -> Result<Report, Error> {
    let started = Instant::now();
    let Job {
        p, options, plan, ..
    } = job;
    let [_, _, n_t] = p.shape();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(plan.threads)
        .thread_name(|i| format!("peakmask-{i}"))
        .build()
        .map_err(|reason| Error::Threads {
            threads: plan.threads,
            reason: reason.to_string(),
        })?;
    let cpu_serves = job.gpus.leave_work_to_the_cpu();
    let workers = if cpu_serves { plan.threads } else { 0 };
    let run = Run::new(p, options, plan, job.budget, masks, peaks, workers);
    let second = Second::new(job.gpus, job.no_gpu, job.instruction_set, &pool);
    std::thread::scope(|threads| {
        pool.in_place_scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|_| run.work(&engine));
            }
            run.watch(options.progress.as_ref(), n_t, || {
                second.look(&run, threads);
            });
        });
    });
    let gathered = pool.install(|| run.gather());
    let done_by_second = run.done_by_second.load(Ordering::Relaxed);
    let done = run.done.load(Ordering::Relaxed);
    let outcome = run
        .outcome
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = outcome.error {
        return Err(error);
    }
    if done < n_t {
        return Err(Error::Cancelled { done, total: n_t });
    }
    gathered?;
    let (gpu, no_gpu) = second.report();
    let by_gpu = gpu.as_ref().map_or(0, GpuReport::host_bytes);
    Ok(Report {
        engine: match (done_by_second, n_t - done_by_second) {
            (0, _) if cpu_serves => Engines::Cpu,
            (_, 0) => Engines::Gpu,
            _ => Engines::Both,
        },
        instruction_set: job.instruction_set,
        threads: plan.threads,
        bins: n_t,
        cpu_bins: n_t - done_by_second,
        gpu_bins: done_by_second,
        peaks: peaks.len(),
        seconds: Seconds {
            total: started.elapsed().as_secs_f64(),
            ..outcome.seconds
        },
        bytes_planned: plan.estimate.total() + by_gpu,
        bytes_used: plan.estimate.total_with(peaks.len() as u64) + by_gpu,
        gpu,
        no_gpu,
    })
}

/// Makes a CPU engine for what a GPU leaves undone, and for the answers that it is probed with.
pub(crate) fn finisher<T: Element>(
    [n_x, n_y, n_t]: [usize; 3],
    alphas: usize,
    instruction_set: InstructionSet,
) -> Box<dyn Engine<T> + Send> {
    let plan = CpuPlan::new(n_x * n_y, n_t, T::DTYPE, alphas, 1);
    Box::new(Cpu::new(&plan, n_x, n_y, instruction_set))
}

/// Everything that the threads of one analysis share.
struct Run<'a, 'p, T> {
    p: &'a Posterior<'p, T>,
    options: &'a Options,
    plan: &'a Plan,
    stop: Stop,
    queue: Mutex<Queue<'a>>,
    /// Signalled when a batch has been returned, or when one that might have been has been completed.
    queue_changed: Condvar,
    gathering: Mutex<Gathering<'a, T>>,
    /// Signalled when a batch has been appended.
    appended: Condvar,
    /// Bins completed.
    done: AtomicUsize,
    /// Those of them that the second engine completed.
    done_by_second: AtomicUsize,
    outcome: Mutex<Outcome>,
    /// Signalled when a worker has ended.
    finished: Condvar,
}

/// The bins that nobody has completed.
struct Queue<'a> {
    /// Those that nobody has taken yet.
    rest: Batch<'a>,
    /// Those that an engine took and could not complete.
    returned: Vec<Batch<'a>>,
    /// Batches taken by workers that may return them.
    away: usize,
}

/// A range of bins and its part of every output.
struct Batch<'a> {
    bins: Range<usize>,
    masks: Vec<ArrayViewMut3<'a, bool>>,
    /// Whether it was taken from the near end, so that all bins before it have been taken too and its peaks may wait for
    /// their turn.
    in_turn: bool,
}

impl Batch<'_> {
    /// Takes the first `n` bins away; all of them, if there are fewer.
    fn take(&mut self, n: usize) -> Self {
        let n = n.min(self.bins.len());
        let mut last = self.take_last(self.bins.len() - n);
        std::mem::swap(self, &mut last);
        last
    }

    /// Takes the last `n` bins away; all of them, if there are fewer.
    fn take_last(&mut self, n: usize) -> Self {
        let n = self.bins.len() - n.min(self.bins.len());
        let middle = self.bins.start + n;
        let (first, masks) = std::mem::take(&mut self.masks)
            .into_iter()
            .map(|mask| mask.split_at(Axis(2), n))
            .unzip();
        self.masks = first;
        let bins = middle..self.bins.end;
        self.bins.end = middle;
        Self {
            bins,
            masks,
            in_turn: self.in_turn,
        }
    }
}

/// Brings the peaks of batches into the order of their bins.
struct Gathering<'a, T> {
    /// First bin of the batch to be appended next.
    next: usize,
    /// Batches that came too early, by first bin.
    waiting: BTreeMap<usize, FoundPeaks<T>>,
    /// Batches from the far end, by first bin: appended when all workers have ended.
    later: BTreeMap<usize, FoundPeaks<T>>,
    peaks: &'a mut Peaks<T>,
    budget: Budget,
}

/// How the workers ended.
struct Outcome {
    running: usize,
    seconds: Seconds,
    error: Option<Error>,
}

/// How a batch ended that was not completed.
enum Ended<'a> {
    /// Work should stop.
    Stopped,
    /// It was an error.
    Error(Error),
    /// The engine failed, and gives back what it had.
    Failed(String, Vec<Batch<'a>>),
}

impl<'a, 'p, T: Element> Run<'a, 'p, T> {
    /// All bins in the queue, for so many `workers` of the CPU.
    fn new(
        p: &'a Posterior<'p, T>,
        options: &'a Options,
        plan: &'a Plan,
        budget: Budget,
        masks: &'a mut [ArrayViewMut3<'_, bool>],
        peaks: &'a mut Peaks<T>,
        workers: usize,
    ) -> Self {
        let [_, _, n_t] = p.shape();
        Self {
            p,
            options,
            plan,
            stop: Stop::new(options.cancel.clone()),
            queue: Mutex::new(Queue {
                rest: Batch {
                    bins: 0..n_t,
                    masks: masks.iter_mut().map(|mask| mask.view_mut()).collect(),
                    in_turn: true,
                },
                returned: Vec::new(),
                away: 0,
            }),
            queue_changed: Condvar::new(),
            gathering: Mutex::new(Gathering {
                next: 0,
                waiting: BTreeMap::new(),
                later: BTreeMap::new(),
                peaks,
                budget,
            }),
            appended: Condvar::new(),
            done: AtomicUsize::new(0),
            done_by_second: AtomicUsize::new(0),
            outcome: Mutex::new(Outcome {
                running: workers,
                seconds: Seconds::default(),
                error: None,
            }),
            finished: Condvar::new(),
        }
    }

    /// The calling thread's part: reports progress until all workers have ended, and calls `look` now and then.
    fn watch(&self, progress: Option<&ProgressFn>, total: usize, look: impl Fn()) {
        let mut told = usize::MAX;
        loop {
            look();
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
    fn work<E: Engine<T>>(&self, engine: impl Fn() -> E) {
        self.as_worker(|seconds| {
            let mut engine = engine();
            let mut findings = Findings::new(engine.listed());
            while let Some(batch) = self.next() {
                match self.complete(&mut engine, batch, &mut findings, seconds) {
                    Ok(_) => {}
                    Err(Ended::Stopped) => return Ok(()),
                    Err(Ended::Error(error)) => return Err(error),
                    Err(Ended::Failed(message, _)) => return Err(Error::Worker { message }),
                }
            }
            Ok(())
        });
    }

    /// Runs a worker's part, and takes note of how it ended, panics included.
    fn as_worker(&self, work: impl FnOnce(&mut Seconds) -> Result<(), Error>) {
        let mut seconds = Seconds::default();
        let result =
            catch_unwind(AssertUnwindSafe(|| work(&mut seconds))).unwrap_or_else(|panic| {
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

    /// Has an engine analyse a batch, and writes what it finds: the number of bins.
    fn complete<E: Engine<T>>(
        &self,
        engine: &mut E,
        mut batch: Batch<'a>,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Result<usize, Ended<'a>> {
        let bins = batch.bins.len();
        while !batch.bins.is_empty() {
            // Alphas in groups, so that scratch does not grow with their number; peaks come with the first group.
            let mut groups = groups(&self.options.alphas, engine.alphas());
            let first = self.task(groups.next().unwrap_or_default(), !self.options.no_peaks);
            let call = self.call(batch.bins.clone(), first);
            let done = match engine.run(&call, findings, seconds) {
                Ok(done) => done,
                Err(halt) => return Err(ended(halt, vec![batch])),
            };
            let mut part = batch.take(done);
            emit(
                engine,
                findings,
                &mut part.masks[..first.alphas.len()],
                seconds,
            );
            let mut at = first.alphas.len();
            let mut groups = groups.peekable();
            // Peaks are appended last: a part that is given back half done has left nothing behind.
            let mut found = match groups.peek() {
                Some(_) => Some(std::mem::replace(
                    &mut findings.peaks,
                    FoundPeaks::new(engine.listed()),
                )),
                None => None,
            };
            for alphas in groups {
                let call = self.call(part.bins.clone(), self.task(alphas, false));
                if let Err(halt) = engine.run(&call, findings, seconds) {
                    return Err(ended(halt, vec![part, batch]));
                }
                emit(
                    engine,
                    findings,
                    &mut part.masks[at..at + alphas.len()],
                    seconds,
                );
                at += alphas.len();
            }
            let start = Instant::now();
            let found = found.as_mut().unwrap_or(&mut findings.peaks);
            match self.append(&part, found, engine.listed()) {
                Ok(true) => {}
                Ok(false) => return Err(Ended::Stopped),
                Err(error) => return Err(Ended::Error(error)),
            }
            seconds.emit += start.elapsed().as_secs_f64();
            self.done.fetch_add(part.bins.len(), Ordering::Relaxed);
        }
        Ok(bins)
    }

    fn call<'c>(&'c self, bins: Range<usize>, task: Task<'c>) -> Call<'c, 'p, T> {
        Call {
            p: self.p,
            bins,
            task,
            stop: &self.stop,
        }
    }

    fn task(&self, alphas: &'a [f64], peaks: bool) -> Task<'a> {
        Task {
            alphas,
            connectivity: self.options.connectivity,
            peaks,
        }
    }

    /// The next batch for a worker that completes what it takes; none when all are completed, or when work should stop.
    fn next(&self) -> Option<Batch<'a>> {
        let mut queue = lock(&self.queue);
        loop {
            if self.stop.requested() {
                return None;
            }
            let batch = match queue.returned.last_mut() {
                Some(returned) => returned.take(self.plan.cpu.batch),
                None => queue.rest.take(self.plan.cpu.batch),
            };
            queue.returned.retain(|batch| !batch.bins.is_empty());
            if !batch.bins.is_empty() {
                return Some(batch);
            }
            if queue.away == 0 {
                return None;
            }
            // What is away may come back.
            queue = self
                .queue_changed
                .wait_timeout(queue, TICK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Appends the peaks of a batch, now or when their turn has come; false when work should stop. Batches that wait are
    /// few: a worker that is far ahead waits too. Those from the far end are appended when everything else is done.
    fn append(
        &self,
        batch: &Batch<'_>,
        findings: &mut FoundPeaks<T>,
        listed: usize,
    ) -> Result<bool, Error> {
        let [_, n_y, _] = self.p.shape();
        let start = batch.bins.start;
        let mut gathering = lock(&self.gathering);
        gathering.budget.take_peaks(findings.cells.len())?;
        if !batch.in_turn {
            let findings = std::mem::replace(findings, FoundPeaks::new(listed));
            gathering.later.insert(start, findings.shrunk());
            return Ok(true);
        }
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
            let fresh = FoundPeaks::new(listed);
            gathering
                .waiting
                .insert(start, std::mem::replace(findings, fresh));
            return Ok(true);
        }
        gathering.append(findings, n_y)?;
        while let Some(findings) = gathering.next_waiting() {
            gathering.append(&findings, n_y)?;
        }
        self.appended.notify_all();
        Ok(true)
    }

    /// Appends the peaks of the batches from the far end, each freed at once, on all threads of the current pool.
    fn gather(&self) -> Result<(), Error> {
        let [_, n_y, _] = self.p.shape();
        let mut gathering = lock(&self.gathering);
        while let Some((start, findings)) = gathering.later.pop_first() {
            if start != gathering.next {
                // Work was stopped before all bins in between were done.
                return Ok(());
            }
            let assumed = gathering.budget.assumed_peaks();
            outputs::reserve(gathering.peaks, findings.cells.len(), assumed)?;
            outputs::peaks_across(&findings, n_y, gathering.peaks);
            gathering.next += findings.counts.len();
        }
        Ok(())
    }

    /// Stops all work; the first error is kept.
    fn fail(&self, error: Option<Error>) {
        let mut outcome = lock(&self.outcome);
        outcome.error = outcome.error.take().or(error);
        self.stop.fail();
        self.appended.notify_all();
        self.queue_changed.notify_all();
    }
}

impl<T: Element> Gathering<'_, T> {
    fn next_waiting(&mut self) -> Option<FoundPeaks<T>> {
        self.waiting.remove(&self.next)
    }

    fn append(&mut self, findings: &FoundPeaks<T>, n_y: usize) -> Result<(), Error> {
        outputs::reserve(
            self.peaks,
            findings.cells.len(),
            self.budget.assumed_peaks(),
        )?;
        outputs::peaks(findings, n_y, self.peaks);
        self.next += findings.counts.len();
        Ok(())
    }
}

fn ended<'a>(halt: Halt, mut batches: Vec<Batch<'a>>) -> Ended<'a> {
    // Who takes an empty batch believes that all is done.
    batches.retain(|batch| !batch.bins.is_empty());
    match halt {
        Halt::Stopped => Ended::Stopped,
        Halt::Failed(reason) => Ended::Failed(reason, batches),
    }
}

/// Writes the masks of some alphas.
fn emit<T: Element, E: Engine<T>>(
    engine: &E,
    findings: &Findings<T>,
    masks: &mut [ArrayViewMut3<'_, bool>],
    seconds: &mut Seconds,
) {
    let start = Instant::now();
    match engine.pool() {
        None => outputs::masks(findings, masks),
        Some(pool) => pool.install(|| outputs::masks_across(findings, masks)),
    }
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

    /// Findings one peak of height t in every bin t.
    fn one_peak_each(bins: Range<usize>, findings: &mut Findings<f64>) {
        for t in bins {
            findings.peaks.counts.push(1);
            findings.peaks.cells.push(0);
            findings.peaks.heights.push(t as f64);
            findings.peaks.bases.push(0.0);
        }
    }

    /// Finds one peak of height t in every bin t, after a wait that brings batches out of order.
    struct Slow;

    impl Engine<f64> for Slow {
        fn run(
            &mut self,
            call: &Call<'_, '_, f64>,
            findings: &mut Findings<f64>,
            _: &mut Seconds,
        ) -> Result<usize, Halt> {
            let bins = call.bins.clone();
            assert!(
                !bins.contains(&5_000),
                "bin 5000 is more than this engine can take"
            );
            std::thread::sleep(Duration::from_millis((bins.start as u64 / 512 * 7) % 5));
            findings.start(bins.len(), 0);
            // Now and then it hands over fewer bins than it was given.
            let done = if bins.len() > 300 { 300 } else { bins.len() };
            one_peak_each(bins.start..bins.start + done, findings);
            Ok(done)
        }

        fn alphas(&self) -> usize {
            1
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
        let job = Job {
            p: &p,
            options: &options,
            plan: &plan,
            instruction_set: InstructionSet::Baseline,
            budget,
            gpus: Gpus::None,
            no_gpu: None,
        };
        let report = run(job, &mut [], &mut peaks, || Slow);
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

    /// Finds one peak of height t in every bin t, and every cell in every mask; fails when it has no call left.
    struct Failing {
        calls_left: usize,
    }

    impl Engine<f64> for Failing {
        fn run(
            &mut self,
            call: &Call<'_, '_, f64>,
            findings: &mut Findings<f64>,
            _: &mut Seconds,
        ) -> Result<usize, Halt> {
            self.calls_left = self
                .calls_left
                .checked_sub(1)
                .ok_or_else(|| Halt::Failed("no call is left".to_owned()))?;
            let bins = call.bins.clone();
            let done = bins.len().min(30);
            findings.start(bins.len(), 6);
            findings.rows_mut(0, 6).for_each(|row| row.fill(0xff));
            if call.task.peaks {
                one_peak_each(bins.start..bins.start + done, findings);
            }
            Ok(done)
        }

        fn alphas(&self) -> usize {
            1
        }
    }

    /// The far end's engine fails in any call, also between two alphas of a part: what it had is given back, done by the
    /// CPU, and nothing is done twice.
    #[test]
    fn what_a_failing_engine_gives_back_is_done_once_and_in_order() {
        let zeros = Array3::zeros((2, 3, 1_000));
        let p = Posterior::new(zeros.view()).unwrap();
        let options = Options::new()
            .alphas([0.1, 0.2])
            .threads(1)
            .memory_guard(MemoryGuard::Off);
        let plan = Plan::new(p.shape(), f64::DTYPE, &options);
        for calls_left in 0..=30 {
            let mut masks = [(); 2].map(|()| Array3::from_elem((2, 3, 1_000), false));
            let mut peaks = Peaks::new();
            let budget = Budget::new(plan.estimate, &options).unwrap();
            let mut views: Vec<_> = masks.iter_mut().map(|mask| mask.view_mut()).collect();
            let run = Run::new(&p, &options, &plan, budget, &mut views, &mut peaks, 1);
            // Three batches of 100 bins, in four parts each, with two calls for each part.
            let mut engine = Failing { calls_left };
            let mut findings = Findings::new(0);
            for _ in 0..3 {
                let batch = Batch {
                    in_turn: false,
                    ..lock(&run.queue).rest.take_last(100)
                };
                match run.complete(&mut engine, batch, &mut findings, &mut Seconds::default()) {
                    Ok(bins) => assert_eq!(bins, 100),
                    Err(Ended::Failed(_, batches)) => {
                        lock(&run.queue).returned.extend(batches);
                        break;
                    }
                    Err(_) => panic!("it fails, and nothing else"),
                }
            }
            let by_far_end = run.done.load(Ordering::Relaxed);
            // Whole parts alone count: of 30, 30, 30 and 10 bins.
            let parts = (calls_left / 2).min(12);
            assert_eq!(
                by_far_end,
                parts / 4 * 100 + parts % 4 * 30,
                "{calls_left} calls"
            );
            run.work(|| Failing {
                calls_left: usize::MAX,
            });
            run.gather().unwrap();
            assert_eq!(run.done.into_inner(), 1_000, "{calls_left} calls");
            assert!(run.outcome.into_inner().unwrap().error.is_none());
            drop(run.queue);
            assert!(
                peaks.offsets.iter().copied().eq(0..=1_000),
                "{calls_left} calls"
            );
            let heights = (0..1_000).map(f64::from);
            assert!(
                peaks.heights.iter().copied().eq(heights),
                "{calls_left} calls"
            );
            assert!(masks.iter().flatten().all(|&set| set), "{calls_left} calls");
        }
    }
}
