//! The commonest mistake: time first where time should be last.

use ndarray::{ArrayView2, ArrayView3, Axis, s};

use crate::{Element, Error};

/// The most cells that a map may have along x, if nothing else tells, before the axis is taken for time.
const MOST_X: usize = 1024;

/// How far a sum may be from 1: what remains of normalising in single precision or less.
const TOLERANCE: f64 = 1e-3;

/// A sum of probabilities beyond this cannot come back to 1.
const TOO_MUCH: f64 = 2.0;

/// How many slices along an axis are added up: evenly spread, the first and the last among them.
const SLICES: usize = 128;

/// Refuses an array that looks like `(t, x, y)` passed as `(x, y, t)`.
///
/// Where values are normalised, sums decide, whatever the shape: of at most 128 slices along the first axis, and of as many
/// along the last, evenly spread. NaN cells are left out of the sums, slices of nothing but NaN do not count, and a negative
/// cell (a log posterior) means that there is no sum of 1. Values that are not normalised tell nothing; of those, an array is
/// refused whose first axis is longer than its last, and than a map is expected to be. An array without
/// elements tells nothing. Callers who know better do not ask.
///
/// An `(x, y, t)` array is recognised after a few of its time bins, or, if it is not normalised, after `p[0, .., ..]`; no
/// more than 256 slices are ever read.
///
/// ```
/// // Three time bins of a 2 x 2 map, the first axis being time.
/// let txy = ndarray::Array3::from_elem((3, 2, 2), 0.25);
/// assert!(peakmask::check_axis_order(txy.view()).is_err());
/// assert!(peakmask::check_axis_order(txy.view().permuted_axes([1, 2, 0])).is_ok());
/// ```
///
/// # Errors
/// [`Error::AxisOrder`] when the sums over axes 1 and 2 are 1 while those over axes 0 and 1 are not; when neither are, and
/// `n_x` is greater than 1024 and than `n_t`.
pub fn check_axis_order<T: Element>(p: ArrayView3<'_, T>) -> Result<(), Error> {
    let (n_x, n_y, n_t) = p.dim();
    let sums = "its sums over axes 1 and 2 are 1, those over axes 0 and 1 are not";
    evidence(p, sums).map_or(Ok(()), |evidence| {
        Err(Error::AxisOrder {
            shape: [n_x, n_y, n_t],
            evidence,
        })
    })
}

