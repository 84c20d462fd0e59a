//! Everything once, on stacks small enough for Miri, which watches what unsafe code does with memory:
//!
//! ```text
//! MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-ignore-leaks -Zmiri-permissive-provenance" \
//!     cargo +nightly miri test --no-default-features --test miri
//! ```
//!
//! The flags suit rayon, whose threads outlive the program and whose queues need tree borrows. Miri offers no vector
//! instructions, so that the plain bodies run. Whether results are right, other tests tell: here all ways have to agree.

#![cfg(miri)]

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis, Slice, s};
use peakmask::{
    Analyzer, Element, Level, MaskForm, Options, Outputs, PackedMask, Peaks, Region, SparseMask,
    Summary, analyze, analyze_into, analyze_many,
};

/// Rows of masks are longer than a cache line, and begin within one.
const SHAPE: (usize, usize, usize) = (2, 3, 70);

/// Bins of one, two and no peaks.
fn posterior<T: Element + From<f32>>() -> Array3<T> {
    Array3::from_shape_fn(SHAPE, |(x, y, t)| {
        T::from([1.0, 0.25, 0.5, 0.75, 0.0, 0.125, 1.0][(x * 5 + y * 3 + t * (t % 3)) % 7])
    })
}

fn options(threads: usize) -> Options {
    Options::new().alphas([0.5]).threads(threads)
}

/// Analyses into a mask that lies among others' memory, which is left alone.
fn check<T: Element>(
    p: ArrayView3<'_, T>,
    mut mask: ArrayViewMut3<'_, bool>,
    expected: &Array3<bool>,
) {
    let mut peaks = Peaks::new();
    analyze_into(p, &options(1), &mut [mask.view_mut()], &mut peaks).expect("an exact result");
    assert_eq!(mask, expected);
    assert_eq!(peaks.offsets.len(), SHAPE.2 + 1);
}

fn layouts<T: Element + From<f32>>() {
    let p = posterior::<T>();
    let (n_x, n_y, n_t) = SHAPE;
    let expected = analyze(p.view(), &options(2))
        .expect("an exact result")
        .masks
        .remove(0);
    let mut plain = Array3::from_elem(SHAPE, true);
    check(p.view(), plain.view_mut(), &expected);

    // Bins first, as many decoders store them, and a part of a larger mask whose rows are not aligned.
    let mut bins_first = Array3::from_elem((n_t, n_x, n_y), p[[0, 0, 0]]);
    bins_first.view_mut().permuted_axes([1, 2, 0]).assign(&p);
    let mut larger = Array3::from_elem((n_x, n_y, n_t + 9), true);
    let bins_first = bins_first.view().permuted_axes([1, 2, 0]);
    check(
        bins_first,
        larger.slice_mut(s![.., .., 5..5 + n_t]),
        &expected,
    );
    assert!(larger.slice(s![.., .., ..5]).iter().all(|&kept| kept));
    assert!(larger.slice(s![.., .., 5 + n_t..]).iter().all(|&kept| kept));

    // Backwards, and into every other boolean.
    let backwards = p.slice(s![.., .., ..;-1]).to_owned();
    let mut sparse = Array3::from_elem((n_x, n_y, 2 * n_t), true);
    check(
        backwards.slice(s![.., .., ..;-1]),
        sparse.slice_mut(s![.., .., ..;2]),
        &expected,
    );
    assert!(sparse.slice(s![.., .., 1..;2]).iter().all(|&kept| kept));
}

#[test]
fn layouts_of_f64() {
    layouts::<f64>();
}

#[test]
fn layouts_of_f32() {
    layouts::<f32>();
}

/// What a kept analyzer writes, in every form at once: each form says the same.
fn every_form(analyzer: &mut Analyzer<f64>, p: ArrayView3<'_, f64>) -> Array3<bool> {
    let (n_x, n_y, n_t) = p.dim();
    let mut bytes = Array3::from_elem(p.dim(), true);
    let mut bits = Array3::from_elem((n_x, n_y, n_t.div_ceil(8)), 255_u8);
    let mut cells = SparseMask::new();
    let (mut peaks, mut summary) = (Peaks::new(), Summary::new());
    let outputs = Outputs::new()
        .peaks(&mut peaks)
        .summary(&mut summary)
        .mask(0, bytes.view_mut())
        .packed_mask(1, bits.view_mut())
        .sparse_mask(2, &mut cells);
    analyzer.run(p, outputs).expect("an exact result");
    assert_eq!(PackedMask::new(bits, n_t).expand(0..n_t), bytes);
    for t in 0..n_t {
        let area = bytes
            .index_axis(Axis(2), t)
            .iter()
            .filter(|cell| **cell)
            .count();
        assert_eq!(cells.bin(t).len(), area);
    }
    bytes
}

#[test]
fn every_form_of_output_from_a_kept_analyzer() {
    let p = posterior();
    let options = options(1).levels([0.5; 3].map(Level::OfPeak));
    let mut analyzer = Analyzer::new([SHAPE.0, SHAPE.1], options).expect("valid options");
    let whole = every_form(&mut analyzer, p.view());
    // A second call finds what the first has left.
    let few = Slice::from(60..69);
    let found = every_form(&mut analyzer, p.slice_axis(Axis(2), few));
    assert_eq!(found, whole.slice_axis(Axis(2), few));
}

#[test]
fn whole_regions_of_epochs() {
    let p = posterior::<f64>();
    let options = options(1)
        .levels([Level::Absolute(0.25), Level::Coverage(0.5)])
        .region(Region::Whole)
        .masks(MaskForm::Packed);
    let whole = analyze(p.view(), &options).expect("an exact result");
    let epochs = [0..3, 3..66, 66..70].map(|bins| p.slice_axis(Axis(2), Slice::from(bins)));
    let many = analyze_many(&epochs, &options).expect("an exact result");
    assert_eq!(many.analysis.packed, whole.packed);
    assert_eq!(many.analysis.peaks, whole.peaks);
}
