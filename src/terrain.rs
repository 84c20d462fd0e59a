//! Terrain: the summits of one map, the saddles between them, and the land that each rules.
//!
//! Reads: the values of a map. Writes: for each summit its saddle and the summit that it meets there.
//!
//! Cells are thought of as coming one after the other, in descending order of value, and row-major among equals. A cell
//! none of whose neighbours came before it is a *tip*, with land of its own; one whose neighbours belong to several lands
//! joins them, and is the saddle of all their tips but the highest. The values that come of it have no order in them:
//! tips within a plateau meet at its height, which makes all but the first of them none.
//!
//! Most cells join nothing, and that shows in their eight neighbours: those that came before are connected among
//! themselves unless they lie in several runs of the ring around the cell. Only cells with several runs are put in
//! order. Which land a run belongs to, any way upwards tells: it ends at a tip of that land.

use crate::element::Element;
use crate::memory;
use crate::vector::{Set, transpose_8, width};

/// No place: it lies in the frame.
const NOWHERE: u32 = 0;

/// The values of one map within a frame of NaN, which nothing reaches and nothing exceeds, and what is known of them. A
/// *place* is a cell's number in this array; places are in row-major order.
pub(crate) struct Terrain<T> {
    n_x: usize,
    n_y: usize,
    /// From one map row to the next: its cells, and one of the frame, which is beside this row and the next.
    row: usize,
    values: Vec<T>,
    /// The lowest of the values.
    floor: T,
    /// By place, the neighbours that came before it: a bit for each, around the ring.
    earlier: Vec<u8>,
    /// By place, a tip that can be reached from it upwards, once known.
    above: Vec<u32>,
    /// All tips, in row-major order.
    tips: Vec<u32>,
    /// By tip, the highest of its land so far (or one on the way there), the place where it met a higher one, and which.
    highest: Vec<u32>,
    saddle: Vec<u32>,
    met: Vec<u32>,
    joints: Vec<Joint>,
    /// Values and numbers of the joints, in the order in which they come.
    order: Vec<(T, u32)>,
    /// Places on the way up.
    way: Vec<u32>,
}

/// A cell whose neighbours may belong to several lands, and a tip for each run of them.
#[derive(Debug, Clone, Copy)]
struct Joint {
    place: u32,
    runs: u32,
    tips: [u32; 4],
}

/// The neighbours around a cell, clockwise: corners have even numbers. The first three and the last come before the cell
/// in row-major order.
const RING: [(isize, isize); 8] = [
    (-1, -1),
    (-1, 0),
    (-1, 1),
    (0, 1),
    (1, 1),
    (1, 0),
    (1, -1),
    (0, -1),
];

impl<T: Element> Terrain<T> {
    /// For maps of this shape; memory is taken with the first map.
    pub(crate) fn new(n_x: usize, n_y: usize) -> Self {
        Self {
            n_x,
            n_y,
            row: n_y + 1,
            values: Vec::new(),
            floor: T::NAN,
            earlier: Vec::new(),
            above: Vec::new(),
            tips: Vec::new(),
            highest: Vec::new(),
            saddle: Vec::new(),
            met: Vec::new(),
            joints: Vec::new(),
            order: Vec::new(),
            way: Vec::new(),
        }
    }

