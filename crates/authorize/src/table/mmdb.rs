//! MaxMind DB: looked up in the bytes as they are, and decoded only as far as a condition reads.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::row::walk;
use super::{Names, TableError, shown};
use crate::evaluate::size;
use crate::failure::Failure;
use crate::value::{Map, Value};

/// A database.
#[derive(Debug)]
pub(crate) struct Database(Reader<Vec<u8>>);

/// A record that was found.
#[derive(Debug)]
pub(crate) struct Found<'a>(LookupResult<'a, Vec<u8>>);

impl Database {
    /// Takes a database, after looking at a sample of its records.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, TableError> {
        let damaged = |error: &MaxMindDbError| {
            TableError::new(format!("not a MaxMind DB, or a damaged one ({}): fetch it again", cause(error)))
        };
        let database = Self(Reader::from_source(bytes).map_err(|error| damaged(&error))?);
        database.sample(|_| {}).map_err(|error| damaged(&error))?;
        Ok(database)
    }

    /// Returns what the database calls itself, such as `GeoLite2-Country`.
    pub(super) fn kind(&self) -> &str {
        &self.0.metadata().database_type
    }

    pub(super) fn nodes(&self) -> usize {
        self.0.metadata().node_count as usize
    }

    /// Collects the names of fields in a sample: a database does not say which it has.
    pub(super) fn names(&self) -> Names {
        let mut names = Names::default();
        // A database whose sample does not decode was refused.
        let _ = self.sample(|value| collect(&mut names, value));
        names
    }

    /// Decodes records that differ, as many as a load has time for.
    fn sample(&self, mut each: impl FnMut(&Value<'_>)) -> Result<(), MaxMindDbError> {
        let mut seen = HashSet::new();
        let mut values = 0;
        for found in self.0.networks(WithinOptions::default())?.take(MAX_SAMPLED_NETWORKS) {
            let found = found?;
            if found.offset().is_some_and(|offset| seen.insert(offset))
                && let Some(Decoded(value)) = found.decode()?
            {
                each(&value);
                values += 1 + size(&value);
            }
            if values >= MAX_SAMPLED_VALUES {
                break;
            }
        }
        Ok(())
    }

    /// Returns the record of an address.
    pub(super) fn find(&self, address: IpAddr) -> Result<Option<Found<'_>>, Failure> {
        if address.is_ipv6() && self.0.metadata().ip_version == 4 {
            return Ok(None);
        }
        let found = self.0.lookup(address).map_err(|_| DAMAGED)?;
        Ok(found.has_data().then_some(Found(found)))
    }
}

impl<'a> Found<'a> {
    pub(super) fn at(self, path: &[Arc<str>]) -> Result<Value<'a>, Failure> {
        // A path on the stack: what lies deeper is followed in the value.
        let mut elements = [const { PathElement::Index(0) }; MAX_PATH];
        for (element, name) in elements.iter_mut().zip(path) {
            *element = PathElement::Key(name);
        }
        let (path, rest) = path.split_at(path.len().min(MAX_PATH));
        let elements = elements.get(..path.len()).unwrap_or_default();
        match self.0.decode_path(elements) {
            Ok(Some(Decoded(value))) => walk(value, rest),
            Ok(None) => Err(self.missing(path, elements)),
            Err(MaxMindDbError::Decoding { .. }) => Err(Failure::NoOverload("field selection")),
            Err(_) => Err(DAMAGED),
        }
    }

    /// Tells at which name the path breaks off.
    fn missing(&self, path: &[Arc<str>], elements: &[PathElement<'_>]) -> Failure {
        let is_there = |length: &usize| {
            let found = elements.get(..*length).map(|part| self.0.decode_path::<IgnoredAny>(part));
            matches!(found, Some(Ok(Some(_))))
        };
        let reached = (1..path.len()).take_while(is_there).count();
        path.get(reached).map_or(DAMAGED, |name| Failure::NoSuchKey(Arc::clone(name)))
    }
}

/// A record, borrowed from the database wherever that can be.
struct Decoded<'a>(Value<'a>);

impl<'de> Deserialize<'de> for Decoded<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecodedVisitor).map(Self)
    }
}

struct DecodedVisitor;

impl<'de> Visitor<'de> for DecodedVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Uint(value))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value<'de>, E> {
        u64::try_from(value).map(Value::Uint).map_err(|_| E::custom("a number of more than 64 bits"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Double(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::text(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::text(value.to_owned()))
    }

    fn visit_borrowed_bytes<E>(self, value: &'de [u8]) -> Result<Value<'de>, E> {
        Ok(Value::Bytes(value.into()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value<'de>, E> {
        Ok(Value::Bytes(value.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(Decoded(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::list(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let mut map: Vec<(Value<'de>, Value<'de>)> = Vec::new();
        while let Some((Decoded(name), Decoded(value))) = entries.next_entry()? {
            if !matches!(name, Value::Text(_)) {
                return Err(A::Error::custom("a name that is no text"));
            }
            map.push((name, value));
        }
        Ok(Value::Map(Map::Values(map.into())))
    }
}

fn collect(names: &mut Names, value: &Value<'_>) {
    let Value::Map(Map::Values(entries)) = value else { return };
    for (name, value) in entries.iter() {
        if let Value::Text(name) = name
            && let Some(below) = names.below(name)
        {
            collect(below, value);
        }
    }
}

/// Says what is wrong without the offsets and types of the library.
fn cause(error: &MaxMindDbError) -> String {
    let text = error.to_string().to_lowercase();
    shown(text.lines().next().unwrap_or_default()).trim_matches('`').to_owned()
}

const DAMAGED: Failure = Failure::Invalid("the table is damaged where this was looked up");

/// How deep a path may lead into a record before what it leads to is decoded whole.
const MAX_PATH: usize = 8;
/// Values that are decoded when a database is read: a few milliseconds.
const MAX_SAMPLED_VALUES: usize = 100_000;
/// Networks that are gone through for them.
const MAX_SAMPLED_NETWORKS: usize = 200_000;
