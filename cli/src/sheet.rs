//! The drawing: a sheet of panels, one a time bin.

use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use clap::{Args, ValueEnum};
use ndarray::Array2;
use peakmask::{CancelToken, Level};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::animal::Animal;
use crate::failure::Failure;
use crate::levels::{self, in_words};
use crate::marks::{self, Marks, Peak};
use crate::pdf::PdfBackend;

/// One time bin.
pub(crate) struct Panel {
    /// Its number in the input.
    pub(crate) bin: usize,
    /// P[x, y].
    pub(crate) values: Array2<f64>,
    /// One mask for each alpha.
    pub(crate) masks: Vec<Array2<bool>>,
    /// All peaks that are listed, in row-major order of their cells.
    pub(crate) peaks: Vec<Peak>,
}

/// Panels of one size, under a title and a legend.
pub(crate) struct Sheet {
    pub(crate) title: String,
    pub(crate) levels: Vec<Level>,
    pub(crate) panels: Vec<Panel>,
    pub(crate) animal: Option<Animal>,
    pub(crate) marks: Marks,
    pub(crate) colours: Colours,
}

/// How values become colours.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Colours {
    /// Spread the colours evenly over the values, their square roots, or their logarithms
    ///
    /// The floor of a logarithmic scale is --vmin, else a ten-thousandth of the top; what lies below has the lowest colour.
    #[arg(long, visible_alias = "norm", value_enum, default_value_t)]
    pub(crate) scale: Spread,

    /// The value of the lowest colour [default: the lowest finite value shown]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub(crate) vmin: Option<f64>,

    /// The value of the highest colour [default: the highest finite value shown]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub(crate) vmax: Option<f64>,

    /// Give all panels the same colours for the same values, with one bar
    #[arg(long)]
    pub(crate) shared: bool,
}

/// What colours are even in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spread {
    #[default]
    Linear,
    Sqrt,
    Log,
}

/// A colour scale with its ends.
#[derive(Debug, Clone, Copy)]
struct Ends {
    spread: Spread,
    /// None where no value is finite.
    range: Option<(f64, f64)>,
}

impl Colours {
    /// The scale for values of this range.
    fn ends(&self, range: Option<(f64, f64)>) -> Result<Ends, String> {
        const FLOOR: f64 = 1e-4;
        let Some((low, high)) = range else {
            return Ok(Ends {
                spread: self.scale,
                range,
            });
        };
        let high = self.vmax.unwrap_or(high);
        let low = match self.scale {
            Spread::Log if high <= 0.0 => {
                return Err(format!(
                    "--scale log needs values above 0, but the highest is {high}; leave it out, or choose other time bins"
                ));
            }
            Spread::Log => self.vmin.unwrap_or(high * FLOOR),
            Spread::Linear | Spread::Sqrt => self.vmin.unwrap_or(low),
        };
        if low > high || (self.scale == Spread::Log && low <= 0.0) {
            return Err(format!(
                "the colours would run from {low} to {high}; give --vmin and --vmax in this order, above 0 for --scale log"
            ));
        }
        Ok(Ends {
            spread: self.scale,
            range: Some((low, high)),
        })
    }
}

impl Ends {
    /// Where a value lies on the scale, from 0 to 1.
    fn position(&self, value: f64) -> f64 {
        let (low, high) = self.range.unwrap_or((0.0, 0.0));
        if value >= high && value > low {
            return 1.0;
        }
        if value <= low {
            return 0.0;
        }
        // Halves, so that the difference of extremes does not overflow.
        let even = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        match self.spread {
            Spread::Linear => even,
            Spread::Sqrt => even.sqrt(),
            Spread::Log => (value / low).ln() / (high / low).ln(),
        }
        .clamp(0.0, 1.0)
    }

    /// The value in the middle of the scale.
    fn middle(&self) -> Option<f64> {
        let (low, high) = self.range.filter(|(low, high)| low < high)?;
        Some(match self.spread {
            Spread::Linear => low / 2.0 + high / 2.0,
            Spread::Sqrt => low * 0.75 + high * 0.25,
            Spread::Log => low.sqrt() * high.sqrt(),
        })
    }
}

/// What a picture is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Svg,
    Pdf,
}

impl Format {
    /// What the name of a file asks for: SVG and PDF by its ending, PNG by any other but those of pictures of another kind.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        match ending.to_lowercase().as_str() {
            "svg" => Ok(Self::Svg),
            "pdf" => Ok(Self::Pdf),
            "eps" | "jpg" | "jpeg" | "gif" | "tif" | "tiff" | "webp" => {
                Err(Failure::Input(format!(
                    "{}: a picture is a .png, .svg or .pdf file, not .{ending}; the Python package's pictures are stored as matplotlib can",
                    path.display()
                )))
            }
            _ => Ok(Self::Png),
        }
    }
}

/// A finished picture.
pub(crate) enum Image {
    /// Rows of red, green and blue bytes from the top.
    Pixels {
        width: u32,
        height: u32,
        rgb: Vec<u8>,
    },
    /// An SVG or a PDF file.
    Vector(Vec<u8>),
}

impl Image {
    pub(crate) fn write(&self, mut writer: impl Write) -> io::Result<()> {
        match self {
            Self::Vector(bytes) => writer.write_all(bytes),
            &Self::Pixels {
                width,
                height,
                ref rgb,
            } => {
                let mut encoder = png::Encoder::new(writer, width, height);
                encoder.set_color(png::ColorType::Rgb);
                encoder.set_depth(png::BitDepth::Eight);
                let mut writer = encoder.write_header()?;
                writer.write_image_data(rgb)?;
                Ok(writer.finish()?)
            }
        }
    }
}

