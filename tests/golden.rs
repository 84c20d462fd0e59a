//! Posteriors of real decoders: every field equals what the reference implementation returned for them.
//!
//! `tests/data/README.md` says where the files come from. Prominences are compared by value, since the reference leaves
//! the sign of a zero open; all else to the bit.

mod oracle;
#[path = "support/recorded.rs"]
mod recorded;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use ndarray::{Array1, Array2, Array3, Array4, Axis};
use ndarray_npy::ReadableElement;
use peakmask::Peaks;

use oracle::{Level, Rules, of_peak};
use recorded::{array, open};
use support::compare::{Answer, Zeros};
use support::engine::Engine;
use support::float::Float;
use support::layout::Layout;
use support::trial::Trial;

/// One fixture: the input, the levels and the reference's answer.
struct Golden<T> {
    name: &'static str,
    p: Array3<T>,
    levels: Vec<Level>,
    expected: Answer<T>,
}

impl<T: Float + ReadableElement> Golden<T> {
    fn read(name: &'static str) -> Self {
        let (mut input, mut golden) = (
            open(&format!("{name}.npz")),
            open(&format!("{name}.golden.npz")),
        );
        let alphas: Array1<f64> = array(&mut input, "alpha");
        assert_eq!(alphas, array::<f64, _>(&mut golden, "alpha"), "{name}");
        let masks: Array4<bool> = array(&mut golden, "masks");
        let coords: Array2<i64> = array(&mut golden, "peak_coords");
        let offsets: Array1<i64> = array(&mut golden, "peak_offsets");
        let prominences: Array1<T> = array(&mut golden, "prominences");
        let heights: Array1<T> = array(&mut golden, "peak_heights");
        let mut peaks = Peaks::new();
        peaks.offsets = offsets.to_vec();
        peaks.coords = coords
            .rows()
            .into_iter()
            .map(|row| [row[0], row[1]])
            .collect();
        peaks.prominences = prominences.to_vec();
        peaks.heights = heights.to_vec();
        Self {
            name,
            p: array(&mut input, "p_x_given_n"),
            levels: of_peak(&alphas.to_vec()),
            expected: Answer {
                masks: masks
                    .axis_iter(Axis(0))
                    .map(|mask| mask.to_owned())
                    .collect(),
                peaks,
            },
        }
    }

    fn trial(&self) -> Trial<'_, T> {
        Trial {
            origin: format!("tests/data/{}.npz", self.name),
            p: self.p.view(),
            levels: &self.levels,
            rules: Rules::default(),
            expected: &self.expected,
            zeros: Zeros::Unsigned,
        }
    }
}

macro_rules! fixtures {
    ($($name:ident: $float:ident, $peaks:literal peaks, $silent:literal bins without a peak;)+) => {$(
        mod $name {
            use super::*;

            fn golden() -> Golden<$float> {
                Golden::read(stringify!($name))
            }

            #[test]
            fn is_what_its_readme_says() {
                let golden = golden();
                assert_eq!(golden.expected.peaks.len(), $peaks);
                let silent = golden.expected.peaks.bins().filter(|bin| bin.is_empty()).count();
                assert_eq!(silent, $silent);
            }

            #[test]
            fn oracle() {
                golden().trial().oracle();
            }

            #[test]
            fn c_order() {
                every_engine(&golden(), Layout::C);
            }

            #[test]
            fn txy() {
                every_engine(&golden(), Layout::TXY);
            }
        }
    )+};
}

fn every_engine<T: Float + ReadableElement>(golden: &Golden<T>, layout: Layout) {
    let mut peaks = Peaks::new();
    for engine in Engine::all() {
        golden.trial().owned(engine, layout);
        golden
            .trial()
            .given_outputs(engine, layout, layout, &mut peaks);
    }
}

fixtures! {
    openfield_41x63_f64: f64, 54_269 peaks, 6 bins without a peak;
    umaze_offtrack_f64: f64, 564 peaks, 20 bins without a peak;
    box_f32: f32, 9_455 peaks, 10 bins without a peak;
    track_logposterior_f64: f64, 366 peaks, 0 bins without a peak;
}
