//! `peakmask run`: from a posterior to masks, peaks, a report and a picture.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use peakmask::{
    Analysis, Backend, CancelToken, Dtype, Element, GpuUse, MaskForm, MemoryGuard, Options,
    Prominence,
};

use crate::args::{BinRange, InputArgs, RunArgs};
use crate::budget::{self, Budget, Plan};
use crate::failure::Failure;
use crate::input::{Input, Posterior};
use crate::lists::Lists;
use crate::output::{Pending, check_distinct, npz_bytes, persist_all, write_npz};
use crate::report::{self, Summary, live_bins};
use crate::sheet::Format;
use crate::stream::Job;
use crate::table::{self, Table};
use crate::{drivers, picture, signals, terminal};

pub(crate) fn run(args: &RunArgs, cancel: &CancelToken) -> Result<(), Failure> {
    check_engine(args)?;
    check_filters(args)?;
    check_lists(args)?;
    if args.picture.is_some() && args.form() != MaskForm::Bytes {
        return Err(Failure::Input(format!(
            "--picture draws outlines of masks of the form bytes, not {}; leave out --picture, or --masks and --packed",
            args.form()
        )));
    }
    drivers::try_first(&args.how.gpu, Some(args.how.backend), cancel);
    if let [input] = args.inputs.as_slice() {
        let may_stream = args.output.as_deref().is_some_and(is_folder);
        let one = One::new(args, input, args.output.clone(), may_stream);
        return one.run(cancel);
    }
    let inputs = each_with_output(args)?;
    let (total, mut done, mut failed) = (inputs.len(), 0, None);
    for (i, one) in inputs.iter().enumerate() {
        signals::expect_more(i + 1 < total);
        match one.run(cancel) {
            Ok(()) => done += 1,
            Err(failure @ Failure::Paused(_)) => return Err(failure),
            Err(_) if cancel.is_cancelled() => {
                return Err(Failure::Paused(format!(
                    "interrupted; {done} of {total} inputs were analysed"
                )));
            }
            Err(failure) => {
                terminal::say(&format!("error: {failure}"));
                failed = failed.or(Some(failure.exit_code()));
            }
        }
    }
    match failed {
        None => Ok(()),
        Some(code) => Err(Failure::Several(
            code,
            format!("{} of {total} inputs could not be analysed", total - done),
        )),
    }
}

/// Whether an output that is not named like an archive may be a folder.
fn is_folder(output: &Path) -> bool {
    output.extension().is_none_or(|ending| ending != "npz")
}

/// The results of several inputs: each in the folder that is named as the output, under the name of the input.
fn each_with_output(args: &RunArgs) -> Result<Vec<One<'_>>, Failure> {
    // `summary` writes nothing else, and says of which kind.
    let tables = args.format;
    let folder = match tables {
        Some(_) => args.summary.as_deref(),
        None => args.output.as_deref(),
    };
    let folder = folder.unwrap_or(Path::new("."));
    if let Some(format) = tables {
        format.check()?;
    }
    if let Some(option) = [
        args.summary
            .as_ref()
            .filter(|_| tables.is_none())
            .map(|_| "--summary"),
        args.picture.as_ref().map(|_| "--picture"),
        args.report.as_ref().map(|_| "--report"),
    ]
    .into_iter()
    .flatten()
    .next()
    {
        return Err(Failure::Input(format!(
            "{option} names one file, but there are {} inputs; leave it out, or analyse them one by one",
            args.inputs.len()
        )));
    }
    let mut names = BTreeMap::new();
    for input in &args.inputs {
        let name = input.file_stem().unwrap_or_default();
        if let Some(other) = names.insert(name, input) {
            return Err(Failure::input(
                input,
                format!(
                    "and {} have one name, and so would their results; analyse them one by one",
                    other.display()
                ),
            ));
        }
    }
    match fs::create_dir(folder) {
        Err(_) if folder.is_dir() => {}
        Err(error) => {
            return Err(Failure::output(
                folder,
                format!(
                    "is to be a folder for the results of {} inputs, and cannot be made ({error})",
                    args.inputs.len()
                ),
            ));
        }
        Ok(()) => {}
    }
    Ok(args
        .inputs
        .iter()
        .map(|input| {
            let name = input.file_stem().unwrap_or_default();
            let with_ending = |ending: &str| {
                let mut file = name.to_owned();
                file.push(".");
                file.push(ending);
                folder.join(file)
            };
            if let Some(format) = tables {
                return One {
                    summary: Some(with_ending(format.ending())),
                    ..One::new(args, input, None, false)
                };
            }
            let streamed = folder.join(name);
            let output = match args.stream {
                true => streamed.clone(),
                false => with_ending("npz"),
            };
            One {
                streamed: Some(streamed),
                ..One::new(args, input, Some(output), true)
            }
        })
        .collect())
}

