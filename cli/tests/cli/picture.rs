//! `peakmask picture`.

use ndarray::Array3;

use crate::support::{Folder, PLAIN, header, npy, npy_bytes, npz, pixels, png_size, posterior};

#[test]
fn a_result_and_a_fresh_analysis_give_the_same_picture() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f32>(12, 9, 50).view(), PLAIN));
    folder.succeed("run in.npy --alpha 0.5 --alpha 0.9 -o out.npz --picture run.png");
    folder.succeed("picture in.npy out.npz -o result.png");
    folder.succeed("picture in.npy -o fresh.png");
    assert_eq!(folder.read("run.png"), folder.read("fresh.png"));
    assert_eq!(folder.read("result.png"), folder.read("fresh.png"));
    folder.succeed("picture in.npy -o other.png --alpha 0.2 --connectivity 8");
    assert_ne!(folder.read("other.png"), folder.read("fresh.png"));
    folder.succeed("picture in.npy out.npz --bins 3,0,49 -o result.png");
    folder.succeed("picture in.npy --bins 3,0,49 -o fresh.png");
    assert_eq!(folder.read("result.png"), folder.read("fresh.png"));
}

#[test]
fn a_repacked_result_is_read_too() {
    use std::io::Read as _;
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(6, 9, 30).view(), PLAIN));
    folder.succeed("run in.npy --alpha 0.5 -o out.npz --picture run.png");
    let mut archive =
        zip::ZipArchive::new(std::io::Cursor::new(folder.read("out.npz"))).expect("an archive");
    let members: Vec<(String, Vec<u8>)> = (0..archive.len())
        .map(|i| {
            let mut member = archive.by_index(i).expect("a member");
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).expect("bytes");
            (
                member
                    .name()
                    .expect("a name")
                    .trim_end_matches(".npy")
                    .to_owned(),
                bytes,
            )
        })
        .collect();
    let members: Vec<(&str, &[u8])> = members
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    folder.write("packed.npz", &npz(&members, true));
    folder.succeed("picture in.npy packed.npz -o out.png");
    assert_eq!(folder.read("out.png"), folder.read("run.png"));
}

#[test]
fn results_of_other_inputs_are_refused() {
    let folder = Folder::new();
    let p = posterior::<f64>(6, 9, 30);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    folder.write("other.npy", &npy(p.mapv(|v| v * 2.0).view(), PLAIN));
    folder.write("single.npy", &npy(p.mapv(|v| v as f32).view(), PLAIN));
    folder.succeed("run other.npy --alpha 0.5 -o other.npz");
    folder.succeed("run single.npy --alpha 0.5 -o single.npz");
    folder.succeed("run in.npy --alpha 0.5 --bins 0:20 -o part.npz");
    for (result, words) in [
        (
            "other.npz",
            "is not a result of `peakmask run` on this input",
        ),
        ("single.npz", "holds float32 values"),
        ("part.npz", "(1, 6, 9, 20)"),
        ("in.npy", "is not a result of `peakmask run`"),
        ("missing.npz", "no such file"),
    ] {
        folder.fail(&format!("picture in.npy {result} -o out.png"), 2, &[words]);
    }
    folder.fail(
        "picture in.npy other.npz --alpha 0.5 -o out.png",
        2,
        &["cannot be used with"],
    );
    let alpha = npy_bytes(
        1,
        0,
        &header("'<f8'", false, "(1,)"),
        &0.5_f64.to_le_bytes(),
    );
    folder.write("bare.npz", &npz(&[("alpha", &alpha)], false));
    folder.fail(
        "picture in.npy bare.npz -o out.png",
        2,
        &["has no array 'masks'"],
    );
}

