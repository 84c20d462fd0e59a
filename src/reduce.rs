//! Reduce: masks that lie as bits by time bin, to numbers of each bin.
//!
//! A row of bits has a bit for each time bin, and there is one for every cell of the map. Cells are counted in all bins at
//! once: a counter is a stack of planes, one for each binary digit, and every plane has a bit for each bin. To count a cell is
//! to ripple its row through the planes, and to add two counters is what an adder does with wires. Integers alone, so no order
//! matters.

use crate::bits::transpose_64;
use crate::instruction_set::InstructionSet;

/// What one mask comes to; the overlaps are with the mask of the next time bin in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MaskNumbers {
    pub(crate) area: i64,
    pub(crate) sums: [i64; 2],
    /// Lowest and highest x and y, where there is a cell.
    pub(crate) first: [i64; 2],
    pub(crate) last: [i64; 2],
    /// Cells in both masks.
    pub(crate) overlap: i64,
    /// Cells within a cell of the mask.
    pub(crate) dilated: i64,
    /// Cells within a cell of the mask, and in the next.
    pub(crate) dilated_overlap: i64,
}

impl MaskNumbers {
    /// Whether the mask holds a cell of the border of a map of this shape.
    pub(crate) fn touches_border(&self, [n_x, n_y]: [usize; 2]) -> bool {
        let ends = [n_x as i64 - 1, n_y as i64 - 1];
        self.area > 0
            && (self.first.contains(&0) || (0..2).any(|axis| self.last[axis] == ends[axis]))
    }

    /// The overlaps with the mask of the next time bin, which has this many cells: plain, after dilation, and the union after
    /// dilation.
    pub(crate) fn overlaps(&self, next_area: i64) -> [i64; 3] {
        let union = self.dilated + next_area - self.dilated_overlap;
        [self.overlap, self.dilated_overlap, union]
    }
}

/// Rows of bits: one for each cell of a map, in row-major order, the first time bin lowest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) bits: &'a [u8],
    /// Bytes of a row.
    pub(crate) bytes: usize,
    pub(crate) shape: [usize; 2],
}

/// Planes of counters, kept from call to call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    words: Vec<u64>,
    /// Room for rows of bits that are put together.
    pub(crate) bits: Vec<u8>,
}

/// Time bins of a block: a vector of AVX-512.
pub(crate) const BLOCK: usize = 512;

