//! Flood: the cells of every lane that are connected to its dominant cell through cells above the level.
//!
//! Reads: Live, Dominant, Above. Writes: Filled.
//! Filled: in a live lane, the least set that holds the dominant cell and every cell of Above that touches a cell of the
//! set, by four or eight neighbours. The least fixpoint of a monotone update, so no order matters.

use super::planes::Planes;
use crate::Connectivity;
use crate::engine::Stop;

/// Grows the dominant cell of one lane, in planes `above` and `filled`, to the fixpoint: row after row down and up from
/// it, each taking what touches the row before and running along its words. The map rows that it reaches, first and last;
/// none when it was stopped before.
#[inline(always)]
pub(super) fn flood(
    planes: Planes,
    above: &[u64],
    filled: &mut [u64],
    lane: usize,
    dominant: usize,
    connectivity: Connectivity,
    stop: &Stop,
) -> Option<(usize, usize)> {
    let eight = connectivity == Connectivity::Eight;
    let (x, y) = (dominant / planes.n_y, dominant % planes.n_y);
    let n_x = planes.n_x;
    filled[planes.word(x, y / 64, lane)] = 1 << (y % 64);
    run(planes, above, filled, lane, x);
    // The rows that hold anything, and the one that the next pass starts from.
    let (mut low, mut high, mut from) = (x, x, x);
    loop {
        let mut gained = false;
        let mut x = from + 1;
        while x < n_x {
            if take(planes, above, filled, lane, x - 1, x, eight) {
                run(planes, above, filled, lane, x);
                gained = true;
            } else if x > high {
                break;
            }
            x += 1;
        }
        high = high.max(x - 1);
        let mut x = high;
        while x > 0 {
            x -= 1;
            if take(planes, above, filled, lane, x + 1, x, eight) {
                run(planes, above, filled, lane, x);
                low = low.min(x);
                gained = true;
            } else if x < low {
                break;
            }
        }
        if !gained {
            return Some((low, high));
        }
        if stop.requested() {
            return None;
        }
        from = low;
    }
}

/// Lets row `x` take the cells that touch row `beside`; whether there were any.
#[inline(always)]
fn take(
    planes: Planes,
    above: &[u64],
    filled: &mut [u64],
    lane: usize,
    beside: usize,
    x: usize,
    eight: bool,
) -> bool {
    let mut taken = false;
    for w in 0..planes.words {
        let near = filled[planes.word(beside, w, lane)];
        let near = if eight {
            let before = if w == 0 {
                0
            } else {
                filled[planes.word(beside, w - 1, lane)] >> 63
            };
            let after = if w + 1 == planes.words {
                0
            } else {
                filled[planes.word(beside, w + 1, lane)] << 63
            };
            near | near << 1 | near >> 1 | before | after
        } else {
            near
        };
        let at = planes.word(x, w, lane);
        let new = near & above[at] & !filled[at];
        filled[at] |= new;
        taken |= new != 0;
    }
    taken
}

/// Fills the runs of open cells of row `x` that hold a filled cell: by a carry upwards, then by steps downwards.
#[inline(always)]
fn run(planes: Planes, above: &[u64], filled: &mut [u64], lane: usize, x: usize) {
    let mut carry = 0;
    for w in 0..planes.words {
        let at = planes.word(x, w, lane);
        let open = above[at];
        let seeds = (filled[at] | carry) & open;
        // Adding a seed to the run above it clears the run, and sets the cell after it.
        let up = (open.wrapping_add(seeds) ^ open) & open | seeds;
        carry = up >> 63;
        filled[at] |= up;
    }
    let mut carry = 0;
    for w in (0..planes.words).rev() {
        let at = planes.word(x, w, lane);
        let mut open = above[at];
        let mut down = (filled[at] | carry) & open;
        for step in [1, 2, 4, 8, 16, 32] {
            down |= open & down >> step;
            open &= open >> step;
        }
        carry = down << 63;
        filled[at] |= down;
    }
}
