//! Graphics processors as callers see them: what there is, and one that is kept open.

use std::fmt;

use crate::names::names;
use crate::{Error, Options};

/// A graphics processor, or software that behaves like one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Adapter {
    /// Its name, from the driver.
    pub name: String,
    /// What it is.
    pub kind: AdapterKind,
    /// The interface through which it is reached: `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// The largest array, in bytes, that a kernel can see.
    pub max_binding_bytes: u64,
    /// The largest buffer in bytes.
    pub max_buffer_bytes: u64,
}

/// What an adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor, with the host's memory.
    Integrated,
    /// A share of a card, in a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// A program on the processor: exact, but slower than the CPU engine.
    Software,
}

impl AdapterKind {
    /// Whether its memory is the host's.
    pub(crate) fn shares_memory(self) -> bool {
        matches!(self, Self::Integrated | Self::Software)
    }
}

names!(AdapterKind {
    Discrete => "discrete GPU",
    Integrated => "integrated GPU",
    Virtual => "virtual GPU",
    Other => "GPU of unknown kind",
    Software => "software",
});

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, {}, {})",
            self.name, self.kind, self.backend, self.driver
        )
    }
}

/// The adapters of this machine, and which one would be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adapters {
    /// All of them.
    pub found: Vec<Adapter>,
    /// Position in `found` of the one that would be used.
    pub chosen: Option<usize>,
    /// Why that one, or why none.
    pub why: String,
}

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
    let mut adapters = crate::gpu::adapters(options.wanted_adapter().as_deref(), false);
    if gpu_use == crate::GpuUse::Off {
        adapters.chosen = None;
        adapters.why = switched_off(who);
    }
    Ok(adapters)
}

/// The sentence about a GPU that may not be used.
pub(crate) fn switched_off(who: &str) -> String {
    format!("GPUs are switched off by {who}")
}

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
    pub(crate) context: std::sync::Arc<crate::gpu::Context>,
}

impl GpuContext {
    /// Opens the adapter that the options, or the environment, name; else the best one. Software serves too.
    ///
    /// # Errors
    /// [`Error::NoGpu`] when there is none, when GPUs are switched off, or when it cannot be opened; it names the reason.
    /// [`Error::Environment`] when `PEAKMASK_GPU` has a value that means nothing.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let (gpu_use, who) = options.wanted_gpu()?;
        if gpu_use == crate::GpuUse::Off {
            return Err(Error::NoGpu {
                reason: switched_off(who),
            });
        }
        let context = crate::gpu::Context::open(options.wanted_adapter().as_deref(), true)
            .map_err(|reason| Error::NoGpu { reason })?;
        Ok(Self {
            context: std::sync::Arc::new(context),
        })
    }

    /// What has been opened.
    pub fn adapter(&self) -> &Adapter {
        self.context.adapter()
    }
}
