//! Levels as results hold them, and as people read them.

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