/// The numbers of the time bins from `first`, a multiple of eight, on: as many as `numbers` has room for.
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calls of functions compiled for instruction sets beyond the baseline"
    )
)]
pub(crate) fn reduce(
    rows: Rows<'_>,
    first: usize,
    numbers: &mut [MaskNumbers],
    scratch: &mut Scratch,
) {
    debug_assert!(first.is_multiple_of(8), "a byte is read whole");
    let mut at = first;
    for block in numbers.chunks_mut(BLOCK) {
        let narrow = block.len() <= 64;
        match InstructionSet::detect() {
            _ if narrow => Block::<1>::new(rows, at).reduce(block, scratch),
            // SAFETY: the processor offers these instructions.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => unsafe { avx512(rows, at, block, scratch) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => unsafe { avx2(rows, at, block, scratch) },
            _ => Block::<8>::new(rows, at).reduce(block, scratch),
        }
        at += block.len();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(
    enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt"
)]
fn avx512(rows: Rows<'_>, at: usize, numbers: &mut [MaskNumbers], scratch: &mut Scratch) {
    Block::<8>::new(rows, at).reduce(numbers, scratch);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn avx2(rows: Rows<'_>, at: usize, numbers: &mut [MaskNumbers], scratch: &mut Scratch) {
    Block::<8>::new(rows, at).reduce(numbers, scratch);
}

/// A bit for each of `W * 64` time bins.
type Plane<const W: usize> = [u64; W];

#[inline(always)]
fn and<const W: usize>(mut a: Plane<W>, b: Plane<W>) -> Plane<W> {
    for i in 0..W {
        a[i] &= b[i];
    }
    a
}

#[inline(always)]
fn or<const W: usize>(mut a: Plane<W>, b: Plane<W>) -> Plane<W> {
    for i in 0..W {
        a[i] |= b[i];
    }
    a
}

#[inline(always)]
fn xor<const W: usize>(mut a: Plane<W>, b: Plane<W>) -> Plane<W> {
    for i in 0..W {
        a[i] ^= b[i];
    }
    a
}

#[inline(always)]
fn and_not<const W: usize>(mut a: Plane<W>, b: Plane<W>) -> Plane<W> {
    for i in 0..W {
        a[i] &= !b[i];
    }
    a
}

#[inline(always)]
fn any<const W: usize>(a: Plane<W>) -> bool {
    let mut all = 0;
    for i in 0..W {
        all |= a[i];
    }
    all != 0
}

/// Counts the bins of `cell`.
#[inline(always)]
fn count<const W: usize>(counter: &mut [Plane<W>], cell: Plane<W>) {
    let mut carry = cell;
    for plane in counter {
        let digit = *plane;
        *plane = xor(digit, carry);
        carry = and(digit, carry);
        if !any(carry) {
            break;
        }
    }
}

/// Adds a counter to one that has at least as many digits.
#[inline(always)]
fn add<const W: usize>(counter: &mut [Plane<W>], other: &[Plane<W>]) {
    let mut carry = [0; W];
    let (low, high) = counter.split_at_mut(other.len());
    for (plane, &digit) in low.iter_mut().zip(other) {
        let (a, half) = (*plane, xor(*plane, digit));
        *plane = xor(half, carry);
        carry = or(and(a, digit), and(half, carry));
    }
    if any(carry) {
        count(high, carry);
    }
}

/// Sets the digits of the bins of `which` to those of a number; they were clear.
#[inline(always)]
fn put<const W: usize>(counter: &mut [Plane<W>], which: Plane<W>, number: usize) {
    for (k, plane) in counter.iter_mut().enumerate() {
        if number >> k & 1 != 0 {
            *plane = or(*plane, which);
        }
    }
}

/// Digits of numbers up to this one.
fn digits(most: usize) -> usize {
    (usize::BITS - most.leading_zeros()).max(1) as usize
}

/// A block of time bins of a stack of rows.
struct Block<'a, const W: usize> {
    rows: Rows<'a>,
    /// First byte.
    byte: usize,
}

/// Where the counters lie, and how many digits each has.
struct Digits {
    /// Of a map axis' numbers of cells.
    x: usize,
    y: usize,
    cells: usize,
    /// Of sums of x and y.
    sums: usize,
}

impl<'a, const W: usize> Block<'a, W> {
    fn new(rows: Rows<'a>, first: usize) -> Self {
        Self {
            rows,
            byte: first / 8,
        }
    }

    /// The bits of a cell, and those of the bins after them.
    #[inline(always)]
    fn load(&self, cell: usize) -> (Plane<W>, Plane<W>) {
        let row = &self.rows.bits[cell * self.rows.bytes..][..self.rows.bytes];
        let row = &row[self.byte..];
        let mut here = [0; W];
        if row.len() >= 8 * W {
            for i in 0..W {
                let mut word = [0; 8];
                word.copy_from_slice(&row[8 * i..8 * i + 8]);
                here[i] = u64::from_le_bytes(word);
            }
        } else {
            for (i, &byte) in row.iter().enumerate() {
                here[i / 8] |= u64::from(byte) << (i % 8 * 8);
            }
        }
        let after = row.get(8 * W).map_or(0, |&byte| u64::from(byte));
        let mut next = [0; W];
        for i in 0..W {
            let following = if i + 1 < W { here[i + 1] } else { after };
            next[i] = here[i] >> 1 | following << 63;
        }
        (here, next)
    }

    #[inline(always)]
    fn reduce(&self, numbers: &mut [MaskNumbers], scratch: &mut Scratch) {
        let [n_x, n_y] = self.rows.shape;
        let d = Digits {
            x: digits(n_x),
            y: digits(n_y),
            cells: digits(n_x * n_y),
            sums: digits((n_x * n_y).saturating_mul(n_x.max(n_y))).min(64),
        };
        // Bits and next bits of three map rows, each framed by a column on both sides; then the counters.
        let frame = n_y + 2;
        let planes = 6 * frame + n_y * d.x + d.y + 4 * d.cells + 2 * d.sums + 2 * d.x + 2 * d.y;
        scratch.words.clear();
        scratch.words.resize(planes * W, 0);
        let (planes, _) = scratch.words.as_chunks_mut::<W>();
        let (bits, counters) = planes.split_at_mut(3 * frame);
        let (nexts, counters) = counters.split_at_mut(3 * frame);
        let (columns, counters) = counters.split_at_mut(n_y * d.x);
        let (in_row, counters) = counters.split_at_mut(d.y);
        let (area, counters) = counters.split_at_mut(d.cells);
        let (overlap, counters) = counters.split_at_mut(d.cells);
        let (dilated, counters) = counters.split_at_mut(d.cells);
        let (dilated_overlap, counters) = counters.split_at_mut(d.cells);
        let (sum_x, counters) = counters.split_at_mut(d.sums);
        let (sum_y, counters) = counters.split_at_mut(d.sums);
        let (first_x, counters) = counters.split_at_mut(d.x);
        let (last_x, counters) = counters.split_at_mut(d.x);
        let (first_y, last_y) = counters.split_at_mut(d.y);

        // From the last map row to the first: the area so far, added up at every row but the first, is the sum of x.
        let mut seen = [0; W];
        let mut filled = [false; 3];
        for step in 0..n_x + 1 {
            // Row `x` is counted when the one before it has been loaded.
            let loaded = n_x.checked_sub(step + 1);
            let slot = step % 3;
            filled[slot] = false;
            if let Some(x) = loaded {
                let (bits, nexts) = (
                    &mut bits[slot * frame..][..frame],
                    &mut nexts[slot * frame..][..frame],
                );
                let mut row = 0;
                for y in 0..n_y {
                    let (here, next) = self.load(x * n_y + y);
                    bits[y + 1] = here;
                    nexts[y + 1] = next;
                    row |= u64::from(any(here));
                }
                filled[slot] = row != 0;
            }
            let Some(x) = (n_x + 1).checked_sub(step + 1).filter(|&x| x < n_x) else {
                continue;
            };
            let (here, below) = ((step + 2) % 3, (step + 1) % 3);
            let beside = [slot, here, below].map(|slot| filled[slot]);
            if beside.contains(&true) {
                in_row.fill([0; W]);
                let mut whole = [0; W];
                for y in 0..n_y {
                    let mut around = [0; W];
                    for (k, slot) in [slot, here, below].into_iter().enumerate() {
                        if beside[k] {
                            let three = &bits[slot * frame + y..][..3];
                            around = or(around, or(or(three[0], three[1]), three[2]));
                        }
                    }
                    if !any(around) {
                        continue;
                    }
                    let next = nexts[here * frame + y + 1];
                    count(dilated, around);
                    count(dilated_overlap, and(around, next));
                    if beside[1] {
                        let cell = bits[here * frame + y + 1];
                        count(overlap, and(cell, next));
                        count(in_row, cell);
                        count(&mut columns[y * d.x..][..d.x], cell);
                        whole = or(whole, cell);
                    }
                }
                add(area, in_row);
                put(last_x, and_not(whole, seen), x);
                seen = or(seen, whole);
                for (k, plane) in first_x.iter_mut().enumerate() {
                    *plane = match x >> k & 1 {
                        0 => and_not(*plane, whole),
                        _ => or(*plane, whole),
                    };
                }
            }
            if x > 0 {
                add(sum_x, area);
            }
        }
        // The same for columns: the area is counted up again.
        let mut running = [[0; W]; 64];
        let running = &mut running[..d.cells];
        seen = [0; W];
        for y in (0..n_y).rev() {
            let column = &columns[y * d.x..][..d.x];
            let mut whole = [0; W];
            for &plane in column {
                whole = or(whole, plane);
            }
            if any(whole) {
                add(running, column);
                put(last_y, and_not(whole, seen), y);
                seen = or(seen, whole);
                for (k, plane) in first_y.iter_mut().enumerate() {
                    *plane = match y >> k & 1 {
                        0 => and_not(*plane, whole),
                        _ => or(*plane, whole),
                    };
                }
            }
            if y > 0 {
                add(sum_y, running);
            }
        }
        read(area, numbers, |bin, n| bin.area = n);
        read(sum_x, numbers, |bin, n| bin.sums[0] = n);
        read(sum_y, numbers, |bin, n| bin.sums[1] = n);
        read(first_x, numbers, |bin, n| bin.first[0] = n);
        read(first_y, numbers, |bin, n| bin.first[1] = n);
        read(last_x, numbers, |bin, n| bin.last[0] = n);
        read(last_y, numbers, |bin, n| bin.last[1] = n);
        read(overlap, numbers, |bin, n| bin.overlap = n);
        read(dilated, numbers, |bin, n| bin.dilated = n);
        read(dilated_overlap, numbers, |bin, n| bin.dilated_overlap = n);
    }
}

/// Reads a counter: its number in each time bin.
#[inline(always)]
fn read<const W: usize>(
    counter: &[Plane<W>],
    numbers: &mut [MaskNumbers],
    mut take: impl FnMut(&mut MaskNumbers, i64),
) {
    for (w, numbers) in numbers.chunks_mut(64).enumerate() {
        let mut words = [0; 64];
        for (word, plane) in words.iter_mut().zip(counter) {
            *word = plane[w];
        }
        let turned = transpose_64(&words);
        for (lane, bin) in numbers.iter_mut().enumerate() {
            take(bin, turned[lane % 8][lane / 8] as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cell by cell, and bin by bin.
    fn plainly(
        mask: impl Fn(usize, usize, usize) -> bool,
        [n_x, n_y]: [usize; 2],
        t: usize,
        next: Option<usize>,
    ) -> MaskNumbers {
        let mut bin = MaskNumbers::default();
        let cells = || (0..n_x).flat_map(|x| (0..n_y).map(move |y| (x, y)));
        for (x, y) in cells() {
            let near =
                cells().any(|(a, b)| a.abs_diff(x) <= 1 && b.abs_diff(y) <= 1 && mask(a, b, t));
            let then = next.is_some_and(|next| mask(x, y, next));
            bin.dilated += i64::from(near);
            bin.dilated_overlap += i64::from(near && then);
            if !mask(x, y, t) {
                continue;
            }
            let at = [x as i64, y as i64];
            bin.overlap += i64::from(then);
            for axis in 0..2 {
                bin.first[axis] = if bin.area == 0 {
                    at[axis]
                } else {
                    bin.first[axis].min(at[axis])
                };
                bin.last[axis] = bin.last[axis].max(at[axis]);
                bin.sums[axis] += at[axis];
            }
            bin.area += 1;
        }
        bin
    }

    #[test]
    fn blocks_of_every_width_count_as_one_would_by_hand() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut scratch = Scratch::default();
        for shape in [[1, 1], [1, 9], [7, 1], [5, 6], [9, 17]] {
            for bins in [1_usize, 3, 64, 65, 70, 129, 513, 600] {
                for one_in in [1, 3, 20] {
                    let (bytes, [n_x, n_y]) = (bins.div_ceil(8), shape);
                    let mut bits = vec![0_u8; n_x * n_y * bytes];
                    for cell in 0..n_x * n_y {
                        for t in 0..bins {
                            bits[cell * bytes + t / 8] |=
                                u8::from(rng.usize(..one_in) == 0) << (t % 8);
                        }
                    }
                    let mask = |x: usize, y: usize, t: usize| {
                        bits[(x * n_y + y) * bytes + t / 8] >> (t % 8) & 1 != 0
                    };
                    let rows = Rows {
                        bits: &bits,
                        bytes,
                        shape,
                    };
                    let first = bins / 3 / 8 * 8;
                    let mut numbers = vec![MaskNumbers::default(); bins - first];
                    reduce(rows, first, &mut numbers, &mut scratch);
                    for (i, found) in numbers.iter().enumerate() {
                        let t = first + i;
                        let next = Some(t + 1).filter(|&next| next < bins);
                        assert_eq!(
                            *found,
                            plainly(mask, shape, t, next),
                            "bin {t} of {bins}, shape {shape:?}"
                        );
                    }
                }
            }
        }
    }
}
