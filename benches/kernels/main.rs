//! What the kernels of the GPU engine cost where it can be counted, on any driver, software included: bytes and operations
//! by the SPIR-V that is run, the longest invocation of a batch, and the time of each stage where the device has a clock.
//!
//! ```text
//! cargo bench -p peakmask-benches --bench kernels [-- BINS]
//! ```
//!
//! `PEAKMASK_SHADERS` names another folder of shaders to be counted, those of an earlier state, say; what is run is what has
//! been compiled in.
//!
//! The longest invocation of the resumable kernels is the smallest budget of loop iterations that leaves no bin pending,
//! found by bisection; it holds back the whole batch. Plateaus are counted without the rounds that settle blocks of rows side by
//! side as well. Bins are all in one batch, alphas are 0.5 and 0.9, values `f64`.
//! `PEAKMASK_ADAPTER` names the adapter. Before anything is counted, the batch is compared with the CPU's.

#[path = "../support/check.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod check;
#[path = "../support/inputs.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod inputs;
#[path = "../support/stack.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod stack;
#[path = "../support/value.rs"]
#[expect(dead_code, reason = "a part of it serves the other benches")]
mod value;

mod counts;

use std::io::Write;
use std::path::{Path, PathBuf};

use half::f16;
use inputs::Kind;
use ndarray::ArrayView3;
use peakmask::{Backend, GpuContext, GpuFault, GpuReport, GpuSeconds, GpuTuning, Options, analyze};
use stack::{Layout, Pages};

const ALPHAS: [f64; 2] = [0.5, 0.9];
/// The most iterations that a dispatch may have.
const MOST: u32 = 1 << 15;
/// Leaves out what settles plateaus side by side: one invocation for each lane does it all.
const ALONE: GpuFault = GpuFault {
    file: "bases",
    from: "let row = (2u * block + odd) * p.share_rows;",
    to: "let row = p.n_x;",
};
/// Runs of which the fastest counts.
const RUNS: usize = 3;

fn main() {
    let timed = std::env::args().any(|argument| argument == "--bench")
        && std::env::args().all(|argument| argument != "--test");
    let bins = std::env::args().find_map(|argument| argument.parse().ok());
    let n_t = bins.unwrap_or(if timed { 4_000 } else { 16 });
    counted();
    let context = match GpuContext::open(&Options::new()) {
        Ok(context) => context,
        Err(reason) => return say(&format!("SKIPPED: {reason}")),
    };
    // Opened and probed once.
    let options = Options::new().gpu_context(&context);
    let both = options.clone().alphas(ALPHAS);
    let mut inputs: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| {
            let stack = kind.stack::<f64>(n_t, Layout::Xyt, Pages::Default, 1);
            (kind.name(), stack)
        })
        .collect();
    // In steps of a 16-bit float: plateaus everywhere.
    let mut rounded = Kind::Po.stack::<f64>(n_t, Layout::Xyt, Pages::Default, 1);
    rounded
        .view_mut()
        .mapv_inplace(|value| f16::from_f64(value).to_f64());
    inputs.push(("po, rounded", rounded));
    for (number, (name, stack)) in inputs.iter().enumerate() {
        let p = stack.view();
        assert_same(p, &both);
        if number == 0 {
            let adapter = &context.adapter().name;
            say(&format!("{adapter}, {n_t} bins a batch\n"));
            let stages = GpuSeconds::STAGES.join(" | ");
            say(&format!(
                "| input | longest flood | longest plateau | of one invocation a lane | {stages} | kernels, us a bin |"
            ));
            say(&format!(
                "|---|{}",
                "---|".repeat(GpuSeconds::STAGES.len() + 4)
            ));
        }
        let floods = both.clone().peaks(false);
        let flood = longest(p, &floods, None);
        let [plateau, alone] = [None, Some(ALONE)].map(|fault| longest(p, &options, fault));
        let fastest = (0..RUNS)
            .map(|_| on_gpu(p, &both, GpuTuning::default()).seconds)
            .min_by(|a, b| a.kernels.total_cmp(&b.kernels))
            .unwrap_or_default();
        let us = |seconds: f64| format!("{:.3}", seconds * 1e6 / n_t as f64);
        let by_stage = match fastest.by_device {
            true => fastest.stages.map(us).join(" | "),
            false => ["no clock"; GpuSeconds::STAGES.len()].join(" | "),
        };
        say(&format!(
            "| {name} | {flood} | {plateau} | {alone} | {by_stage} | {} |",
            us(fastest.kernels)
        ));
    }
}

/// What each kernel does, for `f64`, two levels and peaks, by the SPIR-V: outside of loops, and in one iteration of a loop and of a loop in it, if
/// every branch is taken.
fn counted() {
    say("| kernel, f64 | once: bytes in, out, operations | in a loop | in a loop in it |");
    say("|---|---|---|---|");
    let folder = std::env::var_os("PEAKMASK_SHADERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shaders"),
        PathBuf::from,
    );
    for kernel in counts::kernels(&folder, "f64") {
        let depths = kernel
            .depths
            .map(|count| format!("{}, {}, {}", count.read, count.written, count.operations));
        say(&format!("| {} | {} |", kernel.name, depths.join(" | ")));
    }
    say("");
}

/// The smallest budget of iterations that leaves no bin pending, with shaders as they are or changed.
fn longest(p: ArrayView3<'_, f64>, options: &Options, fault: Option<GpuFault>) -> String {
    let pending = |iterations| {
        let tuning = GpuTuning {
            iterations: Some(iterations),
            dispatches: Some(1),
            rounds: Some(0),
            fault,
            ..GpuTuning::default()
        };
        on_gpu(p, options, tuning).handed_over_bins > 0
    };
    if pending(MOST) {
        return format!("more than {MOST}");
    }
    // Enough, and too few.
    let (mut enough, mut few) = (MOST, 0);
    while enough - few > 1 {
        let middle = few + (enough - few) / 2;
        match pending(middle) {
            true => few = middle,
            false => enough = middle,
        }
    }
    enough.to_string()
}

fn on_gpu(p: ArrayView3<'_, f64>, options: &Options, tuning: GpuTuning) -> GpuReport {
    let tuning = GpuTuning {
        batch: Some(p.dim().2),
        slots: Some(1),
        ..tuning
    };
    let options = options.clone().backend(Backend::Gpu).gpu_tuning(tuning);
    let found = analyze(p, &options).expect("an analysis on the GPU");
    found.report.gpu.expect("the GPU's report")
}

fn assert_same(p: ArrayView3<'_, f64>, options: &Options) {
    let analysed = |backend| analyze(p, &options.clone().backend(backend)).expect("an analysis");
    let (cpu, gpu) = (analysed(Backend::Cpu), analysed(Backend::Gpu));
    assert!(
        cpu.masks == gpu.masks && cpu.peaks == gpu.peaks,
        "the engines differ"
    );
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
