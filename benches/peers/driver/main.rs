//! peakmask as `benches/peers/compare.py` drives it: one input in memory, one job a line.
//!
//! ```text
//! peers_driver {serve|memory} INPUT.npy {xyt|txy} {huge|default} THREADS ALPHA...
//! peers_driver grow INPUT.npy {xyt|txy} {huge|default} TIMES ALPHA...
//! ```
//!
//! It reads the file into anonymous memory. `memory` analyses it once on THREADS threads, writes as JSON how many bytes
//! of anonymous memory were in use at the peak beyond input and results, and is done. `serve` answers lines of standard
//! input with lines of JSON until the input ends:
//!
//! | line | answer |
//! |---|---|
//! | `about` | version, instruction set, cores, peaks, speeds of the floor's read and of a copy, bytes in huge pages |
//! | `end_to_end N`, `fresh N`, `touch N`, `peaks_only N`, `masks_only N`, `floor N`, `packed N`, `areas N`, `areas_of_masks N` | seconds of one such job on N threads; `gpu` or `auto` in place of N |
//! | `dump FOLDER FIRST END` | writes the warm results of the time bins FIRST to END as `.npy` files |
//!
//! `grow` answers `growth.py`: what it analyses is the input TIMES over, as pieces of one recording, into peaks and packed masks.
//!
//! | line | answer |
//! |---|---|
//! | `memory N` | bytes at the peak of a job into fresh outputs, as `memory` above; to be asked of a new process |
//! | `packed N` | seconds of a job into warm outputs on N threads |
//! | `check` | version, instruction set, peaks, time bins that were compared with those of other ways to find them |
//! | `dump FOLDER FIRST END` | as above |

#[path = "../../support/bed.rs"]
mod bed;
#[path = "../../support/engine.rs"]
mod engine;
#[path = "../../support/floor.rs"]
mod floor;
mod forms;
mod growth;
#[path = "../../support/jobs.rs"]
mod jobs;
mod resident;
#[path = "../../support/stack.rs"]
mod stack;

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, Write};
use std::path::Path;

use bed::Bed;
use bytemuck::Pod;
use engine::Engine;
use forms::{Forms, column_bytes};
use growth::Growth;
use jobs::jobs;
use memmap2::Mmap;
use ndarray::{Array1, Array2, Array4, ArrayBase, ArrayView3, Axis, s};
use ndarray_npy::{ViewElement, ViewNpyExt, WritableElement, write_npy};
use peakmask::{Analysis, Element, InstructionSet, Peaks};
use stack::{Layout, Pages, Stack};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [command, file, layout, pages, threads, alphas @ ..] = &words[..] else {
        // `cargo bench` starts every bench target; this one has nothing to do without its partner.
        writeln!(
            std::io::stdout(),
            "peers_driver: started by benches/peers/compare.py"
        )?;
        return Ok(());
    };
    let command = match *command {
        "serve" => Command::Serve,
        "memory" => Command::Memory(threads.parse()?),
        "grow" => Command::Grow(threads.parse()?),
        other => return Err(format!("the command is serve, memory or grow, not {other}").into()),
    };
    let layout = match *layout {
        "xyt" => Layout::Xyt,
        "txy" => Layout::Txy,
        other => return Err(format!("the layout is xyt or txy, not {other}").into()),
    };
    let pages = match *pages {
        "huge" => Pages::Huge,
        "default" => Pages::Default,
        other => return Err(format!("pages are huge or default, not {other}").into()),
    };
    let alphas: Vec<f64> = alphas
        .iter()
        .map(|alpha| alpha.parse())
        .collect::<Result<_, _>>()?;
    match load::<f64>(file, layout, pages) {
        Ok(stack) => command.run(stack, &alphas),
        Err(_) => command.run(load::<f32>(file, layout, pages)?, &alphas),
    }
}

enum Command {
    Serve,
    Memory(usize),
    Grow(usize),
}

impl Command {
    fn run<T: Element + Pod + WritableElement>(
        self,
        stack: Stack<T>,
        alphas: &[f64],
    ) -> Outcome<()> {
        match self {
            Self::Serve => serve(Bed::new(stack, alphas), alphas),
            Self::Memory(threads) => {
                let bed = Bed::cold(stack, alphas);
                writeln!(
                    std::io::stdout(),
                    "{}",
                    beyond(|| bed.analysis(Engine::Cpu(threads)))
                )?;
                Ok(())
            }
            Self::Grow(times) => grow(Growth::new(stack, alphas, times)),
        }
    }
}

fn load<T: Element + Pod + ViewElement>(
    file: &str,
    layout: Layout,
    pages: Pages,
) -> Outcome<Stack<T>> {
    #[expect(
        unsafe_code,
        reason = "a file is mapped, so that its values are copied once"
    )]
    // SAFETY: compare.py has written the file into a folder of its own, and changes it no more.
    let bytes = unsafe { Mmap::map(&File::open(file)?) }?;
    let mut p = ArrayView3::<T>::view_npy(&bytes)?;
    if layout == Layout::Txy {
        p = p.permuted_axes([1, 2, 0]);
    }
    let mut stack = Stack::zeros(p.dim().into(), layout, pages);
    stack.view_mut().assign(&p);
    Ok(stack)
}

