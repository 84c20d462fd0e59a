//! Expansion: rows of bits into rows of booleans, past the caches, or into rows of bits.

use ndarray::ArrayViewMut1;

/// Booleans in a cache line.
const LINE: usize = 64;

/// Bytes of eight booleans for each value of eight bits, lowest bit first.
const EXPANDED: [[bool; 8]; 256] = {
    let mut table = [[false; 8]; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut i = 0;
        while i < 8 {
            table[bits][i] = bits >> i & 1 != 0;
            i += 1;
        }
        bits += 1;
    }
    table
};

/// Writes a boolean for each bit.
pub(crate) fn booleans(bits: &[u8], mut row: ArrayViewMut1<'_, bool>) {
    match row.as_slice_mut() {
        Some(out) => Expand::best().expand(bits, out),
        None => {
            for (t, out) in row.iter_mut().enumerate() {
                *out = bits[t / 8] >> (t % 8) & 1 != 0;
            }
        }
    }
}

/// How a cache line of booleans, or a part of one, is written from its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expand {
    /// Eight booleans at a time, from a table.
    Table,
    /// All at once, by their bits as a mask of AVX-512.
    #[cfg(target_arch = "x86_64")]
    Mask,
}

impl Expand {
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            return Self::Mask;
        }
        Self::Table
    }

    /// Writes one boolean for each bit, from the first on.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "a function compiled for AVX-512")
    )]
    fn expand(self, bits: &[u8], out: &mut [bool]) {
        match self {
            // SAFETY: `best`, and the tests, choose it where the processor offers it.
            #[cfg(target_arch = "x86_64")]
            Self::Mask => unsafe { by_mask(bits, out) },
            Self::Table => by_table(bits, out),
        }
    }
}

/// Whole cache lines are streamed past the caches: an ordinary store would first fetch the line that it overwrites.
fn by_table(bits: &[u8], out: &mut [bool]) {
    let head = out.as_ptr().align_offset(LINE).min(out.len());
    let (first, rest) = out.split_at_mut(head);
    copy(bits_at(bits, 0), first);
    let mut lines = rest.chunks_exact_mut(LINE);
    let mut at = head;
    for line in &mut lines {
        stream(bits_at(bits, at), line);
        at += LINE;
    }
    copy(bits_at(bits, at), lines.into_remainder());
}

/// The same with a cache line, or what there is of it at both ends, in one store. None reaches into another line, not even with
/// bytes that it leaves alone: that took 0.2 us.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
#[expect(unsafe_code, reason = "masked and streaming stores")]
fn by_mask(bits: &[u8], out: &mut [bool]) {
    use std::arch::x86_64::{_mm512_mask_storeu_epi8, _mm512_maskz_set1_epi8, _mm512_stream_si512};
    let head = out.as_ptr().align_offset(LINE);
    let (first, rest) = out.split_at_mut(head.min(out.len()));
    let mut lines = rest.chunks_exact_mut(LINE);
    let mut at = first.len();
    for line in &mut lines {
        let booleans = _mm512_maskz_set1_epi8(bits_at(bits, at), 1);
        // SAFETY: 64 bytes of an exclusive borrow, aligned to 64; 0 and 1 are valid booleans. The batch ends with a fence,
        // before any other thread may look.
        unsafe { _mm512_stream_si512(line.as_mut_ptr().cast(), booleans) };
        at += LINE;
    }
    // Bytes of the line before the part, its first bit, and the part.
    let first = ((LINE - head) % LINE, 0, first);
    for (before, at, part) in [first, (0, at, lines.into_remainder())] {
        if !part.is_empty() {
            let booleans = _mm512_maskz_set1_epi8(bits_at(bits, at) << before, 1);
            let there = u64::MAX >> (LINE - part.len()) << before;
            let line = part.as_mut_ptr().wrapping_sub(before);
            // SAFETY: only the bytes of the part, an exclusive borrow shorter than a line, are stored.
            unsafe { _mm512_mask_storeu_epi8(line.cast(), there, booleans) };
        }
    }
}

/// The 64 bits from bit `at` on; those that do not exist are clear.
#[inline]
fn bits_at(bits: &[u8], at: usize) -> u64 {
    let byte = |i: usize| bits.get(at / 8 + i).copied().unwrap_or(0);
    let low = match bits.get(at / 8..at / 8 + 8) {
        Some(bytes) => bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
        None => (0..8)
            .rev()
            .fold(0, |word, i| word << 8 | u64::from(byte(i))),
    };
    match at % 8 {
        0 => low,
        shift => low >> shift | u64::from(byte(8)) << (64 - shift),
    }
}

