//! Levels of all kinds, whole regions and the NaN rule, from the command line to the last file.

use std::fs::File;

use ndarray::{Array1, Array3, Array4, s};
use ndarray_npy::ReadNpyExt as _;
use peakmask::{Level, NanPolicy, Options, Region, analyze};

use crate::support::{Folder, PLAIN, npy, posterior};

const ASKED: &str =
    "--alpha 0.5 --coverage 0.9 --absolute 0.25 --absolute -1 --region whole --nan off_track";

/// Values that are not negative, a wall of absent cells, and a time bin with a value below zero.
fn with_a_wall() -> Array3<f64> {
    let mut p = posterior::<f64>(9, 13, 70).mapv(f64::abs);
    p.mapv_inplace(|value| if value.is_nan() { 0.5 } else { value });
    p.slice_mut(s![4, 2.., ..]).fill(f64::NAN);
    p[[0, 0, 5]] = -0.125;
    p
}

fn options() -> Options {
    Options::new()
        .levels([
            Level::OfPeak(0.5),
            Level::Absolute(0.25),
            Level::Absolute(-1.0),
            Level::Coverage(0.9),
        ])
        .region(Region::Whole)
        .nan_policy(NanPolicy::OffTrack)
}

#[test]
fn a_result_is_the_library_s_and_says_what_its_levels_are() {
    let folder = Folder::new();
    let p = with_a_wall();
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let right = analyze(p.view(), &options()).expect("a result");
    assert!(right.masks.iter().all(|mask| mask.iter().any(|&cell| cell)));
    let said = folder.succeed(&format!("run in.npy {ASKED} -o out.npz --report out.json"));
    for part in ["at alpha 0.5", "at absolute 0.25", "at coverage 0.9"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    let mut archive = folder.archive("out.npz");
    let masks: Array4<bool> = archive.by_name("masks").expect("masks");
    for (found, right) in masks.outer_iter().zip(&right.masks) {
        assert_eq!(found, right);
    }
    let numbers: Array1<f64> = archive.by_name("alpha").expect("numbers");
    assert_eq!(numbers.to_vec(), [0.5, 0.25, -1.0, 0.9]);
    let report = folder.json("out.json");
    assert_eq!(report["options"]["region"], "whole");
    assert_eq!(report["options"]["nan"], "off_track");
    assert_eq!(report["options"]["coverages"][0], 0.9);

    // A picture of the result, or of the same made anew, names them.
    folder.succeed("picture in.npy out.npz --bins 1,2 -o result.svg");
    folder.succeed(&format!("picture in.npy {ASKED} --bins 1,2 -o anew.svg"));
    let texts =
        ["result.svg", "anew.svg"].map(|name| String::from_utf8(folder.read(name)).expect("text"));
    assert_eq!(texts[0], texts[1]);
    for part in [
        "mask, alpha 0.5",
        "mask, absolute 0.25",
        "mask, coverage 0.9",
    ] {
        assert!(texts[0].contains(part), "{part}");
    }
    folder.succeed("page in.npy out.npz -o page.html");
}

#[test]
fn a_folder_holds_the_same_and_goes_on_with_the_same_alone() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(with_a_wall().view(), PLAIN));
    folder.succeed(&format!("run in.npy {ASKED} -o out.npz"));
    folder.succeed(&format!("run in.npy {ASKED} --stream -o out"));
    let mut archive = folder.archive("out.npz");
    let open = |name: &str| File::open(folder.path("out").join(name)).expect(name);
    let masks: Array4<bool> = archive.by_name("masks").expect("masks");
    assert_eq!(
        Array4::<bool>::read_npy(open("masks.npy")).expect("masks"),
        masks
    );
    let numbers: Array1<f64> = archive.by_name("alpha").expect("numbers");
    assert_eq!(
        Array1::<f64>::read_npy(open("alpha.npy")).expect("numbers"),
        numbers
    );
    let kinds = folder.read("out/level_kind.npy");
    assert!(kinds.ends_with(b"of_peak\0absoluteabsolutecoverage"));
}

#[test]
fn without_them_nothing_is_said_of_kinds() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(with_a_wall().view(), PLAIN));
    folder.succeed("run in.npy --alpha 0.5 -o out.npz");
    let mut archive = folder.archive("out.npz");
    assert!(
        !archive
            .names()
            .expect("names")
            .iter()
            .any(|name| name.contains("level_kind"))
    );
    let live: Array1<i64> = archive.by_name("peak_offsets").expect("offsets");
    assert_eq!(live[live.len() - 1], 0, "NaN silences every time bin");
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(with_a_wall().view(), PLAIN));
    folder.fail(
        "run in.npy --coverage 95 -o out.npz",
        2,
        &["above 0 and at most 1"],
    );
    folder.fail(
        "run in.npy --absolute high -o out.npz",
        2,
        &["a level is a number"],
    );
    folder.fail("run in.npy --nan nonsense -o out.npz", 2, &["off_track"]);
    folder.fail(
        "run in.npy --alpha 0.5 --nan error -o out.npz",
        2,
        &["cell (4, 2)", "time bin 0", "--nan off_track"],
    );
    // Of the input, not of the part that is analysed.
    folder.fail(
        "run in.npy --alpha 0.5 --nan error --bins 10:30 -o out.npz",
        2,
        &["cell (4, 2)", "time bin 10"],
    );
    folder.fail(
        "run in.npy --coverage 0.5 --backend gpu -o out.npz",
        4,
        &["coverage"],
    );
    assert_eq!(folder.names(), ["in.npy"]);
}
