//! Records as columns of a Parquet file. A row group is written when it is full, so memory does not grow with the file.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use crate::cli::audit::columns::{COLUMNS, Column, Sort};
use crate::cli::audit::row::Row;

/// Records as columns.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Cells>,
    rows: usize,
    bytes: usize,
}

/// What is in one column.
#[derive(Debug)]
struct Cells {
    column: Column,
    values: Values,
    // How much of the path to each value is there, and which path it repeats (the Dremel encoding of the format).
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

#[derive(Debug)]
enum Values {
    Text(Vec<ByteArray>),
    Small(Vec<i32>),
    Large(Vec<i64>),
    Decimal(Vec<f64>),
}

impl Default for Columns {
    fn default() -> Self {
        Self { columns: COLUMNS.iter().copied().map(Cells::new).collect(), rows: 0, bytes: 0 }
    }
}

impl Columns {
    /// Adds a record.
    pub(super) fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.bytes += self.columns.iter_mut().map(|cells| cells.add(row)).sum::<usize>();
    }

    /// Returns about how much memory they take.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes all out of others.
    fn append(&mut self, others: &mut Self) {
        self.columns.iter_mut().zip(&mut others.columns).for_each(|(cells, more)| cells.append(more));
        self.rows += mem::take(&mut others.rows);
        self.bytes += mem::take(&mut others.bytes);
    }
}

impl Cells {
    fn new(column: Column) -> Self {
        let values = match column.sort {
            Sort::Text | Sort::Texts | Sort::Json => Values::Text(Vec::new()),
            Sort::Small => Values::Small(Vec::new()),
            Sort::Time | Sort::Large => Values::Large(Vec::new()),
            Sort::Decimal => Values::Decimal(Vec::new()),
        };
        Self { column, values, definition: Vec::new(), repetition: Vec::new() }
    }

    /// Adds the value of a row; returns how much memory it takes.
    fn add(&mut self, row: &Row) -> usize {
        let value = row.value(self.column.pointer);
        if let (Sort::Texts, Values::Text(values)) = (self.column.sort, &mut self.values) {
            let texts = value.and_then(Value::as_array).map(Vec::as_slice);
            let definition = texts.map_or(ABSENT, |texts| if texts.is_empty() { EMPTY } else { ITEM });
            let items = texts.unwrap_or_default();
            self.definition.resize(self.definition.len() + items.len().max(1), definition);
            self.repetition.push(NEW_ROW);
            self.repetition.resize(self.definition.len(), SAME_ROW);
            return items.iter().map(|item| push_text(values, item.as_str().unwrap_or_default())).sum::<usize>() + CELL;
        }
        let added = match &mut self.values {
            Values::Text(values) => match (self.column.sort, value) {
                (_, None) => None,
                (Sort::Json, Some(value)) => Some(push_text(values, &value.to_string())),
                (_, Some(value)) => value.as_str().map(|text| push_text(values, text)),
            },
            Values::Small(values) => push(values, value.and_then(Value::as_i64).and_then(|is| is.try_into().ok())),
            Values::Large(values) if self.column.sort == Sort::Time => push(values, Some(row.time.as_microsecond())),
            Values::Large(values) => push(values, value.and_then(Value::as_i64)),
            Values::Decimal(values) => push(values, value.and_then(Value::as_f64)),
        };
        self.definition.push(if added.is_some() { PRESENT } else { ABSENT });
        added.unwrap_or_default() + CELL
    }

    fn append(&mut self, other: &mut Self) {
        match (&mut self.values, &mut other.values) {
            (Values::Text(values), Values::Text(more)) => values.append(more),
            (Values::Small(values), Values::Small(more)) => values.append(more),
            (Values::Large(values), Values::Large(more)) => values.append(more),
            (Values::Decimal(values), Values::Decimal(more)) => values.append(more),
            (Values::Text(_) | Values::Small(_) | Values::Large(_) | Values::Decimal(_), _) => {}
        }
        self.definition.append(&mut other.definition);
        self.repetition.append(&mut other.repetition);
    }