const FONT: &str = "DejaVu Sans";
static FONT_FILE: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const NAN_GREY: RGBColor = RGBColor(0x9A, 0x9A, 0x9A);
const COLOURS: colorous::Gradient = colorous::VIRIDIS;
/// Outlines of ten levels, as far apart as a search could place them for normal eyes and for all three kinds of dichromats;
/// the Python package's, whose tests measure that.
pub(crate) const OUTLINES: [RGBColor; 10] = [
    RGBColor(0xFF, 0xFF, 0xFF),
    RGBColor(0xC6, 0x39, 0x71),
    RGBColor(0x39, 0xFF, 0x00),
    RGBColor(0x00, 0x00, 0x1C),
    RGBColor(0xAA, 0x8E, 0xE3),
    RGBColor(0x55, 0x1C, 0x00),
    RGBColor(0x39, 0x8E, 0x00),
    RGBColor(0x55, 0x00, 0xFF),
    RGBColor(0xFF, 0xAA, 0x8E),
    RGBColor(0x71, 0x1C, 0xAA),
];
const ANIMAL: RGBColor = RGBColor(0x00, 0xE5, 0xFF);
const DOMINANT: RGBColor = RGBColor(0xFF, 0x2D, 0x2D);

/// Longest side of a panel's map, in pixels, that small maps are enlarged to; and that of a single
/// panel, or of maps as thin as a thread.
const MAP_PIXELS: usize = 560;
const LARGE_PIXELS: usize = 900;
/// Cells a side beyond which neighbours share a pixel.
const MOST_CELLS: usize = 1024;
/// Shortest side of a map, in pixels: of a 1-D track, say.
const THINNEST: usize = 72;
/// Pixels of a sheet beyond which it is refused.
const MOST_PIXELS: usize = 100_000_000;

const LEFT: usize = 70;
const RIGHT: usize = 150;
const ABOVE: usize = 62;
const BELOW: usize = 66;
const MARGIN: usize = 24;
const TITLE: u32 = 28;
const TITLE_LINE: usize = 54;
const LEGEND: u32 = 20;
const LEGEND_LINE: usize = 42;
const ICON: usize = 32;
const WORDS_FROM: usize = 42;
const BAR_GAP: usize = 34;
const BAR_WIDTH: usize = 16;

type Area<DB> = DrawingArea<DB, Shift>;
type Drawn<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// How cells become pixels: the same for all panels.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Cells a side that share a pixel block.
    block: usize,
    /// Blocks along x and y.
    blocks: [usize; 2],
    /// Pixels of a block along x and y.
    pixels: [usize; 2],
}

impl Scale {
    fn new((n_x, n_y): (usize, usize), panels: usize) -> Self {
        let longest = n_x.max(n_y);
        let block = longest.div_ceil(MOST_CELLS).max(1);
        let blocks = [n_x.div_ceil(block), n_y.div_ceil(block)];
        let [longest, shortest] = [
            blocks[0].max(blocks[1]).max(1),
            blocks[0].min(blocks[1]).max(1),
        ];
        // Cells are square unless the map would be a thread.
        let thin = shortest * 8 < longest;
        let target = if thin || panels == 1 {
            LARGE_PIXELS
        } else {
            MAP_PIXELS
        };
        let square = (target / longest).max(1);
        let pixels = blocks.map(|n| {
            if thin {
                square.max(THINNEST / n.max(1))
            } else {
                square
            }
        });
        Self {
            block,
            blocks,
            pixels,
        }
    }

    fn size(&self) -> [usize; 2] {
        [
            self.blocks[0] * self.pixels[0],
            self.blocks[1] * self.pixels[1],
        ]
    }

    /// Joins the cells of each block, starting from `empty`.
    fn pool<V: Copy>(&self, cells: &Array2<V>, empty: V, join: impl Fn(V, V) -> V) -> Array2<V> {
        let mut pooled = Array2::from_elem(self.blocks, empty);
        for ((x, y), &value) in cells.indexed_iter() {
            let joined = &mut pooled[[x / self.block, y / self.block]];
            *joined = join(*joined, value);
        }
        pooled
    }

    /// A place in cells, whose centres are whole numbers, in pixels from the lower left corner of the map.
    fn place(&self, axis: usize, at: f64) -> f64 {
        (at + 0.5) / self.block as f64 * self.pixels[axis] as f64
    }

    /// Centre of a cell in pixels from the lower left corner of the map.
    fn centre(&self, axis: usize, cell: usize) -> f64 {
        (cell / self.block) as f64 * self.pixels[axis] as f64 + self.pixels[axis] as f64 / 2.0
    }
}

/// Smallest and largest finite value; the scale of a panel's colours.
pub(crate) fn finite_range(values: &Array2<f64>) -> Option<(f64, f64)> {
    values
        .iter()
        .filter(|value| value.is_finite())
        .fold(None, |range, &value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((value.min(low), value.max(high)))
        })
}

fn colour(value: f64, ends: &Ends) -> RGBColor {
    if value.is_nan() {
        NAN_GREY
    } else {
        rgb(ends.position(value))
    }
}

