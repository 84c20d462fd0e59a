//! The GPU engine: a batch of time bins in, its findings out, by integer kernels over arrays in which neighbouring words
//! belong to neighbouring bins. This module alone knows wgpu.

mod choice;
mod device;
mod kernels;
mod load;
mod opener;
mod probe;
mod slot;

pub(crate) use device::{Failure, FailureKind};
#[cfg(test)]
pub(crate) use kernels::{KERNELS, source};
pub(crate) use opener::Opener;

use std::ops::Range;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytemuck::{bytes_of, cast_slice, pod_collect_to_vec};

use crate::analysis::GpuTally;
use crate::engine::{Call, Engine, Finisher, Halt, Task};
use crate::findings::Findings;
use crate::plan::gpu::{
    Array, GpuPlan, ITERATIONS, Limits, PARAMS_BYTES, Sizes, TIMES_BYTES, lanes_for,
};
use crate::posterior::Posterior;
use crate::{Adapter, Adapters, Element, GpuTuning, InstructionSet, Options, Seconds};
use choice::Choice;
use device::Device;
pub(crate) use kernels::Variant;
use kernels::{Params, Pipelines, Stage, Step};
use slot::Slot;

/// Everything on one device that outlives an analysis.
#[derive(Debug)]
pub(crate) struct Context {
    device: Option<Device>,
    /// Compiled, and found to compute what the CPU computes.
    trusted: Mutex<Vec<Arc<Pipelines>>>,
    slots: Mutex<Vec<Slot>>,
    /// Seconds that opening took.
    opening: f64,
}

impl Context {
    /// Opens an adapter: the named one, else the best; software only where it may serve unnamed. Says why it could not.
    pub(crate) fn open(adapter: Option<&str>, software: bool) -> Result<Self, String> {
        let start = Instant::now();
        let device = Device::open(&Choice {
            name: adapter,
            software,
        })?;
        log::debug!("opened {}", device.adapter);
        Ok(Self {
            device: Some(device),
            trusted: Mutex::default(),
            slots: Mutex::default(),
            opening: start.elapsed().as_secs_f64(),
        })
    }

    /// What has been opened.
    pub(crate) fn adapter(&self) -> &Adapter {
        &self.device().adapter
    }

    /// Seconds that opening took.
    pub(crate) fn opening(&self) -> f64 {
        self.opening
    }

    pub(crate) fn limits(&self) -> Limits {
        self.device().limits()
    }

    fn device(&self) -> &Device {
        match &self.device {
            Some(device) => device,
            None => unreachable!("a context without a device is being dropped"),
        }
    }

    /// Whether kernels of this variant have been compiled and probed.
    pub(crate) fn is_ready(&self, variant: Variant) -> bool {
        let trusted = self.trusted.try_lock();
        trusted.is_ok_and(|trusted| trusted.iter().any(|pipelines| pipelines.variant == variant))
    }

