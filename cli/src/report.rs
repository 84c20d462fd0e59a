//! The report of a run: for machines as JSON, for people as one line.

use std::fmt::Write as _;
use std::ops::Range;

use ndarray::Array3;
use peakmask::{
    AdapterKind, Analysis, Connectivity, Element, Engines, Level, LimitSource, MemoryLimit, Peaks,
    Report,
};
use serde_json::{Value, json};

use crate::args::RunArgs;
use crate::budget::Plan;
use crate::input::{Copy, Input};
use crate::levels::in_words;
use crate::stream::Outcome;

/// What came out, in numbers.
pub(crate) struct Summary<'a> {
    levels: &'a [Level],
    report: &'a Report,
    /// Time bins of the results, and the peaks in them: more than the report's, where a run was continued.
    bins: usize,
    peaks: usize,
    /// Whether these are the peaks that filters left.
    filtered: bool,
    /// Time bins that have peaks: those that are neither constant nor hold a NaN.
    live_bins: usize,
    /// Cells of all masks of each alpha.
    areas: Vec<u64>,
}

impl<'a> Summary<'a> {
    pub(crate) fn new<T: Element>(
        levels: &'a [Level],
        analysis: &'a Analysis<T>,
        live_bins: usize,
        filtered: bool,
    ) -> Self {
        Self {
            levels,
            report: &analysis.report,
            bins: analysis.report.bins,
            peaks: analysis.peaks.len(),
            filtered,
            live_bins,
            areas: areas(analysis),
        }
    }

    /// Of results that were written piece by piece; nobody has counted the cells of masks.
    pub(crate) fn streamed(bins: usize, outcome: &'a Outcome, filtered: bool) -> Self {
        Self {
            levels: &[],
            report: &outcome.report,
            bins,
            peaks: outcome.peaks,
            filtered,
            live_bins: outcome.live_bins,
            areas: Vec::new(),
        }
    }

    fn per_live_bin(&self, number: u64) -> f64 {
        number as f64 / self.live_bins.max(1) as f64
    }

    fn bins_per_second(&self) -> Option<f64> {
        let seconds = self.report.seconds.total;
        (seconds > 0.0).then(|| self.report.bins as f64 / seconds)
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let report = self.report;
        let mut line = format!(
            "{} time bins, {} of them live; per live bin {:.1} {}",
            self.bins,
            self.live_bins,
            self.per_live_bin(self.peaks as u64),
            if self.filtered {
                "listed peaks"
            } else {
                "peaks"
            }
        );
        for (level, &area) in self.levels.iter().zip(&self.areas) {
            let _ = write!(
                line,
                ", {:.1} cells at {}",
                self.per_live_bin(area),
                in_words(level)
            );
        }
        if report.uncovered_bins > 0 {
            let _ = write!(
                line,
                "; {} time bins have no share of a total",
                report.uncovered_bins
            );
        }
        let _ = write!(line, "; {:.3} s", report.seconds.total);
        if let Some(rate) = self.bins_per_second() {
            let _ = write!(line, ", {rate:.0} bins/s");
        }
        let threads = if report.threads == 1 {
            "thread"
        } else {
            "threads"
        };
        let _ = write!(
            line,
            ", {} {threads}, {}; {}",
            report.threads,
            report.instruction_set,
            engines(report)
        );
        line
    }

    /// The library's report, with what the results add to it.
    fn json(&self) -> Value {
        let mut run = json!(self.report);
        run["live_bins"] = json!(self.live_bins);
        run["listed_peaks"] = json!(self.peaks);
        run["mean_area_cells_per_live_bin"] = (self.areas.iter())
            .map(|&area| self.per_live_bin(area))
            .collect();
        run["bins_per_second"] = json!(self.bins_per_second());
        run
    }
}

/// The number of time bins that have peaks.
pub(crate) fn live_bins<T: Element>(peaks: &Peaks<T>) -> usize {
    peaks.bins().filter(|bin| !bin.is_empty()).count()
}

/// Cells of all masks of each level, in whatever form they are; none where there are neither masks nor a summary.
fn areas<T: Element>(analysis: &Analysis<T>) -> Vec<u64> {
    let sum = |areas: &mut dyn Iterator<Item = i64>| areas.sum::<i64>() as u64;
    if let Some(summary) = &analysis.summary {
        let levels = summary.area.rows().into_iter();
        return levels
            .map(|level| sum(&mut level.iter().copied()))
            .collect();
    }
    if let Some(packed) = &analysis.packed {
        return packed
            .iter()
            .map(|mask| sum(&mut mask.areas().into_iter()))
            .collect();
    }
    match &analysis.sparse {
        Some(sparse) => sparse.iter().map(|mask| mask.cells.len() as u64).collect(),
        None => analysis.masks.iter().map(area).collect(),
    }
}