/// The colour at a position from 0 to 1.
fn rgb(position: f64) -> RGBColor {
    let c = COLOURS.eval_continuous(position);
    RGBColor(c.r, c.g, c.b)
}

fn outline(index: usize) -> RGBColor {
    OUTLINES[index % OUTLINES.len()]
}

/// Black or white: the edge with which an outline of this colour reads on any ground.
fn contrast(RGBColor(r, g, b): RGBColor) -> RGBColor {
    let light = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    if light > 450 * 255 { BLACK } else { WHITE }
}

/// Where things stand on a sheet.
struct Page {
    scale: Scale,
    columns: usize,
    legend: Vec<Vec<Entry>>,
    /// Pixels above the panels.
    head: usize,
    width: usize,
    height: usize,
}

impl Sheet {
    pub(crate) fn draw(&self, format: Format, cancel: &CancelToken) -> Result<Image, Failure> {
        let failed = |error: Box<dyn std::error::Error>| {
            if cancel.is_cancelled() {
                Failure::Interrupted
            } else {
                Failure::Other(format!("the picture cannot be drawn ({error})"))
            }
        };
        let Some(first) = self.panels.first() else {
            return Err(Failure::Input(
                "there is no time bin to draw; give an input with at least one".to_owned(),
            ));
        };
        register_font(FONT, FontStyle::Normal, FONT_FILE)
            .map_err(|_| failed("its font is damaged".into()))?;
        let scales = self.scales().map_err(Failure::Input)?;
        let page = self
            .page(Scale::new(first.values.dim(), self.panels.len()))
            .map_err(failed)?;
        let Page { width, height, .. } = page;
        if width.saturating_mul(height) > MOST_PIXELS {
            return Err(Failure::Input(format!(
                "a sheet of {} time bins would have {width} x {height} pixels; draw fewer with --bins",
                self.panels.len()
            )));
        }
        let (width, height) = (width as u32, height as u32);
        match format {
            Format::Png => {
                let mut rgb = vec![0xFF; width as usize * height as usize * 3];
                let root =
                    BitMapBackend::with_buffer(&mut rgb, (width, height)).into_drawing_area();
                self.paint(&root, &page, &scales, format, cancel)
                    .map_err(failed)?;
                drop(root);
                Ok(Image::Pixels { width, height, rgb })
            }
            Format::Svg => {
                let mut text = String::new();
                let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
                self.paint(&root, &page, &scales, format, cancel)
                    .map_err(failed)?;
                drop(root);
                Ok(Image::Vector(text.into_bytes()))
            }
            Format::Pdf => {
                let mut bytes = Vec::new();
                let root = PdfBackend::new(&mut bytes, (width, height), FONT_FILE)
                    .ok_or_else(|| failed("its font is damaged".into()))?
                    .into_drawing_area();
                self.paint(&root, &page, &scales, format, cancel)
                    .map_err(failed)?;
                drop(root);
                Ok(Image::Vector(bytes))
            }
        }
    }

    fn page(&self, scale: Scale) -> Drawn<Page> {
        let [panel_width, panel_height] = panel_size(&scale);
        let columns = columns(self.panels.len(), [panel_width, panel_height]);
        let rows = self.panels.len().div_ceil(columns);
        let edges = 2 * MARGIN + LEFT;
        let width =
            (2 * MARGIN + columns * panel_width).max(edges + text_width(&self.title, TITLE)?);
        let legend = self.legend(width - edges)?;
        let head = TITLE_LINE + legend.len() * LEGEND_LINE + MARGIN;
        Ok(Page {
            scale,
            columns,
            head,
            width,
            height: head + rows * panel_height + MARGIN,
            legend,
        })
    }

    /// The colour scale of each panel.
    fn scales(&self) -> Result<Vec<Ends>, String> {
        let ranges = self.panels.iter().map(|panel| finite_range(&panel.values));
        if self.colours.shared {
            let range = ranges.flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            let ends = self.colours.ends(range)?;
            return Ok(vec![ends; self.panels.len()]);
        }
        ranges.map(|range| self.colours.ends(range)).collect()
    }

