//! What a user of Python with a CUDA GPU would write, on the same input: `benches/peers/cuda.py`; and how fast CUDA copies:
//! `benches/peers/pinned.py`.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ndarray_npy::WriteNpyExt;
use serde_json::Value as Json;

use crate::clock::Clock;
use crate::engine::Engine;
use crate::field::{Field, Side, Work};
use crate::inputs::Kind;
use crate::stack::Layout;
use crate::table::{Cell, Section};

/// Host to device and back from pinned memory.
pub(crate) fn pinned(scripts: &Path, small: bool, section: &mut Section, clock: Clock) {
    section.columns(&["from pinned memory, by CuPy", "GB/s"]);
    let megabytes = if small { 4 } else { 512 };
    let words = [megabytes.to_string()];
    let answer = tempfile::tempdir()
        .map_err(|error| error.to_string())
        .and_then(|folder| ask(&scripts.join("pinned.py"), &words, folder.path(), clock));
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return section.leave_out(format!("pinned memory: {why}")),
    };
    if let Some(why) = answer["skipped"].as_str() {
        return section.leave_out(format!("pinned memory: {why}"));
    }
    for (key, name) in [("in", "host to device"), ("out", "device to host")] {
        let figure = answer[key]
            .as_f64()
            .map(|figure| Cell::Number(figure / 1e9, 1));
        section.row([name.into(), figure.unwrap_or(Cell::Empty)]);
    }
    section.note(format!(
        "{}, best of five, copies of {megabytes} MiB: what the link yields to a program that may pin memory.",
        answer["who"].as_str().unwrap_or("CuPy")
    ));
}

/// Masks alone, of maps that lie whole in memory, which suits the peer best.
pub(crate) fn run(scripts: &Path, small: bool, section: &mut Section, clock: Clock) {
    section.columns(&["input", "who", "us per bin", "data on the device already"]);
    if clock.over() {
        return section.cut("all of it");
    }
    let n_t = if small { 200 } else { 20_000 };
    for kind in [Kind::Gm, Kind::Po] {
        let mut field = Field::<f64>::new(kind, n_t, Layout::Txy);
        let folder = match written(&field) {
            Ok(folder) => folder,
            Err(error) => return section.fail(error.to_string()),
        };
        let words = [folder.path().to_string_lossy().into_owned()];
        match ask(&scripts.join("cuda.py"), &words, folder.path(), clock) {
            Ok(answer) => {
                if let Some(why) = answer["skipped"].as_str() {
                    return section.leave_out(format!("the CUDA peer: {why}"));
                }
                if answer["equal"] != true {
                    section.fail(format!("{}: the peer's masks differ", kind.name()));
                }
                let time = |key: &str| answer[key].as_f64().map(|s| s * 1e6 / n_t as f64);
                section.row([
                    kind.name().into(),
                    answer["who"].as_str().unwrap_or("the peer").into(),
                    time("end_to_end").into(),
                    time("on_device").into(),
                ]);
            }
            Err(why) => return section.leave_out(format!("the CUDA peer: {why}")),
        }
        let side = Side {
            work: Work::Masks,
            ..Side::new(Engine::Gpu)
        };
        let figures = field.contest(&[side], clock, section);
        if let [Some(figures)] = &figures[..] {
            section.row([
                kind.name().into(),
                Cell::from("peakmask, gpu"),
                figures.total().into(),
                figures.kernels().into(),
            ]);
        }
    }
    section.note("Masks for two alphas from host memory to host memory, (t, x, y), without peaks; the masks are equal.");
}

/// The input and the masks that the CPU makes, as files.
fn written(field: &Field<f64>) -> Result<tempfile::TempDir, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let p = field.stack().view().permuted_axes([2, 0, 1]);
    p.write_npy(File::create(folder.path().join("p.npy"))?)?;
    for (i, mask) in field.masks().iter().enumerate() {
        let mask = mask.view().permuted_axes([2, 0, 1]);
        mask.write_npy(File::create(folder.path().join(format!("mask{i}.npy")))?)?;
    }
    Ok(folder)
}

/// What a script says, in its one line of JSON, which is kept in a folder.
fn ask(script: &Path, words: &[String], folder: &Path, clock: Clock) -> Result<Json, String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let out = folder.join("answer.json");
    let stdout = File::create(&out).map_err(|error| error.to_string())?;
    let mut child = Command::new(&python)
        .arg(script)
        .args(words)
        .stdin(Stdio::null())
        .stdout(stdout)
        .spawn()
        .map_err(|error| format!("{python}: {error}"))?;
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => break,
            Some(status) => return Err(format!("{} ended with {status}", script.display())),
            None if clock.over() => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("out of time".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    let said = std::fs::read_to_string(out).map_err(|error| error.to_string())?;
    serde_json::from_str(said.trim()).map_err(|error| format!("{error}: {said:?}"))
}
