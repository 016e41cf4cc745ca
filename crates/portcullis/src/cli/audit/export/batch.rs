//! Records as they are written, before they are: made on many threads, written by one.

use std::io::{self, Write};

use ::audit::{Found, joined};

use super::Format;
use super::parquet::{Columns, ParquetWriter};
use crate::cli::audit::csv;
use crate::cli::audit::row::Row;

/// Records that are not written yet.
pub(super) enum Batch {
    Csv(String),
    Json(String),
    Parquet(Columns),
}

/// Writes batches.
pub(super) enum Writer {
    Text(Box<dyn Write + Send>),
    Parquet(Box<ParquetWriter>),
}

impl Batch {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv(String::new()),
            Format::Json => Self::Json(String::new()),
            Format::Parquet => Self::Parquet(Columns::default()),
        }
    }

    /// Adds a record; returns whether it is one, which it is where its lines were read before.
    pub(super) fn add(&mut self, found: &Found<'_>) -> bool {
        let Ok(json) = joined(found.line, found.outcome) else { return false };
        match self {
            Self::Json(text) => {
                text.push_str(&json);
                text.push('\n');
                return true;
            }
            Self::Csv(text) => Row::read(&json).map(|row| text.push_str(&csv::line(&row))),
            Self::Parquet(columns) => Row::read(&json).map(|row| columns.add(&row)),
        }
        .is_some()
    }

    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Csv(text) | Self::Json(text) => text.len() >= MOST_BYTES,
            Self::Parquet(columns) => columns.bytes() >= MOST_BYTES,
        }
    }
}

impl Writer {
    pub(super) fn start(format: Format, mut out: Box<dyn Write + Send>) -> io::Result<Self> {
        match format {
            Format::Csv => {
                out.write_all(csv::head().as_bytes())?;
                Ok(Self::Text(out))
            }
            Format::Json => Ok(Self::Text(out)),
            Format::Parquet => ParquetWriter::start(out).map(Box::new).map(Self::Parquet),
        }
    }

    /// Writes a batch, and empties it.
    pub(super) fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        match (self, batch) {
            (Self::Text(out), Batch::Csv(text) | Batch::Json(text)) => {
                out.write_all(text.as_bytes())?;
                text.clear();
                Ok(())
            }
            (Self::Parquet(writer), Batch::Parquet(columns)) => writer.write(columns),
            (Self::Text(_), Batch::Parquet(_)) | (Self::Parquet(_), Batch::Csv(_) | Batch::Json(_)) => Ok(()),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Text(mut out) => out.flush(),
            Self::Parquet(writer) => writer.finish(),
        }
    }
}

/// How much is held for a segment whose turn has not come.
const MOST_BYTES: usize = 4 * 1024 * 1024;
