//! GPUs: every backend with the same bytes, reports that say what ran, and machines without a GPU.
//!
//! The GPU under test is the one that `PEAKMASK_ADAPTER` names, or the best one, software included. Where there is none
//! its tests are skipped, unless `PEAKMASK_TEST_GPU=require` makes that a failure.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use peakmask::{GpuContext, Options};
use serde_json::Value;

use crate::support::{Folder, zeros};

/// A word of the name of the GPU under test.
#[expect(clippy::print_stderr, reason = "skips are declared")]
pub(crate) fn adapter() -> Option<&'static str> {
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    let name = NAME.get_or_init(|| match GpuContext::open(&Options::new()) {
        Ok(context) => Some(context.adapter().name.clone()),
        Err(error) if std::env::var("PEAKMASK_TEST_GPU").is_ok_and(|gpu| gpu == "require") => {
            panic!("PEAKMASK_TEST_GPU=require: {error}")
        }
        Err(error) => {
            eprintln!("SKIPPED everything that needs a GPU: {error}");
            None
        }
    });
    name.as_ref()?.split_whitespace().next()
}

/// A folder with a posterior of 800 time bins, decoded from a recorded path in an open field, as `in.npz`.
fn openfield() -> Folder {
    let folder = Folder::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/openfield_41x63_f64.npz");
    fs::copy(data, folder.path("in.npz")).expect("the posterior is copied");
    folder
}

const RUN: &str = "run in.npz --alpha 0.5 --alpha 0.9 --threads 2 --report out.json -o";

fn number(report: &Value, pointer: &str) -> u64 {
    let value = report.pointer(pointer).and_then(Value::as_u64);
    value.unwrap_or_else(|| panic!("no number {pointer} in {report:#}"))
}

fn text<'r>(report: &'r Value, pointer: &str) -> &'r str {
    let value = report.pointer(pointer).and_then(Value::as_str);
    value.unwrap_or_else(|| panic!("no text {pointer} in {report:#}"))
}

fn assert_values(report: &Value, values: &[(&str, Value)]) {
    for (pointer, value) in values {
        let found = report.pointer(pointer);
        assert_eq!(found, Some(value), "{pointer} in {report:#}");
    }
}

/// What a report says of a GPU that analysed time bins.
fn assert_gpu_at_work(report: &Value, adapter: &str) {
    assert!(text(report, "/run/gpu/adapter/name").contains(adapter));
    for pointer in ["kind", "backend", "driver"] {
        assert_ne!(text(report, &format!("/run/gpu/adapter/{pointer}")), "");
    }
    for pointer in ["batches", "batch_bins", "device_bytes", "staging_bytes"] {
        assert!(
            number(report, &format!("/run/gpu/{pointer}")) > 0,
            "{pointer} in {report:#}"
        );
    }
    for pointer in ["halvings", "continued_bins", "handed_over_bins"] {
        number(report, &format!("/run/gpu/{pointer}"));
    }
    for phase in [
        "open", "prepare", "upload", "kernels", "wait", "readback", "expand",
    ] {
        let seconds = report.pointer(&format!("/run/gpu/seconds/{phase}"));
        let seconds = seconds.and_then(Value::as_f64);
        assert!(
            seconds.is_some_and(|seconds| seconds > 0.0),
            "{phase} in {report:#}"
        );
    }
    let stages = report.pointer("/run/gpu/seconds/stages");
    let stages = stages.and_then(Value::as_object).expect("a map by stage");
    let by_device = report.pointer("/run/gpu/seconds/by_device");
    assert_eq!(stages.len(), 6, "{report:#}");
    assert_eq!(
        by_device.and_then(Value::as_bool),
        Some(stages["survey"].as_f64() > Some(0.0)),
        "{report:#}"
    );
}

