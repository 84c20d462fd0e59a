//! What the published package holds: all that a user needs, nothing else, and less than 10 MB.

use std::path::Path;
use std::process::Command;

/// What `cargo package` writes itself.
const GENERATED: [&str; 3] = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml.orig"];

/// Files that must be there.
const NEEDED: [&str; 6] = [
    "CHANGELOG.md",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "src/lib.rs",
];

/// Folders whose files may be there. No benches: they compare with the oracle and the posteriors of the tests, which are not packaged.
const FOLDERS: [&str; 3] = ["examples/", "shaders/", "src/"];

const LARGEST: u64 = 10_000_000;

fn packaged_files() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "package",
            "--list",
            "--allow-dirty",
            "--offline",
            "--package",
            "peakmask",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the cargo that built this test runs");
    assert!(
        output.status.success(),
        "cargo package --list: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list = String::from_utf8(output.stdout).expect("paths are UTF-8");
    list.lines().map(|line| line.replace('\\', "/")).collect()
}

#[test]
fn the_package_holds_what_it_needs_and_nothing_else() {
    let files = packaged_files();
    for needed in NEEDED {
        assert!(
            files.iter().any(|file| file == needed),
            "{needed} is missing from the package"
        );
    }
    for file in &files {
        let expected = NEEDED.contains(&file.as_str())
            || GENERATED.contains(&file.as_str())
            || FOLDERS.iter().any(|folder| file.starts_with(folder));
        assert!(expected, "{file} does not belong into the package");
    }
}

#[test]
fn every_source_file_is_packaged() {
    let files = packaged_files();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).expect("it lies below the root");
            let name = name.display().to_string().replace('\\', "/");
            assert!(files.contains(&name), "{name} is missing from the package");
        }
    }
}

/// The files as they stand, uncompressed: the package itself is smaller still.
#[test]
fn the_package_is_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = packaged_files();
    let bytes: u64 = files
        .iter()
        .filter(|file| !GENERATED.contains(&file.as_str()))
        .map(|file| {
            let read = root.join(file).metadata();
            read.unwrap_or_else(|error| panic!("{file}: {error}")).len()
        })
        .sum();
    assert!(
        bytes < LARGEST,
        "{} files of {bytes} bytes are more than {LARGEST}",
        files.len()
    );
}

/// A source distribution of the Python package holds this manifest as it stands, and no tests or benches.
#[test]
fn the_manifest_names_no_program_that_is_not_packaged() {
    let manifest = include_str!("../Cargo.toml");
    for table in ["[[test]]", "[[bench]]", "[[bin]]"] {
        assert!(
            !manifest.contains(table),
            "Cargo.toml has a {table}, whose file is not in the source distribution"
        );
    }
}
