//! Memory that ends: in a control group, and by a limit of the address space. The program succeeds or says so with exit code
//! 3; it is never killed, and never aborts.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array3;

use crate::support::{Folder, Form, PLAIN, header, npy, npy_bytes, npz};
use crate::watch::{End, run};

/// Asserts that a run under a limit did well, or refused in one sentence and left nothing.
fn assert_done_or_refused(folder: &Folder, end: &End, before: &[String], what: &str) -> bool {
    match end.code {
        Some(0) => {
            let _ = fs::remove_file(folder.path("out.npz"));
            let _ = fs::remove_file(folder.path("out.png"));
        }
        Some(3) => {
            assert_eq!(end.stderr.matches("error:").count(), 1, "{what}: {end:?}");
        }
        _ => panic!("{what}: {end:?}"),
    }
    assert!(!end.stderr.contains("panicked"), "{what}: {end:?}");
    assert_eq!(folder.names(), before, "{what}: {end:?}");
    end.code == Some(0)
}

/// Inputs that are mapped, copied, inflated; with few peaks, and with a peak in every cell but one.
fn inputs() -> Folder {
    let folder = Folder::new();
    let wave = Array3::<f32>::from_shape_fn((41, 63, 4_000), |(x, y, t)| {
        ((x * 7 + y * 13 + t * 3) % 29) as f32
    });
    let plain = npy(wave.view(), PLAIN);
    folder.write("mapped.npy", &plain);
    let swapped = Form {
        big_endian: true,
        ..PLAIN
    };
    folder.write("copied.npy", &npy(wave.view(), swapped));
    folder.write("packed.npz", &npz(&[("p", &plain)], true));
    let plateau = |shape| {
        Array3::<f64>::from_shape_fn(shape, |(x, y, _)| f64::from(u8::from((x, y) != (0, 0))))
    };
    folder.write("plateaus.npy", &npy(plateau((41, 63, 1_500)).view(), PLAIN));
    folder.write("large.npy", &npy(plateau((1000, 1000, 2)).view(), PLAIN));
    folder
}

const COMMANDS: [&str; 6] = [
    "run mapped.npy --alpha 0.5 --alpha 0.9",
    "run copied.npy --alpha 0.5",
    "run packed.npz --alpha 0.5",
    "run plateaus.npy --alpha 0.5",
    "run large.npy --alpha 0.5",
    "picture large.npy",
];

/// A command with its output.
fn words(command: &str) -> String {
    let output = if command.starts_with("run") {
        "out.npz"
    } else {
        "out.png"
    };
    format!("{command} -o {output}")
}

/// A limit of the address space, from hardly enough to start to more than enough.
#[test]
fn limits_of_the_address_space() {
    let folder = inputs();
    let before = folder.names();
    let limited = |kilobytes: u64, words: &str| {
        run(folder.shell(&format!("ulimit -v {kilobytes}; exec \"$0\" {words}")))
    };
    // Below this the system cannot even load the program.
    let least = (1..)
        .map(|k| k * 4096)
        .find(|&kilobytes| limited(kilobytes, "--version").code == Some(0))
        .expect("some memory is enough");
    let (mut runs, mut refused) = (0, 0);
    for command in COMMANDS {
        for step in 0..9_u64 {
            let kilobytes = least + 1024 + step * step * 5000;
            let end = limited(kilobytes, &words(command));
            let what = format!("{command} within {kilobytes} kB");
            runs += 1;
            refused += usize::from(!assert_done_or_refused(&folder, &end, &before, &what));
        }
        let end = limited(8 << 20, &words(command));
        assert!(
            assert_done_or_refused(&folder, &end, &before, command),
            "{command}: {end:?}"
        );
    }
    assert!(
        refused > 6 && refused < runs,
        "{refused} of {runs} were refused"
    );
}

#[test]
fn two_hundred_bins_need_little() {
    let folder = Folder::new();
    let p = Array3::<f64>::from_shape_fn((41, 63, 200), |(x, y, t)| {
        ((x * 7 + y * 13 + t) % 29) as f64
    });
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let words = "run in.npy --alpha 0.5 --threads 1 -o out.npz";
    let end = run(folder.shell(&format!("ulimit -v 140000; exec \"$0\" {words}")));
    assert_eq!(end.code, Some(0), "{end:?}");
}

