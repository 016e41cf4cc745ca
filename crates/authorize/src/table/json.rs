//! JSON: a list of objects of which one member is the key, or an object whose names are the keys.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::index::{Place, WrittenKey};
use super::objects::{Builder, Cell, Objects, TooLarge};
use super::{MAX_ROWS, TableError, shown};

/// Reads rows and their keys.
pub(super) fn read(text: &str, key: Option<&str>) -> Result<(Objects, Vec<WrittenKey>), TableError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Strict(value) = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
        TableError::at(error.line().max(1), error.column().max(1), message)
    })?;
    let rows: Vec<(Box<str>, Value)> = match (value, key) {
        (Value::Array(rows), Some(key)) => {
            (1..).zip(rows).map(|(number, row)| Ok((member(number, &row, key)?, row))).collect::<Result<_, _>>()?
        }
        (Value::Object(rows), None) => rows.into_iter().map(|(name, row)| (name.into(), row)).collect(),
        (Value::Array(_), None) => {
            return Err(TableError::at(1, 1, "the file holds a list: set `key` to the member that is the key"));
        }
        (_, Some(_)) => return Err(TableError::at(1, 1, "the file must hold a list of objects, because `key` is set")),
        (_, None) => return Err(TableError::at(1, 1, "the file must hold an object of objects")),
    };
    if rows.len() > MAX_ROWS {
        return Err(TableError::new(format!("more than {MAX_ROWS} rows")));
    }
    let mut objects = Vec::with_capacity(rows.len());
    let mut keys = Vec::with_capacity(rows.len());
    for (number, (key, row)) in (1..).zip(rows) {
        let Value::Object(row) = row else {
            return Err(TableError::new(format!("row {number} ({}) must be an object", shown(&key))));
        };
        objects.push(row);
        keys.push(WrittenKey { text: key, place: Place::Row(number) });
    }
    let objects = flatten(&objects).map_err(|TooLarge| TableError::new("the file is larger than 4 GiB"))?;
    Ok((objects, keys))
}

fn member(number: usize, row: &Value, key: &str) -> Result<Box<str>, TableError> {
    let message = match row.get(key) {
        Some(Value::String(text)) if !text.is_empty() => return Ok(text.as_str().into()),
        Some(_) => format!("row {number}: {} must be a text that is not empty", shown(key)),
        None if row.is_object() => format!("row {number} has no {}", shown(key)),
        None => format!("row {number} must be an object"),
    };
    Err(TableError::new(message))
}

fn flatten(rows: &[Map<String, Value>]) -> Result<Objects, TooLarge> {
    let mut flat = Builder::with_rows(rows.iter().map(Map::len).sum());
    let (mut places, mut at) = (Vec::with_capacity(rows.len()), 0);
    for row in rows {
        places.push(flat.members(names(row), at)?);
        for value in row.values() {
            let cell = cell(&mut flat, value)?;
            flat.place(at, cell);
            at += 1;
        }
    }
    Ok(flat.finish(places))
}

fn cell<'t>(flat: &mut Builder<'t>, value: &'t Value) -> Result<Cell, TooLarge> {
    let cells = |flat: &mut Builder<'t>, values: &mut dyn Iterator<Item = &'t Value>| {
        values.map(|value| cell(flat, value)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Bool(*value),
        Value::Number(number) => number.as_i64().map_or_else(
            || number.as_u64().map_or_else(|| Cell::Double(number.as_f64().unwrap_or(f64::NAN)), Cell::Uint),
            Cell::Int,
        ),
        Value::String(text) => flat.text(text)?,
        Value::Array(items) => {
            let items = cells(flat, &mut items.iter())?;
            flat.list(&items)?
        }
        Value::Object(object) => {
            let values = cells(flat, &mut object.values())?;
            Cell::Object(flat.object(names(object), &values)?)
        }
    })
}

/// Returns the names of an object, which a map has in their order.
fn names(object: &Map<String, Value>) -> Vec<&str> {
    object.keys().map(String::as_str).collect()
}

/// JSON in which no object has a name twice: of two rows of one key, which one counts is not ours to choose.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{} is there twice: remove one", shown(&name))));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(name, value);
        }
        Ok(map.into())
    }
}
