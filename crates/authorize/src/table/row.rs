//! One row of a table, and the way along a path into it.

use std::sync::Arc;

use super::csv::Records;
use super::json::Object;
use super::mmdb;
use crate::failure::Failure;
use crate::value::{List, Map, Value};

/// A row that was found.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    Record(Record<'a>),
    Object(&'a Object),
    Mmdb(mmdb::Found<'a>),
}

/// A record of a CSV file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    records: &'a Records,
    row: usize,
}

impl<'a> Row<'a> {
    /// Returns what lies at the end of the path. Where it breaks off, the first name that is missing is told.
    pub(crate) fn at(self, path: &[Arc<str>]) -> Result<Value<'a>, Failure> {
        match self {
            Self::Record(record) => walk(Value::Map(Map::Record(record)), path),
            Self::Object(object) => walk(Value::Map(Map::Json(object)), path),
            Self::Mmdb(found) => found.at(path),
        }
    }
}

/// Follows a path into a value.
pub(super) fn walk<'a>(from: Value<'a>, path: &[Arc<str>]) -> Result<Value<'a>, Failure> {
    path.iter().try_fold(from, |value, name| {
        let Value::Map(map) = value else { return Err(Failure::NoOverload("field selection")) };
        map.get_text(name).ok_or_else(|| Failure::NoSuchKey(Arc::clone(name)))
    })
}

impl<'a> Record<'a> {
    pub(super) const fn new(records: &'a Records, row: usize) -> Self {
        Self { records, row }
    }

    /// Returns the number of fields.
    pub(crate) const fn len(self) -> usize {
        self.records.columns().len()
    }

    /// Returns the field of a column.
    pub(crate) fn get(self, column: &str) -> Option<&'a str> {
        let column = self.records.columns().iter().position(|known| **known == *column)?;
        Some(self.records.field(self.row, column))
    }

    /// Returns the names of the columns.
    pub(crate) const fn columns(self) -> List<'a> {
        List::Texts(self.records.columns())
    }
}
