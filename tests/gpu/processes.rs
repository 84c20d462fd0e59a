//! What concerns a whole process: its environment, its end, its messages. Each case runs in a child, this program again.

use std::env;
use std::process::Command;
use std::sync::Mutex;

use ndarray::Array3;
use peakmask::{Backend, Error, GpuContext, GpuTuning, GpuUse, Options, Report, analyze};

use crate::{Known, gpu_or_return, losses, memory, on};

/// Which case a child runs.
const CASE: &str = "PEAKMASK_TEST_CASE";

/// A child's part: what it has to say comes in lines of its own.
pub(crate) struct Child(Vec<String>);

impl Child {
    pub(crate) fn say(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("CHILD {name}={value}"));
    }
}

/// What a child has said.
pub(crate) struct Said {
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.text
            .lines()
            .find_map(|line| {
                line.strip_prefix("CHILD ")?
                    .strip_prefix(name)?
                    .strip_prefix('=')
            })
            .unwrap_or_else(|| panic!("the child does not say {name}:\n{}", self.text))
    }

    pub(crate) fn value(&self, name: &str) -> u64 {
        self.get(name).parse().expect("a number")
    }
}

/// Runs a case in a child, with these variables and no other of ours, within an address space of so many kilobytes.
pub(crate) fn child(case: &str, variables: &[(&str, &str)], kilobytes: Option<u64>) -> Said {
    let program = env::current_exe().expect("this program has a path");
    let mut command = match kilobytes {
        None => Command::new(&program),
        Some(limit) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -v {limit} && exec \"$0\" \"$@\"")]);
            shell.arg(&program);
            shell
        }
    };
    command
        .args([
            "processes::cases",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CASE, case)
        .env_remove("PEAKMASK_GPU")
        .envs(variables.iter().copied());
    let output = command.output().expect("this program runs again");
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{case} with {variables:?}: {}\n{text}",
        output.status
    );
    Said { text }
}

/// The children's entrance; a run of all tests passes by.
#[expect(clippy::print_stdout, reason = "what the parent reads")]
#[test]
fn cases() {
    let Ok(case) = env::var(CASE) else { return };
    let mut child = Child(Vec::new());
    match case.as_str() {
        "halving" => memory::halving(&mut child),
        "analyses" => analyses(&mut child),
        "short" => short(),
        "hang" => losses::hang(&mut child),
        "validation" => validation(&mut child),
        _ => panic!("there is no case {case}"),
    }
    // A line of its own, whatever the test harness has begun to write.
    println!("\n{}", child.0.join("\n"));
}

fn posterior(n_t: usize) -> Array3<f32> {
    Array3::from_shape_fn((16, 16, n_t), |(x, y, t)| {
        ((x * 7 + y * 13 + t * 3) % 29) as f32
    })
}

/// How `Auto` and `Gpu` fare in this environment.
fn analyses(child: &mut Child) {
    for (name, backend) in [("auto", Backend::Auto), ("gpu", Backend::Gpu)] {
        // A reason that comes too late says no more than that: more work, until it comes in time.
        let mut n_t = 500;
        let mut last = compared(n_t, backend);
        while n_t < 60_000 && matches!(&last, Ok(report) if too_late(report)) {
            n_t *= 2;
            last = compared(n_t, backend);
        }
        match last {
            Ok(report) => child.say(name, report.no_gpu.unwrap_or("a GPU".into())),
            Err(error) => child.say(name, format!("{error:?}")),
        }
    }
    match GpuContext::open(&Options::new()) {
        Ok(_) => child.say("context", "open"),
        Err(error) => child.say("context", error),
    }
}

fn compared(n_t: usize, backend: Backend) -> Result<Report, Error> {
    let p = posterior(n_t);
    let options = Options::new().alphas([0.5]);
    let by_cpu = analyze(p.view(), &options.clone().backend(Backend::Cpu)).expect("the CPU works");
    let found = analyze(p.view(), &options.backend(backend))?;
    assert!(
        found.masks == by_cpu.masks && found.peaks == by_cpu.peaks,
        "{backend:?} differs"
    );
    Ok(found.report)
}

fn too_late(report: &Report) -> bool {
    let before = |why: &str| why.contains("before it was");
    report.no_gpu.as_deref().is_some_and(before)
}

#[test]
fn peakmask_gpu_off_and_require() {
    let context = gpu_or_return!();
    let off = child("analyses", &[("PEAKMASK_GPU", "off")], None);
    for who in ["auto", "gpu", "context"] {
        assert!(
            off.get(who).contains("switched off by PEAKMASK_GPU"),
            "{}",
            off.text
        );
    }
    assert!(off.get("gpu").starts_with("NoGpu"), "{}", off.text);
    assert!(!off.get("auto").starts_with("NoGpu"), "{}", off.text);

    let name = ("PEAKMASK_ADAPTER", context.adapter().name.as_str());
    let required = child("analyses", &[("PEAKMASK_GPU", "require"), name], None);
    for (who, what) in [("gpu", "a GPU"), ("context", "open")] {
        assert_eq!(required.get(who), what, "{}", required.text);
    }
    assert!(!required.get("auto").contains("NoGpu"), "{}", required.text);

    let wrong = child("analyses", &[("PEAKMASK_GPU", "nonsense")], None);
    for who in ["auto", "gpu", "context"] {
        assert!(wrong.get(who).contains("nonsense"), "{}", wrong.text);
        assert!(wrong.get(who).contains("PEAKMASK_GPU"), "{}", wrong.text);
    }
}

