//! Recorded posteriors, and what others found in them.
//!
//! `PEAKMASK_TEST_DATA` names the folder of the files where they do not lie beside the sources.

use std::fs::File;
use std::path::PathBuf;

use ndarray::{Dimension, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};

/// An archive of `tests/data`.
pub(crate) fn open(file: &str) -> NpzReader<File> {
    let data = std::env::var_os("PEAKMASK_TEST_DATA").map_or_else(
        || {
            [env!("CARGO_MANIFEST_DIR"), "tests", "data"]
                .iter()
                .collect()
        },
        PathBuf::from,
    );
    let path = data.join(file);
    let opened = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    NpzReader::new(opened).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An array of an archive.
pub(crate) fn array<A: ReadableElement, D: Dimension>(
    npz: &mut NpzReader<File>,
    key: &str,
) -> ndarray::Array<A, D> {
    npz.by_name::<OwnedRepr<A>, D>(key)
        .unwrap_or_else(|error| panic!("{key}: {error}"))
}
