//! Graphics processors, described.

use std::fmt;

use crate::names::names;

/// A graphics processor, or software that behaves like one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Adapter {
    /// Its number among the adapters of the machine, as [`adapters`](crate::adapters) lists them.
    pub index: usize,
    /// Its name, from the driver.
    pub name: String,
    /// Where it is on the PCI bus (`0000:65:00.0`), if the driver says: what tells two cards of a kind apart.
    pub pci: Option<String>,
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
        let Self {
            name,
            pci,
            kind,
            backend,
            driver,
            ..
        } = self;
        write!(f, "{name} ({kind}, {backend}, {driver}")?;
        if let Some(pci) = pci {
            write!(f, ", PCI {pci}")?;
        }
        f.write_str(")")
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

/// The sentence about a GPU that may not be used.
pub(crate) fn switched_off(who: &str) -> &'static str {
    match who {
        OPTIONS => "GPUs are switched off by the options",
        _ => "GPUs are switched off by PEAKMASK_GPU",
    }
}

/// Who has switched GPUs off, if not the environment.
pub(crate) const OPTIONS: &str = "the options";
