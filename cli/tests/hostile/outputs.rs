//! Places for results that are not what they seem.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::{Folder, PLAIN, npy, outcome, posterior};

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(4, 4, 9).view(), PLAIN));
    folder
}

#[test]
fn names_that_are_too_long_fail_before_the_analysis() {
    let folder = folder();
    let long = "x".repeat(300);
    for words in [
        format!("run in.npy -o {long}"),
        format!("run in.npy -o out.npz --report {long}"),
        format!("run in.npy -o out.npz --picture {long}"),
        format!("picture in.npy -o {long}"),
    ] {
        folder.fail(&words, 1, &["cannot be written", "choose another name"]);
    }
    for words in ["run in.npy -o new/", "picture in.npy -o new/"] {
        folder.fail(words, 1, &["new/: is not the name of a file"]);
    }
}

#[test]
fn links_that_lead_nowhere_are_left_alone() {
    let folder = folder();
    symlink("nowhere", folder.path("dangling")).expect("a link");
    symlink("loop", folder.path("loop")).expect("a link");
    for name in ["dangling", "loop"] {
        let words = format!("run in.npy -o {name}");
        folder.fail(&words, 1, &[name, "is a link that leads to no file"]);
        let metadata = fs::symlink_metadata(folder.path(name)).expect("it is there");
        assert!(metadata.is_symlink());
    }
    // Where a link leads to a file, that is replaced.
    folder.write("real.npz", b"before");
    symlink("real.npz", folder.path("link.npz")).expect("a link");
    folder.succeed("run in.npy -o link.npz");
    assert!(folder.path("link.npz").is_symlink());
    assert_ne!(folder.read("real.npz"), b"before");
}

#[test]
fn the_mode_of_a_file_that_is_replaced_stays() {
    let folder = folder();
    for mode in [0o600, 0o640, 0o444, 0o755] {
        folder.write("out.npz", b"before");
        let path = folder.path("out.npz");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
        folder.succeed("run in.npy -o out.npz");
        let found = fs::metadata(&path).expect("it is there").permissions();
        assert_eq!(found.mode() & 0o777, mode);
        fs::remove_file(&path).expect("it is there");
    }
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let folder = folder();
    let name = "in\u{1b}[2Jx\r\n\u{9b}31m.npy";
    folder.write(name, &folder.read("in.npy"));
    folder.write("bad\u{1b}[2J.npy", b"x");
    for script in [
        "exec \"$0\" run bad*.npy -o out.npz",
        "exec \"$0\" run in.npy -o \"$(printf 'no\\033[2J/out.npz')\"",
        "exec \"$0\" info in*x*.npy --gpu off",
        "exec \"$0\" run \"$(printf 'miss\\033ing')\" -o out.npz",
    ] {
        let outcome = outcome(folder.shell(script));
        for text in [&outcome.stdout, &outcome.stderr] {
            let odd = |c: &char| c.is_control() && *c != '\n';
            assert_eq!(text.chars().find(odd), None, "{script}: {text:?}");
            assert!(
                text.contains("\\u{1b}") || text.is_empty(),
                "{script}: {text:?}"
            );
        }
    }
}

#[test]
fn several_outputs_come_together_or_not_at_all() {
    // The place of the report becomes a folder while the analysis runs.
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(41, 63, 1000).view(), PLAIN));
    folder.write("out.npz", b"before");
    let words = "run in.npy --backend cpu --alpha 0.5 -o out.npz --report out.json";
    let mut program = crate::watch::Watched::start(folder.command(words));
    // Both places have been looked at once their files have been begun.
    let begun = |name: &String| name.ends_with(".partial");
    program.until(|| folder.names().iter().filter(|name| begun(name)).count() == 2);
    fs::create_dir(folder.path("out.json")).expect("it is in time");
    let end = program.end();
    assert_eq!(end.code, Some(1), "{end:?}");
    assert!(
        end.stderr.contains("out.json: cannot be put in place"),
        "{}",
        end.stderr
    );
    assert!(end.stderr.contains("nothing was written"), "{}", end.stderr);
    assert_eq!(folder.read("out.npz"), b"before");
    assert_eq!(folder.names(), ["in.npy", "out.json", "out.npz"]);
}
