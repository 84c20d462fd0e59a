//! The second engine: a GPU that works alone, or beside the CPU from the far end of the queue.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Scope;
use std::time::Instant;

use rayon::ThreadPool;

use super::{Batch, Ended, Run, lock};
use crate::analysis::GpuTally;
use crate::findings::Findings;
use crate::gpu::{Context, Gpu, GpuPlan, Host, Opener};
use crate::{Element, Error, GpuReport, InstructionSet, Seconds};

/// The most bins of a GPU's first batches beside the CPU, by which its speed becomes known.
const FIRST_BINS: usize = 2048;
/// Fewer bins than this are left to the CPU.
const LEAST_BINS: usize = 64;

/// Which GPU takes part in an analysis.
#[derive(Debug)]
pub(crate) enum Gpus {
    /// None.
    None,
    /// This one, alone; seconds that it took to make it ready.
    Only(Arc<Context>, f64),
    /// This one, beside the CPU; seconds likewise.
    Beside(Arc<Context>, f64),
    /// One that is being made ready, beside the CPU from then on.
    Opening(Opener),
}

impl Gpus {
    /// Whether there is work for the CPU engine.
    pub(super) fn leave_work_to_the_cpu(&self) -> bool {
        !matches!(self, Self::Only(..))
    }
}

/// The GPU's part in an analysis.
pub(super) struct Second<'r> {
    gpus: Mutex<Gpus>,
    alone: bool,
    instruction_set: InstructionSet,
    /// The threads of the CPU engine, which has no use for them when the GPU works alone.
    cpu_pool: &'r ThreadPool,
    /// The threads that serve a GPU beside the CPU.
    own_pool: OnceLock<ThreadPool>,
    context: OnceLock<Arc<Context>>,
    /// When the CPU began.
    started: Instant,
    /// When the GPU began to draw batches.
    began: OnceLock<Instant>,
    plan: OnceLock<GpuPlan>,
    outcome: Mutex<Outcome>,
}

/// What the GPU has done.
#[derive(Debug, Default)]
struct Outcome {
    tally: GpuTally,
    halvings: usize,
    /// Why there was none, or why it stopped.
    why: Option<String>,
}

impl<'r> Second<'r> {
    pub(super) fn new(
        gpus: Gpus,
        why: Option<String>,
        instruction_set: InstructionSet,
        cpu_pool: &'r ThreadPool,
    ) -> Self {
        Self {
            alone: matches!(gpus, Gpus::Only(..)),
            gpus: Mutex::new(gpus),
            instruction_set,
            cpu_pool,
            own_pool: OnceLock::new(),
            context: OnceLock::new(),
            started: Instant::now(),
            began: OnceLock::new(),
            plan: OnceLock::new(),
            outcome: Mutex::new(Outcome {
                why,
                ..Outcome::default()
            }),
        }
    }

