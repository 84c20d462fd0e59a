//! Drawn cases: a map, its peaks and its masks, side by side.

use ndarray::{Array2, Array3, Axis};
use peakmask::Peaks;

use super::compare::{Answer, Zeros};
use super::engine::Engine;
use super::float::Float;
use super::layout::Layout;
use super::trial::Trial;
use crate::oracle::{Level, Rules};

/// A map as characters, and what it yields.
///
/// The first column draws the map, one line for each x and one character for each y: `0` to `9` for themselves, `a` to
/// `i` for -1 to -9, `z` for -0.0, `+` and `-` for the infinities, `?` for a NaN, and letters of one's own. The second
/// column marks peaks with `^`; one more column for each level marks the cells of its mask with `#`. Elsewhere stands
/// `.`.
#[derive(Clone)]
pub(crate) struct Drawing {
    columns: Vec<Array2<char>>,
    letters: Vec<(char, f64)>,
    levels: Vec<Level>,
    rules: Rules,
    prominences: Option<Vec<f64>>,
}

/// Reads a drawing, with the alphas of its masks.
pub(crate) fn drawn<const N: usize>(alphas: [f64; N], art: &str) -> Drawing {
    drawn_at(alphas.map(Level::OfPeak), art)
}

/// Reads a drawing, with the levels of its masks.
pub(crate) fn drawn_at<const N: usize>(levels: [Level; N], art: &str) -> Drawing {
    let lines = art.lines().map(str::trim).filter(|line| !line.is_empty());
    let rows: Vec<Vec<&str>> = lines
        .map(|line| line.split_whitespace().collect())
        .collect();
    let columns: Vec<_> = (0..2 + N)
        .map(|k| {
            let cells: Vec<char> = rows.iter().flat_map(|row| row[k].chars()).collect();
            let shape = (rows.len(), cells.len() / rows.len());
            Array2::from_shape_vec(shape, cells).expect("all rows of a column are equally long")
        })
        .collect();
    assert!(
        rows.iter().all(|row| row.len() == 2 + N),
        "a drawing has a map, its peaks, and one mask for each level"
    );
    Drawing {
        columns,
        letters: Vec::new(),
        levels: levels.to_vec(),
        rules: Rules::default(),
        prominences: None,
    }
}

impl Drawing {
    /// Gives a character of the map a value of its own.
    pub(crate) fn letter(mut self, letter: char, value: f64) -> Self {
        self.letters.push((letter, value));
        self
    }

    /// Masks connect eight neighbours.
    pub(crate) fn eight(mut self) -> Self {
        self.rules.eight = true;
        self
    }

    /// Masks hold all cells that reach their level.
    pub(crate) fn whole(mut self) -> Self {
        self.rules.whole = true;
        self
    }

    /// NaN is no cell.
    pub(crate) fn off_track(mut self) -> Self {
        self.rules.off_track = true;
        self
    }

    /// The prominences of the peaks, in row-major order, compared to the bit.
    pub(crate) fn prominences<const N: usize>(mut self, prominences: [f64; N]) -> Self {
        self.prominences = Some(prominences.to_vec());
        self
    }

    /// Checks the drawing on an engine, and on the oracle, in both element types.
    pub(crate) fn on(&self, engine: Engine) {
        self.on_as::<f64>(engine);
        self.on_as::<f32>(engine);
    }

    /// Checks the drawing on an engine, and on the oracle, in one element type.
    pub(crate) fn on_as<T: Float>(&self, engine: Engine) {
        let z = self.map::<T>();
        let answer = self.answer(&z);
        self.check(engine, z.insert_axis(Axis(2)), &answer);
        self.among_others::<T>(engine);
    }

    fn check<T: Float>(&self, engine: Engine, p: Array3<T>, expected: &Answer<T>) {
        let trial = Trial {
            origin: "a drawn case".to_owned(),
            p: p.view(),
            levels: &self.levels,
            rules: self.rules,
            expected,
            zeros: Zeros::Signed,
        };
        trial.oracle();
        trial.owned(engine, Layout::C);
        trial.given_outputs(engine, Layout::TXY, Layout::C, &mut Peaks::new());
    }

