//! The posterior: a 3-D array of floats in a file, seen as P[x, y, t].

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytemuck::Pod;
use ndarray::{Array3, ArrayView3, Axis, ShapeBuilder, Slice};
use peakmask::{CancelToken, Dtype, Element};

use crate::args::{InputArgs, Layout};
use crate::failure::Failure;
use crate::npy::{ArrayFile, Descr, StoredArray, tuple};

/// The name that a posterior has when nobody says which array to read.
const USUAL_KEY: &str = "p_x_given_n";

/// A posterior in a file, checked but not yet read.
pub(crate) struct Input {
    pub(crate) array: StoredArray,
    pub(crate) dtype: Dtype,
    pub(crate) layout: Layout,
    /// Whether the caller named the layout, and is believed.
    layout_given: bool,
    /// Lengths of the axes in the file; a track has a second position axis of length 1.
    stored: [usize; 3],
}

/// Why values have to be copied before they can be analysed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copy {
    Compressed,
    ByteOrder,
    Alignment,
}

impl Copy {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Compressed => "compressed",
            Self::ByteOrder => "stored in the other byte order",
            Self::Alignment => "not aligned in the file",
        }
    }
}

impl Input {
    pub(crate) fn open(args: &InputArgs) -> Result<Self, Failure> {
        let file = ArrayFile::open(&args.input)?;
        let array = match (&args.reading.key, file.is_archive()) {
            (Some(_), false) => {
                return Err(Failure::input(
                    &args.input,
                    "is a .npy file and holds one array; leave out --key",
                ));
            }
            (Some(key), true) => file.array(Some(key))?,
            (None, true) => only_posterior(&file, args)?,
            (None, false) => file.array(None)?,
        };
        Self::new(array, args.reading.layout)
    }

    fn new(array: StoredArray, layout: Option<Layout>) -> Result<Self, Failure> {
        let dtype = float_type(&array)?;
        let stored = match (array.header.shape.as_slice(), layout) {
            (&[x, t], Some(Layout::Xt)) => [x, 1, t],
            (&[t, x], Some(Layout::Tx)) => [t, x, 1],
            (&[a, b, c], layout) if !layout.is_some_and(Layout::is_track) => [a, b, c],
            _ => return Err(wrong_dimensions(&array, layout)),
        };
        array.checked_data_bytes()?;
        Ok(Self {
            array,
            dtype,
            layout: layout.unwrap_or(Layout::Xyt),
            layout_given: layout.is_some(),
            stored,
        })
    }

    /// `[n_x, n_y, n_t]`, whatever the order of axes in the file.
    pub(crate) fn shape(&self) -> [usize; 3] {
        let [a, b, c] = self.stored;
        match self.layout.time_first() {
            false => [a, b, c],
            true => [b, c, a],
        }
    }

    /// Whether there is one axis of positions, so that results have one, too.
    pub(crate) fn is_track(&self) -> bool {
        self.layout.is_track()
    }

    pub(crate) fn n_bins(&self) -> usize {
        self.shape()[2]
    }

    /// Lengths of the axes in the file.
    pub(crate) fn stored_shape(&self) -> &[usize] {
        &self.array.header.shape
    }

    /// Why the values cannot be read where they lie, if they cannot.
    pub(crate) fn copy(&self) -> Option<Copy> {
        match self.array.mapped() {
            None => Some(Copy::Compressed),
            Some(_) if self.array.header.descr.swapped() => Some(Copy::ByteOrder),
            Some(bytes) if !(bytes.as_ptr() as usize).is_multiple_of(self.dtype.size()) => {
                Some(Copy::Alignment)
            }
            Some(_) => None,
        }
    }

    /// Bytes that a copy of so many time bins takes: none where values are read where they lie.
    pub(crate) fn copy_bytes(&self, n_bins: usize) -> u64 {
        let [n_x, n_y, _] = self.shape();
        match self.copy() {
            None => 0,
            Some(_) => [n_y, n_bins, self.dtype.size()]
                .iter()
                .fold(n_x as u64, |product, &n| product.saturating_mul(n as u64)),
        }
    }

