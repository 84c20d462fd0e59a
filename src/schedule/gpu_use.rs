//! When a GPU takes part: who opens it, when that pays, and what is kept of it from call to call.

use std::borrow::Cow;
use std::sync::Arc;

use super::far_end::{FarEnd, Role};
use super::{Reason, finisher};
use crate::adapter;
use crate::analysis::GpuReport;
use crate::choices::{Backend, GpuUse};
use crate::element::Element;
use crate::engine::{Engine, Task};
use crate::error::Error;
use crate::gpu::{self, Context, Gpu, Opener};
use crate::options::Options;
use crate::plan::Plan;

/// Work on the CPU, in seconds, for which it does not pay to open a GPU.
const LEAST_SECONDS: f64 = 0.3;
const TOO_LITTLE: &str = "the work is too little to open one for: less than about 0.3 s on the CPU";

/// What the caller and the environment want, read once, and the GPU that has been opened for it.
#[derive(Debug)]
pub(super) struct KeptGpu {
    wanted: GpuUse,
    /// Why none can take part, if that is known without a look.
    none: Option<&'static str>,
    /// Part of the name of the adapter that is wanted.
    adapter: Option<String>,
    kept: Kept,
}

/// A GPU from call to call.
#[derive(Debug)]
enum Kept {
    /// None has been opened.
    Closed,
    /// This one.
    Open(Arc<Context>),
    /// One that was still being opened when the last call ended.
    Opening(Opener),
    /// There is none, for this reason.
    Absent(String),
}

impl KeptGpu {
    /// Nothing is opened yet.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        if options.backend == Backend::Cpu {
            return Ok(Self {
                wanted: GpuUse::Off,
                none: None,
                adapter: None,
                kept: Kept::Closed,
            });
        }
        let (wanted, who) = options.wanted_gpu()?;
        Ok(Self {
            wanted,
            none: match wanted {
                GpuUse::Off => Some(adapter::switched_off(who)),
                _ => gpu::ABSENT,
            },
            adapter: options.wanted_adapter(),
            kept: Kept::Closed,
        })
    }

    /// What a GPU does in an analysis of this plan; without one, why.
    pub(super) fn role<T: Element>(
        &mut self,
        shape: [usize; 3],
        plan: &Plan,
        options: &Options,
        task: Task<'_>,
    ) -> Result<(Role, Option<Reason>), Error> {
        let none = |reason| Ok((Role::None, reason));
        if options.backend == Backend::Cpu {
            return none(None);
        }
        if let Some((context, seconds)) = self.open_required::<T>(options, task)? {
            let role = match options.backend {
                Backend::Gpu => Role::Alone(context, seconds),
                _ => Role::Beside(context, seconds),
            };
            return Ok((role, None));
        }
        if let Some(reason) = self.none_for::<T>(task) {
            return none(Some(Cow::Borrowed(reason)));
        }
        let variant = gpu::Variant::of(T::DTYPE, options.demand());
        self.take_given(options);
        match std::mem::replace(&mut self.kept, Kept::Closed) {
            Kept::Open(context) if context.is_ready(variant) => {
                self.kept = Kept::Open(Arc::clone(&context));
                Ok((Role::Beside(context, 0.0), None))
            }
            Kept::Opening(opener) => Ok((Role::Opening(opener), None)),
            Kept::Absent(reason) => {
                let told = reason.clone();
                self.kept = Kept::Absent(reason);
                none(Some(Cow::Owned(told)))
            }
            Kept::Closed if self.adapter.is_none() && plan.seconds(shape) < LEAST_SECONDS => {
                none(Some(Cow::Borrowed(TOO_LITTLE)))
            }
            kept => {
                let (adapter, software) = (self.adapter.clone(), self.adapter.is_some());
                let open = move || match kept {
                    Kept::Open(context) => Ok(context),
                    _ => Context::open(adapter.as_deref(), software).map(Arc::new),
                };
                match Opener::start::<T>(open, variant, finisher) {
                    Ok(opener) => Ok((Role::Opening(opener), None)),
                    Err(reason) => none(Some(Cow::Owned(reason))),
                }
            }
        }
    }

    /// Takes back what a GPU was lent to an analysis: what it did, why it did not do more, and its number of bins.
    pub(super) fn keep(
        &mut self,
        far_end: FarEnd<'_>,
    ) -> (Option<GpuReport>, Option<Reason>, usize) {
        let bins = far_end.bins();
        let (report, why, end) = far_end.end();
        match end {
            // One that failed is closed, and may be opened again.
            Role::None => self.kept = Kept::Closed,
            Role::Alone(context, _) | Role::Beside(context, _) => self.kept = Kept::Open(context),
            Role::Opening(opener) => match opener.answer() {
                // The answer may have come since somebody last looked.
                Some(Ok((context, _))) => self.kept = Kept::Open(context),
                Some(Err(reason)) => {
                    self.kept = Kept::Absent(reason.clone());
                    return (report, Some(Cow::Owned(reason)), bins);
                }
                None => self.kept = Kept::Opening(opener),
            },
            Role::Absent(reason) => self.kept = Kept::Absent(reason),
        }
        (report, why, bins)
    }

    /// Opens a GPU, if the options require one, and makes it ready: the seconds that making it ready took. A promise, kept before
    /// anything else is done.
    pub(super) fn open_required<T: Element>(
        &mut self,
        options: &Options,
        task: Task<'_>,
    ) -> Result<Option<(Arc<Context>, f64)>, Error> {
        let alone = options.backend == Backend::Gpu;
        if !alone && self.wanted != GpuUse::Require {
            return Ok(None);
        }
        if let Some(reason) = self.none_for::<T>(task) {
            return Err(Error::NoGpu {
                reason: reason.to_owned(),
            });
        }
        self.take_given(options);
        let variant = gpu::Variant::of(T::DTYPE, options.demand());
        let ready = self.open(alone).and_then(|context| {
            let seconds = context.prepare::<T>(variant, finisher)?;
            Ok((context, seconds))
        });
        ready.map(Some).map_err(|reason| Error::NoGpu { reason })
    }

    /// Why none can take part in this task, if that is known without a look.
    fn none_for<T: Element>(&self, task: Task<'_>) -> Option<&'static str> {
        self.none.or_else(|| Gpu::<T>::supports(task).err())
    }

    /// Takes the GPU that the caller has opened, unless there is one.
    fn take_given(&mut self, options: &Options) {
        if let (Kept::Closed, Some(given)) = (&self.kept, &options.gpu_context) {
            self.kept = Kept::Open(Arc::clone(&given.context));
        }
    }

    /// Opens one, unless one is open; software only where it may serve unnamed.
    fn open(&mut self, alone: bool) -> Result<Arc<Context>, String> {
        if let Kept::Open(context) = &self.kept {
            return Ok(Arc::clone(context));
        }
        // Software helps nobody, unless it is what was asked for.
        let software = alone || self.adapter.is_some();
        let context = Arc::new(Context::open(self.adapter.as_deref(), software)?);
        self.kept = Kept::Open(Arc::clone(&context));
        Ok(context)
    }
}
