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
    for (section, keys) in ONE_OF {
        if let Some(section) = schema.pointer_mut(section).and_then(Value::as_object_mut) {
            let required: Vec<_> = keys.iter().map(|key| json!({ "required": [key] })).collect();
            section.insert("oneOf".to_owned(), required.into());
        }
    }
    if let Some(route) = schema.pointer_mut(ROUTES).and_then(Value::as_object_mut) {
        let pairs =
            [["path", "prefix"], ["path", "regex"], ["prefix", "regex"]].map(|pair| json!({ "required": pair }));
        route.insert("not".to_owned(), json!({ "anyOf": pairs }));
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
        if key.presence == Presence::Required && matches!(key.kind, Kind::List(_, Alone::Refused)) {
            schema.insert("minItems".to_owned(), json!(1));
        }
        if let Presence::Default(text) = key.presence {
            schema.insert("default".to_owned(), default(&key.kind, text));
        }
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Any => json!({}),
        Kind::Text | Kind::Secret => any_text(),
        Kind::Flag => or_reference(&json!({ "type": "boolean" })),
        Kind::Count(min, max) => or_reference(&json!({ "type": "integer", "minimum": min, "maximum": max })),
        Kind::Choice(words) => or_reference(&json!({ "enum": choices(words) })),
        Kind::Format(format) => text(*format),
        Kind::List(item, Alone::Refused) => json!({ "type": "array", "items": self::kind(item) }),
        Kind::List(item, Alone::Allowed) => {
            json!({ "anyOf": [self::kind(item), { "type": "array", "items": self::kind(item) }] })
        }
        Kind::Table(value) => json!({ "type": "object", "additionalProperties": self::kind(value) }),
        Kind::Section(section) => self::section(section),
        Kind::FlagOr(section) => {
            json!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "pattern": REFERENCE }, self::section(section)] })
        }
        Kind::ScalarOr(scalar, other) => json!({ "anyOf": [self::kind(scalar), self::section(other)] }),
        Kind::ChoiceOr(words, other) => json!({ "anyOf": [self::kind(&Kind::Choice(words)), self::kind(other)] }),
        Kind::Rules => {
            let expression =
                json!({ "type": ["string", "boolean"], "minLength": 1, "description": "A CEL expression." });
            let rule = json!({ "anyOf": [expression, section(&RULE)] });
            json!({ "anyOf": [expression, { "type": "array", "items": rule }] })
        }
    }
}

/// Takes `${env:NAME}` as well, whose value a schema cannot see.
fn or_reference(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": REFERENCE }] })
}

/// Any text that is not empty. One that YAML reads as a number is a text all the same: `client_id: 12345`.
fn any_text() -> Value {
    json!({ "type": ["string", "number"], "minLength": 1 })
}

/// A word may be written without quotes that YAML reads as a number (`min_version: 1.2`), or that YAML 1.1, which many
/// editors read, takes for a boolean (`proxy_protocol: off`).
fn choices(words: &[&str]) -> Vec<Value> {
    let number = |word: &str| word.parse::<u64>().map(|n| json!(n)).or_else(|_| word.parse::<f64>().map(|n| json!(n)));
    let numbers = words.iter().filter_map(|word| number(word).ok());
    let off = words.contains(&"off").then_some(json!(false));
    words.iter().map(|word| json!(word)).chain(numbers).chain(off).collect()
}

fn text(format: Format) -> Value {
    let pattern = match format {
        Format::Acr => return json!({ "type": ["string", "number"], "pattern": r#"^[!#-\[\]-~]+$"# }),
        Format::Address => r"^.+:[0-9]{1,5}$",
        Format::Color => "^#[0-9a-fA-F]{6}$",
        Format::Duration => DURATION,
        Format::DurationOrOff => {
            let duration = json!({ "type": "string", "pattern": format!("^off$|{DURATION}|{REFERENCE}") });
            return json!({ "anyOf": [duration, { "const": false }] });
        }
        Format::Endpoint => r"^((http|https|h2c|tcp)://[^/?#@]+/?|unix:///[^?#]*[^/?#])$",
        Format::From => r"^(https?|tls|tcp\+https)://[^/?#@]+/?$",
        Format::HttpUrl => "^https?://",
        Format::HttpsUrl => "^https://",
        Format::Ip => "^[0-9A-Fa-f:.]+$",
        Format::Issuer => r"^https?://[^?#]+$",
        Format::Location => r"^(https?://|/([^/\\]|$))",
        Format::Method | Format::AnyMethod => "^[A-Z-]+$",
        Format::Network => "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
        Format::Origin => r"^https?://[^/?#@]+/?$",
        Format::Path | Format::RequestTarget | Format::RewrittenPath => "^/",
        Format::Ratio => {
            return json!({ "anyOf": [
                { "type": "number", "minimum": 0, "maximum": 1 },
                { "type": "string", "pattern": format!(r"^[0-9.eE+-]+$|{REFERENCE}") },
            ] });
        }
        Format::Size => {
            return json!({ "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": format!("^[0-9]*[1-9][0-9]* *(B|KiB|MiB|GiB)?$|{REFERENCE}") },
            ] });
        }
        Format::Store => "^(memory|file:.+)$",
        Format::SyslogUrl => r"^(tls|tcp)://[^/?#@]+$",
        Format::Time => "^[0-9]{4}-",
        Format::AnyText | Format::HeaderValue => return json!({ "type": ["string", "number"] }),
        Format::HeaderName | Format::ForwardedHeader => "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        Format::Authority
        | Format::Certificates
        | Format::Domain
        | Format::File
        | Format::Glob
        | Format::Instance
        | Format::Name
        | Format::Output
        | Format::PrivateKey
        | Format::Regex
        | Format::RevocationLists
        | Format::ServerName
        | Format::SigningKey
        | Format::SyslogName
        | Format::TableFile => return any_text(),
        Format::Expression => return json!({ "type": ["string", "boolean"], "minLength": 1 }),
    };
    json!({ "type": "string", "pattern": format!("{pattern}|{REFERENCE}") })
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

const ROUTES: &str = "/properties/routes/items";

/// Sections of which exactly one of some keys is written.
const ONE_OF: [(&str, &[&str]); 3] = [
    (ROUTES, &["to", "redirect", "respond"]),
    ("/properties/routes/items/properties/credential", &["value", "oauth2"]),
    ("/properties/data/additionalProperties", &["mmdb", "csv", "json", "url"]),
];

/// What stands for another value.
const REFERENCE: &str = r"\$\{";

/// Numbers with units, not all of them 0. Without look-ahead, which not every validator has.
const DURATION: &str = "^([0-9]+(ms|s|m|h|d))*[0-9]*[1-9][0-9]*(ms|s|m|h|d)([0-9]+(ms|s|m|h|d))*$";
