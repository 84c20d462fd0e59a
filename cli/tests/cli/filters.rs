//! Filters of peaks: they change lists, and nothing else.

use std::fs::File;
use std::path::Path;

use ndarray::{Array1, Array2, Array3};
use ndarray_npy::{NpzReader, ReadNpyExt as _};
use peakmask::{Options, PeakFilter, Peaks, Prominence, analyze};

use crate::support::{Folder, PLAIN, npy, posterior};

/// The options of the program, and what the library does.
fn filters() -> Vec<(&'static str, PeakFilter)> {
    let filter = PeakFilter::new;
    vec![
        ("--min-height 0.15", filter().min_height(0.15)),
        ("--min-height -1.5", filter().min_height(-1.5)),
        (
            "--min-relative-height 0.5",
            filter().min_relative_height(0.5),
        ),
        ("--min-prominence 0.1", filter().min_prominence(0.1)),
        ("--min-distance 2.5", filter().min_distance(2.5)),
        ("--highest 2", filter().highest(2)),
        ("--most-prominent 2", filter().most_prominent(2)),
        ("--highest 0", filter().highest(0)),
        (
            "--min-height 0.02 --min-relative-height 0.1 --min-prominence 0.01 --min-distance 1.5 --most-prominent 3",
            filter()
                .min_height(0.02)
                .min_relative_height(0.1)
                .min_prominence(0.01)
                .min_distance(1.5)
                .most_prominent(3),
        ),
    ]
}

/// Values of each kind of time bin, many of which have many peaks.
fn values() -> Array3<f64> {
    posterior(9, 13, 60)
}

/// The columns of peaks in an archive.
fn peaks(path: &Path) -> Peaks<f64> {
    let mut file = NpzReader::new(File::open(path).expect("a file")).expect("an archive");
    let coords: Array2<i64> = file.by_name("peak_coords").expect("coords");
    let mut column = |name: &str| file.by_name::<_, ndarray::Ix1>(name);
    let prominences: Array1<f64> = column("prominences").expect("prominences");
    let heights: Array1<f64> = column("peak_heights").expect("heights");
    let offsets: Array1<i64> = file.by_name("peak_offsets").expect("offsets");
    let mut peaks = Peaks::new();
    peaks.offsets = offsets.to_vec();
    peaks.coords = coords
        .rows()
        .into_iter()
        .map(|row| [row[0], row[1]])
        .collect();
    peaks.prominences = prominences.to_vec();
    peaks.heights = heights.to_vec();
    peaks
}

#[test]
fn peaks_are_those_that_the_library_s_filter_keeps() {
    let folder = Folder::new();
    let p = values();
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let mut numbers = Vec::new();
    for prominence in [Prominence::Reference, Prominence::Topographic] {
        let options = Options::new().prominence(prominence);
        let all = analyze(p.view(), &options).expect("a result").peaks;
        for (words, filter) in filters() {
            let right = all.filtered(&filter);
            let run = format!("run in.npy --prominence {prominence} {words}");
            folder.succeed(&format!("{run} -o out.npz"));
            assert_eq!(
                peaks(&folder.path("out.npz")),
                right,
                "{prominence} {words}"
            );
            numbers.push(right.len());
        }
        numbers.push(all.len());
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() > 9, "filters that differ: {numbers:?}");
}

#[test]
fn masks_summaries_and_live_bins_stay() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(values().view(), PLAIN));
    let run = "run in.npy --alpha 0.5 --coverage 0.9";
    folder.succeed(&format!(
        "{run} -o all.npz --summary all.csv --report all.json"
    ));
    let said = folder.succeed(&format!(
        "{run} --min-height 0.9 -o few.npz --summary few.csv --report few.json --picture few.png"
    ));
    assert!(said.stderr.contains("listed peaks"), "{}", said.stderr);
    let [all, few] = ["all.npz", "few.npz"].map(|name| {
        let file = File::open(folder.path(name)).expect("a file");
        let mut file = NpzReader::new(file).expect("an archive");
        let masks: ndarray::Array4<bool> = file.by_name("masks").expect("masks");
        (masks, peaks(&folder.path(name)).len())
    });
    assert_eq!(all.0, few.0);
    assert!(0 < few.1 && few.1 < all.1, "{} of {}", few.1, all.1);
    assert_eq!(folder.read("all.csv"), folder.read("few.csv"));
    let [(all_found, all_told), (few_found, few_told)] = ["all.json", "few.json"].map(|name| {
        let report = folder.json(name);
        assert_eq!(report["run"]["peaks"], all.1);
        (report["run"]["live_bins"].clone(), report)
    });
    assert_eq!(all_found, few_found);
    assert_eq!(all_told["options"]["min_height"], serde_json::Value::Null);
    assert_eq!(few_told["options"]["min_height"], 0.9);
    assert_eq!(all_told["run"]["listed_peaks"], all.1);
    assert_eq!(few_told["run"]["listed_peaks"], few.1);
}

