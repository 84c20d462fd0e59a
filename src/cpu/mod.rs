//! The CPU engine: a batch of time bins in, its findings out, by plain loops over tiles in which every cell holds one value,
//! or one bit, for each lane.

mod bases;
mod flood;
mod instruction_set;
mod lanes;
mod load;
mod peaks;
mod planes;
mod survey;
mod threshold;

pub use instruction_set::InstructionSet;

use std::time::Instant;

use crate::engine::{Call, Engine, Halt, Stop, Task};
use crate::findings::Findings;
use crate::plan::{CpuPlan, LISTED_BYTES};
use crate::{Connectivity, Element, Seconds};
use lanes::{WIDTH, Word};
use planes::Frame;
use survey::Survey;

/// The CPU engine of one worker thread, with its scratch.
pub(crate) struct Cpu<T> {
    scratch: Box<dyn Run<T>>,
    instruction_set: InstructionSet,
    alphas: usize,
    listed: usize,
}

impl<T: Element> Cpu<T> {
    /// An engine for maps of this shape. The processor must offer `instruction_set`.
    pub(crate) fn new(
        plan: &CpuPlan,
        n_x: usize,
        n_y: usize,
        instruction_set: InstructionSet,
    ) -> Self {
        assert!(
            instruction_set <= InstructionSet::detect(),
            "the processor offers no {instruction_set}"
        );
        let frame = Frame { n_x, n_y };
        let scratch: Box<dyn Run<T>> = match plan.lanes {
            64 => Box::new(Scratch::<T, u64, 64>::new(frame, plan.tiles)),
            32 => Box::new(Scratch::<T, u32, 32>::new(frame, plan.tiles)),
            8 => Box::new(Scratch::<T, u8, 8>::new(frame, plan.tiles)),
            _ => Box::new(Scratch::<T, u8, 1>::new(frame, plan.tiles)),
        };
        Self {
            scratch,
            instruction_set,
            alphas: plan.alphas,
            listed: plan.listed,
        }
    }
}

impl<T: Element> Engine<T> for Cpu<T> {
    fn run(
        &mut self,
        call: &Call<'_, '_, T>,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Result<usize, Halt> {
        self.scratch
            .run(self.instruction_set, call, findings, seconds)
            .ok_or(Halt::Stopped)
    }

    fn alphas(&self) -> usize {
        self.alphas
    }

    fn listed(&self) -> usize {
        self.listed
    }
}

/// The tiles and planes of one worker thread.
struct Scratch<T, W, const L: usize> {
    frame: Frame,
    tiles: Vec<Vec<[T; L]>>,
    surveys: Vec<Survey<T, W, L>>,
    /// Levels of each alpha.
    levels: Vec<[T; WIDTH]>,
    /// A framed plane for each alpha.
    above: Vec<W>,
    filled: Vec<W>,
    front: flood::Front,
    row: peaks::Row<T, W, L>,
    listing: bases::Listing<T, W>,
}

impl<T: Element, W: Word, const L: usize> Scratch<T, W, L> {
    fn new(frame: Frame, tiles: usize) -> Self {
        Self {
            frame,
            tiles: vec![vec![[T::default(); L]; frame.n_x * frame.n_y]; tiles],
            surveys: (0..tiles).map(|_| Survey::new()).collect(),
            levels: Vec::new(),
            above: Vec::new(),
            filled: vec![W::default(); frame.len()],
            front: flood::Front::new(frame.n_x),
            row: peaks::Row::new(frame.n_y),
            listing: bases::Listing::new(frame, L),
        }
    }

