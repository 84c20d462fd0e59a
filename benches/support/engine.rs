//! Who computes what is timed.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::OnceLock;

use peakmask::{Backend, Error, GpuContext, MemoryGuard, Options};

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The CPU, on so many threads.
    Cpu(usize),
    /// The GPU, served by all cores.
    Gpu,
    /// Both on one queue, on all cores.
    Auto,
}

impl Engine {
    /// Threads that take part.
    pub(crate) fn threads(self) -> usize {
        match self {
            Self::Cpu(threads) => threads,
            Self::Gpu | Self::Auto => cores(),
        }
    }
}

impl From<Engine> for Options {
    fn from(engine: Engine) -> Self {
        let options = Self::new()
            .threads(engine.threads())
            .memory_guard(MemoryGuard::Off);
        let with_gpu = |options: Self| match gpu() {
            Ok(context) => options.gpu_context(context),
            Err(error) => panic!("{engine} has been asked for: {error}"),
        };
        match engine {
            Engine::Cpu(_) => options.backend(Backend::Cpu),
            Engine::Gpu => with_gpu(options).backend(Backend::Gpu),
            Engine::Auto => with_gpu(options).backend(Backend::Auto),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(threads) => write!(f, "cpu_{threads:02}"),
            Self::Gpu => f.write_str("gpu"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// A number of threads of the CPU, `gpu` or `auto`.
impl FromStr for Engine {
    type Err = ParseIntError;

    fn from_str(word: &str) -> Result<Self, ParseIntError> {
        match word {
            "gpu" => Ok(Self::Gpu),
            "auto" => Ok(Self::Auto),
            threads => threads.parse().map(Self::Cpu),
        }
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The one GPU of this process, opened when it is first asked for: what `PEAKMASK_ADAPTER` names, or the best one,
/// software included.
pub(crate) fn gpu() -> Result<&'static GpuContext, &'static Error> {
    static GPU: OnceLock<Result<GpuContext, Error>> = OnceLock::new();
    GPU.get_or_init(|| GpuContext::open(&Options::new()))
        .as_ref()
}
