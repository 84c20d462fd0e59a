//! Summits, saddles, parents and lands equal the oracle, which floods the map anew for every answer.
//!
//! Topographic prominences and saddles of recorded posteriors are what cripser, a library of persistent homology, finds.
//!
//! `PEAKMASK_TEST_BINS` sets the number of random bins (100,000 unless set; a tenth of them here).

mod oracle;
#[path = "support/recorded.rs"]
mod recorded;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;
#[path = "oracle/topography.rs"]
mod topography;

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, Ix1};
use ndarray_npy::ReadableElement;
use peakmask::{
    Error, NanPolicy, Options, PeakFilter, Peaks, Prominence, Summits, analyze, saddles, summits,
};

use support::engine::Engine;
use support::float::Float;
use support::generator::Case;
use support::layout::{Layout, Placed};

/// What the crate finds in one map.
fn found<T: Float>(z: ArrayView2<'_, T>, nan_policy: NanPolicy) -> Summits<T> {
    let options = Options::new().threads(1).nan_policy(nan_policy);
    summits(z.insert_axis(Axis(2)), &options, true).expect("a map")
}

/// What differs from the oracle, if anything.
fn difference<T: Float>(z: ArrayView2<'_, T>, nan_policy: NanPolicy) -> Option<String> {
    let found = found(z, nan_policy);
    let absent = z.iter().any(|&v| v.partial_cmp(&v).is_none());
    let silent = absent && nan_policy != NanPolicy::OffTrack;
    let expected = if silent {
        Vec::new()
    } else {
        topography::summits(z)
    };
    let pair = |cell: Option<topography::Cell>| cell.map_or([-1; 2], |(x, y)| [x as i64, y as i64]);
    let number = |cell: Option<topography::Cell>| {
        let number = cell.and_then(|cell| expected.iter().position(|summit| summit.cell == cell));
        number.map_or(-1, |number| number as i64)
    };
    if found.len() != expected.len() {
        return Some(format!("{:?}, but {expected:?}", found.coords));
    }
    for (row, summit) in expected.iter().enumerate() {
        let saddle_height = found.saddle_heights[row];
        let same = found.coords[row] == pair(Some(summit.cell))
            && found.heights[row].bits() == summit.height.bits()
            && saddle_height == summit.base
            && found.saddles[row] == pair(summit.saddle)
            && found.parents[row] == number(summit.parent);
        if !same {
            return Some(format!(
                "{:?} of {:?}, saddle {:?} of {saddle_height:?}, parent {}, but {summit:?}",
                found.coords[row], found.heights[row], found.saddles[row], found.parents[row]
            ));
        }
    }
    let labels = found.labels.as_ref().expect("labels were asked for");
    for ((x, y, _), &label) in labels.indexed_iter() {
        let ruler = if expected.is_empty() {
            None
        } else {
            topography::ruler(z, (x, y))
        };
        if i64::from(label) != number(ruler) {
            return Some(format!(
                "cell ({x}, {y}) is ruled by {label}, but by {ruler:?}"
            ));
        }
    }
    None
}

/// A map of a few kinds of values: plateaus, ties and shoulders are the rule, infinities and NaN do occur.
fn draw<T: Float>(rng: &mut fastrand::Rng) -> Array2<T> {
    let shape = if rng.u8(..50) == 0 {
        (rng.usize(1..4), rng.usize(60..140))
    } else {
        (rng.usize(1..9), rng.usize(1..9))
    };
    let kinds = rng.usize(..6);
    let shape = if rng.bool() {
        shape
    } else {
        (shape.1, shape.0)
    };
    Array2::from_shape_fn(shape, |_| {
        let value = match kinds {
            0 => f64::from(rng.u8(..2)),
            1 => f64::from(rng.u8(..4)),
            2 => f64::from(rng.u8(..9)),
            3 => rng.f64(),
            4 => [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY][rng.usize(..6)],
            _ => [0.0, 1.0, 2.0, 3.0, 4.0][rng.usize(..5)] + 0.25 * f64::from(u8::from(rng.bool())),
        };
        T::of(if rng.u16(..2000) == 0 {
            f64::NAN
        } else {
            value
        })
    })
}

