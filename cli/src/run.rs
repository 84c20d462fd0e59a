//! `peakmask run`: from a posterior to masks, peaks, a report and a picture.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bytemuck::Pod;
use indicatif::ProgressBar;
use peakmask::{Analysis, Backend, CancelToken, Dtype, Element, GpuUse, MemoryGuard, Options};

use crate::args::{BinRange, RunArgs};
use crate::budget::{self, Budget};
use crate::failure::Failure;
use crate::input::{Input, Posterior};
use crate::output::{Pending, check_distinct, npz_bytes, persist_all, write_npz};
use crate::report::{self, Summary};
use crate::sheet::Format;
use crate::{drivers, picture, terminal};

pub(crate) fn run(args: &RunArgs, cancel: &CancelToken) -> Result<(), Failure> {
    check_engine(args)?;
    drivers::try_first(&args.gpu, Some(args.backend), cancel);
    let input = Input::open(&args.input)?;
    let outputs: Vec<&Path> = [
        Some(&args.output),
        args.picture.as_ref(),
        args.report.as_ref(),
    ]
    .into_iter()
    .flatten()
    .map(AsRef::as_ref)
    .collect();
    check_distinct(&[&args.input.input], &outputs)?;
    match input.dtype {
        Dtype::F64 => run_as::<f64>(args, &input, cancel),
        Dtype::F32 => run_as::<f32>(args, &input, cancel),
    }
}

fn run_as<T: Element + Pod + Into<f64>>(
    args: &RunArgs,
    input: &Input,
    cancel: &CancelToken,
) -> Result<(), Failure> {
    let bins = BinRange::resolve(args.bins, input.n_bins())
        .map_err(|sentence| input.array.unusable(sentence))?;
    let options = options(args, cancel);
    let budget = Budget {
        input,
        options: &options,
        bins: bins.clone(),
        limit: budget::limit(args.memory_limit),
        panels: args.picture.as_ref().map_or(0, |_| picture::PANELS),
    };
    let plan = budget.plan()?;
    let strict = args.on_limit == MemoryGuard::Strict;
    if strict && plan.copy > 0 {
        // Before the copy is made; a mapped input is first checked for swapped axes, which falsify every estimate.
        budget.check(&plan, || {
            // The first time bins stand for all, as many as there is surely room for.
            let room = budget.limit.bytes / 8 / input.copy_bytes(1).max(1);
            let some = bins.start..bins.start + bins.len().min(SAMPLE).min(room as usize);
            peaks_per_bin(&input.load::<T>(some, cancel)?, &budget)
        })?;
    }
    let posterior = input.load::<T>(bins.clone(), cancel)?;
    if !bins.is_empty() {
        posterior.check_axis_order()?;
    }
    if strict {
        budget.check(&plan, || peaks_per_bin(&posterior, &budget))?;
    }
    let format = args.picture.as_deref().map(Format::of).transpose()?;
    // Made before the analysis, so that a folder that takes no files is found out now.
    let mut result = Pending::create(&args.output)?;
    let mut sheet = args.picture.as_deref().map(Pending::create).transpose()?;
    let mut file = args.report.as_deref().map(Pending::create).transpose()?;

    let bar = terminal::bar(args.quiet);
    let options = options
        .clone()
        .memory_limit(budget.limit.bytes.saturating_sub(plan.beside_analysis()));
    let mut analysis =
        beside_checksum(input, cancel, || analyze(&posterior, options, &budget, bar))?;
    analysis.peaks = args.lists.of(analysis.peaks);

    let [n_x, n_y, _] = input.shape();
    terminal::count_bytes(bar, npz_bytes(&analysis));
    result.write(|writer| {
        let shape = [n_x, n_y, bins.len()];
        write_npz(writer, shape, &args.alphas, &analysis, cancel, &|bytes| {
            bar.inc(bytes);
        })
    })?;
    bar.finish_and_clear();
    if let Some(sheet) = &mut sheet {
        let image = picture::of_analysis(
            input,
            &posterior,
            bins.start,
            &args.alphas,
            &analysis,
            format.unwrap_or(Format::Png),
            cancel,
        )?;
        sheet.write(|writer| image.write(writer))?;
    }
    let summary = Summary::new(&args.alphas, &analysis);
    if let Some(file) = &mut file {
        let report = report::json(args, input, &bins, &plan, budget.limit, &summary);
        file.write(|writer| Ok(writeln!(writer, "{report:#}")?))?;
    }
    persist_all([Some(result), sheet, file].into_iter().flatten())?;
    if !args.quiet {
        terminal::say(&summary.line());
    }
    Ok(())
}