#[test]
fn results_with_wild_numbers_are_refused() {
    let folder = Folder::new();
    folder.write(
        "in.npy",
        &npy(
            Array3::from_shape_fn((2, 2, 1), |(x, y, _)| (x * 2 + y) as f64).view(),
            PLAIN,
        ),
    );
    let array = |descr: &str, shape: &str, bytes: &[u8]| {
        npy_bytes(1, 0, &header(descr, false, shape), bytes)
    };
    let words = |values: &[i64]| {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    for (offsets, coords) in [
        (vec![0, i64::MAX], vec![1, 1]),
        (vec![-1, 1], vec![1, 1]),
        (vec![1, 0], vec![1, 1]),
        (vec![0, 1], vec![i64::MAX, 1]),
        (vec![0, 1], vec![-1, -1]),
        (vec![0, 1, 1], vec![1, 1]),
    ] {
        let members = [
            ("masks", array("'|b1'", "(1, 2, 2, 1)", &[0, 0, 0, 1])),
            ("alpha", array("'<f8'", "(1,)", &0.5_f64.to_le_bytes())),
            (
                "peak_offsets",
                array("'<i8'", &format!("({},)", offsets.len()), &words(&offsets)),
            ),
            ("peak_coords", array("'<i8'", "(1, 2)", &words(&coords))),
            (
                "peak_heights",
                array("'<f8'", "(1,)", &3.0_f64.to_le_bytes()),
            ),
            (
                "prominences",
                array("'<f8'", "(1,)", &1.0_f64.to_le_bytes()),
            ),
        ];
        let members: Vec<(&str, &[u8])> = members
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_slice()))
            .collect();
        folder.write("wild.npz", &npz(&members, false));
        folder.fail(
            "picture in.npy wild.npz -o out.png",
            2,
            &["is not a result of `peakmask run` on this input"],
        );
    }
}

#[test]
fn maps_of_every_kind_are_drawn() {
    let folder = Folder::new();
    for (shape, bins) in [
        ((1, 1, 3), ""),
        ((1, 80, 9), ""),
        ((80, 1, 9), ""),
        (
            (3, 2, 24),
            "--bins 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23",
        ),
        ((41, 63, 12), "--bins 7"),
        ((300, 2, 2), ""),
        ((1000, 1000, 1), ""),
        ((7, 2500, 2), ""),
    ] {
        let (n_x, n_y, n_t) = shape;
        folder.write(
            "in.npy",
            &npy(posterior::<f32>(n_x, n_y, n_t).view(), PLAIN),
        );
        folder.succeed(&format!(
            "picture in.npy {bins} --alpha 0.5 --alpha 0.9 --alpha nan -o out.png"
        ));
        let (width, height) = png_size(&folder.read("out.png"));
        assert!(
            (300..6000).contains(&width) && (200..6000).contains(&height),
            "{shape:?}: {width} x {height}"
        );
    }
}

#[test]
fn bins_without_peaks_are_drawn() {
    let folder = Folder::new();
    for value in [0.0, 0.25, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        folder.write(
            "in.npy",
            &npy(Array3::from_elem((6, 5, 2), value).view(), PLAIN),
        );
        folder.succeed("picture in.npy -o out.png");
    }
    let grey = [0x9A; 3];
    let (_, _, rgb) = pixels(&{
        folder.write(
            "in.npy",
            &npy(Array3::from_elem((6, 5, 1), f64::NAN).view(), PLAIN),
        );
        folder.succeed("picture in.npy -o out.png");
        folder.read("out.png")
    });
    let (drawn, _) = rgb.as_chunks::<3>();
    assert!(
        drawn.iter().filter(|&&pixel| pixel == grey).count() > 50_000,
        "NaN cells are grey"
    );
}

#[test]
fn no_bins_make_no_picture() {
    let folder = Folder::new();
    folder.write(
        "in.npy",
        &npy(Array3::<f64>::zeros((3, 3, 0)).view(), PLAIN),
    );
    folder.fail(
        "picture in.npy -o out.png",
        2,
        &["there is no time bin to draw"],
    );
    folder.fail(
        "run in.npy -o out.npz --picture out.png",
        2,
        &["there is no time bin to draw"],
    );
}

#[test]
fn too_many_panels_are_refused() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f32>(20, 20, 1).view(), PLAIN));
    let bins = vec!["0"; 2000].join(",");
    folder.fail(
        &format!("picture in.npy --bins {bins} -o out.png"),
        2,
        &["draw fewer with --bins"],
    );
}

