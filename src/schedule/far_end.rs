//! The far end of the queue: a GPU that draws batches from it beside the CPU, or, alone, all of them in order.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Scope;
use std::time::Instant;

use rayon::ThreadPool;

use super::{Reason, finisher, pool};
use crate::analysis::{GpuReport, GpuTally, Seconds};
use crate::element::Element;
use crate::engine::Engine;
use crate::error::Error;
use crate::gpu::{Context, Gpu, GpuPlan, Host, Opener};
use crate::instruction_set::InstructionSet;
use crate::locks::lock;
use crate::options::Options;
use crate::plan::Plan;
use crate::queue::Batch;
use crate::run::{Desk, Ended, Run};

/// The most bins of a GPU's first batches beside the CPU, by which its speed becomes known.
const FIRST_BINS: usize = 2048;
/// Fewer bins than this are left to the CPU.
const LEAST_BINS: usize = 64;

/// What a GPU does in an analysis.
#[derive(Debug)]
pub(super) enum Role {
    /// Nothing.
    None,
    /// This one does everything; seconds that it took to make it ready.
    Alone(Arc<Context>, f64),
    /// This one works beside the CPU; seconds likewise.
    Beside(Arc<Context>, f64),
    /// One that is being made ready works beside the CPU from then on.
    Opening(Opener),
    /// Nothing, for there is none.
    Absent(String),
}

impl Role {
    /// Whether it leaves nothing to the CPU.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self, Self::Alone(..))
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// A GPU's part in an analysis.
pub(super) struct FarEnd<'r> {
    /// What has not begun yet.
    role: Mutex<Role>,
    alone: bool,
    options: &'r Options,
    instruction_set: InstructionSet,
    /// Threads of the CPU engine.
    threads: usize,
    /// The CPU engine's own, which has no use for them when the GPU works alone.
    cpu_pool: Option<&'r ThreadPool>,
    /// The threads that serve a GPU beside the CPU.
    own_pool: OnceLock<ThreadPool>,
    context: OnceLock<Arc<Context>>,
    /// When the CPU began.
    started: Instant,
    /// When the GPU began to draw batches.
    began: OnceLock<Instant>,
    plan: OnceLock<GpuPlan>,
    /// Bins completed.
    done: AtomicUsize,
    outcome: Mutex<Outcome>,
}

/// What the GPU has done.
#[derive(Debug, Default)]
struct Outcome {
    tally: GpuTally,
    halvings: usize,
    /// Why there was none, or why it stopped.
    why: Option<Reason>,
    /// Whether it failed.
    failed: bool,
}

impl<'r> FarEnd<'r> {
    pub(super) fn new(
        role: Role,
        options: &'r Options,
        instruction_set: InstructionSet,
        cpu_pool: Option<&'r ThreadPool>,
        plan: &Plan,
    ) -> Self {
        Self {
            alone: role.is_alone(),
            role: Mutex::new(role),
            options,
            instruction_set,
            threads: plan.threads,
            cpu_pool,
            own_pool: OnceLock::new(),
            context: OnceLock::new(),
            started: Instant::now(),
            began: OnceLock::new(),
            plan: OnceLock::new(),
            done: AtomicUsize::new(0),
            outcome: Mutex::default(),
        }
    }

    /// Bins completed.
    pub(super) fn bins(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// The calling thread's part: lets the GPU in as soon as it is open.
    pub(super) fn admit<'s, T: Element>(
        &'s self,
        run: &'s Run<'_, '_, T>,
        threads: &'s Scope<'s, '_>,
    ) {
        let mut role = lock(&self.role);
        let answer = match &*role {
            Role::None | Role::Absent(_) => return,
            Role::Alone(context, seconds) | Role::Beside(context, seconds) => {
                Ok((Arc::clone(context), *seconds))
            }
            Role::Opening(opener) => match opener.answer() {
                None => return,
                Some(answer) => answer,
            },
        };
        match answer {
            Ok((context, seconds)) => {
                *role = Role::None;
                lock(&self.outcome).tally.seconds.prepare = seconds;
                let context = self.context.get_or_init(|| context);
                start_worker(run, threads, move |_| self.prepare(run, threads, context));
            }
            Err(reason) => {
                // Most machines have none: nothing to warn of, unless one was named.
                if self.options.wanted_adapter().is_some() {
                    log::warn!("no GPU takes part: {reason}");
                }
                lock(&self.outcome).why = Some(Cow::Owned(reason.clone()));
                *role = Role::Absent(reason);
            }
        }
    }

