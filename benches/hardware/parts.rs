//! The parts of the run that measure peakmask on the device.

use peakmask::{AdapterKind, GpuSeconds, GpuTuning, MemoryLimit};

use crate::clock::Clock;
use crate::device::{Bandwidths, measure};
use crate::engine::{Engine, cores, gpu};
use crate::field::{Field, Figures, Side, Work};
use crate::inputs::Kind;
use crate::stack::Layout;
use crate::table::{Cell, Section};
use crate::value::Value;

/// What the parts share.
pub(crate) struct Lab {
    pub(crate) small: bool,
    /// Time bins of most measurements.
    pub(crate) n_t: usize,
    bandwidths: Option<Bandwidths>,
    /// `f64`, `(x, y, t)`, `n_t` bins: made when first asked for.
    fields: Vec<Field<f64>>,
    /// Ratios that are held against a bar.
    ratios: Vec<Ratio>,
}

struct Ratio {
    of: &'static str,
    input: &'static str,
    measured: f64,
    bar: f64,
    goal: f64,
}

impl Lab {
    pub(crate) fn new(small: bool, bins: Option<usize>) -> Self {
        let mut lab = Self {
            small,
            n_t: bins.unwrap_or(if small { 200 } else { 100_000 }).max(100),
            bandwidths: None,
            fields: Vec::new(),
            ratios: Vec::new(),
        };
        let per_bin: f64 = Kind::ALL.map(Field::<f64>::bytes_per_bin).iter().sum();
        // Room for all inputs, for another one, and for what the engines stage.
        let room = spare_bytes() * 0.6 / per_bin;
        lab.n_t = lab.n_t.min((room as usize).max(100));
        lab
    }

    /// The inputs of those parts that do not need all.
    fn kinds(&self) -> &'static [Kind] {
        if self.small { &[Kind::Gm] } else { &Kind::ALL }
    }

    fn field(&mut self, kind: Kind) -> &mut Field<f64> {
        let at = self.fields.iter().position(|field| field.kind() == kind);
        let at = at.unwrap_or_else(|| {
            self.fields.push(Field::new(kind, self.n_t, Layout::Xyt));
            self.fields.len() - 1
        });
        &mut self.fields[at]
    }

    /// The field of this input, if it has been made.
    fn known(&self, kind: Kind) -> Option<&Field<f64>> {
        self.fields.iter().find(|field| field.kind() == kind)
    }

    /// Microseconds a bin of reading the input and writing what comes back, once, at the device's copy bandwidth.
    fn floor<T: Value>(&self, field: &Field<T>, work: Work) -> Option<f64> {
        let bytes = field.input_bytes() + field.returned_bytes(work);
        Some(bytes / self.bandwidths.as_ref()?.copy() * 1e6 / field.n_t() as f64)
    }

    /// Microseconds a bin of the input at some bandwidth.
    fn way_in<T: Value>(&self, field: &Field<T>, of: fn(&Bandwidths) -> f64) -> Option<f64> {
        Some(field.input_bytes() / of(self.bandwidths.as_ref()?) * 1e6 / field.n_t() as f64)
    }

    fn hold(&mut self, of: &'static str, kind: Kind, measured: Option<f64>, bars: [f64; 2]) {
        let [bar, goal] = bars;
        self.ratios.extend(measured.map(|measured| Ratio {
            of,
            input: kind.name(),
            measured,
            bar,
            goal,
        }));
    }

    /// What was measured, against the bars.
    pub(crate) fn bars(&self, section: &mut Section) {
        section.columns(&["ratio", "input", "measured", "bar", "goal", "verdict"]);
        for ratio in &self.ratios {
            let verdict = match ratio.measured {
                _ if self.small => "-",
                measured if measured <= ratio.goal => "goal",
                measured if measured <= ratio.bar => "bar",
                _ => "missed",
            };
            section.row([
                ratio.of.into(),
                ratio.input.into(),
                ratio.measured.into(),
                Cell::Number(ratio.bar, 2),
                Cell::Number(ratio.goal, 2),
                verdict.into(),
            ]);
        }
        section.note(
            "Bars are meant for an H200, and 100,000 bins of 41 x 63 float64; small sizes are not held against them.",
        );
    }
}

