//! Values as an explanation shows them: bounded, and without credentials.

#![expect(clippy::wildcard_enum_match_arm, reason = "values of all other types are treated alike")]

use serde_json::Value as Json;

use crate::Read;
use crate::function::Function;
use crate::reads::{looks_like_token, sounds_secret};
use crate::value::{Map, Value};

/// Returns what may be shown of a value that was made of what is named.
///
/// Whatever is made of a credential is one, except what is true, false or a number.
pub(crate) fn shown<'r>(value: &Value<'_>, reads: impl IntoIterator<Item = &'r Read>) -> Json {
    let mut room = MAX_VALUES;
    let (mut secret, mut any) = (false, false);
    for read in reads {
        secret |= read.is_secret();
        // An entry that only the request named may be any of them.
        any |= read.key.is_none() && MAPS.contains(&read.field);
    }
    match value {
        Value::Map(_) if any && !secret => json(value, &mut room),
        _ if (secret || any) && !is_harmless(value) => REDACTED.into(),
        _ => json(value, &mut room),
    }
}

const fn is_harmless(value: &Value<'_>) -> bool {
    matches!(value, Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Type(_))
}

/// Shows no more values than there is room for: a list may hold itself a thousand times over without being large.
fn json(value: &Value<'_>, room: &mut usize) -> Json {
    let Some(left) = room.checked_sub(1) else { return "…".into() };
    *room = left;
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Uint(value) => (*value).into(),
        Value::Double(value) => (*value).into(),
        Value::Text(text) => text_json(text),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()).into(),
        Value::Type(name) => (*name).into(),
        Value::Timestamp(_) | Value::Duration(_) | Value::Ip(_) | Value::Cidr(_) => {
            match Function::ToText.call(std::slice::from_ref(value)) {
                Ok(Value::Text(text)) => text.into_owned().into(),
                Ok(_) | Err(_) => Json::Null,
            }
        }
        Value::List(list) => {
            let mut items: Vec<Json> = list.iter().take(MAX_ITEMS).map(|item| json(&item, room)).collect();
            if let Some(more) = list.len().checked_sub(MAX_ITEMS).filter(|more| *more > 0) {
                items.push(format!("…(+{more} items)").into());
            }
            items.into()
        }
        Value::Map(map) => map_json(map, room),
    }
}

fn map_json(map: &Map<'_>, room: &mut usize) -> Json {
    let keys = map.keys();
    let entries = keys.iter().take(MAX_ITEMS).filter_map(|key| {
        let name = match &key {
            Value::Text(text) => text.to_string(),
            other => json(other, room).to_string(),
        };
        let value = if sounds_secret(&name) { REDACTED.into() } else { json(&map.get(&key)?, room) };
        Some((name, value))
    });
    Json::Object(entries.collect())
}

fn text_json(text: &str) -> Json {
    if looks_like_token(text) {
        return REDACTED.into();
    }
    let mut kept: String = text.chars().take(MAX_CHARACTERS).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept.into()
}

/// Fields of which an expression may pick an entry by a name that it computes.
const MAPS: [&str; 3] = ["request.headers", "request.query", "user.claims"];
const REDACTED: &str = "[redacted]";
const MAX_ITEMS: usize = 50;
const MAX_VALUES: usize = 1_000;
const MAX_CHARACTERS: usize = 500;
