//! The engine of one slot: a batch is copied in, submitted, continued where budgets have ended, and read back; what the
//! device leaves pending is finished by the host.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use super::arrays::Sizes;
use super::context::Context;
use super::device::Failure;
use super::kernels::{Params, Part, Pipelines};
use super::pace::Budget;
use super::plan::{GpuPlan, lanes_for};
use super::slot::Slot;
use super::submission::{Submitter, Work};
use crate::analysis::GpuTally;
use crate::choices::{Level, Prominence};
use crate::engine::{Call, Engine, Finisher, Halt, Measuring, Task};
use crate::findings::{Findings, Measures};
use crate::tuning::GpuTuning;
use crate::{Adapter, Element, InstructionSet, Seconds};

/// What the host does for the engines of one analysis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<'c, T> {
    /// Threads that copy values in and expand masks.
    pub(super) pool: &'c rayon::ThreadPool,
    /// Who does what the device left pending.
    pub(super) finisher: Finisher<T>,
    instruction_set: InstructionSet,
}

impl<'c, T> Host<'c, T> {
    pub(crate) fn new(
        pool: &'c rayon::ThreadPool,
        finisher: Finisher<T>,
        instruction_set: InstructionSet,
    ) -> Self {
        Self {
            pool,
            finisher,
            instruction_set,
        }
    }
}

/// The GPU engine of one slot.
pub(crate) struct Gpu<'c, T> {
    pub(super) context: &'c Context,
    pub(super) submitter: Arc<Submitter>,
    plan: GpuPlan,
    pub(super) host: Host<'c, T>,
    pub(super) tuning: GpuTuning,
    /// What measures values, one on each thread.
    measuring: Vec<(Box<dyn Measuring<T> + Send>, Measures<T>)>,
    /// Most peaks of a bin so far, on the average of a batch.
    rows_per_bin: f64,
    /// Whether the slot is as it should be between batches.
    sound: bool,
    pub(crate) tally: GpuTally,
}

impl<T: Element> Engine<T> for Gpu<'_, T> {
    fn run(
        &mut self,
        call: &Call<'_, '_, T>,
        findings: &mut Findings<T>,
        _: &mut Seconds,
    ) -> Result<usize, Halt> {
        self.sound = false;
        findings.give_back();
        let done = self.batch(call, findings)?;
        self.sound = true;
        Ok(done)
    }

    fn supports(task: Task<'_>) -> Result<(), &'static str> {
        if task.peaks && task.prominence != Prominence::Reference {
            return Err("the GPU engine knows no prominence but the reference's");
        }
        let adds = |level: &Level| matches!(level, Level::Coverage(_));
        match task.levels.iter().any(adds) {
            true => Err("the GPU engine adds no values, as a level of coverage has to"),
            false => Ok(()),
        }
    }

    fn levels(&self) -> usize {
        (self.plan.sizes.levels as usize).max(1)
    }

    fn bins(&self) -> usize {
        match self.tuning.batch {
            None => self.submitter.pace().bins(&self.plan),
            Some(_) => self.plan.lanes(),
        }
    }

    fn pool(&self) -> Option<&rayon::ThreadPool> {
        Some(self.host.pool)
    }
}

impl<'c, T: Element> Gpu<'c, T> {
    pub(super) fn new(
        context: &'c Context,
        pipelines: &Arc<Pipelines>,
        slot: Slot,
        plan: GpuPlan,
        host: Host<'c, T>,
        tuning: GpuTuning,
    ) -> Result<Self, Failure> {
        let submitter = Submitter::new(context.device(), pipelines, slot, plan)?;
        Ok(Self {
            context,
            submitter: Arc::new(submitter),
            plan,
            host,
            tuning,
            measuring: Vec::new(),
            rows_per_bin: plan.sizes.cells() as f64 / 32.0,
            sound: true,
            tally: GpuTally::default(),
        })
    }

    /// The most bins of a batch.
    pub(super) fn lanes(&self) -> usize {
        self.plan.lanes()
    }

    pub(crate) fn adapter(&self) -> &Adapter {
        self.context.adapter()
    }

