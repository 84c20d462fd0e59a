//! Who takes part: the one room that names both engines. Threads and engines are kept from call to call.

mod far_end;
mod gpu_use;

use std::any::Any;
use std::borrow::Cow;

use rayon::ThreadPool;

use crate::analysis::{Engines, GpuReport, Peaks, Report, Seconds};
use crate::cpu::Cpu;
use crate::element::{Dtype, Element};
use crate::engine::{Measuring, Stop, Task};
use crate::error::Error;
use crate::gather::Gathering;
use crate::instruction_set::InstructionSet;
use crate::memory::{self, Budget};
use crate::options::Options;
use crate::outputs::{Lists, Parts};
use crate::plan::Plan;
use crate::posterior::Posterior;
use crate::queue::{Batch, Queue};
use crate::run::{Places, Run, Worker};
use crate::seams::Seams;
use far_end::{FarEnd, Role};
use gpu_use::KeptGpu;

/// Why no GPU takes part.
pub(crate) type Reason = Cow<'static, str>;

/// Threads and engines, kept from call to call.
struct Kept<T> {
    instruction_set: InstructionSet,
    pool: Option<ThreadPool>,
    workers: Vec<Worker<Cpu<T>, T>>,
    gpu: KeptGpu,
}

/// An analysis that is about to run.
pub(crate) struct Job<'a, 'p, T> {
    pub(crate) p: &'a Posterior<'p, T>,
    pub(crate) task: Task<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) options: &'a Options,
    pub(crate) helper: Helper,
    pub(crate) budget: Budget,
    /// Whether peaks are handed over.
    pub(crate) listed: bool,
    /// Outputs of masks, and of offsets if peaks are wanted.
    pub(crate) parts: Parts<'a, T>,
    pub(crate) lists: Lists<'a>,
}

/// A GPU that takes part in a job, or why there is none.
pub(crate) struct Helper {
    role: Role,
    no_gpu: Option<Reason>,
}

/// What an analyzer knows of its crew.
pub(crate) trait Crew<T> {
    /// Opens a GPU that the options require.
    fn open(&mut self, options: &Options) -> Result<(), Error>;

    /// Looks for a GPU that can take part in a job, as the options say.
    fn helper(
        &mut self,
        shape: [usize; 3],
        plan: &Plan,
        options: &Options,
        task: Task<'_>,
    ) -> Result<Helper, Error>;

    /// Runs a job, and appends its peaks to `peaks`: with all rows, or, when it fails, as they were. Masks of pieces meet at
    /// `seams`.
    fn run(
        &mut self,
        job: Job<'_, '_, T>,
        peaks: &mut Peaks<T>,
        seams: &mut Seams,
    ) -> Result<Report, Error>;
}

/// A crew of nobody yet: threads and engines come with the first job that needs them.
///
/// It is made by a function for each type, and known by its trait alone, so that the engines are compiled once, with this
/// crate, and not anew with every crate that calls it.
pub(crate) fn crew<T: Element>(
    options: &Options,
    instruction_set: InstructionSet,
) -> Result<Box<dyn Crew<T> + Send>, Error> {
    #[inline(never)]
    fn of_f32(gpu: KeptGpu, instruction_set: InstructionSet) -> Box<dyn Crew<f32> + Send> {
        Box::new(Kept::new(gpu, instruction_set))
    }
    #[inline(never)]
    fn of_f64(gpu: KeptGpu, instruction_set: InstructionSet) -> Box<dyn Crew<f64> + Send> {
        Box::new(Kept::new(gpu, instruction_set))
    }
    let gpu = KeptGpu::new(options)?;
    let crew: Box<dyn Any> = match T::DTYPE {
        Dtype::F32 => Box::new(of_f32(gpu, instruction_set)),
        Dtype::F64 => Box::new(of_f64(gpu, instruction_set)),
    };
    Ok(*crew.downcast().expect("it is of the type that was matched"))
}

impl<T: Element> Kept<T> {
    fn new(gpu: KeptGpu, instruction_set: InstructionSet) -> Self {
        Self {
            instruction_set,
            pool: None,
            workers: Vec::new(),
            gpu,
        }
    }

    /// Starts threads, unless there are enough.
    fn start_threads(&mut self, threads: usize) -> Result<(), Error> {
        let enough = |pool: &ThreadPool| pool.current_num_threads() >= threads;
        if !self.pool.as_ref().is_some_and(enough) {
            self.pool = Some(pool("peakmask", threads)?);
        }
        Ok(())
    }