    fn paint<DB: DrawingBackend>(
        &self,
        root: &Area<DB>,
        page: &Page,
        scales: &[Ends],
        format: Format,
        cancel: &CancelToken,
    ) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        root.fill(&WHITE)?;
        self.head(root, &page.legend)?;
        let [width, height] = panel_size(&page.scale);
        for (i, panel) in self.panels.iter().enumerate() {
            if cancel.is_cancelled() {
                return Err("interrupted".into());
            }
            let x = MARGIN + i % page.columns * width + LEFT;
            let y = page.head + i / page.columns * height + ABOVE;
            let bar = !self.colours.shared || i + 1 == page.columns.min(self.panels.len());
            panel.paint(
                root,
                self,
                page,
                (&scales[i], bar, format),
                [x as i32, y as i32],
            )?;
        }
        root.present()?;
        Ok(())
    }

    /// Title and legend.
    fn head<DB: DrawingBackend>(&self, root: &Area<DB>, lines: &[Vec<Entry>]) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let left = (MARGIN + LEFT) as i32;
        text(
            root,
            &self.title,
            TITLE,
            (left, 30),
            (HPos::Left, VPos::Center),
        )?;
        for (i, line) in lines.iter().enumerate() {
            let mut pen = (
                left,
                (TITLE_LINE + LEGEND_LINE / 2 + i * LEGEND_LINE) as i32,
            );
            for entry in line {
                entry.icon.paint(root, pen)?;
                let words = (pen.0 + WORDS_FROM as i32, pen.1);
                text(
                    root,
                    &entry.words,
                    LEGEND,
                    words,
                    (HPos::Left, VPos::Center),
                )?;
                pen.0 += entry.width as i32;
            }
        }
        Ok(())
    }

    /// The legend, as lines that fit into a width.
    fn legend(&self, width: usize) -> Drawn<Vec<Vec<Entry>>> {
        let levels = self.levels.iter().enumerate();
        let mut entries: Vec<_> = levels
            .map(|(i, level)| (Icon::Outline(i), format!("mask, {}", in_words(level))))
            .collect();
        if self.panels.iter().any(|panel| !panel.peaks.is_empty()) {
            entries.push((Icon::Dominant, "dominant peak".to_owned()));
        }
        let marked = |panel: &Panel| self.marks.choose(&panel.peaks).len();
        if self.panels.iter().any(|panel| marked(panel) > 1) {
            entries.push((Icon::Peak, self.marks.words()));
        }
        if self.animal.is_some() {
            entries.push((Icon::Animal, "animal, and its way there".to_owned()));
        }
        let mut values = self.panels.iter().flat_map(|panel| &panel.values);
        if values.any(|value| value.is_nan()) {
            entries.push((Icon::NotANumber, "NaN".to_owned()));
        }
        let spread = match self.colours.scale {
            Spread::Linear => "P",
            Spread::Sqrt => "P, square-root scale",
            Spread::Log => "P, log scale",
        };
        let whose = if self.colours.shared {
            "one range for all panels"
        } else {
            "each panel its own range"
        };
        entries.push((Icon::Colours, format!("{spread}: {whose}")));
        let mut lines = vec![Vec::new()];
        let mut room = width;
        for (icon, words) in entries {
            let entry = Entry {
                icon,
                width: WORDS_FROM + text_width(&words, LEGEND)? + 34,
                words,
            };
            if entry.width > room && room < width {
                lines.push(Vec::new());
                room = width;
            }
            room = room.saturating_sub(entry.width);
            if let Some(line) = lines.last_mut() {
                line.push(entry);
            }
        }
        Ok(lines)
    }
}

/// One entry of the legend.
struct Entry {
    icon: Icon,
    words: String,
    width: usize,
}

enum Icon {
    Outline(usize),
    Dominant,
    Peak,
    Animal,
    NotANumber,
    Colours,
}

impl Icon {
    fn paint<DB: DrawingBackend>(&self, root: &Area<DB>, (x, y): (i32, i32)) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let square = |from: i32, colour: RGBColor| {
            let to = ICON as i32 - from;
            let middle = ICON as i32 / 2;
            let corners = [(x + from, y - middle + from), (x + to, y - middle + to)];
            root.draw(&Rectangle::new(corners, colour.filled()))
        };
        let ground = rgb(0.25);
        square(
            0,
            if matches!(self, Self::NotANumber) {
                NAN_GREY
            } else {
                ground
            },
        )?;
        let centre = (x + ICON as i32 / 2, y);
        match *self {
            Self::Outline(index) => {
                square(4, contrast(outline(index)))?;
                square(6, outline(index))?;
                square(9, contrast(outline(index)))?;
                square(11, ground)?;
            }
            Self::Dominant => dominant_marker(root, centre, 3, (8, 13))?,
            Self::Peak => peak_marker(root, centre, 3)?,
            Self::Animal => {
                let start = (x + 2, y + ICON as i32 / 2 - 4);
                way_marker(root, &[start, centre])?;
                animal_marker(root, centre)?;
            }
            Self::NotANumber => {}
            Self::Colours => {
                let (top, bottom) = (y - ICON as i32 / 2, y + ICON as i32 / 2);
                for column in 0..ICON as i32 {
                    let colour = rgb(f64::from(column) / ICON as f64);
                    let corners = [(x + column, top), (x + column + 1, bottom)];
                    root.draw(&Rectangle::new(corners, colour.filled()))?;
                }
            }
        }
        Ok(())
    }
}

fn panel_size(scale: &Scale) -> [usize; 2] {
    let [width, height] = scale.size();
    // A title needs room even above a map of one cell's width.
    [
        LEFT + width.max(2 * THINNEST) + RIGHT,
        ABOVE + height + BELOW,
    ]
}

/// The number of columns that makes a sheet most like a page on its side, with the fewest empty places.
fn columns(panels: usize, [width, height]: [usize; 2]) -> usize {
    let misfit = |columns: usize| {
        let rows = panels.div_ceil(columns);
        let ratio = (columns * width) as f64 / (rows * height) as f64;
        let empty = (columns * rows - panels) as f64 / panels as f64;
        (ratio / 1.4).ln().abs() + empty
    };
    (1..=panels)
        .min_by(|&a, &b| misfit(a).total_cmp(&misfit(b)))
        .unwrap_or(1)
}

fn text<DB: DrawingBackend>(
    root: &Area<DB>,
    words: &str,
    size: u32,
    (x, y): (i32, i32),
    (h, v): (HPos, VPos),
) -> Drawn
where
    DB::ErrorType: 'static,
{
    let style = TextStyle::from((FONT, size).into_font())
        .color(&INK)
        .pos(Pos::new(h, v));
    // plotters centres a line with room for accents; this centres its digits.
    Ok(root.draw_text(words, &style, (x, y + size as i32 / 8))?)
}