fn serve<T: Element + Pod + WritableElement>(mut bed: Bed<T>, alphas: &[f64]) -> Outcome<()> {
    bed.assert_masks_only(Engine::Cpu(1));
    let mut forms = Forms::new(&mut bed, alphas);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let seconds = match &words[..] {
            ["about"] => {
                writeln!(out, "{}", about(&bed)?)?;
                continue;
            }
            ["dump", folder, first, end] => {
                let (folder, first, end) = (Path::new(folder), first.parse()?, end.parse()?);
                let masks: Vec<_> = (bed.masks().iter())
                    .map(|mask| mask.slice(s![.., .., first..end]))
                    .collect();
                dump(ndarray::stack(Axis(0), &masks)?, bed.peaks(), folder, first)?;
                let areas = forms.areas().slice(s![.., first..end]);
                write_npy(folder.join("areas.npy"), &areas)?;
                writeln!(out, "{{}}")?;
                continue;
            }
            [name, engine] => match jobs::<T>().iter().find(|(job, _)| job == name) {
                Some((_, job)) => job(&mut bed, engine.parse()?),
                None => forms
                    .time(name, &mut bed, engine.parse()?)
                    .ok_or_else(|| format!("no such job: {line}"))?,
            },
            _ => return Err(format!("no such request: {line}").into()),
        };
        writeln!(out, r#"{{"seconds": {}}}"#, seconds.as_secs_f64())?;
    }
    Ok(())
}

fn about<T: Element + Pod>(bed: &Bed<T>) -> Outcome<String> {
    let speeds = floor::speeds(bed.stack().words(), &floor::pool(1));
    Ok(format!(
        r#"{{"version": "{}", "instruction_set": "{}", "cores": {}, "peaks": {}, "read": {:.0}, "copy": {:.0}, "huge_bytes": {}}}"#,
        env!("CARGO_PKG_VERSION"),
        InstructionSet::detect(),
        std::thread::available_parallelism()?,
        bed.peaks().len(),
        speeds.read,
        speeds.copy,
        resident::huge().map_or("null".to_owned(), |bytes| bytes.to_string()),
    ))
}

fn grow<T: Element + Pod + WritableElement>(mut growth: Growth<T>) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
            ["memory", threads] => {
                let threads = threads.parse()?;
                writeln!(out, "{}", beyond(|| growth.fresh(threads)))?;
            }
            ["check"] => writeln!(
                out,
                r#"{{"version": "{}", "instruction_set": "{}", "peaks": {}, "compared": {}}}"#,
                env!("CARGO_PKG_VERSION"),
                InstructionSet::detect(),
                growth.peaks().len(),
                growth.assert_right(),
            )?,
            ["dump", folder, first, end] => {
                let (folder, first, end) = (Path::new(folder), first.parse()?, end.parse()?);
                dump(growth.masks(first..end), growth.peaks(), folder, first)?;
                writeln!(out, "{{}}")?;
            }
            ["packed", threads] => {
                let seconds = growth.again(threads.parse()?).as_secs_f64();
                writeln!(out, r#"{{"seconds": {seconds}}}"#)?;
            }
            _ => return Err(format!("no such request: {line}").into()),
        }
    }
    Ok(())
}

/// Bytes beyond the results, as JSON. Of the first job of a process: later ones would find memory that earlier ones left in
/// the allocator's hands.
fn beyond<T: Element + Pod>(job: impl FnOnce() -> Analysis<T>) -> String {
    let (bytes, analysis) = resident::peak_beyond_now(job);
    let packed = analysis.packed.iter().flatten();
    let results: usize = analysis.masks.iter().map(ArrayBase::len).sum::<usize>()
        + packed.map(|mask| mask.bits().len()).sum::<usize>()
        + column_bytes(&analysis.peaks);
    let beyond = bytes.map_or("null".to_owned(), |bytes| {
        (bytes - results as i64).to_string()
    });
    format!(r#"{{"beyond": {beyond}, "results": {results}}}"#)
}

/// Writes masks of time bins from `first` on, and the peaks of these bins.
fn dump<T: Element + Pod + WritableElement>(
    masks: Array4<bool>,
    peaks: &Peaks<T>,
    folder: &Path,
    first: usize,
) -> Outcome<()> {
    let end = first + masks.len_of(Axis(3));
    let rows = peaks.offsets[first] as usize..peaks.offsets[end] as usize;
    let offsets: Array1<i64> = (peaks.offsets[first..=end].iter())
        .map(|row| row - peaks.offsets[first])
        .collect();
    let coords = Array2::from(peaks.coords[rows.clone()].to_vec());
    write_npy(folder.join("masks.npy"), &masks)?;
    write_npy(folder.join("peak_offsets.npy"), &offsets)?;
    write_npy(folder.join("peak_coords.npy"), &coords)?;
    let (prominences, heights) = (&peaks.prominences[rows.clone()], &peaks.heights[rows]);
    write_npy(
        folder.join("prominences.npy"),
        &Array1::from(prominences.to_vec()),
    )?;
    write_npy(
        folder.join("peak_heights.npy"),
        &Array1::from(heights.to_vec()),
    )?;
    Ok(())
}
