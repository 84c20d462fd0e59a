//! What else is made of regions than bytes: bits, areas without masks, and areas of masks, which others make. And what memory
//! for results costs without any.

use std::time::{Duration, Instant};

use bytemuck::Pod;
use memmap2::MmapMut;
use ndarray::{Array2, Array3, ArrayBase};
use peakmask::{Analyzer, Element, MaskForm, Options, Outputs, Peaks, Summary};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::bed::Bed;
use crate::engine::{Engine, cores};
use crate::floor;

/// Time bins whose areas a thread adds up at a time.
const TOGETHER: usize = 4096;

/// Warm outputs of these jobs.
pub(crate) struct Forms<T> {
    alphas: Vec<f64>,
    packed: Vec<Array3<u8>>,
    summary: Summary<T>,
    /// Cells of each mask.
    areas: Array2<i64>,
}

impl<T: Element + Pod> Forms<T> {
    /// Does each job once, and panics unless all agree with the bed's masks.
    pub(crate) fn new(bed: &mut Bed<T>, alphas: &[f64]) -> Self {
        let (n_x, n_y, n_t) = bed.stack().view().dim();
        let mut forms = Self {
            alphas: alphas.to_vec(),
            packed: vec![Array3::zeros((n_x, n_y, n_t.div_ceil(8))); alphas.len()],
            summary: Summary::new(),
            areas: Array2::zeros((alphas.len(), n_t)),
        };
        for name in ["packed", "areas", "areas_of_masks"] {
            assert!(forms.time(name, bed, Engine::Cpu(cores())).is_some());
        }
        assert_bits(bed.masks(), &forms.packed);
        assert!(forms.areas == forms.summary.area, "areas without masks");
        forms
    }

    /// Cells of each mask, without any mask.
    pub(crate) fn areas(&self) -> &Array2<i64> {
        &self.summary.area
    }

    /// How long a job of this name takes, if there is one.
    pub(crate) fn time(
        &mut self,
        name: &str,
        bed: &mut Bed<T>,
        engine: Engine,
    ) -> Option<Duration> {
        let pool = floor::pool(engine.threads());
        let start = Instant::now();
        match name {
            "touch" => {
                let masks: usize = bed.masks().iter().map(ArrayBase::len).sum();
                let touched = touched(masks + column_bytes(bed.peaks()), &pool);
                let time = start.elapsed();
                // Given back after the clock has stopped.
                drop(touched);
                return Some(time);
            }
            "packed" => {
                let masks = self.packed.iter_mut().enumerate();
                let outputs = masks.fold(Outputs::new(), |outputs, (level, mask)| {
                    outputs.packed_mask(level, mask.view_mut())
                });
                let options = options(&self.alphas, engine).masks(MaskForm::Packed);
                run(bed, options, outputs);
            }
            "areas" => {
                let options = options(&self.alphas, engine).masks(MaskForm::None);
                let outputs = Outputs::new().summary(&mut self.summary);
                run(bed, options.summary(true), outputs);
            }
            "areas_of_masks" => {
                bed.masks_only(engine);
                for (mask, mut areas) in bed.masks().iter().zip(self.areas.rows_mut()) {
                    let cells = mask.as_slice().expect("masks in C order");
                    let areas = areas.as_slice_mut().expect("rows in C order");
                    pool.install(|| add_up(bytemuck::cast_slice(cells), areas));
                }
            }
            _ => return None,
        }
        Some(start.elapsed())
    }
}

/// Panics unless the bits are those of the masks, as far as these go.
pub(crate) fn assert_bits(masks: &[Array3<bool>], packed: &[Array3<u8>]) {
    assert_eq!(masks.len(), packed.len(), "number of masks");
    for (mask, packed) in masks.iter().zip(packed) {
        for ((x, y, t), &inside) in mask.indexed_iter() {
            let bit = packed[[x, y, t / 8]] >> (t % 8) & 1;
            assert_eq!(bit == 1, inside, "bit of cell ({x}, {y}) in bin {t}");
        }
    }
}

/// Bytes of the columns of peaks.
pub(crate) fn column_bytes<T: Element>(peaks: &Peaks<T>) -> usize {
    size_of_val(&peaks.offsets[..])
        + size_of_val(&peaks.coords[..])
        + size_of_val(&peaks.prominences[..])
        + size_of_val(&peaks.heights[..])
}

/// Memory of the system's, for which huge pages are advised as for results, after a byte was written in each small page.
fn touched(bytes: usize, pool: &ThreadPool) -> MmapMut {
    let mut memory = MmapMut::map_anon(bytes).expect("memory as for results");
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    let part = bytes.div_ceil(pool.current_num_threads()).max(1);
    pool.install(|| {
        memory.par_chunks_mut(part).for_each(|part| {
            for page in part.chunks_mut(4096) {
                page[0] = 1;
            }
        });
    });
    memory
}

fn options(alphas: &[f64], engine: Engine) -> Options {
    Options::from(engine)
        .alphas(alphas.iter().copied())
        .peaks(false)
}

fn run<T: Element + Pod>(bed: &Bed<T>, options: Options, outputs: Outputs<'_, T>) {
    let p = bed.stack().view();
    let mut analyzer = Analyzer::new([p.dim().0, p.dim().1], options).expect("an analyzer");
    analyzer.run(p, outputs).expect("an analysis");
}

/// Adds up the cells of a mask in each time bin.
fn add_up(mask: &[u8], areas: &mut [i64]) {
    let n_t = areas.len();
    let parts = areas.par_chunks_mut(TOGETHER).enumerate();
    parts.for_each(|(part, areas)| {
        areas.fill(0);
        for row in mask.chunks_exact(n_t) {
            for (area, &inside) in areas.iter_mut().zip(&row[part * TOGETHER..]) {
                *area += i64::from(inside);
            }
        }
    });
}