fn text_width(words: &str, size: u32) -> Drawn<usize> {
    Ok((FONT, size).into_font().box_size(words)?.0 as usize)
}

/// A white dot with a dark rim.
fn peak_marker<DB: DrawingBackend>(root: &Area<DB>, at: (i32, i32), radius: i32) -> Drawn
where
    DB::ErrorType: 'static,
{
    root.draw(&Circle::new(at, radius + 1, BLACK.filled()))?;
    Ok(root.draw(&Circle::new(at, radius, WHITE.filled()))?)
}

/// A white line with a dark rim.
fn way_marker<DB: DrawingBackend>(root: &Area<DB>, places: &[(i32, i32)]) -> Drawn
where
    DB::ErrorType: 'static,
{
    for (colour, width) in [(BLACK, 4), (WHITE, 2)] {
        // The animal may rest.
        let mut places = places.to_vec();
        places.dedup();
        if places.len() > 1 {
            root.draw(&PathElement::new(places, colour.stroke_width(width)))?;
        }
    }
    Ok(())
}

/// A bright diamond with a dark rim.
fn animal_marker<DB: DrawingBackend>(root: &Area<DB>, (x, y): (i32, i32)) -> Drawn
where
    DB::ErrorType: 'static,
{
    for (colour, reach) in [(BLACK, 10), (ANIMAL, 7)] {
        let corners = [
            (x - reach, y),
            (x, y - reach),
            (x + reach, y),
            (x, y + reach),
        ];
        root.draw(&Polygon::new(corners, colour.filled()))?;
    }
    Ok(())
}

/// A dot between four arms that leave the cells around it free, with a light rim and a dark one.
fn dominant_marker<DB: DrawingBackend>(
    root: &Area<DB>,
    (x, y): (i32, i32),
    radius: i32,
    arms: (i32, i32),
) -> Drawn
where
    DB::ErrorType: 'static,
{
    for (rim, colour) in [(2, BLACK), (1, WHITE), (0, DOMINANT)] {
        for (step_x, step_y) in [(1, 0), (0, 1), (-1, 0), (0, -1)] {
            let [start, end] =
                [arms.0 - rim, arms.1 + rim].map(|reach| (x + step_x * reach, y + step_y * reach));
            let (wide, high) = ((1 + rim) * step_y.abs(), (1 + rim) * step_x.abs());
            let corners = [
                (start.0 - wide, start.1 - high),
                (end.0 + wide, end.1 + high),
            ];
            root.draw(&Rectangle::new(corners, colour.filled()))?;
        }
        root.draw(&Circle::new((x, y), radius + rim, colour.filled()))?;
    }
    Ok(())
}

impl Panel {
    /// The dominant peak, if it is listed: the first of the map's greatest value.
    pub(crate) fn dominant(&self) -> Option<&Peak> {
        let first = &self.peaks[marks::dominant(&self.peaks)?];
        let is_highest = !self.values.iter().any(|&value| value > first.height);
        is_highest.then_some(first)
    }