/// One of the inputs, and where its result goes.
struct One<'a> {
    args: &'a RunArgs,
    input: InputArgs,
    /// None where only a summary is written.
    output: Option<PathBuf>,
    /// Where the result goes if it is streamed.
    streamed: Option<PathBuf>,
    /// Where a summary goes, if one is wanted.
    summary: Option<PathBuf>,
    /// Whether it may be streamed without having been asked for.
    may_stream: bool,
}

impl<'a> One<'a> {
    fn new(args: &'a RunArgs, input: &Path, output: Option<PathBuf>, may_stream: bool) -> Self {
        let input = InputArgs {
            input: input.to_owned(),
            reading: args.reading.clone(),
        };
        Self {
            args,
            input,
            streamed: output.clone(),
            output,
            summary: args.summary.clone(),
            may_stream,
        }
    }

    fn run(&self, cancel: &CancelToken) -> Result<(), Failure> {
        let input = Input::open(&self.input)?;
        let RunArgs {
            picture, report, ..
        } = self.args;
        let outputs: Vec<&Path> = [&self.output, &self.summary, picture, report]
            .into_iter()
            .filter_map(Option::as_deref)
            .collect();
        check_distinct(&[&self.input.input], &outputs)?;
        match input.dtype {
            Dtype::F64 => self.run_as::<f64>(&input, cancel),
            Dtype::F32 => self.run_as::<f32>(&input, cancel),
        }
    }