    /// Prepares the engines, one for each slot, and starts a worker for each.
    fn prepare<'s, T: Element>(
        &'s self,
        run: &'s Run<'_, '_, T>,
        threads: &'s Scope<'s, '_>,
        context: &'s Context,
    ) -> Result<(), Error> {
        let start = Instant::now();
        let (engines, halvings) = match self.engines(run, context) {
            Ok(prepared) => prepared,
            Err(error) if self.alone => {
                lock(&self.outcome).failed = true;
                return Err(error);
            }
            Err(error) => {
                self.give_up(match error {
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
            start_worker(run, threads, move |_| self.work(run, engine));
        }
        Ok(())
    }

    fn engines<'s, T: Element>(
        &'s self,
        run: &'s Run<'_, '_, T>,
        context: &'s Context,
    ) -> Result<(Vec<Gpu<'s, T>>, usize), Error> {
        let demand = self.options.demand();
        let left = run.gathering.with_budget(|budget| budget.left());
        let plan = context.plan(run.p.shape(), T::DTYPE, demand, left)?;
        if !self.alone && run.queue.untaken() == 0 {
            // Nothing is left for it: buffers are not worth allocating.
            return Ok((Vec::new(), 0));
        }
        let host = Host::new(self.pool()?, finisher, self.instruction_set);
        let (engines, plan, halvings) = context.engines(plan, demand, host)?;
        let bytes = context.host_bytes(&plan);
        run.gathering.with_budget(|budget| budget.take_bytes(bytes));
        self.plan.get_or_init(|| plan);
        Ok((engines, halvings))
    }

    /// The threads that serve the GPU: the CPU engine's, or, beside it, a few more.
    fn pool(&self) -> Result<&ThreadPool, Error> {
        if let Some(pool) = self.cpu_pool.filter(|_| self.alone) {
            return Ok(pool);
        }
        let pool = pool("peakmask-gpu", self.threads.div_ceil(4))?;
        Ok(self.own_pool.get_or_init(|| pool))
    }

    /// The part of one slot's worker.
    fn work<T: Element>(&self, run: &Run<'_, '_, T>, mut engine: Gpu<'_, T>) -> Result<(), Error> {
        let mut desk = Desk::new(0);
        let mut seconds = Seconds::default();
        let mut result = Ok(());
        while let Some(mut batch) = self.draw(run, engine.bins()) {
            let next = batch.next;
            match run.complete(&mut engine, &mut batch, &mut desk, &mut seconds) {
                Ok(bins) => {
                    self.done.fetch_add(bins, Ordering::Relaxed);
                    run.queue.settle(None);
                    continue;
                }
                Err(Ended::Stopped) => run.queue.settle(None),
                Err(Ended::Error(error)) => {
                    result = Err(error);
                    run.queue.settle(None);
                }
                Err(Ended::Failed(reason)) if self.alone => {
                    let adapter = engine.adapter().name.clone();
                    lock(&self.outcome).failed = true;
                    result = Err(Error::GpuFailed { adapter, reason });
                    run.queue.settle(None);
                }
                Err(Ended::Failed(reason)) => {
                    self.done.fetch_add(batch.next - next, Ordering::Relaxed);
                    run.queue.settle(Some(batch));
                    self.give_up(reason);
                }
            }
            break;
        }
        // What the engine has lent is given back before it ends.
        drop(desk);
        let mut tally = engine.finish();
        tally.seconds.expand = seconds.emit;
        lock(&self.outcome).tally.add(&tally);
        result
    }

    /// The next batch: in order if the GPU is alone, else from the far end, and no more than it can do while the CPU does
    /// the rest.
    fn draw<'a, T: Element>(&self, run: &Run<'a, '_, T>, most: usize) -> Option<Batch<'a, T>> {
        if run.stop.requested() || lock(&self.outcome).why.is_some() {
            return None;
        }
        let plan = self.plan.get()?;
        run.queue.draw(self.alone, |untaken| match self.alone {
            true => most,
            false => self.share(run, untaken, plan.slots).min(most),
        })
    }

    /// Bins of one slot's next batch, so that both engines end at the same time; none if so few are not worth it.
    fn share<T: Element>(&self, run: &Run<'_, '_, T>, left: usize, slots: usize) -> usize {
        let by_gpu = self.bins();
        if by_gpu == 0 {
            return left.div_ceil(4 * slots).min(FIRST_BINS);
        }
        let by_cpu = run.done().saturating_sub(by_gpu);
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
    fn give_up(&self, reason: String) {
        let mut outcome = lock(&self.outcome);
        outcome.failed = true;
        if outcome.why.is_none() {
            log::warn!("the GPU takes no further part: {reason}");
            outcome.why = Some(Cow::Owned(reason));
        }
    }

    /// What the GPU did, why it did not do more, and what it can do in the next analysis.
    pub(super) fn end(self) -> (Option<GpuReport>, Option<Reason>, Role) {
        let Outcome {
            tally,
            halvings,
            mut why,
            failed,
        } = self
            .outcome
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let mut role = self
            .role
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Role::Opening(_) = role {
            why = Some(Cow::Borrowed(
                "all time bins were done before it was open and ready",
            ));
        }
        let Some(context) = self.context.into_inner() else {
            return (None, why, role);
        };
        let plan = self.plan.into_inner();
        let mut seconds = tally.seconds;
        seconds.open = context.opening();
        if tally.batches == 0 && why.is_none() {
            why = Some(Cow::Borrowed("all time bins were done before it was ready"));
        }
        let report = GpuReport {
            adapter: context.adapter().clone(),
            batches: tally.batches,
            batch_bins: plan.map_or(0, |plan| plan.lanes()),
            halvings,
            continued_bins: tally.continued_bins,
            handed_over_bins: tally.handed_over_bins,
            seconds,
            device_bytes: plan.map_or(0, |plan| plan.device_bytes()),
            staging_bytes: plan.map_or(0, |plan| plan.staging_bytes()),
        };
        role = match failed {
            true => Role::None,
            false => Role::Beside(context, 0.0),
        };
        (Some(report), why, role)
    }
}

/// Starts a worker.
fn start_worker<'s, T: Element>(
    run: &'s Run<'_, '_, T>,
    threads: &'s Scope<'s, '_>,
    work: impl FnOnce(&mut Seconds) -> Result<(), Error> + Send + 's,
) {
    run.expect_worker();
    let spawned = std::thread::Builder::new()
        .name("peakmask-gpu".to_owned())
        .spawn_scoped(threads, move || run.as_worker(work));
    if let Err(reason) = spawned {
        run.miss_worker(Error::Threads {
            threads: 1,
            reason: reason.to_string(),
        });
    }
}
