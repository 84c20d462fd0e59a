//! The drawing: a sheet of panels, one a time bin.

use std::io::{self, Write};

use ndarray::Array2;
use peakmask::CancelToken;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::failure::Failure;

/// One time bin.
pub(crate) struct Panel {
    /// Its number in the input.
    pub(crate) bin: usize,
    /// P[x, y].
    pub(crate) values: Array2<f64>,
    /// One mask for each alpha.
    pub(crate) masks: Vec<Array2<bool>>,
    /// Cells of all peaks, in row-major order.
    pub(crate) peaks: Vec<[usize; 2]>,
}

/// Panels of one size, under a title and a legend.
pub(crate) struct Sheet {
    pub(crate) title: String,
    pub(crate) alphas: Vec<f64>,
    pub(crate) panels: Vec<Panel>,
}

/// A finished picture: rows of red, green and blue bytes from the top.
pub(crate) struct Image {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Image {
    pub(crate) fn write_png(&self, writer: impl Write) -> io::Result<()> {
        let mut encoder = png::Encoder::new(writer, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        Ok(writer.finish()?)
    }
}

const FONT: &str = "DejaVu Sans";
static FONT_FILE: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const NAN_GREY: RGBColor = RGBColor(0x9A, 0x9A, 0x9A);
const COLOURS: colorous::Gradient = colorous::MAGMA;
/// Outlines: colours that the map of colours does not contain, distinct for the colour-blind as well.
const OUTLINES: [RGBColor; 6] = [
    RGBColor(0x38, 0xD9, 0xFF),
    RGBColor(0x6B, 0xF1, 0x78),
    RGBColor(0xFF, 0xFF, 0xFF),
    RGBColor(0x4F, 0x86, 0xFF),
    RGBColor(0xFF, 0xE1, 0x35),
    RGBColor(0xFF, 0x4F, 0xD8),
];

/// Longest side of a panel's map, in pixels, that small maps are enlarged to.
const MAP_PIXELS: usize = 400;
/// Cells a side beyond which neighbours share a pixel.
const MOST_CELLS: usize = 1024;
/// Shortest side of a map, in pixels: of a 1-D track, say.
const THINNEST: usize = 72;
/// Pixels of a sheet beyond which it is refused.
const MOST_PIXELS: usize = 200_000_000;

const LEFT: usize = 70;
const RIGHT: usize = 128;
const ABOVE: usize = 44;
const BELOW: usize = 66;
const MARGIN: usize = 24;
const HEAD: usize = 100;
const BAR_GAP: usize = 12;
const BAR_WIDTH: usize = 16;

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
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
    fn new(n_x: usize, n_y: usize) -> Self {
        let longest = n_x.max(n_y);
        let block = longest.div_ceil(MOST_CELLS).max(1);
        let blocks = [n_x.div_ceil(block), n_y.div_ceil(block)];
        let longest = blocks[0].max(blocks[1]).max(1);
        let square = (MAP_PIXELS / longest).max(1);
        // Cells are square unless the map would be a thread.
        let pixels = blocks.map(|n| {
            if n * square < THINNEST && n * 8 < longest {
                THINNEST / n.max(1)
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

    /// Centre of a cell in pixels from the lower left corner of the map.
    fn centre(&self, axis: usize, cell: usize) -> f64 {
        (cell / self.block) as f64 * self.pixels[axis] as f64 + self.pixels[axis] as f64 / 2.0
    }
}

/// Smallest and largest finite value; the scale of a panel's colours.
fn finite_range(values: &Array2<f64>) -> Option<(f64, f64)> {
    values
        .iter()
        .filter(|value| value.is_finite())
        .fold(None, |range, &value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((value.min(low), value.max(high)))
        })
}

fn colour(value: f64, range: Option<(f64, f64)>) -> RGBColor {
    if value.is_nan() {
        return NAN_GREY;
    }
    let (low, high) = range.unwrap_or((0.0, 0.0));
    // Halves, so that the difference of extremes does not overflow.
    let position = if value >= high && value > low {
        1.0
    } else if value <= low {
        0.0
    } else {
        (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
    };
    let c = COLOURS.eval_continuous(position.clamp(0.0, 1.0));
    RGBColor(c.r, c.g, c.b)
}

fn outline(index: usize) -> RGBColor {
    OUTLINES[index % OUTLINES.len()]
}

impl Sheet {
    pub(crate) fn draw(&self, cancel: &CancelToken) -> Result<Image, Failure> {
        let Some(first) = self.panels.first() else {
            return Err(Failure::Input(
                "there is no time bin to draw; give an input with at least one".to_owned(),
            ));
        };
        let (n_x, n_y) = first.values.dim();
        let scale = Scale::new(n_x, n_y);
        let columns = columns(self.panels.len(), panel_size(&scale));
        let rows = self.panels.len().div_ceil(columns);
        let [width, height] = sheet_size(&scale, columns, rows);
        if width.saturating_mul(height) > MOST_PIXELS {
            return Err(Failure::Input(format!(
                "a sheet of {} time bins would have {width} x {height} pixels; draw fewer with --bins",
                self.panels.len()
            )));
        }
        let mut rgb = vec![0xFF; width * height * 3];
        self.paint(
            &mut rgb,
            (width as u32, height as u32),
            &scale,
            columns,
            cancel,
        )
        .map_err(|error| {
            if cancel.is_cancelled() {
                Failure::Interrupted
            } else {
                Failure::Other(format!("the picture cannot be drawn ({error})"))
            }
        })?;
        Ok(Image {
            width: width as u32,
            height: height as u32,
            rgb,
        })
    }

    fn paint(
        &self,
        rgb: &mut [u8],
        size: (u32, u32),
        scale: &Scale,
        columns: usize,
        cancel: &CancelToken,
    ) -> Drawn {
        register_font(FONT, FontStyle::Normal, FONT_FILE).map_err(|_| "its font is damaged")?;
        let root = BitMapBackend::with_buffer(rgb, size).into_drawing_area();
        root.fill(&WHITE)?;
        self.head(&root)?;
        let [width, height] = panel_size(scale);
        for (i, panel) in self.panels.iter().enumerate() {
            if cancel.is_cancelled() {
                return Err("interrupted".into());
            }
            let (x, y) = (
                MARGIN + i % columns * width,
                HEAD + MARGIN + i / columns * height,
            );
            panel.paint(&root, scale, [(x + LEFT) as i32, (y + ABOVE) as i32])?;
        }
        root.present()?;
        Ok(())
    }

    /// Title and legend.
    fn head(&self, root: &Area<'_>) -> Drawn {
        let left = (MARGIN + LEFT) as i32;
        text(
            root,
            &self.title,
            28,
            (left, 26),
            (HPos::Left, VPos::Center),
        )?;
        let mut pen = (left, 72);
        for (i, alpha) in self.alphas.iter().enumerate() {
            swatch(root, pen, COLOURS.eval_continuous(0.25), Some(outline(i)))?;
            label(root, &mut pen, &format!("mask, alpha {alpha}"))?;
        }
        swatch(root, pen, COLOURS.eval_continuous(0.25), None)?;
        dominant_marker(root, (pen.0 + 13, pen.1), 8)?;
        label(root, &mut pen, "dominant peak")?;
        swatch(root, pen, COLOURS.eval_continuous(0.25), None)?;
        peak_marker(root, (pen.0 + 13, pen.1), 4)?;
        label(root, &mut pen, "other peaks")?;
        if self
            .panels
            .iter()
            .any(|panel| panel.values.iter().any(|value| value.is_nan()))
        {
            swatch(
                root,
                pen,
                colorous::Color {
                    r: NAN_GREY.0,
                    g: NAN_GREY.1,
                    b: NAN_GREY.2,
                },
                None,
            )?;
            label(root, &mut pen, "NaN")?;
        }
        Ok(())
    }
}

fn panel_size(scale: &Scale) -> [usize; 2] {
    let [width, height] = scale.size();
    [
        LEFT + width.max(2 * THINNEST) + RIGHT,
        ABOVE + height + BELOW,
    ]
}

fn sheet_size(scale: &Scale, columns: usize, rows: usize) -> [usize; 2] {
    let [width, height] = panel_size(scale);
    // The legend needs room even beside a single small panel.
    [
        (2 * MARGIN + columns * width).max(1100),
        2 * MARGIN + HEAD + rows * height,
    ]
}

/// The number of columns that makes a sheet most like a page on its side, with the fewest empty places.
fn columns(panels: usize, [width, height]: [usize; 2]) -> usize {
    let misfit = |columns: usize| {
        let rows = panels.div_ceil(columns);
        let ratio = (columns * width) as f64 / (rows * height + HEAD) as f64;
        let empty = (columns * rows - panels) as f64 / panels as f64;
        (ratio / 1.4).ln().abs() + empty
    };
    (1..=panels)
        .min_by(|&a, &b| misfit(a).total_cmp(&misfit(b)))
        .unwrap_or(1)
}

fn text(root: &Area<'_>, words: &str, size: u32, at: (i32, i32), (h, v): (HPos, VPos)) -> Drawn {
    let style = TextStyle::from((FONT, size).into_font())
        .color(&INK)
        .pos(Pos::new(h, v));
    Ok(root.draw_text(words, &style, at)?)
}

fn swatch(
    root: &Area<'_>,
    (x, y): (i32, i32),
    fill: colorous::Color,
    edge: Option<RGBColor>,
) -> Drawn {
    let fill = RGBColor(fill.r, fill.g, fill.b);
    root.draw(&Rectangle::new(
        [(x, y - 13), (x + 26, y + 13)],
        fill.filled(),
    ))?;
    if let Some(edge) = edge {
        root.draw(&Rectangle::new(
            [(x + 4, y - 9), (x + 22, y + 9)],
            edge.filled(),
        ))?;
        root.draw(&Rectangle::new(
            [(x + 7, y - 6), (x + 19, y + 6)],
            fill.filled(),
        ))?;
    }
    Ok(())
}

/// Words beside a swatch; moves the pen past them.
fn label(root: &Area<'_>, pen: &mut (i32, i32), words: &str) -> Drawn {
    const SIZE: u32 = 20;
    text(
        root,
        words,
        SIZE,
        (pen.0 + 36, pen.1),
        (HPos::Left, VPos::Center),
    )?;
    let (width, _) = root.estimate_text_size(words, &TextStyle::from((FONT, SIZE).into_font()))?;
    pen.0 += 36 + width as i32 + 34;
    Ok(())
}

fn peak_marker(root: &Area<'_>, at: (i32, i32), radius: i32) -> Drawn {
    if radius > 2 {
        root.draw(&Circle::new(at, radius, BLACK.filled()))?;
    }
    Ok(root.draw(&Circle::new(at, (radius - 1).max(1), WHITE.filled()))?)
}

/// A cross with a dark rim.
fn dominant_marker(root: &Area<'_>, (x, y): (i32, i32), radius: i32) -> Drawn {
    for (reach, width, colour) in [
        (radius + 2, 7, BLACK),
        (radius, 3, RGBColor(0xFF, 0x3B, 0x30)),
    ] {
        for way in [1, -1] {
            let ends = [(x - reach, y - way * reach), (x + reach, y + way * reach)];
            root.draw(&PathElement::new(ends, colour.stroke_width(width)))?;
        }
    }
    Ok(())
}

impl Panel {
    /// Draws the map with its upper left corner at `corner`, and everything around it.
    fn paint(&self, root: &Area<'_>, scale: &Scale, [x, y]: [i32; 2]) -> Drawn {
        let [width, height] = scale.size();
        let values = scale.pool(&self.values, f64::NAN, f64::max);
        let range = finite_range(&self.values);
        let image = BitMapElement::with_owned_buffer(
            (x, y),
            (width as u32, height as u32),
            self.map(&values, range, scale),
        );
        root.draw(&image.ok_or("a panel has the wrong size")?)?;
        self.markers(root, scale, [x, y + height as i32])?;
        root.draw(&Rectangle::new(
            [(x - 1, y - 1), (x + width as i32, y + height as i32)],
            INK.stroke_width(1),
        ))?;
        let peaks = match self.peaks.len() {
            1 => "1 peak".to_owned(),
            n => format!("{n} peaks"),
        };
        text(
            root,
            &format!("bin {} · {peaks}", self.bin),
            21,
            (x, y - 22),
            (HPos::Left, VPos::Center),
        )?;
        self.axes(root, scale, [x, y + height as i32])?;
        colour_bar(
            root,
            range,
            [x + (width + BAR_GAP) as i32, y],
            height as i32,
        )
    }

    /// The map as pixels: colours, and the outlines of the masks along the borders of their cells.
    fn map(&self, values: &Array2<f64>, range: Option<(f64, f64)>, scale: &Scale) -> Vec<u8> {
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
                // The last alpha lies on top.
                let line = (0..masks.len()).rev().find(|&i| {
                    is_outline(&masks[i], cell, place, scale.pixels, self.inset(i, scale))
                });
                let RGBColor(r, g, b) = line.map_or_else(|| colour(values[cell], range), outline);
                rgb.extend_from_slice(&[r, g, b]);
            }
        }
        rgb
    }

    /// First and last pixel of an outline, counted from the border of its region inwards: side by side where cells are
    /// large enough, so that outlines along the same border are both seen.
    fn inset(&self, index: usize, scale: &Scale) -> (usize, usize) {
        let smallest = scale.pixels[0].min(scale.pixels[1]);
        let line = (smallest / (self.masks.len() + 1)).clamp(1, 3);
        let from = if line * self.masks.len() <= smallest {
            line * index
        } else {
            0
        };
        (from, from + line)
    }

    fn markers(&self, root: &Area<'_>, scale: &Scale, [x, y]: [i32; 2]) -> Drawn {
        let at = |&[cell_x, cell_y]: &[usize; 2]| {
            (
                x + scale.centre(0, cell_x) as i32,
                y - 1 - scale.centre(1, cell_y) as i32,
            )
        };
        let smallest = scale.pixels[0].min(scale.pixels[1]) as i32;
        let radius = (smallest / 4).clamp(2, 5);
        for peak in &self.peaks {
            peak_marker(root, at(peak), radius)?;
        }
        // Of equal heights the first is dominant.
        let height = |cell: &[usize; 2]| self.values[*cell];
        let dominant = self.peaks.iter().reduce(|best, peak| {
            if height(peak) > height(best) {
                peak
            } else {
                best
            }
        });
        dominant.map_or(Ok(()), |peak| {
            dominant_marker(root, at(peak), (smallest / 2).clamp(6, 10))
        })
    }

    /// Ticks in cells, and the names of the axes; `corner` is the lower left one.
    fn axes(&self, root: &Area<'_>, scale: &Scale, [x, y]: [i32; 2]) -> Drawn {
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

/// Whether a pixel lies on the outline of a mask: within the cell, at a distance from the outside that is within `inset`.
fn is_outline(
    mask: &Array2<bool>,
    [x, y]: [usize; 2],
    place: [usize; 2],
    pixels: [usize; 2],
    (from, to): (usize, usize),
) -> bool {
    if !mask[[x, y]] {
        return false;
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
    distance > from && distance <= to
}

/// Round numbers of cells below `n`, at least some 50 pixels apart.
fn ticks(n: usize, pixels: i32) -> impl Iterator<Item = usize> {
    let most = (pixels / 50).clamp(1, 8) as usize;
    let step = (0..)
        .flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)))
        .find(|step| n.div_ceil(*step) <= most);
    (0..n).step_by(step.unwrap_or(n))
}

fn colour_bar(root: &Area<'_>, range: Option<(f64, f64)>, [x, y]: [i32; 2], height: i32) -> Drawn {
    const SIZE: u32 = 17;
    let right = x + BAR_WIDTH as i32;
    for row in 0..height {
        let c = COLOURS.eval_continuous(1.0 - f64::from(row) / f64::from((height - 1).max(1)));
        root.draw(&Rectangle::new(
            [(x, y + row), (right, y + row + 1)],
            RGBColor(c.r, c.g, c.b).filled(),
        ))?;
    }
    root.draw(&Rectangle::new(
        [(x - 1, y - 1), (right, y + height)],
        INK.stroke_width(1),
    ))?;
    let Some((low, high)) = range else {
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

    #[test]
    fn colours_span_the_finite_values() {
        let range = Some((-f64::MAX, f64::MAX));
        let (lowest, highest) = (COLOURS.eval_continuous(0.0), COLOURS.eval_continuous(1.0));
        assert_eq!(
            colour(f64::NEG_INFINITY, range),
            RGBColor(lowest.r, lowest.g, lowest.b)
        );
        assert_eq!(
            colour(f64::MAX, range),
            RGBColor(highest.r, highest.g, highest.b)
        );
        assert_eq!(
            colour(f64::INFINITY, range),
            RGBColor(highest.r, highest.g, highest.b)
        );
        assert_eq!(colour(f64::NAN, range), NAN_GREY);
    }

    #[test]
    fn the_outline_of_a_cell_is_its_border() {
        let mask = Array2::from_shape_fn((3, 3), |cell| cell == (1, 1));
        let drawn: Vec<Vec<bool>> = (0..4)
            .map(|v| {
                (0..4)
                    .map(|u| is_outline(&mask, [1, 1], [u, v], [4, 4], (0, 1)))
                    .collect()
            })
            .collect();
        let (full, hollow) = (vec![true; 4], vec![true, false, false, true]);
        assert_eq!(drawn, [full.clone(), hollow.clone(), hollow, full]);
    }
}