/// Who computed, in words, and why no GPU did, or not to the end.
fn engines(report: &Report) -> String {
    let adapter = report.gpu.as_ref().map_or("GPU".to_owned(), |gpu| {
        let adapter = &gpu.adapter;
        match adapter.kind {
            AdapterKind::Software => format!("{} ({})", adapter.name, adapter.kind),
            _ => adapter.name.clone(),
        }
    });
    let mut words = match (report.cpu_bins, report.gpu_bins) {
        (_, 0) if report.engine == Engines::Cpu => "CPU".to_owned(),
        (0, _) => format!("GPU: {adapter}"),
        (cpu, gpu) => format!("{cpu} bins on the CPU, {gpu} on the GPU: {adapter}"),
    };
    // A device that had less memory to spare than it was thought to have.
    if let Some(gpu) = report.gpu.as_ref().filter(|gpu| gpu.halvings > 0) {
        let _ = write!(
            words,
            " (batches halved to {} bins for want of memory)",
            gpu.batch_bins
        );
    }
    if let Some(reason) = &report.no_gpu {
        let when = if report.gpu_bins == 0 {
            "no GPU"
        } else {
            "then no GPU"
        };
        // The whole of it is in the report.
        let short = reason.split(';').next().unwrap_or_default();
        let _ = write!(words, ", {when}: {short}");
    }
    words
}

fn area(mask: &Array3<bool>) -> u64 {
    if mask.is_empty() {
        // There may be billions of rows without a cell.
        return 0;
    }
    mask.rows()
        .into_iter()
        .map(|row| row.iter().map(|&cell| u64::from(cell)).sum::<u64>())
        .sum()
}

/// The whole story of a run as JSON.
pub(crate) fn json(
    args: &RunArgs,
    output: Option<&std::path::Path>,
    input: &Input,
    bins: &Range<usize>,
    plan: &Plan,
    limit: MemoryLimit,
    summary: &Summary<'_>,
) -> Value {
    let [n_x, n_y, n_t] = input.shape();
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "input": {
            "path": path(&input.array.path),
            "key": input.array.key,
            "dtype": input.array.header.descr.name(),
            "shape": [n_x, n_y, n_t],
            "layout": input.layout.name(),
            "stored_shape": input.stored_shape(),
            "stored_order": if input.array.header.fortran_order { "fortran" } else { "c" },
            "copied_because": input.copy().map(Copy::reason),
        },
        "options": {
            "alphas": args.alphas.iter().map(|&alpha| number(alpha)).collect::<Vec<_>>(),
            "absolutes": args.other.absolutes.iter().map(|&value| number(value)).collect::<Vec<_>>(),
            "coverages": args.other.coverages,
            "region": args.other.region.to_string(),
            "nan": args.other.nan_policy.to_string(),
            "connectivity": match args.how.connectivity { Connectivity::Four => 4, Connectivity::Eight => 8 },
            "prominence": args.how.prominence.to_string(),
            "min_height": args.filters.min_height.map(number),
            "min_relative_height": args.filters.min_relative_height.map(number),
            "min_prominence": args.filters.min_prominence.map(number),
            "min_distance": args.filters.min_distance.map(number),
            "highest": args.filters.highest,
            "most_prominent": args.filters.most_prominent,
            "saddles": args.lists.saddles,
            "peak_regions": args.lists.peak_regions.iter().copied().map(number).collect::<Vec<_>>(),
            "backend": args.how.backend.to_string(),
            "adapter": args.how.gpu.adapter,
            "gpu": args.how.gpu.gpu.map(|gpu_use| gpu_use.to_string()),
            "threads": args.how.threads,
            "bins": [bins.start, bins.end],
            "memory_limit": args.how.memory_limit,
            "on_limit": args.how.on_limit.to_string(),
            "stream": args.stream,
            "resume": args.resume,
            "masks": args.form().to_string(),
        },
        "environment": {
            "PEAKMASK_ADAPTER": variable("PEAKMASK_ADAPTER"),
            "PEAKMASK_GPU": variable("PEAKMASK_GPU"),
        },
        "memory": {
            "limit_bytes": (limit.source != LimitSource::Unknown).then_some(limit.bytes),
            "limit_source": limit.source.to_string(),
            "fixed_bytes": plan.estimate.fixed_bytes,
            "bytes_per_peak": plan.estimate.bytes_per_peak,
            "assumed_peaks": plan.estimate.assumed_peaks,
            "copy_bytes": plan.copy,
            "picture_bytes": plan.picture,
            "peak_columns_bytes": plan.lists.bytes(plan.estimate.assumed_peaks),
            "total_bytes": plan.total(),
        },
        "outputs": {
            "result": output.map(path),
            "summary": args.summary.as_deref().map(path),
            "picture": args.picture.as_deref().map(path),
        },
        "run": summary.json(),
    })
}

/// What the library reads from the environment, where the options leave it open.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// A float as JSON knows it; NaN and the infinities, for which it has no numbers, as strings.
fn number(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else {
        json!(value.to_string().to_lowercase())
    }
}