    /// Time bins `bins` of the posterior, mapped or copied.
    pub(crate) fn load<T: Element + Pod>(
        &self,
        bins: Range<usize>,
        cancel: &CancelToken,
    ) -> Result<Posterior<'_, T>, Failure> {
        let go_on = || go_on(cancel);
        if self.copy().is_none()
            && let Some(bytes) = self.array.mapped()
        {
            let shape = self.stored;
            return Ok(Posterior {
                values: Values::Mapped(bytemuck::cast_slice(bytes)),
                shape,
                bins,
                input: self,
            });
        }
        let mut shape = self.stored;
        shape[self.time_axis()] = bins.len();
        let values = Values::Copied(self.read_bins(bins.clone(), go_on)?);
        Ok(Posterior {
            values,
            shape,
            bins: 0..bins.len(),
            input: self,
        })
    }

    /// Compares the whole array with its checksum, where the file has one and [`load`](Self::load) does not look at it.
    ///
    /// It reads all of a mapped member, however few time bins are asked for.
    /// It ends early, interrupted, when it is no longer `needed`.
    pub(crate) fn verify(&self, cancel: &CancelToken, needed: &AtomicBool) -> Result<(), Failure> {
        self.array.verify(|| {
            if needed.load(Ordering::Relaxed) {
                go_on(cancel)
            } else {
                Err(Failure::Interrupted)
            }
        })
    }

    fn time_axis(&self) -> usize {
        match self.layout.time_first() {
            false => 2,
            true => 0,
        }
    }

    /// Copies time bins out of the file, in the file's order of axes and this machine's byte order.
    ///
    /// Time is either the fastest axis in the file or the slowest; so the file is a sequence of runs, each of which holds
    /// all time bins for one cell, or for all cells.
    fn read_bins<T: Element + Pod>(
        &self,
        bins: Range<usize>,
        go_on: impl Fn() -> Result<(), Failure>,
    ) -> Result<Vec<T>, Failure> {
        let [n_x, n_y, n_t] = self.shape();
        let time_is_slowest = self.layout.time_first() != self.array.header.fortran_order;
        let (runs, cells) = if time_is_slowest {
            (1, n_x * n_y)
        } else {
            (n_x * n_y, 1)
        };
        let size = size_of::<T>();
        let mut values = bytemuck::allocation::try_zeroed_vec::<T>(n_x * n_y * bins.len()).map_err(|()| {
            Failure::Memory(format!(
                "the operating system refused {} bytes for a copy of the input; analyse fewer time bins with --bins A:B",
                self.copy_bytes(bins.len())
            ))
        })?;
        if values.is_empty() {
            return Ok(values);
        }
        let swapped = self.array.header.descr.swapped();
        self.array.read(|reader| {
            let run_bytes = bins.len() * cells * size;
            for run in bytemuck::cast_slice_mut::<T, u8>(&mut values)
                .chunks_exact_mut(run_bytes)
                .take(runs)
            {
                self.array
                    .skip(reader, (bins.start * cells * size) as u64, &go_on)?;
                for piece in run.chunks_mut(1 << 20) {
                    go_on()?;
                    reader
                        .read_exact(piece)
                        .map_err(|error| self.array.damaged(&error))?;
                    if swapped {
                        piece.chunks_exact_mut(size).for_each(<[u8]>::reverse);
                    }
                }
                self.array
                    .skip(reader, ((n_t - bins.end) * cells * size) as u64, &go_on)?;
            }
            self.array.finish(reader, &go_on)
        })?;
        Ok(values)
    }
}

fn go_on(cancel: &CancelToken) -> Result<(), Failure> {
    if cancel.is_cancelled() {
        Err(Failure::Interrupted)
    } else {
        Ok(())
    }
}

/// The array of an `.npz` file that must be the posterior: the one with the usual name, else the only 3-D one of floats.
fn only_posterior(file: &ArrayFile, args: &InputArgs) -> Result<StoredArray, Failure> {
    let keys = file.keys();
    if keys.iter().any(|key| key == USUAL_KEY) {
        return file.array(Some(USUAL_KEY));
    }
    let axes = match args.reading.layout.is_some_and(Layout::is_track) {
        true => 2,
        false => 3,
    };
    let mut candidates = keys
        .iter()
        .filter_map(|key| file.array(Some(key)).ok())
        .filter(|array| array.header.shape.len() == axes && float_type(array).is_ok());
    match (candidates.next(), candidates.next()) {
        (Some(array), None) => Ok(array),
        (found, _) => Err(Failure::input(
            &args.input,
            format!(
                "has {} {axes}-D array of float64 or float32, and none is called '{USUAL_KEY}'; choose one with --key: {}",
                if found.is_some() {
                    "more than one"
                } else {
                    "no"
                },
                file.listing()
            ),
        )),
    }
}

