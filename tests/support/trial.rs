//! One posterior, analysed in one way, compared with what was expected, and a failure that tells all.

use ndarray::{ArrayBase, ArrayView3, ArrayViewMut3, Axis};
use peakmask::{Connectivity, Error, NanPolicy, Options, Peaks, Region, analyze, analyze_into};

use super::compare::{Answer, Difference, Zeros, draw_map, first_difference};
use super::engine::Engine;
use super::float::Float;
use super::layout::{Layout, Placed};
use crate::oracle::{Level, Rules};

/// A posterior with its options and the expected answer.
pub(crate) struct Trial<'a, T> {
    /// Where the posterior comes from: a file, a test, a seed to replay.
    pub(crate) origin: String,
    pub(crate) p: ArrayView3<'a, T>,
    pub(crate) levels: &'a [Level],
    pub(crate) rules: Rules,
    pub(crate) expected: &'a Answer<T>,
    pub(crate) zeros: Zeros,
}

impl<T: Float> Trial<'_, T> {
    /// Analyses and compares, with the input in this layout and results allocated by the crate.
    pub(crate) fn owned(&self, engine: Engine, input: Layout) {
        self.owned_view(
            engine,
            Placed::new(self.p, input, |_| T::of(f64::NAN)).view(),
            &format!("input {input:?}"),
        );
    }

    /// Analyses and compares, with a view that holds the values of the posterior.
    pub(crate) fn owned_view(&self, engine: Engine, view: ArrayView3<'_, T>, how: &str) {
        if self.is_declined(engine) {
            return;
        }
        let found = analyze(view, &self.options(engine))
            .unwrap_or_else(|error| panic!("{error}\n{}", self.story(engine, how)));
        let masks: Vec<_> = found.masks.iter().map(|mask| mask.view()).collect();
        assert!(
            found.masks.iter().all(ArrayBase::is_standard_layout),
            "a mask is not in C order\n{}",
            self.story(engine, how)
        );
        self.compare(engine, &masks, &found.peaks, how);
    }

    /// Analyses and compares, with input and outputs in these layouts, among canaries, outputs prefilled with true.
    pub(crate) fn given_outputs(
        &self,
        engine: Engine,
        input: Layout,
        output: Layout,
        peaks: &mut Peaks<T>,
    ) {
        if self.is_declined(engine) {
            return;
        }
        let how = format!("input {input:?}\noutputs {output:?}");
        let (n_x, n_y, n_t) = self.p.dim();
        let before = Placed::output([n_x, n_y, n_t], output);
        let mut outputs = vec![before.clone(); self.levels.len()];
        let mut views: Vec<ArrayViewMut3<'_, bool>> =
            outputs.iter_mut().map(Placed::view_mut).collect();
        let options = self.options(engine);
        let placed = Placed::new(self.p, input, |_| T::of(f64::NAN));
        analyze_into(placed.view(), &options, &mut views, peaks)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.story(engine, &how)));
        let masks: Vec<_> = outputs.iter().map(Placed::view).collect();
        self.compare(engine, &masks, peaks, &how);
        for (alpha, output) in outputs.iter().enumerate() {
            if let Some(at) = output.first_foreign_change(&before) {
                panic!(
                    "output {alpha}: element {at} of its memory is not part of it, but was overwritten\n{}",
                    self.story(engine, &how)
                );
            }
        }
    }

    /// Compares the oracle with what was expected.
    pub(crate) fn oracle(&self) {
        let found = Answer::by_oracle(self.p, self.levels, self.rules);
        if let Some(difference) =
            first_difference(self.expected, &found.mask_views(), &found.peaks, self.zeros)
        {
            panic!(
                "{}",
                self.explain(&difference, "the oracle, on a plain array")
            );
        }
    }

    /// Whether the engine cannot do what is asked, and says so.
    fn is_declined(&self, engine: Engine) -> bool {
        let adds = |level: &Level| matches!(level, Level::Coverage(_));
        let declined = !matches!(engine, Engine::Cpu(..)) && self.levels.iter().any(adds);
        if declined {
            let refused = analyze(self.p, &self.options(engine)).map(|_| ());
            assert!(
                matches!(refused, Err(Error::NoGpu { .. })),
                "{refused:?} {}",
                self.story(engine, "")
            );
        }
        declined
    }

    fn options(&self, engine: Engine) -> Options {
        options(engine.options(), self.levels, self.rules)
    }

    fn compare(&self, engine: Engine, masks: &[ArrayView3<'_, bool>], peaks: &Peaks<T>, how: &str) {
        if let Some(difference) = first_difference(self.expected, masks, peaks, self.zeros) {
            panic!("{}", self.explain(&difference, &self.story(engine, how)));
        }
    }

    fn story(&self, engine: Engine, how: &str) -> String {
        format!(
            "from {}\nshape {:?} of {}, levels {:?}, {:?}\n{engine}, {how}",
            self.origin,
            self.p.shape(),
            T::NAME,
            self.levels,
            self.rules,
        )
    }

    fn explain(&self, difference: &Difference, story: &str) -> String {
        let mut text = String::new();
        if let Some(t) = difference.bin {
            text += &format!("bin {t}, ");
        }
        if let Some(alpha) = difference.alpha {
            text += &format!("level {:?}, ", self.levels[alpha]);
        }
        text += &format!("{difference}\n{story}\n");
        if let Some(t) = difference.bin {
            text += "map:\n";
            text += &draw_map(self.p.index_axis(Axis(2), t));
        }
        text
    }
}

/// Options that ask for what the oracle is asked for.
pub(crate) fn options(options: Options, levels: &[Level], rules: Rules) -> Options {
    let levels = levels.iter().map(|&level| match level {
        Level::OfPeak(alpha) => peakmask::Level::OfPeak(alpha),
        Level::Absolute(value) => peakmask::Level::Absolute(value),
        Level::Coverage(share) => peakmask::Level::Coverage(share),
    });
    options
        .levels(levels)
        .connectivity(match rules.eight {
            true => Connectivity::Eight,
            false => Connectivity::Four,
        })
        .region(match rules.whole {
            true => Region::Whole,
            false => Region::Dominant,
        })
        .nan_policy(match rules.off_track {
            true => NanPolicy::OffTrack,
            false => NanPolicy::Silence,
        })
}
