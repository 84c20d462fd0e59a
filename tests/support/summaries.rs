//! Summaries beside what the oracle says, number by number, to the bit.

use ndarray::ArrayView3;
use peakmask::Summary;

use super::float::Float;
use crate::oracle::BinAnswer;
use crate::oracle::summary::{BinSummary, summary};

/// What the oracle says of a posterior.
pub(crate) fn expected<T: Float>(
    p: ArrayView3<'_, T>,
    alphas: &[f64],
    answers: &[BinAnswer<T>],
) -> Vec<BinSummary<T>> {
    summary(p, alphas, answers)
}

/// The first number that is another than expected. The last bin has no next one, and its overlaps are -1.
pub(crate) fn first_difference<T: Float>(
    expected: &[BinSummary<T>],
    levels: usize,
    found: &Summary<T>,
) -> Option<String> {
    if (found.n_bins(), found.levels()) != (expected.len(), levels) {
        return Some(format!(
            "{} bins and {levels} levels expected, {} and {} found",
            expected.len(),
            found.n_bins(),
            found.levels()
        ));
    }
    (0..expected.len()).find_map(|t| bin_difference(&expected[t], found, t))
}

fn bin_difference<T: Float>(
    expected: &BinSummary<T>,
    found: &Summary<T>,
    t: usize,
) -> Option<String> {
    // A value that is not there is NaN, and NaN is that of the type's constant.
    let value = |v: Option<T>| v.filter(|v| !v.is_nan()).unwrap_or(T::NAN).bits();
    let number = |v: f64| {
        if v.is_nan() {
            f64::NAN.to_bits()
        } else {
            v.to_bits()
        }
    };
    let mut numbers = vec![
        (
            "live".to_owned(),
            u64::from(expected.live),
            u64::from(found.live[t]),
        ),
        (
            "dominant x".to_owned(),
            expected.dominant[0] as u64,
            found.dominant[t][0] as u64,
        ),
        (
            "dominant y".to_owned(),
            expected.dominant[1] as u64,
            found.dominant[t][1] as u64,
        ),
        (
            "height".to_owned(),
            value(expected.height),
            found.height[t].bits(),
        ),
        (
            "prominence".to_owned(),
            value(expected.prominence),
            found.prominence[t].bits(),
        ),
        (
            "highest prominence".to_owned(),
            value(expected.highest_prominence),
            found.highest_prominence[t].bits(),
        ),
        (
            "peaks".to_owned(),
            expected.peaks as u64,
            found.peaks[t] as u64,
        ),
        (
            "minimum".to_owned(),
            value(expected.minimum),
            found.minimum[t].bits(),
        ),
        (
            "total".to_owned(),
            number(expected.total),
            found.total[t].to_bits(),
        ),
    ];
    for (level, e) in expected.levels.iter().enumerate() {
        let at = [level, t];
        let mut push = |name: &str, expected: u64, found: u64| {
            numbers.push((format!("{name} at level {level}"), expected, found));
        };
        push("threshold", value(e.threshold), found.threshold[at].bits());
        push("area", e.area as u64, found.area[at] as u64);
        push("reached", e.reached as u64, found.reached[at] as u64);
        push("mass", number(e.mass), found.mass[at].to_bits());
        for (axis, name) in ["x", "y"].into_iter().enumerate() {
            push(
                &format!("sum of {name}"),
                e.sums[axis] as u64,
                found.sums[at][axis] as u64,
            );
            push(
                &format!("centroid's {name}"),
                number(e.centroid[axis]),
                found.centroid[at][axis].to_bits(),
            );
            push(
                &format!("first {name}"),
                e.first[axis] as u64,
                found.first[at][axis] as u64,
            );
            push(
                &format!("last {name}"),
                e.last[axis] as u64,
                found.last[at][axis] as u64,
            );
        }
        push("border", u64::from(e.border), u64::from(found.border[at]));
        push("overlap", e.overlaps[0] as u64, found.overlap[at] as u64);
        push(
            "dilated overlap",
            e.overlaps[1] as u64,
            found.dilated_overlap[at] as u64,
        );
        push(
            "dilated union",
            e.overlaps[2] as u64,
            found.dilated_union[at] as u64,
        );
    }
    let wrong = numbers
        .into_iter()
        .find(|(_, expected, found)| expected != found);
    wrong.map(|(name, expected, found)| {
        let [a, b] = [expected, found].map(|bits| (bits as i64, f64::from_bits(bits)));
        format!(
            "{name} of bin {t}: {} or {:?} expected, {} or {:?} found",
            a.0, a.1, b.0, b.1
        )
    })
}
