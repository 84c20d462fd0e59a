//! `peakmask summary`, and what `run` writes beside or instead of masks of bytes.

use std::str::FromStr;

use ndarray::{Array1, Array2, Array3, Array4, ArrayD, s};
use ndarray_npy::{ReadableElement, WritableElement, write_npy};

use crate::support::{Folder, PLAIN, npy, outcome, posterior};

const ALPHAS: &str = "--alpha 0.5 --alpha 0.9";

/// A folder with an input, and its masks in bytes.
fn analysed() -> (Folder, Array3<f64>, Array4<bool>) {
    let folder = Folder::new();
    let p = posterior::<f64>(9, 13, 70);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    folder.succeed(&format!("run in.npy {ALPHAS} -o bytes.npz"));
    let masks = folder.archive("bytes.npz").by_name("masks").expect("masks");
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
    let mut summary = folder.archive("summary.npz");
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
    let parquet = cfg!(feature = "parquet").then_some("parquet");
    for (ending, piece) in ["npz", "csv"]
        .into_iter()
        .chain(parquet)
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

/// Numbers of any size are read back to the bit, and have no more digits than that takes.
#[test]
fn tables_hold_small_and_large_numbers_exactly() {
    fn of_type<T>(p: Array3<T>)
    where
        T: ReadableElement + WritableElement + FromStr + PartialEq,
    {
        let folder = Folder::new();
        write_npy(folder.path("in.npy"), &p).expect("an input");
        for ending in ["npz", "csv"] {
            folder.succeed(&format!("summary in.npy --alpha 0.9 -o s.{ending}"));
        }
        let text = String::from_utf8(folder.read("s.csv")).expect("text");
        let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let names = rows.next().expect("a head");
        let rows: Vec<_> = rows.collect();
        let longest = rows.iter().flatten().map(|field| field.len()).max();
        assert!(longest <= Some(24), "{longest:?}");
        let mut archive = folder.archive("s.npz");
        let column = |name: &str| {
            let at = names.iter().position(|found| *found == name);
            let at = at.unwrap_or_else(|| panic!("{name} in {names:?}"));
            rows.iter().map(move |row| row[at])
        };
        for name in ["height", "prominence", "minimum", "threshold_0.9"] {
            let right: ArrayD<T> = archive
                .by_name(name.trim_end_matches("_0.9"))
                .expect("a column");
            let read = column(name).map(|field| field.parse::<T>().ok());
            assert!(right.into_iter().map(Some).eq(read), "{name}");
        }
        for name in ["total", "mass_0.9"] {
            let right: ArrayD<f64> = archive
                .by_name(name.trim_end_matches("_0.9"))
                .expect("a column");
            let read = column(name).map(|field| field.parse::<f64>().ok());
            assert!(right.into_iter().map(Some).eq(read), "{name}");
        }
    }
    // From the smallest numbers to large ones, with all digits in use.
    let values = |lowest: i32| {
        Array3::from_shape_fn((3, 4, 60), move |(x, y, t)| {
            let step = -lowest as usize * 2 / 64;
            f64::from(lowest + (t * step) as i32).exp2() * (1 + x * 4 + y) as f64 / 3.0
        })
    };
    of_type(values(-1070));
    of_type(values(-145).mapv(|value| value as f32));
}

#[test]
fn masks_in_other_forms_are_the_same_masks() {
    let (folder, _, masks) = analysed();
    folder.succeed(&format!("run in.npy {ALPHAS} --packed -o packed.npz"));
    let bits: Array4<u8> = folder
        .archive("packed.npz")
        .by_name("packed")
        .expect("bits");
    assert_eq!(bits.dim(), (2, 9, 13, 9));
    for ((level, x, y, t), &set) in masks.indexed_iter() {
        assert_eq!(bits[[level, x, y, t / 8]] >> (t % 8) & 1 != 0, set);
    }
    folder.succeed(&format!("run in.npy {ALPHAS} --masks sparse -o sparse.npz"));
    let mut sparse = folder.archive("sparse.npz");
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
        folder
            .archive("none.npz")
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
        &["summary.xlsx", ".npz, .csv or .parquet"],
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

/// Numbers of a `.csv`, which are those of the summary to the bit, against those of a `.parquet`.
#[cfg(feature = "parquet")]
#[test]
fn parquet_has_the_rows_of_the_csv() {
    use std::fs::File;
    use std::str::FromStr as _;

    use parquet::basic::{Repetition, Type};
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Field;

    let folder = Folder::new();
    folder.write("f64.npy", &npy(posterior::<f64>(9, 13, 70).view(), PLAIN));
    folder.write("f32.npy", &npy(posterior::<f32>(9, 13, 70).view(), PLAIN));
    folder.write("none.npy", &npy(posterior::<f64>(9, 13, 0).view(), PLAIN));
    // More than a row group.
    folder.write(
        "long.npy",
        &npy(posterior::<f32>(2, 2, 140_000).view(), PLAIN),
    );
    for (name, value, groups) in [
        ("f64", Type::DOUBLE, 1),
        ("f32", Type::FLOAT, 1),
        ("none", Type::DOUBLE, 0),
        ("long", Type::FLOAT, 2),
    ] {
        let levels = "--alpha 0.5 --alpha 0.5 --absolute 0.01 --coverage 0.5 --layout xyt";
        for ending in ["csv", "parquet"] {
            folder.succeed(&format!("summary {name}.npy {levels} -o {name}.{ending}"));
        }
        let text = String::from_utf8(folder.read(&format!("{name}.csv"))).expect("text");
        let mut lines = text.lines();
        let file = File::open(folder.path(&format!("{name}.parquet"))).expect("it is there");
        let reader = SerializedFileReader::new(file).expect("a file of Parquet");
        assert_eq!(reader.num_row_groups(), groups, "{name}");
        let schema = reader.metadata().file_metadata().schema_descr();
        let names: Vec<_> = schema
            .columns()
            .iter()
            .map(|column| column.name())
            .collect();
        assert_eq!(names.join(","), lines.next().expect("a head"));
        for column in schema.columns() {
            let expected = match column.name().split('_').next().expect("a name") {
                "height" | "prominence" | "highest" | "minimum" | "threshold" => value,
                "total" | "mass" | "centroid" => Type::DOUBLE,
                "live" | "border" => Type::BOOLEAN,
                _ => Type::INT64,
            };
            assert_eq!(
                column.physical_type(),
                expected,
                "{name}, {}",
                column.name()
            );
            assert_eq!(
                column.self_type().get_basic_info().repetition(),
                Repetition::REQUIRED
            );
        }
        let mut rows = 0;
        for (row, line) in reader.into_iter().zip(lines) {
            let row = row.expect("a row");
            rows += 1;
            for ((column, field), text) in row.get_column_iter().zip(line.split(',')) {
                let same = match field {
                    Field::Bool(value) => text == if *value { "1" } else { "0" },
                    Field::Long(value) => text == value.to_string(),
                    Field::Double(value) => {
                        let said = f64::from_str(text).expect("a number");
                        said.to_bits() == value.to_bits() || said.is_nan() && value.is_nan()
                    }
                    Field::Float(value) => {
                        let said = f32::from_str(text).expect("a number");
                        said.to_bits() == value.to_bits() || said.is_nan() && value.is_nan()
                    }
                    other => panic!("{column} holds {other}"),
                };
                assert!(same, "{name}, {column}: {field} is not {text}");
            }
        }
        assert_eq!(rows, text.lines().count() - 1, "{name}");
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_program_without_parquet_says_so() {
    let (folder, ..) = analysed();
    folder.write("other.npy", &folder.read("in.npy"));
    let before = folder.names();
    for command in [
        "summary in.npy -o summary.parquet",
        "summary in.npy -o summary --format parquet",
        "summary in.npy other.npy -o tables --format parquet",
        "run in.npy --alpha 0.5 --summary s.parquet -o out.npz",
        "run in.npy --alpha 0.5 --stream --summary s.parquet -o out",
    ] {
        folder.fail(
            command,
            2,
            &["without Parquet", ".npz or .csv", "--features parquet"],
        );
    }
    assert_eq!(folder.names(), before);
}

#[test]
fn several_inputs_have_a_table_each() {
    let folder = Folder::new();
    for (name, n_t) in [("a", 20), ("b", 30), ("d", 40)] {
        folder.write(
            &format!("{name}.npy"),
            &npy(posterior::<f64>(5, 8, n_t).view(), PLAIN),
        );
    }
    folder.write("c.npy", b"no array");
    let parquet = cfg!(feature = "parquet").then_some(("--format parquet", "parquet"));
    for (format, ending) in [("", "npz"), ("--format csv", "csv")]
        .into_iter()
        .chain(parquet)
    {
        let out = format!("in_{ending}");
        let end = outcome(folder.command(&format!(
            "summary a.npy b.npy c.npy gone.npy d.npy --alpha 0.5 -o {out} {format}"
        )));
        assert_eq!(end.code, Some(2), "{}", end.stderr);
        end.said(&[
            "a.npy: 20 time bins",
            "b.npy: 30 time bins",
            "error: c.npy: ",
            "error: gone.npy: ",
            "d.npy: 40 time bins",
            "error: 2 of 5 inputs could not be analysed",
        ]);
        let mut names: Vec<_> = std::fs::read_dir(folder.path(&out))
            .expect("the folder")
            .flatten()
            .map(|entry| entry.file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["a", "b", "d"].map(|name| format!("{name}.{ending}"))
        );
        folder.succeed(&format!("summary b.npy --alpha 0.5 -o alone.{ending}"));
        assert_eq!(
            folder.read(&format!("{out}/b.{ending}")),
            folder.read(&format!("alone.{ending}"))
        );
    }
    // The kind that is asked for, whatever the name says.
    folder.succeed("summary b.npy --alpha 0.5 -o named --format csv");
    assert_eq!(folder.read("named"), folder.read("alone.csv"));
    folder.fail("summary a.npy ./a.npy -o other", 2, &["have one name"]);
    folder.fail(
        "summary a.npy b.npy -o c.npy",
        1,
        &["c.npy: is to be a folder"],
    );
}

#[test]
fn a_stream_whose_summary_has_no_place_does_not_begin() {
    let (folder, ..) = analysed();
    let before = folder.names();
    for (option, name) in [("--summary", "gone/s.npz"), ("--report", "gone/r.json")] {
        folder.fail(
            &format!("run in.npy --alpha 0.5 --stream {option} {name} -o out"),
            1,
            &[name, "cannot be written"],
        );
    }
    folder.fail(
        "run in.npy --alpha 0.5 --stream --summary s.xlsx -o out",
        2,
        &["s.xlsx", "no kind of table"],
    );
    assert_eq!(
        folder.names(),
        before,
        "not even the folder of an unfinished run"
    );
}
