//! Drivers that are missing, crash, end the process, take their time or never come back, at each of their entries: results do
//! not wait for them, and nothing of the program outlives it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Folder, PLAIN, npy, posterior};
use crate::watch::{End, Watched};

const ENTRIES: [&str; 8] = [
    "constructor",
    "negotiate",
    "address",
    "extensions",
    "create",
    "devices",
    "destroy",
    "destructor",
];

/// Seconds that the program lets drivers take, here.
const PATIENCE: f64 = 2.0;

/// What the rest may take, on a machine that is busy.
const REST: f64 = 4.0;

/// A folder with an input, and a driver for Vulkan's loader.
struct Bed {
    folder: Folder,
    driver: PathBuf,
}

impl Bed {
    fn new() -> Self {
        let folder = Folder::new();
        folder.write("in.npy", &npy(posterior::<f64>(41, 63, 300).view(), PLAIN));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile/driver.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(folder.path("driver.so"))
            .arg(source)
            .status();
        assert!(built.expect("a C compiler").success());
        let driver = folder.path("driver.json");
        let library = folder.path("driver.so");
        let manifest = format!(
            r#"{{"file_format_version": "1.0.0", "ICD": {{"library_path": {library:?}, "api_version": "1.3.0"}}}}"#
        );
        fs::write(&driver, manifest).expect("a manifest");
        Self { folder, driver }
    }

    fn run(&self, words: &str, mode: &str) -> End {
        self.start(words, mode).end()
    }

    fn start(&self, words: &str, mode: &str) -> Watched {
        // One that is slow is waited for.
        let patience = if mode.ends_with("slow") {
            30.0
        } else {
            PATIENCE
        };
        let mut command = self.folder.command(words);
        command
            .env("VK_DRIVER_FILES", &self.driver)
            .env("VK_ICD_FILENAMES", &self.driver)
            .env("PEAKMASK_DRIVER_SECONDS", patience.to_string())
            .env("FAKE_DRIVER", mode);
        Watched::start(command)
    }

    /// Every command with a driver that does this, and what must come of each.
    fn all_do_well(&self, mode: &str, words: &[&str]) {
        let (_, action) = mode.split_once(' ').unwrap_or_default();
        // One patience, wherever it hangs; slow twice, once in each process.
        let driver = match action {
            "hang" => PATIENCE,
            "slow" => 10.0,
            _ => 0.0,
        };
        let auto = self.run("run in.npy --adapter fake --alpha 0.5 -o out.npz", mode);
        assert_eq!(auto.code, Some(0), "{mode}, auto: {auto:?}");
        assert!(auto.seconds < REST, "{mode}, auto: {auto:?}");
        fs::remove_file(self.folder.path("out.npz")).expect("the result");

        let gpu = self.run("run in.npy --backend gpu --alpha 0.5 -o out.npz", mode);
        assert_eq!(gpu.code, Some(4), "{mode}, gpu: {gpu:?}");
        assert!(gpu.seconds < driver + REST, "{mode}, gpu: {gpu:?}");
        for word in words {
            assert!(gpu.stderr.contains(word), "{mode}, gpu: {gpu:?}");
        }

        let info = self.run("info", mode);
        assert_eq!(info.code, Some(0), "{mode}, info: {info:?}");
        assert!(info.seconds < driver + REST, "{mode}, info: {info:?}");
        let expected = ["driver.json", "driver.so", "in.npy"];
        assert_eq!(self.folder.names(), expected, "{mode}");
        self.nobody_is_left(mode);
    }

    /// No process of the program that has this folder as its own is left.
    fn nobody_is_left(&self, mode: &str) {
        let here = fs::canonicalize(self.folder.path("")).expect("the folder");
        let start = std::time::Instant::now();
        loop {
            let left = fs::read_dir("/proc")
                .expect("processes")
                .flatten()
                .filter(|process| {
                    fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == here)
                        && fs::read(process.path().join("cmdline"))
                            .is_ok_and(|words| !words.is_empty())
                })
                .count();
            if left == 0 {
                return;
            }
            assert!(
                start.elapsed().as_secs_f64() < REST,
                "{mode}: {left} processes are left"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

#[test]
fn a_driver_that_is_missing() {
    let bed = Bed::new();
    fs::remove_file(bed.folder.path("driver.so")).expect("the driver");
    bed.folder.write("driver.so", b"no library");
    bed.all_do_well("", &["there is no adapter"]);
}

#[test]
fn a_driver_without_devices() {
    Bed::new().all_do_well("", &["there is no adapter"]);
}

#[test]
fn drivers_that_crash() {
    let bed = Bed::new();
    for entry in ENTRIES {
        for (action, words) in [
            ("segv", "a driver crashed (signal 11)"),
            ("abort", "a driver crashed (signal 6)"),
        ] {
            bed.all_do_well(&format!("{entry} {action}"), &[words]);
        }
    }
}

#[test]
fn drivers_that_end_the_process() {
    let bed = Bed::new();
    for entry in ENTRIES {
        let words = "a driver ended the process (exit code 0)";
        bed.all_do_well(&format!("{entry} exit"), &[words]);
    }
}

#[test]
fn drivers_that_take_their_time() {
    let bed = Bed::new();
    for entry in ENTRIES.into_iter().filter(|&entry| entry != "address") {
        bed.all_do_well(&format!("{entry} slow"), &["there is no adapter"]);
    }
}

#[test]
fn drivers_that_hang() {
    let bed = Bed::new();
    for entry in ENTRIES {
        let words = "a driver did not answer within 2 s";
        bed.all_do_well(&format!("{entry} hang"), &[words]);
    }
}

#[test]
fn waiting_for_a_driver_can_be_interrupted() {
    let bed = Bed::new();
    for (words, signal) in [
        ("info", "INT"),
        ("run in.npy --backend gpu -o out.npz", "TERM"),
        ("run in.npy --gpu require -o out.npz", "HUP"),
    ] {
        let mut program = bed.start(words, "create hang");
        program.until_listening();
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(program.is_running(), "{words}");
        program.send(signal);
        let end = program.end();
        assert_eq!(end.code, Some(130), "{words}: {end:?}");
        assert_eq!(end.stderr, "error: interrupted; nothing was written\n");
        assert!(end.seconds < 1.5, "{words}: {end:?}");
        bed.nobody_is_left(words);
    }
}
