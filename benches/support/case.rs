//! One input in one layout and type: its part of the ids, and its bed, checked before anything is timed on it.

use std::io::Write;
use std::sync::OnceLock;

use peakmask::AdapterKind;

use crate::bed::Bed;
use crate::check;
use crate::engine::{Engine, cores, gpu};
use crate::floor;
use crate::inputs::Kind;
use crate::stack::{Layout, Pages};
use crate::value::Value;

const ALPHAS: [f64; 2] = [0.5, 0.9];
const SEED: u64 = 20_240_611;

/// One input in one layout and type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) layout: Layout,
    /// Number of time bins.
    pub(crate) n_t: usize,
    /// Whether values are `f64`, not `f32`.
    pub(crate) wide: bool,
    /// Whether figures count: then the input and the machine have to be fit for them.
    pub(crate) timed: bool,
}

impl Case {
    /// `openfield_xyt_0100000/f64`.
    pub(crate) fn shape_and_type(self) -> String {
        let kind = self.kind.name();
        let layout = match self.layout {
            Layout::Xyt => "xyt",
            Layout::Txy => "txy",
        };
        let element = if self.wide { f64::NAME } else { f32::NAME };
        format!("{kind}_{layout}_{:07}/{element}", self.n_t)
    }

    /// A checked bed.
    pub(crate) fn bed<T: Value>(self) -> Bed<T> {
        let stack = self.kind.stack(self.n_t, self.layout, pages(), SEED);
        let mut bed = Bed::new(stack, &ALPHAS);
        let bins = (0..self.n_t).step_by(self.n_t.div_ceil(40).max(1));
        let bins = bins.chain(self.n_t.checked_sub(1));
        check::assert_bins(bed.stack().view(), &ALPHAS, bed.masks(), bed.peaks(), bins);
        // As f32, the smallest values round to zero, and with them go peaks.
        if self.timed && self.wide {
            let (mean, known) = (
                bed.peaks().len() as f64 / self.n_t as f64,
                self.kind.peaks_per_bin(),
            );
            assert!(
                (mean / known - 1.0).abs() < 0.15,
                "{mean} peaks a bin, not about {known}"
            );
        }
        let expected = bed.analysis(Engine::Cpu(cores()));
        for &engine in engines() {
            // Leaves no mask as it was.
            bed.floor(engine);
            bed.reanalyse(engine);
            let fresh = bed.analysis(engine);
            assert!(bed.masks() == expected.masks, "{engine}: warm masks");
            assert!(fresh.masks == expected.masks, "{engine}: fresh masks");
            assert!(*bed.peaks() == expected.peaks, "{engine}: warm peaks");
            assert!(fresh.peaks == expected.peaks, "{engine}: fresh peaks");
            bed.peaks_only(engine);
            assert!(
                *bed.peaks() == expected.peaks,
                "{engine}: peaks without masks differ from those of the whole job"
            );
            bed.assert_masks_only(engine);
            if let (true, Engine::Cpu(threads)) = (self.timed, engine) {
                let speeds = floor::speeds(bed.stack().words(), &floor::pool(threads));
                assert!(
                    speeds.read >= 0.8 * speeds.copy,
                    "the floor reads slower than a copy on {threads} threads: {speeds:?}; the machine is busy, or \
                     the read is badly compiled"
                );
            }
        }
        bed
    }
}

/// The cases of this run: at the first number of time bins all of them, at the others those of `f64`.
pub(crate) fn cases() -> Vec<Case> {
    let timed = timed();
    let mut cases = Vec::new();
    for (index, &n_t) in bin_counts(timed).iter().enumerate() {
        for kind in Kind::ALL {
            for wide in [true, false] {
                for layout in [Layout::Xyt, Layout::Txy] {
                    if wide || index == 0 {
                        cases.push(Case {
                            kind,
                            layout,
                            n_t,
                            wide,
                            timed,
                        });
                    }
                }
            }
        }
    }
    cases
}

/// Whether figures count; otherwise each job runs once.
fn timed() -> bool {
    let given = |flag: &str| std::env::args().any(|argument| argument == flag);
    given("--bench") && !given("--test")
}

/// The CPU on one thread, and on one for each core; then, where there is a GPU, that, and both together.
pub(crate) fn engines() -> &'static [Engine] {
    static ENGINES: OnceLock<Vec<Engine>> = OnceLock::new();
    ENGINES.get_or_init(|| {
        let mut engines = vec![Engine::Cpu(1), Engine::Cpu(cores())];
        engines.dedup();
        let said = match no_gpu() {
            None => {
                engines.extend([Engine::Gpu, Engine::Auto]);
                gpu().map_or_else(ToString::to_string, |gpu| format!("GPU: {}", gpu.adapter()))
            }
            Some(why) => format!("Nothing of a GPU is measured: {why}"),
        };
        writeln!(std::io::stderr(), "{said}").expect("standard error");
        engines
    })
}

/// Why no GPU is measured. What software takes is of no interest to anybody who has not named it.
fn no_gpu() -> Option<String> {
    let context = match gpu() {
        Ok(context) => context,
        Err(error) if std::env::var("PEAKMASK_GPU").is_ok_and(|gpu| gpu == "require") => {
            panic!("PEAKMASK_GPU=require: {error}")
        }
        Err(error) => return Some(error.to_string()),
    };
    let (adapter, named) = (context.adapter(), std::env::var_os("PEAKMASK_ADAPTER"));
    (timed() && named.is_none() && adapter.kind == AdapterKind::Software)
        .then(|| format!("{adapter} is timed where PEAKMASK_ADAPTER names it"))
}

fn bin_counts(timed: bool) -> Vec<usize> {
    match std::env::var("PEAKMASK_BENCH_BINS") {
        Ok(list) => list
            .split(',')
            .map(|n| {
                n.trim()
                    .parse()
                    .expect("PEAKMASK_BENCH_BINS: numbers of time bins, by commas")
            })
            .collect(),
        Err(_) if timed => vec![20_000, 20_037, 65_536],
        Err(_) => vec![130],
    }
}

fn pages() -> Pages {
    match std::env::var("PEAKMASK_BENCH_PAGES").as_deref() {
        Ok("default") => Pages::Default,
        Ok("huge") | Err(_) => Pages::Huge,
        Ok(other) => panic!("PEAKMASK_BENCH_PAGES is huge or default, not {other}"),
    }
}
