//! `peakmask run`: results, files, summary and report.

use ndarray::{Array3, s};
use peakmask::{Backend, Options, Prominence, analyze};

use crate::support::{
    Float, Folder, Form, PLAIN, assert_result, expected, npy, npz, outcome, png_size, posterior,
};

const ALPHAS: &str = "--alpha 0.5 --alpha 0.9";

#[test]
fn a_result_equals_the_library_s() {
    fn check<T: Float + ndarray_npy::ReadableElement>() {
        let folder = Folder::new();
        let p = posterior::<T>(9, 13, 70);
        folder.write("in.npy", &npy(p.view(), PLAIN));
        folder.succeed(&format!("run in.npy {ALPHAS} -o out.npz"));
        assert_eq!(folder.names(), ["in.npy", "out.npz"]);
        assert_result(
            &folder.path("out.npz"),
            &[0.5, 0.9],
            &expected(p.view(), &[0.5, 0.9]),
        );
    }
    check::<f64>();
    check::<f32>();
}

#[test]
fn every_form_of_an_input_gives_the_same_bytes() {
    fn check<T: Float>() {
        let folder = Folder::new();
        let p = posterior::<T>(5, 8, 40);
        folder.write("plain.npy", &npy(p.view(), PLAIN));
        folder.succeed(&format!("run plain.npy {ALPHAS} -o plain.npz"));
        folder.succeed(&format!("run plain.npy {ALPHAS} --bins 7:31 -o slice.npz"));
        let (whole, slice) = (folder.read("plain.npz"), folder.read("slice.npz"));
        assert_ne!(whole, slice);
        let mut forms = 0;
        for version in [1, 2, 3] {
            for number in 0..16 {
                let bit = |i: usize| number >> i & 1 == 1;
                let shift = if bit(3) { 3 } else { 0 };
                let form = Form {
                    version,
                    big_endian: bit(0),
                    fortran: bit(1),
                    txy: bit(2),
                    shift,
                };
                let layout = if form.txy {
                    "--layout txy"
                } else {
                    "--layout xyt"
                };
                let bytes = npy(p.view(), form);
                let other = npy(Array3::<T>::default((1, 1, 1)).view(), PLAIN);
                let members: [(&str, &[u8]); 2] = [("other", &other), ("p_x_given_n", &bytes)];
                for (name, bytes) in [
                    ("in.npy", bytes.clone()),
                    ("stored.npz", npz(&members, false)),
                    ("deflated.npz", npz(&members, true)),
                ] {
                    folder.write(name, &bytes);
                    folder.succeed(&format!("run {name} {layout} {ALPHAS} -o out.npz"));
                    assert_eq!(folder.read("out.npz"), whole, "{name} {form:?}");
                    folder.succeed(&format!(
                        "run {name} {layout} {ALPHAS} --bins 7:31 -o out.npz"
                    ));
                    assert_eq!(folder.read("out.npz"), slice, "{name} {form:?}, bins 7:31");
                    forms += 1;
                }
            }
        }
        assert_eq!(forms, 144);
    }
    check::<f64>();
    check::<f32>();
}

#[test]
fn bins_are_a_slice() {
    let folder = Folder::new();
    let p = posterior::<f64>(6, 7, 30);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    for (bins, range) in [
        ("3:9", 3..9),
        (":4", 0..4),
        ("21:", 21..30),
        ("-5:", 25..30),
        (":", 0..30),
        ("29:30", 29..30),
    ] {
        folder.succeed(&format!("run in.npy --bins {bins} --alpha 0.5 -o out.npz"));
        let part = p.slice(s![.., .., range]);
        assert_result(&folder.path("out.npz"), &[0.5], &expected(part, &[0.5]));
    }
}

#[test]
fn any_float_is_an_alpha() {
    let folder = Folder::new();
    let p = posterior::<f64>(6, 7, 22);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    folder.succeed("run in.npy --alpha -0.5 --alpha nan --alpha inf --alpha -inf --alpha=-inf --alpha 0 --alpha 1e-3 -o out.npz");
    let alphas = [
        -0.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NEG_INFINITY,
        0.0,
        1e-3,
    ];
    assert_result(
        &folder.path("out.npz"),
        &alphas,
        &expected(p.view(), &alphas),
    );
}

#[test]
fn without_alphas_only_peaks_are_found() {
    let folder = Folder::new();
    let p = posterior::<f32>(6, 7, 22);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    folder.succeed("run in.npy -o out.npz");
    assert_result(&folder.path("out.npz"), &[], &expected(p.view(), &[]));
}

#[test]
fn no_time_bins_are_a_valid_input() {
    let folder = Folder::new();
    for (name, layout, shape) in [("xyt.npy", "xyt", (4, 5, 0)), ("txy.npy", "txy", (4, 5, 0))] {
        let p = Array3::<f64>::zeros(shape);
        folder.write(
            name,
            &npy(
                p.view(),
                Form {
                    txy: layout == "txy",
                    big_endian: layout == "txy",
                    ..PLAIN
                },
            ),
        );
        folder.succeed(&format!(
            "run {name} --layout {layout} --alpha 0.5 -o out.npz"
        ));
        assert_result(&folder.path("out.npz"), &[0.5], &expected(p.view(), &[0.5]));
    }
}

