//! The CPU engine: a batch of time bins in, its findings out.
//!
//! One pass over the caller's array, a few map rows at a time, finds extremes and local maxima while the rows are in the
//! first-level cache. Lanes follow the call: as many groups of them as there are bins for, up to the plan's, and a bin
//! alone is analysed along its map.

mod bases;
mod coverage;
mod flood;
mod lanes;
mod load;
mod map;
mod measure;
mod peaks;
mod planes;
mod survey;
mod threshold;
mod tile;

use std::ops::Range;
use std::time::Instant;

use bytemuck::Zeroable;

use crate::choices::{Level, NanPolicy, Prominence, Region};
use crate::element::number;
use crate::engine::{Call, Engine, Halt, Measuring, Task};
use crate::findings::{BinMeasures, Findings, FoundPeaks, Measures};
use crate::instruction_set::InstructionSet;
use crate::memory;
use crate::plan::{CpuPlan, LISTED_BYTES};
use crate::terrain::Terrain;
use crate::vector::{Line, Set, width};
use crate::{Element, Seconds};
use bases::Lists;
use coverage::Coverage;
use load::Soon;
use map::Map;
use measure::{Sums, measure_map, measure_mask};
use planes::Planes;
use survey::Survey;
use threshold::threshold_of;
use tile::{Lane, Shape};

/// Map rows whose peaks are found in a go, group by group: three rows of a group stay in the first-level cache meanwhile.
const BAND: usize = 4;

/// The CPU engine of one worker thread, with its scratch.
pub(crate) struct Cpu<T> {
    scratch: Scratch<T>,
    instruction_set: InstructionSet,
    levels: usize,
    peak_room: usize,
}

impl<T: Element> Cpu<T> {
    /// An engine for maps of this shape. The processor must offer `instruction_set`.
    ///
    /// It may be called with any number of bins; scratch is taken when a width is first used, and then kept.
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
        Self {
            scratch: Scratch::new(n_x, n_y, plan.lanes),
            instruction_set,
            levels: plan.alphas,
            peak_room: plan.peak_room,
        }
    }

    /// Follows another plan for maps of the same shape.
    pub(crate) fn follow(&mut self, plan: &CpuPlan) {
        (self.levels, self.peak_room) = (plan.alphas, plan.peak_room);
    }
}

/// Calls a method of the scratch, compiled for the engine's instruction set.
macro_rules! compiled {
    ($cpu:ident, $body:ident($($name:ident: $type:ty),*) -> $output:ty) => {{
        fn baseline<T: Element>(scratch: &mut Scratch<T>, $($name: $type),*) -> $output {
            scratch.$body::<T::Plain>($($name),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn avx2<T: Element>(scratch: &mut Scratch<T>, $($name: $type),*) -> $output {
            scratch.$body::<T::Avx2>($($name),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(
            enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt"
        )]
        fn avx512<T: Element>(scratch: &mut Scratch<T>, $($name: $type),*) -> $output {
            scratch.$body::<T::Avx512>($($name),*)
        }
        let scratch = &mut $cpu.scratch;
        match $cpu.instruction_set {
            // SAFETY: `Cpu::new` has checked that the processor offers this instruction set.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => unsafe { avx512(scratch, $($name),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => unsafe { avx2(scratch, $($name),*) },
            _ => baseline(scratch, $($name),*),
        }
    }};
}

impl<T: Element> Engine<T> for Cpu<T> {
    #[cfg_attr(
        target_arch = "x86_64",
        expect(
            unsafe_code,
            reason = "calls of functions compiled for instruction sets beyond the baseline"
        )
    )]
    fn run(
        &mut self,
        call: &Call<'_, '_, T>,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Result<usize, Halt> {
        let done = compiled!(
            self,
            batch(call: &Call<'_, '_, T>, findings: &mut Findings<T>, seconds: &mut Seconds) -> Option<usize>
        );
        done.ok_or(Halt::Stopped)
    }

    fn levels(&self) -> usize {
        self.levels
    }

    fn peak_room(&self) -> usize {
        self.peak_room
    }
}

impl<T: Element> Measuring<T> for Cpu<T> {
    #[cfg_attr(
        target_arch = "x86_64",
        expect(
            unsafe_code,
            reason = "calls of functions compiled for instruction sets beyond the baseline"
        )
    )]
    fn measure(
        &mut self,
        call: &Call<'_, '_, T>,
        found: &Findings<T>,
        at: usize,
        measures: &mut Measures<T>,
    ) -> Result<(), Halt> {
        let done = compiled!(
            self,
            measure(
                call: &Call<'_, '_, T>,
                found: &Findings<T>,
                at: usize,
                measures: &mut Measures<T>
            ) -> Option<()>
        );
        done.ok_or(Halt::Stopped)
    }
}