fn random_maps<T: Float>() {
    let bins = std::env::var("PEAKMASK_TEST_BINS").ok();
    let bins = bins.map_or(100_000, |text| {
        text.replace('_', "")
            .parse::<u64>()
            .expect("a whole number")
    });
    let mut summits = 0;
    for seed in 0..bins / 20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut z = draw::<T>(&mut rng);
        let mut nan_policy = NanPolicy::Silence;
        if seed % 3 == 0 {
            nan_policy = NanPolicy::OffTrack;
            let one_in = rng.u8(1..9);
            z.mapv_inplace(|v| {
                if rng.u8(..one_in) == 0 {
                    T::of(f64::NAN)
                } else {
                    v
                }
            });
        }
        summits += found(z.view(), nan_policy).len();
        if let Some(difference) = difference(z.view(), nan_policy) {
            panic!("seed {seed} of {}: {difference}\n{z:?}", T::NAME);
        }
    }
    assert!(summits as u64 > bins / 20, "only {summits} summits");
}

#[test]
fn random_maps_f64() {
    random_maps::<f64>();
}

#[test]
fn random_maps_f32() {
    random_maps::<f32>();
}

/// Every map of a few cells and a few values.
#[test]
fn all_small_maps() {
    for (shape, letters) in [((3, 3), 3), ((2, 4), 3), ((1, 7), 4), ((4, 3), 2)] {
        let cells = shape.0 * shape.1;
        for number in 0..usize::pow(letters, cells as u32) {
            let mut rest = number;
            let z = Array2::from_shape_fn(shape, |_| {
                let letter = rest % letters;
                rest /= letters;
                letter as f64
            });
            if let Some(difference) = difference(z.view(), NanPolicy::Silence) {
                panic!("{difference}\n{z:?}");
            }
            // The last letter is an absent cell.
            let z = z.mapv(|v| {
                if v == (letters - 1) as f64 {
                    f64::NAN
                } else {
                    v
                }
            });
            if let Some(difference) = difference(z.view(), NanPolicy::OffTrack) {
                panic!("{difference}\n{z:?}");
            }
        }
    }
}

/// Peaks of this posterior with their topographic prominences, as the oracle finds them.
fn prominent<T: Float>(p: &Array3<T>) -> Peaks<T> {
    let mut peaks = Peaks::new();
    for (z, bin) in p
        .axis_iter(Axis(2))
        .zip(oracle::answer(p.view(), &[], false))
    {
        for &(x, y) in &bin.peaks {
            peaks.coords.push([x as i64, y as i64]);
            let prominence = oracle::Real::above_base(z[(x, y)], topography::base(z, (x, y)));
            peaks.prominences.push(prominence);
        }
        peaks.heights.extend(bin.heights);
        peaks.offsets.push(peaks.heights.len() as i64);
    }
    peaks
}

/// Topographic prominences of whole posteriors: every instruction set, tiles of many lanes and bins alone, all layouts.
fn random_posteriors<T: Float>() {
    let mut rng = fastrand::Rng::with_seed(11);
    let engines = || {
        Engine::all()
            .into_iter()
            .filter(|engine| matches!(engine, Engine::Cpu(..)))
    };
    for (seed, [n_x, n_y, n_t]) in [
        [7, 9, 131],
        [1, 70, 17],
        [70, 2, 9],
        [5, 5, 1],
        [12, 11, 64],
    ]
    .into_iter()
    .cycle()
    .take(25)
    .enumerate()
    {
        let case = Case::<T>::sized(seed as u64, [n_x, n_y, n_t]);
        let expected = prominent(&case.p);
        for engine in engines() {
            let layout = Layout::draw(&mut rng);
            let placed = Placed::new(case.p.view(), layout, |_| T::of(f64::NAN));
            let options = engine.options().prominence(Prominence::Topographic);
            let found = analyze(placed.view(), &options).expect("an analysis").peaks;
            assert_eq!(found, expected, "seed {seed}, {engine}, {layout:?}");
        }
    }
}

