//! Why the program ends without a result, and with which exit code.

use std::fmt;
use std::path::Path;

/// One sentence for the user, sorted by exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input, what was asked of it, or the environment cannot be used.
    Input(String),
    /// More memory is needed than allowed.
    Memory(String),
    /// A GPU was asked for, and could not do it.
    Gpu(String),
    /// Ctrl-C, or another request to stop.
    Interrupted,
    /// The same, of a run that can be continued.
    Paused(String),
    /// Some of several inputs, for reasons that have been told; with the exit code of the first.
    Several(u8, String),
    /// Everything else: outputs that cannot be written, threads that do not start.
    Other(String),
}

impl Failure {
    /// 2 for bad input, 3 for memory, 4 for a GPU, 130 for an interrupt, 1 for anything else.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Memory(_) => 3,
            Self::Gpu(_) => 4,
            Self::Interrupted | Self::Paused(_) => 130,
            Self::Several(code, _) => *code,
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
            Self::Input(sentence)
            | Self::Memory(sentence)
            | Self::Gpu(sentence)
            | Self::Paused(sentence)
            | Self::Several(_, sentence)
            | Self::Other(sentence) => f.write_str(sentence),
            Self::Interrupted => f.write_str("interrupted; nothing was written"),
        }
    }
}

impl Failure {
    /// What an analysis of a part says, whose first time bin has this number.
    pub(crate) fn of_part(error: peakmask::Error, first: usize) -> Self {
        match error {
            peakmask::Error::Nan { x, y, t } => peakmask::Error::Nan { x, y, t: first + t }.into(),
            other => other.into(),
        }
    }
}

impl From<peakmask::Error> for Failure {
    fn from(error: peakmask::Error) -> Self {
        use peakmask::Error;
        match error {
            Error::Cancelled { .. } => Self::Interrupted,
            // Threads that do not start lack memory for their stacks.
            Error::OverBudget { .. } | Error::OutOfMemory { .. } | Error::Threads { .. } => {
                Self::Memory(error.to_string())
            }
            Error::EmptyMap { .. }
            | Error::MapTooLarge { .. }
            | Error::Coverage { .. }
            | Error::Environment { .. } => Self::Input(error.to_string()),
            Error::Nan { x, y, t } => Self::Input(format!(
                "cell ({x}, {y}) of time bin {t} is NaN, the first there is, and --nan error allows none; pass --nan off_track if NaN marks cells beside the track, or --nan silence"
            )),
            Error::NoGpu { reason } => Self::Gpu(format!(
                "a GPU was asked for, but {reason}; pass --backend cpu to do without, and see `peakmask info` for what there is"
            )),
            Error::GpuTooSmall { .. } | Error::GpuFailed { .. } => Self::Gpu(error.to_string()),
            Error::AxisOrder { shape, evidence } => Self::Input(format!(
                "the array of shape {shape:?} looks like (t, x, y), not (x, y, t): {evidence}; pass --layout txy, or, if it is (x, y, t), --layout xyt"
            )),
            other => Self::Other(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use peakmask::Error;

    use super::*;

    #[test]
    fn what_a_gpu_cannot_do_has_a_code_of_its_own() {
        let adapter = || "Iris".to_owned();
        for error in [
            Error::NoGpu {
                reason: "there is no adapter: no driver".to_owned(),
            },
            Error::GpuTooSmall {
                adapter: adapter(),
                n_x: 9,
                n_y: 8,
                needed: 7,
                limit: 6,
                what: "bytes",
            },
            Error::GpuFailed {
                adapter: adapter(),
                reason: "the device was lost".to_owned(),
            },
        ] {
            let failure = Failure::from(error.clone());
            assert_eq!(failure.exit_code(), 4, "{error}");
            let sentence = failure.to_string();
            assert!(
                sentence.contains("cpu") || sentence.contains("CPU"),
                "{sentence}"
            );
        }
    }
}