    /// Has as many engines of the CPU as there are workers follow a plan.
    fn prepare_workers(&mut self, workers: usize, plan: &Plan, n_x: usize, n_y: usize) {
        for worker in self.workers.iter_mut().take(workers) {
            worker.engine.follow(&plan.cpu);
        }
        while self.workers.len() < workers {
            let engine = Cpu::new(&plan.cpu, n_x, n_y, self.instruction_set);
            self.workers.push(Worker::new(engine));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a report holds")]
    fn report(
        &self,
        plan: &Plan,
        bins: usize,
        peaks: usize,
        uncovered_bins: usize,
        seconds: Seconds,
        gpu_bins: usize,
        alone: bool,
        gpu: Option<GpuReport>,
        no_gpu: Option<Reason>,
    ) -> Report {
        let by_gpu = gpu.as_ref().map_or(0, GpuReport::host_bytes);
        Report {
            engine: match (gpu_bins, bins - gpu_bins) {
                (0, _) if !alone => Engines::Cpu,
                (_, 0) => Engines::Gpu,
                _ => Engines::Both,
            },
            instruction_set: self.instruction_set,
            threads: plan.threads,
            bins,
            cpu_bins: bins - gpu_bins,
            gpu_bins,
            peaks,
            uncovered_bins,
            seconds,
            bytes_planned: plan.estimate.total() + by_gpu,
            bytes_used: plan.estimate.total_with(peaks as u64) + by_gpu,
            gpu,
            no_gpu,
        }
    }
}

impl<T: Element> Crew<T> for Kept<T> {
    fn open(&mut self, options: &Options) -> Result<(), Error> {
        self.gpu
            .open_required::<T>(options, options.task())
            .map(|_| ())
    }

    fn helper(
        &mut self,
        shape: [usize; 3],
        plan: &Plan,
        options: &Options,
        task: Task<'_>,
    ) -> Result<Helper, Error> {
        let (role, no_gpu) = self.gpu.role::<T>(shape, plan, options, task)?;
        Ok(Helper { role, no_gpu })
    }

    fn run(
        &mut self,
        job: Job<'_, '_, T>,
        peaks: &mut Peaks<T>,
        seams: &mut Seams,
    ) -> Result<Report, Error> {
        let Job {
            p,
            task,
            plan,
            options,
            helper,
            budget,
            listed,
            parts,
            lists,
        } = job;
        let [n_x, n_y, n_t] = p.shape();
        let no_gpu = helper.no_gpu;
        let (alone, joined) = (helper.role.is_alone(), !helper.role.is_none());
        if plan.threads > 1 || alone {
            self.start_threads(plan.threads)?;
        }
        // Without time bins nobody works.
        let workers = if alone || n_t == 0 { 0 } else { plan.threads };
        memory::taking(|| self.prepare_workers(workers, plan, n_x, n_y))?;
        let before = peaks.len();
        let most_waiting = if joined {
            plan.threads.max(2)
        } else {
            plan.threads
        };
        let run = Run::new(
            p,
            (task, listed),
            plan.cpu.batch,
            Stop::new(options.cancel.clone()),
            Places {
                queue: Queue::new(Batch::whole(n_t, parts)),
                gathering: Gathering::new(peaks, n_y, budget, most_waiting),
                seams: std::mem::take(seams),
                lists,
                most_waiting,
            },
            options.progress.as_ref(),
        );
        let pool = self.pool.as_ref().filter(|_| plan.threads > 1 || alone);
        let workers = &mut self.workers[..workers];
        let (gpu, no_gpu, far_end_bins) = match joined {
            false => {
                run.drive(workers, pool, || {});
                (None, no_gpu, 0)
            }
            true => {
                let far_end = FarEnd::new(helper.role, options, self.instruction_set, pool, plan);
                std::thread::scope(|threads| {
                    run.drive(workers, pool, || far_end.admit(&run, threads));
                });
                self.gpu.keep(far_end)
            }
        };
        let uncovered_bins = run.uncovered();
        let (gathering, met, lists, result) = run.end();
        *seams = met;
        let result = result.and_then(|seconds| gathering.add_later(pool).map(|()| seconds));
        gathering.close(peaks, result.is_ok());
        lists.close(result.is_ok());
        let seconds = result?;
        Ok(self.report(
            plan,
            n_t,
            peaks.len() - before,
            uncovered_bins,
            seconds,
            far_end_bins,
            alone,
            gpu,
            no_gpu,
        ))
    }
}

/// Worker threads that belong to an analyzer.
pub(crate) fn pool(name: &'static str, threads: usize) -> Result<ThreadPool, Error> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |i| format!("{name}-{i}"))
        .build()
        .map_err(|reason| Error::Threads {
            threads,
            reason: reason.to_string(),
        })
}

/// Makes a CPU engine for what a GPU leaves undone, and for the answers that it is probed with.
pub(crate) fn finisher<T: Element>(
    [n_x, n_y, n_t]: [usize; 3],
    levels: usize,
    instruction_set: InstructionSet,
) -> Box<dyn Measuring<T> + Send> {
    let plan = crate::plan::CpuPlan::new(n_x * n_y, n_t, T::DTYPE, levels, 1);
    Box::new(Cpu::new(&plan, n_x, n_y, instruction_set))
}
