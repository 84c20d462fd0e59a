//! What stands for the GPU engine in a build without it: the same face, and the reason why there is nothing behind it.
//! Nothing here can be made, so that nothing has to be computed.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::analysis::GpuTally;
use crate::engine::{Call, Engine, Finisher, Halt};
use crate::findings::Findings;
use crate::tuning::Demand;
use crate::{Adapter, Adapters, Dtype, Element, Error, InstructionSet, Seconds};

/// Why no GPU can serve.
pub(crate) const ABSENT: Option<&str> =
    Some("this build of peakmask has no GPU engine (the crate's feature gpu is off)");

fn absent() -> String {
    ABSENT.unwrap_or_default().to_owned()
}

/// There are no adapters.
pub(crate) fn adapters(_: Option<&str>, _: bool) -> Adapters {
    Adapters {
        found: Vec::new(),
        chosen: None,
        why: absent(),
    }
}

/// Nobody is inside a driver.
pub(crate) fn before_exit() {}

/// An open device.
#[derive(Debug)]
pub(crate) struct Context(Infallible);

impl Context {
    pub(crate) fn open(_: Option<&str>, _: bool) -> Result<Self, String> {
        Err(absent())
    }

    pub(crate) fn adapter(&self) -> &Adapter {
        match self.0 {}
    }

    pub(crate) fn opening(&self) -> f64 {
        match self.0 {}
    }

    pub(crate) fn plan(
        &self,
        _: [usize; 3],
        _: Dtype,
        _: Demand<'_>,
        _: Option<u64>,
    ) -> Result<GpuPlan, Error> {
        match self.0 {}
    }

    pub(crate) fn host_bytes(&self, _: &GpuPlan) -> u64 {
        match self.0 {}
    }

    pub(crate) fn is_ready(&self, _: Variant) -> bool {
        match self.0 {}
    }

    pub(crate) fn prepare<T: Element>(&self, _: Variant, _: Finisher<T>) -> Result<f64, String> {
        match self.0 {}
    }

    pub(crate) fn engines<'c, T: Element>(
        &'c self,
        _: GpuPlan,
        _: Demand<'_>,
        _: Host<'c, T>,
    ) -> Result<(Vec<Gpu<'c, T>>, GpuPlan, usize), Error> {
        match self.0 {}
    }
}

/// A device that is being opened.
#[derive(Debug)]
pub(crate) struct Opener(Infallible);

impl Opener {
    pub(crate) fn start<T: Element>(
        _: impl FnOnce() -> Result<Arc<Context>, String> + Send + 'static,
        _: Variant,
        _: Finisher<T>,
    ) -> Result<Self, String> {
        Err(absent())
    }

    pub(crate) fn answer(&self) -> Option<Result<(Arc<Context>, f64), String>> {
        match self.0 {}
    }
}

/// What kernels would be compiled for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant;

impl Variant {
    pub(crate) fn of(_: Dtype, _: Demand<'_>) -> Self {
        Self
    }
}

/// What the host would do for an engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<'c, T>(PhantomData<&'c T>);

impl<'c, T> Host<'c, T> {
    pub(crate) fn new(_: &'c rayon::ThreadPool, _: Finisher<T>, _: InstructionSet) -> Self {
        Self(PhantomData)
    }
}

/// The engine.
pub(crate) struct Gpu<'c, T>(Infallible, PhantomData<&'c T>);

impl<T: Element> Gpu<'_, T> {
    pub(crate) fn adapter(&self) -> &Adapter {
        match self.0 {}
    }

    pub(crate) fn finish(self) -> GpuTally {
        match self.0 {}
    }
}

impl<T: Element> Engine<T> for Gpu<'_, T> {
    fn run(
        &mut self,
        _: &Call<'_, '_, T>,
        _: &mut Findings<T>,
        _: &mut Seconds,
    ) -> Result<usize, Halt> {
        match self.0 {}
    }

    fn levels(&self) -> usize {
        match self.0 {}
    }
}

/// How an analysis would be cut up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GpuPlan {
    pub(crate) slots: usize,
    absent: Infallible,
}

impl GpuPlan {
    pub(crate) fn lanes(&self) -> usize {
        match self.absent {}
    }

    pub(crate) fn device_bytes(&self) -> u64 {
        match self.absent {}
    }

    pub(crate) fn staging_bytes(&self) -> u64 {
        match self.absent {}
    }
}