    /// Compiles and probes kernels of this variant, if that has not been done: the seconds that it took.
    pub(crate) fn prepare<T: Element>(
        &self,
        variant: Variant,
        finisher: Finisher<T>,
    ) -> Result<f64, String> {
        let start = Instant::now();
        let prepared = self.pipelines(variant, finisher);
        prepared.map_err(|failure| failure.to_string())?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Pipelines for this variant, from the first call on: compiled, and probed.
    fn pipelines<T: Element>(
        &self,
        variant: Variant,
        finisher: Finisher<T>,
    ) -> Result<Arc<Pipelines>, Failure> {
        // Held while compiling: whoever needs the same pipelines waits for them instead of compiling them too.
        let mut trusted = lock(&self.trusted);
        if let Some(pipelines) = trusted
            .iter()
            .find(|pipelines| pipelines.variant == variant)
        {
            return Ok(Arc::clone(pipelines));
        }
        let pipelines = Arc::new(Pipelines::compile(self.device(), variant)?);
        // A planted fault, and a budget so small that it serves tests alone, are not the device's.
        if variant.fault.is_none() && variant.iterations == ITERATIONS {
            probe::probe(self, &pipelines, finisher)?;
        }
        trusted.push(Arc::clone(&pipelines));
        Ok(pipelines)
    }

    /// One engine for each slot of the plan, which may have to shrink: the engines, the plan that was possible, and how
    /// often it was halved.
    pub(crate) fn engines<'c, T: Element>(
        &'c self,
        plan: GpuPlan,
        options: &Options,
        common: Common<'c, T>,
    ) -> Result<(Vec<Gpu<'c, T>>, GpuPlan, usize), Failure> {
        let pipelines = self.pipelines(Variant::of::<T>(options), common.finisher)?;
        let (plan, slots, halvings) = Slot::ring(self.device(), plan, &mut lock(&self.slots))?;
        let engines = slots
            .into_iter()
            .map(|slot| {
                Gpu::new(
                    self,
                    &pipelines,
                    slot,
                    plan,
                    common,
                    options.gpu_tuning.clone(),
                )
            })
            .collect::<Result<_, _>>()?;
        Ok((engines, plan, halvings))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.device().has_hung() {
            // To close it would wait for it, and for ever: it is left to the end of the process.
            std::mem::forget(self.device.take());
            std::mem::forget(std::mem::take(&mut *lock(&self.slots)));
            std::mem::forget(std::mem::take(&mut *lock(&self.trusted)));
            return;
        }
        let _alone = device::coming_and_going();
        lock(&self.slots).clear();
        lock(&self.trusted).clear();
        self.device = None;
    }
}

/// All adapters of this machine, and the one that an analysis would take.
pub(crate) fn adapters(name: Option<&str>, software: bool) -> Adapters {
    device::list(&Choice { name, software })
}

/// What the engines of one analysis share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common<'c, T> {
    /// Threads that copy values in and expand masks.
    pub(crate) pool: &'c rayon::ThreadPool,
    /// Who does what the device left pending.
    pub(crate) finisher: Finisher<T>,
    pub(crate) instruction_set: InstructionSet,
}

/// The GPU engine of one slot.
pub(crate) struct Gpu<'c, T> {
    context: &'c Context,
    pipelines: Arc<Pipelines>,
    slot: Slot,
    /// By step.
    bindings: Vec<Option<wgpu::BindGroup>>,
    plan: GpuPlan,
    common: Common<'c, T>,
    tuning: GpuTuning,
    finisher: Option<(Box<dyn Engine<T> + Send>, Findings<T>)>,
    /// Most peaks of a bin so far, on the average of a batch.
    rows_per_bin: f64,
    /// Whether the slot is as it should be between batches.
    sound: bool,
    pub(crate) tally: GpuTally,
}

/// Where results lie in the readback buffer.
struct Layout {
    masks: u64,
    cells: u64,
    heights: u64,
    bases: u64,
    times: u64,
    end: u64,
}

impl Layout {
    fn new(sizes: &Sizes) -> Self {
        let masks = sizes.tally_bytes().next_multiple_of(8);
        let cells = masks + Array::Masks.bytes(sizes).next_multiple_of(8);
        let heights = cells + Array::RowCells.bytes(sizes).next_multiple_of(8);
        let half = (Array::RowValues.bytes(sizes) / 2).next_multiple_of(8);
        let (bases, times) = (heights + half, heights + 2 * half);
        Self {
            masks,
            cells,
            heights,
            bases,
            times,
            end: times + TIMES_BYTES,
        }
    }
}

/// What a submission does: the whole of a batch, more of what was left pending, or more of its peaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Rest,
    Rows,
}

impl<T: Element> Engine<T> for Gpu<'_, T> {
    fn run(
        &mut self,
        call: &Call<'_, '_, T>,
        findings: &mut Findings<T>,
        _: &mut Seconds,
    ) -> Result<usize, Halt> {
        self.sound = false;
        let done = self.batch(call, findings)?;
        self.sound = true;
        Ok(done)
    }

    fn alphas(&self) -> usize {
        (self.plan.sizes.alphas as usize).max(1)
    }

    fn pool(&self) -> Option<&rayon::ThreadPool> {
        Some(self.common.pool)
    }
}