    /// The shape `[n_x, n_y]` of the maps.
    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.n_x, self.n_y]
    }

    /// Takes in a map, whose lowest value is `floor`, and finds its summits. Cells of NaN are absent.
    #[inline(always)]
    pub(crate) fn explore<S: Set<T>>(&mut self, floor: T, value: impl Fn(usize, usize) -> T) {
        self.floor = floor;
        if self.values.is_empty() {
            self.prepare();
        }
        for x in 0..self.n_x {
            let start = self.place(x, 0);
            for (y, to) in self.values[start..start + self.n_y].iter_mut().enumerate() {
                *to = value(x, y);
            }
        }
        self.above.fill(NOWHERE);
        self.tips.clear();
        self.joints.clear();
        for x in 0..self.n_x {
            for y in (0..self.n_y).step_by(64) {
                self.look_around::<S>(x, y);
            }
        }
        self.join();
    }

    /// Takes memory.
    fn prepare(&mut self) {
        // A vector from the last cell on, and eight bytes, may lie beyond the frame.
        let places = (self.n_x + 2) * self.row + 1 + width::<T>().max(64);
        memory::resize(&mut self.values, places, T::NAN);
        memory::resize(&mut self.earlier, places, 0);
        for by_place in [
            &mut self.above,
            &mut self.highest,
            &mut self.saddle,
            &mut self.met,
        ] {
            memory::resize(by_place, places, NOWHERE);
        }
        // Memory that is not written is not touched.
        let cells = self.n_x * self.n_y;
        self.tips = memory::room(cells.div_ceil(2));
        self.joints = memory::room(cells);
        self.order = memory::room(cells);
        self.way = memory::room(cells);
    }

    #[inline(always)]
    fn place(&self, x: usize, y: usize) -> usize {
        (x + 1) * self.row + 1 + y
    }

    #[inline(always)]
    fn value(&self, place: u32) -> T {
        self.values[place as usize]
    }

    /// Neighbour number `k` of a place.
    #[inline(always)]
    fn neighbour(&self, place: u32, k: u32) -> u32 {
        let (x, y) = RING[k as usize];
        place.wrapping_add_signed((x * self.row as isize + y) as i32)
    }

    /// Finds for the cells from `(x, y)` on, 64 at most, the neighbours that come before each; lists tips and joints.
    #[inline(always)]
    fn look_around<S: Set<T>>(&mut self, x: usize, y: usize) {
        let cells = (self.n_y - y).min(64);
        let start = self.place(x, y);
        let mut ring = [0_u64; 8];
        let mut present = 0;
        for k in (0..cells).step_by(width::<T>()) {
            let at = start + k;
            let value = S::load_from(&self.values[at..]);
            let (up, down) = (
                &self.values[at - self.row - 1..],
                &self.values[at + self.row - 1..],
            );
            let beside = &self.values[at - 1..];
            present |= S::reaches(value, value) << k;
            ring[0] |= S::reaches(S::load_from(up), value) << k;
            ring[1] |= S::reaches(S::load_from(&up[1..]), value) << k;
            ring[2] |= S::reaches(S::load_from(&up[2..]), value) << k;
            ring[3] |= S::exceeds(S::load_from(&beside[2..]), value) << k;
            ring[4] |= S::exceeds(S::load_from(&down[2..]), value) << k;
            ring[5] |= S::exceeds(S::load_from(&down[1..]), value) << k;
            ring[6] |= S::exceeds(S::load_from(down), value) << k;
            ring[7] |= S::reaches(S::load_from(beside), value) << k;
        }
        let inside = u64::MAX >> (64 - cells);
        for bits in &mut ring {
            *bits &= inside;
        }
        // Rows come in order, so that what is written beyond this one is frame, or written again.
        for i in 0..cells.div_ceil(8) {
            let mut bytes = 0;
            for (k, bits) in ring.iter().enumerate() {
                bytes |= (bits >> (8 * i) & 0xff) << (8 * k);
            }
            self.earlier[start + 8 * i..][..8].copy_from_slice(&transpose_8(bytes).to_le_bytes());
        }
        let mut tips = present & inside & !ring.iter().fold(0, |any, bits| any | bits);
        while tips != 0 {
            let tip = start + tips.trailing_zeros() as usize;
            tips &= tips - 1;
            self.tips.push(tip as u32);
            self.highest[tip] = tip as u32;
            self.saddle[tip] = NOWHERE;
            self.met[tip] = NOWHERE;
        }
        // A run begins after each of the four neighbours at an edge that came later, where the corner next to it, or the
        // next at an edge, came before.
        let begins = |k: usize| !ring[k] & (ring[(k + 1) % 8] | ring[(k + 2) % 8]);
        let [a, b, c, d] = [begins(1), begins(3), begins(5), begins(7)];
        let mut several = a & b | c & d | (a | b) & (c | d);
        while several != 0 {
            let place = start + several.trailing_zeros() as usize;
            several &= several - 1;
            self.joints.push(Joint {
                place: place as u32,
                runs: 0,
                tips: [NOWHERE; 4],
            });
        }
    }

    /// Puts joints in order, and joins lands.
    fn join(&mut self) {
        self.order.clear();
        for number in 0..self.joints.len() {
            let mut joint = self.joints[number];
            let earlier = u32::from(self.earlier[joint.place as usize]);
            // Twice around, so that the ring has no end.
            let ring = earlier | earlier << 8;
            for k in [1, 3, 5, 7] {
                let first = match ring >> k & 0b111 {
                    0b010 | 0b110 => k + 1,
                    0b100 => k + 2,
                    _ => continue,
                };
                let tip = self.tip_above(self.neighbour(joint.place, first % 8));
                let known = &joint.tips[..joint.runs as usize];
                if !known.contains(&tip) {
                    joint.tips[joint.runs as usize] = tip;
                    joint.runs += 1;
                }
            }
            if joint.runs > 1 {
                self.order.push((self.value(joint.place), number as u32));
            }
            self.joints[number] = joint;
        }
        // Joints are listed in row-major order.
        self.order.sort_unstable_by(|(a, i), (b, j)| {
            b.partial_cmp(a)
                .unwrap_or(std::cmp::Ordering::Equal)
                .then(i.cmp(j))
        });
        for at in 0..self.order.len() {
            let Joint { place, runs, tips } = self.joints[self.order[at].1 as usize];
            let mut highest = self.highest(tips[0]);
            for &tip in &tips[1..runs as usize] {
                let mut other = self.highest(tip);
                if other == highest {
                    continue;
                }
                if self.comes_before(other, highest) {
                    std::mem::swap(&mut other, &mut highest);
                }
                self.highest[other as usize] = highest;
                self.saddle[other as usize] = place;
                self.met[other as usize] = highest;
            }
        }
    }

    /// A tip that can be reached upwards.
    #[inline(always)]
    fn tip_above(&mut self, from: u32) -> u32 {
        let mut place = from;
        self.way.clear();
        let tip = loop {
            let known = self.above[place as usize];
            if known != NOWHERE {
                break known;
            }
            let earlier = self.earlier[place as usize];
            if earlier == 0 {
                break place;
            }
            self.way.push(place);
            place = self.neighbour(place, earlier.trailing_zeros());
        };
        for &place in &self.way {
            self.above[place as usize] = tip;
        }
        tip
    }

    /// The highest tip of the land so far of a tip.
    #[inline(always)]
    fn highest(&mut self, mut tip: u32) -> u32 {
        loop {
            let next = self.highest[tip as usize];
            if next == tip {
                return tip;
            }
            let after = self.highest[next as usize];
            self.highest[tip as usize] = after;
            tip = after;
        }
    }

    #[inline(always)]
    fn comes_before(&self, a: u32, b: u32) -> bool {
        let (of_a, of_b) = (self.value(a), self.value(b));
        of_a > of_b || of_a == of_b && a < b
    }

    /// The height of a tip's saddle; of one that met no higher one, the lowest value of the map.
    #[inline(always)]
    fn base(&self, tip: u32) -> T {
        match self.saddle[tip as usize] {
            NOWHERE => self.floor,
            saddle => self.value(saddle),
        }
    }

    /// The highest summit that can be reached from a tip without stepping below `level`.
    #[inline(always)]
    fn ruler(&self, mut tip: u32, level: T) -> u32 {
        while self.met[tip as usize] != NOWHERE && self.base(tip) >= level {
            tip = self.met[tip as usize];
        }
        tip
    }

    /// Replaces `bases` by those of the peaks at `cells`: the heights of their saddles, and of shoulders their own.
    pub(crate) fn bases(&mut self, cells: &[u32], bases: &mut [T]) {
        for (&cell, base) in cells.iter().zip(bases) {
            let (x, y) = (cell as usize / self.n_y, cell as usize % self.n_y);
            let place = self.place(x, y) as u32;
            let height = self.value(place);
            let tip = self.tip_above(place);
            let summit = self.ruler(tip, height);
            *base = if self.value(summit) > height {
                height
            } else {
                self.base(summit)
            };
        }
    }

    /// The cell of a place.
    fn cell(&self, place: u32) -> [usize; 2] {
        let place = place as usize - 1;
        [place / self.row - 1, place % self.row]
    }

    /// All summits, in row-major order of their first cells.
    pub(crate) fn summits(&self) -> impl Iterator<Item = Summit<T>> {
        let summits = self.tips.iter().copied().filter(|&tip| self.is_summit(tip));
        summits.map(|tip| {
            let (saddle, met) = (self.saddle[tip as usize], self.met[tip as usize]);
            let base = self.base(tip);
            Summit {
                cell: self.cell(tip),
                height: self.value(tip),
                base,
                saddle: (saddle != NOWHERE).then(|| self.cell(saddle)),
                parent: (met != NOWHERE).then(|| self.cell(self.ruler(met, base))),
            }
        })
    }

    /// The first cell of the highest summit that can be reached from a cell without stepping below it; none for a cell that
    /// is absent, or from which there is no summit.
    pub(crate) fn ruler_of(&mut self, x: usize, y: usize) -> Option<[usize; 2]> {
        let place = self.place(x, y) as u32;
        let value = self.value(place);
        if value.is_nan() {
            return None;
        }
        let tip = self.tip_above(place);
        let summit = self.ruler(tip, value);
        self.is_summit(summit).then(|| self.cell(summit))
    }

    /// Whether a tip rises above its saddle: others are parts of plateaus, shoulders, or flat ground.
    fn is_summit(&self, tip: u32) -> bool {
        self.value(tip) > self.base(tip)
    }
}

/// A summit: a peak, or a plateau of peaks none of which touches an equal cell that is no peak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summit<T> {
    /// Its first cell, `[x, y]`.
    pub(crate) cell: [usize; 2],
    pub(crate) height: T,
    /// The height of the saddle, or the lowest value of the map.
    pub(crate) base: T,
    /// Where it meets higher ground, if it does.
    pub(crate) saddle: Option<[usize; 2]>,
    /// The first cell of the highest summit that can be reached without stepping below the saddle.
    pub(crate) parent: Option<[usize; 2]>,
}
