//! Summaries as files: `.npz` for NumPy, `.csv` for everything else.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::str::FromStr;

use bytemuck::NoUninit;
use ndarray::ArrayView1;
use peakmask::{CancelToken, Element, Summary};

use crate::failure::Failure;
use crate::output::{Npz, WriteSeek, interruption};

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Npz,
    Csv,
}

impl Format {
    /// The kind that a file's name asks for.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.unwrap_or_default().parse().map_err(|()| {
            Failure::input(
                path,
                "names no kind of table; a summary is written to a file that ends in .npz or .csv",
            )
        })
    }
}

impl FromStr for Format {
    type Err = ();

    fn from_str(ending: &str) -> Result<Self, ()> {
        match ending.to_ascii_lowercase().as_str() {
            "npz" => Ok(Self::Npz),
            "csv" => Ok(Self::Csv),
            _ => Err(()),
        }
    }
}

/// A column of one level, or of no level.
enum Values<'a, T> {
    Bool(ArrayView1<'a, bool>),
    Int(ArrayView1<'a, i64>),
    Float(ArrayView1<'a, f64>),
    /// Of the input's type.
    Value(ArrayView1<'a, T>),
    /// x and y.
    Ints(ArrayView1<'a, [i64; 2]>),
    Floats(ArrayView1<'a, [f64; 2]>),
}

/// A name, and the column of each level; of no level, one column.
struct Column<'a, T> {
    name: &'static str,
    by_level: bool,
    values: Vec<Values<'a, T>>,
}

/// All columns of a summary, in the order in which they are written.
fn columns<'a, T: Element>(summary: &'a Summary<T>) -> Vec<Column<'a, T>> {
    use Values::{Bool, Float, Floats, Int, Ints, Value};
    fn bins<'v, T>(name: &'static str, values: Values<'v, T>) -> Column<'v, T> {
        Column {
            name,
            by_level: false,
            values: vec![values],
        }
    }
    let n = summary.levels();
    let levels = |name, of: &dyn Fn(usize) -> Values<'a, T>| Column {
        name,
        by_level: true,
        values: (0..n).map(of).collect(),
    };
    let s = summary;
    vec![
        bins("live", Bool((&s.live).into())),
        bins("dominant", Ints((&s.dominant).into())),
        bins("height", Value((&s.height).into())),
        bins("prominence", Value((&s.prominence).into())),
        bins("highest_prominence", Value((&s.highest_prominence).into())),
        bins("peaks", Int((&s.peaks).into())),
        bins("minimum", Value((&s.minimum).into())),
        bins("total", Float((&s.total).into())),
        levels("threshold", &|k| Value(s.threshold.row(k))),
        levels("area", &|k| Int(s.area.row(k))),
        levels("reached", &|k| Int(s.reached.row(k))),
        levels("mass", &|k| Float(s.mass.row(k))),
        levels("sums", &|k| Ints(s.sums.row(k))),
        levels("centroid", &|k| Floats(s.centroid.row(k))),
        levels("first", &|k| Ints(s.first.row(k))),
        levels("last", &|k| Ints(s.last.row(k))),
        levels("border", &|k| Bool(s.border.row(k))),
        levels("overlap", &|k| Int(s.overlap.row(k))),
        levels("dilated_overlap", &|k| Int(s.dilated_overlap.row(k))),
        levels("dilated_union", &|k| Int(s.dilated_union.row(k))),
    ]
}

/// Writes a summary of these levels.
pub(crate) fn write<T: Element + NoUninit + Display>(
    writer: &mut (dyn WriteSeek + '_),
    format: Format,
    levels: &[String],
    alphas: &[f64],
    summary: &Summary<T>,
    cancel: &CancelToken,
) -> io::Result<()> {
    match format {
        Format::Npz => write_npz(writer, alphas, summary, cancel),
        Format::Csv => write_csv(writer, levels, summary, cancel),
    }
}

/// Arrays by name: `(n_t,)`, `(n_alpha, n_t)`, those of x and y with one more axis.
fn write_npz<T: Element + NoUninit>(
    writer: &mut (dyn WriteSeek + '_),
    alphas: &[f64],
    summary: &Summary<T>,
    cancel: &CancelToken,
) -> io::Result<()> {
    let mut npz = Npz::new(writer, cancel, &|_| {});
    let n_t = summary.n_bins();
    let order = if cfg!(target_endian = "little") {
        '<'
    } else {
        '>'
    };
    npz.member("alpha", &format!("{order}f8"), &[alphas.len()])?;
    npz.values(alphas)?;
    for column in columns(summary) {
        let (kind, pair) = match column.values.first() {
            Some(Values::Bool(_)) => ("|b1".to_owned(), false),
            Some(Values::Int(_)) => (format!("{order}i8"), false),
            Some(Values::Ints(_)) => (format!("{order}i8"), true),
            Some(Values::Float(_)) => (format!("{order}f8"), false),
            Some(Values::Floats(_)) => (format!("{order}f8"), true),
            Some(Values::Value(_)) => (format!("{order}f{}", size_of::<T>()), false),
            // Without levels there is nothing that would tell.
            None => continue,
        };
        let mut shape = vec![n_t];
        if column.by_level {
            shape.insert(0, alphas.len());
        }
        if pair {
            shape.push(2);
        }
        npz.member(column.name, &kind, &shape)?;
        for values in &column.values {
            match values {
                Values::Bool(values) => npz.values(&values.to_vec())?,
                Values::Int(values) => npz.values(&values.to_vec())?,
                Values::Float(values) => npz.values(&values.to_vec())?,
                Values::Value(values) => npz.values(&values.to_vec())?,
                Values::Ints(values) => npz.values(&values.to_vec())?,
                Values::Floats(values) => npz.values(&values.to_vec())?,
            }
        }
    }
    npz.finish()
}

/// A row for each time bin; columns of a level end in its name, those of x and y in `_x` and `_y`. Numbers are written such that
/// reading them yields the same bits.
fn write_csv<T: Element + Display>(
    writer: &mut (dyn WriteSeek + '_),
    levels: &[String],
    summary: &Summary<T>,
    cancel: &CancelToken,
) -> io::Result<()> {
    const ROWS: usize = 1000;
    let columns = columns(summary);
    // Level by level, so that what belongs to one mask stands together.
    let mut fields = Vec::new();
    for column in columns.iter().filter(|column| !column.by_level) {
        fields.push((column.name.to_owned(), String::new(), &column.values[0]));
    }
    for (level, name) in levels.iter().enumerate() {
        for column in columns.iter().filter(|column| column.by_level) {
            fields.push((
                column.name.to_owned(),
                format!("_{name}"),
                &column.values[level],
            ));
        }
    }
    write!(writer, "bin")?;
    for (name, level, values) in &fields {
        match values {
            Values::Ints(_) | Values::Floats(_) => {
                write!(writer, ",{name}_x{level},{name}_y{level}")?;
            }
            _ => write!(writer, ",{name}{level}")?,
        }
    }
    writeln!(writer)?;
    for t in 0..summary.n_bins() {
        if t % ROWS == 0 && cancel.is_cancelled() {
            return Err(interruption());
        }
        write!(writer, "{t}")?;
        for (.., values) in &fields {
            match values {
                Values::Bool(values) => write!(writer, ",{}", u8::from(values[t]))?,
                Values::Int(values) => write!(writer, ",{}", values[t])?,
                Values::Float(values) => write!(writer, ",{}", values[t])?,
                Values::Value(values) => write!(writer, ",{}", values[t])?,
                Values::Ints(values) => write!(writer, ",{},{}", values[t][0], values[t][1])?,
                Values::Floats(values) => write!(writer, ",{},{}", values[t][0], values[t][1])?,
            }
        }
        writeln!(writer)?;
    }
    Ok(())
}