#[test]
fn a_folder_holds_the_same() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(values().view(), PLAIN));
    for (i, (words, _)) in filters().iter().enumerate() {
        folder.succeed(&format!("run in.npy {words} -o out.npz"));
        folder.succeed(&format!(
            "run in.npy {words} --stream --piece-bins 8 -o out{i} --report out.json"
        ));
        let right = peaks(&folder.path("out.npz"));
        let open = |name: &str| File::open(folder.path(&format!("out{i}/{name}.npy"))).expect(name);
        let offsets = Array1::<i64>::read_npy(open("peak_offsets")).expect("offsets");
        assert_eq!(offsets.to_vec(), right.offsets, "{words}");
        let coords = Array2::<i64>::read_npy(open("peak_coords")).expect("coords");
        assert_eq!(
            coords.iter().copied().collect::<Vec<_>>(),
            right.coords.as_flattened()
        );
        let heights = Array1::<f64>::read_npy(open("peak_heights")).expect("heights");
        assert_eq!(heights.to_vec(), right.heights, "{words}");
        let prominences = Array1::<f64>::read_npy(open("prominences")).expect("prominences");
        assert_eq!(prominences.to_vec(), right.prominences, "{words}");
        assert_eq!(folder.json("out.json")["run"]["listed_peaks"], right.len());
    }
}

/// Where the dominant peak is not listed, none is drawn as if it were.
#[test]
fn pictures_mark_no_other_peak_as_the_dominant_one() {
    let folder = Folder::new();
    // The highest hangs on a shoulder of its own, and has less reference prominence than the other.
    let p = Array3::from_shape_vec((7, 1, 1), vec![0.0, 8.0, 9.0, 8.5, 0.0, 5.0, 0.0]);
    folder.write("in.npy", &npy(p.expect("seven values").view(), PLAIN));
    let marks = |filter: &str| {
        folder.succeed(&format!("run in.npy --alpha 0.5 {filter} -o out.npz"));
        folder.succeed("picture in.npy out.npz --min-height 0 -o out.svg");
        folder.succeed("page in.npy out.npz --min-height 0 -o out.html");
        String::from_utf8(folder.read("out.svg"))
            .expect("text")
            .matches("#FF2D2D")
            .count()
    };
    let (all, one) = (marks(""), marks("--min-prominence 3"));
    assert_eq!(peaks(&folder.path("out.npz")).heights, [5.0]);
    assert_eq!(
        all - one,
        5,
        "a spot and four arms in the colour of the dominant peak"
    );
}

/// A peak beside a shoulder stands out of what is around it by little, and above the way to the higher one by much.
#[test]
fn pictures_read_the_prominence_that_is_named() {
    let folder = Folder::new();
    let p = Array3::from_shape_vec((7, 1, 1), vec![0.0, 9.0, 0.0, 4.0, 5.0, 4.9, 0.0]);
    folder.write("in.npy", &npy(p.expect("seven values").view(), PLAIN));
    let marked = |words: &str| {
        folder.succeed(&format!(
            "picture in.npy {words} --min-prominence 0.4 -o out.svg"
        ));
        folder.succeed(&format!(
            "page in.npy {words} --min-prominence 0.4 -o out.html"
        ));
        let svg = String::from_utf8(folder.read("out.svg")).expect("text");
        (
            svg.contains("1 of 2 peaks"),
            svg.contains("bin 0 · 2 peaks"),
        )
    };
    assert_eq!(marked(""), (true, false));
    assert_eq!(marked("--prominence reference"), (true, false));
    assert_eq!(marked("--prominence topographic"), (false, true));
    folder.succeed("run in.npy --alpha 0.5 --prominence topographic -o result.npz");
    assert_eq!(marked("result.npz"), (false, true));
    for (words, expected) in [
        ("result.npz --prominence topographic", "cannot be used with"),
        ("--prominence none", "reference, topographic"),
    ] {
        folder.fail(
            &format!("picture in.npy {words} -o new.svg"),
            2,
            &[expected],
        );
        folder.fail(&format!("page in.npy {words} -o new.html"), 2, &[expected]);
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(values().view(), PLAIN));
    for (words, expected) in [
        ("--highest 1 --most-prominent 1", "cannot be used with"),
        ("--highest=-1", "--highest"),
        ("--min-height nan", "a number such as 0.5"),
        ("--min-distance far", "a number such as 0.5"),
        (
            "--prominence none --min-prominence 1",
            "--min-prominence asks for prominences",
        ),
        (
            "--prominence none --most-prominent 1",
            "--most-prominent asks for prominences",
        ),
    ] {
        folder.fail(&format!("run in.npy {words} -o out.npz"), 2, &[expected]);
    }
}
