//! The tables of `data:`: rows by text or by network, which conditions look up. Reading files and asking servers is
//! done elsewhere; here bytes become rows.

mod csv;
mod index;
mod json;
mod mmdb;
mod names;
mod networks;
mod objects;
mod row;

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};

use crate::failure::Failure;
use crate::value::{Map, Value};
use index::Index;
pub(crate) use index::Key;
pub(crate) use names::Names;
use objects::Objects;
pub(crate) use objects::{Items, Object};
pub(crate) use row::{Record, Row};

/// One table. What is in it is replaced whole, while conditions look things up.
#[derive(Debug)]
pub struct Table {
    key: KeyType,
    rows: ArcSwapOption<Rows>,
}

/// What rows are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// A text, which must be the same.
    Text,
    /// An address, in the longest network that holds it.
    Network,
}

/// How the bytes of a table are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What rows are found by; [`KeyType::Network`] for [`Format::Mmdb`].
    pub key: KeyType,
    /// What the bytes are.
    pub format: Format,
}

/// What the bytes of a table are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A MaxMind DB.
    Mmdb,
    /// Comma-separated values (RFC 4180).
    Csv {
        /// The column that is the key.
        key: String,
        /// The names of the columns; empty where the first line has them.
        columns: Vec<String>,
    },
    /// A list of objects, or an object of objects.
    Json {
        /// The member of each row that is the key; none where the outer object names the rows.
        key: Option<String>,
    },
}

/// All rows of a table as they were read at one time.
#[derive(Debug)]
pub struct Rows(Content);

#[derive(Debug)]
enum Content {
    Csv(Index, csv::Records),
    Objects {
        /// What a MaxMind DB calls itself.
        kind: Option<Box<str>>,
        index: Index,
        objects: Objects,
        names: Names,
    },
}

/// Why bytes are no table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError {
    /// Line and column, both from 1, where there are such.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::error::Error for TableError {}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, 1)) => write!(f, "line {line}: ")?,
            Some((line, column)) => write!(f, "line {line}, column {column}: ")?,
            None => {}
        }
        f.write_str(&self.message)
    }
}

impl TableError {
    fn new(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into() }
    }

    fn at(line: usize, column: usize, message: impl Into<String>) -> Self {
        Self { place: Some((line, column)), message: message.into() }
    }
}

/// What is known of the fields of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fields {
    /// Nothing: no row was read yet.
    Unknown,
    /// Every row has these, all of them texts.
    Columns(Names),
    /// Some row has each of these; another may come with others.
    Seen(Names),
}

/// The rows of a table, held for the time of one evaluation.
pub(crate) type Held = Guard<Option<Arc<Rows>>>;

impl Table {
    /// Makes a table that nothing was read into: looking something up in it fails.
    #[must_use]
    pub const fn new(key: KeyType) -> Self {
        Self { key, rows: ArcSwapOption::const_empty() }
    }

    /// Puts other rows in the place of those that are there.
    pub fn replace(&self, rows: Rows) {
        self.rows.store(Some(Arc::new(rows)));
    }

    /// Puts other rows, or none, in the place of those that are there, and returns those.
    pub fn exchange(&self, rows: Option<Arc<Rows>>) -> Option<Arc<Rows>> {
        self.rows.swap(rows)
    }

    /// Returns the rows that are there.
    #[must_use]
    pub fn rows(&self) -> Option<Arc<Rows>> {
        self.rows.load_full()
    }

    pub(crate) const fn key(&self) -> KeyType {
        self.key
    }

    pub(crate) fn hold(&self) -> Held {
        self.rows.load()
    }
}

impl PartialEq for Table {
    /// A table is the same as itself alone: what is in it changes.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Rows {
    /// Reads rows.
    ///
    /// # Errors
    /// The bytes are no such table.
    pub fn read(layout: &Layout, bytes: Vec<u8>) -> Result<Self, TableError> {
        Ok(Self(match &layout.format {
            Format::Mmdb => {
                let mmdb::Database { kind, networks, records } = mmdb::read(&bytes)?;
                Content::objects(Some(kind), Index::Networks(networks), records)
            }
            Format::Csv { key, columns } => {
                let (records, keys) = csv::read(&text(bytes)?, key, columns)?;
                Content::Csv(Index::new(layout.key, keys)?, records)
            }
            Format::Json { key } => {
                let (objects, keys) = json::read(&text(bytes)?, key.as_deref())?;
                Content::objects(None, Index::new(layout.key, keys)?, objects)
            }
        }))
    }

