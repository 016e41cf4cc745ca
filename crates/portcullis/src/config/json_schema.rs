//! The JSON Schema of `portcullis.yaml` (draft 2020-12), made of the same description that files are checked against.

use serde_json::{Map, Value, json};

use super::schema::{Alone, Format, Key, Kind, Presence, ROOT, RULE, Section};

/// Returns the schema of `portcullis.yaml`.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = section(&ROOT);
    if let Some(root) = schema.as_object_mut() {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("portcullis.yaml"));
    }
    schema
}

fn section(section: &Section) -> Value {
    let properties: Map<_, _> = section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<_> =
        section.keys.iter().filter(|key| key.presence == Presence::Required).map(|key| key.name).collect();
    json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), json!(key.doc));
        if let Presence::Default(text) = key.presence {
            schema.insert("default".to_owned(), default(&key.kind, text));
        }
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Any => json!({}),
        Kind::Text | Kind::Secret => json!({ "type": "string", "minLength": 1 }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        // `min_version: 1.2` is read as the text.
        Kind::Choice(words) => json!({ "enum": choices(words) }),
        Kind::Format(format) => text(*format),
        Kind::List(item, Alone::Refused) => json!({ "type": "array", "items": self::kind(item) }),
        Kind::List(item, Alone::Allowed) => {
            json!({ "anyOf": [self::kind(item), { "type": "array", "items": self::kind(item) }] })
        }
        Kind::Table(value) => json!({ "type": "object", "additionalProperties": self::kind(value) }),
        Kind::Section(section) => self::section(section),
        Kind::FlagOr(section) => json!({ "anyOf": [{ "type": "boolean" }, self::section(section)] }),
        Kind::ScalarOr(scalar, other) => json!({ "anyOf": [self::kind(scalar), self::section(other)] }),
        Kind::ChoiceOr(words, other) => json!({ "anyOf": [{ "enum": words }, self::kind(other)] }),
        Kind::Rules => {
            let expression = json!({ "type": ["string", "boolean"], "description": "A CEL expression." });
            let rule = json!({ "anyOf": [expression, section(&RULE)] });
            json!({ "anyOf": [expression, { "type": "array", "items": rule }] })
        }
    }
}

/// A word that reads as a number may be written without quotes.
fn choices(words: &[&str]) -> Vec<Value> {
    let number = |word: &str| word.parse::<u64>().map(|n| json!(n)).or_else(|_| word.parse::<f64>().map(|n| json!(n)));
    let numbers = words.iter().filter_map(|word| number(word).ok());
    words.iter().map(|word| json!(word)).chain(numbers).collect()
}

fn text(format: Format) -> Value {
    let pattern = match format {
        Format::Acr => r#"^[!#-\[\]-~]+$"#,
        Format::Color => "^#[0-9a-fA-F]{6}$",
        Format::Duration => "^([0-9]+(ms|s|m|h|d))+$|\\$\\{",
        Format::DurationOrOff => "^(off|([0-9]+(ms|s|m|h|d))+)$|\\$\\{",
        Format::Endpoint => "^((http|https|h2c|tcp)://[^/?#@]+/?|unix:///[^?#]*[^/?#])$|\\$\\{",
        Format::From => "^(https?|tls|tcp\\+https)://[^/?#@]+/?$|\\$\\{",
        Format::Origin => "^https?://[^/?#@]+/?$|\\$\\{",
        Format::HttpsUrl => "^https://|\\$\\{",
        Format::HttpUrl => "^https?://|\\$\\{",
        Format::SyslogUrl => "^(tls|tcp)://[^/?#@]+$|\\$\\{",
        Format::Path | Format::RequestTarget | Format::RewrittenPath => "^/|\\$\\{",
        Format::Store => "^(memory|file:.+)$|\\$\\{",
        Format::Ratio => return json!({ "type": ["number", "string"], "minimum": 0, "maximum": 1 }),
        Format::Size => return json!({ "type": ["string", "integer"], "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)?$|\\$\\{" }),
        Format::Address
        | Format::Authority
        | Format::Certificates
        | Format::Domain
        | Format::File
        | Format::Glob
        | Format::HeaderName
        | Format::ForwardedHeader
        | Format::Instance
        | Format::Ip
        | Format::HeaderValue
        | Format::Location
        | Format::Issuer
        | Format::Method
        | Format::AnyMethod
        | Format::Name
        | Format::Network
        | Format::Output
        | Format::PrivateKey
        | Format::Regex
        | Format::RevocationLists
        | Format::ServerName
        | Format::SigningKey
        | Format::SyslogName
        | Format::TableFile
        | Format::Time => return json!({ "type": "string", "minLength": 1 }),
        Format::AnyText => return json!({ "type": "string" }),
        Format::Expression => return json!({ "type": ["string", "boolean"], "minLength": 1 }),
    };
    json!({ "type": "string", "pattern": pattern })
}

fn default(kind: &Kind, text: &str) -> Value {
    match (kind, text) {
        (_, "[]") => json!([]),
        (_, "{}") => json!({}),
        (Kind::List(..), list) => {
            json!(list.trim_matches(['[', ']']).split(", ").collect::<Vec<_>>())
        }
        (Kind::Flag | Kind::FlagOr(_), flag) => json!(flag == "true"),
        (Kind::Count(..), number) => json!(number.parse::<u64>().unwrap_or_default()),
        (_, text) => json!(text),
    }
}
