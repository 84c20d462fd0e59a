//! Slots: the buffers of one batch, on the device and between device and host.

use wgpu::BufferUsages as Usage;

use super::arrays::{Array, PARAMS_BYTES, Sizes, TIMES_BYTES};
use super::device::{Device, Failure, FailureKind};
use super::kernels::{KERNELS, Kernel, Pipelines};
use super::plan::GpuPlan;
use crate::GpuSeconds;

/// What a binding must be at least: the largest element of any array.
const LEAST_BYTES: u64 = 32;

/// The buffers of one batch, all allocated up front.
#[derive(Debug)]
pub(super) struct Slot {
    /// By position in [`Array::ALL`].
    arrays: Vec<wgpu::Buffer>,
    params: wgpu::Buffer,
    /// Mapped, except during a submission.
    pub(super) upload: wgpu::Buffer,
    /// Mapped after a submission until it has been read.
    pub(super) readback: wgpu::Buffer,
    clock: Option<Clock>,
    /// Whether kernels read values from `upload`.
    mapped: bool,
}

/// Where a device writes the time.
#[derive(Debug)]
struct Clock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

impl Slot {
    /// Allocates everything that batches of this size need.
    pub(super) fn new(device: &Device, sizes: &Sizes) -> Result<Self, Failure> {
        // A scope for each: after the first failure nothing else is asked for.
        let buffer = |label: &'static str, size: u64, usage: Usage, mapped: bool| {
            device.checked("allocating buffers", || {
                device.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(label),
                    size: size.max(LEAST_BYTES).next_multiple_of(8),
                    usage,
                    mapped_at_creation: mapped,
                })
            })
        };
        let mut usage = Usage::MAP_WRITE | Usage::COPY_SRC;
        usage.set(Usage::STORAGE, sizes.mapped);
        let upload = buffer("upload", sizes.upload_bytes(), usage, true)?;
        let arrays = Array::ALL
            .iter()
            .map(|array| {
                if sizes.mapped && *array == Array::Values {
                    return Ok(upload.clone());
                }
                let usage = Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC;
                buffer("array", array.bytes(sizes), usage, false)
            })
            .collect::<Result<_, _>>()?;
        let clock = match device.timestamps {
            true => Some(Clock {
                queries: device.checked("allocating queries", || {
                    device.device.create_query_set(&wgpu::QuerySetDescriptor {
                        label: None,
                        ty: wgpu::QueryType::Timestamp,
                        count: 2 * GpuSeconds::STAGES.len() as u32,
                    })
                })?,
                resolved: buffer(
                    "times",
                    TIMES_BYTES,
                    Usage::QUERY_RESOLVE | Usage::COPY_SRC,
                    false,
                )?,
            }),
            false => None,
        };
        Ok(Self {
            arrays,
            params: buffer(
                "params",
                PARAMS_BYTES,
                Usage::UNIFORM | Usage::COPY_DST,
                false,
            )?,
            upload,
            readback: buffer(
                "readback",
                sizes.readback_bytes(),
                Usage::MAP_READ | Usage::COPY_DST,
                false,
            )?,
            clock,
            mapped: sizes.mapped,
        })
    }

    /// As many slots as the plan has, in batches that get smaller until there is memory for them: the plan that was
    /// possible, and how often it was halved.
    pub(super) fn ring(
        device: &Device,
        mut plan: GpuPlan,
        kept: &mut Vec<Self>,
    ) -> Result<(GpuPlan, Vec<Self>, usize), Failure> {
        let mut halvings = 0;
        loop {
            let mut slots = Vec::new();
            while slots.len() < plan.slots
                && let Some(at) = kept.iter().position(|slot| slot.holds(&plan.sizes))
            {
                slots.push(kept.swap_remove(at));
            }
            // What is too small for this analysis makes room.
            if slots.len() < plan.slots {
                kept.clear();
            }
            let result = (slots.len()..plan.slots).try_for_each(|_| {
                slots.push(Self::new(device, &plan.sizes)?);
                Ok::<(), Failure>(())
            });
            let failure = match result {
                Ok(()) => return Ok((plan, slots, halvings)),
                Err(failure) if failure.kind == FailureKind::OutOfMemory => failure,
                Err(failure) => return Err(failure),
            };
            log::debug!("{} lanes: {failure}; halving", plan.sizes.lanes);
            drop(slots);
            // Lets the buffers go for good.
            let _ = device.device.poll(wgpu::PollType::Poll);
            plan = plan.halved().ok_or(failure)?;
            halvings += 1;
        }
    }

    /// Whether batches of this size fit.
    fn holds(&self, sizes: &Sizes) -> bool {
        Array::ALL
            .iter()
            .zip(&self.arrays)
            .all(|(array, buffer)| buffer.size() >= array.bytes(sizes))
            && self.mapped == sizes.mapped
            && self.upload.size() >= sizes.upload_bytes()
            && self.readback.size() >= sizes.readback_bytes()
    }

    pub(super) fn array(&self, array: Array) -> &wgpu::Buffer {
        &self.arrays[array.position()]
    }

    pub(super) fn params(&self) -> &wgpu::Buffer {
        &self.params
    }

    /// Where pass number `number` of a submission writes its times.
    pub(super) fn time(&self, number: u32) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        self.clock
            .as_ref()
            .map(|clock| wgpu::ComputePassTimestampWrites {
                query_set: &clock.queries,
                beginning_of_pass_write_index: Some(2 * number),
                end_of_pass_write_index: Some(2 * number + 1),
            })
    }

    /// Copies the times of so many passes into the readback buffer.
    pub(super) fn take_times(&self, encoder: &mut wgpu::CommandEncoder, passes: u32, at: u64) {
        if let Some(clock) = &self.clock {
            // Only what has been written: to wait for anything else would never end.
            encoder.resolve_query_set(&clock.queries, 0..2 * passes, &clock.resolved, 0);
            encoder.copy_buffer_to_buffer(
                &clock.resolved,
                0,
                &self.readback,
                at,
                u64::from(16 * passes),
            );
        }
    }

    /// What each kernel is given, by position in the table; none for those that have not been compiled.
    pub(super) fn bind(
        &self,
        device: &Device,
        pipelines: &Pipelines,
    ) -> Result<Vec<Option<wgpu::BindGroup>>, Failure> {
        let bind = |kernel: &Kernel, pipeline: &wgpu::ComputePipeline| {
            let params = std::iter::once(wgpu::BindGroupEntry {
                binding: 0,
                resource: self.params.as_entire_binding(),
            });
            let entries: Vec<_> = params
                .chain(kernel.arrays.iter().map(|&array| wgpu::BindGroupEntry {
                    binding: array as u32,
                    resource: self.array(array).as_entire_binding(),
                }))
                .collect();
            device.checked("binding buffers", || {
                device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(kernel.entry),
                    layout: &pipeline.get_bind_group_layout(0),
                    entries: &entries,
                })
            })
        };
        KERNELS
            .iter()
            .zip(pipelines.list())
            .map(|(kernel, pipeline)| {
                pipeline
                    .as_ref()
                    .map(|pipeline| bind(kernel, pipeline))
                    .transpose()
            })
            .collect()
    }

    /// Fills every array with a pattern, but for values that are mapped: what a kernel fails to write shows.
    pub(super) fn poison(&self, device: &Device) {
        for buffer in self.arrays.iter().filter(|&buffer| *buffer != self.upload) {
            device
                .queue
                .write_buffer(buffer, 0, &vec![0xa5; buffer.size() as usize]);
        }
    }
}
