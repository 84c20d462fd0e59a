//! Why the program ends without a result, and with which exit code.

use std::fmt;
use std::path::Path;

/// One sentence for the user, sorted by exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input, or what was asked of it, cannot be used.
    Input(String),
    /// More memory is needed than allowed.
    Memory(String),
    /// Ctrl-C, or another request to stop.
    Interrupted,
    /// Everything else: outputs that cannot be written, threads that do not start.
    Other(String),
}

impl Failure {
    /// 2 for bad input, 3 for memory, 130 for an interrupt, 1 for anything else.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Memory(_) => 3,
            Self::Interrupted => 130,
            Self::Other(_) => 1,
        }
    }

    pub(crate) fn input(path: &Path, sentence: impl fmt::Display) -> Self {
        Self::Input(format!("{}: {sentence}", path.display()))
    }

    pub(crate) fn output(path: &Path, sentence: impl fmt::Display) -> Self {
        Self::Other(format!("{}: {sentence}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(sentence) | Self::Memory(sentence) | Self::Other(sentence) => {
                f.write_str(sentence)
            }
            Self::Interrupted => f.write_str("interrupted; nothing was written"),
        }
    }
}

impl From<peakmask::Error> for Failure {
    fn from(error: peakmask::Error) -> Self {
        use peakmask::Error;
        match error {
            Error::Cancelled { .. } => Self::Interrupted,
            Error::OverBudget { .. } | Error::OutOfMemory { .. } => Self::Memory(error.to_string()),
            Error::EmptyMap { .. } | Error::MapTooLarge { .. } => Self::Input(error.to_string()),
            Error::AxisOrder { shape, evidence } => Self::Input(format!(
                "the array of shape {shape:?} looks like (t, x, y), not (x, y, t): {evidence}; pass --layout txy"
            )),
            other => Self::Other(other.to_string()),
        }
    }
}