/// Sees the posterior `P[x, t]` of a linear track, of shape `(n_x, n_t)`, as one of maps with a single column,
/// `(n_x, 1, n_t)`, without a copy.
///
/// Every rule of maps holds for it: a peak is a cell above the minimum that is at least as high as its two neighbours, and a
/// mask is a run of cells. What comes out has the track's form in its first column: `y` is 0 in all coordinates, and a mask
/// without its second axis is one of shape `(n_x, n_t)`.
///
/// ```
/// use ndarray::{Axis, arr2};
/// use peakmask::{Options, analyze, track};
///
/// // Four cells, two time bins.
/// let p = arr2(&[[1.0, 0.0], [4.0, 2.0], [3.0, 1.0], [0.0, 5.0]]);
/// let analysis = analyze(track(p.view())?, &Options::new().alphas([0.5]))?;
/// assert_eq!(analysis.peaks.bin(0).coords, [[1, 0]]);
/// assert_eq!(analysis.peaks.bin(1).coords, [[1, 0], [3, 0]]);
///
/// let mask = analysis.masks[0].index_axis(Axis(1), 0); // (n_x, n_t)
/// assert_eq!(mask, arr2(&[[false, false], [true, false], [true, false], [false, true]]));
/// # Ok::<(), peakmask::Error>(())
/// ```
///
/// # Errors
/// [`Error::EmptyMap`] when `n_x` is 0, [`Error::MapTooLarge`] when it is 2^32 or more, and [`Error::TrackOrder`] when the array
/// looks like `(t, x)`, as [`check_axis_order`] would find of maps. Those who know better insert the axis themselves:
/// `p.insert_axis(Axis(1))`.
pub fn track<T: Element>(p: ArrayView2<'_, T>) -> Result<ArrayView3<'_, T>, Error> {
    let (n_x, n_t) = p.dim();
    let maps = p.insert_axis(Axis(1));
    super::check_map([n_x, 1, n_t])?;
    let sums = "its sums over axis 1 are 1, those over axis 0 are not";
    evidence(maps, sums).map_or(Ok(maps), |evidence| {
        Err(Error::TrackOrder {
            shape: [n_x, n_t],
            evidence,
        })
    })
}

/// What says that the first axis is time, if anything does; `sums` if it is those.
fn evidence<T: Element>(p: ArrayView3<'_, T>, sums: &str) -> Option<String> {
    let (n_x, _, n_t) = p.dim();
    if p.is_empty() {
        return None;
    }
    let time_last = || slices_sum_to_one(p.permuted_axes([2, 0, 1]));
    if slices_sum_to_one(p) && !time_last() {
        return Some(sums.to_owned());
    }
    (n_x > MOST_X && n_x > n_t && !time_last()).then(|| {
        format!(
            "its first axis has {n_x} bins, more than its last and than the {MOST_X} that a map is expected to have, and its \
             values are not normalised, so that sums tell nothing"
        )
    })
}

/// Whether every slice along the first axis that is looked at is a probability distribution, and there is one.
fn slices_sum_to_one<T: Element>(a: ArrayView3<'_, T>) -> bool {
    let (n, _, last) = a.dim();
    let looked_at = n.min(SLICES);
    let slices = (0..looked_at).map(|i| {
        let at = if i == 0 {
            0
        } else {
            i * (n - 1) / (looked_at - 1)
        };
        a.index_axis_move(Axis(0), at)
    });
    // Were the last axis time, so many of its bins would hold more than `TOO_MUCH` for one of the slices, if these are
    // all: a look at the head of all slices spares reading the whole of the first, which may lie where there is no
    // probability.
    let head = 2 * looked_at + 1;
    if head < last {
        let mut heads = slices.clone().map(|slice| slice.slice_move(s![.., ..head]));
        if heads.any(|part| matches!(Mass::of(part), Mass::NoDistribution)) {
            return false;
        }
    }
    let mut found = false;
    for slice in slices {
        match Mass::of(slice) {
            Mass::Sum(sum) if (sum - 1.0).abs() <= TOLERANCE => found = true,
            Mass::Nothing => {}
            Mass::Sum(_) | Mass::NoDistribution => return false,
        }
    }
    found
}

/// What the cells of a slice, or of a part of it, add up to.
#[derive(Debug, PartialEq)]
enum Mass {
    /// Every cell is NaN, or there is none.
    Nothing,
    /// Whatever it is, it is no probability distribution, nor part of one.
    NoDistribution,
    /// The sum of all cells that are not NaN.
    Sum(f64),
}

impl Mass {
    /// Reads row by row, along the shorter strides, and stops where the answer is known.
    fn of<T: Element>(slice: ArrayView2<'_, T>) -> Self {
        let along_memory = match *slice.strides() {
            [outer, inner] if outer.abs() < inner.abs() => slice.reversed_axes(),
            _ => slice,
        };
        let mut sum = None;
        for row in along_memory.rows() {
            for value in row.iter().map(|&v| v.into()).filter(|v| !v.is_nan()) {
                if value < -TOLERANCE {
                    return Self::NoDistribution;
                }
                let sum = sum.get_or_insert(0.0);
                *sum += value;
                if *sum > TOO_MUCH {
                    return Self::NoDistribution;
                }
            }
        }
        sum.map_or(Self::Nothing, Self::Sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Zip, array};

    /// Uneven positive maps of which each sums to 1, time first.
    fn posterior(n_t: usize, n_x: usize, n_y: usize) -> Array3<f64> {
        let mut p = Array3::from_shape_fn((n_t, n_x, n_y), |(t, x, y)| {
            ((t * 7 + x * 13 + y * 29) % 31 + 1) as f64
        });
        for mut map in p.outer_iter_mut() {
            let sum = map.sum();
            map /= sum;
        }
        p
    }

    fn evidence<T: Element>(p: ArrayView3<'_, T>) -> String {
        match check_axis_order(p) {
            Err(Error::AxisOrder { shape, evidence }) => {
                assert_eq!(shape, <[usize; 3]>::from(p.dim()));
                evidence
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn time_first_is_refused_and_time_last_accepted() {
        for (n_t, n_x, n_y) in [(200, 6, 9), (9, 6, 200), (5, 4, 3), (2, 1, 7), (7, 5, 1)] {
            let txy = posterior(n_t, n_x, n_y);
            assert!(evidence(txy.view()).contains("axes 1 and 2 are 1"));
            let xyt = txy.view().permuted_axes([1, 2, 0]);
            assert_eq!(check_axis_order(xyt), Ok(()));
            let xyt = xyt.as_standard_layout().into_owned();
            assert_eq!(check_axis_order(xyt.view()), Ok(()));
        }
    }

    #[test]
    fn any_strides() {
        let txy = posterior(40, 6, 9);
        let fortran = Array3::from_shape_fn((9, 6, 40), |(y, x, t)| txy[[t, x, y]]);
        evidence(fortran.view().reversed_axes());
        evidence(txy.slice(s![..;-3, ..;-1, ..;-1]));
        let still = txy.slice(s![..1, .., ..]);
        evidence(still.broadcast((1024, 6, 9)).unwrap());
        let xyt = txy.slice(s![..;-2, ..;-1, ..]).permuted_axes([1, 2, 0]);
        assert_eq!(check_axis_order(xyt), Ok(()));
    }

    #[test]
    fn single_precision() {
        // Sums must be taken in double precision: in single precision these cells miss 1.
        let cell = 1.0 / (1000.0 * 1050.0_f32);
        let txy = Array3::from_elem((1, 1000, 1050), cell);
        assert!((txy.iter().fold(0.0, |sum, v| sum + v) - 1.0).abs() > TOLERANCE as f32);
        evidence(txy.broadcast((4, 1000, 1050)).unwrap());
        let txy = posterior(50, 6, 9).mapv(|v| (v * 1.000_3) as f32);
        evidence(txy.view());
        assert_eq!(
            check_axis_order(txy.view().permuted_axes([1, 2, 0])),
            Ok(())
        );
    }

    #[test]
    fn sums_off_by_a_hundredth_are_not_1() {
        let mut txy = posterior(50, 6, 9);
        txy.index_axis_mut(Axis(0), 49).mapv_inplace(|v| v * 1.01);
        assert_eq!(check_axis_order(txy.view()), Ok(()));
    }

    #[test]
    fn nan_cells_are_left_out() {
        let mut txy = posterior(50, 6, 9);
        for mut map in txy.outer_iter_mut() {
            map[[2, 3]] = f64::NAN;
            let sum: f64 = map.iter().filter(|v| !v.is_nan()).sum();
            map /= sum;
        }
        txy.index_axis_mut(Axis(0), 0).fill(f64::NAN);
        txy.index_axis_mut(Axis(0), 17).fill(f64::NAN);
        evidence(txy.view());
        assert_eq!(
            check_axis_order(txy.view().permuted_axes([1, 2, 0])),
            Ok(())
        );
    }

    #[test]
    fn nothing_but_nan_is_accepted() {
        let p = Array3::from_elem((3, 4, 5), f64::NAN);
        assert_eq!(check_axis_order(p.view()), Ok(()));
    }

    #[test]
    fn one_in_both_orders_is_accepted() {
        let uniform = Array3::from_elem((8, 4, 8), 1.0 / 32.0);
        assert_eq!(check_axis_order(uniform.view()), Ok(()));
        let mut diagonal = Array3::zeros((5, 3, 5));
        for i in 0..5 {
            diagonal[[i, 1, i]] = 1.0;
        }
        assert_eq!(check_axis_order(diagonal.view()), Ok(()));
    }

    #[test]
    fn unnormalised_arrays_are_accepted() {
        let likelihood = posterior(50, 6, 9).mapv(|v| v * 1e-6);
        assert_eq!(check_axis_order(likelihood.view()), Ok(()));
        let rates = posterior(50, 6, 9).mapv(|v| v * 40.0);
        assert_eq!(check_axis_order(rates.view()), Ok(()));
        let zeros = Array3::<f64>::zeros((50, 6, 9));
        assert_eq!(check_axis_order(zeros.view()), Ok(()));
        let infinite = Array3::from_elem((50, 6, 9), f64::INFINITY);
        assert_eq!(check_axis_order(infinite.view()), Ok(()));
    }

    #[test]
    fn log_posteriors_are_accepted() {
        let log = posterior(50, 6, 9).mapv(f64::ln);
        assert_eq!(check_axis_order(log.view()), Ok(()));
        // Negative cells that happen to leave a sum of 1.
        let odd = array![[[3.0, -2.0]], [[2.5, -1.5]], [[-0.5, 1.5]]];
        assert_eq!(check_axis_order(odd.view()), Ok(()));
    }

    #[test]
    fn rounding_below_zero_is_forgiven() {
        let mut txy = posterior(50, 6, 9);
        txy.slice_mut(s![.., 0, 0]).fill(-1e-12);
        for mut map in txy.outer_iter_mut() {
            let sum = map.sum();
            map /= sum;
        }
        evidence(txy.view());
    }

    #[test]
    fn single_time_bin() {
        let one = posterior(1, 6, 9);
        assert_eq!(
            check_axis_order(one.view().permuted_axes([1, 2, 0])),
            Ok(())
        );
        evidence(one.view());
    }

    #[test]
    fn one_row_of_cells_is_accepted_when_time_is_last() {
        let track = posterior(30, 1, 9).permuted_axes([1, 2, 0]);
        assert_eq!(check_axis_order(track.view()), Ok(()));
    }

    #[test]
    fn one_cell() {
        // (1, 1, t): every time bin is 1, and so is none of the sums over time but a single one.
        let ones = Array3::from_elem((1, 1, 20), 1.0);
        assert_eq!(check_axis_order(ones.view()), Ok(()));
        let one = Array3::from_elem((1, 1, 1), 1.0);
        assert_eq!(check_axis_order(one.view()), Ok(()));
    }

    #[test]
    fn empty_axes_are_accepted() {
        for shape in [(3, 4, 0), (0, 4, 5), (3, 0, 5), (0, 0, 0)] {
            assert_eq!(check_axis_order(Array3::<f32>::zeros(shape).view()), Ok(()));
        }
    }

    #[test]
    fn a_long_first_axis_is_refused_where_sums_tell_nothing() {
        let p = Array3::<f32>::zeros((1025, 2, 3));
        assert!(evidence(p.view()).contains("first axis has 1025 bins"));
        for shape in [(1024, 2, 3), (1025, 2, 1025), (1025, 5, 2000)] {
            assert_eq!(check_axis_order(Array3::<f32>::zeros(shape).view()), Ok(()));
        }
        let log = posterior(50, 2000, 1)
            .permuted_axes([1, 2, 0])
            .mapv(f64::ln);
        assert!(evidence(log.view()).contains("first axis has 2000 bins"));
    }

    #[test]
    fn sums_decide_whatever_the_shape() {
        for (n_t, n_x, n_y) in [(50, 2000, 1), (2000, 1025, 5), (1, 1500, 2)] {
            let xyt = posterior(n_t, n_x, n_y).permuted_axes([1, 2, 0]);
            assert_eq!(check_axis_order(xyt.view()), Ok(()));
        }
        for (n_t, n_x, n_y) in [(100, 41, 63), (500, 10, 10), (1024, 5, 5), (3000, 5, 5)] {
            assert!(evidence(posterior(n_t, n_x, n_y).view()).contains("axes 1 and 2 are 1"));
        }
    }

    /// A slice that is looked at, the last one among them, can acquit; one in between cannot.
    #[test]
    fn slices_are_spread_over_the_axis() {
        let mut txy = posterior(1000, 3, 4);
        txy.slice_mut(s![1, .., ..]).fill(0.5);
        evidence(txy.view());
        for at in [0, 999, 999 * 64 / 127] {
            let mut spoiled = posterior(1000, 3, 4);
            spoiled.slice_mut(s![at, .., ..]).fill(0.5);
            assert_eq!(check_axis_order(spoiled.view()), Ok(()), "{at}");
        }
    }

    /// More time bins than could ever be read.
    #[test]
    fn time_first_costs_a_few_slices() {
        let txy = posterior(1, 6, 9);
        evidence(txy.broadcast((1 << 44, 6, 9)).unwrap());
    }

    /// More cells than could ever be read: returning at all proves that the work is bounded.
    #[test]
    fn time_last_costs_a_few_bins() {
        let mut map = posterior(1, 41, 63).permuted_axes([1, 2, 0]);
        let forever = (41, 63, 1 << 44);
        assert_eq!(check_axis_order(map.broadcast(forever).unwrap()), Ok(()));

        // Probability in the last row alone.
        map.slice_mut(s![..40, .., ..]).fill(0.0);
        let sum = map.sum();
        map /= sum;
        assert_eq!(check_axis_order(map.broadcast(forever).unwrap()), Ok(()));

        let log = map.mapv(f64::ln);
        assert_eq!(check_axis_order(log.broadcast(forever).unwrap()), Ok(()));
    }

    /// However the sums come about, the answer is that of the definition.
    #[test]
    fn agrees_with_plain_sums() {
        let all_one = |p: &Array3<f64>, axes: [usize; 2]| {
            p.sum_axis(Axis(axes[1]))
                .sum_axis(Axis(axes[0]))
                .iter()
                .all(|sum| (sum - 1.0).abs() <= TOLERANCE)
        };
        let mut refused = 0;
        for n in 0..200 {
            let mut p = posterior(1 + n % 7, 1 + n % 5, 1 + n % 3);
            if n % 4 == 1 {
                p = p.permuted_axes([1, 2, 0]);
            }
            if n % 11 == 0 {
                Zip::indexed(&mut p).for_each(|(x, _, _), v| *v *= 1.0 + x as f64);
            }
            let expected = all_one(&p, [1, 2]) && !all_one(&p, [0, 1]);
            assert_eq!(
                check_axis_order(p.view()).is_err(),
                expected,
                "{:?}",
                p.dim()
            );
            refused += usize::from(expected);
        }
        assert!((20..180).contains(&refused), "{refused}");
    }
}