    /// The body of every instruction set's version.
    #[inline(always)]
    fn batch(
        &mut self,
        call: &Call<'_, '_, T>,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Option<usize> {
        let Call {
            p,
            ref bins,
            task,
            stop,
        } = *call;
        let strip = self.tiles.len() * L;
        findings.start(
            bins.len().div_ceil(L) * L,
            task.alphas.len() * self.frame.cells(),
        );
        let mut clock = Clock(Instant::now());
        for start in bins.clone().step_by(strip) {
            let end = (start + strip).min(bins.end);
            for survey in &mut self.surveys {
                *survey = Survey::new();
            }
            if !load::load(p, start..end, &mut self.tiles, &mut self.surveys, stop) {
                return None;
            }
            for (survey, tile) in self.surveys.iter_mut().zip(&self.tiles) {
                survey.finish(tile);
            }
            clock.lap(&mut seconds.survey);
            for (k, first) in (start..end).step_by(L).enumerate() {
                self.compare(k, task);
                clock.lap(&mut seconds.compare);
                for a in 0..task.alphas.len() {
                    if !self.flood(k, a, task.connectivity, stop) {
                        return None;
                    }
                    let rows = findings.rows_mut(a, self.frame.cells());
                    let cells = (0..self.frame.n_x).flat_map(|x| &self.filled[self.frame.row(x)]);
                    for (row, &word) in rows.zip(cells) {
                        word.write(row, first - bins.start);
                    }
                }
                clock.lap(&mut seconds.flood);
                let lanes = L.min(end - first);
                if task.peaks {
                    self.listing
                        .close(&self.tiles[k], self.frame, lanes, &mut findings.peaks);
                } else {
                    findings.peaks.counts.extend(std::iter::repeat_n(0, lanes));
                }
                clock.lap(&mut seconds.bases);
                let done = first + lanes - bins.start;
                if findings.peaks.bytes() > LISTED_BYTES {
                    return Some(done);
                }
            }
        }
        Some(bins.len())
    }

    /// Thresholds and local maxima of tile `k`, map row by map row, so that its values are read once.
    #[inline(always)]
    fn compare(&mut self, k: usize, task: Task<'_>) {
        let (survey, frame) = (&self.surveys[k], self.frame);
        let (tile, row) = (self.tiles[k].as_flattened(), frame.n_y * L);
        let floor = lanes::repeated(&survey.floor);
        self.levels.clear();
        let levels = task
            .alphas
            .iter()
            .map(|&alpha| survey.top.map(|top| T::threshold(alpha, top)));
        self.levels
            .extend(levels.map(|level| lanes::repeated(&level)));
        self.above
            .resize(task.alphas.len() * frame.len(), W::default());
        self.listing.clear();
        for x in 0..frame.n_x {
            for (level, above) in self
                .levels
                .iter()
                .zip(self.above.chunks_exact_mut(frame.len()))
            {
                threshold::threshold::<T, W, L>(
                    &tile[x * row..][..row],
                    level,
                    &mut above[frame.row(x)],
                );
            }
            if task.peaks {
                self.row.find(tile, x, survey.live, &floor);
                self.listing.add(frame, x, &self.row);
            }
        }
    }

    /// The mask of alpha number `a` in tile `k`, into `filled`; false when it was stopped before the end.
    #[inline(always)]
    fn flood(&mut self, k: usize, a: usize, connectivity: Connectivity, stop: &Stop) -> bool {
        let (survey, frame) = (&self.surveys[k], self.frame);
        let above = &self.above[a * frame.len()..(a + 1) * frame.len()];
        self.filled.fill(W::default());
        for lane in lanes::set_lanes(survey.live) {
            self.filled[frame.word(survey.dominant[lane] as usize)] |= W::bit(true, lane);
        }
        let seeds = lanes::set_lanes(survey.live).map(|lane| survey.dominant[lane]);
        flood::flood(
            above,
            &mut self.filled,
            seeds,
            connectivity,
            frame,
            &mut self.front,
            stop,
        )
    }
}

/// Adds the time since the last lap to a phase.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self, phase: &mut f64) {
        let now = Instant::now();
        *phase += (now - self.0).as_secs_f64();
        self.0 = now;
    }
}

/// A [`Scratch`] of some width, compiled for every instruction set.
trait Run<T>: Send {
    fn run(
        &mut self,
        instruction_set: InstructionSet,
        call: &Call<'_, '_, T>,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Option<usize>;
}

macro_rules! instruction_sets {
    ($($(#[$feature:meta])? $name:ident),*) => {$(
        $(#[$feature])?
        fn $name<T: Element, W: Word, const L: usize>(
            scratch: &mut Scratch<T, W, L>,
            call: &Call<'_, '_, T>,
            findings: &mut Findings<T>,
            seconds: &mut Seconds,
        ) -> Option<usize> {
            scratch.batch(call, findings, seconds)
        }
    )*};
}
instruction_sets!(baseline);
#[cfg(target_arch = "x86_64")]
instruction_sets!(
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    avx2,
    #[target_feature(
        enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt"
    )]
    avx512
);

impl<T: Element, W: Word, const L: usize> Run<T> for Scratch<T, W, L> {
    #[cfg_attr(
        target_arch = "x86_64",
        expect(
            unsafe_code,
            reason = "calls of functions compiled for instruction sets beyond the baseline"
        )
    )]
    fn run(
        &mut self,
        instruction_set: InstructionSet,
        call: &Call<'_, '_, T>,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Option<usize> {
        match instruction_set {
            // SAFETY: `Cpu::new` has checked that the processor offers this instruction set.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => unsafe { avx512(self, call, findings, seconds) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => unsafe { avx2(self, call, findings, seconds) },
            _ => baseline(self, call, findings, seconds),
        }
    }
}
