//! What is asked of a GPU, and knobs of its engine for tests and measurements. The knobs are part of the crate's face only with the feature
//! `gpu-tuning`, which is no part of its promises: one of them loses a device, another replaces the text of a shader.

use std::time::Duration;

use crate::choices::{Connectivity, NanPolicy, Region};

/// What an analysis asks of a GPU.
#[cfg_attr(
    not(feature = "gpu"),
    expect(dead_code, reason = "there is no GPU engine to ask")
)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand<'a> {
    /// Number of levels.
    pub(crate) levels: usize,
    /// Whether peaks are listed.
    pub(crate) peaks: bool,
    /// Which neighbours connect cells of a mask.
    pub(crate) connectivity: Connectivity,
    /// Which cells belong to a mask.
    pub(crate) region: Region,
    /// What a NaN means.
    pub(crate) nan_policy: NanPolicy,
    /// The most bytes of the device's memory to take.
    pub(crate) memory_limit: Option<u64>,
    pub(crate) tuning: &'a GpuTuning,
}

/// Knobs of the GPU engine; what is not set is as the plan has it.
#[cfg_attr(
    not(any(feature = "gpu", feature = "gpu-tuning")),
    expect(dead_code, reason = "there is no GPU engine to tune")
)]
#[derive(Debug, Clone, Default)]
#[cfg_attr(
    not(feature = "gpu-tuning"),
    expect(unreachable_pub, reason = "its own tests see it")
)]
pub struct GpuTuning {
    /// The most bins of a batch.
    pub batch: Option<usize>,
    /// Batches in flight.
    pub slots: Option<usize>,
    /// Invocations of a workgroup.
    pub group: Option<u32>,
    /// Loop iterations of an invocation in one dispatch.
    pub iterations: Option<u32>,
    /// Dispatches of a resumable kernel in one submission.
    pub dispatches: Option<u32>,
    /// Continuations before the CPU takes over.
    pub rounds: Option<u32>,
    /// Pending bins so few that the CPU takes over at once.
    pub few: Option<usize>,
    /// How long the kernels of a submission may take.
    pub submission: Option<Duration>,
    /// Room for peaks.
    pub rows: Option<usize>,
    /// Bytes of one buffer, if less than what the device allows.
    pub binding: Option<u64>,
    /// How long a submission may take before the device is given up.
    pub patience: Option<Duration>,
    /// Each slot loses the device before its batch of this number.
    pub lose_after: Option<usize>,
    /// Fills arrays with a pattern before each batch.
    pub poison: bool,
    /// Whether kernels read values where the host writes them, on devices that can: else where the memory is the host's.
    pub mapped: Option<bool>,
    /// Compiles loops without a bound of the compiler's own. A shader with a planted fault keeps it.
    pub unbounded_loops: bool,
    /// A planted fault.
    pub fault: Option<GpuFault>,
    /// Has the probe look at kernels with a planted fault too, as it does at all others.
    pub probed: bool,
}

/// A fault to be planted in a shader: a piece of its text, and another in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "gpu-tuning"),
    expect(unreachable_pub, reason = "its own tests see it")
)]
pub struct GpuFault {
    /// Stem of the shader's file.
    pub file: &'static str,
    /// The piece of text.
    pub from: &'static str,
    /// What replaces it.
    pub to: &'static str,
}