/// Bytes of memory that this process may still take.
fn spare_bytes() -> f64 {
    MemoryLimit::detect().bytes as f64
}

fn adapter_is_software() -> bool {
    gpu().is_ok_and(|gpu| gpu.adapter().kind == AdapterKind::Software)
}

/// The device's own bandwidths, and those of the way to it.
pub(crate) fn bandwidths(lab: &mut Lab, section: &mut Section, clock: Clock) {
    let adapter = gpu().expect("a GPU").adapter();
    let bytes = if adapter_is_software() || lab.small {
        32 << 20
    } else {
        512 << 20
    };
    let measured = match measure(adapter, bytes, cores(), clock) {
        Ok(measured) => measured,
        Err(why) => return section.fail(why),
    };
    section.columns(&["bandwidth", "GB/s"]);
    let rows = [
        ("copy inside the device, command", measured.by_command),
        ("copy inside the device, kernel", measured.by_kernel),
        ("host memory into mapped memory", measured.staging),
        (
            match measured.staging_is_inside() {
                true => "staging in video memory into its place there",
                false => "mapped memory into the device",
            },
            measured.transfer,
        ),
        ("upload: both, overlapped", measured.upload),
        ("device into mapped memory", measured.download),
    ];
    for (name, bandwidth) in rows {
        section.row([name.into(), Cell::Number(bandwidth / 1e9, 1)]);
    }
    section.note(format!(
        "Best of five, copies of {} MiB, {} threads on the host. A copy inside the device counts what it reads and what it \
         writes. The floor of the kernels takes the faster copy.",
        measured.bytes >> 20,
        cores(),
    ));
    match measured.link {
        Some(link) => {
            let can = link.bytes_a_second();
            section.row([
                "the link can carry, at most".into(),
                Cell::Number(can / 1e9, 1),
            ]);
            section.note(format!(
                "PCI Express generation {}, {} lanes, while it was used.",
                link.generation, link.width
            ));
            if measured.staging_is_inside() {
                section.note(
                    "Mapped memory is copied into the device faster than the link can be: it lies in video memory, and to fill \
                     it is the way through the link.",
                );
            }
        }
        None => section
            .leave_out("the link: neither the operating system nor nvidia-smi says anything of it"),
    }
    if let Some(clocks) = &measured.clocks {
        section.note(format!("Clocks meanwhile: {clocks}."));
    }
    lab.bandwidths = Some(measured);
}

/// Kernels by stage, one batch at a time, against the floor.
pub(crate) fn stages(lab: &mut Lab, section: &mut Section, clock: Clock) {
    let mut columns = vec!["input", "unit"];
    columns.extend(GpuSeconds::STAGES);
    columns.extend(["kernels", "floor", "bins a batch"]);
    section.columns(&columns);
    let alone = GpuTuning {
        slots: Some(1),
        ..GpuTuning::default()
    };
    let mut by_device = true;
    for kind in Kind::ALL {
        let figures =
            lab.field(kind)
                .contest(&[Side::tuned("stages", alone.clone())], clock, section);
        let [Some(figures)] = &figures[..] else {
            continue;
        };
        by_device &= figures.by_device();
        let floor = lab
            .known(kind)
            .and_then(|field| lab.floor(field, Work::Whole));
        let line = |unit: &str, per: f64| {
            let mut cells: Vec<Cell> = vec![kind.name().into(), unit.into()];
            cells.extend(
                (0..GpuSeconds::STAGES.len())
                    .map(|i| figures.stage(i).map(|time| time / per).into()),
            );
            cells.push(figures.kernels().map(|time| time / per).into());
            cells.push(floor.map(|time| time / per).into());
            cells.push(figures.last_gpu().map(|gpu| gpu.batch_bins).into());
            cells
        };
        section.row(line("us per bin", 1.0));
        let ratio = floor.and_then(|floor| {
            section.row(line("/ floor", floor));
            Some(figures.kernels()? / floor)
        });
        lab.hold("kernels / floor", kind, ratio, [3.0, 2.0]);
    }
    section.note(
        "Floor: input bytes once and bytes returned, at the device's copy bandwidth. One batch in flight, alpha 0.5 and 0.9.",
    );
    if !by_device {
        section.note("The device has no clock: kernels are timed from submission to completion, stages not at all.");
    }
}