#[test]
fn every_backend_writes_the_same_file_and_a_report_of_its_own() {
    let Some(adapter) = adapter() else {
        return;
    };
    let folder = openfield();
    let cpu = folder.succeed(&format!("{RUN} cpu.npz --backend cpu --adapter {adapter}"));
    assert!(cpu.stderr.ends_with("; CPU\n"), "{}", cpu.stderr);
    let report = folder.json("out.json");
    assert_values(
        &report,
        &[
            ("/options/backend", "cpu".into()),
            ("/options/adapter", adapter.into()),
            ("/options/gpu", Value::Null),
            ("/run/engine", "cpu".into()),
            ("/run/cpu_bins", 800.into()),
            ("/run/gpu_bins", 0.into()),
            ("/run/gpu", Value::Null),
            ("/run/no_gpu", Value::Null),
        ],
    );
    let without_staging = number(&report, "/run/bytes_used");

    // Named by the environment.
    let environment = [("PEAKMASK_ADAPTER", adapter)];
    let gpu = folder.succeed_where(&environment, &format!("{RUN} gpu.npz --backend gpu"));
    assert!(
        gpu.stderr.contains("; GPU: ") && gpu.stderr.contains(adapter),
        "{}",
        gpu.stderr
    );
    let report = folder.json("out.json");
    assert_values(
        &report,
        &[
            ("/options/backend", "gpu".into()),
            ("/environment/PEAKMASK_ADAPTER", adapter.into()),
            ("/environment/PEAKMASK_GPU", Value::Null),
            ("/run/engine", "gpu".into()),
            ("/run/cpu_bins", 0.into()),
            ("/run/gpu_bins", 800.into()),
            ("/run/no_gpu", Value::Null),
        ],
    );
    assert_gpu_at_work(&report, adapter);
    assert!(
        number(&report, "/run/gpu/handed_over_bins") < 8,
        "{report:#}"
    );
    // More than that, where the GPU has no memory of its own.
    let staging = number(&report, "/run/gpu/staging_bytes");
    assert!(
        number(&report, "/run/bytes_used") >= without_staging + staging,
        "{report:#}"
    );
    assert_eq!(folder.read("gpu.npz"), folder.read("cpu.npz"));

    for flags in ["", "--gpu require"] {
        // The name on the command line counts more than the environment's.
        let environment = [("PEAKMASK_ADAPTER", "nosuch"), ("PEAKMASK_GPU", "off")];
        let environment = if flags.is_empty() {
            &environment[..1]
        } else {
            &environment
        };
        let words = format!("{RUN} auto.npz --backend auto --adapter {adapter} {flags}");
        let said = folder.succeed_where(environment, &words).stderr;
        let report = folder.json("out.json");
        let (cpu, gpu) = (
            number(&report, "/run/cpu_bins"),
            number(&report, "/run/gpu_bins"),
        );
        assert_eq!(cpu + gpu, 800, "{report:#}");
        // How many of so few time bins the GPU gets is a matter of luck.
        let (engine, words) = match (cpu, gpu) {
            (_, 0) => (
                "cpu",
                "; CPU, no GPU: all time bins were done before".to_owned(),
            ),
            (0, _) => ("gpu", "; GPU: ".to_owned()),
            _ => (
                "cpu+gpu",
                format!("; {cpu} bins on the CPU, {gpu} on the GPU: "),
            ),
        };
        assert_eq!(text(&report, "/run/engine"), engine);
        assert!(said.contains(&words), "'{words}' is not in {said}");
        if gpu > 0 {
            assert_gpu_at_work(&report, adapter);
            assert_values(&report, &[("/run/no_gpu", Value::Null)]);
        } else {
            assert!(text(&report, "/run/no_gpu").starts_with("all time bins were done before"));
        }
        assert_eq!(folder.read("auto.npz"), folder.read("cpu.npz"), "{flags}");
    }
}

#[test]
fn a_gpu_that_does_not_exist_is_an_error_that_lists_those_that_do() {
    let Some(adapter) = adapter() else {
        return;
    };
    let folder = openfield();
    for flags in ["--backend gpu", "--gpu require"] {
        let words = format!("{RUN} out.npz --adapter nosuch {flags}");
        let expected = [
            "a GPU was asked for",
            "\"nosuch\"",
            adapter,
            "--backend cpu",
        ];
        folder.fail(&words, 4, &expected);
    }
}

