//! More memory than allowed: exit code 3, and the number of time bins that fits.

use ndarray::Array3;

use crate::support::{Folder, Form, PLAIN, npy, npz, posterior};

/// The `N` of the advice `--bins A:N`.
fn advised_end(stderr: &str, start: usize) -> usize {
    let prefix = format!("--bins {start}:");
    let (_, rest) = stderr
        .split_once(&prefix)
        .unwrap_or_else(|| panic!("no advice in: {stderr}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// Refuses a number of time bins that exceeds the limit, follows the advice, and asks for one more.
fn follow_advice(name: &str, bytes: &[u8], limit: &str, starts: [usize; 2], words: &str) {
    let folder = Folder::new();
    folder.write(name, bytes);
    for start in starts {
        let command = |bins: &str| {
            format!(
                "run {name} --alpha 0.5 --alpha 0.9 --threads 1 --memory-limit {limit} -o out.npz --bins {bins}"
            )
        };
        let limit = "the memory limit is";
        let said = folder
            .fail(
                &command(&format!("{start}:")),
                3,
                &[limit, "given by --memory-limit", words],
            )
            .stderr;
        let end = advised_end(&said, start);
        assert!(end > start && end < 3000, "{said}");
        folder.fail(
            &command(&format!("{start}:{}", end + 1)),
            3,
            &[&format!("--bins {start}:{end}")],
        );
        folder.succeed(&command(&format!("{start}:{end}")));
        std::fs::remove_file(folder.path("out.npz")).expect("the result");
    }
}

#[test]
fn the_advice_fits_and_one_more_does_not() {
    // One peak a bin: fewer than assumed.
    let p = Array3::from_shape_fn((20, 30, 3000), |(x, y, t)| {
        (x * y + 1) as f64 / (t + 1) as f64
    });
    let plain = npy(p.view(), PLAIN);
    follow_advice(
        "mapped.npy",
        &plain,
        "3MiB",
        [0, 1000],
        "(masks and scratch",
    );
    let swapped = npy(
        p.view(),
        Form {
            big_endian: true,
            ..PLAIN
        },
    );
    follow_advice(
        "swapped.npy",
        &swapped,
        "8MiB",
        [0, 1000],
        "a copy of the input takes",
    );
    follow_advice(
        "packed.npz",
        &npz(&[("p", &plain)], true),
        "8MiB",
        [0, 1000],
        "a copy of the input takes",
    );
}

#[test]
fn more_peaks_than_assumed_are_refused_when_they_are_found() {
    // A peak in every fourth cell, where one in 32 is assumed.
    let p = Array3::from_shape_fn((20, 30, 3000), |(x, y, _)| {
        if x % 2 == 0 && y % 2 == 0 { 1.0 } else { 0.0 }
    });
    let folder = Folder::new();
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let words = "run in.npy --threads 1 --memory-limit 10MiB -o out.npz";
    let said = folder
        .fail(
            words,
            3,
            &[
                "needs more than",
                "some 188 peaks in each",
                "10.0 MiB (given by --memory-limit)",
            ],
        )
        .stderr;
    let end = advised_end(&said, 0);
    assert!(end > 500, "{said}");
    folder.succeed(&format!("{words} --bins 0:{end}"));
    folder.succeed(&format!("{words} --on-limit warn"));
}

#[test]
fn a_limit_below_one_bin_is_named() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(20, 30, 50).view(), PLAIN));
    folder.fail(
        "run in.npy --alpha 0.5 --memory-limit 100 -o out.npz",
        3,
        &["not even one time bin fits", "100 B"],
    );
}

#[test]
fn a_warning_lets_the_analysis_go_on() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(20, 30, 3000).view(), PLAIN));
    folder.succeed("run in.npy --alpha 0.5 -o free.npz");
    let outcome =
        folder.succeed("run in.npy --alpha 0.5 --memory-limit 100kB --on-limit warn -o out.npz");
    assert!(outcome.stderr.contains("warning: "), "{}", outcome.stderr);
    assert_eq!(folder.read("out.npz"), folder.read("free.npz"));
}
