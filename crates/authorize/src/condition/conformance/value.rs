//! Values and types as the cases write them: `cel.expr.Value` and `cel.expr.Type` in the JSON of protobuf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::types::Type;
use crate::value::{Map, Value};

/// Reads a value.
pub(super) fn read(json: &Json) -> Result<Value<'static>, String> {
    let (kind, value) = only(json)?;
    let text = value.as_str().unwrap_or_default();
    let number = |value: &Json| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    Ok(match kind {
        "nullValue" => Value::Null,
        "boolValue" => Value::Bool(value == &Json::Bool(true)),
        "int64Value" => Value::Int(text.parse().map_err(|_| "no int")?),
        "uint64Value" => Value::Uint(text.parse().map_err(|_| "no uint")?),
        "doubleValue" => Value::Double(number(value).ok_or("no double")?),
        "stringValue" => Value::text(text.to_owned()),
        "bytesValue" => Value::Bytes(STANDARD.decode(text).map_err(|error| error.to_string())?.into()),
        "typeValue" => Value::Type(type_name(text)?),
        "listValue" => Value::list(members(value, "values").map(read).collect::<Result<_, _>>()?),
        "mapValue" => {
            let part = |entry: &Json, part: &str| read(entry.get(part).unwrap_or(&Json::Null));
            let entries = members(value, "entries").map(|entry| Ok((part(entry, "key")?, part(entry, "value")?)));
            Value::Map(Map::Values(entries.collect::<Result<Vec<_>, String>>()?.into()))
        }
        "objectValue" => object(value)?,
        other => return Err(format!("the case has a {other}")),
    })
}

/// Times and durations are protobuf messages; others have no counterpart here.
fn object(json: &Json) -> Result<Value<'static>, String> {
    let text = json.get("value").and_then(Json::as_str).unwrap_or_default();
    match json.get("@type").and_then(Json::as_str).unwrap_or_default() {
        "type.googleapis.com/google.protobuf.Timestamp" => {
            text.parse().map(Value::Timestamp).map_err(|error: jiff::Error| error.to_string())
        }
        "type.googleapis.com/google.protobuf.Duration" => {
            crate::function::duration(text).map(Value::Duration).ok_or_else(|| format!("no duration: {text}"))
        }
        other => Err(format!("the case has a message {other}")),
    }
}

fn type_name(text: &str) -> Result<&'static str, String> {
    const NAMES: [&str; 12] = [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
    ];
    NAMES.into_iter().find(|name| *name == text).ok_or_else(|| format!("the case has the type {text}"))
}

/// Returns whether two values are the same: of one type, and NaN is NaN.
pub(super) fn identical(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        // A unit in the last place is what reading the cases from JSON loses.
        (Value::Double(a), Value::Double(b)) => {
            a == b || a.is_nan() && b.is_nan() || a.to_bits().abs_diff(b.to_bits()) == 1
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| identical(&a, &b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.keys().iter().all(|key| match (a.get(&key), b.get(&key)) {
                    (Some(a), Some(b)) => identical(&a, &b),
                    (Some(_) | None, _) => false,
                })
        }
        _ => a.type_name() == b.type_name() && a.equals(b, &mut crate::budget::Budget::new()) == Ok(true),
    }
}

/// Reads a type.
pub(super) fn type_of(json: &Json) -> Result<Type, String> {
    let (kind, of) = only(json)?;
    let name = of.as_str().unwrap_or_default();
    let part = |key: &str| of.get(key).map_or(Ok(Type::Dyn), type_of);
    Ok(match (kind, name) {
        ("primitive", "STRING") => Type::Text,
        ("primitive", _) => Type::parse(&name.replace("64", "").to_lowercase()),
        ("wellKnown", "TIMESTAMP") => Type::Timestamp,
        ("wellKnown", "DURATION") => Type::Duration,
        ("messageType", "google.protobuf.Duration") => Type::Duration,
        ("dyn", _) => Type::Dyn,
        ("null", _) => Type::Null,
        ("type", _) => Type::Kind,
        ("listType", _) => Type::List(Box::new(part("elemType")?)),
        ("mapType", _) => Type::Map(Box::new(part("keyType")?), Box::new(part("valueType")?)),
        _ => return Err(format!("the case has the type {json}")),
    })
}

fn only(json: &Json) -> Result<(&str, &Json), String> {
    let member = json.as_object().and_then(|object| object.iter().next());
    member.map(|(kind, value)| (kind.as_str(), value)).ok_or_else(|| "the case has an empty value".to_owned())
}

fn members<'j>(json: &'j Json, key: &str) -> impl Iterator<Item = &'j Json> {
    json.get(key).and_then(Json::as_array).into_iter().flatten()
}
