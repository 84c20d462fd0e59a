//! More memory than allowed: exit code 3, and the number of time bins that fits.

use ndarray::Array3;
use peakmask::{Dtype, MaskForm, Options};

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

/// What so many time bins of 20 x 30 cells need.
pub(crate) fn bytes_for(n_bins: usize, options: &Options) -> u64 {
    let estimate = peakmask::estimate([20, 30, n_bins], Dtype::F64, options);
    estimate.expect("a valid shape").total()
}

/// Refuses a number of time bins that exceeds the limit, follows the advice, and asks for one more.
fn follow_advice(name: &str, bytes: &[u8], limit: u64, words: &str) {
    let folder = Folder::new();
    folder.write(name, bytes);
    let flags = format!("--alpha 0.5 --alpha 0.9 --threads 1 --memory-limit {limit} -o out.npz");
    for start in [0, 1000] {
        let command = |end: &str| format!("run {name} {flags} --bins {start}:{end}");
        let expected = ["the memory limit is", "given by --memory-limit", words];
        let said = folder.fail(&command(""), 3, &expected).stderr;
        let end = advised_end(&said, start);
        assert!(end > start && end < 3000, "{said}");
        let again = format!("--bins {start}:{end}");
        folder.fail(&command(&(end + 1).to_string()), 3, &[&again]);
        folder.succeed(&command(&end.to_string()));
        std::fs::remove_file(folder.path("out.npz")).expect("the result");
    }
}

#[test]
fn the_advice_fits_and_one_more_does_not() {
    // One peak a bin: fewer than assumed.
    let p = Array3::from_shape_fn((20, 30, 3000), |(x, y, t)| {
        (x * y + 1) as f64 / (t + 1) as f64
    });
    let limit = bytes_for(1500, &Options::new().alphas([0.5, 0.9]).threads(1));
    let with_copy = limit + 20 * 30 * 1500 * 8;
    let plain = npy(p.view(), PLAIN);
    follow_advice("mapped.npy", &plain, limit, "(masks and scratch");
    let swapped = npy(
        p.view(),
        Form {
            big_endian: true,
            ..PLAIN
        },
    );
    let copied = "a copy of the input takes";
    follow_advice("swapped.npy", &swapped, with_copy, copied);
    follow_advice(
        "packed.npz",
        &npz(&[("p", &plain)], true),
        with_copy,
        copied,
    );
}

#[test]
fn more_peaks_than_assumed_are_refused_when_they_are_found() {
    // A peak in every fourth cell, where one in 32 is assumed.
    let p = Array3::from_shape_fn((20, 30, 3000), |(x, y, _)| {
        f64::from(x % 2 == 0 && y % 2 == 0)
    });
    let folder = Folder::new();
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let limit = bytes_for(3000, &Options::new().threads(1)) + (1 << 20);
    let words = format!("run in.npy --threads 1 --memory-limit {limit} -o out.npz");
    let expected = [
        "needs more than",
        "some 188 peaks in each",
        "given by --memory-limit",
    ];
    let said = folder.fail(&words, 3, &expected).stderr;
    let end = advised_end(&said, 0);
    assert!(end > 100, "{said}");
    folder.succeed(&format!("{words} --bins 0:{end}"));
    folder.succeed(&format!("{words} --on-limit warn"));
}

#[test]
fn a_limit_below_one_bin_is_named() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(20, 30, 50).view(), PLAIN));
    let words = "run in.npy --alpha 0.5 --memory-limit 100 -o out.npz";
    folder.fail(words, 3, &["not even one time bin fits", "100 B"]);
}

#[test]
fn a_warning_lets_the_analysis_go_on() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(20, 30, 3000).view(), PLAIN));
    folder.succeed("run in.npy --alpha 0.5 -o free.npz");
    let words = "run in.npy --alpha 0.5 --memory-limit 100kB --on-limit warn -o out.npz";
    let said = folder.succeed(words).stderr;
    assert!(said.contains("warning: "), "{said}");
    assert_eq!(folder.read("out.npz"), folder.read("free.npz"));
}

/// A refusal names the form of masks that would fit, and it does.
#[test]
fn the_form_that_fits_is_named() {
    let folder = Folder::new();
    // One peak a bin: fewer than assumed.
    let p = Array3::from_shape_fn((60, 50, 800), |(x, y, t)| {
        (x * y + 1) as f64 / (t + 1) as f64
    });
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let alphas = "--alpha 0.5 ".repeat(8);
    let options = Options::new().alphas([0.5; 8]).threads(1);
    for (form, option, other) in [
        (MaskForm::Packed, "--masks packed", ""),
        (
            MaskForm::None,
            "--masks none and a --summary",
            "--summary s.csv",
        ),
    ] {
        let options = (options.clone().masks(form)).summary(form == MaskForm::None);
        let limit = peakmask::estimate([60, 50, 800], Dtype::F64, &options);
        let limit = limit.expect("a valid shape").total();
        let run = format!("run in.npy {alphas} --threads 1 --memory-limit {limit} -o out.npz");
        folder.fail(
            &run,
            3,
            &[&format!("; with {option} it needs"), "--bins 0:"],
        );
        folder.succeed(&format!("{run} --masks {form} {other}"));
    }
    let least = format!("run in.npy {alphas} --threads 1 --memory-limit 1000 -o out.npz");
    let said = folder
        .fail(&least, 3, &["not even one time bin fits"])
        .stderr;
    assert!(!said.contains("it needs"), "{said}");
}