#[test]
fn a_map_too_large_for_any_gpu_is_an_error_or_goes_to_the_cpu() {
    let Some(adapter) = adapter() else {
        return;
    };
    let folder = Folder::new();
    zeros(&folder, 1, (1 << 24) + 1, 1);
    let words = format!("run in.npy --layout txy --adapter {adapter} --report out.json -o out.npz");
    let expected = [adapter, "one time bin of 1 x 16777217 cells", "there are "];
    folder.fail(&format!("{words} --backend gpu"), 4, &expected);
    folder.succeed(&format!("{words} --gpu require"));
    let report = folder.json("out.json");
    assert_values(
        &report,
        &[("/run/cpu_bins", 1.into()), ("/run/gpu_bins", 0.into())],
    );
    assert_ne!(text(&report, "/run/no_gpu"), "");
}

#[test]
fn the_environment_can_switch_gpus_off() {
    let folder = openfield();
    let off = [("PEAKMASK_GPU", "off")];
    let said = folder.succeed_where(&off, &format!("{RUN} out.npz")).stderr;
    // A build without the engine has that to say.
    if cfg!(feature = "gpu") {
        let reason = "GPUs are switched off by PEAKMASK_GPU";
        assert!(
            said.ends_with(&format!("; CPU, no GPU: {reason}\n")),
            "{said}"
        );
        let report = folder.json("out.json");
        assert_values(
            &report,
            &[
                ("/environment/PEAKMASK_GPU", "off".into()),
                ("/run/no_gpu", reason.into()),
            ],
        );
        folder.fail_where(&off, &format!("{RUN} gpu.npz --backend gpu"), 4, &[reason]);
    }
    let said = folder.succeed(&format!("{RUN} out.npz --gpu off")).stderr;
    assert!(said.contains("; CPU, no GPU: "), "{said}");
    assert_values(&folder.json("out.json"), &[("/options/gpu", "off".into())]);
}

#[test]
fn an_environment_that_means_nothing_is_refused() {
    let folder = openfield();
    let nonsense = [("PEAKMASK_GPU", "maybe")];
    let expected = [
        "PEAKMASK_GPU",
        "\"maybe\"",
        "off, require, where-useful, or nothing",
    ];
    for words in [&format!("{RUN} out.npz"), "info"] {
        folder.fail_where(&nonsense, words, 2, &expected);
    }
    // What the command line says leaves nothing for the environment to say.
    for flags in ["--gpu off", "--backend cpu"] {
        folder.succeed_where(&nonsense, &format!("{RUN} out.npz {flags}"));
    }
    // Nothing is nothing.
    let empty = [("PEAKMASK_GPU", ""), ("PEAKMASK_ADAPTER", "")];
    folder.succeed_where(&empty, &format!("{RUN} out.npz"));
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let folder = openfield();
    for flags in ["--backend gpu --gpu off", "--backend cpu --gpu require"] {
        let words = format!("{RUN} out.npz {flags}");
        folder.fail(&words, 2, &["contradict each other"]);
    }
}

/// On Linux, where all GPUs come through Vulkan, whose loader looks for drivers where it is told.
#[cfg(all(feature = "gpu", target_os = "linux"))]
mod without_a_driver {
    use super::*;

    const NO_DRIVER: (&str, &str) = ("VK_DRIVER_FILES", "/nonexistent.json");
    /// Words of wgpu's.
    const REASON: &str = "No suitable graphics adapter found";

    #[test]
    fn a_gpu_that_is_asked_for_is_an_error() {
        let folder = openfield();
        let require = ("PEAKMASK_GPU", "require");
        for (environment, flags) in [
            (&[NO_DRIVER][..], "--backend gpu"),
            (&[NO_DRIVER], "--gpu require"),
            (&[NO_DRIVER, require], ""),
            // The command line counts more.
            (&[NO_DRIVER, ("PEAKMASK_GPU", "off")], "--gpu require"),
        ] {
            let words = format!("{RUN} out.npz {flags} --picture out.png");
            let expected = [
                "a GPU was asked for",
                "there is no adapter",
                REASON,
                "--backend cpu",
            ];
            folder.fail_where(environment, &words, 4, &expected);
        }
        folder.succeed_where(
            &[NO_DRIVER, require],
            &format!("{RUN} out.npz --backend cpu"),
        );
    }

