//! Signals: the program ends within a second, however busy it is, and no file of its own is left behind.

use std::fs::{self, File};
use std::time::Duration;

use crate::support::{Folder, PLAIN, header, npy, npy_bytes, npz, posterior, zeros};
use crate::watch::{End, Watched, run};

/// What a request to stop may take; the machine may be busy.
const SOON: f64 = 1.5;

const INTERRUPTED: &str = "error: interrupted; nothing was written\n";

/// An unfinished result of at least so many bytes is there.
fn unfinished(folder: &Folder, bytes: u64) -> bool {
    let entries = fs::read_dir(folder.path("")).expect("the folder").flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".partial"))
        .any(|entry| {
            entry
                .metadata()
                .is_ok_and(|metadata| metadata.len() >= bytes)
        })
}

fn assert_interrupted(end: &End, what: &str) {
    assert_eq!(
        (end.code, end.stderr.as_str()),
        (Some(130), INTERRUPTED),
        "{what}"
    );
    assert!(end.seconds < SOON, "{what}: {} s", end.seconds);
}

/// Starts the program, and sends it a signal some milliseconds after it has begun, when it must still be at work.
fn interrupted_after(folder: &Folder, words: &str, milliseconds: u64, signal: &str) -> End {
    let mut program = Watched::start(folder.command(words));
    program.until_listening();
    std::thread::sleep(Duration::from_millis(milliseconds));
    assert!(program.is_running(), "{words}: too quick to be interrupted");
    program.send(signal);
    program.end()
}

