//! A kept analyzer on one thread allocates nothing after its first call, whatever it writes: every allocation of the calling
//! thread is counted, and a thread cannot be started without one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ndarray::{Array3, s};
use peakmask::{Analyzer, Backend, Element, Options, Outputs, Peaks, SparseMask, Summary};

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

/// Blocks of time bins, which are analysed one after the other, and then once more.
const BLOCKS: usize = 8;

/// What a call writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Peaks, masks as booleans, and one of them as bits.
    Masks,
    Packed,
    Sparse,
    Summary,
    /// A summary that follows that of the call before, of which the last bin is kept.
    Appended,
    Everything,
}

const KINDS: [Kind; 6] = [
    Kind::Masks,
    Kind::Packed,
    Kind::Sparse,
    Kind::Summary,
    Kind::Appended,
    Kind::Everything,
];

impl Kind {
    fn is(self, other: Self) -> bool {
        self == other || self == Self::Everything
    }

    /// Calls in which something may still grow.
    fn growing(self) -> usize {
        match self {
            // It holds one bin more from the second call on.
            Self::Appended => 2,
            // Cells are listed in memory that is kept: a call that finds more of them than any before takes more.
            Self::Sparse | Self::Everything => BLOCKS,
            _ => 1,
        }
    }
}

fn steady<T: Element>(backend: Backend, bins: usize, kind: Kind) {
    let p = posterior::<T>(bins * BLOCKS);
    let options = Options::new()
        .alphas([0.5, 0.9])
        .threads(1)
        .backend(backend);
    let mut analyzer = Analyzer::new([41, 63], options).unwrap();
    let mut masks = [(); 2].map(|()| Array3::from_elem((41, 63, bins), false));
    let mut packed = [(); 2].map(|()| Array3::zeros((41, 63, bins.div_ceil(8))));
    let mut sparse = [(); 2].map(|()| SparseMask::new());
    let mut peaks = Peaks::new();
    let mut summary = Summary::new();
    let positions = vec![[20.0, 30.5]; bins];
    // Columns grow when a call finds more peaks, or cells of masks, than any before: room for all, as a caller may give it.
    peaks.coords.reserve(40_000);
    peaks.heights.reserve(40_000);
    peaks.prominences.reserve(40_000);
    for mask in &mut sparse {
        mask.cells.reserve(41 * 63 * bins);
    }
    let mut calls = Vec::with_capacity(2 * BLOCKS);
    for call in 0..2 * BLOCKS {
        let t = call % BLOCKS * bins;
        let before = CALLS.get();
        let mut outputs = Outputs::new();
        if kind.is(Kind::Masks) {
            outputs = outputs.peaks(&mut peaks);
            for (level, mask) in masks.iter_mut().enumerate() {
                outputs = outputs.mask(level, mask.view_mut());
            }
        }
        if kind.is(Kind::Packed) || kind == Kind::Masks {
            for (level, mask) in packed.iter_mut().enumerate() {
                outputs = outputs.packed_mask(level, mask.view_mut());
            }
        }
        if kind.is(Kind::Sparse) {
            for (level, mask) in sparse.iter_mut().enumerate() {
                outputs = outputs.sparse_mask(level, mask);
            }
        }
        outputs = match kind {
            Kind::Summary | Kind::Everything => {
                outputs.summary(&mut summary).animal(&positions, 3.0)
            }
            Kind::Appended => outputs.append_summary(&mut summary),
            _ => outputs,
        };
        let report = analyzer
            .run(p.slice(s![.., .., t..t + bins]), outputs)
            .unwrap();
        let rows = summary.n_bins();
        if kind == Kind::Appended {
            summary.keep_last(1);
        }
        calls.push(CALLS.get() - before);
        assert_eq!((report.bins, report.cpu_bins), (bins, bins));
        if kind.is(Kind::Masks) {
            assert!(!peaks.is_empty() && masks[0].iter().any(|&set| set));
        }
        if kind.is(Kind::Packed) {
            assert!(packed[1].iter().any(|&bits| bits != 0));
        }
        if kind.is(Kind::Sparse) {
            assert!(!sparse[1].cells.is_empty());
        }
        let before = usize::from(kind == Kind::Appended && call > 0);
        let summed = kind.is(Kind::Summary) || kind == Kind::Appended;
        assert_eq!(rows, if summed { bins + before } else { 0 });
    }
    assert!(calls[0] > 0, "allocations are counted");
    let growing = kind.growing();
    assert_eq!(
        calls[growing..],
        [0; 2 * BLOCKS][growing..],
        "{:?}, {bins} bins, {backend}, {kind:?}",
        T::DTYPE
    );
}

#[test]
fn calls_after_the_first_allocate_nothing() {
    for backend in [Backend::Cpu, Backend::Auto] {
        for bins in [1, 3, 8, 64, 65, 300] {
            for kind in KINDS {
                steady::<f64>(backend, bins, kind);
                steady::<f32>(backend, bins, kind);
            }
        }
    }
}
