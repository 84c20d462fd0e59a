//! Submissions: a part of a batch as commands for the device, the wait for them, and the time that they took.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bytemuck::{bytes_of, pod_collect_to_vec};

use super::arrays::{Array, PARAMS_BYTES, Sizes};
use super::device::{Device, Failure, rejected};
use super::engine::Gpu;
use super::kernels::{KERNELS, Params, Part, Pipelines, Stage};
use super::pace::Pace;
use super::plan::GpuPlan;
use super::slot::Slot;
use super::staging::Layout;
use crate::{Element, GpuSeconds};

/// What a submission does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) part: Part,
    pub(super) sizes: Sizes,
    pub(super) params: Params,
    /// Of the kernels that can be resumed.
    pub(super) dispatches: u32,
}

/// All that a submission is made of. It belongs to nobody's call: whoever loses patience leaves it behind, in the thread
/// that is still inside the driver.
#[derive(Debug)]
pub(super) struct Submitter {
    device: Arc<Device>,
    pipelines: Arc<Pipelines>,
    /// None when it has been taken out again.
    slot: Option<Slot>,
    /// By position in the table of kernels.
    bindings: Vec<Option<wgpu::BindGroup>>,
    plan: GpuPlan,
}

impl Submitter {
    pub(super) fn new(
        device: &Arc<Device>,
        pipelines: &Arc<Pipelines>,
        slot: Slot,
        plan: GpuPlan,
    ) -> Result<Self, Failure> {
        Ok(Self {
            bindings: slot.bind(device, pipelines)?,
            device: Arc::clone(device),
            pipelines: Arc::clone(pipelines),
            slot: Some(slot),
            plan,
        })
    }

    pub(super) fn slot(&self) -> &Slot {
        match &self.slot {
            Some(slot) => slot,
            None => unreachable!("the buffers are taken out when all is done"),
        }
    }

    /// How fast the device has been.
    pub(super) fn pace(&self) -> &Pace {
        &self.pipelines.pace
    }

    /// The buffers, for another analysis.
    pub(super) fn take_slot(&mut self) -> Option<Slot> {
        self.slot.take()
    }

    /// Workgroups of one dimension; further tasks continue in the next.
    fn fold(&self) -> u64 {
        self.device.limits().groups
    }

    /// Has the device do some work: the stages whose times are taken, and the seconds that it took. Results are mapped
    /// afterwards.
    fn submit(&self, work: &Work, patience: Duration) -> Result<(Vec<Stage>, f64), Failure> {
        let start = Instant::now();
        let (device, slot) = (&self.device, self.slot());
        let Work {
            part,
            ref sizes,
            ref params,
            ..
        } = *work;
        let stage = part.name();
        let at = sizes.upload_bytes() - PARAMS_BYTES;
        device.alive(stage)?;
        slot.upload
            .get_mapped_range_mut(at..at + size_of::<Params>() as u64)
            .map_err(rejected(stage))?
            .copy_from_slice(bytes_of(params));
        let (submission, answers, passes) = device.checked(stage, || {
            slot.upload.unmap();
            let mut encoder = device
                .device
                .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let passes = self.encode(&mut encoder, work, at);
            let answers = [
                answered(
                    &encoder,
                    &slot.upload,
                    wgpu::MapMode::Write,
                    slot.upload.size(),
                ),
                answered(
                    &encoder,
                    &slot.readback,
                    wgpu::MapMode::Read,
                    Layout::new(sizes).end,
                ),
            ];
            (device.queue.submit([encoder.finish()]), answers, passes)
        })?;
        device.wait(stage, submission, patience)?;
        for answer in &answers {
            device.mapped(stage, answer)?;
        }
        Ok((passes, start.elapsed().as_secs_f64()))
    }