    /// Draws the map with its upper left corner at `corner`, and everything around it.
    fn paint<DB: DrawingBackend>(
        &self,
        root: &Area<DB>,
        sheet: &Sheet,
        page: &Page,
        (ends, bar, format): (&Ends, bool, Format),
        [x, y]: [i32; 2],
    ) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let scale = &page.scale;
        let [width, height] = scale.size();
        let values = scale.pool(&self.values, f64::NAN, f64::max);
        let marked = sheet.marks.choose(&self.peaks);
        match format {
            Format::Png => {
                let image = BitMapElement::with_owned_buffer(
                    (x, y),
                    (width as u32, height as u32),
                    self.map(sheet, &values, ends, scale),
                );
                root.draw(&image.ok_or("a panel has the wrong size")?)?;
            }
            Format::Svg | Format::Pdf => {
                self.shapes(root, sheet, &values, ends, (scale, [x, y + height as i32]))?;
            }
        }
        if let Some(animal) = &sheet.animal {
            self.animal(root, scale, animal, [x, y + height as i32])?;
        }
        self.markers(root, scale, &marked, [x, y + height as i32])?;
        root.draw(&Rectangle::new(
            [(x - 1, y - 1), (x + width as i32, y + height as i32)],
            INK.stroke_width(1),
        ))?;
        let peaks = match (marked.len(), self.peaks.len()) {
            (_, 1) => "1 peak".to_owned(),
            (some, all) if some < all => format!("{some} of {all} peaks"),
            (_, all) => format!("{all} peaks"),
        };
        text(
            root,
            &format!("bin {} · {peaks}", self.bin),
            21,
            (x, y - 44),
            (HPos::Left, VPos::Center),
        )?;
        self.axes(root, scale, [x, y + height as i32])?;
        if !bar {
            return Ok(());
        }
        colour_bar(root, ends, [x + (width + BAR_GAP) as i32, y], height as i32)
    }

    /// The map as pixels: colours, and the outlines of the masks along the borders of their cells.
    fn map(&self, sheet: &Sheet, values: &Array2<f64>, ends: &Ends, scale: &Scale) -> Vec<u8> {
        let order = levels::outer_first(&sheet.levels);
        let masks: Vec<_> = self
            .masks
            .iter()
            .map(|mask| scale.pool(mask, false, |a, b| a || b))
            .collect();
        let [width, height] = scale.size();
        let [p_x, p_y] = scale.pixels;
        let mut rgb = Vec::with_capacity(width * height * 3);
        for row in 0..height {
            let up = height - 1 - row;
            for column in 0..width {
                let (cell, place) = ([column / p_x, up / p_y], [column % p_x, up % p_y]);
                // The innermost lies on top.
                let line = order.iter().enumerate().rev().find_map(|(rank, &level)| {
                    let depth = depth(&masks[level], cell, place, scale.pixels)?;
                    self.outline_at(level, rank, depth, scale)
                });
                let RGBColor(r, g, b) = line.unwrap_or_else(|| colour(values[cell], ends));
                rgb.extend_from_slice(&[r, g, b]);
            }
        }
        rgb
    }

    /// The map as shapes: cells, those of one colour side by side as one, and outlines along the borders of the masks.
    fn shapes<DB: DrawingBackend>(
        &self,
        root: &Area<DB>,
        sheet: &Sheet,
        values: &Array2<f64>,
        ends: &Ends,
        (scale, [x, y]): (&Scale, [i32; 2]),
    ) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let [p_x, p_y] = scale.pixels.map(|n| n as i32);
        let (right, up) = (|i: usize| x + i as i32 * p_x, |j: usize| y - j as i32 * p_y);
        let (n_x, n_y) = values.dim();
        for j in (0..n_y).rev() {
            let colours: Vec<_> = (0..n_x).map(|i| colour(values[[i, j]], ends)).collect();
            let mut from = 0;
            for run in colours.chunk_by(|a, b| a == b) {
                let to = from + run.len();
                // A pixel further than they reach, under what is drawn next: no seams.
                let corners = [
                    (right(from), up(j + 1)),
                    ((right(to) + 1).min(right(n_x)), (up(j) + 1).min(up(0))),
                ];
                root.draw(&Rectangle::new(corners, run[0].filled()))?;
                from = to;
            }
        }
        // Inner outlines lie on top and are narrower, so that where two coincide both are seen.
        let order = levels::outer_first(&sheet.levels);
        for (rank, &level) in order.iter().enumerate() {
            let mask = scale.pool(&self.masks[level], false, |a, b| a || b);
            let width = 2 + (order.len() - 1 - rank).min(2) as i32;
            for (colour, width) in [
                (contrast(outline(level)), width + 2),
                (outline(level), width),
            ] {
                for [[i, j], [k, l]] in sides(&mask) {
                    let (upright, half) = (i == k, width / 2);
                    let (a, b) = ((right(i), up(j)), (right(k), up(l)));
                    let ends = if upright {
                        [(a.0, a.1 + half), (b.0, b.1 - half)]
                    } else {
                        [(a.0 - half, a.1), (b.0 + half, b.1)]
                    };
                    root.draw(&PathElement::new(ends, colour.stroke_width(width as u32)))?;
                }
            }
        }
        Ok(())
    }

    /// Colour of the outline of a level, which has this rank from the outermost on, so many pixels within the border of its
    /// region: a line with edges that contrast, one or two as cells have room. Outlines lie side by side where cells are
    /// large enough, so that those along the same border are all seen; and within their region, so that they are whole at
    /// the wall.
    fn outline_at(
        &self,
        level: usize,
        rank: usize,
        depth: usize,
        scale: &Scale,
    ) -> Option<RGBColor> {
        let smallest = scale.pixels[0].min(scale.pixels[1]);
        let width = ((smallest + self.masks.len()) / (self.masks.len() + 1)).clamp(1, 5);
        let from = if width * self.masks.len() <= smallest {
            width * rank
        } else {
            0
        };
        let place = depth.checked_sub(from)?;
        if place == 0 || place > width {
            return None;
        }
        let colour = outline(level);
        let edge = (place == width && width > 1) || (place == 1 && width > 3);
        Some(if edge { contrast(colour) } else { colour })
    }

    /// Where the animal is, and its way there.
    fn animal<DB: DrawingBackend>(
        &self,
        root: &Area<DB>,
        scale: &Scale,
        animal: &Animal,
        [x, y]: [i32; 2],
    ) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let size = self.values.dim();
        let at = |place: &[f64; 2]| {
            let [right, up] = [0, 1].map(|axis| scale.place(axis, place[axis]) as i32);
            (x + right, y - 1 - up)
        };
        for run in animal.way(self.bin, size) {
            way_marker(root, &run.iter().map(at).collect::<Vec<_>>())?;
        }
        match animal.here(self.bin, size) {
            Some(here) => animal_marker(root, at(&here)),
            None => Ok(()),
        }
    }

    fn markers<DB: DrawingBackend>(
        &self,
        root: &Area<DB>,
        scale: &Scale,
        marked: &[usize],
        [x, y]: [i32; 2],
    ) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        let at = |peak: &Peak| {
            let [cell_x, cell_y] = peak.cell;
            (
                x + scale.centre(0, cell_x) as i32,
                y - 1 - scale.centre(1, cell_y) as i32,
            )
        };
        let Some(highest) = marks::dominant(&self.peaks).map(|i| &self.peaks[i]) else {
            return Ok(());
        };
        let smallest = scale.pixels[0].min(scale.pixels[1]) as i32;
        let radius = (smallest / 3).clamp(2, 6);
        for peak in marked.iter().map(|&i| &self.peaks[i]) {
            // As large as they are high.
            let share = marks::share(peak.height, highest.height).clamp(0.0, 1.0);
            let size = (f64::from(radius) * share.sqrt()).round() as i32;
            peak_marker(root, at(peak), size.max(1))?;
        }
        let arms = (radius + 11, radius + 24);
        match self.dominant() {
            Some(dominant) => dominant_marker(root, at(dominant), radius, arms),
            None => Ok(()),
        }
    }

    /// Ticks in cells, and the names of the axes; `corner` is the lower left one.
    fn axes<DB: DrawingBackend>(&self, root: &Area<DB>, scale: &Scale, [x, y]: [i32; 2]) -> Drawn
    where
        DB::ErrorType: 'static,
    {
        const SIZE: u32 = 18;
        let (n_x, n_y) = self.values.dim();
        let [width, height] = scale.size().map(|n| n as i32);
        for tick in ticks(n_x, width) {
            let at = x + scale.centre(0, tick) as i32;
            root.draw(&PathElement::new(
                [(at, y), (at, y + 6)],
                INK.stroke_width(1),
            ))?;
            text(
                root,
                &tick.to_string(),
                SIZE,
                (at, y + 18),
                (HPos::Center, VPos::Center),
            )?;
        }
        for tick in ticks(n_y, height) {
            let at = y - 1 - scale.centre(1, tick) as i32;
            root.draw(&PathElement::new(
                [(x - 7, at), (x - 1, at)],
                INK.stroke_width(1),
            ))?;
            text(
                root,
                &tick.to_string(),
                SIZE,
                (x - 11, at),
                (HPos::Right, VPos::Center),
            )?;
        }
        text(
            root,
            "x",
            SIZE,
            (x + width / 2, y + 40),
            (HPos::Center, VPos::Center),
        )?;
        text(
            root,
            "y",
            SIZE,
            (x - 56, y - height / 2),
            (HPos::Center, VPos::Center),
        )
    }
}