/// From host memory into warm outputs, against the way in.
pub(crate) fn end_to_end(lab: &mut Lab, section: &mut Section, clock: Clock) {
    section.columns(&[
        "input",
        "layout",
        "work",
        "us per bin",
        "range",
        "/ upload",
        "/ transfer",
        "values in",
        "kernels",
        "waiting",
        "results out",
        "written",
    ]);
    let sides = [Work::Whole, Work::Masks, Work::Peaks].map(|work| Side {
        name: work.name().to_owned(),
        work,
        ..Side::new(Engine::Gpu)
    });
    for kind in Kind::ALL {
        let figures = lab.field(kind).contest(&sides, clock, section);
        let way = |of| lab.known(kind).and_then(|field| lab.way_in(field, of));
        let (upload, transfer) = (way(|b| b.upload), way(Bandwidths::way_in));
        for (side, figures) in sides.iter().zip(&figures) {
            let Some(figures) = figures else { continue };
            section.row(end_to_end_row(kind, "xyt", side, figures, upload, transfer));
            let ratio = upload.map(|upload| figures.total() / upload);
            let of = match side.work {
                Work::Whole => "end to end / upload",
                Work::Masks => "end to end / upload, masks alone",
                Work::Peaks => continue,
            };
            lab.hold(of, kind, ratio, [1.3, 1.15]);
        }
    }
    if clock.over() {
        section.cut("gm (t, x, y)");
    } else {
        let mut field = Field::<f64>::new(Kind::Gm, lab.n_t, Layout::Txy);
        let figures = field.contest(&sides[..1], clock, section);
        let upload = lab.way_in(&field, |b| b.upload);
        let transfer = lab.way_in(&field, Bandwidths::way_in);
        if let [Some(figures)] = &figures[..] {
            section.row(end_to_end_row(
                Kind::Gm,
                "txy",
                &sides[0],
                figures,
                upload,
                transfer,
            ));
        }
    }
    section.note(
        "Transfer: mapped memory into the device, or, where staging lies in video memory, into that. \
         Values in, waiting, results out and written are added up over the batches in flight, which overlap; waiting holds \
         the kernels and the copies.",
    );
}

fn end_to_end_row(
    kind: Kind,
    layout: &str,
    side: &Side,
    figures: &Figures,
    upload: Option<f64>,
    transfer: Option<f64>,
) -> [Cell; 12] {
    let total = figures.total();
    [
        kind.name().into(),
        layout.into(),
        side.work.name().into(),
        total.into(),
        figures.spread().into(),
        upload.map(|upload| total / upload).into(),
        transfer.map(|transfer| total / transfer).into(),
        figures.gpu(|gpu| gpu.seconds.upload).into(),
        figures.kernels().into(),
        figures.gpu(|gpu| gpu.seconds.wait).into(),
        figures.gpu(|gpu| gpu.seconds.readback).into(),
        figures.gpu(|gpu| gpu.seconds.expand).into(),
    ]
}

/// Runs tuned sides on some inputs: kernels and the whole, for each.
fn knobs(lab: &mut Lab, kinds: &[Kind], sides: &[Side], section: &mut Section, clock: Clock) {
    section.columns(&[
        "input",
        "knob",
        "us per bin",
        "range",
        "kernels",
        "flood",
        "bases",
        "bins a batch",
        "continued",
        "handed over",
    ]);
    for &kind in kinds {
        let figures = lab.field(kind).contest(sides, clock, section);
        for (side, figures) in sides.iter().zip(&figures) {
            let Some(figures) = figures else { continue };
            let gpu = figures.last_gpu();
            section.row([
                kind.name().into(),
                side.name.as_str().into(),
                figures.total().into(),
                figures.spread().into(),
                figures.kernels().into(),
                figures.stage(2).into(),
                figures.stage(4).into(),
                gpu.map(|gpu| gpu.batch_bins).into(),
                gpu.map(|gpu| gpu.continued_bins).into(),
                gpu.map(|gpu| gpu.handed_over_bins).into(),
            ]);
        }
    }
}