#[test]
fn connectivity_8_joins_corners() {
    let folder = Folder::new();
    let p = Array3::from_shape_fn(
        (3, 3, 1),
        |(x, y, _)| if x == y { 3.0 - x as f64 * 0.1 } else { 0.0 },
    );
    folder.write("in.npy", &npy(p.view(), PLAIN));
    for (flag, cells) in [("4", "1.0 cells"), ("8", "3.0 cells")] {
        let outcome = folder.succeed(&format!(
            "run in.npy --alpha 0.5 --connectivity {flag} -o out.npz"
        ));
        assert!(outcome.stderr.contains(cells), "{}", outcome.stderr);
    }
}

#[test]
fn prominence_is_the_one_that_is_asked_for() {
    let folder = Folder::new();
    let p = posterior::<f64>(9, 13, 70);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let options = Options::new().alphas([0.5]).backend(Backend::Cpu);
    let options = options.prominence(Prominence::Topographic);
    let found = analyze(p.view(), &options).expect("the library accepts it");
    folder.succeed("run in.npy --alpha 0.5 --prominence topographic -o out.npz");
    assert_result(&folder.path("out.npz"), &[0.5], &found);
}

#[test]
fn engine_and_threads_do_not_change_the_result() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(9, 9, 200).view(), PLAIN));
    folder.succeed(&format!("run in.npy {ALPHAS} -o first.npz"));
    for flags in [
        "--threads 1",
        "--threads 2",
        "--threads 5",
        "--threads 0",
        "--backend cpu",
        "--backend auto",
    ] {
        folder.succeed(&format!("run in.npy {ALPHAS} {flags} -o out.npz"));
        assert_eq!(folder.read("out.npz"), folder.read("first.npz"), "{flags}");
    }
}

#[test]
fn a_key_chooses_the_array() {
    let folder = Folder::new();
    let (one, two) = (posterior::<f64>(4, 4, 9), posterior::<f32>(5, 3, 12));
    let (first, second) = (npy(one.view(), PLAIN), npy(two.view(), PLAIN));
    folder.write("in.npz", &npz(&[("a", &first), ("b", &second)], true));
    folder.succeed("run in.npz --key a --alpha 0.5 -o a.npz");
    assert_result(&folder.path("a.npz"), &[0.5], &expected(one.view(), &[0.5]));
    folder.succeed("run in.npz --key b --alpha 0.5 -o b.npz");
    assert_result(&folder.path("b.npz"), &[0.5], &expected(two.view(), &[0.5]));
    // Among arrays of other types and dimensions, the only posterior needs no key.
    let flat = crate::support::npy_bytes(
        1,
        0,
        &crate::support::header("'<f8'", false, "(2,)"),
        &[0; 16],
    );
    let whole = crate::support::npy_bytes(
        1,
        0,
        &crate::support::header("'<i8'", false, "(1, 1, 1)"),
        &[0; 8],
    );
    folder.write(
        "only.npz",
        &npz(&[("flat", &flat), ("p", &second), ("whole", &whole)], false),
    );
    folder.succeed("run only.npz --alpha 0.5 -o only_out.npz");
    assert_eq!(folder.read("only_out.npz"), folder.read("b.npz"));
}

