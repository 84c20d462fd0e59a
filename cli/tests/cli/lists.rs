//! Saddles, parents and regions of listed peaks.

use ndarray::{Array1, Array2, Array3, Axis};
use ndarray_npy::write_npy;
use peakmask::{Connectivity, NanPolicy, Options, PeakFilter, Regions, analyze, regions, saddles};

use crate::support::{Folder, PLAIN, npy, posterior};

const ALPHAS: [f64; 2] = [0.5, 0.9];
const WORDS: &str = "--saddles --peak-regions 0.5 --peak-regions 0.9";

/// A column of regions under its name in the archive.
type Named = (&'static str, fn(&Regions) -> &Vec<i64>);

fn rows<V: Copy, const N: usize>(array: &Array2<V>) -> Vec<[V; N]> {
    let rows = array.rows().into_iter();
    rows.map(|row| std::array::from_fn(|i| row[i])).collect()
}

/// Compares an archive with what the library finds for the peaks that a filter leaves.
fn compare(folder: &Folder, p: &Array3<f64>, options: &Options, filter: &PeakFilter) -> usize {
    let peaks = analyze(p.view(), options).expect("a result").peaks;
    let peaks = peaks.filtered(filter);
    let mut file = folder.archive("out.npz");
    let right = saddles(p.view(), &peaks, options).expect("saddles");
    for (name, cells) in [
        ("saddle_coords", &right.cells),
        ("parent_coords", &right.parent_cells),
    ] {
        let found: Array2<i64> = file.by_name(name).expect("positions");
        assert_eq!(&rows(&found), cells, "{name}");
    }
    for (name, column) in [
        ("saddle_heights", &right.heights),
        ("topographic_prominences", &right.prominences),
    ] {
        let found: Array1<f64> = file.by_name(name).expect("a column");
        assert_eq!(&found.to_vec(), column, "{name}");
    }
    let parents: Array1<i64> = file.by_name("peak_parents").expect("parents");
    assert_eq!(parents.to_vec(), right.parents);

    let all = regions(p.view(), &peaks, &ALPHAS, options, false).expect("regions");
    let alphas: Array1<f64> = file.by_name("region_alpha").expect("alphas");
    assert_eq!(alphas.to_vec(), ALPHAS);
    let columns: [Named; 4] = [
        ("region_areas", |right| &right.areas),
        ("region_border_distances", |right| &right.border_distances),
        ("region_overlaps", |right| &right.overlaps),
        ("region_holders", |right| &right.holders),
    ];
    for (name, column) in columns {
        let found: Array2<i64> = file.by_name(name).expect("a column");
        assert_eq!(found.dim(), (ALPHAS.len(), peaks.len()), "{name}");
        for (found, right) in found.rows().into_iter().zip(&all) {
            assert_eq!(&found.to_vec(), column(right), "{name}");
        }
    }
    let boxes: Array3<i64> = file.by_name("region_boxes").expect("boxes");
    let centres: Array3<f64> = file.by_name("region_centres").expect("centres");
    for (i, right) in all.iter().enumerate() {
        assert_eq!(rows(&boxes.index_axis(Axis(0), i).to_owned()), right.boxes);
        let found = centres.index_axis(Axis(0), i).to_owned();
        assert_eq!(rows(&found), right.centres);
    }
    peaks.len()
}

#[test]
fn they_are_those_of_the_library_for_the_listed_peaks() {
    let folder = Folder::new();
    let p = posterior::<f64>(9, 13, 60);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let options = Options::new();
    folder.succeed(&format!("run in.npy {WORDS} -o out.npz"));
    let all = compare(&folder, &p, &options, &PeakFilter::new());
    folder.succeed(&format!("run in.npy {WORDS} --highest 2 -o out.npz"));
    let few = compare(&folder, &p, &options, &PeakFilter::new().highest(2));
    assert!(0 < few && few < all, "{few} of {all}");
    folder.succeed(&format!(
        "run in.npy {WORDS} --nan off_track --connectivity 8 --prominence none -o out.npz"
    ));
    let options = options
        .nan_policy(NanPolicy::OffTrack)
        .connectivity(Connectivity::Eight);
    compare(&folder, &p, &options, &PeakFilter::new());
}

#[test]
fn on_a_track_positions_are_x_alone() {
    let folder = Folder::new();
    let map = [0.0, 5.0, 2.0, 3.0, 1.0, 9.0, 0.0];
    let map = Array2::from_shape_vec((7, 1), map.to_vec()).expect("a track");
    write_npy(folder.path("in.npy"), &map).expect("a file");
    folder.succeed(
        "run in.npy --layout xt --saddles --peak-regions 0.3 --peak-regions 0.5 -o out.npz",
    );
    let mut file = folder.archive("out.npz");
    let mut positions = |name: &str| -> Array2<i64> { file.by_name(name).expect("positions") };
    assert_eq!(positions("saddle_coords"), ndarray::arr2(&[[4], [2], [-1]]));
    assert_eq!(positions("parent_coords"), ndarray::arr2(&[[5], [1], [-1]]));
    let boxes: Array3<i64> = file.by_name("region_boxes").expect("boxes");
    let right = ndarray::arr3(&[[[1, 3], [1, 5], [5, 5]], [[1, 1], [1, 3], [5, 5]]]);
    assert_eq!(boxes, right);
    let centres: Array3<f64> = file.by_name("region_centres").expect("centres");
    assert_eq!(centres[[0, 0, 0]], 2.0);
    assert_eq!(centres.dim(), (2, 3, 1));
}

#[test]
fn a_plain_archive_has_none() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(4, 5, 6).view(), PLAIN));
    folder.succeed("run in.npy -o out.npz");
    let names = folder.archive("out.npz").names().expect("names");
    let more = |name: &String| name.starts_with("saddle") || name.starts_with("region_");
    assert!(!names.iter().any(more), "{names:?}");
}

