//! Summaries: findings into the columns of a summary.

use std::ops::Range;
use std::sync::Mutex;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::{Parts, SummaryOutput};
use crate::element::{Element, number, quotient};
use crate::error::Error;
use crate::findings::{Findings, FoundPeaks};
use crate::locks::lock;
use crate::reduce::{BLOCK, MaskNumbers, Rows, Scratch, reduce};
use crate::seams::Seams;
use crate::summary::{Near, Summary, SummaryPart};

/// A summary while a run fills it.
#[derive(Debug)]
pub(crate) struct Filling<'a, T> {
    summary: Option<&'a mut Summary<T>>,
    /// Time bins that were there before, and have to stay.
    before: usize,
    seams: Seams,
}

impl<'a, T: Element> Filling<'a, T> {
    /// Makes room for `n_t` time bins, if a summary is wanted.
    pub(crate) fn open(
        output: Option<SummaryOutput<'a, T>>,
        levels: usize,
        n_t: usize,
    ) -> Result<Self, Error> {
        let Some(SummaryOutput { summary, append }) = output else {
            return Ok(Self {
                summary: None,
                before: 0,
                seams: Seams::default(),
            });
        };
        if !append {
            summary.clear();
        }
        let before = summary.n_bins();
        if let Err(error) = summary.resize(levels, before + n_t) {
            summary.resize(levels, before)?;
            return Err(error);
        }
        let mut seams = std::mem::take(&mut summary.seams);
        seams.start(n_t);
        Ok(Self {
            summary: Some(summary),
            before,
            seams,
        })
    }

    /// The rows to be filled, and where masks of pieces meet.
    pub(crate) fn parts(&mut self) -> (Option<SummaryPart<'_, T>>, &mut Seams) {
        let part = (self.summary.as_mut()).map(|summary| summary.part(self.before));
        (part, &mut self.seams)
    }

    /// Ends it: with all rows if they are `wanted`, else as it was. The number of peaks in them, if there is a summary.
    pub(crate) fn close(mut self, wanted: bool) -> Result<Option<usize>, Error> {
        let Some(summary) = self.summary else {
            return Ok(None);
        };
        self.seams.end(wanted);
        if wanted {
            let levels = summary.levels();
            let mut rows = summary.part(0);
            for seam in self.seams.joined() {
                let row = (self.before + seam.bin - 1) * levels + seam.level;
                rows.put_overlaps(row, seam.overlaps);
            }
        } else {
            summary.resize(summary.levels(), self.before)?;
        }
        summary.seams = self.seams;
        Ok(Some(
            summary.peaks[self.before..].iter().sum::<i64>() as usize
        ))
    }
}

/// What a worker needs to count cells, kept from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    numbers: Vec<MaskNumbers>,
    scratch: Scratch,
}

/// Writes the summary, if one is wanted, of the time bins `bins`, which are bins `at` and on of these parts, from findings about
/// the levels `levels`: on the threads of a pool, if there is one.
#[expect(
    clippy::too_many_arguments,
    reason = "what is read, what is written, and what helps"
)]
pub(crate) fn write_summary<T: Element>(
    findings: &Findings<T>,
    parts: &mut Parts<'_, T>,
    (at, bins): (usize, Range<usize>),
    levels: Range<usize>,
    shape: [usize; 2],
    counting: &mut Counting,
    seams: &Mutex<Seams>,
    pool: Option<&ThreadPool>,
) {
    let Some(part) = &mut parts.summary else {
        return;
    };
    let near = parts.near.map(|near| near.of(at, bins.len()));
    if levels.start == 0 {
        write_bins(findings, part, (at, bins.len()), shape[1], near);
    }
    for (k, level) in levels.enumerate() {
        let rows = findings.mask(k, shape);
        let Counting { numbers, scratch } = counting;
        numbers.clear();
        numbers.resize(bins.len(), MaskNumbers::default());
        match pool {
            None => reduce(rows, 0, numbers, scratch),
            Some(pool) => pool.install(|| {
                let blocks = numbers.par_chunks_mut(BLOCK).enumerate();
                blocks
                    .for_each(|(i, block)| reduce(rows, i * BLOCK, block, &mut Scratch::default()));
            }),
        }
        write_level(findings, part, at, (k, level), numbers, rows, near);
        lock(seams).add(level, bins.clone(), rows);
    }
}