/// Does the work while another thread compares the input with its checksum; nothing has been written yet when that differs.
fn beside_checksum<R>(
    input: &Input,
    cancel: &CancelToken,
    work: impl FnOnce() -> Result<R, Failure>,
) -> Result<R, Failure> {
    let needed = AtomicBool::new(true);
    let verify = || input.verify(cancel, &needed);
    std::thread::scope(|threads| {
        let checksum = std::thread::Builder::new()
            .name("checksum".to_owned())
            .spawn_scoped(threads, verify);
        let done = work();
        needed.store(done.is_ok(), Ordering::Relaxed);
        let verified = match checksum {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread to be had: one after the other.
            Err(_) => verify(),
        };
        done.and_then(|done| verified.map(|()| done))
    })
}

/// Refuses an engine that other options rule out.
fn check_engine(args: &RunArgs) -> Result<(), Failure> {
    let ((backend @ Backend::Cpu, Some(gpu_use @ GpuUse::Require))
    | (backend @ Backend::Gpu, Some(gpu_use @ GpuUse::Off))) = (args.backend, args.gpu.gpu)
    else {
        return Ok(());
    };
    Err(Failure::Input(format!(
        "--backend {backend} and --gpu {gpu_use} contradict each other; leave one of them out"
    )))
}

fn options(args: &RunArgs, cancel: &CancelToken) -> Options {
    args.gpu
        .choose(Options::new())
        .alphas(args.alphas.iter().copied())
        .connectivity(args.connectivity)
        .prominence(args.prominence)
        .backend(args.backend)
        .threads(args.threads)
        .memory_guard(args.on_limit)
        .cancel_token(cancel.clone())
}

/// Runs the library under a progress bar.
fn analyze<T: Element>(
    posterior: &Posterior<'_, T>,
    options: Options,
    budget: &Budget<'_>,
    bar: &'static ProgressBar,
) -> Result<Analysis<T>, Failure> {
    terminal::count_bins(bar, budget.bins.len());
    let options = options.progress(|progress| bar.set_position(progress.done as u64));
    let analysis = peakmask::analyze(posterior.view()?, &options);
    if analysis.is_err() {
        bar.finish_and_clear();
    }
    analysis.map_err(|error| budget.exceeded(error, || peaks_per_bin(posterior, budget)))
}

/// The most time bins in which peaks are counted to tell how many there are in others.
const SAMPLE: usize = 64;

/// The number of peaks in a time bin, from a sample, with a margin for the others; where there is no room for a sample, the
/// most that there can be.
fn peaks_per_bin<T: Element>(
    posterior: &Posterior<'_, T>,
    budget: &Budget<'_>,
) -> Result<f64, Failure> {
    const MARGIN: f64 = 1.25;
    let (n_x, n_y, n_t) = posterior.view()?.dim();
    // A few large maps are enough.
    let sample = SAMPLE.min((1 << 20) / (n_x * n_y).max(1)).max(1);
    let bins: Vec<_> = (0..n_t).step_by(n_t.div_ceil(sample).max(1)).collect();
    let options = budget
        .options
        .clone()
        .alphas([])
        .backend(Backend::Cpu)
        .threads(1)
        .memory_guard(MemoryGuard::Strict)
        .memory_limit(budget.limit.bytes);
    match peakmask::analyze(posterior.select(&bins)?.view(), &options) {
        Ok(analysis) => Ok(MARGIN * analysis.peaks.len() as f64 / bins.len().max(1) as f64),
        Err(peakmask::Error::OverBudget { .. } | peakmask::Error::OutOfMemory { .. }) => {
            Ok((n_x * n_y) as f64)
        }
        Err(error) => Err(error.into()),
    }
}
