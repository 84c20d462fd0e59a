//! Cards that are made of a software driver: two of a kind, one with too little memory, and such as hang in the middle of the
//! work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use ndarray::Array3;
use serde_json::Value;

use crate::support::{Folder, PLAIN, npy, posterior};
use crate::watch::{End, Watched};

/// What stands before the software driver calls itself.
const NAME: &str = "Cardboard 9000";
/// Bytes of the largest buffer that a device is probed with, and more.
const PROBED: u64 = 8 << 20;
/// Seconds that a device may take for a submission, at most.
const PATIENCE: f64 = 10.0;
/// What the rest may take on a machine that is busy: kernels are compiled, and the device is probed.
const REST: f64 = 40.0;

/// A folder with so many cards.
struct Bed {
    folder: Folder,
    drivers: String,
    software: PathBuf,
}

impl Bed {
    /// None where there is no software driver, unless `PEAKMASK_TEST_GPU=require` makes that a failure.
    #[expect(clippy::print_stderr, reason = "skips are declared")]
    fn with(cards: usize) -> Option<Self> {
        let Some(software) = software() else {
            let required = std::env::var("PEAKMASK_TEST_GPU").is_ok_and(|gpu| gpu == "require");
            assert!(!required, "PEAKMASK_TEST_GPU=require: no software driver");
            eprintln!("SKIPPED cards made of a software driver: there is none");
            return None;
        };
        let folder = Folder::new();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile/card.c");
        let manifests = (0..cards).map(|card| {
            let library = folder.path(&format!("card{card}.so"));
            let built = Command::new("cc")
                .args(["-shared", "-fPIC", "-o"])
                .arg(&library)
                .args([source, "-ldl"])
                .status();
            assert!(built.expect("a C compiler").success());
            let manifest = folder.path(&format!("card{card}.json"));
            let text = format!(
                r#"{{"file_format_version": "1.0.0", "ICD": {{"library_path": {library:?}, "api_version": "1.1.0"}}}}"#
            );
            fs::write(&manifest, text).expect("a manifest");
            manifest.to_string_lossy().into_owned()
        });
        let drivers = manifests.collect::<Vec<_>>().join(":");
        Some(Self {
            folder,
            drivers,
            software,
        })
    }

    fn start(&self, words: &str, environment: &[(&str, &str)]) -> Watched {
        let mut command = self.folder.command(words);
        command
            .env("VK_DRIVER_FILES", &self.drivers)
            .env("VK_ICD_FILENAMES", &self.drivers)
            .env("CARD_DRIVER", &self.software)
            .envs(environment.iter().copied());
        Watched::start(command)
    }

    fn run(&self, words: &str, environment: &[(&str, &str)]) -> End {
        self.start(words, environment).end()
    }

    fn succeed(&self, words: &str, environment: &[(&str, &str)]) -> Value {
        let end = self.run(words, environment);
        assert_eq!(end.code, Some(0), "{words}: {end:?}");
        self.folder.json("out.json")
    }
}

/// The library of Mesa's software driver.
fn software() -> Option<PathBuf> {
    let manifests = fs::read_dir("/usr/share/vulkan/icd.d").ok()?;
    let manifest = manifests
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("lvp_icd"))?;
    let text = fs::read(manifest.path()).ok()?;
    let manifest: Value = serde_json::from_slice(&text).ok()?;
    let library = Path::new(manifest["ICD"]["library_path"].as_str()?);
    library.exists().then(|| library.to_owned())
}

