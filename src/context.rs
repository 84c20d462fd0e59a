//! A GPU that is kept open, as callers hold it.

use std::sync::Arc;

use crate::adapter::Adapter;
use crate::gpu::Context;

/// An open GPU with its compiled kernels and its buffers, to be used for many analyses.
///
/// An analysis without one opens a GPU of its own, which takes from a tenth of a second to several. With a context the
/// device is opened once, kernels are compiled once for each element type, connectivity and kind of result, and buffers
/// are allocated again only when a batch needs larger ones. Clones share it; the last one that is dropped closes it. It
/// may serve several analyses at a time.
///
/// ```
/// use peakmask::{Backend, GpuContext, Options, analyze};
///
/// let p = ndarray::Array3::from_shape_fn((41, 63, 200), |(x, y, t)| ((x * y + t) % 7) as f64);
/// match GpuContext::open(&Options::new()) {
///     Ok(context) => {
///         let options = Options::new().alphas([0.5]).backend(Backend::Gpu).gpu_context(&context);
///         let first = analyze(p.view(), &options)?;
///         let second = analyze(p.view(), &options)?;
///         assert_eq!(first.masks, second.masks);
///     }
///     Err(no_gpu) => println!("{no_gpu}"),
/// }
/// # Ok::<(), peakmask::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GpuContext {
    pub(crate) context: Arc<Context>,
}

impl GpuContext {
    /// What has been opened.
    pub fn adapter(&self) -> &Adapter {
        self.context.adapter()
    }
}
