//! Tests of the tests: a fault of one bit, planted in a correct answer, is seen by every comparator.

mod oracle;
#[expect(dead_code, reason = "a part of it serves the other test targets")]
mod support;

use ndarray::Array3;

use support::census::Census;
use support::compare::{Answer, Difference, Zeros, first_difference};
use support::float::Float;
use support::generator::Case;
use support::layout::{Layout, Placed};

/// The answer of a posterior with at least two masks, and with zeros among its heights and prominences.
fn correct<T: Float>() -> Answer<T> {
    let has_zero = |column: &[T]| column.contains(&T::default());
    (0..)
        .map(|seed| Case::<T>::sized(seed, [9, 11, 70]))
        .filter(|case| case.alphas.len() >= 2)
        .map(|case| Answer::of_oracle(case.p.view(), &case.alphas, case.eight))
        .find(|answer| has_zero(&answer.peaks.heights) && has_zero(&answer.peaks.prominences))
        .expect("some case has zeros")
}

fn compare<T: Float>(expected: &Answer<T>, found: &Answer<T>, zeros: Zeros) -> Option<Difference> {
    first_difference(expected, &found.mask_views(), &found.peaks, zeros)
}

/// Applies a fault to a copy of the answer; tells what the comparators see, signed zeros told apart or not.
fn planted<T: Float>(fault: impl Fn(&mut Answer<T>)) -> (Option<Difference>, Option<Difference>) {
    let expected = correct::<T>();
    let mut found = expected.clone();
    fault(&mut found);
    let signed = compare(&expected, &found, Zeros::Signed);
    (signed, compare(&expected, &found, Zeros::Unsigned))
}

fn flip_bit<T: Float>(value: &mut T, bit: u32) {
    *value = T::with_bits(value.bits() ^ (1 << bit));
}

/// The first peak whose height, or prominence, is a zero.
fn first_zero<T: Float>(column: &[T]) -> usize {
    let zero = column.iter().position(|&v| v == T::default());
    zero.expect("the answer was chosen for it")
}

fn seen_by_both<T: Float>(what: &str, fault: impl Fn(&mut Answer<T>)) -> Difference {
    let (signed, unsigned) = planted(fault);
    assert_eq!(signed, unsigned, "{what}");
    signed.unwrap_or_else(|| panic!("{what}: not seen"))
}

fn a_planted_fault_is_seen<T: Float>() {
    assert_eq!(planted::<T>(|_| ()), (None, None), "no fault, none seen");

    for (alpha, x, y, t) in [(0, 0, 0, 0), (1, 8, 10, 69), (1, 3, 0, 64)] {
        let difference = seen_by_both::<T>("a bit of a mask", |answer| {
            let cell = &mut answer.masks[alpha][(x, y, t)];
            *cell = !*cell;
        });
        assert_eq!((difference.bin, difference.alpha), (Some(t), Some(alpha)));
    }
    for column in 0..2 {
        seen_by_both::<T>("a bit of a coordinate", |answer| {
            answer.peaks.coords.last_mut().expect("there are peaks")[column] ^= 1;
        });
    }
    for bit in [0, 8 * size_of::<T>() as u32 - 1] {
        seen_by_both::<T>("a bit of a height", |answer| {
            flip_bit(&mut answer.peaks.heights[0], bit);
        });
    }
    seen_by_both::<T>("the lowest bit of a prominence", |answer| {
        flip_bit(&mut answer.peaks.prominences[0], 0);
    });
    seen_by_both::<T>("an offset in the middle", |answer| {
        let t = (1..70).find(|&t| answer.peaks.offsets[t] < answer.peaks.offsets[t + 1]);
        answer.peaks.offsets[t.expect("some bin has peaks")] += 1;
    });
    seen_by_both::<T>("the first offset", |answer| answer.peaks.offsets[0] += 1);
    seen_by_both::<T>("the last offset", |answer| {
        *answer
            .peaks
            .offsets
            .last_mut()
            .expect("offsets are never empty") -= 1;
    });
    seen_by_both::<T>("a bin too many", |answer| {
        let n = answer.peaks.len() as i64;
        answer.peaks.offsets.push(n);
    });
    seen_by_both::<T>("a peak too many", |answer| {
        answer.peaks.coords.push([0, 0]);
        answer.peaks.heights.push(T::default());
        answer.peaks.prominences.push(T::default());
        *answer
            .peaks
            .offsets
            .last_mut()
            .expect("offsets are never empty") += 1;
    });
    seen_by_both::<T>("a column too short", |answer| {
        answer.peaks.prominences.pop();
    });
    seen_by_both::<T>("two peaks in the wrong order", |answer| {
        let t = (0..70).find(|&t| answer.peaks.bin(t).len() > 1);
        let row = answer.peaks.offsets[t.expect("some bin has two peaks")] as usize;
        answer.peaks.coords.swap(row, row + 1);
    });
    seen_by_both::<T>("a mask too few", |answer| {
        answer.masks.pop();
    });
    seen_by_both::<T>("a mask of another shape", |answer| {
        answer.masks[0] = Array3::from_elem((11, 9, 70), false);
    });
    seen_by_both::<T>("two masks exchanged", |answer| answer.masks.swap(0, 1));
}

