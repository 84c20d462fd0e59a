//! Which time bins a picture shows, and what is drawn of them.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use bytemuck::{AnyBitPattern, NoUninit, Pod};
use ndarray::{ArrayView2, ArrayView4, Axis, ShapeBuilder};
use peakmask::{Analysis, Backend, CancelToken, Dtype, Element, Level, Options, Peaks};

use crate::animal::Animal;
use crate::args::PictureArgs;
use crate::budget::{self, Plan};
use crate::failure::Failure;
use crate::input::{Input, Posterior};
use crate::levels::{LEVEL_KIND, level};
use crate::marks::{Marks, Peak};
use crate::npy::{ArrayFile, Descr, StoredArray, tuple};
use crate::output::{Pending, check_distinct, mask_shape};
use crate::sheet::{Colours, Format, Image, Panel, Sheet};

/// The masks that are outlined when nobody asks for others.
pub(crate) const DEFAULT_ALPHAS: [f64; 2] = [0.5, 0.9];

/// The number of time bins drawn when nobody names them.
pub(crate) const PANELS: usize = 12;

pub(crate) fn picture(args: &PictureArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let input = Input::open(&args.input)?;
    let mut inputs: Vec<&Path> = vec![&args.input.input];
    inputs.extend(args.result.as_deref());
    inputs.extend(args.animal.path.as_deref());
    check_distinct(&inputs, &[&args.output])?;
    let format = Format::of(&args.output)?;
    let (copy, limit) = (input.copy_bytes(input.n_bins()), budget::limit(None));
    if copy > limit.bytes {
        return Err(Failure::Memory(format!(
            "a copy of the input takes {}, but the memory limit is {}; save it uncompressed, in this machine's byte order, as .npy",
            budget::size(copy),
            budget::limit_in_words(limit)
        )));
    }
    let image = match input.dtype {
        Dtype::F64 => draw::<f64>(args, &input, format, cancel),
        Dtype::F32 => draw::<f32>(args, &input, format, cancel),
    }?;
    let mut sheet = Pending::create(&args.output)?;
    sheet.write(|writer| image.write(writer))?;
    if cancel.is_cancelled() {
        return Err(Failure::Interrupted);
    }
    sheet.persist()
}

fn draw<T: Element + Pod + Into<f64>>(
    args: &PictureArgs,
    input: &Input,
    format: Format,
    cancel: &CancelToken,
) -> Result<Image, Failure> {
    let n_t = input.n_bins();
    if let Some(&bin) = args.bins.iter().find(|&&bin| bin >= n_t) {
        return Err(input.array.unusable(format!(
            "has {n_t} time bins, but --bins names time bin {bin}; stay below {n_t}"
        )));
    }
    let animal = args.animal.path.as_deref();
    let animal = animal.map(|path| Animal::open(path, input)).transpose()?;
    input.verify(cancel, &AtomicBool::new(true))?;
    let posterior = input.load::<T>(0..n_t, cancel)?;
    posterior.check_axis_order()?;
    let bins = if args.bins.is_empty() {
        evenly_spaced(n_t, |t| is_live(&posterior, t), cancel)?
    } else {
        args.bins.clone()
    };
    let levels = args.other.or_default(&args.alphas);
    let options = args
        .other
        .choose(Options::new(), &levels)
        .connectivity(args.connectivity)
        .prominence(args.prominence)
        // A few time bins: whatever the environment says about GPUs, none is worth opening.
        .backend(Backend::Cpu)
        .cancel_token(cancel.clone());
    let limit = budget::limit(None);
    let plan = Plan::new(input, bins.len(), &options, bins.len())?;
    if plan.picture.saturating_add(plan.estimate.total()) > limit.bytes {
        return Err(Failure::Memory(format!(
            "drawing {} time bins takes {}, but the memory limit is {}; draw fewer of them with --bins",
            bins.len(),
            budget::size(plan.picture.saturating_add(plan.estimate.total())),
            budget::limit_in_words(limit)
        )));
    }
    let maps = posterior.select(&bins)?;
    let (levels, panels) = match &args.result {
        Some(path) => {
            let result = StoredResult::<T>::open(path, input)?;
            let panels = bins
                .iter()
                .enumerate()
                .map(|(i, &bin)| result.panel(bin, maps.index_axis(Axis(2), i)))
                .collect::<Result<_, _>>()?;
            (result.levels, panels)
        }
        None => {
            let options = options.memory_limit(limit.bytes.saturating_sub(plan.picture));
            let analysis = peakmask::analyze(maps.view(), &options)?;
            let panels = bins
                .iter()
                .enumerate()
                .map(|(i, &bin)| panel(bin, maps.index_axis(Axis(2), i), &analysis, i))
                .collect();
            (levels, panels)
        }
    };
    Sheet {
        title: title(input),
        levels,
        panels,
        animal,
        marks: args.marks.clone(),
        colours: args.colours.clone(),
    }
    .draw(format, cancel)
}

