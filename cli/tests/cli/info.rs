//! `peakmask info`.

use crate::memory::bytes_for;
use crate::support::{Folder, Form, PLAIN, npy, npz, posterior};

#[test]
fn the_machine_is_described() {
    let said = Folder::new().succeed("info").stdout;
    for words in [
        "peakmask          ",
        env!("CARGO_PKG_VERSION"),
        "threads           ",
        "instruction set   ",
        "memory limit      ",
        "GPU for auto      ",
    ] {
        assert!(said.contains(words), "'{words}' is not in {said}");
    }
}

#[test]
fn an_input_is_described() {
    let folder = Folder::new();
    let p = posterior::<f32>(5, 6, 70);
    folder.write("plain.npy", &npy(p.view(), PLAIN));
    let said = folder.succeed("info plain.npy").stdout;
    for words in [
        "5 x 6 cells, 70 time bins",
        "float32, C order",
        "8.2 KiB, read where it lies",
        "for alpha 0.5, 0.9",
        "fits",
    ] {
        assert!(said.contains(words), "'{words}' is not in {said}");
    }
    let swapped = npy(
        p.view(),
        Form {
            txy: true,
            fortran: true,
            big_endian: true,
            ..PLAIN
        },
    );
    folder.write("other.npz", &npz(&[("p", &swapped)], false));
    let said = folder
        .succeed("info other.npz --layout txy --alpha -0.5 --memory-limit 64GiB")
        .stdout;
    for words in [
        "array 'p'",
        "5 x 6 cells, 70 time bins; (70, 5, 6) as (t, x, y) in the file",
        "float32, Fortran order",
        "copied first, since it is stored in the other byte order",
        "copy of input   8.2 KiB",
        "64.0 GiB (given by --memory-limit)",
        "for alpha -0.5\n",
    ] {
        assert!(said.contains(words), "'{words}' is not in {said}");
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(20, 30, 3000).view(), PLAIN));
    let limit = bytes_for(1500, &peakmask::Options::new().alphas([0.5, 0.9]));
    let said = folder
        .succeed(&format!("info in.npy --memory-limit {limit}"))
        .stdout;
    assert!(said.contains("does not fit; at most "), "{said}");
    let said = folder.succeed("info in.npy --memory-limit 10").stdout;
    assert!(
        said.contains("does not fit, not even one time bin"),
        "{said}"
    );
}
