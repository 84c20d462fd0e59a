//! Drivers of GPUs, tried out in a process of their own before they are loaded into this one: there they may crash it, or
//! hang.

use std::io::{self, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use peakmask::{Backend, CancelToken, Options};

use crate::args::{GpuArgs, ProbeArgs};
use crate::failure::Failure;

/// What the other process says at its end: an exit code of 0 may be a driver's doing.
const LOOKED: &str = "looked\n";

/// The variable that says how many seconds drivers may take, and how many they may without it.
const SECONDS: (&str, f64) = ("PEAKMASK_DRIVER_SECONDS", 15.0);

/// Has drivers tried out before the library loads them, for an analysis by `backend` or, without one, for a list.
pub(crate) fn try_first(args: &GpuArgs, backend: Option<Backend>, cancel: &CancelToken) {
    let mut words = vec!["try-drivers".to_owned()];
    if let Some(backend) = backend {
        words.extend(["--backend".to_owned(), backend.to_string()]);
    }
    if let Some(name) = &args.adapter {
        words.extend(["--adapter".to_owned(), name.clone()]);
    }
    let cancel = cancel.clone();
    peakmask::check_drivers(move || outcome(&words, &cancel));
}

fn outcome(words: &[String], cancel: &CancelToken) -> Result<(), String> {
    let seconds = match std::env::var(SECONDS.0) {
        Ok(text) => text
            .parse()
            .ok()
            .filter(|seconds| *seconds > 0.0)
            .ok_or_else(|| {
                format!(
                    "the environment variable {} is {text:?}; it can be a number of seconds",
                    SECONDS.0
                )
            })?,
        Err(_) => SECONDS.1,
    };
    let patience = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    // Where no other process can be started, this one has to do.
    let Ok(mut child) = std::env::current_exe().and_then(|program| {
        Command::new(program)
            .args(words)
            // It ends when this process does, which closes the pipe.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }) else {
        return Ok(());
    };
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if cancel.is_cancelled() => {
                end(child);
                return Err("the user wanted to stop".to_owned());
            }
            Ok(None) if start.elapsed() < patience => std::thread::sleep(Duration::from_millis(3)),
            Ok(None) => {
                end(child);
                return Err(format!(
                    "a driver did not answer within {seconds} s ({} allows more)",
                    SECONDS.0
                ));
            }
            Err(error) => {
                end(child);
                return Err(format!("the process that tries drivers was lost: {error}"));
            }
        }
    };
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        let _ = stdout.read_to_string(&mut said);
    }
    if status.success() && said.ends_with(LOOKED) {
        return Ok(());
    }
    Err(format!("a driver {} when it was tried", in_words(status)))
}

fn in_words(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            return format!("crashed (signal {signal})");
        }
    }
    match status.code() {
        Some(code) => format!("ended the process (exit code {code})"),
        None => "crashed".to_owned(),
    }
}

/// Kills the process and waits, but not for long: it may be where nothing can be killed.
fn end(mut child: Child) {
    let start = Instant::now();
    let _ = child.kill();
    while matches!(child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_millis(300) {
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// The other process: does with drivers what the first one is about to do.
pub(crate) fn try_out(args: &ProbeArgs) -> Result<(), Failure> {
    std::thread::spawn(end_with_the_first_process);
    let options = args.gpu.choose(Options::new());
    // What fails in an orderly way will do so again, and is told there.
    let chosen = peakmask::adapters(&options).is_ok_and(|adapters| adapters.chosen.is_some());
    let alone = args.backend == Some(Backend::Gpu);
    if alone || args.backend.is_some() && chosen {
        let p = ndarray::Array3::from_shape_fn((4, 4, 4), |(x, y, t)| (x * y + t) as f32);
        let _ = peakmask::analyze(p.view(), &options.alphas([0.5]).backend(Backend::Gpu));
    }
    crate::print(LOOKED)
}

fn end_with_the_first_process() {
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    crate::signals::end_at_once(1);
}
