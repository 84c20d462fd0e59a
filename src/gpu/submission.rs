//! Submissions: a part of a batch as commands for the device, the wait for them, and the time that they took.

use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use bytemuck::{bytes_of, pod_collect_to_vec};

use super::arrays::{Array, PARAMS_BYTES, Sizes};
use super::device::{self, Failure, rejected};
use super::engine::Gpu;
use super::kernels::{KERNELS, Params, Part, Stage};
use super::staging::Layout;
use crate::{Element, GpuSeconds};

impl<T: Element> Gpu<'_, T> {
    /// Workgroups of one dimension; further tasks continue in the next.
    pub(super) fn fold(&self) -> u64 {
        u64::from(
            self.context
                .device()
                .device
                .limits()
                .max_compute_workgroups_per_dimension,
        )
    }

    /// Has the device do a part of a batch; its results are mapped afterwards.
    pub(super) fn submit(
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
        let plan = &self.plan;
        let wanted: Vec<_> = KERNELS
            .iter()
            .zip(self.pipelines.list())
            .zip(&self.bindings)
            .map(|((kernel, pipeline), group)| {
                let times = kernel.dispatches(part, sizes, plan);
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
            for &(kernel, pipeline, group, times) in kernels {
                let (Some(pipeline), Some(group)) = (pipeline, group) else {
                    unreachable!("{} has not been compiled for this variant", kernel.entry);
                };
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, group, &[]);
                let [x, y, z] = kernel.groups(sizes, plan, self.fold());
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
        stages
    }

    /// Adds the times of a submission, which have come back with its results, to the tally.
    fn take_times(&mut self, sizes: &Sizes, passes: &[Stage], waited: f64) -> Result<(), Failure> {
        let device = self.context.device();
        let mut ticks = Vec::new();
        if device.timestamps {
            let (at, bytes) = (Layout::new(sizes).times, 16 * passes.len() as u64);
            ticks = self.read(at, bytes, pod_collect_to_vec::<u8, u64>)?;
        }
        let period = f64::from(device.queue.get_timestamp_period()) * 1e-9;
        add_times(&mut self.tally.seconds, waited, passes, &ticks, period);
        Ok(())
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
