//! The table of the GPU engine's arrays: what a batch consists of, byte by byte.

use crate::Dtype;

/// Declares the arrays of a batch under their binding numbers, with their bytes.
macro_rules! arrays {
    ($($(#[doc = $doc:literal])+ $name:ident = $binding:literal: |$b:ident| $bytes:expr;)*) => {
        /// The arrays of a batch; the numbers are those of `shaders/shared.wgsl`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Array {
            $($(#[doc = $doc])+ $name = $binding,)*
        }

        impl Array {
            /// All arrays, in the order of their numbers.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Position in [`ALL`](Self::ALL): binding 0 is that of the parameters.
            pub(crate) fn position(self) -> usize {
                self as usize - 1
            }

            /// Bytes in a batch of this size.
            pub(crate) fn bytes(self, batch: &Sizes) -> u64 {
                match self {
                    $(Self::$name => { let $b = batch; $bytes })*
                }
            }
        }
    };
}

arrays! {
    /// Values by cell and lane.
    Values = 1: |b| b.cells() * b.lanes * b.value();
    /// What each level is: bits, and their kind.
    Levels = 2: |b| b.levels * 16;
    /// What each block of the survey has found.
    Partials = 3: |b| b.survey_blocks() * b.lanes * 3 * b.value();
    /// Extremes, flags and dominant cell of each lane.
    Surveys = 4: |b| b.lanes * (2 * b.value() + 8);
    /// Thresholds.
    Thresholds = 5: |b| b.levels * b.lanes * b.value();
    /// Bits by cell: what reaches its threshold.
    Above = 6: |b| b.levels * b.map_words() * b.lanes * 4;
    /// Bits by cell: the masks.
    Filled = 7: |b| b.levels * b.map_words() * b.lanes * 4;
    /// Where each flood stands.
    Floods = 8: |b| b.levels * b.lanes * 16;
    /// Bits by lane: the masks.
    Masks = 9: |b| b.levels * b.cells() * b.lane_words() * 4;
    /// Bits by cell: the peaks.
    Peaks = 10: |b| b.if_peaks(b.map_words() * b.lanes * 4);
    /// The highest value known of the rim of each peak's plateau.
    Rims = 11: |b| b.if_peaks(b.cells() * b.lanes * b.value());
    /// Where the sweeps over each lane's plateaus stand.
    Plateaus = 12: |b| b.if_peaks(b.lanes * 16);
    /// Peaks before each block of the list.
    Before = 13: |b| b.if_peaks(b.list_blocks() * b.lanes * 4);
    /// Peaks of each lane, whether it is pending, and peaks before it.
    Tally = 14: |b| 3 * b.lanes * 4;
    /// Cells of the listed peaks.
    RowCells = 15: |b| b.if_peaks(b.rows * 4);
    /// Heights and bases of the listed peaks.
    RowValues = 16: |b| b.if_peaks(2 * b.rows * b.value());
    /// Lanes whose plateaus are not settled when blocks of rows have passed on side by side.
    Restless = 17: |b| b.if_peaks(b.lanes * 4);
}

/// The sizes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) n_x: u64,
    pub(crate) n_y: u64,
    pub(crate) dtype: Dtype,
    /// Levels of one pass.
    pub(crate) levels: u64,
    /// Whether kernels read values where the host has written them, and need no copy.
    pub(crate) mapped: bool,
    /// Whether peaks are listed.
    pub(crate) peaks: bool,
    /// Time bins side by side, padding included.
    pub(crate) lanes: u64,
    /// Room for this many peaks.
    pub(crate) rows: u64,
}

impl Sizes {
    pub(crate) fn cells(&self) -> u64 {
        self.n_x * self.n_y
    }

    /// Words of 32 cells in a map row.
    pub(crate) fn words(&self) -> u64 {
        self.n_y.div_ceil(32)
    }

    /// Words of 32 cells in a map.
    pub(crate) fn map_words(&self) -> u64 {
        self.n_x * self.words()
    }

    /// Words of 32 lanes in a row of bits by lane.
    pub(crate) fn lane_words(&self) -> u64 {
        self.lanes.div_ceil(32)
    }

    pub(super) fn value(&self) -> u64 {
        self.dtype.size() as u64
    }

    fn if_peaks(&self, bytes: u64) -> u64 {
        if self.peaks { bytes } else { 0 }
    }

    /// Words of 32 cells in each of four map rows.
    pub(crate) fn patches(&self) -> u64 {
        self.n_x.div_ceil(4) * self.words()
    }

    /// So many of them one invocation surveys: one, unless blocks were too many to be looked through.
    pub(crate) fn survey_words(&self) -> u64 {
        self.patches().div_ceil(4096)
    }

    pub(crate) fn survey_blocks(&self) -> u64 {
        self.patches().div_ceil(self.survey_words())
    }

    /// Map rows of a block in which one invocation settles plateaus: about as many as there are blocks.
    pub(crate) fn share_rows(&self) -> u64 {
        self.n_x.isqrt() + 1
    }

    /// Blocks of such rows, two by two.
    pub(crate) fn share_pairs(&self) -> u64 {
        self.n_x.div_ceil(2 * self.share_rows())
    }

    /// Words of 32 cells in which one invocation lists the peaks.
    pub(crate) fn list_words(&self) -> u64 {
        self.map_words()
            .isqrt()
            .clamp(4, 64)
            .max(self.map_words().div_ceil(16_384))
    }

    pub(crate) fn list_blocks(&self) -> u64 {
        if self.peaks {
            self.map_words().div_ceil(self.list_words())
        } else {
            0
        }
    }

    /// Bytes of all arrays on the device, beside what is mapped.
    pub(crate) fn device_bytes(&self) -> u64 {
        let all: u64 = Array::ALL.iter().map(|array| array.bytes(self)).sum();
        match self.mapped {
            true => all - Array::Values.bytes(self),
            false => all,
        }
    }

    /// Bytes that are mapped into the host's memory: values in, results out.
    pub(crate) fn staging_bytes(&self) -> u64 {
        self.upload_bytes() + self.readback_bytes()
    }

    /// Bytes of the staging buffer of what goes to the device: values, levels, parameters.
    pub(crate) fn upload_bytes(&self) -> u64 {
        Array::Values.bytes(self).next_multiple_of(8) + Array::Levels.bytes(self) + PARAMS_BYTES
    }

    /// Bytes of the staging buffer of what comes back: tallies, mask bits by lane, listed peaks, timestamps.
    pub(crate) fn readback_bytes(&self) -> u64 {
        self.tally_bytes()
            + Array::Masks.bytes(self).next_multiple_of(8)
            + Array::RowCells.bytes(self).next_multiple_of(8)
            + 2 * (Array::RowValues.bytes(self) / 2).next_multiple_of(8)
            + TIMES_BYTES
    }

    /// Bytes of the tallies that come back: peaks of each lane, and whether it is pending.
    pub(crate) fn tally_bytes(&self) -> u64 {
        2 * self.lanes * 4
    }
}

/// Bytes set aside for the parameters of a submission.
pub(crate) const PARAMS_BYTES: u64 = 64;
/// Bytes set aside for timestamps.
pub(crate) const TIMES_BYTES: u64 = 256;