#[test]
fn no_time_bins_need_no_memory_and_no_time() {
    let folder = Folder::new();
    for shape in [
        "(1000, 4000, 0)",
        "(65535, 65537, 0)",
        "(1, 4294967295, 0)",
        "(4294967295, 1, 0)",
    ] {
        let header = header("'<f8'", false, shape);
        folder.write("in.npy", &npy_bytes(1, 0, &header, &[]));
        let words = "run in.npy --alpha 0.5 --memory-limit 1MiB -o out.npz";
        let end = run(folder.shell(&format!("ulimit -v 1000000; exec \"$0\" {words}")));
        assert_eq!(end.code, Some(0), "{shape}: {end:?}");
        assert!(end.seconds < 5.0, "{shape}: {end:?}");
    }
}

/// The guard: one byte less than the plan is refused before anything is written, the plan itself is enough.
#[test]
fn the_guard_allows_the_plan_and_not_a_byte_less() {
    let folder = Folder::new();
    // One peak a bin: fewer than assumed.
    let p = Array3::from_shape_fn((20, 30, 500), |(x, y, t)| {
        (x * y + 1) as f64 / (t + 1) as f64
    });
    folder.write("in.npy", &npy(p.view(), PLAIN));
    let options = peakmask::Options::new().alphas([0.5]).threads(1);
    let plan = peakmask::estimate([20, 30, 500], peakmask::Dtype::F64, &options);
    let plan = plan.expect("a valid shape").total();
    let run = "run in.npy --threads 1 --alpha 0.5 -o out.npz --memory-limit";
    folder.fail(
        &format!("{run} {}", plan - 1),
        3,
        &["(masks and scratch", "given by --memory-limit"],
    );
    folder.succeed(&format!("{run} {plan}"));
}

/// A control group of its own, gone when this is dropped.
struct ControlGroup {
    path: PathBuf,
    limit: &'static str,
}

impl ControlGroup {
    /// Below the group of this process, where that is allowed.
    fn new(name: &str) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let place = |line: &str| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let path = path.trim_start_matches('/').to_owned();
            match controllers {
                "memory" => Some((
                    Path::new("/sys/fs/cgroup/memory").join(path),
                    "memory.limit_in_bytes",
                )),
                "" => Some((Path::new("/sys/fs/cgroup").join(path), "memory.max")),
                _ => None,
            }
        };
        groups.lines().filter_map(place).find_map(|(own, limit)| {
            let path = own.join(format!("{name}-{}", std::process::id()));
            fs::create_dir(&path).ok()?;
            let group = Self { path, limit };
            fs::metadata(group.path.join(limit)).ok()?;
            Some(group)
        })
    }

    fn set_limit(&self, bytes: u64) {
        // What an earlier run left in the page cache has to go first.
        let _ = fs::write(self.path.join("memory.force_empty"), "0");
        fs::write(self.path.join(self.limit), bytes.to_string()).expect("a limit");
    }

    fn run(&self, folder: &Folder, words: &str) -> End {
        let group = self.path.join("cgroup.procs");
        let script = format!("echo $$ >{}; exec \"$0\" {words}", group.display());
        run(folder.shell(&script))
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// The limit that the program finds out itself, from too little to enough.
#[expect(clippy::print_stderr, reason = "skips are declared")]
#[test]
fn limits_of_a_control_group() {
    let Some(group) = ControlGroup::new("peakmask-test") else {
        assert!(
            std::env::var("PEAKMASK_TEST_CGROUP").as_deref() != Ok("require"),
            "a control group was asked for, and cannot be made"
        );
        eprintln!("SKIPPED control groups: none can be made here");
        return;
    };
    let folder = inputs();
    let before = folder.names();
    let (mut runs, mut refused, mut followed) = (0, 0, 0);
    for command in COMMANDS {
        let mut last = false;
        for megabytes in (70..=190).step_by(24).chain([240, 500]) {
            group.set_limit(megabytes << 20);
            let what = format!("{command} in {megabytes} MiB");
            let end = group.run(&folder, &words(command));
            last = assert_done_or_refused(&folder, &end, &before, &what);
            runs += 1;
            refused += usize::from(!last);
            // Advice holds when it is followed.
            let advice = end
                .stderr
                .split_once("--bins ")
                .and_then(|(_, rest)| rest.split([',', ';', '\n']).next());
            if let Some(bins) = advice.filter(|bins| bins.starts_with("0:")) {
                let bins = bins.split_whitespace().next().expect("a range");
                let words = words(&format!("{command} --bins {bins}"));
                let end = group.run(&folder, &words);
                assert!(
                    assert_done_or_refused(&folder, &end, &before, &words),
                    "{what}, advice {bins}: {end:?}"
                );
                followed += 1;
            }
        }
        assert!(last, "{command}: 500 MiB are enough");
    }
    assert!(
        refused > 6 && refused < runs && followed > 0,
        "{refused} of {runs} refused, {followed} followed"
    );
}