#[test]
fn random_posteriors_f64() {
    random_posteriors::<f64>();
}

#[test]
fn random_posteriors_f32() {
    random_posteriors::<f32>();
}

/// Saddles and parents of all peaks, and of some of them, are those that the oracle floods for.
fn random_saddles<T: Float>() {
    let (mut shoulders, mut unlisted) = (0, 0);
    for (seed, shape) in [[7, 9, 131], [1, 40, 9], [5, 5, 1], [9, 3, 64]]
        .into_iter()
        .cycle()
        .take(16)
        .enumerate()
    {
        let mut p = Case::<T>::sized(seed as u64, shape).p;
        let mut options = Options::new().threads(1 + seed % 3);
        let mut rng = fastrand::Rng::with_seed(seed as u64);
        if seed % 2 == 0 {
            options = options.nan_policy(NanPolicy::OffTrack);
            p.mapv_inplace(|v| if rng.u8(..5) == 0 { T::of(f64::NAN) } else { v });
        }
        let all = analyze(p.view(), &options).expect("an analysis").peaks;
        for peaks in [all.filtered(&PeakFilter::new().min_distance(2.5)), all] {
            let found = saddles(p.view(), &peaks, &options).expect("its own peaks");
            assert_eq!(found.cells.len(), peaks.len());
            for t in 0..peaks.n_bins() {
                let z = p.index_axis(Axis(2), t);
                let summits = topography::summits(z);
                for row in peaks.offsets[t] as usize..peaks.offsets[t + 1] as usize {
                    let at = peaks.coords[row];
                    let cell = (at[0] as usize, at[1] as usize);
                    let ruler = topography::ruler(z, cell).expect("a peak is ruled");
                    let ruler = summits.iter().find(|summit| summit.cell == ruler);
                    let ruler = ruler.expect("by a summit");
                    let base = topography::base(z, cell);
                    let (saddle, parent) = if ruler.height > z[cell] {
                        shoulders += 1;
                        (Some(cell), Some(ruler.cell))
                    } else {
                        (ruler.saddle, ruler.parent)
                    };
                    let pair = |cell: Option<topography::Cell>| {
                        cell.map_or([-1; 2], |(x, y)| [x as i64, y as i64])
                    };
                    let story = format!("seed {seed} of {}, bin {t}, peak {at:?}", T::NAME);
                    assert_eq!(found.cells[row], pair(saddle), "{story}");
                    assert_eq!(found.parent_cells[row], pair(parent), "{story}");
                    assert_eq!(found.heights[row], base, "{story}");
                    let above = oracle::Real::above_base(z[cell], base);
                    assert_eq!(found.prominences[row].bits(), above.bits(), "{story}");
                    let listed = peaks.bin(t).coords.binary_search(&pair(parent));
                    let listed = listed.map_or(-1, |i| peaks.offsets[t] + i as i64);
                    assert_eq!(found.parents[row], listed, "{story}");
                    unlisted += usize::from(listed < 0 && parent.is_some());
                }
            }
        }
    }
    assert!(shoulders > 50 && unlisted > 50, "{shoulders} {unlisted}");
}

#[test]
fn random_saddles_f64() {
    random_saddles::<f64>();
}

#[test]
fn random_saddles_f32() {
    random_saddles::<f32>();
}

