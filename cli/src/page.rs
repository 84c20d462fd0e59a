//! `peakmask page`: one file that shows a posterior in any browser.
//!
//! The template is the Python package's, and so is what is put into it (python/peakmask/_page.py): what is read from this
//! page is read from that one.

use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytemuck::Pod;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use ndarray::Axis;
use peakmask::{CancelToken, Connectivity, Dtype, Element, Level, Options};
use plotters::style::RGBColor;
use serde_json::{Value, json};

use crate::animal::Animal;
use crate::args::{BinRange, PageArgs};
use crate::budget;
use crate::failure::Failure;
use crate::input::Input;
use crate::levels::outer_first;
use crate::marks::{Marks, Peak};
use crate::output::{Pending, check_distinct};
use crate::picture::{StoredResult, panel};
use crate::sheet::{OUTLINES, Panel, finite_range};

static TEMPLATE: &str = include_str!("../assets/page.html");
/// What the template holds in the place of the data.
const MARKER: &str = "@PEAKMASK@";
/// Bytes of a page that browsers open without complaint.
const LIMIT: usize = 60_000_000;
/// Numbers of values between the lowest and the highest of a bin: the finest that keeps to the limit is taken.
const STEPS: [u8; 3] = [255, 64, 16];
/// Stands for no value.
const NAN: u8 = 255;
/// Time bins that are packed together.
const BLOCK: usize = 64;

pub(crate) fn page(args: &PageArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let input = Input::open(&args.input)?;
    let mut inputs: Vec<&Path> = vec![&args.input.input];
    inputs.extend(args.result.as_deref());
    inputs.extend(args.animal.path.as_deref());
    check_distinct(&inputs, &[&args.output])?;
    let text = match input.dtype {
        Dtype::F64 => text::<f64>(args, &input, cancel),
        Dtype::F32 => text::<f32>(args, &input, cancel),
    }?;
    let mut file = Pending::create(&args.output)?;
    file.write(|writer| writer.write_all(text.as_bytes()))?;
    if cancel.is_cancelled() {
        return Err(Failure::Interrupted);
    }
    file.persist()
}

fn text<T: Element + Pod + Into<f64>>(
    args: &PageArgs,
    input: &Input,
    cancel: &CancelToken,
) -> Result<String, Failure> {
    let chosen = BinRange::resolve(args.bins, input.n_bins())
        .map_err(|sentence| input.array.unusable(sentence))?;
    if chosen.is_empty() {
        return Err(input
            .array
            .unusable("has no time bin; a page shows at least one"));
    }
    let animal = args.animal.path.as_deref();
    let animal = animal.map(|path| Animal::open(path, input)).transpose()?;
    input.verify(cancel, &AtomicBool::new(true))?;
    let posterior = input.load::<T>(chosen.clone(), cancel)?;
    posterior.check_axis_order()?;
    let (copied, limit) = (input.copy_bytes(chosen.len()), budget::limit(None));
    let maps = |bins: &Range<usize>| posterior.select(&bins.clone().collect::<Vec<_>>());
    let mut page = Page {
        input,
        bins: chosen.clone(),
        marks: &args.marks,
        animal,
        levels: args.other.or_default(&args.alphas),
        connectivity: None,
        cancel,
    };
    if let Some(path) = &args.result {
        let result = StoredResult::<T>::open(path, input)?;
        page.levels.clone_from(&result.levels);
        return page.text(&|bins| {
            let maps = maps(&bins)?;
            bins.enumerate()
                .map(|(i, bin)| result.panel(chosen.start + bin, maps.index_axis(Axis(2), i)))
                .collect()
        });
    }
    page.connectivity = Some(args.connectivity);
    let options = args
        .other
        .choose(Options::new(), &page.levels)
        .connectivity(args.connectivity)
        .prominence(args.prominence)
        .memory_limit(limit.bytes.saturating_sub(copied))
        .cancel_token(cancel.clone());
    let analysis = peakmask::analyze(posterior.view()?, &options)?;
    page.text(&|bins| {
        let maps = maps(&bins)?;
        Ok(bins
            .enumerate()
            .map(|(i, bin)| panel(bin, maps.index_axis(Axis(2), i), &analysis, bin))
            .collect())
    })
}

/// Gives the panels of a run of the page's time bins, counted from its first.
type Panels<'a> = &'a dyn Fn(Range<usize>) -> Result<Vec<Panel>, Failure>;

