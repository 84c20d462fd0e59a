//! Summaries as `.parquet`: the columns of the `.csv`, as numbers of their own types.

use std::io;
use std::sync::Arc;

use ::parquet::basic::{Repetition, Type as Physical};
use ::parquet::data_type::{BoolType, DataType, DoubleType, FloatType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::Type;
use bytemuck::Pod;
use peakmask::{CancelToken, Dtype, Element, Level};

use super::{Cells, Table};
use crate::output::{WriteSeek, interruption};

/// The most time bins of a row group, which readers take at a time.
const ROWS: usize = 1 << 17;

type Group<'g, 'a, 'w> = SerializedRowGroupWriter<'g, &'a mut (dyn WriteSeek + 'w)>;

impl<T: Element + Pod> Table<'_, T> {
    /// A row for each time bin, with the names that the `.csv` has.
    pub(super) fn write_parquet(
        &self,
        writer: &mut (dyn WriteSeek + '_),
        levels: &[Level],
        cancel: &CancelToken,
    ) -> io::Result<()> {
        let fields = self.fields(levels);
        let mut columns = vec![column("bin".to_owned(), Physical::INT64)?];
        for (field, _, ending) in &fields {
            let name = field.name;
            match field.cells {
                Cells::Ints(_) | Cells::Floats(_) => {
                    let kind = physical(field.cells);
                    columns.push(column(format!("{name}_x{ending}"), kind)?);
                    columns.push(column(format!("{name}_y{ending}"), kind)?);
                }
                _ => columns.push(column(format!("{name}{ending}"), physical(field.cells))?),
            }
        }
        let schema = Type::group_type_builder("summary")
            .with_fields(columns)
            .build()?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("peakmask version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let mut file = SerializedFileWriter::new(writer, Arc::new(schema), Arc::new(properties))?;
        for first in (0..self.bins).step_by(ROWS) {
            let n = ROWS.min(self.bins - first);
            let mut group = file.next_row_group()?;
            let bins: Vec<_> = (first..first + n).map(|bin| bin as i64).collect();
            put::<Int64Type>(&mut group, &bins)?;
            for (field, level, _) in &fields {
                if cancel.is_cancelled() {
                    return Err(interruption());
                }
                let step = self.per_bin(field);
                let rows = Rows {
                    from: first * step + level,
                    step,
                    n,
                };
                match field.cells {
                    Cells::Bool(values) => put::<BoolType>(&mut group, &rows.of(values, |v| v))?,
                    Cells::Int(values) => put::<Int64Type>(&mut group, &rows.of(values, |v| v))?,
                    Cells::Float(values) => put::<DoubleType>(&mut group, &rows.of(values, |v| v))?,
                    Cells::Value(values) => {
                        let values = rows.of(values, |v| v);
                        match T::DTYPE {
                            Dtype::F32 => {
                                put::<FloatType>(&mut group, bytemuck::cast_slice(&values))?;
                            }
                            Dtype::F64 => {
                                put::<DoubleType>(&mut group, bytemuck::cast_slice(&values))?;
                            }
                        }
                    }
                    Cells::Ints(values) => {
                        for axis in [0, 1] {
                            put::<Int64Type>(&mut group, &rows.of(values, |v| v[axis]))?;
                        }
                    }
                    Cells::Floats(values) => {
                        for axis in [0, 1] {
                            put::<DoubleType>(&mut group, &rows.of(values, |v| v[axis]))?;
                        }
                    }
                }
            }
            group.close()?;
        }
        file.close()?;
        Ok(())
    }
}

/// Rows of one level of a column whose values lie bin after bin.
struct Rows {
    from: usize,
    step: usize,
    n: usize,
}

impl Rows {
    fn of<C: Copy, V>(&self, values: &[C], value: impl Fn(C) -> V) -> Vec<V> {
        let values = values[self.from..].iter().step_by(self.step);
        values.take(self.n).map(|&cell| value(cell)).collect()
    }
}

/// The type of a column's numbers.
fn physical<T: Element>(cells: Cells<'_, T>) -> Physical {
    match cells {
        Cells::Bool(_) => Physical::BOOLEAN,
        Cells::Int(_) | Cells::Ints(_) => Physical::INT64,
        Cells::Float(_) | Cells::Floats(_) => Physical::DOUBLE,
        Cells::Value(_) => match T::DTYPE {
            Dtype::F32 => Physical::FLOAT,
            Dtype::F64 => Physical::DOUBLE,
        },
    }
}

fn column(name: String, kind: Physical) -> io::Result<Arc<Type>> {
    let column = Type::primitive_type_builder(&name, kind)
        .with_repetition(Repetition::REQUIRED)
        .build()?;
    Ok(Arc::new(column))
}

/// Writes the next column of a row group.
fn put<D: DataType>(group: &mut Group<'_, '_, '_>, values: &[D::T]) -> io::Result<()> {
    let Some(mut column) = group.next_column()? else {
        return Err(io::Error::other(
            "there are more columns than were declared",
        ));
    };
    column.typed::<D>().write_batch(values, None, None)?;
    column.close()?;
    Ok(())
}
