//! Inputs made by hand to be misread.

use crate::support::{Folder, header, npy_bytes};

#[test]
fn headers_that_two_readers_would_read_in_two_ways() {
    let data = [0; 192];
    let usual = "'fortran_order': False, 'shape': (2, 3, 4)";
    for (text, word) in [
        (header("'<f8,<f8'", false, "(2, 3, 2)"), "structured"),
        (header("'<f8x'", false, "(2, 3, 4)"), "not NumPy's"),
        (header("'<f8[ns]'", false, "(2, 3, 4)"), "not NumPy's"),
        (header("'<f8\\n'", false, "(2, 3, 4)"), "not NumPy's"),
        (header("'<f8'", false, "[2, 3, 4]"), "not NumPy's"),
        (
            format!("{{'descr': '<f8', 'descr': '<f4', {usual}}}"),
            "not NumPy's",
        ),
        (
            format!("{{'descr': '<f4', {usual}, 'descr': '<f8'}}"),
            "not NumPy's",
        ),
        (
            format!("{{'descr': '<f8', {usual}, 'order': 'C'}}"),
            "not NumPy's",
        ),
    ] {
        let folder = Folder::new();
        folder.write("in.npy", &npy_bytes(1, 0, &text, &data));
        folder.fail("run in.npy -o out.npz", 2, &[word]);
    }
    for version in [1, 2, 3] {
        let mut bytes = npy_bytes(version, 0, &header("'<f8'", false, "(2, 3, 4)"), &data);
        let folder = Folder::new();
        folder.write("in.npy", &bytes);
        folder.succeed("run in.npy -o out.npz");
        bytes[7] = 1;
        folder.write("in.npy", &bytes);
        let named = format!("format version {version}.1");
        folder.fail("run in.npy -o other.npz", 2, &[&named]);
    }
}