    fn run_as<T: Element>(&self, input: &Input, cancel: &CancelToken) -> Result<(), Failure> {
        let args = self.args;
        let table = self.table()?;
        let bins = BinRange::resolve(args.how.bins, input.n_bins())
            .map_err(|sentence| input.array.unusable(sentence))?;
        let options = options(args, cancel);
        let budget = Budget {
            input,
            options: &options,
            bins: bins.clone(),
            limit: budget::limit(args.how.memory_limit),
            panels: args.picture.as_ref().map_or(0, |_| picture::PANELS),
            form: args.picture.is_none().then(|| args.form()),
            lists: Some((&args.lists, args.filters.most())),
        };
        let plan = budget.plan()?;
        let strict = args.how.on_limit == MemoryGuard::Strict;
        let streamed = self.streamed.as_deref();
        if let Some(folder) = streamed.filter(|_| args.stream) {
            return self.stream::<T>(folder, &budget, &plan, cancel);
        }
        let can_stream = self.may_stream
            && args.picture.is_none()
            && args.form() != MaskForm::Sparse
            && args.lists.asked().is_none();
        if let Some(folder) =
            streamed.filter(|_| strict && can_stream && plan.total() > budget.limit.bytes)
        {
            terminal::say(&format!(
                "note: the analysis needs {}, but the memory limit is {}; results are streamed to the folder {}",
                budget::size(plan.total()),
                budget::limit_in_words(budget.limit),
                folder.display()
            ));
            return self.stream::<T>(folder, &budget, &plan, cancel);
        }
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
        let mut result = self.output.as_deref().map(Pending::create).transpose()?;
        let kind = table.map(|(_, kind)| kind);
        let mut table = table.map(|(path, _)| Pending::create(path)).transpose()?;
        let mut sheet = args.picture.as_deref().map(Pending::create).transpose()?;
        let mut file = args.report.as_deref().map(Pending::create).transpose()?;

        let bar = terminal::bar(args.how.quiet);
        let options = options
            .clone()
            .memory_limit(budget.limit.bytes.saturating_sub(plan.beside_analysis()));
        let mut analysis =
            beside_checksum(input, cancel, || analyze(&posterior, options, &budget, bar))?;
        // Filters change lists alone: not which time bins count as live, nor which are drawn.
        let live_bins = live_bins(&analysis.peaks);
        let drawn = match sheet {
            Some(_) => picture::live_and_evenly_spaced(&analysis.peaks, cancel)?,
            None => Vec::new(),
        };
        if let Some(filter) = args.filters.filter() {
            analysis.peaks.retain(&filter);
        }
        let lists = Lists::find(
            &args.lists,
            &posterior,
            &analysis,
            &budget,
            plan.beside_analysis(),
        )
        .inspect_err(|_| bar.finish_and_clear())?;

        let levels = args.levels();
        let [n_x, n_y, _] = input.shape();
        if let Some(result) = &mut result {
            terminal::count_bytes(bar, npz_bytes(&analysis) + lists.bytes());
            result.write(|writer| {
                let shape = [n_x, n_y, bins.len()];
                let what = (input.is_track(), shape, args.form(), &choices(args)[..]);
                let written = |bytes| bar.inc(bytes);
                write_npz(writer, what, &levels, &analysis, &lists, cancel, &written)
            })?;
        }
        if let (Some(table), Some(kind), Some(summary)) = (&mut table, kind, &analysis.summary) {
            let rows = Table::of(summary);
            table.write(|writer| rows.write(writer, kind, &levels, cancel))?;
        }
        bar.finish_and_clear();
        if let Some(sheet) = &mut sheet {
            let image = picture::of_analysis(
                input,
                &posterior,
                (bins.start, &drawn),
                &levels,
                &analysis,
                format.unwrap_or(Format::Png),
                cancel,
            )?;
            sheet.write(|writer| image.write(writer))?;
        }
        let summary = Summary::new(&levels, &analysis, live_bins, self.filtered());
        if let Some(file) = &mut file {
            let report = report::json(
                args,
                self.output.as_deref(),
                input,
                &bins,
                &plan,
                budget.limit,
                &summary,
            );
            file.write(|writer| Ok(writeln!(writer, "{report:#}")?))?;
        }
        persist_all([result, table, sheet, file].into_iter().flatten())?;
        self.say(&summary);
        Ok(())
    }

    /// The same piece by piece, into a folder.
    fn stream<T: Element>(
        &self,
        folder: &Path,
        budget: &Budget<'_>,
        plan: &Plan,
        cancel: &CancelToken,
    ) -> Result<(), Failure> {
        let Budget {
            input,
            options,
            ref bins,
            limit,
            ..
        } = *budget;
        if self.args.picture.is_some() {
            return Err(Failure::Input(
                "--picture is drawn of results in memory, and --stream has none there; draw one with `peakmask picture`"
                    .to_owned(),
            ));
        }
        if self.args.form() == MaskForm::Sparse {
            return Err(Failure::Input(
                "--stream writes masks of the form bytes, packed, or none; choose another for --masks"
                    .to_owned(),
            ));
        }
        let job = Job {
            args: self.args,
            input,
            bins: bins.clone(),
            options,
            limit,
            output: folder,
            cancel,
        };
        let table = self.table()?;
        // They are made at the end, in no time; that their folders take files is found out now.
        for path in [table.map(|(path, _)| path), self.args.report.as_deref()]
            .into_iter()
            .flatten()
        {
            drop(Pending::create(path)?);
        }
        input.verify(cancel, &AtomicBool::new(true))?;
        let outcome = job.run::<T>(table, |outcome| {
            let summary = Summary::streamed(bins.len(), outcome, self.filtered());
            report::json(self.args, Some(folder), input, bins, plan, limit, &summary)
        })?;
        self.say(&Summary::streamed(bins.len(), &outcome, self.filtered()));
        Ok(())
    }

