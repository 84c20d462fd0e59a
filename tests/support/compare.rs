//! Comparators: the first difference between two answers, said so that one can find it.

use std::fmt;
use std::fmt::Write;

use ndarray::{Array3, ArrayBase, ArrayView2, ArrayView3, Axis};
use peakmask::Peaks;

use super::float::Float;
use crate::oracle::{self, BinAnswer, Level, Rules};

/// Masks and peaks of a whole posterior.
#[derive(Debug, Clone)]
pub(crate) struct Answer<T> {
    pub(crate) masks: Vec<Array3<bool>>,
    pub(crate) peaks: Peaks<T>,
}

impl<T: Float> Answer<T> {
    /// What the oracle says.
    pub(crate) fn of_oracle(p: ArrayView3<'_, T>, alphas: &[f64], eight: bool) -> Self {
        Self::of_bins(p.dim(), alphas.len(), &oracle::answer(p, alphas, eight))
    }

    /// What the oracle says of levels of any kind.
    pub(crate) fn by_oracle(p: ArrayView3<'_, T>, levels: &[Level], rules: Rules) -> Self {
        Self::of_bins(p.dim(), levels.len(), &oracle::answer_by(p, levels, rules))
    }

    /// Collects the answers of single bins.
    pub(crate) fn of_bins(
        shape: (usize, usize, usize),
        n_alpha: usize,
        bins: &[BinAnswer<T>],
    ) -> Self {
        let mut masks = vec![Array3::from_elem(shape, false); n_alpha];
        let mut peaks = Peaks::new();
        for (t, bin) in bins.iter().enumerate() {
            for (all, one) in masks.iter_mut().zip(&bin.masks) {
                all.index_axis_mut(Axis(2), t).assign(one);
            }
            let coords = bin.peaks.iter().map(|&(x, y)| [x as i64, y as i64]);
            peaks.coords.extend(coords);
            peaks.prominences.extend(&bin.prominences);
            peaks.heights.extend(&bin.heights);
            peaks.offsets.push(peaks.heights.len() as i64);
        }
        Self { masks, peaks }
    }

    /// Views of all masks.
    pub(crate) fn mask_views(&self) -> Vec<ArrayView3<'_, bool>> {
        self.masks.iter().map(|mask| mask.view()).collect()
    }
}

/// How prominences are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zeros {
    /// To the bit, like everything else.
    Signed,
    /// By value: -0.0 equals 0.0.
    Unsigned,
}

/// The first difference between two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The time bin, where one is to blame.
    pub(crate) bin: Option<usize>,
    /// The position of the alpha in the list, for a mask.
    pub(crate) alpha: Option<usize>,
    what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// The first difference between what was expected and what was found, bin by bin; within a bin, peaks come first.