    /// Ends the engine's work: its tally. Its buffers are kept for the next analysis.
    pub(crate) fn finish(mut self) -> GpuTally {
        if self.sound
            && let Some(submitter) = Arc::get_mut(&mut self.submitter)
            && let Some(slot) = submitter.take_slot()
        {
            self.context.keep(slot);
        }
        self.tally
    }

    /// Computes a whole batch: a submission, and further ones for what that left undone.
    fn batch(&mut self, call: &Call<'_, '_, T>, findings: &mut Findings<T>) -> Result<usize, Halt> {
        let Call {
            p,
            ref bins,
            task,
            stop,
        } = *call;
        if self.tuning.lose_after == Some(self.tally.batches) {
            self.context.device().device.destroy();
        }
        let mut sizes = Sizes {
            levels: task.levels.len() as u64,
            peaks: task.peaks,
            lanes: lanes_for(bins.len() as u64),
            ..self.plan.sizes
        };
        let room = sizes.rows;
        sizes.rows = ((self.rows_per_bin * bins.len() as f64 * 1.125) as u64).clamp(1, room);
        let params = Params::new(&sizes, bins.len(), room, self.fold());

        let start = Instant::now();
        self.upload(p, bins.clone(), task, &sizes)?;
        self.tally.seconds.upload += start.elapsed().as_secs_f64();

        let mut work = Work {
            part: Part::Whole,
            sizes,
            params,
            dispatches: 0,
        };
        let mut left = self.advance(&mut work)?;
        self.tally.batches += 1;
        for round in 0..self.plan.rounds {
            if left <= self.plan.few {
                break;
            }
            if stop.requested() {
                return self.leave();
            }
            if round == 0 {
                self.tally.continued_bins += left;
            }
            self.submitter.slot().readback.unmap();
            work.part = Part::Rest;
            left = self.advance(&mut work)?;
        }
        if work.part == Part::Rest {
            self.submitter.slot().readback.unmap();
            work.part = Part::Results;
            self.submit(work)?;
        }
        let tally = self.read_tally(&sizes)?;
        let lanes = sizes.lanes as usize;

        let start = Instant::now();
        self.lend_masks(&sizes, findings)?;
        findings
            .peaks
            .counts
            .extend_from_slice(&tally[..bins.len()]);
        let rows: u64 = findings
            .peaks
            .counts
            .iter()
            .map(|&count| u64::from(count))
            .sum();
        self.read_rows(&sizes, rows, findings)?;
        let left: Vec<bool> = tally[lanes..].iter().map(|&pending| pending != 0).collect();
        // What is whole is written from where it lies; what is not must make room for more, or is written to.
        if (findings.peaks.cells.len() as u64) < rows || left.contains(&true) {
            findings.keep(self.host.pool);
        }
        self.tally.seconds.readback += start.elapsed().as_secs_f64();
        self.rows_per_bin = self.rows_per_bin.max(rows as f64 / bins.len() as f64);

        // Peaks for which there was no room, in further rounds.
        while (findings.peaks.cells.len() as u64) < rows {
            if stop.requested() {
                return Err(Halt::Stopped);
            }
            let first = findings.peaks.cells.len() as u64;
            work.part = Part::Rows;
            work.sizes.rows = (rows - first).min(room);
            work.params.first_row = first as u32;
            work.params.rows = work.sizes.rows as u32;
            self.submit(work)?;
            self.read_rows(&work.sizes, rows - first, findings)?;
            self.submitter.slot().readback.unmap();
        }
        self.hand_over(call, &left, findings)?;
        if task.measures {
            self.measure(call, findings)?;
        }
        Ok(bins.len())
    }

    /// Has the device do work that may leave bins pending: how many.
    fn advance(&mut self, work: &mut Work) -> Result<usize, Failure> {
        let budget = self.budget();
        work.params.iterations = budget.iterations;
        work.dispatches = budget.dispatches;
        let seconds = self.submit(*work)?;
        let tally = self.read_tally(&work.sizes)?;
        let pending = &tally[work.sizes.lanes as usize..];
        let left = pending.iter().filter(|&&pending| pending != 0).count();
        let values = work.sizes.cells() * work.sizes.lanes;
        if work.part == Part::Whole || left > 0 {
            self.submitter
                .pace()
                .note(values, budget, left > 0, seconds);
        }
        Ok(left)
    }