#[test]
fn streams_and_too_little_memory_are_refused() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(20, 30, 100).view(), PLAIN));
    for option in ["--saddles", "--peak-regions 0.5"] {
        let name = option.split(' ').next().expect("a name");
        let said = format!("{name} is written into an archive, and --stream writes none");
        folder.fail(&format!("run in.npy {option} --stream -o out"), 2, &[&said]);
    }
    // The analysis fits, and what comes beside it does not: that is known before.
    let run = "run in.npy --threads 1 --memory-limit 32MiB";
    folder.succeed(&format!("{run} --saddles --peak-regions 0.5 -o fits.npz"));
    let many = "--peak-regions 0.5 ".repeat(500);
    for (options, names) in [
        (many.clone(), "; columns of --peak-regions take"),
        (
            format!("--saddles {many}"),
            "; columns of --saddles and --peak-regions take",
        ),
    ] {
        let said = ["analysing 100 time bins needs", names, "--bins"];
        folder.fail(&format!("{run} {options}-o out.npz"), 3, &said);
    }
    // Fewer are planned for where filters leave fewer.
    folder.succeed(&format!("{run} {many}--highest 1 -o few.npz"));
    assert_eq!(folder.names(), ["few.npz", "fits.npz", "in.npy"]);
}

/// More peaks than a plan assumes are refused when they are known.
#[test]
fn columns_of_more_peaks_than_assumed_are_refused_when_they_are_found() {
    let folder = Folder::new();
    // Half of all cells are peaks.
    let p = Array3::from_shape_fn((20, 30, 100), |(x, y, _)| (x * y % 2) as f64);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let run = "run in.npy --threads 1 --memory-limit 24MiB";
    folder.succeed(&format!("{run} -o fits.npz"));
    let many = "--peak-regions 0.5 ".repeat(10);
    let said = ["--peak-regions needs", "--bins"];
    folder.fail(&format!("{run} {many}-o out.npz"), 3, &said);
    assert_eq!(folder.names(), ["fits.npz", "in.npy"]);
}