/// Workgroups, budgets and batches of other sizes than the plan's.
pub(crate) fn sweeps(lab: &mut Lab, section: &mut Section, clock: Clock) {
    let groups: &[u32] = if lab.small {
        &[32, 256]
    } else {
        &[32, 64, 128, 256]
    };
    let iterations: &[u32] = if lab.small {
        &[2048]
    } else {
        &[1024, 4096, 16_384]
    };
    let batches: &[usize] = if lab.small {
        &[64, 128]
    } else {
        &[1024, 4096, 8192, 16_384, 32_768, 65_536]
    };
    let tuned = |name: String, tuning| Side::tuned(name, tuning);
    let knob = GpuTuning::default;
    let mut sides = vec![tuned("as planned".to_owned(), knob())];
    sides.extend(groups.iter().map(|&group| {
        let group_of = GpuTuning {
            group: Some(group),
            ..knob()
        };
        tuned(format!("workgroups of {group}"), group_of)
    }));
    sides.extend(batches.iter().map(|&batch| {
        let batch_of = GpuTuning {
            batch: Some(batch),
            ..knob()
        };
        tuned(format!("batches of {batch}"), batch_of)
    }));
    sides.extend(iterations.iter().map(|&iterations| {
        let budget = GpuTuning {
            iterations: Some(iterations),
            ..knob()
        };
        tuned(format!("{iterations} iterations a dispatch"), budget)
    }));
    sides.extend([1, 4].map(|dispatches| {
        let budget = GpuTuning {
            dispatches: Some(dispatches),
            ..knob()
        };
        tuned(format!("{dispatches} dispatches a submission"), budget)
    }));
    let kinds: &[Kind] = if lab.small {
        &[Kind::Gm]
    } else {
        &[Kind::Gm, Kind::Openfield]
    };
    knobs(lab, kinds, &sides, section, clock);
}

/// Loops with the compiler's own bound, and without.
pub(crate) fn loops(lab: &mut Lab, section: &mut Section, clock: Clock) {
    let unbounded = GpuTuning {
        unbounded_loops: true,
        ..GpuTuning::default()
    };
    let sides = [
        Side::tuned("loops bounded by the compiler too", GpuTuning::default()),
        Side::tuned("loops bounded by the plan alone", unbounded),
    ];
    let kinds = lab.kinds();
    knobs(lab, kinds, &sides, section, clock);
}

/// Values that kernels read where the host writes them: on a card whose whole memory is mappable that saves a copy; on any
/// other one kernels read through the link.
pub(crate) fn mapped(lab: &mut Lab, section: &mut Section, clock: Clock) {
    let sides =
        [(false, "copied first"), (true, "where they are written")].map(|(mapped, name)| {
            let tuning = GpuTuning {
                mapped: Some(mapped),
                ..GpuTuning::default()
            };
            Side::tuned(name, tuning)
        });
    let kinds = lab.kinds();
    knobs(lab, kinds, &sides, section, clock);
    section.note("A device without such memory copies them in both rows.");
}

/// Batches in flight.
pub(crate) fn slots(lab: &mut Lab, section: &mut Section, clock: Clock) {
    let sides = [1, 2, 3].map(|slots| {
        let tuning = GpuTuning {
            slots: Some(slots),
            ..GpuTuning::default()
        };
        Side::tuned(format!("{slots} in flight"), tuning)
    });
    let kinds = lab.kinds();
    knobs(lab, kinds, &sides, section, clock);
}