#[test]
fn peakmask_adapter() {
    let context = gpu_or_return!();
    // Part of the name, whatever the case.
    let part = context.adapter().name[..4].to_uppercase();
    let named = child("analyses", &[("PEAKMASK_ADAPTER", &part)], None);
    assert_eq!(
        (named.get("gpu"), named.get("context")),
        ("a GPU", "open"),
        "{}",
        named.text
    );
    assert!(
        !named.get("auto").contains("only software"),
        "{}",
        named.text
    );

    let wrong = child("analyses", &[("PEAKMASK_ADAPTER", "nonsense")], None);
    for who in ["auto", "gpu", "context"] {
        assert!(wrong.get(who).contains("nonsense"), "{}", wrong.text);
        assert!(
            wrong.get(who).contains(&context.adapter().name),
            "{}",
            wrong.text
        );
    }
    let required = [
        ("PEAKMASK_ADAPTER", "nonsense"),
        ("PEAKMASK_GPU", "require"),
    ];
    let required = child("analyses", &required, None);
    assert!(
        required.get("auto").starts_with("NoGpu"),
        "{}",
        required.text
    );
}

/// Whatever the machine has, its loader finds no driver.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_a_driver() {
    let nowhere = [
        ("VK_DRIVER_FILES", "/nonexistent.json"),
        ("VK_ICD_FILENAMES", "/nonexistent.json"),
        ("PEAKMASK_ADAPTER", "llvm"),
    ];
    let none = child("analyses", &nowhere, None);
    for who in ["auto", "gpu", "context"] {
        assert!(
            none.get(who).contains("there is no adapter"),
            "{}",
            none.text
        );
        // wgpu's own words.
        assert!(
            none.get(who).to_lowercase().contains("adapter found"),
            "{}",
            none.text
        );
    }
    assert!(none.get("gpu").starts_with("NoGpu"), "{}", none.text);
    assert!(!none.get("auto").starts_with("NoGpu"), "{}", none.text);
    let required = [&nowhere[..], &[("PEAKMASK_GPU", "require")]].concat();
    let required = child("analyses", &required, None);
    assert!(
        required.get("auto").starts_with("NoGpu"),
        "{}",
        required.text
    );
}

/// A process that is over while its GPU is still being opened.
fn short() {
    let name = env::var("PEAKMASK_TEST_ADAPTER").expect("the parent names an adapter");
    let n_t = env::var("PEAKMASK_TEST_BINS").expect("the parent says how many");
    let p = posterior(n_t.parse().expect("a number"));
    let options = Options::new().alphas([0.5]).adapter(name).threads(1);
    assert_eq!(
        analyze(p.view(), &options)
            .expect("it is analysed")
            .report
            .bins,
        p.dim().2
    );
}

/// Drivers crash when a process ends inside them.
#[test]
fn two_hundred_short_processes_in_a_row_end_well() {
    let context = gpu_or_return!();
    for k in 0..200_usize {
        let bins = (1 + k * k * 4095 / (199 * 199)).to_string();
        let variables = [
            ("PEAKMASK_TEST_ADAPTER", context.adapter().name.as_str()),
            ("PEAKMASK_TEST_BINS", &bins),
        ];
        child("short", &variables, None);
    }
}

/// What was logged as an error.
static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Errors;

impl log::Log for Errors {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            ERRORS
                .lock()
                .expect("nobody panics here")
                .push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// A few analyses under the eyes of the validation layer.
fn validation(child: &mut Child) {
    log::set_logger(&Errors).expect("there is no other logger");
    log::set_max_level(log::LevelFilter::Error);
    let context = gpu_or_return!();
    let small = GpuTuning {
        batch: Some(64),
        ..Default::default()
    };
    for tuning in [
        GpuTuning::default(),
        small.clone(),
        GpuTuning {
            rows: Some(3),
            iterations: Some(37),
            ..small
        },
    ] {
        Known::<f64>::drawn(5, [9, 33, 130]).exact(&on(context, tuning.clone()));
        Known::<f32>::drawn(6, [12, 20, 70]).exact(&on(context, tuning.clone()));
        let masks_alone = on(context, tuning).peaks(false).alphas([0.5]);
        analyze(posterior(100).view(), &masks_alone).expect("it is analysed");
    }
    log::error!("the logger hears");
    let errors = ERRORS
        .lock()
        .expect("nobody panics here")
        .join("; ")
        .replace('\n', " ");
    child.say("errors", errors);
}

#[cfg(target_os = "linux")]
#[expect(clippy::print_stderr, reason = "skips are declared")]
#[test]
fn the_validation_layer_has_nothing_to_say() {
    let context = gpu_or_return!();
    let folders = ["/usr/share", "/usr/local/share", "/etc"];
    let file = "vulkan/explicit_layer.d/VkLayer_khronos_validation.json";
    if !folders
        .iter()
        .any(|folder| std::path::Path::new(folder).join(file).exists())
    {
        eprintln!("SKIPPED the validation layer: {file} is not in {folders:?}");
        return;
    }
    let variables = [
        ("WGPU_VALIDATION", "1"),
        // wgpu's debug information names a language that the layer does not know.
        ("WGPU_DEBUG", "0"),
        ("PEAKMASK_ADAPTER", context.adapter().name.as_str()),
    ];
    let said = child("validation", &variables, None);
    assert_eq!(said.get("errors"), "the logger hears");
}

/// What the options say counts more than the environment.
#[test]
fn options_come_first() {
    let off = Options::new().gpu(GpuUse::Off).backend(Backend::Gpu);
    let error = analyze(posterior(3).view(), &off).expect_err("it is switched off");
    assert!(
        matches!(&error, Error::NoGpu { reason } if reason.contains("the options")),
        "{error}"
    );
}
