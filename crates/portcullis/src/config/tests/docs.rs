//! `docs/configuration.md` names every key, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::config::schema::{Alone, Format, Key, Kind, POLICY_FILE, Presence, ROOT, RULE, Section};

#[test]
fn the_documentation_has_exactly_the_keys_that_files_may_have() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = fs::read_to_string(path).unwrap();
    let written: BTreeSet<_> = text.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let mut known = BTreeSet::new();
    for section in [&ROOT, &POLICY_FILE, &RULE] {
        rows(section, &mut known);
    }
    let missing: Vec<_> = known.difference(&written).cloned().collect();
    let unknown: Vec<_> = written.difference(&known).cloned().collect();
    assert!(missing.is_empty(), "add to docs/configuration.md:\n{}", missing.join("\n"));
    assert!(unknown.is_empty(), "remove from docs/configuration.md:\n{}", unknown.join("\n"));
}

fn rows(section: &Section, known: &mut BTreeSet<String>) {
    for key in section.keys {
        known.insert(row(key));
        inner(&key.kind, known);
    }
}

fn inner(kind: &Kind, known: &mut BTreeSet<String>) {
    match kind {
        Kind::Section(section) | Kind::FlagOr(section) | Kind::ScalarOr(_, section) => rows(section, known),
        Kind::List(item, _) | Kind::Table(item) | Kind::ChoiceOr(_, item) => inner(item, known),
        Kind::Text
        | Kind::Secret
        | Kind::Flag
        | Kind::Count(..)
        | Kind::Choice(_)
        | Kind::Format(_)
        | Kind::Rules
        | Kind::Any => {}
    }
}

/// The line of a key in the tables of the documentation.
fn row(Key { name, kind, presence, doc }: &Key) -> String {
    let default = match presence {
        Presence::Required => "required".to_owned(),
        Presence::Default(text) => format!("`{text}`"),
        Presence::Optional(text) => (*text).to_owned(),
    };
    format!("| `{name}` | {} | {default} | {doc} |", type_name(kind))
}

fn type_name(kind: &Kind) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Any => "anything".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Secret => "secret".to_owned(),
        Kind::Flag => "boolean".to_owned(),
        Kind::Count(min, max) => format!("number, {min} to {max}"),
        Kind::Choice(choices) => words(choices),
        Kind::Format(format) => format_name(*format).to_owned(),
        Kind::List(item, Alone::Refused) => format!("list of {}", type_name(item)),
        Kind::List(item, Alone::Allowed) => format!("{0}, or list of {0}", type_name(item)),
        Kind::Table(item) => format!("names to {}", type_name(item)),
        Kind::Section(_) => "mapping".to_owned(),
        Kind::FlagOr(_) => "boolean or mapping".to_owned(),
        Kind::ChoiceOr(choices, item) => format!("{}, or {}", words(choices), type_name(item)),
        Kind::ScalarOr(scalar, _) => format!("{} or mapping", type_name(scalar)),
        Kind::Rules => "rules".to_owned(),
    }
}

const fn format_name(format: Format) -> &'static str {
    match format {
        Format::Acr => "`acr`",
        Format::Address => "`ip:port`",
        Format::Authority => "host or `host:port`",
        Format::Color => "colour",
        Format::Domain => "domain",
        Format::Duration => "duration",
        Format::DurationOrOff => "duration or `off`",
        Format::Endpoint => "upstream URL",
        Format::Certificates
        | Format::File
        | Format::PrivateKey
        | Format::TableFile
        | Format::RevocationLists
        | Format::SigningKey => "file",
        Format::Glob => "path pattern",
        Format::From => "external URL",
        Format::ForwardedHeader | Format::HeaderName => "header name",
        Format::HttpUrl => "`https` or `http` URL",
        Format::HttpsUrl => "`https` URL",
        Format::Ip => "address",
        Format::Time => "time",
        Format::HeaderValue => "header value",
        Format::Location => "URL or path",
        Format::Issuer => "URL",
        Format::Method | Format::AnyMethod => "method",
        Format::AnyText => "text",
        Format::Expression => "expression",
        Format::Instance | Format::Name | Format::SyslogName => "name",
        Format::Network => "network",
        Format::Origin => "origin",
        Format::Output => "path",
        Format::Path | Format::RewrittenPath => "path of a URL",
        Format::Regex => "regular expression",
        Format::Ratio => "number, 0 to 1",
        Format::RequestTarget => "path and query",
        Format::ServerName => "host name or address",
        Format::Size => "size",
        Format::SyslogUrl => "`tls` or `tcp` URL",
        Format::Store => "`memory` or `file:PATH`",
    }
}