#[test]
fn the_summary_is_one_line() {
    let folder = Folder::new();
    let mut p = Array3::<f64>::zeros((3, 3, 4));
    p[[1, 1, 0]] = 1.0;
    p[[1, 0, 0]] = 0.6;
    p[[0, 0, 2]] = 1.0;
    p[[2, 2, 2]] = 0.5;
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let said = folder
        .succeed("run in.npy --alpha 0.5 --alpha nan -o out.npz")
        .stderr;
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("4 time bins, 2 of them live; per live bin 1.5 peaks, 1.5 cells at alpha 0.5, 1.0 cells at alpha NaN; "), "{said}");
    for word in [" s", "thread"] {
        assert!(said.contains(word), "{said}");
    }
    let quiet = folder.succeed("run in.npy --alpha 0.5 -o out.npz --quiet");
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn the_report_tells_all() {
    let folder = Folder::new();
    let p = posterior::<f32>(5, 6, 20);
    let bytes = npy(
        p.view(),
        Form {
            fortran: true,
            txy: true,
            ..PLAIN
        },
    );
    folder.write("in.npz", &npz(&[("p", &bytes)], true));
    folder.succeed("run in.npz --layout txy --bins 2:17 --alpha nan --alpha -inf --alpha 0.5 --threads 1 --memory-limit 1GiB -o out.npz --report report.json");
    let report: serde_json::Value =
        serde_json::from_slice(&folder.read("report.json")).expect("valid JSON");
    let peaks = expected(p.slice(s![.., .., 2..17]), &[]).peaks;
    for (pointer, value) in [
        ("/version", serde_json::json!(env!("CARGO_PKG_VERSION"))),
        ("/input/path", "in.npz".into()),
        ("/input/key", "p".into()),
        ("/input/dtype", "float32".into()),
        ("/input/shape", [5, 6, 20].as_slice().into()),
        ("/input/stored_shape", [20, 5, 6].as_slice().into()),
        ("/input/stored_order", "fortran".into()),
        ("/input/layout", "txy".into()),
        ("/input/copied_because", "compressed".into()),
        ("/options/alphas", serde_json::json!(["nan", "-inf", 0.5])),
        ("/options/connectivity", 4.into()),
        ("/options/backend", "auto".into()),
        ("/options/threads", 1.into()),
        ("/options/bins", [2, 17].as_slice().into()),
        ("/options/on_limit", "error".into()),
        ("/memory/limit_bytes", (1_u64 << 30).into()),
        ("/memory/limit_source", "given by the caller".into()),
        ("/memory/copy_bytes", (5 * 6 * 15 * 4).into()),
        ("/outputs/result", "out.npz".into()),
        ("/outputs/picture", serde_json::Value::Null),
        ("/run/engine", "cpu".into()),
        ("/run/bins", 15.into()),
        ("/run/peaks", peaks.len().into()),
        (
            "/run/live_bins",
            peaks.bins().filter(|bin| !bin.is_empty()).count().into(),
        ),
    ] {
        assert_eq!(
            report.pointer(pointer),
            Some(&value),
            "{pointer} in {report:#}"
        );
    }
    for pointer in [
        "/memory/fixed_bytes",
        "/memory/bytes_per_peak",
        "/memory/assumed_peaks",
        "/memory/total_bytes",
        "/run/bytes_planned",
        "/run/threads",
        "/run/instruction_set",
        "/run/seconds/total",
        "/run/seconds/survey",
        "/run/seconds/compare",
        "/run/seconds/flood",
        "/run/seconds/bases",
        "/run/seconds/emit",
        "/run/mean_area_cells_per_live_bin/2",
    ] {
        assert!(
            report
                .pointer(pointer)
                .is_some_and(|value| !value.is_null()),
            "{pointer} in {report:#}"
        );
    }
}

#[test]
fn a_picture_comes_along() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(12, 9, 50).view(), PLAIN));
    folder.succeed(&format!(
        "run in.npy {ALPHAS} --bins 10:40 -o out.npz --picture out.png"
    ));
    assert_eq!(folder.names(), ["in.npy", "out.npz", "out.png"]);
    let (width, height) = png_size(&folder.read("out.png"));
    assert!(width > 1000 && height > 500, "{width} x {height}");
}

#[test]
fn an_existing_file_is_replaced() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(4, 4, 9).view(), PLAIN));
    folder.write("out.npz", &[1; 100_000]);
    folder.succeed("run in.npy -o out.npz");
    assert_eq!(folder.read("out.npz")[..2], *b"PK");
    assert_eq!(folder.names(), ["in.npy", "out.npz"]);
}

#[test]
#[cfg(unix)]
fn a_link_leads_to_the_file_that_is_replaced() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(4, 4, 9).view(), PLAIN));
    folder.write("real.npz", b"old");
    std::os::unix::fs::symlink(folder.path("real.npz"), folder.path("link.npz")).expect("a link");
    folder.succeed("run in.npy -o link.npz");
    assert!(folder.path("link.npz").is_symlink());
    assert_eq!(folder.read("real.npz")[..2], *b"PK");
}

#[test]
#[cfg(unix)]
fn results_get_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(4, 4, 9).view(), PLAIN));
    for (umask, mode) in [("022", 0o644), ("027", 0o640)] {
        let script = format!("umask {umask}; exec \"$0\" run in.npy -o out.npz");
        assert_eq!(outcome(folder.shell(&script)).code, Some(0));
        let permissions = std::fs::metadata(folder.path("out.npz"))
            .expect("the result")
            .permissions();
        assert_eq!(permissions.mode() & 0o777, mode);
        std::fs::remove_file(folder.path("out.npz")).expect("the result");
    }
}

#[test]
fn bytes_after_the_array_are_named() {
    let folder = Folder::new();
    let p = posterior::<f64>(4, 4, 9);
    let mut bytes = npy(p.view(), PLAIN);
    bytes.extend_from_slice(&[0; 24]);
    folder.write("in.npy", &bytes);
    let outcome = folder.succeed("run in.npy -o out.npz --quiet");
    assert_eq!(
        outcome.stderr,
        "warning: in.npy: 24 bytes after the array of shape (4, 4, 9) are ignored\n"
    );
    assert_result(&folder.path("out.npz"), &[], &expected(p.view(), &[]));
}