pub(crate) fn first_difference<T: Float>(
    expected: &Answer<T>,
    masks: &[ArrayView3<'_, bool>],
    peaks: &Peaks<T>,
    zeros: Zeros,
) -> Option<Difference> {
    columns_difference(&expected.peaks, peaks)
        .or_else(|| masks_shape_difference(&expected.masks, masks))
        .or_else(|| {
            (0..expected.peaks.n_bins()).find_map(|t| {
                peaks_difference(&expected.peaks, peaks, t, zeros)
                    .or_else(|| mask_difference(&expected.masks, masks, t))
            })
        })
}

/// Column lengths and offsets that do not fit together, or a wrong number of bins.
fn columns_difference<T: Float>(expected: &Peaks<T>, found: &Peaks<T>) -> Option<Difference> {
    let whole = |what| Difference {
        bin: None,
        alpha: None,
        what,
    };
    let n = found.heights.len();
    if found.offsets.len() != expected.offsets.len() {
        return Some(whole(format!(
            "offsets: {} entries expected, {} found",
            expected.offsets.len(),
            found.offsets.len()
        )));
    }
    if found.coords.len() != n || found.prominences.len() != n {
        return Some(whole(format!(
            "columns of unequal length: {} coords, {} prominences, {n} heights",
            found.coords.len(),
            found.prominences.len()
        )));
    }
    let rises = found.offsets.is_sorted() && found.offsets[0] == 0;
    if !rises || found.offsets.last() != Some(&(n as i64)) {
        return Some(whole(format!(
            "offsets do not rise from 0 to {n}, the number of peaks: {:?}",
            found.offsets
        )));
    }
    None
}

fn masks_shape_difference(
    expected: &[Array3<bool>],
    found: &[ArrayView3<'_, bool>],
) -> Option<Difference> {
    let expected: Vec<_> = expected.iter().map(Array3::dim).collect();
    let found: Vec<_> = found.iter().map(ArrayBase::dim).collect();
    (expected != found).then(|| Difference {
        bin: None,
        alpha: None,
        what: format!("masks: shapes {expected:?} expected, {found:?} found"),
    })
}

fn peaks_difference<T: Float>(
    expected: &Peaks<T>,
    found: &Peaks<T>,
    t: usize,
    zeros: Zeros,
) -> Option<Difference> {
    let here = |what| {
        Some(Difference {
            bin: Some(t),
            alpha: None,
            what,
        })
    };
    let (expected, found) = (expected.bin(t), found.bin(t));
    if expected.coords != found.coords {
        return here(format!(
            "coords: {:?} expected, {:?} found",
            expected.coords, found.coords
        ));
    }
    for (k, [x, y]) in expected.coords.iter().enumerate() {
        let (a, b) = (expected.heights[k], found.heights[k]);
        if a.bits() != b.bits() {
            return here(format!(
                "height of peak ({x}, {y}): {a:?} expected, {b:?} found"
            ));
        }
        let (a, b) = (expected.prominences[k], found.prominences[k]);
        let equal = match zeros {
            Zeros::Signed => a.bits() == b.bits(),
            Zeros::Unsigned => a == b,
        };
        if !equal {
            return here(format!(
                "prominence of peak ({x}, {y}): {a:?} expected, {b:?} found"
            ));
        }
    }
    None
}

fn mask_difference(
    expected: &[Array3<bool>],
    found: &[ArrayView3<'_, bool>],
    t: usize,
) -> Option<Difference> {
    let pairs = expected.iter().zip(found).enumerate();
    pairs.into_iter().find_map(|(alpha, (expected, found))| {
        let expected = expected.index_axis(Axis(2), t);
        let found = found.index_axis(Axis(2), t);
        if expected == found {
            return None;
        }
        let cell = expected
            .indexed_iter()
            .find(|&(cell, &set)| found[cell] != set);
        let (cell, &set) = cell.expect("the maps differ");
        let mut what = format!(
            "mask {alpha}: {set} expected at {cell:?}, {} found",
            found[cell]
        );
        if is_small(expected.dim()) {
            let _ = write!(
                what,
                "\nmask expected:\n{}mask found:\n{}",
                draw_mask(expected),
                draw_mask(found)
            );
        }
        Some(Difference {
            bin: Some(t),
            alpha: Some(alpha),
            what,
        })
    })
}

fn is_small((n_x, n_y): (usize, usize)) -> bool {
    n_x <= 40 && n_y <= 40 && n_x * n_y <= 400
}

/// A mask as rows of `#` and `.`.
pub(crate) fn draw_mask(mask: ArrayView2<'_, bool>) -> String {
    let row = |row: ndarray::ArrayView1<'_, bool>| -> String {
        row.iter().map(|&set| if set { '#' } else { '.' }).collect()
    };
    mask.rows().into_iter().map(|r| row(r) + "\n").collect()
}

/// A map as rows of numbers, or a word on its size.
pub(crate) fn draw_map<T: Float>(z: ArrayView2<'_, T>) -> String {
    if !is_small(z.dim()) {
        return format!("(a map of {:?} cells, too large to draw)\n", z.dim());
    }
    let row = |row: ndarray::ArrayView1<'_, T>| -> String {
        let values: Vec<_> = row.iter().map(|v| format!("{v:?}")).collect();
        values.join("  ")
    };
    z.rows().into_iter().map(|r| row(r) + "\n").collect()
}