    #[test]
    fn pictures_need_none() {
        let folder = openfield();
        let environment = [NO_DRIVER, ("PEAKMASK_GPU", "require")];
        folder.succeed_where(&environment, "picture in.npz --bins 7,100 -o out.png");
    }

    #[test]
    fn the_cpu_works_alone_and_the_report_says_why() {
        let folder = openfield();
        folder.succeed(&format!("{RUN} cpu.npz --backend cpu"));
        let said = folder
            .succeed_where(&[NO_DRIVER], &format!("{RUN} auto.npz"))
            .stderr;
        assert!(
            said.contains("; CPU, no GPU: the work is too little"),
            "{said}"
        );
        assert_eq!(folder.read("auto.npz"), folder.read("cpu.npz"));

        // Enough work to look for a GPU. The search races with the work; a lost race is run again.
        zeros(&folder, 64, 64, 40_000);
        let words = "run in.npy --layout txy --threads 1 --report out.json -o out.npz";
        for _ in 0..5 {
            let said = folder.succeed_where(&[NO_DRIVER], words).stderr;
            let report = folder.json("out.json");
            assert_values(
                &report,
                &[
                    ("/run/engine", "cpu".into()),
                    ("/run/cpu_bins", 40_000.into()),
                    ("/run/gpu", Value::Null),
                ],
            );
            let reason = text(&report, "/run/no_gpu");
            if reason.starts_with("all time bins were done before") {
                continue;
            }
            assert!(
                reason.contains("there is no adapter") && reason.contains(REASON),
                "{reason}"
            );
            // The summary says it in short, and no warning says it again.
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(
                said.contains("; CPU, no GPU: there is no adapter"),
                "{said}"
            );
            return;
        }
        panic!("every run ended before it knew that there is no GPU");
    }

    #[test]
    fn info_says_why() {
        let said = Folder::new().succeed_where(&[NO_DRIVER], "info").stdout;
        assert!(
            said.contains("GPU for auto      none: there is no adapter"),
            "{said}"
        );
        assert!(
            said.contains(REASON) && !said.contains("\nadapter "),
            "{said}"
        );
    }
}

#[cfg(not(feature = "gpu"))]
#[test]
fn a_build_without_the_engine_says_so() {
    const REASON: &str = "this build of peakmask has no GPU engine";
    let folder = openfield();
    for flags in ["--backend gpu", "--gpu require"] {
        folder.fail(&format!("{RUN} out.npz {flags}"), 4, &[REASON]);
    }
    folder.succeed(&format!("{RUN} out.npz"));
    assert!(text(&folder.json("out.json"), "/run/no_gpu").starts_with(REASON));
    let said = folder.succeed("info").stdout;
    assert!(
        said.contains(&format!("GPU for auto      none: {REASON}")),
        "{said}"
    );
}

#[test]
fn info_lists_adapters_and_which_one_serves() {
    let Some(adapter) = adapter() else {
        return;
    };
    let folder = Folder::new();
    let said = folder.succeed(&format!("info --adapter {adapter}")).stdout;
    let chosen = format!("GPU for auto      {adapter}");
    for words in [
        chosen.as_str(),
        &format!("its name contains \"{adapter}\""),
        &format!("\nadapter 0         {adapter}"),
        "\n  kind            ",
        "\n  PCI bus         ",
        "\n  backend         ",
        "\n  driver          ",
        "\n  limits          arrays of up to ",
    ] {
        assert!(said.contains(words), "'{words}' is not in {said}");
    }
    let named = [("PEAKMASK_ADAPTER", adapter)];
    assert_eq!(
        folder
            .succeed_where(&named, "info")
            .stdout
            .matches(&chosen)
            .count(),
        1
    );
    let said = folder.succeed("info --adapter nosuch").stdout;
    assert!(
        said.contains("GPU for auto      none: no adapter's name contains \"nosuch\""),
        "{said}"
    );
    let said = folder.succeed("info --gpu off").stdout;
    assert!(
        said.contains("GPU for auto      none: GPUs are switched off"),
        "{said}"
    );
}