impl<'c, T: Element> Gpu<'c, T> {
    fn new(
        context: &'c Context,
        pipelines: &Arc<Pipelines>,
        slot: Slot,
        plan: GpuPlan,
        common: Common<'c, T>,
        tuning: GpuTuning,
    ) -> Result<Self, Failure> {
        let mut bindings: Vec<Option<wgpu::BindGroup>> = Step::ALL.iter().map(|_| None).collect();
        for (step, group) in slot.bind(context.device(), pipelines)? {
            bindings[step as usize] = Some(group);
        }
        Ok(Self {
            context,
            pipelines: Arc::clone(pipelines),
            slot,
            bindings,
            plan,
            common,
            tuning,
            finisher: None,
            rows_per_bin: plan.sizes.cells() as f64 / 32.0,
            sound: true,
            tally: GpuTally::default(),
        })
    }

    pub(crate) fn adapter(&self) -> &Adapter {
        self.context.adapter()
    }

    /// Ends the engine's work: its tally. Its buffers are kept for the next analysis.
    pub(crate) fn finish(self) -> GpuTally {
        if self.sound {
            lock(&self.context.slots).push(self.slot);
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
            alphas: task.alphas.len() as u64,
            peaks: task.peaks,
            lanes: lanes_for(bins.len() as u64),
            ..self.plan.sizes
        };
        let room = sizes.rows;
        sizes.rows = ((self.rows_per_bin * bins.len() as f64 * 1.125) as u64).clamp(1, room);
        let mut params = Params::new(&sizes, bins.len(), room, self.fold());
        params.rows = sizes.rows as u32;

        let start = Instant::now();
        self.upload(p, bins.clone(), task, &sizes)?;
        self.tally.seconds.upload += start.elapsed().as_secs_f64();

        self.submit("analysing a batch", Part::Whole, &sizes, &params)?;
        let mut tally = self.read_tally(&sizes)?;
        let lanes = sizes.lanes as usize;
        let pending = |tally: &[u32]| {
            tally[lanes..]
                .iter()
                .filter(|&&pending| pending != 0)
                .count()
        };
        self.tally.batches += 1;
        self.tally.continued_bins += pending(&tally);
        for _ in 0..self.plan.rounds {
            if pending(&tally) == 0 {
                break;
            }
            if stop.requested() {
                return self.leave();
            }
            self.slot.readback.unmap();
            self.submit("continuing a batch", Part::Rest, &sizes, &params)?;
            tally = self.read_tally(&sizes)?;
        }

        let start = Instant::now();
        findings.start(
            sizes.lane_words() as usize * 32,
            (sizes.alphas * sizes.cells()) as usize,
        );
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
        self.read_masks(&sizes, findings)?;
        self.read_rows(&sizes, rows, findings)?;
        self.slot.readback.unmap();
        self.tally.seconds.readback += start.elapsed().as_secs_f64();
        self.rows_per_bin = self.rows_per_bin.max(rows as f64 / bins.len() as f64);

        // Peaks for which there was no room, in further rounds.
        while (findings.peaks.cells.len() as u64) < rows {
            if stop.requested() {
                return Err(Halt::Stopped);
            }
            let first = findings.peaks.cells.len() as u64;
            sizes.rows = (rows - first).min(room);
            params.first_row = first as u32;
            params.rows = sizes.rows as u32;
            self.submit("collecting further peaks", Part::Rows, &sizes, &params)?;
            self.read_rows(&sizes, rows - first, findings)?;
            self.slot.readback.unmap();
        }
        let left: Vec<bool> = tally[lanes..].iter().map(|&pending| pending != 0).collect();
        self.hand_over(call, &left, findings)?;
        Ok(bins.len())
    }

    /// Workgroups of one dimension; further tasks continue in the next.
    fn fold(&self) -> u64 {
        u64::from(
            self.context
                .device()
                .device
                .limits()
                .max_compute_workgroups_per_dimension,
        )
    }