#[test]
fn a_pipe_as_input_is_refused_at_once() {
    let folder = Folder::new();
    let made = std::process::Command::new("mkfifo")
        .arg(folder.path("in.npy"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    for words in [
        "run in.npy --alpha 0.5 -o out.npz",
        "picture in.npy -o out.png",
        "info in.npy",
    ] {
        let end = run(folder.command(words));
        assert_eq!(end.code, Some(2), "{words}: {}", end.stderr);
        assert!(
            end.stderr.contains("in.npy: is not a regular file"),
            "{}",
            end.stderr
        );
        assert!(end.seconds < 10.0, "{words}: {} s", end.seconds);
    }
}

#[test]
fn inflating_can_be_interrupted() {
    // 400 MB of zeros in a member of some hundred kilobytes, all of which has to be inflated for its last bins.
    let folder = Folder::new();
    let header = header("'<f4'", false, "(40000, 50, 50)");
    let p = npy_bytes(1, 0, &header, &vec![0; 40_000 * 50 * 50 * 4]);
    folder.write("in.npz", &npz(&[("p", &p)], true));
    for words in [
        "run in.npz --layout txy --bins 39999: -o out.npz",
        "run in.npz --layout txy --bins :1 -o out.npz",
    ] {
        // The signal races with the inflating; a lost race is run again.
        let end = (0..9)
            .map(|_| interrupted_after(&folder, words, 20, "INT"))
            .find(|end| end.code != Some(0))
            .expect("a run that is interrupted");
        assert_interrupted(&end, words);
        let _ = fs::remove_file(folder.path("out.npz"));
        assert_eq!(folder.names(), ["in.npz"]);
    }
}

#[test]
fn the_look_at_the_order_of_axes_can_be_interrupted() {
    // One slice of zeros takes no disk, and seconds to add up.
    let folder = Folder::new();
    let header = header("'<f8'", false, "(2, 4, 400000000)");
    let start = npy_bytes(1, 0, &header, &[]);
    folder.write("in.npy", &start);
    let file = File::options().write(true).open(folder.path("in.npy"));
    file.and_then(|file| file.set_len(start.len() as u64 + 2 * 4 * 400_000_000 * 8))
        .expect("a file with a hole");
    for (words, signal) in [
        (
            "run in.npy --memory-limit 1TiB --bins :100 -o out.npz",
            "INT",
        ),
        ("picture in.npy -o out.png", "TERM"),
        ("info in.npy --gpu off", "HUP"),
    ] {
        let end = interrupted_after(&folder, words, 200, signal);
        assert_interrupted(&end, words);
        assert_eq!(folder.names(), ["in.npy"]);
    }
    // The second request ends it at once.
    let mut program = Watched::start(folder.command("picture in.npy -o out.png"));
    program.until_listening();
    std::thread::sleep(Duration::from_millis(100));
    program.send("INT");
    std::thread::sleep(Duration::from_millis(50));
    assert!(program.is_running(), "the first request waits for the work");
    program.send("INT");
    let end = program.end();
    assert_eq!(end.code, Some(130), "{}", end.stderr);
    assert!(end.seconds < 0.5, "{} s", end.seconds);
    assert_eq!(folder.names(), ["in.npy"]);
}

/// `nohup`, a shell's background jobs and schedulers start programs that ignore signals.
#[test]
fn ignored_signals_stay_ignored() {
    for signal in ["HUP", "INT", "TERM", "QUIT", "USR1", "XFSZ"] {
        let folder = Folder::new();
        zeros(&folder, 41, 63, 20_000);
        let script = format!(
            "trap '' {signal}; exec \"$0\" run in.npy --layout txy --backend cpu --alpha 0.5 -o out.npz"
        );
        let mut program = Watched::start(folder.shell(&script));
        program.until(|| unfinished(&folder, 0));
        for _ in 0..3 {
            assert!(program.is_running(), "{signal}: too quick to be told");
            program.send(signal);
        }
        let end = program.end();
        assert_eq!(end.code, Some(0), "{signal}: {end:?}");
        assert_eq!(folder.names(), ["in.npy", "out.npz"]);
    }
}

#[test]
fn what_kills_leaves_no_unfinished_file() {
    for (signal, number) in [
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("XCPU", 24),
        ("VTALRM", 26),
    ] {
        let folder = Folder::new();
        zeros(&folder, 41, 63, 2_000_000);
        folder.write("out.npz", b"what was there before");
        let words = "run in.npy --layout txy --backend cpu --memory-limit 1TiB -o out.npz --report out.json";
        let mut program = Watched::start(folder.command(words));
        program.until(|| unfinished(&folder, 0));
        program.send(signal);
        let end = program.end();
        // Numbers of some signals are others on other systems; that it was a signal is the same.
        let expected = if cfg!(target_os = "linux") {
            Some(number)
        } else {
            end.signal
        };
        assert_eq!(
            (end.code, end.signal),
            (None, expected),
            "{signal}: {end:?}"
        );
        assert_eq!(folder.names(), ["in.npy", "out.npz"], "{signal}");
        assert_eq!(folder.read("out.npz"), b"what was there before");
    }
}

#[test]
fn a_file_that_gets_too_large_is_a_sentence() {
    let folder = Folder::new();
    folder.write("in.npy", &npy(posterior::<f64>(40, 40, 200).view(), PLAIN));
    let script = "ulimit -f 64; exec \"$0\" run in.npy --alpha 0.5 -o out.npz";
    let end = run(folder.shell(script));
    assert_eq!(end.code, Some(1), "{end:?}");
    assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    assert!(
        end.stderr.contains("out.npz: cannot be written"),
        "{}",
        end.stderr
    );
    assert_eq!(folder.names(), ["in.npy"]);
}

#[test]
fn an_input_that_is_cut_while_it_is_read_is_a_sentence() {
    let folder = Folder::new();
    zeros(&folder, 41, 63, 2_000_000);
    let words =
        "run in.npy --layout txy --backend cpu --memory-limit 1TiB -o out.npz --report out.json";
    let mut program = Watched::start(folder.command(words));
    program.until(|| unfinished(&folder, 0));
    let file = File::options().write(true).open(folder.path("in.npy"));
    file.and_then(|file| file.set_len(4096))
        .expect("the input is cut");
    let end = program.end();
    assert_eq!(end.code, Some(2), "{end:?}");
    assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
    assert!(
        end.stderr
            .contains("error: in.npy: cannot be read any more: it was cut short"),
        "{}",
        end.stderr
    );
    assert_eq!(folder.names(), ["in.npy"]);
}

/// Signals at any time: the result is complete, or what was there before is.
#[test]
fn a_storm_of_signals() {
    let signals = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "XCPU"];
    let folder = Folder::new();
    let p = posterior::<f64>(20, 30, 400);
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let words = "run in.npy --backend cpu --alpha 0.5 --alpha 0.9 -o out.npz --report out.json";
    folder.succeed(words);
    let complete = folder.read("out.npz");
    let (mut finished, mut stopped) = (0, 0);
    let mut state = 1_u64;
    for k in 0..120 {
        folder.write("out.npz", b"before");
        folder.write("out.json", b"before");
        let mut program = Watched::start(folder.command(words));
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        std::thread::sleep(Duration::from_micros((state >> 33) % 60_000));
        for i in 0..=k % 3 {
            program.send(signals[(k + i) % signals.len()]);
        }
        let end = program.end();
        assert!(!end.stderr.contains("panicked"), "{k}: {end:?}");
        assert_eq!(
            folder.names(),
            ["in.npy", "out.json", "out.npz"],
            "{k}: {end:?}"
        );
        let (result, report) = (folder.read("out.npz"), folder.read("out.json"));
        let is_new = result == complete;
        assert!(is_new || result == b"before", "{k}: {end:?}");
        if end.code == Some(0) {
            assert!(is_new, "{k}: {end:?}");
            finished += 1;
        } else if end.stderr.contains("nothing was written") {
            assert!(!is_new && report == b"before", "{k}: {end:?}");
            stopped += 1;
        }
    }
    assert!(
        finished > 0 && stopped > 0,
        "{finished} were finished, {stopped} stopped: both kinds are wanted"
    );
}
