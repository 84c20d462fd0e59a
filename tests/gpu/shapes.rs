//! Batches and maps of every size.

use ndarray::Array3;
use peakmask::GpuTuning;

use crate::support::float::Float;
use crate::support::layout::{Layout, Placed};
use crate::{Known, gpu_or_return, on};

/// Lanes come in words of 32, groups of 64 and rows of 128 bytes: one bin less, one more.
#[test]
fn tiny_batches() {
    fn of_type<T: Float>() {
        let context = gpu_or_return!();
        let plain = on(context, GpuTuning::default());
        for (seed, n_t) in (1..).zip([1, 2, 63, 64, 65]) {
            let report = Known::<T>::drawn(seed, [9, 33, n_t]).exact(&plain);
            assert_eq!((report.gpu_bins, report.cpu_bins), (n_t, 0));
        }
        let known = Known::<T>::drawn(7, [9, 33, 131]);
        for batch in [1, 2, 63, 64, 65] {
            let tuning = GpuTuning {
                batch: Some(batch),
                ..Default::default()
            };
            let gpu = known.exact(&on(context, tuning)).gpu.expect("it ran");
            // Batches of 65 bins are made with room for 96, and filled.
            assert_eq!(gpu.batch_bins, if batch == 65 { 96 } else { batch });
            assert!(gpu.batches >= 131_usize.div_ceil(gpu.batch_bins), "{gpu:?}");
        }
    }
    of_type::<f32>();
    of_type::<f64>();
}

#[test]
fn maps_of_one_cell_and_no_bins() {
    fn of_type<T: Float>() {
        let context = gpu_or_return!();
        let options = on(context, GpuTuning::default());
        let known = Known::<T>::drawn(3, [1, 1, 70]);
        assert!(known.answer.peaks.is_empty());
        known.exact(&options);
        let none = Known::new(Array3::from_elem((5, 6, 0), T::default()), [0.5], false);
        assert_eq!(none.exact(&options).bins, 0);
    }
    of_type::<f32>();
    of_type::<f64>();
}

#[test]
fn long_rows_and_columns() {
    let context = gpu_or_return!();
    let options = on(context, GpuTuning::default());
    for shape in [[1, 70_000, 3], [70_000, 1, 3], [2, 35_001, 2]] {
        // Terraces: long runs, plateaus among them, and a few single cells.
        let p = Array3::from_shape_fn(shape, |(x, y, t)| {
            let k = x + y;
            (k * (t + 1) / 9_973 % 5) as f64 + f64::from(k % 20_011 == 7) * 0.5
        });
        Known::new(p, [0.5, 0.2, 1.0], false).exact(&options);
    }
}

#[test]
fn the_largest_map() {
    let context = gpu_or_return!();
    let p = Array3::from_shape_fn((1024, 1024, 3), |(x, y, t)| {
        let (dx, dy) = (x as f64 - 400.0, y as f64 - 300.0 * t as f64);
        let noise = ((x * 7919 + y * 104_729 + t * 31) % 1013) as f64 / 1e4;
        (-(dx * dx + dy * dy) / 5e4).exp() + noise * f64::from(t != 1)
    });
    let report = Known::new(p, [0.5, 0.9], true).exact(&on(context, GpuTuning::default()));
    assert_eq!(report.gpu_bins, 3);
}

/// More than a pass takes, so that they come in groups.
#[test]
fn any_number_of_alphas() {
    fn of_type<T: Float>() {
        let context = gpu_or_return!();
        let p = Known::<T>::drawn(11, [7, 9, 40]).p;
        for n in [0, 1, 2, 40, 300] {
            let alphas: Vec<_> = (0..n).map(|k| 1.1 - k as f64 / 200.0).collect();
            let gpu = Known::new(p.clone(), alphas, false)
                .exact(&on(context, GpuTuning::default()))
                .gpu
                .expect("it ran");
            assert_eq!(
                gpu.batches > 1,
                n >= 40,
                "{n} alphas in {} batches",
                gpu.batches
            );
        }
    }
    of_type::<f32>();
    of_type::<f64>();
}

#[test]
fn every_memory_order() {
    let context = gpu_or_return!();
    let known = Known::<f64>::drawn(23, [12, 35, 100]);
    for layout in Layout::all() {
        let placed = Placed::new(known.p.view(), layout, |_| f64::NAN);
        let tuning = GpuTuning {
            batch: Some(64),
            poison: true,
            ..Default::default()
        };
        let (_, difference) = known.analyze_view(placed.view(), &on(context, tuning));
        assert_eq!(difference, None, "{layout:?}");
    }
}
