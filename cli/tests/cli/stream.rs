//! `peakmask run --stream`: the same arrays as in an archive, each in a file, whatever happens in between.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use ndarray::{Array1, Array2, Array4, ArrayD};
use ndarray_npy::{ReadNpyExt as _, ReadableElement};

use crate::support::{
    Float, Folder, Form, PLAIN, expected, header, npy, npy_bytes, npz, outcome, posterior,
};

const ALPHAS: &str = "--alpha 0.5 --alpha 0.9";

/// Every file of a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        (name, fs::read(&path).expect("a file"))
    };
    entries.map(file).collect()
}

fn read<A: ReadableElement, D: ndarray::Dimension>(
    folder: &Path,
    name: &str,
) -> ndarray::Array<A, D> {
    let file = File::open(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    ndarray::Array::read_npy(file).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `numpy.packbits(masks, axis=-1, bitorder="little")`.
fn packed(masks: &Array4<bool>) -> Array4<u8> {
    let (alphas, n_x, n_y, n_t) = masks.dim();
    let mut bits = Array4::zeros((alphas, n_x, n_y, n_t.div_ceil(8)));
    for ((alpha, x, y, t), &set) in masks.indexed_iter() {
        bits[[alpha, x, y, t / 8]] |= u8::from(set) << (t % 8);
    }
    bits
}

#[test]
fn a_folder_holds_what_an_archive_holds() {
    fn check<T: Float + ReadableElement + PartialEq + std::fmt::Debug>() {
        let folder = Folder::new();
        let p = posterior::<T>(9, 13, 333);
        let right = expected(p.view(), &[0.5, 0.9]);
        let mut masks = Array4::from_elem((2, 9, 13, 333), false);
        for (mut mask, right) in masks.outer_iter_mut().zip(&right.masks) {
            mask.assign(right);
        }
        let mut first = None;
        for (number, txy) in (0..4).flat_map(|number| [(number, false), (number, true)]) {
            let bit = |i: usize| number >> i & 1 == 1;
            let form = Form {
                big_endian: bit(0),
                fortran: bit(1),
                txy,
                ..PLAIN
            };
            let layout = if txy { "txy" } else { "xyt" };
            folder.write("in.npy", &npy(p.view(), form));
            for piece in ["", "--piece-bins 8", "--piece-bins 104"] {
                let words = format!("run in.npy --layout {layout} {ALPHAS} --stream {piece}");
                let said = folder.succeed(&format!("{words} -o out")).stderr;
                assert!(said.contains("333 time bins, "), "{said}");
                folder.succeed(&format!("{words} --packed -o bits"));
                assert_eq!(folder.names(), ["bits", "in.npy", "out"]);
                let (mut out, mut bits) = (files(&folder.path("out")), files(&folder.path("bits")));
                let names = [
                    "alpha.npy",
                    "masks.npy",
                    "peak_coords.npy",
                    "peak_heights.npy",
                    "peak_offsets.npy",
                    "prominences.npy",
                ];
                assert!(out.keys().eq(names.iter().copied()), "{:?}", out.keys());
                let at = folder.path("out");
                assert_eq!(read::<bool, _>(&at, "masks.npy"), masks);
                assert_eq!(
                    read::<f64, _>(&at, "alpha.npy"),
                    Array1::from(vec![0.5, 0.9])
                );
                assert_eq!(
                    read::<i64, _>(&at, "peak_offsets.npy"),
                    Array1::from(right.peaks.offsets.clone())
                );
                let coords: Array2<i64> = read(&at, "peak_coords.npy");
                assert_eq!(coords.dim(), (right.peaks.len(), 2));
                assert!(coords.iter().eq(right.peaks.coords.as_flattened()));
                assert_eq!(
                    read::<T, _>(&at, "peak_heights.npy"),
                    Array1::from(right.peaks.heights.clone())
                );
                assert_eq!(
                    read::<T, _>(&at, "prominences.npy"),
                    Array1::from(right.peaks.prominences.clone())
                );
                assert_eq!(
                    read::<u8, _>(&folder.path("bits"), "packed.npy"),
                    packed(&masks)
                );
                // Nothing depends on how the input lies, and on pieces.
                out.insert(
                    "packed.npy".to_owned(),
                    bits.remove("packed.npy").expect("bits"),
                );
                assert_eq!(
                    out,
                    *first.get_or_insert_with(|| out.clone()),
                    "{form:?}, {piece}"
                );
                fs::remove_dir_all(at).expect("the folder goes");
                fs::remove_dir_all(folder.path("bits")).expect("the folder goes");
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

#[test]
fn a_range_of_bins_peaks_alone_and_no_bins() {
    let folder = Folder::new();
    let p = posterior::<f64>(5, 8, 100);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    folder.succeed("run in.npy --alpha 0.5 --bins 7:31 --stream --piece-bins 8 -o out");
    let right = expected(p.slice(ndarray::s![.., .., 7..31]), &[0.5]);
    let masks: Array4<bool> = read(&folder.path("out"), "masks.npy");
    assert_eq!(masks.index_axis(ndarray::Axis(0), 0), right.masks[0]);
    folder.succeed("run in.npy --stream -o peaks --report peaks.json");
    assert!(!folder.path("peaks/masks.npy").exists());
    assert_eq!(folder.json("peaks.json")["run"]["bins"], 100);
    folder.write("none.npy", &npy(p.slice(ndarray::s![.., .., ..0]), PLAIN));
    folder.succeed("run none.npy --alpha 0.5 --stream --packed -o none");
    assert_eq!(
        read::<u8, _>(&folder.path("none"), "packed.npy"),
        Array4::<u8>::zeros((1, 5, 8, 0))
    );
    assert_eq!(
        read::<i64, _>(&folder.path("none"), "peak_offsets.npy"),
        Array1::from(vec![0])
    );
}

/// `(x, t)` and `(t, x)`, as archive and as folder.
#[test]
fn tracks_have_one_axis_of_positions() {
    let folder = Folder::new();
    let p = posterior::<f64>(17, 1, 90);
    let right = expected(p.view(), &[0.5]);
    let data = |bins_first: bool| -> Vec<u8> {
        let p = p.view();
        let p = if bins_first {
            p.permuted_axes([2, 0, 1])
        } else {
            p
        };
        p.iter().flat_map(|&value| value.bytes(false)).collect()
    };
    folder.write(
        "xt.npy",
        &npy_bytes(1, 0, &header("'<f8'", false, "(17, 90)"), &data(false)),
    );
    folder.write(
        "tx.npy",
        &npy_bytes(1, 0, &header("'<f8'", false, "(90, 17)"), &data(true)),
    );
    // In Fortran order the same bytes are those of the other layout.
    folder.write(
        "fortran.npy",
        &npy_bytes(1, 0, &header("'<f8'", true, "(17, 90)"), &data(true)),
    );
    let mut first = None;
    for (name, layout) in [("xt", "xt"), ("tx", "tx"), ("fortran", "xt")] {
        folder.succeed(&format!(
            "run {name}.npy --layout {layout} --alpha 0.5 -o out.npz --picture out.png"
        ));
        let bytes = folder.read("out.npz");
        assert_eq!(bytes, *first.get_or_insert_with(|| bytes.clone()), "{name}");
        let file = File::open(folder.path("out.npz")).expect("the result");
        let mut file = ndarray_npy::NpzReader::new(file).expect("an archive");
        let masks: ArrayD<bool> = file.by_name("masks").expect("masks");
        let coords: ArrayD<i64> = file.by_name("peak_coords").expect("peak_coords");
        assert_eq!(masks.shape(), [1, 17, 90]);
        assert!(masks.iter().eq(right.masks[0].iter()));
        assert_eq!(coords.shape(), [right.peaks.len(), 1]);
        assert!(
            coords
                .iter()
                .copied()
                .eq(right.peaks.coords.iter().map(|&[x, _]| x))
        );
        folder.succeed(&format!(
            "picture {name}.npy out.npz --layout {layout} -o sheet.png"
        ));
        folder.succeed(&format!(
            "run {name}.npy --layout {layout} --alpha 0.5 --stream --piece-bins 16 -o {name}"
        ));
        let out = folder.path(name);
        assert_eq!(read::<bool, ndarray::IxDyn>(&out, "masks.npy"), masks);
        assert_eq!(read::<i64, ndarray::IxDyn>(&out, "peak_coords.npy"), coords);
    }
    // Two axes may be a single map: they are not guessed at.
    folder.fail(
        "run xt.npy --alpha 0.5 -o no.npz",
        2,
        &["has 2 axes, shape (17, 90)", "P[:, :, None]", "--layout xt"],
    );
    folder.fail("run xt.npy --layout xyt -o no.npz", 2, &["has 2 axes"]);
    folder.write("maps.npy", &npy(p.view(), PLAIN));
    folder.fail(
        "run maps.npy --layout tx -o no.npz",
        2,
        &["has 3 axes", "--layout tx is that of a linear track"],
    );
    let said = folder.succeed("info tx.npy --layout tx").stdout;
    assert!(
        said.contains("17 x 1 cells, 90 time bins; (90, 17) as (t, x), a linear track"),
        "{said}"
    );
}

#[test]
fn what_exceeds_the_limit_is_streamed_and_that_is_said() {
    let folder = Folder::new();
    let p = posterior::<f64>(9, 13, 400_000 / 117);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let need = "run in.npy --memory-limit 150MiB --alpha 0.5";
    folder.succeed(&format!("{need} -o fits"));
    assert!(folder.path("fits").is_file());
    let many = "--alpha 0.5 ".repeat(400);
    let said = folder.succeed(&format!("{need} {many} -o out")).stderr;
    assert!(
        said.contains("note: the analysis needs") && said.contains("streamed to the folder out"),
        "{said}"
    );
    assert!(folder.path("out/masks.npy").is_file());
    folder.fail(
        &format!("{need} {many} -o out.npz"),
        3,
        &["--bins 0:", "memory limit is 150.0 MiB"],
    );
    folder.fail(
        &format!("{need} {many} -o other --picture p.png"),
        3,
        &["memory limit"],
    );
}

#[test]
fn wrong_folders_and_runs_that_do_not_match_are_refused() {
    let folder = Folder::new();
    let p = posterior::<f64>(5, 8, 64);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    folder.succeed("run in.npy --alpha 0.5 --stream -o out");
    folder.fail(
        "run in.npy --alpha 0.5 --stream -o out",
        1,
        &["out: is there already"],
    );
    folder.fail(
        "run in.npy --alpha 0.5 --stream -o in.npy",
        2,
        &["is the input"],
    );
    folder.fail(
        "run in.npy --alpha 0.5 --stream -o no/out",
        1,
        &["cannot be written"],
    );
    folder.fail(
        "run in.npy --alpha 0.5 --stream -o new --picture p.png",
        2,
        &["peakmask picture"],
    );
    folder.write("in.npz", &npz(&[("p", &npy(p.view(), PLAIN))], true));
    folder.fail(
        "run in.npz --alpha 0.5 --stream -o new",
        2,
        &["is compressed"],
    );

    // An unfinished run, by the folder that one leaves.
    folder.succeed("run in.npy --alpha 0.5 --stream -o new");
    fs::rename(folder.path("new"), folder.path(".peakmask-new.partial")).expect("a new name");
    folder.fail(
        "run in.npy --alpha 0.5 --stream -o new",
        1,
        &["an unfinished run is in", "--resume"],
    );
    // Nothing is noted: it begins anew.
    folder.succeed("run in.npy --alpha 0.5 --stream --resume -o new");
    assert_eq!(files(&folder.path("new")), files(&folder.path("out")));
}

/// A run that is killed at any moment is continued, and ends in the same bytes; only the same run is.
#[cfg(unix)]
#[test]
fn a_killed_run_is_continued_to_the_same_bytes() {
    let folder = Folder::new();
    let p = posterior::<f32>(12, 9, 6_000);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let words = "run in.npy --alpha 0.5 --alpha 0.9 --threads 2 --stream --piece-bins 16";
    let mut continued = 0;
    for (form, others) in [("", 0), ("--packed --summary table.npz --highest 2", 1)] {
        folder.succeed(&format!("{words} {form} -o right{others}"));
        let right = files(&folder.path(&format!("right{others}")));
        let table = (others > 0).then(|| folder.read("table.npz"));
        let mut rng = 12_345_u64;
        for round in 0..4 {
            let mut killed = 0;
            loop {
                let command = format!("{words} {form} --resume -o out");
                let mut child = folder
                    .command(&command)
                    .stderr(std::process::Stdio::null())
                    .spawn()
                    .expect("it starts");
                rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let enough = killed >= 5;
                if !enough {
                    std::thread::sleep(Duration::from_millis(5 + (rng >> 33) % 120));
                }
                if enough {
                    assert!(child.wait().expect("it ends").success());
                    break;
                }
                let ended = child.try_wait().expect("a state").is_some();
                let _ = child.kill();
                let _ = child.wait();
                if ended {
                    break;
                }
                assert!(
                    !folder.path("out").exists() || files(&folder.path("out")).len() >= right.len()
                );
                let note = folder.path(".peakmask-out.partial/.progress.json");
                if let Ok(note) = fs::read(note)
                    && String::from_utf8_lossy(&note).contains("\"bins\": ")
                    && !String::from_utf8_lossy(&note).contains("\"bins\": 0")
                {
                    continued += 1;
                    if round == 0 && killed == 0 {
                        refuse_others(&folder, words, form);
                    }
                }
                if folder.path("out").exists() {
                    break;
                }
                killed += 1;
            }
            let mut found = files(&folder.path("out"));
            found.retain(|name, _| !name.starts_with('.'));
            assert_eq!(found, right, "{form}, round {round}");
            if let Some(table) = &table {
                assert!(*table == folder.read("table.npz"), "round {round}");
                fs::remove_file(folder.path("table.npz")).expect("it goes");
            }
            fs::remove_dir_all(folder.path("out")).expect("it goes");
        }
    }
    assert!(
        continued > 4,
        "only {continued} runs were continued in their middle"
    );
}

#[cfg(unix)]
fn refuse_others(folder: &Folder, words: &str, form: &str) {
    let other = words.replace("--alpha 0.9", "--alpha 0.8");
    folder.fail(
        &format!("{other} {form} --resume -o out"),
        2,
        &["other options (--alpha differs)", ".peakmask-out.partial"],
    );
    folder.fail(
        &format!("{words} {form} --bins 8: --resume -o out"),
        2,
        &["--bins differs"],
    );
    folder.fail(
        &format!("{words} {form} --connectivity 8 --resume -o out"),
        2,
        &["--connectivity differs"],
    );
    folder.fail(
        &format!("{words} {form} --min-distance 2 --resume -o out"),
        2,
        &["--min-distance differs"],
    );
    let input = folder.read("in.npy");
    let mut changed = input.clone();
    let last = changed.len() - 3;
    changed[last] ^= 1;
    let modified = fs::metadata(folder.path("in.npy"))
        .and_then(|data| data.modified())
        .expect("a time");
    let restore = |bytes: &[u8]| {
        folder.write("in.npy", bytes);
        let file = File::options()
            .write(true)
            .open(folder.path("in.npy"))
            .expect("the input");
        file.set_modified(modified).expect("the time is set");
    };
    restore(&changed);
    folder.fail(
        &format!("{words} {form} --resume -o out"),
        2,
        &["another input", "sha256"],
    );
    folder.write("in.npy", &input);
    folder.fail(
        &format!("{words} {form} --resume -o out"),
        2,
        &["time of last change"],
    );
    restore(&input);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_how_far_it_came() {
    let folder = Folder::new();
    let p = posterior::<f32>(12, 9, 20_000);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    // The signal races with the end of the run; a lost race is run again.
    for _ in 0..9 {
        let mut command = folder.command("run in.npy --alpha 0.5 --stream --piece-bins 8 -o out");
        let child = command
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("it starts");
        let begun = || {
            fs::read_to_string(folder.path(".peakmask-out.partial/.progress.json"))
                .is_ok_and(|note| note.contains("\"bins\": ") && !note.contains("\"bins\": 0"))
        };
        for _ in 0..20_000 {
            if begun() || folder.path("out").exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let id = child.id().to_string();
        let told = std::process::Command::new("kill")
            .args(["-INT", &id])
            .stderr(std::process::Stdio::null())
            .status();
        assert!(told.is_ok());
        let end = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&end.stderr).into_owned();
        if end.status.code() == Some(0) {
            fs::remove_dir_all(folder.path("out")).expect("it goes");
            continue;
        }
        assert_eq!(end.status.code(), Some(130), "{said}");
        assert!(
            said.contains("of 20000 time bins; go on with --resume"),
            "{said}"
        );
        assert!(!folder.path("out").exists());
        folder.succeed("run in.npy --alpha 0.5 --stream --resume -o out");
        folder.succeed("run in.npy --alpha 0.5 --stream -o right");
        assert_eq!(files(&folder.path("out")), files(&folder.path("right")));
        return;
    }
    panic!("every run ended before it was interrupted");
}

#[test]
fn several_inputs_one_of_which_is_wrong() {
    let folder = Folder::new();
    for (name, n_t) in [("a", 20), ("b", 30), ("d", 40)] {
        folder.write(
            &format!("{name}.npy"),
            &npy(posterior::<f64>(5, 8, n_t).view(), PLAIN),
        );
    }
    folder.write("c.npy", b"no array");
    let end =
        outcome(folder.command("run a.npy b.npy c.npy gone.npy d.npy --alpha 0.5 -o results"));
    assert_eq!(end.code, Some(2), "{}", end.stderr);
    end.said(&[
        "a.npy: 20 time bins",
        "b.npy: 30 time bins",
        "error: c.npy: ",
        "error: gone.npy: ",
        "d.npy: 40 time bins",
        "error: 2 of 5 inputs could not be analysed",
    ]);
    let names = files(&folder.path("results"));
    assert!(names.keys().eq(["a.npz", "b.npz", "d.npz"]));
    folder.succeed("run b.npy --alpha 0.5 -o alone.npz");
    assert_eq!(names["b.npz"], folder.read("alone.npz"));

    folder.succeed("run a.npy d.npy --alpha 0.5 --stream --packed -o results -q");
    assert!(folder.path("results/d/packed.npy").is_file());
    folder.write("sub.npy", b"");
    folder.fail("run a.npy ./a.npy -o other", 2, &["have one name"]);
    folder.fail(
        "run a.npy b.npy -o other --report r.json",
        2,
        &["--report names one file"],
    );
    folder.fail("run a.npy b.npy -o c.npy", 1, &["c.npy: is to be a folder"]);
}
