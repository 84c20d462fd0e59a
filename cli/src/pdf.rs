//! Pages of PDF: what plotters draws, as shapes and as text in a font that the file holds.

use std::convert::Infallible;
use std::io::Write as _;

use ab_glyph::{Font as _, FontRef};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

/// Points of a pixel: 150 pixels an inch, at which words are as large as journals have them.
const POINTS: f32 = 72.0 / 150.0;

/// How far the ends of a quarter circle's tangents reach, as a part of its radius.
const TANGENT: f32 = 0.552_284_8;

const FONT: Name<'_> = Name(b"F");
const FONT_NAME: Name<'_> = Name(b"DejaVuSans");
const IDENTITY: SystemInfo<'_> = SystemInfo {
    registry: Str(b"Adobe"),
    ordering: Str(b"Identity"),
    supplement: 0,
};

/// A page in the making, written to `out` when it is presented.
pub(crate) struct PdfBackend<'a> {
    size: (u32, u32),
    font: FontRef<'static>,
    content: Content,
    out: &'a mut Vec<u8>,
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl<'a> PdfBackend<'a> {
    /// A page of so many pixels, all of whose words are in this font; none if the font is damaged.
    pub(crate) fn new(out: &'a mut Vec<u8>, size: (u32, u32), font: &'static [u8]) -> Option<Self> {
        let mut content = Content::new();
        // From here on as plotters counts: pixels, downwards from the upper left corner.
        content.transform([POINTS, 0.0, 0.0, -POINTS, 0.0, POINTS * size.1 as f32]);
        Some(Self {
            size,
            font: FontRef::try_from_slice(font).ok()?,
            content,
            out,
        })
    }

    fn fill(&mut self, color: BackendColor) {
        let [r, g, b] = rgb(color);
        self.content.set_fill_rgb(r, g, b);
    }

    fn line<S: BackendStyle>(&mut self, style: &S) {
        let [r, g, b] = rgb(style.color());
        self.content.set_stroke_rgb(r, g, b);
        self.content.set_line_width(style.stroke_width() as f32);
    }

    /// Moves from point to point: whether there was one.
    fn trace(&mut self, path: impl IntoIterator<Item = BackendCoord>) -> bool {
        let mut path = path.into_iter();
        let Some((x, y)) = path.next() else {
            return false;
        };
        self.content.move_to(x as f32, y as f32);
        for (x, y) in path {
            self.content.line_to(x as f32, y as f32);
        }
        true
    }

    /// A number of the font as parts of a thousandth of its size.
    fn thousandths(&self, units: f32) -> f32 {
        units * 1000.0 / self.font.units_per_em().unwrap_or(1000.0)
    }

    fn document(&self, content: &[u8]) -> Vec<u8> {
        let [
            catalog,
            pages,
            page,
            stream,
            font,
            cid,
            descriptor,
            file,
            cmap,
            info,
        ] = std::array::from_fn(|i| Ref::new(i as i32 + 1));
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(pages);
        pdf.document_info(info).producer(TextStr("peakmask"));
        pdf.pages(pages).kids([page]).count(1);
        let (width, height) = (self.size.0 as f32 * POINTS, self.size.1 as f32 * POINTS);
        let mut leaf = pdf.page(page);
        leaf.parent(pages)
            .media_box(Rect::new(0.0, 0.0, width, height))
            .contents(stream);
        leaf.resources().fonts().pair(FONT, font);
        leaf.finish();
        pdf.stream(stream, &deflated(content))
            .filter(Filter::FlateDecode);
        pdf.type0_font(font)
            .base_font(FONT_NAME)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(cid)
            .to_unicode(cmap);
        let glyphs = 0..self.font.glyph_count() as u16;
        let widths = glyphs.map(|id| {
            let advance = self.font.h_advance_unscaled(ab_glyph::GlyphId(id));
            self.thousandths(advance)
        });
        let mut described = pdf.cid_font(cid);
        described
            .subtype(CidFontType::Type2)
            .base_font(FONT_NAME)
            .system_info(IDENTITY)
            .font_descriptor(descriptor)
            .cid_to_gid_map_predefined(Name(b"Identity"));
        described.widths().consecutive(0, widths);
        described.finish();
        let ascent = self.thousandths(self.font.ascent_unscaled());
        let descent = self.thousandths(self.font.descent_unscaled());
        pdf.font_descriptor(descriptor)
            .name(FONT_NAME)
            .flags(FontFlags::SYMBOLIC)
            .bbox(Rect::new(-1000.0, descent, 2000.0, ascent))
            .italic_angle(0.0)
            .ascent(ascent)
            .descent(descent)
            .cap_height(729.0)
            .stem_v(80.0)
            .font_file2(file);
        let bytes = self.font.font_data();
        pdf.stream(file, &deflated(bytes))
            .filter(Filter::FlateDecode)
            .pair(Name(b"Length1"), bytes.len() as i32);
        // With it words can be searched and copied.
        let mut unicode = UnicodeCmap::new(Name(b"Custom"), IDENTITY);
        for (id, character) in self.font.codepoint_ids() {
            unicode.pair(id.0, character);
        }
        pdf.cmap(cmap, &unicode.finish());
        pdf.finish()
    }
}

