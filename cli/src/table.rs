//! Summaries as files: `.npz` for NumPy, `.parquet` for tables, `.csv` for everything else.

#[cfg(feature = "parquet")]
mod parquet;

use std::io;
use std::path::Path;

use bytemuck::{NoUninit, Pod};
use peakmask::{CancelToken, Element, Level, Summary};

use crate::failure::Failure;
use crate::levels::{KIND_TYPE, LEVEL_KIND, columns};
use crate::output::{Npz, WriteSeek, interruption, native};

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Arrays for NumPy
    Npz,
    /// Text, a row for each time bin
    Csv,
    /// Columns for pandas, polars, DuckDB; for programs that were built with it
    Parquet,
}

impl Format {
    /// The kind that a file's name asks for.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.unwrap_or_default().to_ascii_lowercase().as_str() {
            "npz" => Ok(Self::Npz),
            "csv" => Ok(Self::Csv),
            "parquet" => Ok(Self::Parquet),
            _ => Err(Failure::input(
                path,
                "names no kind of table; a summary is written to a file that ends in .npz, .csv or .parquet",
            )),
        }
    }

    /// What names of such files end in.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Npz => "npz",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// Refuses what this program was built without.
    pub(crate) fn check(self) -> Result<Self, Failure> {
        match self {
            Self::Parquet if cfg!(not(feature = "parquet")) => Err(Failure::Input(
                "this program was built without Parquet; write a summary as .npz or .csv, or build it with --features parquet"
                    .to_owned(),
            )),
            format => Ok(format),
        }
    }
}

/// The values of a column, bin after bin.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cells<'a, T> {
    Bool(&'a [bool]),
    Int(&'a [i64]),
    Float(&'a [f64]),
    /// Of the input's type.
    Value(&'a [T]),
    /// x and y.
    Ints(&'a [[i64; 2]]),
    Floats(&'a [[f64; 2]]),
}

/// Does the same with the values of a column, whatever their type.
macro_rules! each {
    ($cells:expr, $values:ident => $action:expr) => {
        match $cells {
            Cells::Bool($values) => $action,
            Cells::Int($values) => $action,
            Cells::Float($values) => $action,
            Cells::Value($values) => $action,
            Cells::Ints($values) => $action,
            Cells::Floats($values) => $action,
        }
    };
}

impl<'a, T: Element + Pod> Cells<'a, T> {
    /// The values as they lie in memory.
    fn bytes(self) -> &'a [u8] {
        each!(self, values => bytemuck::must_cast_slice(values))
    }

    /// Bytes of a value.
    fn width(self) -> usize {
        fn width<C>(_: &[C]) -> usize {
            size_of::<C>()
        }
        each!(self, values => width(values))
    }

    /// Values of the type that these have, from memory that holds such; none where it does not.
    fn like<'b>(self, bytes: &'b [u8]) -> Option<Cells<'b, T>> {
        Some(match self {
            Self::Bool(_) => Cells::Bool(bytemuck::checked::try_cast_slice(bytes).ok()?),
            Self::Int(_) => Cells::Int(bytemuck::cast_slice(bytes)),
            Self::Float(_) => Cells::Float(bytemuck::cast_slice(bytes)),
            Self::Value(_) => Cells::Value(bytemuck::cast_slice(bytes)),
            Self::Ints(_) => Cells::Ints(bytemuck::cast_slice(bytes)),
            Self::Floats(_) => Cells::Floats(bytemuck::cast_slice(bytes)),
        })
    }
}

/// A name, and values: one for each time bin, or one for each of its levels.
#[derive(Debug, Clone, Copy)]
struct Column<'a, T> {
    name: &'static str,
    by_level: bool,
    cells: Cells<'a, T>,
}

/// All columns of a summary, in the order in which they are written.
pub(crate) struct Table<'a, T> {
    bins: usize,
    levels: usize,
    columns: Vec<Column<'a, T>>,
}

