//! `peakmask summary`, and what `run` writes beside or instead of masks of bytes.

use std::fs::File;

use ndarray::{Array1, Array2, Array3, Array4, s};
use ndarray_npy::NpzReader;

use crate::support::{Folder, PLAIN, npy, posterior};

const ALPHAS: &str = "--alpha 0.5 --alpha 0.9";

fn archive(folder: &Folder, name: &str) -> NpzReader<File> {
    NpzReader::new(File::open(folder.path(name)).expect("it is there")).expect("an archive")
}

/// A folder with an input, and its masks in bytes.
fn analysed() -> (Folder, Array3<f64>, Array4<bool>) {
    let folder = Folder::new();
    let p = posterior::<f64>(9, 13, 70);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    folder.succeed(&format!("run in.npy {ALPHAS} -o bytes.npz"));
    let masks = archive(&folder, "bytes.npz")
        .by_name("masks")
        .expect("masks");
    (folder, p, masks)
}

#[test]
fn a_summary_says_what_masks_say() {
    let (folder, p, masks) = analysed();
    folder.succeed(&format!("summary in.npy {ALPHAS} -o summary.npz"));
    folder.succeed(&format!(
        "run in.npy {ALPHAS} --summary beside.npz --packed -o packed.npz"
    ));
    assert_eq!(folder.read("summary.npz"), folder.read("beside.npz"));
    let mut summary = archive(&folder, "summary.npz");
    let area: Array2<i64> = summary.by_name("area").expect("areas");
    let overlap: Array2<i64> = summary.by_name("overlap").expect("overlaps");
    let total: Array1<f64> = summary.by_name("total").expect("totals");
    let sums: Array3<i64> = summary.by_name("sums").expect("sums");
    let alpha: Array1<f64> = summary.by_name("alpha").expect("alphas");
    assert_eq!(alpha.to_vec(), [0.5, 0.9]);
    for level in 0..2 {
        for t in 0..70 {
            let mask = masks.slice(s![level, .., .., t]);
            let cells = || {
                mask.indexed_iter()
                    .filter(|(_, set)| **set)
                    .map(|(cell, _)| cell)
            };
            assert_eq!(area[[level, t]], cells().count() as i64);
            assert_eq!(
                sums[[level, t, 0]],
                cells().map(|(x, _)| x as i64).sum::<i64>()
            );
            assert_eq!(
                sums[[level, t, 1]],
                cells().map(|(_, y)| y as i64).sum::<i64>()
            );
            let both = match t < 69 {
                true => cells()
                    .filter(|&(x, y)| masks[[level, x, y, t + 1]])
                    .count() as i64,
                false => -1,
            };
            assert_eq!(overlap[[level, t]], both);
        }
    }
    for (t, &total) in total.iter().enumerate() {
        let sum = p.slice(s![.., .., t]).iter().fold(0.0, |sum, v| sum + v);
        assert!(total.to_bits() == sum.to_bits() || total.is_nan() && sum.is_nan());
    }
}

#[test]
fn a_stream_summarises_like_a_run_in_memory() {
    let (folder, ..) = analysed();
    for (ending, piece) in ["npz", "csv"]
        .into_iter()
        .flat_map(|ending| [(ending, 8), (ending, 64)])
    {
        folder.succeed(&format!("summary in.npy {ALPHAS} -o whole.{ending}"));
        folder.succeed(&format!(
            "run in.npy {ALPHAS} --stream --masks none --piece-bins {piece} --summary pieces.{ending} -o out"
        ));
        let file = |name: &str| folder.read(&format!("{name}.{ending}"));
        assert!(file("whole") == file("pieces"), "{ending}, {piece}");
        let names: Vec<_> = std::fs::read_dir(folder.path("out"))
            .expect("the folder")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(names.len(), 5, "alpha and columns of peaks: {names:?}");
        std::fs::remove_dir_all(folder.path("out")).expect("the folder goes");
    }
}