/// What a page is made of.
struct Page<'a> {
    input: &'a Input,
    /// Which time bins of the input.
    bins: Range<usize>,
    marks: &'a Marks,
    animal: Option<Animal>,
    levels: Vec<Level>,
    /// Unknown where a result is read that does not tell.
    connectivity: Option<Connectivity>,
    cancel: &'a CancelToken,
}

impl Page<'_> {
    /// The page in as many steps as fit.
    fn text(&self, panels: Panels<'_>) -> Result<String, Failure> {
        let (before, after) = TEMPLATE
            .split_once(MARKER)
            .ok_or_else(|| Failure::Other("the template of the page is damaged".to_owned()))?;
        let room = LIMIT - before.len() - after.len();
        for steps in STEPS {
            if self.estimate(steps, panels)? > room as f64 * 1.1 {
                continue;
            }
            // In a script element, only this could end it early.
            let data = self
                .data(steps, panels)?
                .to_string()
                .replace('<', "\\u003c");
            if data.len() <= room {
                return Ok([before, &data, after].concat());
            }
        }
        Err(self.input.array.unusable(format!(
            "has {} time bins, of which a page would exceed {} MB even in {} steps; choose fewer with --bins A:B",
            self.bins.len(),
            LIMIT / 1_000_000,
            STEPS[STEPS.len() - 1]
        )))
    }

    fn starts(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        (0..self.bins.len()).step_by(BLOCK)
    }

    fn block(&self, start: usize, steps: u8, panels: Panels<'_>) -> Result<Block, Failure> {
        if self.cancel.is_cancelled() {
            return Err(Failure::Interrupted);
        }
        let mut block = Block::default();
        for panel in panels(start..self.bins.len().min(start + BLOCK))? {
            block.push(&panel, self.marks, steps);
        }
        Ok(block)
    }

    /// Bytes that all blocks take, from eight of them.
    fn estimate(&self, steps: u8, panels: Panels<'_>) -> Result<f64, Failure> {
        let all = self.starts().count();
        let (mut bytes, mut sampled) = (0, 0);
        for start in self.starts().step_by(all.div_ceil(8)) {
            bytes += self.block(start, steps, panels)?.packed()?.len();
            sampled += 1;
        }
        Ok(all as f64 * bytes as f64 / f64::from(sampled))
    }

    fn data(&self, steps: u8, panels: Panels<'_>) -> Result<Value, Failure> {
        let (mut columns, mut blocks) = (Columns::default(), Vec::new());
        columns.offsets.push(0);
        columns.areas.resize(self.levels.len(), Vec::new());
        for start in self.starts() {
            let block = self.block(start, steps, panels)?;
            blocks.push(block.packed()?);
            columns.append(block.columns);
        }
        let [n_x, n_y, _] = self.input.shape();
        let order = outer_first(&self.levels);
        let name = |path: &Path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let axis = |name: &str, n: usize| {
            json!({
                "name": name,
                "label": format!("{name} (cells)"),
                "unit": "cells",
                "edges": (0..=n).map(|i| i as f64 - 0.5).collect::<Vec<_>>(),
            })
        };
        let numbers: Vec<u32> = self.bins.clone().map(|bin| bin as u32).collect();
        let counts: Vec<i32> = columns
            .offsets
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as i32)
            .collect();
        Ok(json!({
            "made_by": concat!("peakmask ", env!("CARGO_PKG_VERSION")),
            "title": name(&self.input.array.path),
            "shape": [n_x, n_y, self.bins.len()],
            "connectivity": self.connectivity.map(|connectivity| connectivity.to_string()),
            "bins": (self.bins.start > 0).then(|| base64(&numbers)),
            "x": axis("x", n_x),
            "y": axis("y", n_y),
            "t": { "label": "time (bins)", "unit": null, "values": null, "words": null },
            "alpha": self.levels.iter().map(Level::to_string).collect::<Vec<_>>(),
            "order": order,
            "colours": OUTLINES.map(|RGBColor(r, g, b)| format!("#{r:02x}{g:02x}{b:02x}")),
            "marks": self.marks.words(),
            "areas": columns.areas.iter().map(|areas| base64(areas)).collect::<Vec<_>>(),
            "area_unit": "cells",
            "low": base64(&columns.low),
            "high": base64(&columns.high),
            "height": base64(&columns.height),
            "dominant": base64(&columns.dominant),
            "counts": base64(&counts),
            "offsets": base64(&columns.offsets),
            "path": self.animal.as_ref().map(|animal| base64(&animal.places(self.bins.clone()))),
            "block": BLOCK,
            "steps": steps,
            "blocks": blocks,
        }))
    }
}

