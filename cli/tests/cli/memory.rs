//! More memory than allowed: exit code 3, and the number of time bins that fits.

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

#[test]
fn the_advice_fits_and_one_more_does_not() {
    let p = posterior::<f64>(20, 30, 3000);
    let plain = npy(p.view(), PLAIN);
    let swapped = npy(
        p.view(),
        Form {
            big_endian: true,
            ..PLAIN
        },
    );
    for (name, bytes, limit, words) in [
        ("mapped.npy", plain.clone(), "1MiB", ""),
        ("swapped.npy", swapped, "4MiB", "a copy of the input takes"),
        (
            "packed.npz",
            npz(&[("p", &plain)], true),
            "4MiB",
            "a copy of the input takes",
        ),
    ] {
        let folder = Folder::new();
        folder.write(name, &bytes);
        for start in [0, 1000] {
            let command = |bins: &str| {
                format!(
                    "run {name} --alpha 0.5 --alpha 0.9 --threads 1 --memory-limit {limit} -o out.npz --bins {bins}"
                )
            };
            let outcome = folder.fail(
                &command(&format!("{start}:")),
                3,
                &["the memory limit is", "given by --memory-limit", words],
            );
            let end = advised_end(&outcome.stderr, start);
            assert!(end > start && end < 3000, "{}", outcome.stderr);
            folder.fail(
                &command(&format!("{start}:{}", end + 1)),
                3,
                &[&format!("--bins {start}:{end}")],
            );
            folder.succeed(&command(&format!("{start}:{end}")));
            std::fs::remove_file(folder.path("out.npz")).expect("the result");
        }
    }
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