#[test]
fn a_table_has_a_row_for_each_bin() {
    let (folder, _, masks) = analysed();
    folder.succeed(&format!("summary in.npy {ALPHAS} -o summary.csv"));
    let text = String::from_utf8(folder.read("summary.csv")).expect("text");
    let mut lines = text.lines();
    let names: Vec<_> = lines.next().expect("a head").split(',').collect();
    assert!(
        names.starts_with(&["bin", "live", "dominant_x", "dominant_y"]),
        "{names:?}"
    );
    let area = names
        .iter()
        .position(|&name| name == "area_0.9")
        .expect("areas");
    for (t, line) in lines.enumerate() {
        let fields: Vec<_> = line.split(',').collect();
        assert_eq!(
            (fields.len(), fields[0]),
            (names.len(), t.to_string().as_str())
        );
        let cells = masks
            .slice(s![1, .., .., t])
            .iter()
            .filter(|&&set| set)
            .count();
        assert_eq!(fields[area], cells.to_string(), "bin {t}");
    }
    assert_eq!(text.lines().count(), 71);
}

#[test]
fn masks_in_other_forms_are_the_same_masks() {
    let (folder, _, masks) = analysed();
    folder.succeed(&format!("run in.npy {ALPHAS} --packed -o packed.npz"));
    let bits: Array4<u8> = archive(&folder, "packed.npz")
        .by_name("packed")
        .expect("bits");
    assert_eq!(bits.dim(), (2, 9, 13, 9));
    for ((level, x, y, t), &set) in masks.indexed_iter() {
        assert_eq!(bits[[level, x, y, t / 8]] >> (t % 8) & 1 != 0, set);
    }
    folder.succeed(&format!("run in.npy {ALPHAS} --masks sparse -o sparse.npz"));
    let mut sparse = archive(&folder, "sparse.npz");
    for level in 0..2 {
        let offsets: Array1<i64> = sparse
            .by_name(&format!("mask_offsets_{level}"))
            .expect("offsets");
        let cells: Array1<u32> = sparse
            .by_name(&format!("mask_cells_{level}"))
            .expect("cells");
        for t in 0..70 {
            let listed = cells.slice(s![offsets[t] as usize..offsets[t + 1] as usize]);
            let mask = masks.slice(s![level, .., .., t]);
            let expected = mask
                .iter()
                .enumerate()
                .filter_map(|(cell, &set)| set.then_some(cell as u32));
            assert!(
                listed.iter().copied().eq(expected),
                "level {level}, bin {t}"
            );
        }
    }
    folder.succeed(&format!("run in.npy {ALPHAS} --masks none -o none.npz"));
    assert!(
        archive(&folder, "none.npz")
            .by_name::<ndarray::OwnedRepr<bool>, ndarray::Ix4>("masks")
            .is_err()
    );
}

#[test]
fn what_cannot_be_written_is_refused() {
    let (folder, ..) = analysed();
    folder.fail(
        "summary in.npy -o summary.xlsx",
        2,
        &["summary.xlsx", ".npz or .csv"],
    );
    folder.fail(
        "run in.npy --alpha 0.5 --packed --picture p.png -o out.npz",
        2,
        &["--picture", "packed"],
    );
    folder.fail(
        "run in.npy --alpha 0.5 --packed --masks sparse -o out.npz",
        2,
        &["--packed"],
    );
    folder.fail("run in.npy --alpha 0.5", 2, &["--output"]);
    folder.fail(
        "run in.npy --alpha 0.5 --masks sparse --stream -o out",
        2,
        &["--stream", "bytes, packed, or none"],
    );
    folder.fail(
        "run in.npy in.npy --alpha 0.5 --summary s.csv -o out",
        2,
        &["--summary"],
    );
    assert_eq!(folder.names(), ["bytes.npz", "in.npy"]);
}