/// The live ones of an analysis's time bins that are drawn when nobody names any.
pub(crate) fn live_and_evenly_spaced<T: Element>(
    peaks: &Peaks<T>,
    cancel: &CancelToken,
) -> Result<Vec<usize>, Failure> {
    evenly_spaced(peaks.n_bins(), |t| !peaks.bin(t).is_empty(), cancel)
}

/// A picture of some time bins of a finished analysis, whose first bin is `first_bin` of the input.
pub(crate) fn of_analysis<T: Element + Pod + Into<f64>>(
    input: &Input,
    posterior: &Posterior<'_, T>,
    (first_bin, bins): (usize, &[usize]),
    levels: &[Level],
    analysis: &Analysis<T>,
    format: Format,
    cancel: &CancelToken,
) -> Result<Image, Failure> {
    let maps = posterior.select(bins)?;
    let panels = bins
        .iter()
        .enumerate()
        .map(|(i, &t)| Panel {
            bin: first_bin + t,
            ..panel(t, maps.index_axis(Axis(2), i), analysis, t)
        })
        .collect();
    Sheet {
        title: title(input),
        levels: levels.to_vec(),
        panels,
        animal: None,
        marks: Marks::default(),
        colours: Colours::default(),
    }
    .draw(format, cancel)
}

fn title(input: &Input) -> String {
    const LONGEST: usize = 60;
    let [n_x, n_y, n_t] = input.shape();
    let mut name = input
        .array
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if let Some((end, _)) = name.char_indices().nth(LONGEST) {
        name.truncate(end);
        name.push('…');
    }
    format!("{name}: {n_x} × {n_y} cells, {n_t} time bins")
}

pub(crate) fn panel<T: Element + Into<f64>>(
    bin: usize,
    map: ArrayView2<'_, T>,
    analysis: &Analysis<T>,
    row: usize,
) -> Panel {
    let peaks = analysis.peaks.bin(row);
    let numbers = peaks.heights.iter().zip(peaks.prominences);
    Panel {
        bin,
        values: map.mapv(Into::into),
        masks: analysis
            .masks
            .iter()
            .map(|mask| mask.index_axis(Axis(2), row).to_owned())
            .collect(),
        peaks: peaks
            .coords
            .iter()
            .zip(numbers)
            .map(|(&[x, y], (&height, &prominence))| Peak {
                cell: [x as usize, y as usize],
                height: height.into(),
                prominence: prominence.into(),
            })
            .collect(),
    }
}

/// Whether a time bin is neither constant nor holds a NaN.
fn is_live<T: Element>(posterior: &Posterior<'_, T>, t: usize) -> bool {
    let Ok(view) = posterior.view() else {
        return false;
    };
    let map = view.index_axis_move(Axis(2), t);
    let Some(&first) = map.first() else {
        return false;
    };
    let is_nan = |value: &T| value.partial_cmp(value).is_none();
    map.iter().any(|&value| value != first) && !map.iter().any(is_nan)
}