    /// Returns the number of rows; for a MaxMind DB that of records that differ.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.0 {
            Content::Csv(_, records) => records.len(),
            Content::Objects { objects, .. } => objects.len(),
        }
    }

    /// Returns why these rows cannot take the place of `before`: conditions were checked against what those have.
    ///
    /// # Errors
    /// A column is gone, or another kind of database came.
    pub fn check_successor_of(&self, before: &Self) -> Result<(), TableError> {
        match (&self.0, &before.0) {
            (Content::Csv(_, new), Content::Csv(_, old)) => {
                let lost = old.columns().iter().find(|column| !new.columns().contains(column));
                lost.map_or(Ok(()), |column| {
                    let message =
                        format!("the column {} is gone: put it back, or reload the configuration", shown(column));
                    Err(TableError::at(1, 1, message))
                })
            }
            (Content::Objects { kind: Some(new), .. }, Content::Objects { kind: Some(old), .. }) if new != old => {
                Err(TableError::new(format!(
                    "the database is of the type {}, and was {}: put the right one back, or reload the configuration",
                    shown(new),
                    shown(old)
                )))
            }
            (Content::Csv(..) | Content::Objects { .. }, _) => Ok(()),
        }
    }

    /// Returns the columns of a CSV table.
    #[must_use]
    pub fn columns(&self) -> Option<&[Box<str>]> {
        match &self.0 {
            Content::Csv(_, records) => Some(records.columns()),
            Content::Objects { .. } => None,
        }
    }

    /// Returns what is known of the fields.
    pub(crate) fn fields(&self) -> Fields {
        match &self.0 {
            Content::Csv(_, records) => Fields::Columns(Names::of(records.columns().iter().cloned())),
            Content::Objects { objects, .. } if objects.len() == 0 => Fields::Unknown,
            Content::Objects { names, .. } => Fields::Seen(names.clone()),
        }
    }

    /// Returns the row of a key.
    pub(crate) fn find(&self, key: Key<'_>) -> Result<Option<Row<'_>>, Failure> {
        match &self.0 {
            Content::Csv(index, records) => Ok(index.find(key)?.map(|row| Row::Record(records.get(row)))),
            Content::Objects { index, objects, .. } => {
                Ok(index.find(key)?.and_then(|row| objects.get(row)).map(Row::Object))
            }
        }
    }
}

impl Content {
    fn objects(kind: Option<Box<str>>, index: Index, objects: Objects) -> Self {
        let mut names = Names::default();
        // The records of a MaxMind DB are large, and much alike.
        let (step, mut left) = match &kind {
            Some(_) => (objects.len().div_ceil(MAX_SAMPLED).max(1), MAX_SAMPLED_VALUES),
            None => (1, usize::MAX),
        };
        for object in (0..objects.len()).step_by(step).filter_map(|row| objects.get(row)) {
            names.collect(&Value::Map(Map::Object(object)), &mut left);
        }
        Self::Objects { kind, index, objects, names }
    }
}

fn text(bytes: Vec<u8>) -> Result<String, TableError> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        TableError::at(line, 1, "the line is not UTF-8: save the file as UTF-8")
    })
}

/// Puts what stands in a table in back-ticks, on one line and of bounded length.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    let more = if cut.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", cut.replace(char::is_control, "\u{fffd}"))
}

/// Rows of one table; more belong into a database.
const MAX_ROWS: usize = 5_000_000;
/// Records of a MaxMind DB that are gone through for the names of fields, spread evenly.
const MAX_SAMPLED: usize = 20_000;
/// Values in them: some tenths of a second.
const MAX_SAMPLED_VALUES: usize = 2_000_000;
/// Characters of a table that a message repeats.
const MAX_SHOWN: usize = 80;

#[cfg(test)]
mod tests;