/// What one worker thread keeps from tile to tile.
struct Scratch<T> {
    n_x: usize,
    n_y: usize,
    /// The most lanes of a tile; one, if bins are always analysed alone.
    lanes: usize,
    tile: Vec<Line>,
    survey: Survey,
    /// By group of lanes: the floors that peaks were found with, the lanes with flat cells on them, and those of these
    /// whose floor has sunk since.
    floors: Vec<Line>,
    flat: Vec<u64>,
    sunk: Vec<u64>,
    coverage: Coverage,
    /// A plane for each level.
    above: Vec<u64>,
    filled: Vec<u64>,
    /// Whether the last tile was left before its end.
    stopped: bool,
    row: peaks::Row,
    lists: Lists<T>,
    map: Option<Map>,
    /// Lanes with a NaN, and what each level's cells have to reach, group by group.
    nan: u64,
    levels: Vec<Line>,
    sums: Sums,
    terrain: Terrain<T>,
}

impl<T: Element> Scratch<T> {
    fn new(n_x: usize, n_y: usize, lanes: usize) -> Self {
        Self {
            n_x,
            n_y,
            lanes,
            tile: Vec::new(),
            survey: Survey::new(),
            floors: Vec::new(),
            flat: Vec::new(),
            sunk: Vec::new(),
            coverage: Coverage::new(),
            above: Vec::new(),
            filled: Vec::new(),
            stopped: false,
            row: peaks::Row::new::<T>(n_y),
            lists: Lists::new(),
            map: None,
            nan: 0,
            levels: Vec::new(),
            sums: Sums::new(),
            terrain: Terrain::new(n_x, n_y),
        }
    }