fn rgb(color: BackendColor) -> [f32; 3] {
    let (r, g, b) = color.rgb;
    [r, g, b].map(|part| f32::from(part) / 255.0)
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Into memory: it cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

impl DrawingBackend for PdfBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        let content = std::mem::replace(&mut self.content, Content::new()).finish();
        *self.out = self.document(&content);
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect((x, y), (x + 1, y + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let (width, height) = ((right - left) as f32, (bottom - top) as f32);
        if fill {
            self.fill(style.color());
        } else {
            self.line(style);
        }
        self.content.rect(left as f32, top as f32, width, height);
        if fill {
            self.content.fill_nonzero();
        } else {
            self.content.stroke();
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        self.line(style);
        if self.trace(path) {
            self.content.stroke();
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let (x, y, r) = (x as f32, y as f32, radius as f32);
        let k = r * TANGENT;
        if fill {
            self.fill(style.color());
        } else {
            self.line(style);
        }
        self.content
            .move_to(x + r, y)
            .cubic_to(x + r, y + k, x + k, y + r, x, y + r)
            .cubic_to(x - k, y + r, x - r, y + k, x - r, y)
            .cubic_to(x - r, y - k, x - k, y - r, x, y - r)
            .cubic_to(x + k, y - r, x + r, y - k, x + r, y)
            .close_path();
        if fill {
            self.content.fill_nonzero();
        } else {
            self.content.stroke();
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Drawn {
        self.fill(style.color());
        if self.trace(corners) {
            self.content.close_path().fill_nonzero();
        }
        Ok(())
    }

    /// Size and place of words are those of plotters' SVG.
    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Drawn {
        let size = style.size() as f32 / 1.24;
        let glyphs: Vec<_> = text.chars().map(|c| self.font.glyph_id(c)).collect();
        let advance: f32 = (glyphs.iter())
            .map(|&id| self.thousandths(self.font.h_advance_unscaled(id)))
            .sum();
        let width = advance / 1000.0 * size;
        let left = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => width / 2.0,
            HPos::Right => width,
        };
        let down = match style.anchor().v_pos {
            VPos::Top => 0.76 * size,
            VPos::Center => 0.27 * size,
            VPos::Bottom => -0.27 * size,
        };
        let words: Vec<u8> = glyphs.iter().flat_map(|id| id.0.to_be_bytes()).collect();
        self.fill(style.color());
        self.content
            .begin_text()
            .set_font(FONT, size)
            .set_text_matrix([1.0, 0.0, 0.0, -1.0, x as f32 - left, y as f32 + down])
            .show(Str(&words))
            .end_text();
        Ok(())
    }
}
