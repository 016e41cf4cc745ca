//! What values cost, in steps of the budget.

use crate::function::MAX_TEXT;
use crate::value::{List, Map, Value};

/// The bytes of a text that count as one step.
const BYTES_PER_STEP: usize = 64;
/// What going through all headers, or comparing a list or map in depth, costs at least.
const WHOLE: usize = 500;

/// What handling a value costs beyond the operation itself.
pub(super) fn weight(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len().min(MAX_TEXT) / BYTES_PER_STEP,
        Value::Bytes(bytes) => bytes.len() / BYTES_PER_STEP,
        Value::List(list) => list.len() / 8,
        // Going through the headers joins and decodes them all.
        Value::Map(Map::Headers(_)) => WHOLE,
        _ => 0,
    }
}

/// What comparing a value costs. Lists and maps may hold any number of others, which are not counted for this.
pub(super) fn comparing(value: &Value<'_>) -> usize {
    match value {
        Value::Map(_) => WHOLE + value_count(value),
        Value::List(List::Json(_) | List::Values(_)) => WHOLE + value_count(value),
        _ => weight(value),
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

fn value_count(value: &Value<'_>) -> usize {
    match value {
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => 0,
    }
}
