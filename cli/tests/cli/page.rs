//! `peakmask page`.

use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ndarray::{Array3, s};
use serde_json::Value;

use crate::support::{Folder, PLAIN, expected, npy, posterior};

/// The data of a page.
fn data(folder: &Folder, name: &str) -> Value {
    let text = String::from_utf8(folder.read(name)).expect("text");
    let start = text.find("id=\"data\">").expect("the data") + 10;
    let end = start + text[start..].find("</script>").expect("an end");
    serde_json::from_str(&text[start..end]).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64_STANDARD
        .decode(value.as_str().expect("text"))
        .expect("base64")
}

fn words(value: &Value) -> Vec<u32> {
    let bytes = bytes(value);
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    words.iter().map(|&word| u32::from_le_bytes(word)).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    let bytes = bytes(value);
    let (numbers, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty());
    numbers
        .iter()
        .map(|&number| f64::from_le_bytes(number))
        .collect()
}

/// Of each block its bytes.
fn blocks(data: &Value) -> Vec<Vec<u8>> {
    let unpack = |block: &Value| {
        let packed = bytes(block);
        let mut plain = Vec::new();
        flate2::read::ZlibDecoder::new(packed.as_slice())
            .read_to_end(&mut plain)
            .expect("a whole block");
        plain
    };
    let blocks = data["blocks"].as_array().expect("blocks");
    blocks.iter().map(unpack).collect()
}

#[test]
fn a_page_holds_masks_peaks_and_values() {
    let folder = Folder::new();
    let (n_x, n_y, n_t) = (6, 7, 150);
    let p = posterior::<f64>(n_x, n_y, n_t);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    folder.succeed("page in.npy --alpha 0.5 --alpha 0.9 --min-height 0 -o page.html");
    let analysis = expected(p.view(), &[0.5, 0.9]);
    let data = data(&folder, "page.html");
    assert_eq!(data["shape"], serde_json::json!([n_x, n_y, n_t]));
    assert_eq!(
        (&data["title"], &data["connectivity"]),
        (&"in.npy".into(), &"4".into())
    );
    assert_eq!(
        (data["bins"].is_null(), &data["steps"]),
        (true, &255.into())
    );
    let offsets = words(&data["offsets"]);
    let all: Vec<u32> = analysis
        .peaks
        .offsets
        .iter()
        .map(|&row| row as u32)
        .collect();
    assert_eq!(offsets, all, "all peaks are marked");
    let (low, high) = (floats(&data["low"]), floats(&data["high"]));
    let cells = n_x * n_y;
    let mut t = 0;
    for block in blocks(&data) {
        let n = (n_t - t).min(64);
        let rows = (offsets[t + n] - offsets[t]) as usize;
        let mask_bytes = cells.div_ceil(8);
        assert_eq!(block.len(), n * (cells + 2 * mask_bytes) + 12 * rows);
        for i in 0..n {
            let map = p.slice(s![.., .., t + i]);
            for (&value, &step) in map.iter().zip(&block[i * cells..]) {
                if value.is_nan() {
                    assert_eq!(step, 255);
                } else if value.is_finite() {
                    let width = high[t + i] - low[t + i];
                    let share = if width > 0.0 {
                        (value - low[t + i]) / width
                    } else {
                        0.0
                    };
                    assert!((f64::from(step) - 254.0 * share.sqrt()).abs() < 0.5001);
                }
            }
            for (level, mask) in analysis.masks.iter().enumerate() {
                let bits = &block[n * cells + (2 * i + level) * mask_bytes..];
                for (cell, &inside) in mask.slice(s![.., .., t + i]).iter().enumerate() {
                    assert_eq!(bits[cell / 8] >> (cell % 8) & 1 == 1, inside);
                }
            }
        }
        let (found, _) = block[n * (cells + 2 * mask_bytes)..].as_chunks::<4>();
        for (row, peak) in (offsets[t] as usize..).zip(0..rows) {
            let [x, y] = analysis.peaks.coords[row];
            assert_eq!(u32::from_le_bytes(found[peak]), (x * n_y as i64 + y) as u32);
            let height = f32::from_le_bytes(found[rows + peak]);
            let prominence = f32::from_le_bytes(found[2 * rows + peak]);
            assert_eq!(
                height.to_bits(),
                (analysis.peaks.heights[row] as f32).to_bits()
            );
            assert_eq!(
                prominence.to_bits(),
                (analysis.peaks.prominences[row] as f32).to_bits()
            );
        }
        t += n;
    }
    assert_eq!(t, n_t);
}

#[test]
fn a_result_and_a_fresh_analysis_give_the_same_page() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f32>(12, 9, 100).view(), PLAIN));
    folder.succeed("run in.npy --alpha 0.5 --alpha 0.9 -o out.npz");
    folder.succeed("page in.npy out.npz -o result.html");
    folder.succeed("page in.npy -o fresh.html");
    let (mut result, fresh) = (data(&folder, "result.html"), data(&folder, "fresh.html"));
    assert!(result["connectivity"].is_null(), "a result does not tell");
    result["connectivity"] = "4".into();
    assert!(result == fresh);
    folder.succeed("page in.npy out.npz --bins 70:90 -o part.html");
    let part = data(&folder, "part.html");
    assert_eq!(words(&part["bins"]), (70..90).collect::<Vec<u32>>());
    assert_eq!(floats(&part["height"]).len(), 20);
    let heights = floats(&fresh["height"]);
    for (a, b) in floats(&part["height"]).iter().zip(&heights[70..]) {
        assert_eq!(a.to_bits(), b.to_bits());
    }
}

#[test]
fn a_name_cannot_end_the_script() {
    let folder = Folder::new();
    folder.write("<b>.npy", &npy(posterior::<f64>(3, 3, 2).view(), PLAIN));
    folder.succeed("page <b>.npy -o page.html");
    let text = String::from_utf8(folder.read("page.html")).expect("text");
    assert!(!text.contains("<b>.npy"));
    assert_eq!(data(&folder, "page.html")["title"], "<b>.npy");
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let folder = Folder::new();
    folder.write(
        "empty.npy",
        &npy(Array3::<f64>::zeros((3, 3, 0)).view(), PLAIN),
    );
    folder.fail(
        "page empty.npy -o page.html",
        2,
        &["a page shows at least one"],
    );
    folder.write("in.npy", &npy(posterior::<f64>(3, 3, 5).view(), PLAIN));
    folder.fail(
        "page in.npy --bins 3:9 -o page.html",
        2,
        &["names time bin 9"],
    );
    folder.fail("page in.npy -o in.npy", 2, &["is the input"]);
}

/// The other half of this comparison is among the Python package's tests.
#[test]
fn python_would_write_the_same() {
    let folder = Folder::new();
    let input = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/data/openfield_41x63_f64.npz"
    );
    folder.succeed(&format!(
        "page {input} --alpha 0.5 --alpha 0.9 -o page.html"
    ));
    let data = data(&folder, "page.html");
    let names = ["low", "high", "height", "dominant", "counts", "offsets"];
    let mut checksum = crc32fast::Hasher::new();
    for name in names {
        checksum.update(&bytes(&data[name]));
    }
    for areas in data["areas"].as_array().expect("areas") {
        checksum.update(&bytes(areas));
    }
    for block in blocks(&data) {
        checksum.update(&block);
    }
    assert_eq!(checksum.finalize(), 0x0E57_A65A);
}
