//! Levels as results hold them, and as people read them.

use std::cmp::Ordering;

use peakmask::Level;

/// The member of a result with the kinds of its levels, if not all are alphas.
pub(crate) const LEVEL_KIND: &str = "level_kind";

/// The kinds of levels, as they are written; shorter ones end in zeros.
const OF_PEAK: &[u8; 8] = b"of_peak\0";

/// NumPy's name of their type.
pub(crate) const KIND_TYPE: &str = "|S8";

/// A level's kind, and its number.
fn parts(level: &Level) -> ([u8; 8], f64) {
    match *level {
        Level::OfPeak(alpha) => (*OF_PEAK, alpha),
        Level::Absolute(value) => (*b"absolute", value),
        Level::Coverage(share) => (*b"coverage", share),
        _ => unreachable!("the program asks for no other"),
    }
}

/// A level's number.
pub(crate) fn number(level: &Level) -> f64 {
    parts(level).1
}

/// The level of a kind, as it is written, with a number.
pub(crate) fn level(kind: &[u8; 8], number: f64) -> Option<Level> {
    [Level::OfPeak, Level::Absolute, Level::Coverage]
        .map(|kind| kind(number))
        .into_iter()
        .find(|level| parts(level).0 == *kind)
}

/// Numbers of levels from the outermost region to the innermost, as far as kinds and numbers tell: a larger share reaches
/// further, a larger alpha or value less far, NaN least; of different kinds shares come first, then values. It is the order of
/// the Python package.
pub(crate) fn outer_first(levels: &[Level]) -> Vec<usize> {
    let key = |level: &Level| match *level {
        Level::Coverage(share) => (0, -share),
        Level::Absolute(value) => (1, value),
        ref other => (2, number(other)),
    };
    let mut order: Vec<usize> = (0..levels.len()).collect();
    order.sort_by(|&a, &b| {
        let ((kind_a, a), (kind_b, b)) = (key(&levels[a]), key(&levels[b]));
        let by_number = a.partial_cmp(&b);
        (a.is_nan().cmp(&b.is_nan()))
            .then(kind_a.cmp(&kind_b))
            .then(by_number.unwrap_or(Ordering::Equal))
    });
    order
}

/// A level for people to read: a number alone would not say of what.
pub(crate) fn in_words(level: &Level) -> String {
    match level {
        Level::OfPeak(alpha) => format!("alpha {alpha}"),
        other => other.to_string(),
    }
}

/// The numbers of levels, and, if not all are alphas, their kinds.
pub(crate) fn columns(levels: &[Level]) -> (Vec<f64>, Option<Vec<[u8; 8]>>) {
    let (kinds, numbers): (Vec<_>, Vec<_>) = levels.iter().map(parts).unzip();
    let told = kinds.iter().any(|kind| kind != OF_PEAK);
    (numbers, told.then_some(kinds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_regions_come_first() {
        let of = |levels: &[Level]| outer_first(levels);
        let [a, v, c] = [Level::OfPeak, Level::Absolute, Level::Coverage];
        assert_eq!(of(&[a(0.9), a(0.5), a(0.9)]), [1, 0, 2]);
        assert_eq!(of(&[c(0.5), c(0.95)]), [1, 0]);
        assert_eq!(of(&[v(0.2), v(-1.0)]), [1, 0]);
        let mixed = [
            a(0.5),
            a(f64::NAN),
            v(0.7),
            c(0.5),
            a(-1.0),
            c(0.95),
            v(0.1),
        ];
        assert_eq!(of(&mixed), [5, 3, 6, 2, 4, 0, 1]);
        assert_eq!(of(&[]), [0; 0]);
    }
}