#[test]
fn marks_and_colours_are_chosen() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(12, 9, 50).view(), PLAIN));
    let picture = |options: &str| {
        folder.succeed(&format!(
            "picture in.npy --bins 1,2,3,4 {options} -o out.png"
        ));
        folder.read("out.png")
    };
    let plain = picture("");
    for same in ["--min-height 0.05", "--min-prominence 0", "--scale linear"] {
        assert!(plain == picture(same), "{same}");
    }
    for other in [
        "--min-height 0",
        "--min-height 0.9",
        "--min-prominence 0.5",
        "--top 1",
        "--scale sqrt",
        "--scale log",
        "--shared",
        "--vmin -1",
        "--vmax 0.5",
    ] {
        assert!(plain != picture(other), "{other}");
    }
    for (options, words) in [
        ("--scale log --vmax -1", "--scale log needs values above 0"),
        ("--vmin 2 --vmax 1", "give --vmin and --vmax in this order"),
        ("--min-height 5", "a share is a number from 0 to 1"),
        ("--scale cubic", "possible values: linear, sqrt, log"),
    ] {
        folder.fail(
            &format!("picture in.npy --bins 1 {options} -o no.png"),
            2,
            &[words],
        );
    }
}

#[test]
fn more_peaks_are_marked_by_lower_shares() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(41, 63, 3).view(), PLAIN));
    let white = |share: &str| {
        folder.succeed(&format!(
            "picture in.npy --bins 1 --alpha 2 --min-height {share} -o out.png"
        ));
        let (_, _, rgb) = pixels(&folder.read("out.png"));
        let (drawn, _) = rgb.as_chunks::<3>();
        drawn.iter().filter(|&&pixel| pixel == [0xFF; 3]).count()
    };
    let counts = ["0", "0.1", "0.3"].map(white);
    assert!(counts.is_sorted_by(|a, b| a > b), "{counts:?}");
}

#[test]
fn a_picture_is_stored_as_svg_too() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(12, 9, 50).view(), PLAIN));
    folder.succeed("picture in.npy --bins 1,2 --alpha 0.5 -o out.svg");
    folder.succeed("run in.npy --alpha 0.5 -o out.npz --picture run.svg");
    for name in ["out.svg", "run.svg"] {
        let text = String::from_utf8(folder.read(name)).expect("text");
        assert!(
            text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"),
            "{name}"
        );
        for part in ["mask, alpha 0.5", "bin ", "<rect ", "<polyline "] {
            assert!(text.contains(part), "{name}: {part}");
        }
        assert!(!text.contains("<image"), "cells are shapes");
        assert!(text.len() < 2_000_000, "{name}: {} bytes", text.len());
    }
    folder.fail(
        "picture in.npy -o out.eps",
        2,
        &["a picture is a .png, .svg or .pdf file, not .eps"],
    );
    folder.fail("run in.npy -o no.npz --picture out.jpg", 2, &["not .jpg"]);
}