    /// Stops between two submissions.
    fn leave<R>(&mut self) -> Result<R, Halt> {
        self.slot.readback.unmap();
        self.sound = true;
        Err(Halt::Stopped)
    }

    fn upload(
        &self,
        p: &Posterior<'_, T>,
        bins: Range<usize>,
        task: Task<'_>,
        sizes: &Sizes,
    ) -> Result<(), Failure> {
        const STAGE: &str = "copying values in";
        let device = self.context.device();
        if self.tuning.poison {
            self.slot.poison(device);
        }
        device.alive(STAGE)?;
        let lanes = sizes.lanes as usize;
        load::values(p, bins, lanes, &self.slot.upload, self.common.pool)
            .map_err(rejected(STAGE))?;
        if !task.alphas.is_empty() {
            let at = Array::Values.bytes(sizes).next_multiple_of(8);
            let bits: Vec<u64> = task.alphas.iter().map(|alpha| alpha.to_bits()).collect();
            self.slot
                .upload
                .get_mapped_range_mut(at..at + Array::Alphas.bytes(sizes))
                .map_err(rejected(STAGE))?
                .copy_from_slice(cast_slice(&bits));
        }
        Ok(())
    }

    /// Has the device do a part of a batch; its results are mapped afterwards.
    fn submit(
        &mut self,
        stage: &'static str,
        part: Part,
        sizes: &Sizes,
        params: &Params,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        let device = self.context.device();
        let at = sizes.upload_bytes() - PARAMS_BYTES;
        device.alive(stage)?;
        self.slot
            .upload
            .get_mapped_range_mut(at..at + size_of::<Params>() as u64)
            .map_err(rejected(stage))?
            .copy_from_slice(bytes_of(params));
        let (submission, answers, passes) = device.checked(stage, || {
            self.slot.upload.unmap();
            let mut encoder = device
                .device
                .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let passes = self.encode(&mut encoder, part, sizes, at);
            let answers = [
                answered(
                    &encoder,
                    &self.slot.upload,
                    wgpu::MapMode::Write,
                    self.slot.upload.size(),
                ),
                answered(
                    &encoder,
                    &self.slot.readback,
                    wgpu::MapMode::Read,
                    Layout::new(sizes).end,
                ),
            ];
            (device.queue.submit([encoder.finish()]), answers, passes)
        })?;
        let patience = self.tuning.patience.unwrap_or(device::PATIENCE);
        device.wait(stage, submission, patience)?;
        for answer in &answers {
            device.mapped(stage, answer)?;
        }
        let waited = start.elapsed().as_secs_f64();
        self.take_times(sizes, &passes, waited)
    }