    /// The map in every third of 131 time bins, between its mirror image and a map without peaks: it has to yield the
    /// same in every lane, whatever its neighbours do.
    fn among_others<T: Float>(&self, engine: Engine) {
        let z = self.map::<T>();
        let mut mirrored = z.clone();
        mirrored.invert_axis(Axis(0));
        mirrored.invert_axis(Axis(1));
        let flat = Array2::from_elem(z.dim(), T::of(7.0));
        let others = [mirrored, flat];
        let (n_x, n_y) = z.dim();
        let mut p = Array3::from_elem((n_x, n_y, 131), T::default());
        for (t, mut bin) in p.axis_iter_mut(Axis(2)).enumerate() {
            bin.assign(if t % 3 == 0 { &z } else { &others[t % 3 - 1] });
        }
        let one = self.answer(&z);
        let mut expected = Answer::by_oracle(p.view(), &self.levels, self.rules);
        let mut peaks = Peaks::new();
        for t in 0..131 {
            let bin = if t % 3 == 0 {
                for (all, drawn) in expected.masks.iter_mut().zip(&one.masks) {
                    let drawn = drawn.index_axis(Axis(2), 0);
                    all.index_axis_mut(Axis(2), t).assign(&drawn);
                }
                one.peaks.bin(0)
            } else {
                expected.peaks.bin(t)
            };
            peaks.coords.extend(bin.coords);
            peaks.prominences.extend(bin.prominences);
            peaks.heights.extend(bin.heights);
            peaks.offsets.push(peaks.heights.len() as i64);
        }
        expected.peaks = peaks;
        self.check(engine, p, &expected);
    }

    /// The map's values.
    pub(crate) fn map<T: Float>(&self) -> Array2<T> {
        self.columns[0].mapv(|c| T::of(self.value(c)))
    }

    fn value(&self, c: char) -> f64 {
        if let Some(&(_, value)) = self.letters.iter().find(|(letter, _)| *letter == c) {
            return value;
        }
        match c {
            '0'..='9' => f64::from(c as u32 - '0' as u32),
            'a'..='i' => -f64::from(c as u32 - 'a' as u32 + 1),
            'z' => -0.0,
            '+' => f64::INFINITY,
            '-' => f64::NEG_INFINITY,
            '?' => f64::NAN,
            _ => panic!("a drawn map has no value for {c:?}"),
        }
    }

    /// What was drawn. Prominences that the case does not state are the oracle's.
    fn answer<T: Float>(&self, z: &Array2<T>) -> Answer<T> {
        let p = z.view().insert_axis(Axis(2));
        let mut answer = Answer::by_oracle(p, &self.levels, self.rules);
        answer.masks = self.columns[2..]
            .iter()
            .map(|column| marks(column, '#').insert_axis(Axis(2)))
            .collect();
        let is_peak = marks(&self.columns[1], '^');
        let peaks: Vec<_> = is_peak.indexed_iter().filter(|(_, is)| **is).collect();
        answer.peaks.coords = peaks
            .iter()
            .map(|((x, y), _)| [*x as i64, *y as i64])
            .collect();
        answer.peaks.heights = peaks.iter().map(|&(c, _)| z[c]).collect();
        answer.peaks.offsets = vec![0, peaks.len() as i64];
        if let Some(prominences) = &self.prominences {
            answer.peaks.prominences = prominences.iter().map(|&v| T::of(v)).collect();
        }
        assert_eq!(
            answer.peaks.prominences.len(),
            peaks.len(),
            "the case states another number of peaks than the oracle finds"
        );
        answer
    }
}

fn marks(column: &Array2<char>, mark: char) -> Array2<bool> {
    column.mapv(|c| {
        assert!(
            c == mark || c == '.',
            "{c:?} stands where only {mark:?} and '.' may"
        );
        c == mark
    })
}