#[test]
fn saddles_of_peaks_of_something_else_are_refused() {
    let p = Array3::from_shape_fn((4, 5, 3), |(x, y, t)| ((x * y + t) % 4) as f64);
    let options = Options::new();
    let peaks = analyze(p.view(), &options).expect("an analysis").peaks;
    assert!(saddles(p.view(), &peaks, &options).is_ok());
    let refused = |p: &Array3<f64>| saddles(p.view(), &peaks, &options).map(|_| ());
    let [x, y] = peaks.coords[0].map(|c| c as usize);
    let foreign = Err(Error::ForeignPeak { x, y, t: 0 });
    assert_eq!(refused(&p.mapv(|v| v + 1.0)), foreign, "other heights");
    assert_eq!(refused(&p.mapv(|_| 3.0)), foreign, "a constant bin");
    let mut silenced = p.clone();
    silenced[[0, 0, 0]] = f64::NAN;
    assert_eq!(refused(&silenced), foreign, "another rule for NaN");
    let bins = Err(Error::ForeignPeaks {
        bins: 3,
        shape: [4, 5, 1],
    });
    let one = p.slice_axis(Axis(2), (0..1).into()).to_owned();
    assert_eq!(refused(&one), bins, "other bins");
}

#[test]
fn without_prominence_the_rest_is_the_same() {
    let case = Case::<f64>::sized(3, [9, 8, 70]);
    let of = |prominence| {
        let options = Options::new().alphas([0.5]).prominence(prominence);
        analyze(case.p.view(), &options).expect("an analysis")
    };
    let (with, without) = (of(Prominence::Reference), of(Prominence::None));
    assert_eq!(with.masks, without.masks);
    assert_eq!(with.peaks.coords, without.peaks.coords);
    assert_eq!(with.peaks.heights, without.peaks.heights);
    assert!(without.peaks.prominences.iter().all(|v| v.is_nan()));
    assert!(!with.peaks.prominences.iter().any(|v| v.is_nan()));
}

/// What the GPU engine cannot do, it declines before it is looked for; `Auto` goes on without, and says why.
#[test]
fn a_gpu_declines() {
    let p = Array3::<f64>::from_shape_fn((5, 6, 3), |(x, y, t)| (x * y + t) as f64);
    let options = Options::new().prominence(Prominence::Topographic);
    let gpu = options.clone().backend(peakmask::Backend::Gpu);
    let error = analyze(p.view(), &gpu).expect_err("no GPU engine computes it");
    assert!(matches!(error, Error::NoGpu { .. }), "{error}");
    let report = analyze(p.view(), &options)
        .expect("the CPU computes it")
        .report;
    assert!(
        report
            .no_gpu
            .is_some_and(|reason| reason.contains("prominence"))
    );
}

#[test]
fn a_nan_is_refused_where_none_is_allowed() {
    let mut p = Array3::<f64>::zeros((3, 4, 5));
    let options = Options::new().nan_policy(NanPolicy::Error);
    assert!(summits(p.view(), &options, false).is_ok());
    p[[2, 1, 3]] = f64::NAN;
    let refused = summits(p.view(), &options, false).map(|_| ());
    assert_eq!(refused, Err(Error::Nan { x: 2, y: 1, t: 3 }));
}

/// The summits that cripser finds in a posterior, as cells: births and deaths of the pairs of each bin.
struct Pairs<T> {
    p: Array3<T>,
    offsets: Vec<u32>,
    born: Vec<u16>,
    died: Vec<u16>,
}

/// The death of the pair that never dies.
const NOWHERE: u16 = u16::MAX;

impl<T: Float + ReadableElement> Pairs<T> {
    fn read(name: &str) -> Self {
        let mut pairs = recorded::open("summits.pairs.npz");
        let first: ndarray::Array0<u32> = recorded::array(&mut pairs, &format!("{name}.first_bin"));
        let offsets: Array1<u32> = recorded::array(&mut pairs, &format!("{name}.offsets"));
        let first = first.into_scalar() as usize;
        let bins = first..first + offsets.len() - 1;
        let p: Array3<T> =
            recorded::array(&mut recorded::open(&format!("{name}.npz")), "p_x_given_n");
        Self {
            p: p.slice_axis(Axis(2), bins.into()).to_owned(),
            offsets: offsets.to_vec(),
            born: recorded::array::<_, Ix1>(&mut pairs, &format!("{name}.born")).to_vec(),
            died: recorded::array::<_, Ix1>(&mut pairs, &format!("{name}.died")).to_vec(),
        }
    }

