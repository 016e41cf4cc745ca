//! One row of a table, and the way along a path into it.

use std::sync::Arc;

use super::csv::Records;
use super::objects::Object;
use crate::failure::Failure;
use crate::value::{List, Map, Value};

/// A row that was found.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    Record(Record<'a>),
    Object(Object<'a>),
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
        match (self, path) {
            (Self::Record(record), []) => Ok(Value::Map(Map::Record(record))),
            (Self::Object(object), []) => Ok(Value::Map(Map::Object(object))),
            (Self::Record(record), [name, rest @ ..]) => walk(record.get(name).map(Value::text), name, rest),
            (Self::Object(object), [name, rest @ ..]) => walk(object.get(name), name, rest),
        }
    }
}

/// Follows a path on from what lies at `name`.
fn walk<'a>(value: Option<Value<'a>>, name: &Arc<str>, path: &[Arc<str>]) -> Result<Value<'a>, Failure> {
    match (value, path) {
        (None, _) => Err(Failure::NoSuchKey(Arc::clone(name))),
        (Some(value), []) => Ok(value),
        (Some(Value::Map(map)), [name, rest @ ..]) => walk(map.get_text(name), name, rest),
        (Some(_), _) => Err(Failure::NoOverload("field selection")),
    }
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
