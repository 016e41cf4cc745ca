//! Claims as header values: only visible ASCII and spaces, so that no claim can begin another header.

use std::fmt::Write;

use http::HeaderValue;
use identity::Identity;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use crate::IdentityClaim;

/// A value has more than [`MAX_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Returns the value of a claim; `None` where the user has no such claim.
pub(super) fn of(caller: &Identity, claim: &IdentityClaim) -> Option<Result<HeaderValue, TooLarge>> {
    let text = match claim {
        IdentityClaim::Id => text(caller.id()),
        IdentityClaim::Email => text(caller.email()),
        IdentityClaim::Name => text(caller.name()),
        IdentityClaim::Groups => {
            let groups = caller.groups().iter().map(|group| Value::from(&**group)).collect();
            Some(json(&Value::Array(groups)))
        }
        IdentityClaim::Claim(path) => match caller.claims().at(path)? {
            Value::Null => None,
            Value::String(value) => text(value),
            value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Some(json(value)),
        },
    }?;
    Some(if text.len() > MAX_BYTES { Err(TooLarge) } else { HeaderValue::try_from(text).map_err(|_| TooLarge) })
}

/// Escapes a text as percent-encoded UTF-8; `%` too, so that it can be undone. An empty text is no value.
fn text(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(utf8_percent_encode(text, ESCAPED).to_string()) }
}

/// Writes JSON in ASCII, by the escapes of JSON itself: it parses to the same value.
fn json(value: &Value) -> String {
    let json = value.to_string();
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a text cannot fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

/// Past this, apps answer 431 or cut: eight kilobytes is what most take for all headers together.
pub(super) const MAX_BYTES: usize = 8 * 1024;

const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');
