//! Flood: the cells of every lane that are connected to its dominant cell through cells above the level.
//!
//! Reads: Live, Dominant, Above. Writes: Filled.
//! Filled: in a live lane, the least set that holds the dominant cell and every cell of Above that touches a cell of the
//! set, by four or eight neighbours. The least fixpoint of a monotone update, so no order matters.

use super::lanes::Word;
use super::planes::Frame;
use crate::Connectivity;
use crate::engine::Stop;

/// The rows that have to be looked at again, each with the interval of cells that may gain a lane.
///
/// A row is taken up only when a neighbouring row has gained lanes, and only where it has: a front, not a sweep.
pub(super) struct Front {
    /// Half-open intervals; empty where nothing is pending.
    pending: Vec<(u32, u32)>,
    first: usize,
    end: usize,
}

impl Front {
    pub(super) fn new(n_x: usize) -> Self {
        Self {
            pending: vec![(u32::MAX, 0); n_x],
            first: usize::MAX,
            end: 0,
        }
    }

    #[inline(always)]
    fn add(&mut self, x: usize, from: usize, to: usize) {
        let interval = &mut self.pending[x];
        interval.0 = interval.0.min(from as u32);
        interval.1 = interval.1.max(to as u32);
        self.first = self.first.min(x);
        self.end = self.end.max(x + 1);
    }

    #[inline(always)]
    fn take(&mut self, x: usize) -> Option<(usize, usize)> {
        let (from, to) = std::mem::replace(&mut self.pending[x], (u32::MAX, 0));
        (from < to).then_some((from as usize, to as usize))
    }
}

/// Grows `filled`, which holds the dominant cells `seeds` alone, to the fixpoint.
///
/// Returns false when it was stopped before.
#[inline(always)]
pub(super) fn flood<W: Word>(
    above: &[W],
    filled: &mut [W],
    seeds: impl Iterator<Item = u32>,
    connectivity: Connectivity,
    frame: Frame,
    front: &mut Front,
    stop: &Stop,
) -> bool {
    let reach = usize::from(connectivity == Connectivity::Eight);
    for cell in seeds {
        let (x, y) = (cell as usize / frame.n_y, cell as usize % frame.n_y);
        // The dominant cell spreads from its own row, and, as if that row had just gained it, to the rows beside.
        front.add(x, y.saturating_sub(1), (y + 2).min(frame.n_y));
        notify(front, frame, x, y, y + 1, reach);
    }
    while front.first < front.end {
        let (first, end) = (front.first, front.end);
        (front.first, front.end) = (usize::MAX, 0);
        // Downwards first; a row that gains lanes takes the next one along in the same pass.
        let mut x = first;
        while x < end.max(front.end) {
            step(above, filled, frame, front, x, reach);
            x += 1;
        }
        let (low, mut x) = (front.first, front.end);
        (front.first, front.end) = (usize::MAX, 0);
        while x > low.min(front.first) {
            x -= 1;
            step(above, filled, frame, front, x, reach);
        }
        if stop.requested() {
            return false;
        }
    }
    true
}

/// Lets the rows beside `x` know that its cells `from..to` have gained lanes.
#[inline(always)]
fn notify(front: &mut Front, frame: Frame, x: usize, from: usize, to: usize, reach: usize) {
    let (from, to) = (from.saturating_sub(reach), (to + reach).min(frame.n_y));
    if x > 0 {
        front.add(x - 1, from, to);
    }
    if x + 1 < frame.n_x {
        front.add(x + 1, from, to);
    }
}

/// Takes up what is pending in row `x`: lanes come in from the rows beside, then run along the row both ways.
#[inline(always)]
fn step<W: Word>(
    above: &[W],
    filled: &mut [W],
    frame: Frame,
    front: &mut Front,
    x: usize,
    reach: usize,
) {
    let Some((from, to)) = front.take(x) else {
        return;
    };
    let (stride, start) = (frame.stride(), frame.row(x).start);
    let (mut gained_from, mut gained_to) = (usize::MAX, 0);
    // Left to right; past the interval only as long as something is carried.
    let mut carry = filled[start + from - 1];
    let mut y = from;
    while y < frame.n_y {
        let w = start + y;
        let mut near = carry;
        if y < to {
            near |= filled[w - stride] | filled[w + stride];
            if reach == 1 {
                near |= filled[w - stride - 1]
                    | filled[w - stride + 1]
                    | filled[w + stride - 1]
                    | filled[w + stride + 1];
            }
        }
        let old = filled[w];
        let new = near & above[w] & !old;
        if !new.is_empty() {
            filled[w] = old | new;
            gained_from = gained_from.min(y);
            gained_to = y + 1;
        } else if y >= to {
            break;
        }
        carry = filled[w];
        y += 1;
    }
    // Right to left.
    let mut y = y.min(frame.n_y);
    let mut carry = filled[start + y];
    while y > 0 {
        y -= 1;
        let w = start + y;
        let old = filled[w];
        let new = carry & above[w] & !old;
        if !new.is_empty() {
            filled[w] = old | new;
            gained_from = gained_from.min(y);
            gained_to = gained_to.max(y + 1);
        } else if y < from {
            break;
        }
        carry = filled[w];
    }
    if gained_from < gained_to {
        notify(front, frame, x, gained_from, gained_to, reach);
    }
}
