//! Contexts: a device that is open, its kernels and buffers, kept from one analysis to the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::choice::Choice;
use super::device::{self, Device, Failure};
use super::engine::{Gpu, Host};
use super::kernels::{Pipelines, Variant};
use super::plan::{GpuPlan, Limits};
use super::probe;
use super::slot::Slot;
use crate::engine::Finisher;
use crate::tuning::Demand;
use crate::{Adapter, Adapters, Dtype, Element, Error};

/// Everything on one device that outlives an analysis.
#[derive(Debug)]
pub(crate) struct Context {
    device: Option<Arc<Device>>,
    /// Compiled, and found to compute what the CPU computes.
    trusted: Mutex<Vec<Arc<Pipelines>>>,
    /// Buffers that no analysis uses now.
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
            device: Some(Arc::new(device)),
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

    /// How to cut up an analysis of this shape; `host` bytes of the host's memory are left for it.
    pub(crate) fn plan(
        &self,
        shape: [usize; 3],
        dtype: Dtype,
        demand: Demand<'_>,
        host: Option<u64>,
    ) -> Result<GpuPlan, Error> {
        let limits = self.device().limits();
        let tuned = demand.tuning.binding.unwrap_or(u64::MAX);
        let limits = Limits {
            binding: limits.binding.min(tuned),
            device: demand.memory_limit,
            host,
            ..limits
        };
        GpuPlan::new(shape, dtype, demand, &limits).map_err(|too_large| Error::GpuTooSmall {
            adapter: self.adapter().name.clone(),
            n_x: shape[0],
            n_y: shape[1],
            needed: too_large.needed,
            limit: too_large.limit,
            what: too_large.what,
        })
    }

    /// Bytes of the host's memory that a plan takes here.
    pub(crate) fn host_bytes(&self, plan: &GpuPlan) -> u64 {
        let shared = self.adapter().kind.shares_memory();
        plan.staging_bytes() + if shared { plan.device_bytes() } else { 0 }
    }

    /// Keeps buffers for the next analysis.
    pub(super) fn keep(&self, slot: Slot) {
        lock(&self.slots).push(slot);
    }

    pub(super) fn device(&self) -> &Arc<Device> {
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
        // A planted fault is not the device's.
        if variant.fault.is_none() || variant.probed {
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
        demand: Demand<'_>,
        host: Host<'c, T>,
    ) -> Result<(Vec<Gpu<'c, T>>, GpuPlan, usize), Error> {
        self.ring(plan, demand, host)
            .map_err(|failure| Error::GpuFailed {
                adapter: self.adapter().name.clone(),
                reason: failure.to_string(),
            })
    }

    fn ring<'c, T: Element>(
        &'c self,
        plan: GpuPlan,
        demand: Demand<'_>,
        host: Host<'c, T>,
    ) -> Result<(Vec<Gpu<'c, T>>, GpuPlan, usize), Failure> {
        let pipelines = self.pipelines(Variant::of(T::DTYPE, demand), host.finisher)?;
        let (plan, slots, halvings) = Slot::ring(self.device(), plan, &mut lock(&self.slots))?;
        let engines = slots
            .into_iter()
            .map(|slot| Gpu::new(self, &pipelines, slot, plan, host, demand.tuning.clone()))
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

fn lock<R>(mutex: &Mutex<R>) -> MutexGuard<'_, R> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