#[test]
fn a_planted_fault_is_seen_f64() {
    a_planted_fault_is_seen::<f64>();
}

#[test]
fn a_planted_fault_is_seen_f32() {
    a_planted_fault_is_seen::<f32>();
}

/// The sign of a zero is one bit that no comparison of values sees.
fn the_sign_of_a_zero_is_seen<T: Float>() {
    let sign = 8 * size_of::<T>() as u32 - 1;
    seen_by_both::<T>("the sign of a height of zero", |answer| {
        let k = first_zero(&answer.peaks.heights);
        flip_bit(&mut answer.peaks.heights[k], sign);
    });
    let (signed, unsigned) = planted::<T>(|answer| {
        let k = first_zero(&answer.peaks.prominences);
        flip_bit(&mut answer.peaks.prominences[k], sign);
    });
    assert!(
        signed.is_some(),
        "the sign of a prominence of zero: not seen"
    );
    assert_eq!(unsigned, None, "by value, zeros of both signs are equal");
}

#[test]
fn the_sign_of_a_zero_is_seen_f64() {
    the_sign_of_a_zero_is_seen::<f64>();
}

#[test]
fn the_sign_of_a_zero_is_seen_f32() {
    the_sign_of_a_zero_is_seen::<f32>();
}

/// In every layout, every element of memory that is not part of an output is watched, and no other.
#[test]
fn every_overwritten_canary_is_seen() {
    let shape = [2, 3, 5];
    for layout in Layout::all() {
        let before = Placed::output(shape, layout);
        let marked = {
            let mut marked = before.clone();
            marked.view_mut().fill(false);
            marked
        };
        assert_eq!(marked.first_foreign_change(&before), None, "{layout:?}");
        let mut own = 0;
        for at in 0..before.len() {
            let mut found = before.clone();
            found.flip(at);
            let inside = found.view() != before.view();
            own += usize::from(inside);
            let seen = found.first_foreign_change(&before);
            assert_eq!(seen, (!inside).then_some(at), "{layout:?}");
        }
        assert_eq!(own, 30, "{layout:?}");
    }
}

/// A layout shows the array that was put into it.
#[test]
fn every_layout_shows_its_array() {
    let p = Array3::from_shape_fn((4, 3, 7), |(x, y, t)| 100 * x + 10 * y + t);
    for layout in Layout::all() {
        let placed = Placed::new(p.view(), layout, |_| 999);
        assert_eq!(placed.view(), p.view(), "{layout:?}");
    }
    let mut strides: Vec<Vec<isize>> = Vec::new();
    for layout in Layout::all() {
        strides.push(
            Placed::new(p.view(), layout, |_| 999)
                .view()
                .strides()
                .to_vec(),
        );
    }
    strides.sort();
    strides.dedup();
    assert_eq!(
        strides.len(),
        Layout::all().len(),
        "no two layouts are alike"
    );
}

/// The census counts what it says, and its assertion fails for monotonous bins.
#[test]
fn the_census_counts() {
    let count = |rows: [&str; 3], alpha: f64| {
        let cells: Vec<f64> = rows.concat().bytes().map(|b| f64::from(b - b'0')).collect();
        let z = ndarray::Array2::from_shape_vec((3, rows[0].len()), cells).expect("equal rows");
        let answer = oracle::answer_bin(z.view(), &[alpha], false);
        let census = Census::of(z.view(), &answer, false);
        [
            census.plateaus,
            census.shoulders,
            census.long_floods,
            census.ties,
            census.silent,
        ]
    };
    assert_eq!(count(["000", "010", "000"], 0.5), [0, 0, 0, 0, 0]);
    assert_eq!(count(["0000", "0220", "0000"], 0.5), [1, 0, 0, 1, 0]);
    assert_eq!(count(["00000", "02230", "00000"], 0.5), [0, 1, 0, 0, 0]);
    assert_eq!(count(["00000", "30003", "00000"], 0.5), [0, 0, 0, 1, 0]);
    assert_eq!(count(["111", "111", "111"], 0.5), [0, 0, 0, 0, 1]);
    let long = "1".repeat(32) + "0";
    let turn = "0".repeat(32) + "1";
    assert_eq!(count([&long, &turn, &long], 0.5)[2], 0);
    let (row, wall) = ("1".repeat(32), "0".repeat(31) + "1");
    assert_eq!(count([&row, &wall, &row], 0.5)[2], 0, "64 steps");
    let (row, wall) = ("1".repeat(33), "0".repeat(32) + "1");
    assert_eq!(count([&row, &wall, &row], 0.5)[2], 1, "66 steps");
}

#[test]
#[should_panic(expected = "plateaus")]
fn monotonous_bins_are_refused() {
    Census {
        bins: 1000,
        peaks: 1000,
        ..Census::default()
    }
    .assert_various();
}

/// A seed names a posterior: the same today, tomorrow and on any machine.
#[test]
fn a_seed_names_a_posterior() {
    let bits = |seed| -> Vec<u64> { Case::<f64>::new(seed).p.iter().map(|v| v.bits()).collect() };
    assert_eq!(bits(3), bits(3));
    assert_ne!(bits(3), bits(4));
}