/// Up to [`PANELS`] time bins: of as many equal stretches each the live bin nearest to its middle from there on, else the
/// nearest before it; the middle itself where none is live.
fn evenly_spaced(
    n_t: usize,
    is_live: impl Fn(usize) -> bool,
    cancel: &CancelToken,
) -> Result<Vec<usize>, Failure> {
    let panels = n_t.min(PANELS);
    let start = |i: usize| (i as u128 * n_t as u128 / panels as u128) as usize;
    let mut bins = Vec::new();
    let mut any_live = false;
    for i in 0..panels {
        let (from, to) = (start(i), start(i + 1));
        let middle = from + (to - from) / 2;
        let mut found = None;
        for t in (middle..to).chain((from..middle).rev()) {
            if cancel.is_cancelled() {
                return Err(Failure::Interrupted);
            }
            if is_live(t) {
                found = Some(t);
                break;
            }
        }
        any_live |= found.is_some();
        bins.push((found.unwrap_or(middle), found.is_some()));
    }
    Ok(bins
        .into_iter()
        .filter(|&(_, live)| live || !any_live)
        .map(|(t, _)| t)
        .collect())
}

/// The masks and peaks of a result file, of which only the drawn bins are read.
pub(crate) struct StoredResult<T> {
    masks: StoredArray,
    /// The values of `masks`, where they are compressed.
    unpacked: Option<Vec<u8>>,
    pub(crate) levels: Vec<Level>,
    offsets: Vec<i64>,
    coords: Vec<[i64; 2]>,
    heights: Vec<T>,
    prominences: Vec<T>,
}

impl<T: Element + Pod> StoredResult<T> {
    pub(crate) fn open(path: &Path, input: &Input) -> Result<Self, Failure> {
        let file = ArrayFile::open(path)?;
        if !file.is_archive() {
            return Err(Failure::input(
                path,
                "is not a result of `peakmask run`; give its .npz file",
            ));
        }
        let [n_x, n_y, n_t] = input.shape();
        let masks = file.array(Some("masks"))?;
        let levels = levels(&file)?;
        let expected = mask_shape(input.is_track(), levels.len(), [n_x, n_y, n_t]);
        if masks.header.shape != expected
            || !matches!(
                masks.header.descr,
                Descr::Plain {
                    kind: 'b',
                    size: 1,
                    ..
                }
            )
        {
            return Err(masks.unusable(format!(
                "has shape {}, but the masks of {} have shape {}; give a result of `peakmask run` on all time bins of this input",
                tuple(&masks.header.shape),
                input.array.path.display(),
                tuple(&expected)
            )));
        }
        let bytes = masks.checked_data_bytes()?;
        let unpacked = if masks.mapped().is_some() {
            None
        } else {
            Some(read(&masks, bytes)?)
        };
        let result = Self {
            unpacked,
            levels,
            offsets: column(&file, "peak_offsets", 'i')?,
            coords: match input.is_track() {
                false => column(&file, "peak_coords", 'i')?,
                true => {
                    let along: Vec<i64> = column(&file, "peak_coords", 'i')?;
                    along.into_iter().map(|x| [x, 0]).collect()
                }
            },
            heights: column(&file, "peak_heights", 'f')?,
            prominences: column(&file, "prominences", 'f')?,
            masks,
        };
        if result.offsets.len() == n_t + 1 {
            Ok(result)
        } else {
            Err(result.foreign())
        }
    }

    fn foreign(&self) -> Failure {
        Failure::input(
            &self.masks.path,
            "is not a result of `peakmask run` on this input; run it again, or leave the result out",
        )
    }