impl<'a, T: Element + Pod> Table<'a, T> {
    pub(crate) fn of(summary: &'a Summary<T>) -> Self {
        macro_rules! columns {
            (by bin { $($bin:ident: $bin_kind:ident,)* } by level { $($level:ident: $level_kind:ident,)* }) => {
                vec![
                    $(Column {
                        name: stringify!($bin),
                        by_level: false,
                        cells: Cells::$bin_kind(&summary.$bin),
                    },)*
                    $(Column {
                        name: stringify!($level),
                        by_level: true,
                        // A summary's levels lie bin after bin.
                        cells: Cells::$level_kind(summary.$level.as_slice_memory_order().unwrap_or_default()),
                    },)*
                ]
            };
        }
        Self {
            bins: summary.n_bins(),
            levels: summary.levels(),
            columns: columns! {
                by bin {
                    live: Bool,
                    dominant: Ints,
                    height: Value,
                    prominence: Value,
                    highest_prominence: Value,
                    peaks: Int,
                    minimum: Value,
                    total: Float,
                }
                by level {
                    threshold: Value,
                    area: Int,
                    reached: Int,
                    mass: Float,
                    sums: Ints,
                    centroid: Floats,
                    first: Ints,
                    last: Ints,
                    border: Bool,
                    overlap: Int,
                    dilated_overlap: Int,
                    dilated_union: Int,
                }
            },
        }
    }

    /// Values of a column in a time bin.
    fn per_bin(&self, column: &Column<'_, T>) -> usize {
        if column.by_level { self.levels } else { 1 }
    }