/// The engines beside one another.
pub(crate) fn engines(lab: &mut Lab, section: &mut Section, clock: Clock) {
    section.columns(&[
        "input",
        "engine",
        "us per bin",
        "range",
        "bins by the GPU, %",
        "/ better of the two",
    ]);
    let sides = [Engine::Cpu(cores()), Engine::Gpu, Engine::Auto].map(Side::new);
    for kind in Kind::ALL {
        let figures = lab.field(kind).contest(&sides, clock, section);
        let total = |i: usize| figures[i].as_ref().map(Figures::total);
        let better = total(0).zip(total(1)).map(|(cpu, gpu)| cpu.min(gpu));
        for (side, figures) in sides.iter().zip(&figures) {
            let Some(figures) = figures else { continue };
            let report = figures.last();
            let share = 100.0 * report.gpu_bins as f64 / report.bins as f64;
            section.row([
                kind.name().into(),
                side.name.as_str().into(),
                figures.total().into(),
                figures.spread().into(),
                Cell::Number(share, 1),
                better.map(|better| figures.total() / better).into(),
            ]);
        }
        let ratio = total(2).zip(better).map(|(auto, better)| auto / better);
        lab.hold("auto / better engine", kind, ratio, [1.05, 0.7]);
    }
}

/// Both element types.
pub(crate) fn types(lab: &mut Lab, section: &mut Section, clock: Clock) {
    section.columns(&[
        "input",
        "type",
        "us per bin",
        "range",
        "/ upload",
        "kernels",
        "/ floor",
    ]);
    for &kind in lab.kinds() {
        if clock.over() {
            section.cut(kind.name());
            continue;
        }
        lab.field(kind);
        let at = lab.fields.iter().position(|field| field.kind() == kind);
        let mut wide = lab.fields.swap_remove(at.unwrap_or(0));
        type_row(lab, &mut wide, section, clock);
        lab.fields.push(wide);
        let mut narrow = Field::<f32>::new(kind, lab.n_t, Layout::Xyt);
        type_row(lab, &mut narrow, section, clock);
    }
}

fn type_row<T: Value>(lab: &Lab, field: &mut Field<T>, section: &mut Section, clock: Clock) {
    let figures = field.contest(
        &[Side::tuned(T::NAME, GpuTuning::default())],
        clock,
        section,
    );
    let [Some(figures)] = &figures[..] else {
        return;
    };
    let over = |time: Option<f64>, floor: Option<f64>| time.zip(floor).map(|(a, b)| a / b);
    section.row([
        field.kind().name().into(),
        T::NAME.into(),
        figures.total().into(),
        figures.spread().into(),
        over(Some(figures.total()), lab.way_in(field, |b| b.upload)).into(),
        figures.kernels().into(),
        over(figures.kernels(), lab.floor(field, Work::Whole)).into(),
    ]);
}

/// Few time bins and many.
pub(crate) fn lengths(lab: &mut Lab, section: &mut Section, clock: Clock) {
    section.columns(&[
        "time bins",
        "engine",
        "us per bin",
        "range",
        "batches",
        "bins a batch",
    ]);
    // Their memory is needed.
    lab.fields.clear();
    let kind = Kind::Po;
    let lengths: &[usize] = if lab.small {
        &[100, 200, 400]
    } else {
        &[10_000, 20_000, 50_000, 100_000, 200_000, 400_000]
    };
    let sides = [Engine::Gpu, Engine::Cpu(cores()), Engine::Auto].map(Side::new);
    for &n_t in lengths {
        let needed = n_t as f64 * Field::<f64>::bytes_per_bin(kind) * 1.25;
        let spare = spare_bytes();
        if needed > spare {
            let [needed, spare] = [needed, spare].map(|bytes| bytes / 1e9);
            section.leave_out(format!(
                "{n_t} time bins: {needed:.1} GB are needed, {spare:.1} GB to spare"
            ));
            continue;
        }
        if clock.over() {
            section.cut(format!("{n_t} time bins"));
            continue;
        }
        let mut field = Field::<f64>::new(kind, n_t, Layout::Xyt);
        let figures = field.contest(&sides, clock, section);
        for (side, figures) in sides.iter().zip(&figures) {
            let Some(figures) = figures else { continue };
            section.row([
                n_t.into(),
                side.name.as_str().into(),
                figures.total().into(),
                figures.spread().into(),
                figures.last_gpu().map(|gpu| gpu.batches).into(),
                figures.last_gpu().map(|gpu| gpu.batch_bins).into(),
            ]);
        }
    }
    section.note(format!("Input {}, float64.", kind.name()));
}
