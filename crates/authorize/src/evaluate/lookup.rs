//! Looking things up in tables.

use std::cell::OnceCell;
use std::sync::Arc;

use super::Evaluation;
use crate::code::{Lookup, LookupKey};
use crate::failure::Failure;
use crate::table::{Held, Key, Rows};
use crate::value::{Map, Value};

/// The rows that one evaluation reads, each table held when it is first asked: a condition sees one version of a table
/// from its beginning to its end, and values are borrowed from it.
#[derive(Debug, Default)]
pub(crate) struct HeldTables([OnceCell<Held>; MAX_TABLES]);

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn lookup(&mut self, lookup: &'a Lookup) -> Result<Value<'a>, Failure> {
        let rows = self.rows(lookup)?;
        let found = match &lookup.key {
            LookupKey::Address(address) => rows.find(Key::Address(address.of(self.input).get()))?,
            LookupKey::Value(code) => match self.value(code)? {
                Value::Text(text) => {
                    self.spend(text.len() / BYTES_PER_STEP)?;
                    rows.find(Key::Text(&text))?
                }
                Value::Ip(address) => rows.find(Key::Address(address))?,
                _ => return Err(Failure::NoOverload("lookup")),
            },
        };
        self.spend(LOOKUP)?;
        let Some(row) = found else {
            return match lookup.path.first() {
                Some(name) => Err(Failure::NoSuchKey(name.clone())),
                None => Ok(Value::Map(Map::Empty)),
            };
        };
        let value = row.at(&lookup.path)?;
        self.charged(value)
    }

    /// As `has()` everywhere: only the last name may be missing.
    pub(super) fn has_lookup(&mut self, lookup: &'a Lookup) -> Result<bool, Failure> {
        match self.lookup(lookup) {
            Ok(_) => Ok(true),
            Err(Failure::NoSuchKey(name)) if lookup.path.last().is_some_and(|last| Arc::ptr_eq(last, &name)) => {
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    fn rows(&self, lookup: &'a Lookup) -> Result<&'a Rows, Failure> {
        let held = self.tables.0.get(lookup.slot).map(|slot| slot.get_or_init(|| lookup.table.hold()));
        held.and_then(|held| held.as_deref()).ok_or_else(|| Failure::TableNotLoaded(lookup.name.clone()))
    }
}

/// The tables that one condition may read.
pub(crate) const MAX_TABLES: usize = 4;
/// The steps that one lookup costs.
const LOOKUP: usize = 5;
/// The bytes of a key that count as one step.
const BYTES_PER_STEP: usize = 64;