#[test]
fn cards_of_a_kind_are_told_apart() {
    let Some(bed) = Bed::with(2) else {
        return;
    };
    let Bed {
        folder, drivers, ..
    } = &bed;
    folder.write("in.npy", &npy(posterior::<f32>(12, 17, 90).view(), PLAIN));
    let environment = [
        ("VK_DRIVER_FILES", drivers.as_str()),
        ("CARD_DRIVER", &bed.software.to_string_lossy()),
    ];
    let said = folder.succeed_where(&environment, "info").stdout;
    for words in [
        &format!(
            "GPU for auto      {NAME} (adapter 0): the best that is there: discrete GPU, the first of several (numbers tell them apart: 1)"
        ),
        &format!("\nadapter 0         {NAME}\n"),
        &format!("\nadapter 1         {NAME}\n"),
    ] {
        assert!(said.contains(words.as_str()), "'{words}' is not in {said}");
    }
    let words = "run in.npy --alpha 0.5 --report out.json -o";
    bed.succeed(&format!("{words} cpu.npz --backend cpu"), &[]);
    for (flag, variable, number) in [
        ("--adapter 1", "", 1),
        ("--adapter 0", "1", 0),
        ("", "1", 1),
        ("", "cardboard", 0),
    ] {
        let variable = [("PEAKMASK_ADAPTER", variable)];
        let report = bed.succeed(&format!("{words} gpu.npz --backend gpu {flag}"), &variable);
        let adapter = &report["run"]["gpu"]["adapter"];
        assert_eq!(adapter["index"], number, "{flag} {variable:?}: {report:#}");
        assert_eq!(adapter["name"], NAME);
        assert_eq!(folder.read("gpu.npz"), folder.read("cpu.npz"));
    }
    let refused = bed.run(&format!("{words} no.npz --backend gpu --adapter 2"), &[]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    let expected = format!("there is no adapter 2; there is 0 {NAME:?}, 1 {NAME:?}");
    assert!(refused.stderr.contains(&expected), "{refused:?}");
}

#[test]
fn a_card_with_too_little_memory_takes_smaller_batches_and_says_so() {
    let Some(bed) = Bed::with(1) else {
        return;
    };
    let folder = &bed.folder;
    folder.write(
        "in.npy",
        &npy(posterior::<f64>(41, 63, 1_200).view(), PLAIN),
    );
    let words = "run in.npy --alpha 0.5 --report out.json -o";
    bed.succeed(&format!("{words} cpu.npz --backend cpu"), &[]);
    let large = PROBED.to_string();
    let small = [("CARD_MODE", "small"), ("CARD_LARGE", large.as_str())];
    let end = bed.run(&format!("{words} gpu.npz --backend gpu"), &small);
    assert_eq!(end.code, Some(0), "{end:?}");
    let report = folder.json("out.json");
    let gpu = &report["run"]["gpu"];
    assert!(
        gpu["halvings"].as_u64().is_some_and(|n| n > 0),
        "{report:#}"
    );
    let bins = &gpu["batch_bins"];
    let line = format!("; GPU: {NAME} (batches halved to {bins} bins for want of memory)\n");
    assert!(end.stderr.ends_with(&line), "'{line}' is not in {end:?}");
    assert_eq!(folder.read("gpu.npz"), folder.read("cpu.npz"));
    // With memory enough there is nothing to say.
    let end = bed.run(&format!("{words} gpu.npz --backend gpu"), &[]);
    assert!(end.stderr.ends_with(&format!("; GPU: {NAME}\n")), "{end:?}");
    assert_eq!(folder.json("out.json")["run"]["gpu"]["halvings"], 0);
}

/// The first submission of the analysis itself never comes to an end: the one way or the other.
#[test]
fn a_card_that_hangs_in_the_middle_of_the_work_keeps_nobody() {
    let Some(bed) = Bed::with(1) else {
        return;
    };
    let folder = &bed.folder;
    // Work for the CPU, so that the card comes to draw a batch before all is done: how soon is not ours to say.
    let p: Array3<f64> = posterior(41, 63, 2_400);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let alphas: String = (1..16).map(|k| format!(" --alpha 0.{k:02}")).collect();
    let words = format!("run in.npy --threads 1 --report out.json{alphas} -o");
    let start = Instant::now();
    bed.succeed(&format!("{words} cpu.npz --backend cpu"), &[]);
    let by_cpu = start.elapsed().as_secs_f64();
    let large = PROBED.to_string();
    for mode in ["block", "silent"] {
        let hanging = [("CARD_MODE", mode), ("CARD_LARGE", large.as_str())];
        let gpu = bed.run(&format!("{words} no.npz --backend gpu"), &hanging);
        assert_eq!(gpu.code, Some(4), "{mode}: {gpu:?}");
        assert!(gpu.seconds < PATIENCE + REST, "{mode}: {gpu:?}");
        for words in [NAME, "did not answer in time"] {
            assert!(gpu.stderr.contains(words), "{mode}: {gpu:?}");
        }
        assert!(!folder.path("no.npz").exists(), "{mode}: {gpu:?}");

        let hung = (0..8).any(|_| {
            let auto = bed.run(&format!("{words} auto.npz --gpu require"), &hanging);
            assert_eq!(auto.code, Some(0), "{mode}: {auto:?}");
            assert!(auto.seconds < PATIENCE + by_cpu + REST, "{mode}: {auto:?}");
            assert_eq!(folder.read("auto.npz"), folder.read("cpu.npz"), "{mode}");
            let report = folder.json("out.json");
            assert_eq!(report["run"]["cpu_bins"], 2_400, "{report:#}");
            let why = report["run"]["no_gpu"].as_str().unwrap_or_default();
            why.contains("did not answer in time")
        });
        assert!(
            hung,
            "{mode}: in none of eight runs did the card draw a batch"
        );
    }
}