    pub(crate) fn panel(&self, bin: usize, map: ArrayView2<'_, T>) -> Result<Panel, Failure>
    where
        T: Into<f64>,
    {
        let (n_x, n_y) = map.dim();
        let shape = [self.levels.len(), n_x, n_y, self.offsets.len() - 1];
        let bytes = self
            .unpacked
            .as_deref()
            .or_else(|| self.masks.mapped())
            .unwrap_or_default();
        let masks = ArrayView4::from_shape(shape.set_f(self.masks.header.fortran_order), bytes)
            .map_err(|_| self.foreign())?;
        let rows = usize::try_from(self.offsets[bin])
            .ok()
            .zip(usize::try_from(self.offsets[bin + 1]).ok());
        let (coords, heights, prominences) = rows
            .and_then(|(from, to)| {
                let rows = from..to;
                Some((
                    self.coords.get(rows.clone())?,
                    self.heights.get(rows.clone())?,
                    self.prominences.get(rows)?,
                ))
            })
            .ok_or_else(|| self.foreign())?;
        let mut peaks = Vec::new();
        for ((&[x, y], &height), &prominence) in coords.iter().zip(heights).zip(prominences) {
            let cell = [x as usize, y as usize];
            if map.get(cell).is_none_or(|&value| value != height) {
                return Err(self.foreign());
            }
            peaks.push(Peak {
                cell,
                height: height.into(),
                prominence: prominence.into(),
            });
        }
        Ok(Panel {
            bin,
            values: map.mapv(Into::into),
            masks: masks
                .index_axis(Axis(3), bin)
                .outer_iter()
                .map(|mask| mask.mapv(|cell| cell != 0))
                .collect(),
            peaks,
        })
    }
}

/// The levels of a result.
fn levels(file: &ArrayFile) -> Result<Vec<Level>, Failure> {
    let numbers: Vec<f64> = column(file, "alpha", 'f')?;
    if !file.holds(LEVEL_KIND) {
        return Ok(numbers.into_iter().map(Level::OfPeak).collect());
    }
    let kinds: Vec<[u8; 8]> = column(file, LEVEL_KIND, 'S')?;
    let levels = kinds.iter().zip(&numbers);
    let levels: Option<Vec<_>> = levels.map(|(kind, &number)| level(kind, number)).collect();
    match levels {
        Some(levels) if levels.len() == numbers.len() => Ok(levels),
        _ => Err(file.array(Some(LEVEL_KIND))?.unusable(
            "holds kinds of levels that `peakmask run` would not write; run it again, or leave the result out"
                .to_owned(),
        )),
    }
}

/// One of the smaller arrays of a result.
fn column<V: AnyBitPattern + NoUninit>(
    file: &ArrayFile,
    key: &str,
    expected: char,
) -> Result<Vec<V>, Failure> {
    let array = file.array(Some(key))?;
    let bytes = array.checked_data_bytes()?;
    let number = match array.header.shape.as_slice() {
        [_, columns] => size_of::<V>() / columns.max(&1),
        _ => size_of::<V>(),
    };
    match array.header.descr {
        Descr::Plain { kind, size, .. } if kind == expected && size == number && !array.header.descr.swapped() => {
            read(&array, bytes / size_of::<V>())
        }
        _ => Err(array.unusable(format!(
            "holds {} values, which `peakmask run` on this input would not write; run it again, or leave the result out",
            array.header.descr.name()
        ))),
    }
}

/// Reads `length` values, which the header promises.
fn read<V: AnyBitPattern + NoUninit>(
    array: &StoredArray,
    length: usize,
) -> Result<Vec<V>, Failure> {
    let bytes = length.saturating_mul(size_of::<V>()) as u64;
    let limit = budget::limit(None);
    let refused = || {
        Failure::Memory(format!(
            "{}: reading '{}' takes {}, but the memory limit is {}; leave the result out",
            array.path.display(),
            array.key.as_deref().unwrap_or_default(),
            budget::size(bytes),
            budget::limit_in_words(limit)
        ))
    };
    if bytes > limit.bytes {
        return Err(refused());
    }
    let mut values = Vec::new();
    values.try_reserve_exact(length).map_err(|_| refused())?;
    values.resize(length, V::zeroed());
    array.read(|reader| {
        reader
            .read_exact(bytemuck::cast_slice_mut(&mut values))
            .map_err(|error| array.damaged(&error))
    })?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(n_t: usize, live: impl Fn(usize) -> bool) -> Vec<usize> {
        evenly_spaced(n_t, live, &CancelToken::new()).expect("not cancelled")
    }

    #[test]
    fn bins_are_evenly_spaced_and_live() {
        assert_eq!(
            chosen(120, |_| true),
            [5, 15, 25, 35, 45, 55, 65, 75, 85, 95, 105, 115]
        );
        assert_eq!(chosen(3, |_| true), [0, 1, 2]);
        assert_eq!(chosen(0, |_| true), [0; 0]);
        assert_eq!(chosen(24, |t| t >= 12), [13, 15, 17, 19, 21, 23]);
        assert_eq!(chosen(120, |t| t == 1), [1]);
        assert_eq!(chosen(2, |_| false), [0, 1]);
    }
}