    /// Where the summary goes, and what kind of file that is, if one is wanted.
    fn table(&self) -> Result<Option<(&Path, table::Format)>, Failure> {
        let Some(path) = self.summary.as_deref() else {
            return Ok(None);
        };
        let format = match self.args.format {
            Some(format) => format,
            None => table::Format::of(path)?,
        };
        Ok(Some((path, format.check()?)))
    }

    /// Whether perhaps not all peaks are listed.
    fn filtered(&self) -> bool {
        self.args.filters.filter().is_some()
    }

    /// What came out, in one line; of several inputs with the name of this one.
    fn say(&self, summary: &Summary<'_>) {
        if self.args.how.quiet {
            return;
        }
        let line = summary.line();
        match self.args.inputs.len() {
            1 => terminal::say(&line),
            _ => terminal::say(&format!("{}: {line}", self.input.input.display())),
        }
    }
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
    | (backend @ Backend::Gpu, Some(gpu_use @ GpuUse::Off))) = (args.how.backend, args.how.gpu.gpu)
    else {
        return Ok(());
    };
    Err(Failure::Input(format!(
        "--backend {backend} and --gpu {gpu_use} contradict each other; leave one of them out"
    )))
}

/// Refuses to filter by what peaks have not got.
fn check_filters(args: &RunArgs) -> Result<(), Failure> {
    match (args.how.prominence, args.filters.of_prominence()) {
        (Prominence::None, Some(option)) => Err(Failure::Input(format!(
            "{option} asks for prominences, and --prominence none finds none; leave one of them out"
        ))),
        _ => Ok(()),
    }
}

/// Refuses what a stream has not got.
fn check_lists(args: &RunArgs) -> Result<(), Failure> {
    match args.lists.asked() {
        Some(option) if args.stream => Err(Failure::Input(format!(
            "{option} is written into an archive, and --stream writes none; leave one of them out, or choose fewer time bins with --bins"
        ))),
        _ => Ok(()),
    }
}

/// What results depend on, and nothing else; filters come later.
pub(crate) fn of_results(args: &RunArgs) -> Options {
    args.other
        .choose(Options::new(), &args.levels())
        .masks(args.form())
        .summary(args.summary.is_some())
        .connectivity(args.how.connectivity)
        .prominence(args.how.prominence)
}

/// What a result is read by, beside its numbers: what was chosen, and how, as Python names it.
fn choices(args: &RunArgs) -> [(&'static str, String); 5] {
    [
        ("form", args.form().to_string()),
        ("connectivity", args.how.connectivity.to_string()),
        ("prominence", args.how.prominence.to_string()),
        ("region", args.other.region.to_string()),
        ("nan_policy", args.other.nan_policy.to_string()),
    ]
}

fn options(args: &RunArgs, cancel: &CancelToken) -> Options {
    args.how
        .gpu
        .choose(of_results(args))
        .backend(args.how.backend)
        .threads(args.how.threads)
        .memory_guard(args.how.on_limit)
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
        .masks(MaskForm::None)
        .summary(false)
        .backend(Backend::Cpu)
        .threads(1)
        .memory_guard(MemoryGuard::Strict)
        .memory_limit(budget.limit.bytes);
    match peakmask::analyze(posterior.select(&bins)?.view(), &options) {
        Ok(analysis) => Ok(MARGIN * analysis.peaks.len() as f64 / bins.len().max(1) as f64),
        Err(peakmask::Error::OverBudget { .. } | peakmask::Error::OutOfMemory { .. }) => {
            Ok((n_x * n_y) as f64)
        }
        // The analysis itself will say which of all time bins it is.
        Err(peakmask::Error::Nan { .. }) => Ok(0.0),
        Err(error) => Err(error.into()),
    }
}