    /// What one submission may do: as the caller's knobs have it, else what there is time for.
    fn budget(&self) -> Budget {
        match self.tuning {
            GpuTuning {
                iterations: None,
                dispatches: None,
                ..
            } => self.submitter.pace().budget(&self.plan),
            _ => Budget {
                iterations: self.plan.iterations,
                dispatches: self.plan.dispatches,
            },
        }
    }

    /// Stops between two submissions.
    fn leave<R>(&mut self) -> Result<R, Halt> {
        self.submitter.slot().readback.unmap();
        self.sound = true;
        Err(Halt::Stopped)
    }

    /// Has the finisher analyse the bins that are still pending, on all threads, and puts its findings in place of the
    /// device's.
    fn hand_over(
        &mut self,
        call: &Call<'_, '_, T>,
        left: &[bool],
        findings: &mut Findings<T>,
    ) -> Result<(), Halt> {
        if !left.contains(&true) {
            return Ok(());
        }
        let [n_x, n_y, n_t] = call.p.shape();
        let Host {
            pool,
            finisher,
            instruction_set,
        } = self.host;
        let share = left.iter().filter(|&&left| left).count();
        let share = share.div_ceil(pool.current_num_threads()).max(1);
        let mut pieces = Vec::new();
        let mut lane = 0;
        for run in left.chunk_by(|a, b| a == b) {
            let end = lane + run.len();
            if run[0] {
                pieces.extend(
                    (lane..end)
                        .step_by(share)
                        .map(|lane| lane..end.min(lane + share)),
                );
            }
            lane = end;
        }
        let planes = call.task.levels.len() * n_x * n_y;
        let engine = || finisher([n_x, n_y, n_t], call.task.levels.len(), instruction_set);
        // The values are measured of the whole batch, afterwards.
        let task = Task {
            measures: false,
            ..call.task
        };
        let analyse = |engine: &mut Box<dyn Measuring<T> + Send>, mut lanes: Range<usize>| {
            let mut found = Vec::new();
            // Where there are many peaks it stops early.
            while !lanes.is_empty() {
                let mut part = Findings::new(0);
                let bins = call.bins.start + lanes.start..call.bins.start + lanes.end;
                let call = Call {
                    bins,
                    task,
                    ..*call
                };
                let done = engine.run(&call, &mut part, &mut Seconds::default())?;
                found.push((lanes.start..lanes.start + done, part));
                lanes.start += done;
            }
            Ok::<_, Halt>(found)
        };
        let found: Vec<_> = pool.install(|| {
            let pieces = pieces.into_par_iter();
            pieces.map_init(engine, analyse).collect::<Result<_, _>>()
        })?;
        for (lanes, part) in found.into_iter().flatten() {
            self.tally.handed_over_bins += lanes.len();
            let replaced = findings.replace(lanes, &part, planes);
            replaced.map_err(|reason| Halt::Failed(reason.to_owned()))?;
        }
        Ok(())
    }
}

impl<T: Element> Gpu<'_, T> {
    /// Has the host measure the values of a batch, whose masks have been found: the device adds no floating-point numbers.
    fn measure(&mut self, call: &Call<'_, '_, T>, findings: &mut Findings<T>) -> Result<(), Halt> {
        let n = call.bins.len();
        let Host {
            pool,
            finisher,
            instruction_set,
        } = self.host;
        findings.measures.start(n, call.task.levels.len());
        // A piece for each thread, of whole words of lanes.
        let together = n.div_ceil(pool.current_num_threads()).next_multiple_of(64);
        let pieces = n.div_ceil(together);
        while self.measuring.len() < pieces {
            let engine = finisher(call.p.shape(), call.task.levels.len(), instruction_set);
            self.measuring.push((engine, Measures::new()));
        }
        let found = &*findings;
        let engines = self.measuring[..pieces].par_iter_mut().enumerate();
        pool.install(|| {
            engines.try_for_each(|(i, (engine, measures))| {
                let from = call.bins.start + i * together;
                let bins = from..call.bins.end.min(from + together);
                engine.measure(&Call { bins, ..*call }, found, i * together, measures)
            })
        })?;
        for (i, (_, measures)) in self.measuring[..pieces].iter().enumerate() {
            findings.measures.put(i * together, measures);
        }
        Ok(())
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.to_string())
    }
}