/// Writes what is known of `n` time bins without their masks.
fn write_bins<T: Element>(
    findings: &Findings<T>,
    part: &mut SummaryPart<'_, T>,
    (at, n): (usize, usize),
    n_y: usize,
    near: Option<Near<'_>>,
) {
    let FoundPeaks {
        counts,
        cells,
        heights,
        bases,
    } = &findings.peaks;
    let mut end = 0;
    for i in 0..n {
        let to = at + i;
        let rows = end..end + counts[i] as usize;
        end = rows.end;
        let values = &findings.measures.bins[i];
        part.peaks[to] = rows.len() as i64;
        part.minimum[to] = values.minimum;
        part.total[to] = number(values.total);
        part.live[to] = !rows.is_empty();
        if rows.is_empty() {
            continue;
        }
        let (heights, bases) = (&heights[rows.clone()], &bases[rows.clone()]);
        let height = highest(heights.len(), |row| heights[row]);
        // The first peak of greatest height is the dominant one.
        let dominant = heights
            .iter()
            .position(|&other| other == height)
            .unwrap_or(0);
        let cell = cells[rows.start + dominant] as usize;
        let (x, y) = (cell / n_y, cell % n_y);
        part.dominant[to] = [x as i64, y as i64];
        part.height[to] = heights[dominant];
        part.prominence[to] = T::prominence(heights[dominant], bases[dominant]);
        part.highest_prominence[to] =
            highest(heights.len(), |row| T::prominence(heights[row], bases[row]));
        if let Some(near) = near {
            part.distance[to] = number(near.squared(i, [x, y]).sqrt());
        }
    }
}

/// Writes what is known of the masks of level number `level`, number `k` of the findings.
fn write_level<T: Element>(
    findings: &Findings<T>,
    part: &mut SummaryPart<'_, T>,
    at: usize,
    (k, level): (usize, usize),
    numbers: &[MaskNumbers],
    rows: Rows<'_>,
    near: Option<Near<'_>>,
) {
    let measures = findings.measures.of_level(k);
    for (i, (mask, values)) in numbers.iter().zip(measures).enumerate() {
        let to = (at + i) * part.levels + level;
        part.threshold[to] = values.threshold;
        part.area[to] = mask.area;
        part.reached[to] = i64::from(values.reached);
        part.mass[to] = number(values.mass);
        part.sums[to] = mask.sums;
        if mask.area > 0 {
            part.centroid[to] = values.moments.map(|moment| quotient(moment, values.mass));
            (part.first[to], part.last[to]) = (mask.first, mask.last);
            part.border[to] = mask.touches_border(rows.shape);
        }
        // What follows the last one is not known here.
        if let Some(next) = numbers.get(i + 1) {
            part.put_overlaps(to, mask.overlaps(next.area));
        }
        if let Some(near) = near {
            part.near[to] = mask.area > 0 && near.meets(i, rows);
        }
    }
}

/// The highest of `n` values; several at a time, since each waits for the one before it.
fn highest<T: Element>(n: usize, value: impl Fn(usize) -> T) -> T {
    const SEVERAL: usize = 8;
    let mut best = [T::LOWEST; SEVERAL];
    let full = n / SEVERAL * SEVERAL;
    for first in (0..full).step_by(SEVERAL) {
        for i in 0..SEVERAL {
            let value = value(first + i);
            best[i] = if value > best[i] { value } else { best[i] };
        }
    }
    let all = best.into_iter().chain((full..n).map(value));
    all.fold(
        T::LOWEST,
        |best, value| if value > best { value } else { best },
    )
}
