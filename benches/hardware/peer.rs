//! What a user of Python with a CUDA GPU would write: `benches/peers/cuda.py`, on the same input.

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

/// Masks alone, of maps that lie whole in memory, which suits the peer best.
pub(crate) fn run(script: &Path, small: bool, section: &mut Section, clock: Clock) {
    section.columns(&["input", "who", "us per bin", "data on the device already"]);
    if clock.over() {
        return section.leave_out("all of it");
    }
    let n_t = if small { 200 } else { 20_000 };
    for kind in [Kind::Gm, Kind::Po] {
        let mut field = Field::<f64>::new(kind, n_t, Layout::Txy);
        let folder = match written(&field) {
            Ok(folder) => folder,
            Err(error) => return section.fail(error.to_string()),
        };
        match ask(script, folder.path(), clock) {
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

/// What the script says of the files, in its one line of JSON.
fn ask(script: &Path, folder: &Path, clock: Clock) -> Result<Json, String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let out = folder.join("answer.json");
    let stdout = File::create(&out).map_err(|error| error.to_string())?;
    let mut child = Command::new(&python)
        .arg(script)
        .arg(folder)
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
