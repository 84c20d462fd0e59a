//! The GPU engine: a batch of time bins in, its findings out, by integer kernels over arrays in which neighbouring words
//! belong to neighbouring bins. This module alone knows wgpu.

mod arrays;
mod choice;
mod context;
mod device;
mod engine;
mod kernels;
mod load;
mod opener;
mod pace;
mod plan;
mod probe;
mod slot;
mod staging;
mod submission;

pub(crate) use context::{Context, adapters};
pub(crate) use engine::{Gpu, Host};
pub(crate) use kernels::Variant;
pub(crate) use opener::{Opener, before_exit};
pub(crate) use plan::GpuPlan;

/// Why no GPU can serve, in a build without the engine: `gpu_absent.rs` has the same face.
pub(crate) const ABSENT: Option<&str> = None;
