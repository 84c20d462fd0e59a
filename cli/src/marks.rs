//! Which peaks a picture marks: the rule of the Python package's pictures.

use clap::Args;

/// A peak of one time bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Peak {
    pub(crate) cell: [usize; 2],
    pub(crate) height: f64,
    pub(crate) prominence: f64,
}

/// The dominant one of a time bin's peaks, which are in row-major order: of equal heights the first.
pub(crate) fn dominant(peaks: &[Peak]) -> Option<usize> {
    (0..peaks.len()).reduce(|best, i| {
        if peaks[i].height > peaks[best].height {
            i
        } else {
            best
        }
    })
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Marks {
    /// Mark peaks from this share of the highest one of their time bin on; 0 marks all
    ///
    /// Where the highest is not above 0, P is read as a natural logarithm of what is compared. The dominant peak is always
    /// marked.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = parse_share)]
    pub(crate) min_height: f64,

    /// Mark peaks with a prominence from this share of the highest peak's height on
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub(crate) min_prominence: f64,

    /// Of the peaks that are left, mark only the N highest of each time bin
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            min_height: 0.05,
            min_prominence: 0.0,
            top: None,
        }
    }
}

impl Marks {
    /// Numbers of the marked peaks, in their order, the dominant one among them.
    pub(crate) fn choose(&self, peaks: &[Peak]) -> Vec<usize> {
        let Some(first) = dominant(peaks) else {
            return Vec::new();
        };
        let highest = peaks[first].height;
        let mut chosen: Vec<usize> = (0..peaks.len())
            .filter(|&i| {
                let Peak {
                    height, prominence, ..
                } = peaks[i];
                let share = share(height, highest);
                // Of logarithms: the part of the peak that is above its base, relative to the highest.
                let contrast = if highest <= 0.0 {
                    share * -(-prominence).exp_m1()
                } else {
                    prominence / highest
                };
                // What cannot be compared, as infinity by infinity, is nothing.
                let contrast = if contrast.is_nan() { 0.0 } else { contrast };
                share >= self.min_height && contrast >= self.min_prominence
            })
            .collect();
        if let Some(top) = self.top {
            chosen.sort_by(|&a, &b| peaks[b].height.total_cmp(&peaks[a].height).then(a.cmp(&b)));
            chosen.truncate(top);
        }
        if !chosen.contains(&first) {
            chosen.push(first);
        }
        chosen.sort_unstable();
        chosen
    }

    /// For legends.
    pub(crate) fn words(&self) -> String {
        let mut rules = Vec::new();
        if self.min_height > 0.0 {
            rules.push(format!(
                "from {} % of the highest",
                percent(self.min_height)
            ));
        }
        if self.min_prominence > 0.0 {
            rules.push(format!(
                "prominence from {} %",
                percent(self.min_prominence)
            ));
        }
        if let Some(top) = self.top {
            rules.push(format!("the {top} highest"));
        }
        let rules = if rules.is_empty() {
            "all".to_owned()
        } else {
            rules.join(", ")
        };
        format!("peaks ({rules})")
    }
}

/// A height as a share of its bin's highest, between 0 and 1.
pub(crate) fn share(height: f64, highest: f64) -> f64 {
    let share = if height == highest {
        1.0
    } else if highest <= 0.0 {
        (height - highest).exp()
    } else {
        height / highest
    };
    // Heights below 0 beside one above it are nothing, and so is what cannot be compared.
    if share.is_finite() {
        share.max(0.0)
    } else {
        0.0
    }
}

fn percent(share: f64) -> f64 {
    (share * 1e8).round() / 1e6
}

fn parse_share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "a share is a number from 0 to 1, such as 0.05".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peaks(heights: &[f64]) -> Vec<Peak> {
        let peak = |(i, &height): (usize, &f64)| Peak {
            cell: [i, 0],
            height,
            prominence: height.abs() / 2.0,
        };
        heights.iter().enumerate().map(peak).collect()
    }

    fn marks(min_height: f64, min_prominence: f64, top: Option<usize>) -> Marks {
        Marks {
            min_height,
            min_prominence,
            top,
        }
    }

    #[test]
    fn peaks_are_marked_from_a_share_of_the_highest_on() {
        let some = peaks(&[0.04, 0.05, 1.0, 0.5, 1.0]);
        assert_eq!(Marks::default().choose(&some), [1, 2, 3, 4]);
        assert_eq!(marks(0.0, 0.0, None).choose(&some), [0, 1, 2, 3, 4]);
        assert_eq!(marks(0.0, 0.25, None).choose(&some), [2, 3, 4]);
        assert_eq!(marks(0.0, 0.0, Some(2)).choose(&some), [2, 4]);
        assert_eq!(
            marks(0.0, 0.0, Some(0)).choose(&some),
            [2],
            "the dominant one stays"
        );
        assert_eq!(dominant(&some), Some(2));
        assert_eq!(Marks::default().choose(&[]), [0; 0]);
    }

    #[test]
    fn logarithms_and_infinities_have_a_meaning() {
        let logs = peaks(&[
            -1.0,
            -1.0 + 0.05_f64.ln() + 1e-9,
            -1.0 + 0.05_f64.ln() - 1e-9,
        ]);
        assert_eq!(Marks::default().choose(&logs), [0, 1]);
        assert_eq!(Marks::default().choose(&peaks(&[f64::INFINITY, 1.0])), [0]);
        assert_eq!(Marks::default().choose(&peaks(&[0.0, 0.0])), [0, 1]);
        let mixed = peaks(&[0.5, -3.0]);
        assert_eq!(marks(0.0, 0.0, None).choose(&mixed), [0, 1], "0 marks all");
        assert_eq!(Marks::default().choose(&mixed), [0]);
    }

    #[test]
    fn the_rule_is_told() {
        assert_eq!(Marks::default().words(), "peaks (from 5 % of the highest)");
        assert_eq!(marks(0.0, 0.0, None).words(), "peaks (all)");
        assert_eq!(
            marks(0.07, 0.5, Some(3)).words(),
            "peaks (from 7 % of the highest, prominence from 50 %, the 3 highest)"
        );
    }
}
