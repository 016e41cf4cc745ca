//! What values cost, in steps of the budget.

use crate::function::MAX_TEXT;
use crate::value::{BYTES_PER_STEP, List, Map, SCANNED_PER_STEP, Value};

/// What going through all headers costs at least.
const ALL_HEADERS: usize = 500;

/// What handling a value costs beyond the operation itself.
pub(crate) fn weight(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len().min(MAX_TEXT) / BYTES_PER_STEP,
        Value::Bytes(bytes) => bytes.len() / BYTES_PER_STEP,
        Value::List(list) => list.len() / SCANNED_PER_STEP,
        // Going through the headers joins and decodes them all.
        Value::Map(Map::Headers(_)) => ALL_HEADERS,
        _ => 0,
    }
}

/// What making a value costs that was decoded out of a table, with all that is in it.
pub(crate) fn size(value: &Value<'_>) -> usize {
    match value {
        Value::List(List::Values(items)) => items.iter().map(|item| 1 + size(item)).sum(),
        Value::Map(Map::Values(entries)) => entries.iter().map(|(_, value)| 2 + size(value)).sum(),
        _ => 0,
    }
}