fn float_type(array: &StoredArray) -> Result<Dtype, Failure> {
    let descr = &array.header.descr;
    let advice = match descr {
        Descr::Plain {
            kind: 'f', size: 8, ..
        } => return Ok(Dtype::F64),
        Descr::Plain {
            kind: 'f', size: 4, ..
        } => return Ok(Dtype::F32),
        Descr::Plain {
            kind: 'f', size: 2, ..
        } => "convert it first with .astype('float32')",
        Descr::Plain {
            kind: 'f' | 'i' | 'u' | 'b',
            ..
        } => "convert it first with .astype('float64')",
        Descr::Plain { kind: 'c', .. } => {
            "take its real part or its magnitude first, with .real or numpy.abs"
        }
        Descr::Plain { kind: 'O', .. } => {
            "stack its maps into one array of floats first, with numpy.stack"
        }
        Descr::Plain { .. } => "give an array of numbers",
        Descr::Record => "choose one of its fields first, and save that",
    };
    Err(array.unusable(format!(
        "holds {} values, but a posterior is float64 or float32; {advice}",
        descr.name()
    )))
}

fn wrong_dimensions(array: &StoredArray, layout: Option<Layout>) -> Failure {
    let shape = &array.header.shape;
    if let Some(layout) = layout.filter(|layout| layout.is_track()) {
        return array.unusable(format!(
            "has {} axes, shape {}, but --layout {} is that of a linear track, which has 2; leave it out, or give xyt or txy",
            shape.len(),
            tuple(shape),
            layout.name()
        ));
    }
    let advice = match shape.len() {
        4 => {
            "if its axes are (time, state, x, y), sum over the state first, with .sum(axis=1), and pass --layout txy"
        }
        2 => {
            "a single map needs a time axis, as in P[:, :, None]; a linear track is declared with --layout xt, or tx if time comes first"
        }
        _ => "give an array with the axes x, y, t",
    };
    array.unusable(format!(
        "has {} axes, shape {}, but a posterior has 3: x, y and t; {advice}",
        shape.len(),
        tuple(shape)
    ))
}

enum Values<'a, T> {
    Mapped(&'a [T]),
    Copied(Vec<T>),
}

/// The chosen time bins of a posterior, ready to be analysed.
pub(crate) struct Posterior<'a, T> {
    values: Values<'a, T>,
    /// Lengths of the axes of `values`, in the file's order.
    shape: [usize; 3],
    /// The chosen time bins among those of `values`.
    bins: Range<usize>,
    input: &'a Input,
}

impl<T: Element> Posterior<'_, T> {
    /// P[x, y, t] of the chosen time bins.
    pub(crate) fn view(&self) -> Result<ArrayView3<'_, T>, Failure> {
        let mut view = self.whole()?;
        view.slice_axis_inplace(Axis(2), Slice::from(self.bins.clone()));
        Ok(view)
    }

    /// A copy of a few of the chosen time bins.
    pub(crate) fn select(&self, bins: &[usize]) -> Result<Array3<T>, Failure> {
        Ok(self.view()?.select(Axis(2), bins))
    }

    /// Refuses an array that looks like `(t, x, y)`, unless the caller said which it is.
    pub(crate) fn check_axis_order(&self) -> Result<(), Failure> {
        if self.input.layout_given {
            return Ok(());
        }
        peakmask::check_axis_order(self.whole()?).map_err(|error| match Failure::from(error) {
            Failure::Input(sentence) => Failure::input(&self.input.array.path, sentence),
            other => other,
        })
    }

    /// P[x, y, t] of all time bins that are at hand.
    fn whole(&self) -> Result<ArrayView3<'_, T>, Failure> {
        let values = match &self.values {
            Values::Mapped(values) => values,
            Values::Copied(values) => values.as_slice(),
        };
        let fortran_order = self.input.array.header.fortran_order;
        let view =
            ArrayView3::from_shape(self.shape.set_f(fortran_order), values).map_err(|error| {
                self.input
                    .array
                    .unusable(format!("cannot be used ({error})"))
            })?;
        Ok(match self.input.layout.time_first() {
            false => view,
            true => view.permuted_axes([1, 2, 0]),
        })
    }
}