    /// Records work; the stages whose times are taken.
    fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        work: &Work,
        params_at: u64,
    ) -> Vec<Stage> {
        let slot = self.slot();
        let Work {
            part,
            ref sizes,
            dispatches,
            ..
        } = *work;
        encoder.copy_buffer_to_buffer(
            &slot.upload,
            params_at,
            slot.params(),
            0,
            size_of::<Params>() as u64,
        );
        if part == Part::Whole {
            let values = Array::Values.bytes(sizes);
            if !sizes.mapped {
                let to = slot.array(Array::Values);
                encoder.copy_buffer_to_buffer(&slot.upload, 0, to, 0, values);
            }
            if sizes.levels > 0 {
                let bytes = Array::Levels.bytes(sizes);
                encoder.copy_buffer_to_buffer(
                    &slot.upload,
                    values.next_multiple_of(8),
                    slot.array(Array::Levels),
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
                for array in [Array::Plateaus, Array::Restless] {
                    encoder.clear_buffer(slot.array(array), 0, Some(array.bytes(sizes)));
                }
            }
        }
        let plan = &self.plan;
        let wanted: Vec<_> = KERNELS
            .iter()
            .zip(self.pipelines.list())
            .zip(&self.bindings)
            .map(|((kernel, pipeline), group)| {
                let times = kernel.dispatches(part, sizes, dispatches);
                (kernel, pipeline, group, times)
            })
            .filter(|&(.., times)| times > 0)
            .collect();
        let mut stages = Vec::new();
        for kernels in wanted.chunk_by(|(a, ..), (b, ..)| a.stage == b.stage) {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: slot.time(stages.len() as u32),
            });
            stages.push(kernels[0].0.stage);
            for neighbours in kernels.chunk_by(|(a, ..), (b, ..)| a.times == b.times) {
                for _ in 0..neighbours[0].3 {
                    for &(kernel, pipeline, group, _) in neighbours {
                        let (Some(pipeline), Some(group)) = (pipeline, group) else {
                            unreachable!("{} has not been compiled for this variant", kernel.entry);
                        };
                        pass.set_pipeline(pipeline);
                        pass.set_bind_group(0, group, &[]);
                        let [x, y, z] = kernel.groups(sizes, plan, self.fold());
                        pass.dispatch_workgroups(x, y, z);
                    }
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
        }
        if part == Part::Rest {
            slot.take_times(encoder, stages.len() as u32, to.times);
            return stages;
        }
        if part != Part::Rows {
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
        stages
    }
}

impl Drop for Submitter {
    fn drop(&mut self) {
        if self.device.has_hung() {
            // To free what the device works with would wait for it.
            std::mem::forget(self.slot.take());
            std::mem::forget(std::mem::take(&mut self.bindings));
            std::mem::forget(Arc::clone(&self.pipelines));
            std::mem::forget(Arc::clone(&self.device));
        }
    }
}

impl<T: Element> Gpu<'_, T> {
    /// Workgroups of one dimension; further tasks continue in the next.
    pub(super) fn fold(&self) -> u64 {
        self.submitter.fold()
    }

    /// Has the device do a part of a batch: the seconds that its kernels took. Results are mapped afterwards.
    ///
    /// A driver may keep for ever whoever hands it work or asks it how far it is, and with it everybody who wants to do the
    /// same. So that happens in a thread of its own, for which nobody waits longer than patience lasts.
    pub(super) fn submit(&mut self, work: Work) -> Result<f64, Failure> {
        let device = self.context.device();
        let stage = work.part.name();
        device.alive(stage)?;
        let patience = device.patience(Array::Values.bytes(&work.sizes));
        let patience = self.tuning.patience.unwrap_or(patience);
        let submitter = Arc::clone(&self.submitter);
        let (sender, answer) = channel();
        let thread = std::thread::Builder::new()
            .name("peakmask-gpu-submit".to_owned())
            .spawn(move || {
                let result = submitter.submit(&work, patience);
                // Before the answer: whoever has it may close the device.
                drop(submitter);
                let _ = sender.send(result);
            })
            .map_err(rejected(stage))?;
        let result = match answer.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => {
                return Err(device.give_up(stage, format!("no answer within {patience:?}")));
            }
            Err(RecvTimeoutError::Disconnected) => Err(rejected(stage)("its thread panicked")),
            Ok(result) => result,
        };
        // It has nothing left to do.
        let _ = thread.join();
        let (passes, waited) = result?;
        self.take_times(&work.sizes, &passes, waited)
    }

    /// Adds the times of a submission, which have come back with its results, to the tally.
    fn take_times(&mut self, sizes: &Sizes, passes: &[Stage], waited: f64) -> Result<f64, Failure> {
        let device = self.context.device();
        let mut ticks = Vec::new();
        if device.timestamps {
            let (at, bytes) = (Layout::new(sizes).times, 16 * passes.len() as u64);
            ticks = self.read(at, bytes, pod_collect_to_vec::<u8, u64>)?;
        }
        let period = f64::from(device.queue.get_timestamp_period()) * 1e-9;
        let before = self.tally.seconds.kernels;
        add_times(&mut self.tally.seconds, waited, passes, &ticks, period);
        Ok(self.tally.seconds.kernels - before)
    }
}

/// Adds the times of a submission: the device's own, two ticks of so many seconds for each pass, or, where it cannot tell,
/// that of the wait. Some drivers promise a clock and leave all ticks at zero.
fn add_times(seconds: &mut GpuSeconds, waited: f64, passes: &[Stage], ticks: &[u64], period: f64) {
    seconds.wait += waited;
    if ticks.iter().all(|&tick| tick == 0) {
        seconds.kernels += waited;
        return;
    }
    seconds.by_device = true;
    for (stage, ticks) in passes.iter().zip(ticks.chunks_exact(2)) {
        let taken = ticks[1].saturating_sub(ticks[0]) as f64 * period;
        seconds.kernels += taken;
        seconds.stages[*stage as usize] += taken;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_clock_kernels_take_as_long_as_the_wait() {
        let passes = [Stage::Survey, Stage::Flood];
        for ticks in [&[][..], &[0; 4]] {
            let mut seconds = GpuSeconds::default();
            add_times(&mut seconds, 0.25, &passes, ticks, 1e-9);
            add_times(&mut seconds, 0.5, &passes, ticks, 1e-9);
            assert_eq!((seconds.wait, seconds.kernels), (0.75, 0.75));
            assert!(!seconds.by_device && seconds.stages.iter().all(|&stage| stage == 0.0));
        }
    }

    #[test]
    fn a_clock_tells_the_time_of_each_stage() {
        let mut seconds = GpuSeconds::default();
        let passes = [Stage::Survey, Stage::Flood];
        add_times(&mut seconds, 2.0, &passes, &[8, 10, 11, 12], 0.5);
        assert_eq!((seconds.wait, seconds.kernels), (2.0, 1.5));
        assert!(seconds.by_device);
        assert_eq!(seconds.stages[Stage::Survey as usize], 1.0);
        assert_eq!(seconds.stages[Stage::Flood as usize], 0.5);
    }
}