/// Numbers of the time bins, one each.
#[derive(Default)]
struct Columns {
    low: Vec<f64>,
    high: Vec<f64>,
    height: Vec<f64>,
    dominant: Vec<i32>,
    /// Rows of marked peaks: in a block the number of each bin, in the whole where each begins.
    offsets: Vec<u32>,
    areas: Vec<Vec<f64>>,
}

impl Columns {
    fn append(&mut self, block: Self) {
        self.low.extend(block.low);
        self.high.extend(block.high);
        self.height.extend(block.height);
        self.dominant.extend(block.dominant);
        for (areas, of_block) in self.areas.iter_mut().zip(block.areas) {
            areas.extend(of_block);
        }
        let mut end = self.offsets.last().copied().unwrap_or_default();
        for count in block.offsets {
            end += count;
            self.offsets.push(end);
        }
    }
}

/// Time bins that are packed together.
#[derive(Default)]
struct Block {
    values: Vec<u8>,
    masks: Vec<u8>,
    cells: Vec<u32>,
    heights: Vec<f32>,
    prominences: Vec<f32>,
    columns: Columns,
}

impl Block {
    fn push(&mut self, panel: &Panel, marks: &Marks, steps: u8) {
        let n_y = panel.values.dim().1;
        let (low, high) = finite_range(&panel.values).unwrap_or((0.0, 0.0));
        self.values.extend(
            panel
                .values
                .iter()
                .map(|&value| step(value, low, high, steps)),
        );
        let columns = &mut self.columns;
        columns.low.push(low);
        columns.high.push(high);
        columns.areas.resize(panel.masks.len(), Vec::new());
        let dominant = panel.dominant();
        for (areas, mask) in columns.areas.iter_mut().zip(&panel.masks) {
            let inside: Vec<bool> = mask.iter().copied().collect();
            self.masks.extend(inside.chunks(8).map(|cells| {
                let bit = |(i, &cell): (usize, &bool)| u8::from(cell) << i;
                cells.iter().enumerate().map(bit).sum::<u8>()
            }));
            let area = inside.iter().filter(|&&cell| cell).count() as f64;
            // A mask has cells even where filters have left its peak out.
            let live = dominant.is_some() || area > 0.0;
            areas.push(if live { area } else { f64::NAN });
        }
        let cell = |peak: &Peak| peak.cell[0] * n_y + peak.cell[1];
        columns
            .height
            .push(dominant.map_or(f64::NAN, |peak| peak.height));
        columns
            .dominant
            .push(dominant.map_or(-1, |peak| cell(peak) as i32));
        let chosen = marks.choose(&panel.peaks);
        columns.offsets.push(chosen.len() as u32);
        for peak in chosen.iter().map(|&i| &panel.peaks[i]) {
            self.cells.push(cell(peak) as u32);
            self.heights.push(peak.height as f32);
            self.prominences.push(peak.prominence as f32);
        }
    }

    /// The block as the page reads it: compressed, as text.
    fn packed(&self) -> Result<String, Failure> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
        let peaks = [
            little_endian(&self.cells),
            little_endian(&self.heights),
            little_endian(&self.prominences),
        ];
        [&self.values, &self.masks]
            .into_iter()
            .chain(&peaks)
            .try_for_each(|part| encoder.write_all(part))
            .and_then(|()| encoder.finish())
            .map(|bytes| BASE64_STANDARD.encode(bytes))
            .map_err(|error| Failure::Other(format!("the page cannot be compressed ({error})")))
    }
}

/// Which of so many steps between the lowest and the highest finite value of its bin a value is shown at: finer below.
fn step(value: f64, low: f64, high: f64, steps: u8) -> u8 {
    if value.is_nan() {
        return NAN;
    }
    if high <= low {
        return 0;
    }
    // Halves, so that the difference of extremes does not overflow.
    let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    (share.clamp(0.0, 1.0).sqrt() * f64::from(steps - 1)).round_ties_even() as u8
}

/// Numbers whose bytes a page can read.
trait Number: Copy {
    fn write(self, bytes: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(impl Number for $number {
            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        })*
    };
}
numbers!(f64 f32 i32 u32);

fn little_endian(values: &[impl Number]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &value in values {
        value.write(&mut bytes);
    }
    bytes
}

fn base64(values: &[impl Number]) -> String {
    BASE64_STANDARD.encode(little_endian(values))
}