    fn write(&self, to: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match &self.values {
            Values::Text(values) => self.write_as::<ByteArrayType>(values, to),
            Values::Small(values) => self.write_as::<Int32Type>(values, to),
            Values::Large(values) => self.write_as::<Int64Type>(values, to),
            Values::Decimal(values) => self.write_as::<DoubleType>(values, to),
        }
    }

    fn write_as<T: DataType>(&self, values: &[T::T], to: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let definition = (self.column.sort != Sort::Time).then_some(&*self.definition);
        let repetition = (self.column.sort == Sort::Texts).then_some(&*self.repetition);
        to.typed::<T>().write_batch(values, definition, repetition).map(drop)
    }
}

fn push<T>(values: &mut Vec<T>, value: Option<T>) -> Option<usize> {
    values.push(value?);
    Some(size_of::<T>())
}

fn push_text(values: &mut Vec<ByteArray>, text: &str) -> usize {
    values.push(text.into());
    text.len() + size_of::<ByteArray>()
}

/// Writes columns to a file.
pub(super) struct ParquetWriter {
    file: SerializedFileWriter<Box<dyn Write + Send>>,
    waiting: Columns,
}

impl ParquetWriter {
    pub(super) fn start(out: Box<dyn Write + Send>) -> io::Result<Self> {
        let columns: String = COLUMNS.iter().map(schema).collect();
        let schema = parse_message_type(&format!("message record {{ {columns}}}")).map_err(io_error)?;
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(compression).set_created_by(CREATED_BY.to_owned());
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build())).map_err(io_error)?;
        Ok(Self { file, waiting: Columns::default() })
    }

    /// Takes all out of some columns; writes what makes a row group.
    pub(super) fn write(&mut self, columns: &mut Columns) -> io::Result<()> {
        self.waiting.append(columns);
        if self.waiting.bytes >= ROW_GROUP_BYTES || self.waiting.rows >= ROW_GROUP_ROWS {
            self.write_group()
        } else {
            Ok(())
        }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.waiting.rows > 0 {
            self.write_group()?;
        }
        self.file.into_inner().map_err(io_error)?.flush()
    }

    fn write_group(&mut self) -> io::Result<()> {
        let columns = mem::take(&mut self.waiting);
        let mut group = self.file.next_row_group().map_err(io_error)?;
        for cells in &columns.columns {
            if let Some(mut column) = group.next_column().map_err(io_error)? {
                cells.write(&mut column).and_then(|()| column.close()).map_err(io_error)?;
            }
        }
        group.close().map(drop).map_err(io_error)
    }
}

/// Returns a column as the schema language of Parquet writes it.
fn schema(column: &Column) -> String {
    let Column { name, sort, .. } = column;
    match sort {
        Sort::Time => format!("required int64 {name} (TIMESTAMP(MICROS,true)); "),
        Sort::Text => format!("optional binary {name} (STRING); "),
        Sort::Texts => {
            format!("optional group {name} (LIST) {{ repeated group list {{ required binary element (STRING); }} }} ")
        }
        Sort::Small => format!("optional int32 {name}; "),
        Sort::Large => format!("optional int64 {name}; "),
        Sort::Decimal => format!("optional double {name}; "),
        Sort::Json => format!("optional binary {name} (JSON); "),
    }
}

/// Returns what failed below, so that a reader that went away is known.
fn io_error(error: ParquetError) -> io::Error {
    let ParquetError::External(source) = error else { return io::Error::other(error) };
    source.downcast::<io::Error>().map_or_else(io::Error::other, |error| *error)
}

const CREATED_BY: &str = concat!("portcullis version ", env!("CARGO_PKG_VERSION"));

const ABSENT: i16 = 0;
const PRESENT: i16 = 1;
/// A list that is there and has nothing in it...
const EMPTY: i16 = 1;
/// ...and an item of one that has.
const ITEM: i16 = 2;
const NEW_ROW: i16 = 0;
const SAME_ROW: i16 = 1;

/// What a cell takes beside its value.
const CELL: usize = 4;

/// A row group is in memory until it is written; larger ones are read faster.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;
const ROW_GROUP_ROWS: usize = 64 * 1024;

#[cfg(test)]
mod tests;
