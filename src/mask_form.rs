//! The forms of masks.

use crate::names::names;

/// The form of the masks that [`analyze`](crate::analyze) makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MaskForm {
    /// A boolean for each cell and time bin (the default).
    #[default]
    Bytes,
    /// A bit for each cell and time bin, eight time bins a byte: an eighth of the memory.
    Packed,
    /// The cells of each time bin: the least memory where regions are small.
    Sparse,
    /// No masks: for peaks or a summary alone.
    None,
}

names!(MaskForm as "the form of masks" { Bytes => "bytes", Packed => "packed", Sparse => "sparse", None => "none" });