    /// Writes a summary of these levels.
    pub(crate) fn write(
        &self,
        writer: &mut (dyn WriteSeek + '_),
        format: Format,
        levels: &[Level],
        cancel: &CancelToken,
    ) -> io::Result<()> {
        match format {
            Format::Npz => self.write_npz(writer, levels, cancel),
            Format::Csv => self.write_csv(writer, levels, cancel),
            #[cfg(feature = "parquet")]
            Format::Parquet => self.write_parquet(writer, levels, cancel),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Arrays by name: `(n_t,)`, `(n_alpha, n_t)`, those of x and y with one more axis.
    fn write_npz(
        &self,
        writer: &mut (dyn WriteSeek + '_),
        levels: &[Level],
        cancel: &CancelToken,
    ) -> io::Result<()> {
        let mut npz = Npz::new(writer, cancel, &|_| {});
        let (numbers, kinds) = columns(levels);
        npz.member("alpha", &native('f', 8), &[numbers.len()])?;
        npz.values(&numbers)?;
        if let Some(kinds) = kinds {
            npz.member(LEVEL_KIND, KIND_TYPE, &[kinds.len()])?;
            npz.values(&kinds)?;
        }
        for column in &self.columns {
            let (kind, pair) = match column.cells {
                Cells::Bool(_) => ("|b1".to_owned(), false),
                Cells::Int(_) => (native('i', 8), false),
                Cells::Ints(_) => (native('i', 8), true),
                Cells::Float(_) => (native('f', 8), false),
                Cells::Floats(_) => (native('f', 8), true),
                Cells::Value(_) => (native('f', size_of::<T>()), false),
            };
            let mut shape = vec![self.bins];
            if column.by_level {
                shape.insert(0, self.levels);
            }
            if pair {
                shape.push(2);
            }
            npz.member(column.name, &kind, &shape)?;
            let step = self.per_bin(column);
            for level in 0..step {
                each!(column.cells, values => one_level(&mut npz, values, level, step))?;
            }
        }
        npz.finish()
    }

    /// A row for each time bin; columns of a level end in its alpha, those of x and y in `_x` and `_y`. Numbers are written such
    /// that reading them yields the same bits, in few digits: very small and very large ones with an exponent.
    fn write_csv(
        &self,
        writer: &mut (dyn WriteSeek + '_),
        levels: &[Level],
        cancel: &CancelToken,
    ) -> io::Result<()> {
        const ROWS: usize = 1000;
        let fields = self.fields(levels);
        write!(writer, "bin")?;
        for (column, _, ending) in &fields {
            let name = column.name;
            match column.cells {
                Cells::Ints(_) | Cells::Floats(_) => {
                    write!(writer, ",{name}_x{ending},{name}_y{ending}")?;
                }
                _ => write!(writer, ",{name}{ending}")?,
            }
        }
        writeln!(writer)?;
        for t in 0..self.bins {
            if t % ROWS == 0 && cancel.is_cancelled() {
                return Err(interruption());
            }
            write!(writer, "{t}")?;
            for (column, level, _) in &fields {
                let at = t * self.per_bin(column) + level;
                match column.cells {
                    Cells::Bool(values) => write!(writer, ",{}", u8::from(values[at]))?,
                    Cells::Int(values) => write!(writer, ",{}", values[at])?,
                    Cells::Float(values) => write!(writer, ",{:?}", values[at])?,
                    Cells::Value(values) => write!(writer, ",{:?}", values[at])?,
                    Cells::Ints(values) => write!(writer, ",{},{}", values[at][0], values[at][1])?,
                    Cells::Floats(values) => {
                        write!(writer, ",{:?},{:?}", values[at][0], values[at][1])?;
                    }
                }
            }
            writeln!(writer)?;
        }
        Ok(())
    }

    /// Columns of one level each, with its number and what their names end in: level by level, so that what belongs to one mask
    /// stands together.
    fn fields(&self, levels: &[Level]) -> Vec<(&Column<'a, T>, usize, String)> {
        let by_bin = self.columns.iter().filter(|column| !column.by_level);
        let by_level = || self.columns.iter().filter(|column| column.by_level);
        by_bin
            .map(|column| (column, 0, String::new()))
            .chain(
                level_names(levels)
                    .into_iter()
                    .enumerate()
                    .flat_map(|(level, name)| {
                        by_level().map(move |column| (column, level, format!("_{name}")))
                    }),
            )
            .collect()
    }
}

/// Every `step`-th value from number `level` on.
fn one_level<C: NoUninit>(
    npz: &mut Npz<'_, &mut (dyn WriteSeek + '_)>,
    values: &[C],
    level: usize,
    step: usize,
) -> io::Result<()> {
    const BINS: usize = 1 << 15;
    if step == 1 {
        return npz.values(values);
    }
    for piece in values.chunks(step * BINS) {
        let level: Vec<C> = piece.iter().skip(level).step_by(step).copied().collect();
        npz.values(&level)?;
    }
    Ok(())
}

/// What the columns of each level end in: its alpha, or its kind and number, and where that was there before, its place too.
fn level_names(levels: &[Level]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (i, level) in levels.iter().enumerate() {
        let name = level.to_string().replace(' ', "_");
        let taken = names.contains(&name);
        names.push(if taken { format!("{name}_{i}") } else { name });
    }
    names
}

/// Where the rows of a table that is made piece by piece lie in memory: column after column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shelf {
    bins: usize,
    levels: usize,
}

impl Shelf {
    /// Of so many bins and levels.
    pub(crate) fn new(bins: usize, levels: usize) -> Self {
        Self { bins, levels }
    }

    /// Bytes of all rows.
    pub(crate) fn bytes<T: Element + Pod>(self) -> usize {
        let none = Summary::<T>::new();
        let columns = Table::of(&none).columns;
        columns.iter().map(|column| self.room(column)).sum()
    }

    /// Bytes of a column, such that the next one is aligned.
    fn room<T: Element + Pod>(self, column: &Column<'_, T>) -> usize {
        let per_bin = if column.by_level { self.levels } else { 1 };
        (column.cells.width() * per_bin * self.bins).next_multiple_of(size_of::<u64>())
    }

    /// Puts rows where those from time bin `first` on lie.
    pub(crate) fn put<T: Element + Pod>(
        self,
        memory: &mut [u8],
        first: usize,
        rows: &Table<'_, T>,
    ) {
        let mut start = 0;
        for column in &rows.columns {
            let bytes = column.cells.bytes();
            let at = start + column.cells.width() * rows.per_bin(column) * first;
            memory[at..at + bytes.len()].copy_from_slice(bytes);
            start += self.room(column);
        }
    }

    /// The table of all rows; none where the memory holds something else.
    pub(crate) fn table<T: Element + Pod>(self, memory: &[u8]) -> Option<Table<'_, T>> {
        let Self { bins, levels } = self;
        let none = Summary::<T>::new();
        let mut start = 0;
        let columns = Table::of(&none)
            .columns
            .iter()
            .map(|column| {
                let per_bin = if column.by_level { levels } else { 1 };
                let bytes = column.cells.width() * per_bin * bins;
                let values = &memory[start..start + bytes];
                start += self.room(column);
                Some(Column {
                    name: column.name,
                    by_level: column.by_level,
                    cells: column.cells.like(values)?,
                })
            })
            .collect::<Option<_>>()?;
        Some(Table {
            bins,
            levels,
            columns,
        })
    }
}
