//! Bad input: one sentence that says what to do, exit code 2, and no file left.

use ndarray::Array3;

use crate::support::{Folder, PLAIN, header, npy, npy_bytes, npz, outcome, posterior};

fn refuse(bytes: &[u8], flags: &str, expected: &[&str]) {
    let folder = Folder::new();
    folder.write("in", bytes);
    folder.fail(
        &format!("run in {flags} --alpha 0.5 -o out.npz --report out.json --picture out.png"),
        2,
        expected,
    );
    folder.fail(&format!("picture in {flags} -o out.png"), 2, expected);
    if !flags.contains("--bins") {
        folder.fail(&format!("info in {flags}"), 2, expected);
    }
}

#[test]
fn what_is_no_file() {
    let folder = Folder::new();
    folder.fail(
        "run missing.npy -o out.npz",
        2,
        &["missing.npy: no such file"],
    );
    folder.fail("run . -o out.npz", 2, &["is not a regular file"]);
    folder.fail(
        "picture missing.npy -o out.png",
        2,
        &["missing.npy: no such file"],
    );
    folder.fail("info missing.npy", 2, &["missing.npy: no such file"]);
}

#[test]
fn what_is_no_array() {
    refuse(b"", "", &["is empty"]);
    refuse(
        b"x,y,t\n1,2,3\n",
        "",
        &["neither a .npy nor an .npz file", "numpy.save"],
    );
    refuse(
        b"\x89HDF\r\n\x1a\n and so on",
        "",
        &["neither a .npy nor an .npz file"],
    );
    refuse(b"\x93NUM", "", &["is truncated"]);
    refuse(b"PK\x05\x06", "", &["truncated or damaged"]);
    refuse(
        &npz(&[], false),
        "",
        &["has no 3-D array", "choose one with --key: none"],
    );
}

#[test]
fn truncated_files() {
    let bytes = npy(posterior::<f64>(5, 6, 7).view(), PLAIN);
    for length in [7, 9, 40, 127] {
        refuse(&bytes[..length], "", &["is truncated"]);
    }
    for length in [128, 200, bytes.len() - 1] {
        let there = format!("needs 1680 bytes, but {} are there", length - 128);
        refuse(
            &bytes[..length],
            "",
            &[
                "is truncated, or its header lies about its size",
                "(5, 6, 7)",
                &there,
            ],
        );
    }
    for compressed in [false, true] {
        let archive = npz(&[("p", &bytes)], compressed);
        for length in [10, archive.len() / 2, archive.len() - 1] {
            refuse(&archive[..length], "", &["truncated or damaged"]);
        }
        let short = npz(&[("p", &bytes[..bytes.len() - 8])], compressed);
        refuse(
            &short,
            "--key p",
            &["array 'p' is truncated, or its header lies about its size"],
        );
    }
}

#[test]
fn headers_that_lie() {
    let data = [0; 64];
    for (shape, word) in [
        (
            "(2, 2, 1000000000000)",
            "needs 32000000000000 bytes, but 64 are there",
        ),
        (
            "(4294967296, 4294967296, 2)",
            "no memory holds an array of shape",
        ),
        (
            "(2305843009213693952, 1, 1)",
            "no memory holds an array of shape",
        ),
        (
            "(0, 9223372036854775807, 9)",
            "no memory holds an array of shape",
        ),
        (
            "(99999999999999999999, 1, 1)",
            "has a header that is not NumPy's",
        ),
        ("(-1, 2, 2)", "has a header that is not NumPy's"),
        ("'abc'", "has a header that is not NumPy's"),
    ] {
        let bytes = npy_bytes(1, 0, &header("'<f8'", false, shape), &data);
        refuse(&bytes, "", &[word]);
        for compressed in [false, true] {
            refuse(&npz(&[("p", &bytes)], compressed), "--key p", &[word]);
        }
    }
    refuse(
        &npy_bytes(1, 0, &"(".repeat(30_000), &data),
        "",
        &["has a header that is not NumPy's"],
    );
    refuse(&npy_bytes(9, 0, "{}", &data), "", &["format version 9"]);
    let mut endless = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
    endless.extend_from_slice(&data);
    refuse(&endless, "", &["has a header of 4294967295 bytes"]);
}

