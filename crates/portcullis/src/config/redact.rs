//! The configuration as operators may see it: without anything that is, or might be, a secret.

use serde_json::{Map, Value as Json};

use super::schema::{Kind, Section};
use super::tree::{Node, Style, Value, is_bool};

/// Returns what was written, with secrets left out.
pub(crate) fn redact(node: &Node, section: &Section) -> Json {
    let entries = node.entries().iter().map(|entry| {
        let kind = section.key(&entry.key).map_or(Kind::Any, |key| key.kind);
        (entry.key.clone(), value(&entry.value, &kind, &entry.key))
    });
    Json::Object(entries.collect())
}

fn value(node: &Node, kind: &Kind, key: &str) -> Json {
    match (&node.value, kind) {
        (Value::Null, _) => Json::Null,
        (Value::Map(_), Kind::Section(section) | Kind::FlagOr(section)) => redact(node, section),
        (Value::Map(entries), Kind::Table(of)) => {
            entries.iter().map(|e| (e.key.clone(), value(&e.value, of, &e.key))).collect()
        }
        (Value::Map(entries), _) => {
            let entries = entries.iter().map(|entry| (entry.key.clone(), value(&entry.value, kind, &entry.key)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
        (Value::List(items), Kind::List(of, _) | Kind::ChoiceOr(_, of)) => {
            items.iter().map(|item| value(item, of, key)).collect()
        }
        (Value::List(items), _) => items.iter().map(|item| value(item, kind, key)).collect(),
        // What came from the environment or a file may be a secret wherever it stands.
        (Value::Scalar(scalar), _) if scalar.expanded || is_secret(kind) || names_secret(key) => Json::from(REDACTED),
        (Value::Scalar(scalar), _) if scalar.style == Style::Plain && is_bool(&scalar.text) => {
            Json::from(scalar.text == "true")
        }
        (Value::Scalar(scalar), _) => match scalar.text.parse::<u64>() {
            Ok(number) if scalar.style == Style::Plain => Json::from(number),
            _ => Json::from(scalar.text.as_str()),
        },
    }
}

const fn is_secret(kind: &Kind) -> bool {
    matches!(kind, Kind::Secret | Kind::List(Kind::Secret, _))
}

/// Returns whether a name sounds like a secret's: a header or a parameter may hold one without being meant to.
pub(super) fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.ends_with("_file") && SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Parts of names, among them likely slips of the pen, behind which a secret may stand.
const SECRET_WORDS: [&str; 14] = [
    "secr",
    "scret",
    "serct",
    "passw",
    "token",
    "seal",
    "sign",
    "privat",
    "credential",
    "authorization",
    "cookie",
    "api-key",
    "api_key",
    "apikey",
];

const REDACTED: &str = "[redacted]";

#[cfg(test)]
mod tests;