    /// Records a part of a batch; the stages whose times are taken.
    fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        part: Part,
        sizes: &Sizes,
        params_at: u64,
    ) -> Vec<Stage> {
        let slot = &self.slot;
        encoder.copy_buffer_to_buffer(
            &slot.upload,
            params_at,
            slot.params(),
            0,
            size_of::<Params>() as u64,
        );
        if part == Part::Whole {
            let values = Array::Values.bytes(sizes);
            encoder.copy_buffer_to_buffer(&slot.upload, 0, slot.array(Array::Values), 0, values);
            if sizes.alphas > 0 {
                let bytes = Array::Alphas.bytes(sizes);
                encoder.copy_buffer_to_buffer(
                    &slot.upload,
                    values.next_multiple_of(8),
                    slot.array(Array::Alphas),
                    0,
                    bytes,
                );
                encoder.clear_buffer(
                    slot.array(Array::Filled),
                    0,
                    Some(Array::Filled.bytes(sizes)),
                );
            }
            if sizes.peaks {
                encoder.clear_buffer(
                    slot.array(Array::Plateaus),
                    0,
                    Some(Array::Plateaus.bytes(sizes)),
                );
            }
        }
        let stages = self.stages(part, sizes);
        for (number, (_, steps)) in stages.iter().enumerate() {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: slot.time(number as u32),
            });
            for &(step, times) in steps {
                let (Some(pipeline), Some(group)) =
                    (self.pipelines.get(step), &self.bindings[step as usize])
                else {
                    unreachable!("{step:?} has not been compiled for this variant");
                };
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, group, &[]);
                let [x, y, z] = kernels::groups(step, sizes, &self.plan, self.fold());
                for _ in 0..times {
                    pass.dispatch_workgroups(x, y, z);
                }
            }
        }
        let to = Layout::new(sizes);
        let mut back = |array: Array, from: u64, to: u64, bytes: u64| {
            if bytes > 0 {
                encoder.copy_buffer_to_buffer(slot.array(array), from, &slot.readback, to, bytes);
            }
        };
        if part != Part::Rows {
            back(Array::Tally, 0, 0, sizes.tally_bytes());
            back(Array::Masks, 0, to.masks, Array::Masks.bytes(sizes));
        }
        let half = Array::RowValues.bytes(sizes) / 2;
        let room = Array::RowValues.bytes(&Sizes {
            rows: self.plan.sizes.rows,
            ..*sizes
        }) / 2;
        back(Array::RowCells, 0, to.cells, Array::RowCells.bytes(sizes));
        back(Array::RowValues, 0, to.heights, half);
        back(Array::RowValues, room, to.bases, half);
        slot.take_times(encoder, stages.len() as u32, to.times);
        stages.into_iter().map(|(stage, _)| stage).collect()
    }

    /// The kernels of a part, stage by stage, each with its number of dispatches.
    fn stages(&self, part: Part, sizes: &Sizes) -> Vec<(Stage, Vec<(Step, u32)>)> {
        let again = self.plan.dispatches;
        let whole = part == Part::Whole;
        let mut stages = Vec::new();
        if whole {
            stages.push((Stage::Survey, vec![(Step::Survey, 1), (Step::Join, 1)]));
        }
        if part == Part::Rows {
            return vec![(Stage::Collect, vec![(Step::Collect, 1)])];
        }
        if sizes.alphas > 0 {
            if whole {
                stages.push((Stage::Threshold, vec![(Step::Threshold, 1)]));
            }
            let seed = whole.then_some((Step::Seed, 1));
            stages.push((
                Stage::Flood,
                seed.into_iter().chain([(Step::Flood, again)]).collect(),
            ));
        }
        if sizes.peaks {
            if whole {
                stages.push((Stage::Peaks, vec![(Step::Find, 1)]));
            }
            let rim = whole.then_some((Step::Rim, 1));
            stages.push((
                Stage::Bases,
                rim.into_iter().chain([(Step::Spread, again)]).collect(),
            ));
        }
        if sizes.alphas > 0 {
            stages.push((Stage::Pack, vec![(Step::Pack, 1)]));
        }
        let mut collect = vec![(Step::Sum, 1)];
        if sizes.peaks {
            // Counts become sums in place: a continuation counts again.
            collect = vec![
                (Step::Count, 1),
                (Step::Sum, 1),
                (Step::Order, 1),
                (Step::Collect, 1),
            ];
        }
        stages.push((Stage::Collect, collect));
        stages
    }

    fn read<R>(&self, at: u64, bytes: u64, take: impl FnOnce(&[u8]) -> R) -> Result<R, Failure> {
        if bytes == 0 {
            return Ok(take(&[]));
        }
        let view = self
            .slot
            .readback
            .get_mapped_range(at..at + bytes)
            .map_err(rejected("reading results"))?;
        Ok(take(&view))
    }

    /// The number of peaks of each lane, then whether each is pending; padding has none, and is not.
    fn read_tally(&self, sizes: &Sizes) -> Result<Vec<u32>, Failure> {
        self.read(0, sizes.tally_bytes(), pod_collect_to_vec::<u8, u32>)
    }

    fn read_masks(&self, sizes: &Sizes, findings: &mut Findings<T>) -> Result<(), Failure> {
        self.read(
            Layout::new(sizes).masks,
            Array::Masks.bytes(sizes),
            |bytes| findings.fill(bytes),
        )
    }

    /// Appends the peaks of the window that has been collected; `rows` are left in all.
    fn read_rows(
        &self,
        sizes: &Sizes,
        rows: u64,
        findings: &mut Findings<T>,
    ) -> Result<(), Failure> {
        let rows = if sizes.peaks { rows.min(sizes.rows) } else { 0 };
        let (layout, value) = (Layout::new(sizes), size_of::<T>() as u64);
        self.read(layout.cells, rows * 4, |bytes| {
            append(&mut findings.peaks.cells, bytes);
        })?;
        self.read(layout.heights, rows * value, |bytes| {
            append(&mut findings.peaks.heights, bytes);
        })?;
        self.read(layout.bases, rows * value, |bytes| {
            append(&mut findings.peaks.bases, bytes);
        })
    }

    /// Adds the times of a submission to the tally: the device's own, or, where it cannot tell, that of the wait.
    fn take_times(&mut self, sizes: &Sizes, passes: &[Stage], waited: f64) -> Result<(), Failure> {
        self.tally.seconds.wait += waited;
        let device = self.context.device();
        self.tally.seconds.wait += waited;
        if !device.timestamps {
            self.tally.seconds.kernels += waited;
            return Ok(());
        }
        let bytes = 16 * passes.len() as u64;
        let ticks = self.read(
            Layout::new(sizes).times,
            bytes,
            pod_collect_to_vec::<u8, u64>,
        )?;
        let period = f64::from(device.queue.get_timestamp_period()) * 1e-9;
        self.tally.seconds.by_device = true;
        for (stage, ticks) in passes.iter().zip(ticks.chunks_exact(2)) {
            let seconds = ticks[1].saturating_sub(ticks[0]) as f64 * period;
            self.tally.seconds.kernels += seconds;
            self.tally.seconds.stages[*stage as usize] += seconds;
        }
        Ok(())
    }

    /// Has the finisher analyse the bins that are still pending, and puts its findings in place of the device's.
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
        let Common {
            finisher,
            instruction_set,
            ..
        } = self.common;
        let (engine, found) = self.finisher.get_or_insert_with(|| {
            let engine = finisher([n_x, n_y, n_t], call.task.alphas.len(), instruction_set);
            (engine, Findings::new(0))
        });
        let mut lane = 0;
        for run in left.chunk_by(|a, b| a == b) {
            let end = lane + run.len();
            while run[0] && lane < end {
                let bins = call.bins.start + lane..call.bins.start + end;
                let done = engine.run(&Call { bins, ..*call }, found, &mut Seconds::default())?;
                self.tally.handed_over_bins += done;
                findings.replace(lane..lane + done, found, call.task.alphas.len() * n_x * n_y);
                lane += done;
            }
            lane = end;
        }
        Ok(())
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.to_string())
    }
}

/// Asks for a mapping after the submission, and where its answer will come.
fn answered(
    encoder: &wgpu::CommandEncoder,
    buffer: &wgpu::Buffer,
    mode: wgpu::MapMode,
    bytes: u64,
) -> Receiver<Result<(), wgpu::BufferAsyncError>> {
    let (sender, receiver) = channel();
    encoder.map_buffer_on_submit(buffer, mode, 0..bytes, move |answer| {
        // Nobody may be waiting any more.
        let _ = sender.send(answer);
    });
    receiver
}

fn rejected<E: std::fmt::Display>(stage: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure {
        kind: FailureKind::Rejected,
        stage,
        message: device::one_line(&error.to_string()),
    }
}

/// Appends what the bytes hold, which may lie anywhere in memory.
fn append<P: bytemuck::Pod>(column: &mut Vec<P>, bytes: &[u8]) {
    match bytemuck::try_cast_slice(bytes) {
        Ok(values) => column.extend_from_slice(values),
        Err(_) => column.extend(
            bytes
                .chunks_exact(size_of::<P>())
                .map(bytemuck::pod_read_unaligned::<P>),
        ),
    }
}

fn lock<R>(mutex: &Mutex<R>) -> MutexGuard<'_, R> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
