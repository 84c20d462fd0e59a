//! GPUs as callers ask for them: what there is, and one to keep.

use std::sync::Arc;

use crate::adapter::{Adapters, switched_off};
use crate::choices::GpuUse;
use crate::context::GpuContext;
use crate::error::Error;
use crate::gpu::{self, Context};
use crate::options::Options;

/// The adapters of this machine, and the one that [`Backend::Auto`](crate::Backend::Auto) would take with these options.
///
/// Nothing is opened. Without the crate's feature `gpu` there are none.
///
/// ```
/// let adapters = peakmask::adapters(&peakmask::Options::new())?;
/// for adapter in &adapters.found {
///     println!("{adapter}: arrays of up to {} bytes", adapter.max_binding_bytes);
/// }
/// println!("{}", adapters.why);
/// # Ok::<(), peakmask::Error>(())
/// ```
///
/// # Errors
/// [`Error::Environment`] when `PEAKMASK_GPU` has a value that means nothing.
pub fn adapters(options: &Options) -> Result<Adapters, Error> {
    let (gpu_use, who) = options.wanted_gpu()?;
    let mut adapters = gpu::adapters(options.wanted_adapter().as_deref(), false);
    if gpu_use == GpuUse::Off {
        adapters.chosen = None;
        adapters.why = switched_off(who).to_owned();
    }
    Ok(adapters)
}

/// Waits until no driver is being opened in the background, and has none be opened from now on: for the end of a process in
/// which other threads may still analyse, or have just begun to.
///
/// The end of a process runs handlers of its drivers. A driver that is being loaded at that time registers its own while
/// it goes on, so that none of this crate's can come before all of them, and crashes now and then when they take down what
/// it has just set up. Whoever calls this first, before `main` returns, is safe from that; the Python package and the
/// command-line program do. It takes no time where no driver is being opened, and 5 seconds at most.
///
/// ```
/// let p = ndarray::Array3::<f64>::zeros((4, 5, 6));
/// peakmask::analyze(p.view(), &peakmask::Options::new())?;
/// peakmask::before_exit();
/// # Ok::<(), peakmask::Error>(())
/// ```
pub fn before_exit() {
    gpu::before_exit();
}

impl GpuContext {
    /// Opens the adapter that the options, or the environment, name; else the best one. Software serves too.
    ///
    /// # Errors
    /// [`Error::NoGpu`] when there is none, when GPUs are switched off, or when it cannot be opened; it names the reason.
    /// [`Error::Environment`] when `PEAKMASK_GPU` has a value that means nothing.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let (gpu_use, who) = options.wanted_gpu()?;
        if gpu_use == GpuUse::Off {
            return Err(Error::NoGpu {
                reason: switched_off(who).to_owned(),
            });
        }
        let context = Context::open(options.wanted_adapter().as_deref(), true)
            .map_err(|reason| Error::NoGpu { reason })?;
        Ok(Self {
            context: Arc::new(context),
        })
    }
}
