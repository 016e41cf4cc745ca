//! What values cost, in steps of the budget.

use crate::function::MAX_TEXT;
use crate::value::{BYTES_PER_STEP, Map, SCANNED_PER_STEP, Value};

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
