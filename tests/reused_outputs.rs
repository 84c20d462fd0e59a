//! `analyze_into` takes no memory for masks: every allocation of this program is counted.

use ndarray::{Array3, ArrayViewMut3};
use peak_alloc::PeakAlloc;
use peakmask::{Options, Peaks, analyze, analyze_into};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const N_X: usize = 41;
const N_Y: usize = 63;

/// One test, since the counter is the whole program's.
#[test]
fn reused_masks_cost_nothing_for_each_time_bin() {
    // One thread, so that no batch has to wait; both inputs are long enough for batches of full length.
    let options = Options::new().alphas([0.5, 0.9]).threads(1);
    let short = reused(4_096, &options);
    let long = reused(16_384, &options);

    // A mask in packed bits, for one alpha, would already take this much. What remains is rows of peaks.
    let packed_mask = (16_384 - 4_096) * N_X * N_Y / 8;
    assert!(
        long < short + packed_mask / 2,
        "{short} bytes for 4096 time bins, {long} for 16384"
    );

    // The counter does see masks.
    let p = one_peak_a_bin(8_192);
    let owned = peak_growth(|| {
        analyze(p.view(), &options).unwrap();
    });
    assert!(owned > 2 * p.len(), "{owned} bytes for two masks");
}

/// Bytes that a second analysis into the same outputs takes at its highest.
fn reused(n_t: usize, options: &Options) -> usize {
    let p = one_peak_a_bin(n_t);
    let mut masks = [(); 2].map(|()| Array3::from_elem(p.dim(), true));
    let mut peaks = Peaks::new();
    let mut run = || {
        let mut views = masks
            .each_mut()
            .map(|mask| -> ArrayViewMut3<'_, bool> { mask.view_mut() });
        analyze_into(p.view(), options, &mut views, &mut peaks).unwrap();
    };
    run();
    let grown = peak_growth(run);
    assert_eq!(peaks.len(), n_t);
    assert!(masks[0].iter().filter(|cell| **cell).count() >= n_t);
    grown
}

fn peak_growth(run: impl FnOnce()) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    run();
    ALLOCATED.peak_usage() - before
}

/// A cone around a wandering cell.
fn one_peak_a_bin(n_t: usize) -> Array3<f64> {
    Array3::from_shape_fn((N_X, N_Y, n_t), |(x, y, t)| {
        let away = x.abs_diff(t % N_X).max(y.abs_diff(t % N_Y));
        1.0 / (1 + away) as f64
    })
}