/// What is drawn on a page of PDF, as its operators.
fn content(pdf: &[u8]) -> String {
    let find = |from: usize, word: &[u8]| {
        let found = pdf[from..]
            .windows(word.len())
            .position(|part| part == word);
        from + found.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(word)))
    };
    let start = find(0, b"stream\n") + 7;
    let end = find(start, b"\nendstream");
    let mut text = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::ZlibDecoder::new(&pdf[start..end]),
        &mut text,
    )
    .expect("it inflates");
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_picture_is_stored_as_pdf_too() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(12, 9, 50).view(), PLAIN));
    folder.succeed("picture in.npy --bins 1,2 --alpha 0.5 -o out.svg");
    folder.succeed("picture in.npy --bins 1,2 --alpha 0.5 -o out.pdf");
    folder.succeed("run in.npy --alpha 0.5 -o out.npz --picture run.pdf");
    let pdf = folder.read("out.pdf");
    assert_eq!(pdf, {
        folder.succeed("picture in.npy --bins 1,2 --alpha 0.5 -o again.pdf");
        folder.read("again.pdf")
    });
    for bytes in [&pdf, &folder.read("run.pdf")] {
        assert!(bytes.starts_with(b"%PDF-") && bytes.trim_ascii_end().ends_with(b"%%EOF"));
        assert!(bytes.len() < 500_000, "{} bytes", bytes.len());
    }
    // Shape for shape what the SVG has, and its words as words.
    let svg = String::from_utf8(folder.read("out.svg")).expect("text");
    let drawn = content(&pdf);
    let operators = |operator: &str| {
        drawn
            .lines()
            .filter(|line| line.ends_with(operator))
            .count()
    };
    for (tag, operator) in [("<rect ", " re"), ("<text ", " Tj"), ("<circle ", "h")] {
        assert_eq!(svg.matches(tag).count(), operators(operator), "{tag}");
    }
    for part in ["/FontFile2", "/ToUnicode"] {
        assert!(
            pdf.windows(part.len())
                .any(|found| found == part.as_bytes()),
            "{part}"
        );
    }
}

#[test]
fn the_path_of_the_animal_lies_over_the_map() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(12, 9, 50).view(), PLAIN));
    let path = |rows: usize| {
        let place = |i: usize| (1.0 + (i / 2) as f64 / 10.0 + (i % 2) as f64).to_le_bytes();
        let data: Vec<u8> = (0..2 * rows).flat_map(place).collect();
        npy_bytes(
            1,
            0,
            &header("'<f8'", false, &format!("({rows}, 2)")),
            &data,
        )
    };
    folder.write("path.npy", &path(50));
    let cyan = |options: &str| {
        cyan_of(
            &folder,
            &format!("picture in.npy --bins 30 {options} -o out.png"),
        )
    };
    assert_eq!(cyan(""), 0);
    assert!(
        cyan("--path path.npy") > 100,
        "on the map and in the legend"
    );
    for ending in ["svg", "pdf"] {
        folder.succeed(&format!("picture in.npy --path path.npy -o out.{ending}"));
    }
    let page = |name: &str, options: &str| {
        folder.succeed(&format!("page in.npy --bins 5:15 {options} -o {name}"));
        String::from_utf8(folder.read(name)).expect("text")
    };
    assert!(page("without.html", "").contains("\"path\":null"));
    // x of time bin 5 is 1.5, y 2.5.
    assert!(page("with.html", "--path path.npy").contains("\"path\":\"AADAPwAAIE"));
    folder.write("short.npy", &path(49));
    folder.write(
        "whole.npy",
        &npy_bytes(1, 0, &header("'<i8'", false, "(50, 2)"), &[0; 800]),
    );
    for (name, words) in [
        (
            "short",
            "has shape (49, 2), but 50 time bins need x and y each: (50, 2)",
        ),
        ("whole", "places are float64 or float32, in cells"),
        ("none", "none.npy"),
    ] {
        for command in ["picture in.npy -o no.png", "page in.npy -o no.html"] {
            folder.fail(&format!("{command} --path {name}.npy"), 2, &[words]);
        }
    }
    // Of a linear track, one coordinate is enough.
    folder.write("in.npy", &npy(posterior::<f32>(1, 30, 8).view(), PLAIN));
    let places: Vec<u8> = (0..8).flat_map(|t| (t as f32).to_be_bytes()).collect();
    folder.write(
        "track.npy",
        &npy_bytes(1, 0, &header("'>f4'", false, "(8,)"), &places),
    );
    assert!(
        cyan_of(
            &folder,
            "picture in.npy --bins 4 --path track.npy -o out.png"
        ) > 100
    );
}

/// Pixels in the animal's colour.
fn cyan_of(folder: &Folder, words: &str) -> usize {
    folder.succeed(words);
    let (_, _, rgb) = pixels(&folder.read("out.png"));
    let (drawn, _) = rgb.as_chunks::<3>();
    drawn
        .iter()
        .filter(|&&pixel| pixel == [0, 0xE5, 0xFF])
        .count()
}