    /// The calling thread's part: has the GPU join as soon as it is open.
    pub(super) fn look<'s, T: Element>(
        &'s self,
        run: &'s Run<'_, '_, T>,
        threads: &'s Scope<'s, '_>,
    ) {
        let mut gpus = lock(&self.gpus);
        let answer = match &*gpus {
            Gpus::None => return,
            Gpus::Only(context, seconds) | Gpus::Beside(context, seconds) => {
                Ok((Arc::clone(context), *seconds))
            }
            Gpus::Opening(opener) => match opener.answer() {
                None => return,
                Some(answer) => answer,
            },
        };
        *gpus = Gpus::None;
        match answer {
            Ok((context, seconds)) => {
                lock(&self.outcome).tally.seconds.prepare = seconds;
                let context = self.context.get_or_init(|| context);
                join(run, threads, move |_| self.lead(run, threads, context));
            }
            // Most machines have none: nothing to warn of, unless one was named.
            Err(reason) if run.options.wanted_adapter().is_none() => {
                lock(&self.outcome).why = Some(reason);
            }
            Err(reason) => self.stopped(reason),
        }
    }

    /// Prepares the engines, one for each slot, and starts a worker for each.
    fn lead<'s, T: Element>(
        &'s self,
        run: &'s Run<'_, '_, T>,
        threads: &'s Scope<'s, '_>,
        context: &'s Context,
    ) -> Result<(), Error> {
        let start = Instant::now();
        let (engines, halvings) = match self.engines(run, context) {
            Ok(prepared) => prepared,
            Err(error) if self.alone => return Err(error),
            Err(error) => {
                self.stopped(match error {
                    Error::GpuFailed { reason, .. } => reason,
                    error => error.to_string(),
                });
                return Ok(());
            }
        };
        let mut outcome = lock(&self.outcome);
        outcome.halvings = halvings;
        outcome.tally.seconds.prepare += start.elapsed().as_secs_f64();
        drop(outcome);
        self.began.get_or_init(Instant::now);
        for engine in engines {
            join(run, threads, move |_| self.serve(run, engine));
        }
        Ok(())
    }

    fn engines<'s, T: Element>(
        &'s self,
        run: &'s Run<'_, '_, T>,
        context: &'s Context,
    ) -> Result<(Vec<Gpu<'s, T>>, usize), Error> {
        let options = run.options;
        let left = lock(&run.gathering).budget.left();
        let plan = context.plan(run.p.shape(), T::DTYPE, options, left)?;
        if !self.alone && lock(&run.queue).rest.bins.is_empty() {
            // Nothing is left for it: buffers are not worth allocating.
            return Ok((Vec::new(), 0));
        }
        let pool = self.pool(run.plan.threads)?;
        let host = Host::new(pool, super::finisher, self.instruction_set);
        let (engines, plan, halvings) = context.engines(plan, options, host)?;
        lock(&run.gathering)
            .budget
            .take_bytes(context.host_bytes(&plan));
        self.plan.get_or_init(|| plan);
        Ok((engines, halvings))
    }

    /// The threads that serve the GPU: the CPU engine's, or, beside it, a few more.
    fn pool(&self, threads: usize) -> Result<&ThreadPool, Error> {
        if self.alone {
            return Ok(self.cpu_pool);
        }
        let threads = threads.div_ceil(4);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("peakmask-gpu-{i}"))
            .build()
            .map_err(|reason| Error::Threads {
                threads,
                reason: reason.to_string(),
            })?;
        Ok(self.own_pool.get_or_init(|| pool))
    }

    /// The part of one slot's worker.
    fn serve<T: Element>(&self, run: &Run<'_, '_, T>, mut engine: Gpu<'_, T>) -> Result<(), Error> {
        let mut findings = Findings::new(0);
        let mut seconds = Seconds::default();
        let mut result = Ok(());
        while let Some(batch) = self.draw(run) {
            let ended = run.complete(&mut engine, batch, &mut findings, &mut seconds);
            let mut queue = lock(&run.queue);
            queue.away -= 1;
            let ended = match ended {
                Ok(bins) => {
                    run.done_by_second.fetch_add(bins, Ordering::Relaxed);
                    None
                }
                Err(ended) => Some(ended),
            };
            if let Some(ended) = ended {
                match ended {
                    Ended::Stopped => {}
                    Ended::Error(error) => result = Err(error),
                    Ended::Failed(reason, _) if self.alone => {
                        let adapter = engine.adapter().name.clone();
                        result = Err(Error::GpuFailed { adapter, reason });
                    }
                    Ended::Failed(reason, batches) => {
                        queue.returned.extend(batches);
                        self.stopped(reason);
                    }
                }
                run.queue_changed.notify_all();
                break;
            }
            run.queue_changed.notify_all();
        }
        let mut tally = engine.finish();
        tally.seconds.expand = seconds.emit;
        lock(&self.outcome).tally.add(&tally);
        result
    }

    /// The next batch: in order if the GPU is alone, else from the far end, and no more than it can do while the CPU does
    /// the rest.
    fn draw<'a, T: Element>(&self, run: &Run<'a, '_, T>) -> Option<Batch<'a>> {
        if run.stop.requested() || lock(&self.outcome).why.is_some() {
            return None;
        }
        let plan = self.plan.get()?;
        let most = plan.lanes();
        let mut queue = lock(&run.queue);
        let batch = if self.alone {
            queue.rest.take(most)
        } else {
            let bins = self.share(run, queue.rest.bins.len(), plan.slots).min(most);
            Batch {
                in_turn: false,
                ..queue.rest.take_last(bins)
            }
        };
        if batch.bins.is_empty() {
            return None;
        }
        queue.away += 1;
        Some(batch)
    }

    /// Bins of one slot's next batch, so that both engines end at the same time; none if so few are not worth it.
    fn share<T>(&self, run: &Run<'_, '_, T>, left: usize, slots: usize) -> usize {
        let by_gpu = run.done_by_second.load(Ordering::Relaxed);
        if by_gpu == 0 {
            return left.div_ceil(4 * slots).min(FIRST_BINS);
        }
        let by_cpu = run.done.load(Ordering::Relaxed).saturating_sub(by_gpu);
        let seconds = |since: Instant| since.elapsed().as_secs_f64().max(1e-9);
        let gpu = by_gpu as f64 / self.began.get().map_or(1.0, |&began| seconds(began));
        let cpu = by_cpu as f64 / seconds(self.started);
        let share = left as f64 * gpu / (gpu + cpu) / slots as f64;
        if share < LEAST_BINS as f64 {
            0
        } else {
            share as usize
        }
    }

    /// Takes note of why the GPU does not take part, or no longer; the first reason is kept.
    fn stopped(&self, reason: String) {
        let mut outcome = lock(&self.outcome);
        if outcome.why.is_none() {
            log::warn!("the GPU takes no further part: {reason}");
            outcome.why = Some(reason);
        }
    }

    /// What is to be reported: what the GPU did, and why it did not do more.
    pub(super) fn report(self) -> (Option<GpuReport>, Option<String>) {
        let Outcome {
            tally,
            halvings,
            mut why,
        } = self
            .outcome
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let gpus = self
            .gpus
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Gpus::Opening(opener) = gpus {
            // The answer may have come since somebody last looked.
            why = Some(match opener.answer() {
                Some(Err(reason)) => reason,
                _ => "all time bins were done before it was open and ready".to_owned(),
            });
        }
        let report = self.context.into_inner().map(|context| {
            let plan = self.plan.into_inner();
            let mut seconds = tally.seconds;
            seconds.open = context.opening();
            if tally.batches == 0 && why.is_none() {
                why = Some("all time bins were done before it was ready".to_owned());
            }
            GpuReport {
                adapter: context.adapter().clone(),
                batches: tally.batches,
                batch_bins: plan.map_or(0, |plan| plan.lanes()),
                halvings,
                continued_bins: tally.continued_bins,
                handed_over_bins: tally.handed_over_bins,
                seconds,
                device_bytes: plan.map_or(0, |plan| plan.device_bytes()),
                staging_bytes: plan.map_or(0, |plan| plan.staging_bytes()),
            }
        });
        (report, why)
    }
}

/// Starts a worker of the second engine.
fn join<'s, T: Element>(
    run: &'s Run<'_, '_, T>,
    threads: &'s Scope<'s, '_>,
    work: impl FnOnce(&mut Seconds) -> Result<(), Error> + Send + 's,
) {
    lock(&run.outcome).running += 1;
    let spawned = std::thread::Builder::new()
        .name("peakmask-gpu".to_owned())
        .spawn_scoped(threads, move || run.as_worker(work));
    if let Err(reason) = spawned {
        lock(&run.outcome).running -= 1;
        run.fail(Some(Error::Threads {
            threads: 1,
            reason: reason.to_string(),
        }));
    }
}