    /// The body of every instruction set's version.
    #[inline(always)]
    fn batch<S: Set<T>>(
        &mut self,
        call: &Call<'_, '_, T>,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Option<usize> {
        let Call { ref bins, task, .. } = *call;
        let cells = self.n_x * self.n_y;
        findings.start(bins.len().next_multiple_of(8), task.levels.len() * cells);
        if task.measures {
            findings.measures.start(bins.len(), task.levels.len());
        }
        let mut first = bins.start;
        while first < bins.end {
            let tile = first..bins.end.min(first + self.lanes);
            first = tile.end;
            let at = tile.start - bins.start;
            if tile.len() == 1 {
                self.alone::<S>(call, tile.start, at, findings, seconds)?;
            } else {
                self.side_by_side::<S>(call, tile, at, findings, seconds)?;
            }
            if findings.peaks.bytes() > LISTED_BYTES {
                break;
            }
        }
        Some(first - bins.start)
    }

    /// Analyses a tile of bins, the first of them number `at` of the batch.
    #[inline(always)]
    fn side_by_side<S: Set<T>>(
        &mut self,
        call: &Call<'_, '_, T>,
        bins: Range<usize>,
        at: usize,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Option<()> {
        let Call { task, stop, .. } = *call;
        let shape = Shape {
            n_x: self.n_x,
            n_y: self.n_y,
            groups: bins.len().div_ceil(width::<T>()),
        };
        let lanes = shape.groups * width::<T>();
        let planes = Planes::new(self.n_x, self.n_y, lanes);
        let n = bins.len();
        self.clear_filled(planes);
        let mut clock = Clock(Instant::now());
        self.stream::<S>(call, bins, shape)?;
        self.nan = self.survey.live;
        self.survey.finish::<T, S>(shape, &self.tile, n);
        if task.peaks {
            self.once_more::<S>(shape, task.nan_policy);
        }
        clock.lap(&mut seconds.survey);
        let uncovered = self.thresholds::<S>(task, shape, planes) & (u64::MAX >> (64 - n));
        findings.uncovered += uncovered.count_ones() as usize;
        clock.lap(&mut seconds.compare);
        for (a, above) in self.above.chunks_exact(planes.len()).enumerate() {
            if task.region == Region::Whole {
                self.filled[..planes.len()].copy_from_slice(above);
                hand_over::<T, S>(planes, &mut self.filled, 0..self.n_x, n, a, at, findings);
                continue;
            }
            let mut reached = self.n_x..0;
            let masked = match task.levels[a] {
                Level::Coverage(_) => self.survey.live & !uncovered,
                _ => self.survey.live,
            };
            for lane in lanes::set_lanes(masked) {
                let dominant = self.survey.dominant[lane] as usize;
                let (low, high) = flood::flood(
                    planes,
                    above,
                    &mut self.filled,
                    lane,
                    dominant,
                    task.connectivity,
                    stop,
                )?;
                reached = reached.start.min(low)..reached.end.max(high + 1);
            }
            hand_over::<T, S>(planes, &mut self.filled, reached, n, a, at, findings);
        }
        clock.lap(&mut seconds.flood);
        if task.measures {
            for a in 0..task.levels.len() {
                let rows = findings.rows(a, self.n_x * self.n_y);
                self.sums.add_mask::<T>(shape, &self.tile, rows, at, n);
                self.tell_level(a, planes, (at, n), &mut findings.measures);
            }
            self.tell_bins((at, n), &mut findings.measures);
            clock.lap(&mut seconds.emit);
        }
        if task.peaks {
            let (tile, survey) = (&self.tile, &self.survey);
            let first = findings.peaks.cells.len();
            self.lists.close(
                self.n_y,
                survey.live,
                n,
                |lane| {
                    let floors = &survey.floor[lane / width::<T>()];
                    (shape.lane(tile, lane), floors.values()[lane % width::<T>()])
                },
                task.prominence,
                &mut findings.peaks,
            );
            if task.prominence == Prominence::Topographic {
                let mut rows = first;
                for lane in 0..n {
                    let count = findings.peaks.counts[at + lane] as usize;
                    if count > 0 {
                        let (g, within) = (lane / width::<T>(), lane % width::<T>());
                        let floor = survey.floor[g].values::<T>()[within];
                        let rows = rows..rows + count;
                        let values = shape.lane(tile, lane);
                        topography::<T, S>(
                            &mut self.terrain,
                            floor,
                            values,
                            &mut findings.peaks,
                            rows,
                        );
                    }
                    rows += count;
                }
            }
        } else {
            findings.peaks.counts.extend(std::iter::repeat_n(0, n));
        }
        clock.lap(&mut seconds.bases);
        self.stopped = false;
        Some(())
    }

    /// Loads the tile, surveys it, and lists its peaks, map row by map row. Peaks are told from cells on the floor by the
    /// lowest value so far.
    #[inline(always)]
    fn stream<S: Set<T>>(
        &mut self,
        call: &Call<'_, '_, T>,
        bins: Range<usize>,
        shape: Shape,
    ) -> Option<()> {
        if self.tile.len() < shape.len() {
            memory::resize(&mut self.tile, shape.len(), Line::zeroed());
        }
        self.survey.start::<T>(shape);
        self.sums.start();
        self.floors.clear();
        self.floors.resize(shape.groups, Line::of(T::HIGHEST));
        self.flat.clear();
        self.flat.resize(shape.groups, 0);
        self.sunk.clear();
        self.sunk.resize(shape.groups, 0);
        if call.task.peaks {
            self.lists
                .start(self.n_x * self.n_y, shape.groups * width::<T>());
        }
        let off_track = call.task.nan_policy == NanPolicy::OffTrack;
        let whole = match bins.len() == S::TOGETHER * width::<T>() {
            true => load::rows(call.p, bins.clone()),
            false => None,
        };
        let askable = load::askable(call.p, bins.clone());
        let (mut loaded, mut taken) = (0, 0);
        for from in (0..self.n_x).step_by(BAND) {
            let to = (from + BAND).min(self.n_x);
            while taken < (to + 1).min(self.n_x) {
                if call.stop.requested() {
                    return None;
                }
                let asked = askable.is_some() && call.task.peaks && taken > BAND;
                let tile = &mut self.tile;
                if let Some(rows) = &whole {
                    match off_track {
                        false => self
                            .survey
                            .load::<T, S, false>(rows, shape, tile, taken, asked),
                        true => self
                            .survey
                            .load::<T, S, true>(rows, shape, tile, taken, asked),
                    }
                } else {
                    if loaded == taken {
                        loaded =
                            load::load::<T, S>(call.p, bins.clone(), shape, tile, taken, asked);
                    }
                    match off_track {
                        false => self.survey.add::<T, S, false>(shape, tile, taken),
                        true => self.survey.add::<T, S, true>(shape, tile, taken),
                    }
                }
                if call.task.measures {
                    self.sums.add_row::<T>(shape, &self.tile, taken, off_track);
                }
                taken += 1;
            }
            if call.task.peaks {
                for g in 0..shape.groups {
                    // Cells on a floor that has sunk since are peaks after all, perhaps.
                    let floor = S::load(&self.survey.floor[g]);
                    let sunk = S::exceeds(S::load(&self.floors[g]), floor);
                    self.sunk[g] |= self.flat[g] & sunk;
                    S::store(floor, &mut self.floors[g]);
                    for x in from..to {
                        let (x_soon, lane) = (x + BAND + 1, g * width::<T>());
                        let last = g + 1 == shape.groups;
                        let soon = Soon::new(askable.as_ref(), shape, x_soon, lane, last);
                        self.flat[g] |= self.find::<S>(shape, g, x, off_track, soon);
                    }
                }
            }
        }
        Some(())
    }

    /// Lists the peaks of a map row in one group of lanes, above the floor of the group; the lanes that have cells on it
    /// which are as high as all around.
    #[inline(always)]
    fn find<S: Set<T>>(
        &mut self,
        shape: Shape,
        g: usize,
        x: usize,
        off_track: bool,
        soon: Soon<T>,
    ) -> u64 {
        let width = width::<T>();
        let row = |x: usize| &self.tile[shape.start(x, g)..][..shape.n_y];
        let up = x.checked_sub(1).map(row);
        let down = (x + 1 < shape.n_x).then(|| row(x + 1));
        let here = row(x);
        let floor = &self.floors[g];
        match off_track {
            false => self.row.find::<T, S, false>(up, here, down, floor, soon),
            true => self.row.find::<T, S, true>(up, here, down, floor, soon),
        }
        let values: &[T] = bytemuck::must_cast_slice(here);
        let around: &[T] = bytemuck::must_cast_slice(&self.row.around);
        for (w, &peaks) in self.row.peaks.iter().enumerate() {
            let mut bits = peaks;
            while bits != 0 {
                let place = w * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let (y, lane) = (place / width, g * width + place % width);
                self.lists
                    .add(lane, x * shape.n_y + y, values[place], around[place]);
            }
        }
        let mut flat = self.row.flat;
        let mut step = 32;
        while step >= width {
            flat |= flat >> step;
            step /= 2;
        }
        flat & (u64::MAX >> (64 - width))
    }

    /// Lists the peaks of the lanes anew in which a cell was taken to lie on the floor, and the floor was lower.
    #[inline(always)]
    fn once_more<S: Set<T>>(&mut self, shape: Shape, nan_policy: NanPolicy) {
        let width = width::<T>();
        for g in 0..shape.groups {
            let live = self.survey.live >> (g * width) & (u64::MAX >> (64 - width));
            if self.sunk[g] & live == 0 {
                continue;
            }
            self.lists.clear((u64::MAX >> (64 - width)) << (g * width));
            self.floors[g] = self.survey.floor[g];
            for x in 0..shape.n_x {
                let off_track = nan_policy == NanPolicy::OffTrack;
                self.find::<S>(shape, g, x, off_track, Soon::nothing());
            }
        }
    }

    /// Makes room for filled cells, none of which is set: those of a flood are cleared when they are handed over, unless
    /// it was stopped.
    fn clear_filled(&mut self, planes: Planes) {
        if self.stopped {
            self.filled.fill(0);
        }
        self.stopped = true;
        if self.filled.len() < planes.len() {
            memory::resize(&mut self.filled, planes.len(), 0);
        }
    }

    /// The cells that reach each level; the lanes that have no regions of a share, if a level asks for them.
    #[inline(always)]
    fn thresholds<S: Set<T>>(&mut self, task: Task<'_>, shape: Shape, planes: Planes) -> u64 {
        memory::resize(
            &mut self.levels,
            task.levels.len() * shape.groups,
            Line::ZERO,
        );
        for (i, thresholds) in self.levels.iter_mut().enumerate() {
            let (level, g) = (task.levels[i / shape.groups], i % shape.groups);
            let tops = self.survey.top[g].values::<T>();
            for (i, (threshold, &top)) in thresholds.values_mut().iter_mut().zip(tops).enumerate() {
                let live = self.survey.live >> (g * width::<T>() + i) & 1 != 0;
                *threshold = if live {
                    threshold_of(level, top)
                } else {
                    T::NAN
                };
            }
        }
        let shares = coverage::shares(task.levels);
        let mut uncovered = 0;
        for g in 0..if shares.is_empty() { 0 } else { shape.groups } {
            let of_group = g * width::<T>();
            let live = self.survey.live >> of_group & (u64::MAX >> (64 - width::<T>()));
            uncovered |= self.coverage.of_group::<T, S>(
                shape,
                (&self.tile, self.survey.blocks(shape, g)),
                g,
                (live, &self.survey.floor[g]),
                (&shares, task.nan_policy == NanPolicy::OffTrack),
                &mut self.levels,
            ) << of_group;
        }
        memory::resize(&mut self.above, task.levels.len() * planes.len(), 0);
        for (i, thresholds) in self.levels.iter().enumerate() {
            let (a, g) = (i / shape.groups, i % shape.groups);
            threshold::threshold::<T, S>(
                shape,
                planes,
                (&self.tile, self.survey.blocks(shape, g)),
                g,
                thresholds,
                &mut self.above[a * planes.len()..][..planes.len()],
            );
        }
        uncovered
    }

    /// Tells of `n` lanes, which are bins `at` and on of the batch, what has been measured at level number `a`.
    #[inline(always)]
    fn tell_level(
        &mut self,
        a: usize,
        planes: Planes,
        (at, n): (usize, usize),
        measures: &mut Measures<T>,
    ) {
        self.sums
            .count(planes, &self.above[a * planes.len()..][..planes.len()]);
        let groups = planes.lanes / width::<T>();
        for lane in 0..n {
            let levels = &self.levels[a * groups + lane / width::<T>()];
            let threshold = number(levels.values::<T>()[lane % width::<T>()]);
            measures.put_level(a, at + lane, self.sums.of_lane(lane, threshold));
        }
    }

    /// Tells of the same lanes what has been measured without their masks.
    #[inline(always)]
    fn tell_bins(&mut self, (at, n): (usize, usize), measures: &mut Measures<T>) {
        for lane in 0..n {
            let of_lane =
                |lines: &[Line]| lines[lane / width::<T>()].values::<T>()[lane % width::<T>()];
            let (floor, top) = (of_lane(&self.survey.floor), of_lane(&self.survey.top));
            // Where no cell is present, nothing is lowest, and the floor is where it began: above the top.
            let minimum = match self.nan >> lane & 1 {
                0 if floor <= top => floor.unsigned_zero(),
                _ => T::NAN,
            };
            let total = self.sums.total(lane);
            measures.bins[at + lane] = BinMeasures { minimum, total };
        }
    }

    /// Measures the bins of a call, whose masks are those in `found` from bit `at` on.
    #[inline(always)]
    fn measure<S: Set<T>>(
        &mut self,
        call: &Call<'_, '_, T>,
        found: &Findings<T>,
        at: usize,
        measures: &mut Measures<T>,
    ) -> Option<()> {
        let Call { ref bins, task, .. } = *call;
        let task = Task {
            peaks: false,
            ..task
        };
        let call = Call {
            task,
            bins: bins.clone(),
            ..*call
        };
        let cells = self.n_x * self.n_y;
        measures.start(bins.len(), task.levels.len());
        let mut first = bins.start;
        while first < bins.end {
            let tile = first..bins.end.min(first + self.lanes);
            let (n, to) = (tile.len(), first - bins.start);
            first = tile.end;
            if n == 1 {
                self.measure_alone::<S>(&call, tile.start, (found, at + to), to, measures)?;
                continue;
            }
            let shape = Shape {
                n_x: self.n_x,
                n_y: self.n_y,
                groups: n.div_ceil(width::<T>()),
            };
            let planes = Planes::new(self.n_x, self.n_y, shape.groups * width::<T>());
            self.stream::<S>(&call, tile, shape)?;
            self.nan = self.survey.live;
            self.survey.finish::<T, S>(shape, &self.tile, n);
            self.thresholds::<S>(task, shape, planes);
            for a in 0..task.levels.len() {
                let rows = found.rows(a, cells);
                self.sums.add_mask::<T>(shape, &self.tile, rows, at + to, n);
                self.tell_level(a, planes, (to, n), measures);
            }
            self.tell_bins((to, n), measures);
        }
        Some(())
    }

    /// Measures bin `bin` alone, number `to` of the measures, whose masks are bit `at` of those found.
    #[inline(always)]
    fn measure_alone<S: Set<T>>(
        &mut self,
        call: &Call<'_, '_, T>,
        bin: usize,
        (found, at): (&Findings<T>, usize),
        to: usize,
        measures: &mut Measures<T>,
    ) -> Option<()> {
        let planes = Planes::new(self.n_x, self.n_y, 1);
        let map = self
            .map
            .get_or_insert_with(|| Map::new::<T>(self.n_x, self.n_y));
        let segment = call.p.segments(bin..bin + 1).next()?;
        for x in 0..self.n_x {
            if call.stop.requested() {
                return None;
            }
            map.load(segment.piece, segment.bins.start, x);
        }
        let off_track = call.task.nan_policy == NanPolicy::OffTrack;
        let (_, live) = map.survey::<T, S>(off_track);
        memory::resize(&mut self.above, planes.len(), 0);
        for (a, &level) in call.task.levels.iter().enumerate() {
            let threshold = live.map(|(top, _)| threshold_of(level, top));
            if let Some(level) = threshold {
                map.threshold::<T, S>(planes, level, &mut self.above);
            }
            let rows = found.rows(a, self.n_x * self.n_y);
            let level = measure_mask(self.n_y, map.values(), (rows, at), &self.above, threshold);
            measures.put_level(a, to, level);
        }
        measures.bins[to] = measure_map([self.n_x, self.n_y], map.values(), off_track);
        Some(())
    }

    /// Analyses bin `bin` alone, number `at` of the batch.
    #[inline(always)]
    fn alone<S: Set<T>>(
        &mut self,
        call: &Call<'_, '_, T>,
        bin: usize,
        at: usize,
        findings: &mut Findings<T>,
        seconds: &mut Seconds,
    ) -> Option<()> {
        let Call { task, stop, .. } = *call;
        let planes = Planes::new(self.n_x, self.n_y, 1);
        self.clear_filled(planes);
        let mut clock = Clock(Instant::now());
        let map = self
            .map
            .get_or_insert_with(|| Map::new::<T>(self.n_x, self.n_y));
        let segment = call.p.segments(bin..bin + 1).next()?;
        for x in 0..self.n_x {
            if stop.requested() {
                return None;
            }
            map.load(segment.piece, segment.bins.start, x);
        }
        let off_track = task.nan_policy == NanPolicy::OffTrack;
        let (floor, live) = map.survey::<T, S>(off_track);
        clock.lap(&mut seconds.survey);
        memory::resize(&mut self.levels, task.levels.len(), Line::ZERO);
        for (line, &level) in self.levels.iter_mut().zip(task.levels) {
            *line = Line::of(live.map_or(T::NAN, |(top, _)| threshold_of(level, top)));
        }
        let shares = coverage::shares(task.levels);
        let mut covered = true;
        if !shares.is_empty() {
            let values = (map.values(), [self.n_x, self.n_y]);
            covered = self
                .coverage
                .of_map(values, floor, (&shares, off_track), |a, edge: T| {
                    if live.is_some() {
                        self.levels[a] = Line::of(edge);
                    }
                });
            findings.uncovered += usize::from(!covered);
        }
        for (a, &level) in task.levels.iter().enumerate() {
            let (mut reached, mut threshold) = (0..0, None);
            let masked = covered || !matches!(level, Level::Coverage(_));
            if let Some((_, dominant)) = live.filter(|_| masked) {
                let longest = planes.len().max(self.above.len());
                memory::resize(&mut self.above, longest, 0);
                let above = &mut self.above[..planes.len()];
                let value = *threshold.insert(self.levels[a].values::<T>()[0]);
                map.threshold::<T, S>(planes, value, above);
                reached = match task.region {
                    Region::Whole => {
                        self.filled[..planes.len()].copy_from_slice(above);
                        0..self.n_x
                    }
                    Region::Dominant => {
                        let (low, high) = flood::flood(
                            planes,
                            above,
                            &mut self.filled,
                            0,
                            dominant,
                            task.connectivity,
                            stop,
                        )?;
                        low..high + 1
                    }
                };
            }
            hand_over::<T, S>(planes, &mut self.filled, reached, 1, a, at, findings);
            if task.measures {
                let rows = findings.rows(a, self.n_x * self.n_y);
                let above = &self.above[..planes.len().min(self.above.len())];
                let level = measure_mask(self.n_y, map.values(), (rows, at), above, threshold);
                findings.measures.put_level(a, at, level);
            }
        }
        if task.measures {
            let map = map.values();
            findings.measures.bins[at] = measure_map([self.n_x, self.n_y], map, off_track);
        }
        clock.lap(&mut seconds.flood);
        let peaks = &mut findings.peaks;
        match live {
            Some(_) if task.peaks => {
                self.lists.start(self.n_x * self.n_y, 1);
                for x in 0..self.n_x {
                    match off_track {
                        false => map.find::<T, S, false>(x, floor, &mut self.lists),
                        true => map.find::<T, S, true>(x, floor, &mut self.lists),
                    }
                }
                let first = peaks.cells.len();
                let bin = |_| (map.values(), floor);
                self.lists
                    .close(self.n_y, 1, 1, bin, task.prominence, peaks);
                if task.prominence == Prominence::Topographic {
                    let rows = first..peaks.cells.len();
                    topography::<T, S>(&mut self.terrain, floor, map.values(), peaks, rows);
                }
            }
            _ => peaks.counts.push(0),
        }
        clock.lap(&mut seconds.bases);
        self.stopped = false;
        Some(())
    }
}

/// Replaces the bases of the peaks of one bin, which are these rows, by the heights of their saddles.
#[inline(always)]
fn topography<T: Element, S: Set<T>>(
    terrain: &mut Terrain<T>,
    floor: T,
    values: Lane<'_, T>,
    peaks: &mut FoundPeaks<T>,
    rows: Range<usize>,
) {
    terrain.explore::<S>(floor, |x, y| values.at(x, y));
    terrain.bases(&peaks.cells[rows.clone()], &mut peaks.bases[rows]);
}

/// Turns the filled cells of `bins` lanes, in the map rows `reached`, into rows of bits by bin, of level number `a`, from
/// bin number `at` of the batch on; clears them.
#[inline(always)]
fn hand_over<T, S: Set<T>>(
    planes: Planes,
    filled: &mut [u64],
    reached: Range<usize>,
    bins: usize,
    a: usize,
    at: usize,
    findings: &mut Findings<T>,
) {
    let bytes = bins.div_ceil(8);
    for x in reached {
        let mut rows = findings.rows_mut(a, planes.n_x * planes.n_y, x * planes.n_y);
        for w in 0..planes.words {
            let lanes = &mut filled[planes.word(x, w, 0)..][..planes.lanes];
            let cells = rows.by_ref().take((planes.n_y - w * 64).min(64));
            if planes.lanes == 1 {
                for (y, row) in cells.enumerate() {
                    row[at / 8] |= ((lanes[0] >> y & 1) as u8) << (at % 8);
                }
                lanes[0] = 0;
                continue;
            }
            let mut words = [0; 64];
            words[..lanes.len()].copy_from_slice(lanes);
            lanes.fill(0);
            let turned = S::turn_bits(&words);
            for (y, row) in cells.enumerate() {
                let (row, word) = (&mut row[at / 8..], turned[y % 8][y / 8]);
                match bytes {
                    8 => row[..8].copy_from_slice(&word.to_le_bytes()),
                    // A copy of some bytes would be a call for each cell.
                    1 => row[0] = word as u8,
                    _ => row[..bytes].copy_from_slice(&word.to_le_bytes()[..bytes]),
                }
            }
        }
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
