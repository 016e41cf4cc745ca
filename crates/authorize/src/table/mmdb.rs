//! MaxMind DB (the specification's version 2.0): its tree becomes networks, its records become rows.

mod fields;
mod tree;

use super::TableError;
use super::networks::Networks;
use super::objects::Objects;
use crate::value::Value;
use fields::Fields;
use tree::Tree;

/// A database.
pub(super) struct Database {
    /// What it calls itself, such as `GeoLite2-Country`.
    pub(super) kind: Box<str>,
    pub(super) networks: Networks,
    /// Its records, each once.
    pub(super) records: Objects,
}

/// What is wrong with the bytes of a database.
type Damage = &'static str;

/// Reads a database whole, so that one that is damaged anywhere is refused.
pub(super) fn read(bytes: &[u8]) -> Result<Database, TableError> {
    try_read(bytes)
        .map_err(|damage| TableError::new(format!("not a MaxMind DB, or a damaged one ({damage}): fetch it again")))
}

fn try_read(bytes: &[u8]) -> Result<Database, Damage> {
    let end = marker(bytes).ok_or("there is no metadata")?;
    let mut metadata = Fields::new(bytes.get(end + MARKER.len()..).unwrap_or_default());
    metadata.row(0)?;
    let metadata = metadata.finish();
    let member = |name| metadata.get(0).and_then(|metadata| metadata.get(name));
    let number = |name| match member(name) {
        Some(Value::Uint(number)) => u32::try_from(number).map_err(|_| "a number of the metadata is too large"),
        Some(_) | None => Err("a number of the metadata is missing"),
    };
    if number("binary_format_major_version")? != 2 {
        return Err("the format has another version than 2");
    }
    let Some(Value::Text(kind)) = member("database_type") else { return Err("the metadata name no type") };
    let tree = Tree::read(bytes, number("node_count")?, number("record_size")?)?;
    let mut records = Fields::new(bytes.get(tree.end() + SEPARATOR..end).ok_or("the tree goes beyond the file")?);
    let networks = tree.networks(number("ip_version")?, |at| {
        records.row(at.checked_sub(SEPARATOR).ok_or("the tree leads to no record")?)
    })?;
    Ok(Database { kind: kind.into(), networks, records: records.finish() })
}

/// Finds the last marker of metadata.
fn marker(bytes: &[u8]) -> Option<usize> {
    let from = bytes.len().saturating_sub(MAX_METADATA);
    let last = bytes.get(from..)?.windows(MARKER.len()).rposition(|window| window == MARKER)?;
    Some(from + last)
}

/// What comes before the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The metadata begin in so many last bytes of the file.
const MAX_METADATA: usize = 128 * 1024;
/// The zeros between tree and records.
const SEPARATOR: usize = 16;
