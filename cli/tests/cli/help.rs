//! The manual.

use crate::support::Folder;

#[test]
fn the_help_is_a_manual() {
    let folder = Folder::new();
    for (command, words) in [
        (
            "--help",
            &[
                "run",
                "picture",
                "info",
                "Exit codes",
                "  4    a GPU",
                "130",
                "Examples",
            ][..],
        ),
        (
            "run --help",
            &[
                "--alpha",
                "--key",
                "--layout",
                "--connectivity",
                "--prominence",
                "--min-height",
                "--min-relative-height",
                "--min-prominence",
                "--min-distance",
                "--highest",
                "--most-prominent",
                "--backend",
                "--adapter",
                "PEAKMASK_ADAPTER",
                "--gpu",
                "PEAKMASK_GPU",
                "--threads",
                "--bins",
                "--memory-limit",
                "--on-limit",
                "--report",
                "--picture",
                "--quiet",
                "peak_offsets",
                "Examples",
            ],
        ),
        (
            "summary --help",
            &[
                "INPUT",
                "--alpha",
                "--format",
                "parquet",
                "dilated_union",
                "Examples",
            ],
        ),
        (
            "picture --help",
            &[
                "RESULT.npz",
                "--bins",
                "--alpha",
                "--min-height",
                "--scale",
                "Examples",
                "grey",
            ],
        ),
        (
            "page --help",
            &[
                "OUT.html",
                "--bins",
                "--min-prominence",
                "60 MB",
                "Examples",
            ],
        ),
        ("info --help", &["INPUT", "--memory-limit"]),
    ] {
        let said = folder.succeed(command).stdout;
        for word in words {
            assert!(said.contains(word), "{command}: '{word}' is not in {said}");
        }
    }
    assert_eq!(
        folder.succeed("--version").stdout,
        concat!("peakmask ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