#[test]
fn damaged_members_are_noticed() {
    for compressed in [false, true] {
        let p = posterior::<f64>(5, 6, 7);
        let mut archive = npz(&[("p", &npy(p.view(), PLAIN))], compressed);
        let middle = archive.len() / 2;
        archive[middle] ^= 0x10;
        let folder = Folder::new();
        folder.write("in.npz", &archive);
        folder.fail(
            "run in.npz --key p --alpha 0.5 -o out.npz",
            2,
            &["array 'p' is", "damaged"],
        );
        folder.fail(
            "run in.npz --key p --alpha 0.5 --bins 1:2 -o out.npz",
            2,
            &["array 'p' is", "damaged"],
        );
    }
}

#[test]
fn types_that_are_no_posteriors() {
    for (descr, size, name, advice) in [
        ("'<i8'", 8, "int64", "astype('float64')"),
        ("'<i4'", 4, "int32", "astype('float64')"),
        ("'|u1'", 1, "uint8", "astype('float64')"),
        ("'|b1'", 1, "bool", "astype('float64')"),
        ("'<f2'", 2, "float16", "astype('float32')"),
        ("'<f16'", 16, "float128", "astype('float64')"),
        ("'<c16'", 16, "complex128", "numpy.abs"),
        ("'|O'", 8, "object", "numpy.stack"),
        ("'<U3'", 12, "unicode", "an array of numbers"),
        ("'<M8[ns]'", 8, "datetime64", "an array of numbers"),
        (
            "[('a', '<f8'), ('b', '<f8', (2,))]",
            24,
            "structured",
            "one of its fields",
        ),
    ] {
        let bytes = npy_bytes(
            1,
            0,
            &header(descr, false, "(2, 3, 4)"),
            &vec![0; 24 * size],
        );
        refuse(
            &bytes,
            "",
            &[
                &format!("holds {name} values, but a posterior is float64 or float32"),
                advice,
            ],
        );
    }
}

#[test]
fn dimensions_that_are_no_posteriors() {
    for (shape, words) in [
        ("(2, 3)", &["has 2 axes, shape (2, 3)", "P[:, :, None]"][..]),
        ("(2, 3, 4, 5)", &["has 4 axes", "sum over the state first"]),
        ("(7,)", &["has 1 axes, shape (7,)"]),
        ("()", &["has 0 axes, shape ()"]),
    ] {
        let bytes = npy_bytes(1, 0, &header("'<f8'", false, shape), &[0; 960]);
        refuse(&bytes, "", words);
    }
    let flat = npy_bytes(1, 0, &header("'<f8'", false, "(0, 3, 4)"), &[]);
    let folder = Folder::new();
    folder.write("in.npy", &flat);
    folder.fail(
        "run in.npy -o out.npz",
        2,
        &["a map needs at least one cell", "(0, 3, 4)"],
    );
}

#[test]
fn keys_that_do_not_choose() {
    let (one, two) = (
        npy(posterior::<f64>(4, 4, 9).view(), PLAIN),
        npy(posterior::<f32>(5, 3, 12).view(), PLAIN),
    );
    let archive = npz(&[("first", &one), ("second", &two)], false);
    let listing = "first (float64 (4, 4, 9)), second (float32 (5, 3, 12))";
    refuse(&archive, "", &["has more than one 3-D array", listing]);
    refuse(&archive, "--key third", &["has no array 'third'", listing]);
    refuse(&one, "--key first", &["holds one array; leave out --key"]);
    let note = npy_bytes(1, 0, &header("'<U3'", false, "(2,)"), &[0; 24]);
    refuse(
        &npz(&[("note", &note)], false),
        "",
        &["has no 3-D array", "note (unicode (2,))"],
    );
}

