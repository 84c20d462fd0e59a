//! Ctrl-C and its kin: exit code 130, and no file left, whatever was going on.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::gpu;
use crate::support::{Folder, zeros};

/// Starts the program, waits until the unfinished result has `bytes` bytes, and some `time` more, sends a signal: the exit
/// code and what was said.
fn interrupt(
    folder: &Folder,
    words: &str,
    signal: &str,
    bytes: u64,
    time: Duration,
) -> (Option<i32>, String) {
    let mut child = folder
        .command(words)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(120);
    let begun = || {
        let entries = fs::read_dir(folder.path("")).expect("the folder").flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".partial"))
            .any(|entry| {
                entry
                    .metadata()
                    .is_ok_and(|metadata| metadata.len() >= bytes)
            })
    };
    while !begun() && child.try_wait().expect("a state").is_none() {
        assert!(
            Instant::now() < deadline,
            "the program did not come that far"
        );
        sleep(Duration::from_millis(1));
    }
    sleep(time);
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .stderr(Stdio::null())
            .status()
            .is_ok()
    );
    let told = Instant::now();
    let output = child.wait_with_output().expect("the program ends");
    assert!(
        told.elapsed() < Duration::from_secs(20),
        "{:?}",
        told.elapsed()
    );
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn an_analysis_can_be_interrupted() {
    for signal in ["-INT", "-TERM"] {
        let folder = Folder::new();
        zeros(&folder, 41, 63, 2_000_000);
        let words = "run in.npy --layout txy --memory-limit 1TiB -o out.npz --report out.json --picture out.png";
        let (code, said) = interrupt(&folder, words, signal, 0, Duration::ZERO);
        assert_eq!(
            (code, said.as_str()),
            (Some(130), "error: interrupted; nothing was written\n")
        );
        assert_eq!(folder.names(), ["in.npy"]);
    }
}

#[test]
fn writing_can_be_interrupted() {
    // The signal races with the writing of 330 MB; a lost race is run again.
    for _ in 0..5 {
        let folder = Folder::new();
        zeros(&folder, 64, 64, 8_000);
        folder.write("out.npz", b"what was there before");
        let alphas = "--alpha 0.5 ".repeat(10);
        let (code, said) = interrupt(
            &folder,
            &format!("run in.npy --layout txy {alphas} -o out.npz"),
            "-INT",
            1 << 20,
            Duration::ZERO,
        );
        if code == Some(0) {
            continue;
        }
        assert_eq!(
            (code, said.as_str()),
            (Some(130), "error: interrupted; nothing was written\n")
        );
        assert_eq!(folder.names(), ["in.npy", "out.npz"]);
        assert_eq!(folder.read("out.npz"), b"what was there before");
        return;
    }
    panic!("every run ended before it was interrupted");
}

#[test]
fn an_analysis_on_a_gpu_can_be_interrupted() {
    let Some(adapter) = gpu::adapter() else {
        return;
    };
    for backend in ["gpu", "auto --gpu require"] {
        // While the GPU is being made ready, and among its batches.
        for milliseconds in [0, 100, 3000] {
            let folder = Folder::new();
            zeros(&folder, 41, 63, 2_000_000);
            let words = format!(
                "run in.npy --layout txy --memory-limit 1TiB --backend {backend} --adapter {adapter} -o out.npz --report out.json"
            );
            let time = Duration::from_millis(milliseconds);
            let (code, said) = interrupt(&folder, &words, "-INT", 0, time);
            assert_eq!(
                (code, said.as_str()),
                (Some(130), "error: interrupted; nothing was written\n"),
                "{backend} after {time:?}"
            );
            assert_eq!(folder.names(), ["in.npy"]);
        }
    }
}