/// Writes less than a cache line of booleans from their bits, in one piece.
#[inline]
fn copy(word: u64, out: &mut [bool]) {
    let mut line = [false; LINE];
    for (i, eight) in line.chunks_exact_mut(8).enumerate() {
        eight.copy_from_slice(&EXPANDED[usize::from((word >> (8 * i)) as u8)]);
    }
    out.copy_from_slice(&line[..out.len()]);
}

/// Writes a cache line of booleans from their bits.
#[inline]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "streaming stores")]
fn stream(word: u64, line: &mut [bool]) {
    use std::arch::x86_64::_mm_stream_si64;
    assert!(line.len() == LINE && line.as_ptr().align_offset(LINE) == 0);
    for (i, eight) in line.chunks_exact_mut(8).enumerate() {
        let booleans = EXPANDED[usize::from((word >> (8 * i)) as u8)].map(u8::from);
        let (booleans, out) = (
            i64::from_ne_bytes(booleans),
            eight.as_mut_ptr().cast::<i64>(),
        );
        // SAFETY: `eight` is eight bytes of an exclusive borrow, aligned to eight since the line is aligned to 64; every
        // byte of the table is a valid boolean. The batch ends with a fence, before any other thread may look.
        unsafe {
            if cfg!(miri) {
                // Miri knows no streaming; this store has the same rules but for the fence.
                out.write(booleans);
            } else {
                _mm_stream_si64(out, booleans);
            }
        };
    }
}

/// Asks for the cache lines at both ends of a row that will be written soon, to write to them: they hold bytes of other batches,
/// which have to be there first. Lines that are streamed as a whole need nothing.
#[inline]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "prefetch hints")]
pub(crate) fn ends_soon<A>(row: *const A, len: usize) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    let bytes = row.cast::<i8>();
    for end in [bytes, bytes.wrapping_add(len * size_of::<A>())] {
        if end.align_offset(LINE) != 0 {
            // SAFETY: a hint changes nothing that a program could see, and never faults, wherever it points.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(end) };
        }
    }
}

#[inline]
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn ends_soon<A>(_row: *const A, _len: usize) {}

/// Makes streamed stores visible in order with all that follow.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "streaming stores")]
pub(crate) fn fence() {
    if cfg!(not(miri)) {
        // SAFETY: SSE is part of every x86-64 processor.
        unsafe { std::arch::x86_64::_mm_sfence() };
    }
}

/// Writes a cache line of booleans from their bits.
#[inline]
#[cfg(not(target_arch = "x86_64"))]
fn stream(word: u64, line: &mut [bool]) {
    copy(word, line);
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn fence() {}

/// Writes bits behind the first `shift` bits of a row, which belong to earlier time bins.
pub(crate) fn pack(bits: &[u8], shift: usize, bins: usize, mut row: ArrayViewMut1<'_, u8>) {
    if shift == 0
        && bins.is_multiple_of(8)
        && let Some(row) = row.as_slice_mut()
    {
        row.copy_from_slice(&bits[..row.len()]);
        return;
    }
    for (i, byte) in row.iter_mut().enumerate() {
        let from = (8 * i).max(shift);
        let end = (8 * i + 8).min(shift + bins);
        let kept = *byte & ((1 << (from - 8 * i)) - 1) as u8;
        let new = bits_at(bits, from - shift) & ((1 << (end - from)) - 1);
        *byte = kept | (new << (from - 8 * i)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way writes the same, at every alignment and of every length, and nothing beside it.
    #[test]
    fn every_way_writes_every_boolean_and_no_other() {
        let mut rng = fastrand::Rng::with_seed(3);
        for length in (0..200_usize).chain([1_000, 1_024]) {
            let bits: Vec<u8> = (0..length.div_ceil(8)).map(|_| rng.u8(..)).collect();
            let start = rng.usize(..80);
            let expected = (0..length).map(|t| bits[t / 8] >> (t % 8) & 1 != 0);
            for beside in [false, true] {
                for way in [Expand::Table, Expand::best()] {
                    let mut out = vec![beside; start + length + 80];
                    way.expand(&bits, &mut out[start..start + length]);
                    fence();
                    assert!(
                        out[start..start + length]
                            .iter()
                            .copied()
                            .eq(expected.clone())
                    );
                    let rest = out[..start].iter().chain(&out[start + length..]);
                    assert!(rest.copied().all(|byte| byte == beside));
                }
            }
        }
    }
}
