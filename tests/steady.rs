//! A kept analyzer on one thread allocates nothing after its first call: every allocation of the calling thread is counted,
//! and a thread cannot be started without one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ndarray::{Array3, s};
use peakmask::{Analyzer, Backend, Element, Options, Outputs, Peaks};

/// The system's allocator, counted.
struct Counting;

thread_local! {
    /// Allocations of this thread: the harness makes some of its own beside the test.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    CALLS.set(CALLS.get() + 1);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator that counts")]
// SAFETY: every call is passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// A cone around a wandering cell, with a plateau and a maze beside it.
fn posterior<T: Element>(n_t: usize) -> Array3<T> {
    Array3::from_shape_fn((41, 63, n_t), |(x, y, t)| {
        let away = x.abs_diff(t % 41).max(y.abs_diff(t % 63)) as i16;
        let maze = i16::from((x % 2 == 0) != (y % 7 == t % 7)) * 60;
        T::from((100 - away).max(maze).max(0))
    })
}

fn steady<T: Element>(backend: Backend, bins: usize) {
    let p = posterior::<T>(bins * 8);
    let options = Options::new()
        .alphas([0.5, 0.9])
        .threads(1)
        .backend(backend);
    let mut analyzer = Analyzer::new([41, 63], options).unwrap();
    let mut masks = [(); 2].map(|()| Array3::from_elem((41, 63, bins), false));
    let mut packed = Array3::zeros((41, 63, bins.div_ceil(8)));
    let mut peaks = Peaks::new();
    // Columns grow when a call finds more peaks than any before: room for all, as a caller may give it.
    peaks.coords.reserve(40_000);
    peaks.heights.reserve(40_000);
    peaks.prominences.reserve(40_000);
    let mut calls = Vec::with_capacity(8);
    for t in (0..8).map(|i| i * bins) {
        let before = CALLS.get();
        let [half, most] = &mut masks;
        let outputs = Outputs::new()
            .peaks(&mut peaks)
            .mask(0, half.view_mut())
            .mask(1, most.view_mut())
            .packed_mask(1, packed.view_mut());
        let report = analyzer
            .run(p.slice(s![.., .., t..t + bins]), outputs)
            .unwrap();
        calls.push(CALLS.get() - before);
        assert_eq!((report.bins, report.cpu_bins), (bins, bins));
        assert!(!peaks.is_empty() && half.iter().any(|&set| set));
    }
    assert!(calls[0] > 0, "allocations are counted");
    assert_eq!(calls[1..], [0; 7], "{:?}, {bins} bins, {backend}", T::DTYPE);
}

#[test]
fn calls_after_the_first_allocate_nothing() {
    for backend in [Backend::Cpu, Backend::Auto] {
        for bins in [1, 3, 8, 64, 65, 300] {
            steady::<f64>(backend, bins);
            steady::<f32>(backend, bins);
        }
    }
}