/// How many pixels within the border of a mask a pixel of a cell lies, from 1; None outside.
fn depth(
    mask: &Array2<bool>,
    [x, y]: [usize; 2],
    place: [usize; 2],
    pixels: [usize; 2],
) -> Option<usize> {
    if !mask[[x, y]] {
        return None;
    }
    // Pixels from here to the nearest one of the cell before, the same, and after, along either axis.
    let steps = [0, 1].map(|axis| [place[axis] + 1, 0, pixels[axis] - place[axis]]);
    let mut distance = usize::MAX;
    for (i, &step_x) in steps[0].iter().enumerate() {
        for (j, &step_y) in steps[1].iter().enumerate() {
            let neighbour = (x + i).checked_sub(1).zip((y + j).checked_sub(1));
            if !neighbour
                .and_then(|cell| mask.get(cell))
                .is_some_and(|&inside| inside)
            {
                distance = distance.min(step_x.max(step_y));
            }
        }
    }
    Some(distance)
}

/// Straight stretches of the border of a mask, from corner to corner of its cells.
fn sides(mask: &Array2<bool>) -> Vec<[[usize; 2]; 2]> {
    let (n_x, n_y) = mask.dim();
    let inside = |i: usize, j: usize| {
        let cell = i.checked_sub(1).zip(j.checked_sub(1));
        cell.and_then(|cell| mask.get(cell))
            .copied()
            .unwrap_or(false)
    };
    let mut found = Vec::new();
    for i in 0..=n_x {
        let side = |j: usize| inside(i, j + 1) != inside(i + 1, j + 1);
        for run in runs(n_y, side) {
            found.push([[i, run.start], [i, run.end]]);
        }
    }
    for j in 0..=n_y {
        let side = |i: usize| inside(i + 1, j) != inside(i + 1, j + 1);
        for run in runs(n_x, side) {
            found.push([[run.start, j], [run.end, j]]);
        }
    }
    found
}

/// Runs of numbers below `n` for which something holds.
fn runs(n: usize, holds: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for i in (0..n).filter(|&i| holds(i)) {
        match found.last_mut() {
            Some(run) if run.end == i => run.end = i + 1,
            _ => found.push(i..i + 1),
        }
    }
    found
}

/// Round numbers of cells below `n`, at least some 50 pixels apart.
fn ticks(n: usize, pixels: i32) -> impl Iterator<Item = usize> {
    let most = (pixels / 50).clamp(1, 8) as usize;
    let step = (0..)
        .flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)))
        .find(|step| n.div_ceil(*step) <= most);
    (0..n).step_by(step.unwrap_or(n))
}

fn colour_bar<DB: DrawingBackend>(
    root: &Area<DB>,
    ends: &Ends,
    [x, y]: [i32; 2],
    height: i32,
) -> Drawn
where
    DB::ErrorType: 'static,
{
    const SIZE: u32 = 17;
    let right = x + BAR_WIDTH as i32;
    for row in 0..height {
        let c = rgb(1.0 - f64::from(row) / f64::from((height - 1).max(1)));
        root.draw(&Rectangle::new(
            [(x, y + row), (right, y + row + 1)],
            c.filled(),
        ))?;
    }
    root.draw(&Rectangle::new(
        [(x - 1, y - 1), (right, y + height)],
        INK.stroke_width(1),
    ))?;
    let Some((low, high)) = ends.range else {
        return text(
            root,
            "not finite",
            SIZE,
            (right + 8, y + height / 2),
            (HPos::Left, VPos::Center),
        );
    };
    if low == high {
        return text(
            root,
            &number(low),
            SIZE,
            (right + 8, y + height / 2),
            (HPos::Left, VPos::Center),
        );
    }
    text(
        root,
        &number(high),
        SIZE,
        (right + 8, y + 7),
        (HPos::Left, VPos::Center),
    )?;
    if let Some(middle) = ends.middle().filter(|_| height >= 3 * SIZE as i32) {
        text(
            root,
            &number(middle),
            SIZE,
            (right + 8, y + height / 2),
            (HPos::Left, VPos::Center),
        )?;
    }
    text(
        root,
        &number(low),
        SIZE,
        (right + 8, y + height - 8),
        (HPos::Left, VPos::Center),
    )
}