    /// Compares heights, bases and prominences of all summits, as a multiset, and the cells of saddles where no other has the
    /// value; how many there were of both.
    fn check(&self) -> (usize, usize) {
        let ordered = |value: T| value.into();
        let found = summits(self.p.view(), &Options::new(), false).expect("a posterior");
        let peaks = analyze(
            self.p.view(),
            &Options::new().prominence(Prominence::Topographic),
        );
        let peaks = peaks.expect("a posterior").peaks;
        let (mut checked_pairs, mut checked_saddles) = (0, 0);
        for (t, z) in self.p.axis_iter(Axis(2)).enumerate() {
            let at = |cell: usize| z[[cell / z.ncols(), cell % z.ncols()]];
            let floor = z.fold(f64::INFINITY, |floor, &v| floor.min(ordered(v)));
            let pairs = self.offsets[t] as usize..self.offsets[t + 1] as usize;
            let pairs = self.born[pairs.clone()].iter().zip(&self.died[pairs]);
            let rows = found.offsets[t] as usize..found.offsets[t + 1] as usize;
            let cell = |[x, y]: [i64; 2]| x as usize * z.ncols() + y as usize;

            let mut expected: Vec<[f64; 2]> = pairs
                .clone()
                .map(|(&born, &died)| {
                    let base = match died {
                        NOWHERE => floor,
                        died => ordered(at(died.into())),
                    };
                    [ordered(at(born.into())), base]
                })
                .collect();
            let mut ours: Vec<[f64; 2]> = rows
                .clone()
                .map(|row| [found.heights[row], found.saddle_heights[row]].map(ordered))
                .collect();
            let by_value = |a: &[f64; 2], b: &[f64; 2]| a.partial_cmp(b).expect("no NaN");
            expected.sort_by(by_value);
            ours.sort_by(by_value);
            assert_eq!(ours, expected, "bin {t}");
            checked_pairs += ours.len();

            let alone = |cell: &usize| z.iter().filter(|&&value| value == at(*cell)).count() == 1;
            let saddles = rows.clone().filter(|&row| found.saddles[row] != [-1; 2]);
            let mut ours: Vec<_> = saddles
                .map(|row| cell(found.saddles[row]))
                .filter(alone)
                .collect();
            let deaths = pairs.map(|(_, &died)| died).filter(|&died| died != NOWHERE);
            let mut expected: Vec<_> = deaths.map(usize::from).filter(alone).collect();
            ours.sort_unstable();
            expected.sort_unstable();
            assert_eq!(ours, expected, "bin {t}");
            checked_saddles += ours.len();

            for row in rows {
                let bin = peaks.bin(t);
                let of_peak = bin.coords.binary_search(&found.coords[row]);
                let of_peak = bin.prominences[of_peak.expect("its first cell is a peak")];
                assert_eq!(of_peak.bits(), found.prominences[row].bits(), "bin {t}");
                let above = T::prominence(found.heights[row], found.saddle_heights[row]);
                assert_eq!(of_peak.bits(), above.bits(), "bin {t}");
            }
        }
        (checked_pairs, checked_saddles)
    }
}

#[test]
fn cripser_finds_the_same_in_an_open_field() {
    let checked = Pairs::<f64>::read("openfield_41x63_f64").check();
    assert_eq!(checked, (39_484, 38_387));
}

#[test]
fn cripser_finds_the_same_in_a_maze() {
    let checked = Pairs::<f64>::read("umaze_offtrack_f64").check();
    assert_eq!(checked, (282, 132));
}

#[test]
fn cripser_finds_the_same_in_a_box() {
    let checked = Pairs::<f32>::read("box_f32").check();
    assert_eq!(checked, (830, 780));
}