#[test]
fn time_first_declared_as_position_first() {
    let mut p = Array3::<f64>::from_elem((9, 4, 5), 0.05);
    p[[3, 1, 1]] = 0.04;
    p[[3, 2, 1]] = 0.06;
    let folder = Folder::new();
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let words = &[
        "looks like (t, x, y), not (x, y, t)",
        "--layout txy",
        "--layout xyt",
    ];
    folder.fail("run in.npy --alpha 0.5 -o out.npz", 2, words);
    folder.fail("picture in.npy -o out.png", 2, words);
    folder.fail("info in.npy", 2, words);
    for layout in ["txy", "xyt"] {
        folder.succeed(&format!(
            "run in.npy --layout {layout} --alpha 0.5 -o {layout}.npz"
        ));
    }
    let long = Array3::<f32>::from_shape_fn((1025, 2, 3), |(x, y, t)| (x * y + t) as f32);
    folder.write("long.npy", &npy(long.view(), PLAIN));
    folder.fail("run long.npy --alpha 0.5 -o long.npz", 2, words);
    folder.succeed("run long.npy --layout xyt --alpha 0.5 -o long.npz");
    folder.succeed("picture long.npy --layout xyt --bins 0 -o long.png");
}

#[test]
fn arguments_that_make_no_sense() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(4, 4, 9).view(), PLAIN));
    for (flags, words) in [
        ("--alpha x -o out.npz", &["'x'", "an alpha is a number"][..]),
        (
            "--alpha 0.5,0.9 -o out.npz",
            &["an alpha is a number", "repeat --alpha"],
        ),
        ("--bins 5 -o out.npz", &["A:B"]),
        (
            "--bins 0:10 -o out.npz",
            &["time bin 10", "9 time bins", "0:9"],
        ),
        ("--bins -10: -o out.npz", &["time bin -10"]),
        ("--bins 4:4 -o out.npz", &["names no time bin"]),
        ("--memory-limit lots -o out.npz", &["8GiB"]),
        ("--connectivity 6 -o out.npz", &["[possible values: 4, 8]"]),
        (
            "--layout yxt -o out.npz",
            &["[possible values: xyt, txy, xt, tx]"],
        ),
        (
            "--backend tpu -o out.npz",
            &["[possible values: auto, cpu, gpu]"],
        ),
        (
            "--gpu maybe -o out.npz",
            &["[possible values: where-useful, off, require]"],
        ),
        ("--adapter= -o out.npz", &["--adapter <GPU>"]),
        (
            "--on-limit shrug -o out.npz",
            &["[possible values: error, warn, ignore]"],
        ),
        ("--threads many -o out.npz", &["--threads"]),
        ("", &["--output"]),
        ("-o in.npy", &["in.npy: is the input"]),
        ("-o ./in.npy", &["is the input"]),
        (
            "-o out.npz --picture out.npz",
            &["is named for two outputs"],
        ),
        (
            "-o out.npz --report ./out.npz",
            &["is named for two outputs"],
        ),
    ] {
        folder.fail(&format!("run in.npy {flags}"), 2, words);
    }
    folder.fail("picture in.npy -o in.npy", 2, &["is the input"]);
    folder.fail(
        "picture in.npy -o out.png --bins 9",
        2,
        &["has 9 time bins, but --bins names time bin 9"],
    );
    folder.fail(
        "picture in.npy -o out.png --bins 1:3",
        2,
        &["separated by commas"],
    );
    folder.fail("dance", 2, &["unrecognized subcommand"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(4, 4, 9).view(), PLAIN));
    std::fs::create_dir(folder.path("taken.npz")).expect("a folder");
    folder.fail(
        "run in.npy -o missing/out.npz",
        1,
        &["missing/out.npz: cannot be written"],
    );
    folder.fail("run in.npy -o taken.npz", 1, &["is not a regular file"]);
    folder.fail(
        "run in.npy -o out.npz --report missing/out.json",
        1,
        &["missing/out.json: cannot be written"],
    );
    folder.fail(
        "run in.npy -o out.npz --picture missing/out.png",
        1,
        &["missing/out.png: cannot be written"],
    );
    folder.fail(
        "picture in.npy -o missing/out.png",
        1,
        &["missing/out.png: cannot be written"],
    );
}

#[test]
#[cfg(unix)]
fn a_full_disk_leaves_nothing_behind() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(40, 40, 200).view(), PLAIN));
    // A limit on the size of files stands for a disk that fills up.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" run in.npy --alpha 0.5 -o out.npz";
    let outcome = outcome(folder.shell(script));
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("out.npz: cannot be written"),
        "{}",
        outcome.stderr
    );
    assert_eq!(folder.names(), ["in.npy"]);
}