/// A number with three digits.
fn number(value: f64) -> String {
    let words = match value.abs() {
        0.0 => return "0".to_owned(),
        size if (0.001..10_000.0).contains(&size) => {
            let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.decimals$}")
        }
        _ => format!("{value:.2e}"),
    };
    words.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (value, words) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.123_456, "0.123"),
            (1.0, "1.00"),
            (-45.67, "−45.7"),
            (2.5e-7, "2.50e−7"),
            (1e300, "1.00e300"),
            (999.6, "1000"),
        ] {
            assert_eq!(number(value), words);
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(41, 287).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
        assert_eq!(ticks(1, 72).collect::<Vec<_>>(), [0]);
        assert_eq!(
            ticks(80, 400).collect::<Vec<_>>(),
            [0, 10, 20, 30, 40, 50, 60, 70]
        );
    }

    fn ends(spread: Spread, range: (f64, f64)) -> Ends {
        let colours = Colours {
            scale: spread,
            ..Colours::default()
        };
        colours.ends(Some(range)).expect("a scale")
    }

    #[test]
    fn colours_span_the_finite_values() {
        let ends = ends(Spread::Linear, (-f64::MAX, f64::MAX));
        assert_eq!(colour(f64::NEG_INFINITY, &ends), rgb(0.0));
        assert_eq!(colour(f64::MAX, &ends), rgb(1.0));
        assert_eq!(colour(f64::INFINITY, &ends), rgb(1.0));
        assert_eq!(colour(0.0, &ends), rgb(0.5));
        assert_eq!(colour(f64::NAN, &ends), NAN_GREY);
    }

    #[test]
    fn scales_spread_values() {
        for (spread, value) in [
            (Spread::Linear, 0.5),
            (Spread::Sqrt, 0.25),
            (Spread::Log, 0.01),
        ] {
            let ends = ends(spread, (0.0, 1.0));
            assert!((ends.position(value) - 0.5).abs() < 1e-12, "{spread:?}");
            assert!(
                (ends.middle().expect("a middle") - value).abs() < 1e-12,
                "{spread:?}"
            );
            assert_eq!((ends.position(-1.0), ends.position(2.0)), (0.0, 1.0));
        }
        let log = Colours {
            scale: Spread::Log,
            ..Colours::default()
        };
        assert!(
            log.ends(Some((-2.0, -1.0)))
                .is_err_and(|words| words.contains("above 0"))
        );
        let turned = Colours {
            vmin: Some(2.0),
            ..Colours::default()
        };
        assert!(
            turned
                .ends(Some((0.0, 1.0)))
                .is_err_and(|words| words.contains("--vmin"))
        );
    }

    #[test]
    fn the_depth_in_a_cell_counts_from_its_border() {
        let mask = Array2::from_shape_fn((3, 3), |cell| cell == (1, 1));
        let found: Vec<Vec<usize>> = (0..4)
            .map(|v| {
                (0..4)
                    .map(|u| depth(&mask, [1, 1], [u, v], [4, 4]).expect("inside"))
                    .collect()
            })
            .collect();
        let (edge, inner) = (vec![1; 4], vec![1, 2, 2, 1]);
        assert_eq!(found, [edge.clone(), inner.clone(), inner, edge]);
        assert_eq!(depth(&mask, [0, 1], [0, 0], [4, 4]), None);
    }

    #[test]
    fn the_sides_of_a_mask_are_straight_stretches() {
        let mask = Array2::from_shape_fn((3, 2), |(x, y)| x < 2 || y == 0);
        let mut found = sides(&mask);
        found.sort_unstable();
        assert_eq!(
            found,
            [
                [[0, 0], [0, 2]],
                [[0, 0], [3, 0]],
                [[0, 2], [2, 2]],
                [[2, 1], [2, 2]],
                [[2, 1], [3, 1]],
                [[3, 0], [3, 1]],
            ]
        );
        assert_eq!(sides(&Array2::from_elem((3, 2), false)).len(), 0);
    }

    #[test]
    fn outlines_have_edges_that_contrast_where_there_is_room() {
        let panel = Panel {
            bin: 0,
            values: Array2::zeros((10, 10)),
            masks: vec![Array2::from_elem((10, 10), true)],
            peaks: Vec::new(),
        };
        let scale = Scale::new((10, 10), 1);
        let drawn: Vec<_> = (1..7)
            .map(|depth| panel.outline_at(0, 0, depth, &scale))
            .collect();
        let (line, edge) = (Some(WHITE), Some(BLACK));
        assert_eq!(drawn, [edge, line, line, line, edge, None]);
        assert_eq!(contrast(OUTLINES[3]), WHITE);
        let tiny = Scale {
            pixels: [1, 1],
            ..scale
        };
        assert_eq!(panel.outline_at(0, 0, 1, &tiny), line);
    }
}
