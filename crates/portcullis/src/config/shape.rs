//! Checks a tree against the description of its keys, and reports everything that does not fit.

use std::io;
use std::path::PathBuf;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::audit;
use super::format;
use super::problem::Problem;
use super::schema::{Alone, Format, Key, Kind, Presence, RULE, Section};
use super::source::{Place, Sources};
use super::suggest::hint;
use super::tree::{Node, Style, Value, is_bool, quoted};

/// Checks a whole file.
pub(crate) fn check(node: &Node, section: &Section, sources: &mut Sources, problems: &mut Vec<Problem>) {
    Shape { sources, problems }.section(node, section);
}

struct Shape<'s> {
    sources: &'s mut Sources,
    problems: &'s mut Vec<Problem>,
}

impl Shape<'_> {
    fn error(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::error(place, message));
    }

    fn section(&mut self, node: &Node, section: &Section) {
        for entry in node.entries() {
            if let Some(key) = section.key(&entry.key) {
                self.value(&entry.value, &key.kind, key.name, entry.key_place);
            } else {
                let hint = hint(&entry.key, section.keys.iter().map(|key| key.name));
                self.error(entry.key_place, format!("unknown key {}: {hint}", quoted(&entry.key)));
            }
        }
        for Key { name, presence, doc, .. } in section.keys {
            if *presence == Presence::Required && node.get(name).is_none() {
                self.error(node.place, format!("the key `{name}` is missing: add it ({})", first_sentence(doc)));
            }
        }
    }

    fn value(&mut self, node: &Node, kind: &Kind, name: &str, key_place: Place) {
        if matches!(kind, Kind::Secret) {
            self.sources.hide(node.place);
        }
        if node.is_failed() {
            return;
        }
        if matches!(node.value, Value::Null) && !matches!(kind, Kind::Any) {
            self.error(key_place, format!("`{name}` has no value: write {}, or remove the key", expected(kind)));
            return;
        }
        let fits = match kind {
            Kind::Any => true,
            Kind::Secret => self.secret(node, name),
            Kind::Format(Format::Expression) => node.text().is_some(),
            Kind::Text | Kind::Format(_) => node.text().is_some_and(|text| !is_literal(node, text)),
            Kind::Flag => is_flag(node),
            // A number in quotes is a text.
            Kind::Count(..) => node.scalar().is_some_and(|scalar| scalar.style == Style::Plain || scalar.expanded),
            Kind::Choice(_) => node.text().is_some(),
            Kind::List(_, Alone::Refused) => matches!(node.value, Value::List(_)),
            Kind::List(_, Alone::Allowed) => !matches!(node.value, Value::Map(_)),
            Kind::Table(_) | Kind::Section(_) => matches!(node.value, Value::Map(_)),
            Kind::FlagOr(_) => is_flag(node) || matches!(node.value, Value::Map(_)),
            Kind::ScalarOr(..) => matches!(node.value, Value::Scalar(_) | Value::Map(_)),
            Kind::ChoiceOr(..) | Kind::Rules => !matches!(node.value, Value::Map(_)),
        };
        if !fits {
            self.error(node.place, format!("`{name}` must be {}, not {}", expected(kind), node.noun()));
            return;
        }
        self.content(node, kind, name);
    }

    /// Checks what is in a value of the right type.
    fn content(&mut self, node: &Node, kind: &Kind, name: &str) {
        match kind {
            Kind::Any | Kind::Flag => {}
            Kind::Secret | Kind::Text => {
                // An empty variable in a secret was reported with its type.
                let reported = matches!(kind, Kind::Secret) && node.scalar().is_some_and(|scalar| scalar.expanded);
                if node.text() == Some("") && !reported {
                    self.error(node.place, format!("`{name}` is empty: write a text, or remove the key"));
                }
            }
            Kind::Count(min, max) => {
                let number = node.text().and_then(|text| text.parse::<u64>().ok());
                if !number.is_some_and(|number| (*min..=*max).contains(&number)) {
                    self.error(node.place, format!("`{name}` must be {}, not {}", expected(kind), node.shown()));
                }
            }
            Kind::Choice(words) => self.choice(node, words, name),
            Kind::Format(format) => self.format(node, *format, name),
            Kind::List(item, _) => {
                for (index, value) in node.items().iter().enumerate() {
                    let alone = !matches!(node.value, Value::List(_));
                    let name = if alone { name.to_owned() } else { format!("{name}[{index}]") };
                    self.value(value, item, &name, value.place);
                }
            }
            Kind::Table(value) => {
                for entry in node.entries() {
                    self.value(&entry.value, value, &format!("{name}.{}", entry.key), entry.key_place);
                }
            }
            Kind::Section(section) | Kind::FlagOr(section) => self.section(node, section),
            Kind::ChoiceOr(words, other) => match node.value {
                Value::Scalar(_) => self.choice(node, words, name),
                Value::Null | Value::List(_) | Value::Map(_) => self.value(node, other, name, node.place),
            },
            Kind::ScalarOr(scalar, section) => match node.value {
                Value::Map(_) => self.section(node, section),
                Value::Null | Value::Scalar(_) | Value::List(_) => self.value(node, scalar, name, node.place),
            },
            Kind::Rules => self.rules(node, name),
        }
    }

    fn choice(&mut self, node: &Node, words: &[&str], name: &str) {
        let text = node.text().unwrap_or_default();
        if !words.contains(&text) {
            let known: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            let known = known.join(", ");
            self.error(node.place, format!("`{name}` cannot be {}: write one of {known}", node.shown()));
        }
    }

    fn rules(&mut self, node: &Node, name: &str) {
        for (index, rule) in node.items().iter().enumerate() {
            let name = if matches!(node.value, Value::List(_)) { format!("{name}[{index}]") } else { name.to_owned() };
            if rule.is_failed() {
                continue;
            }
            match &rule.value {
                Value::Map(_) => self.section(rule, &RULE),
                Value::Null | Value::Scalar(_) | Value::List(_) => {
                    // `allow: true` is an expression, and a plain one.
                    if rule.text().is_none() {
                        self.error(
                            rule.place,
                            format!("`{name}` must be a CEL expression or a mapping with `when`, not {}", rule.noun()),
                        );
                    }
                }
            }
        }
    }

    /// A secret is a text; `${env:..}` that was empty would let everybody in who knows that it is.
    fn secret(&mut self, node: &Node, name: &str) -> bool {
        let text = node.text();
        if text == Some("") && node.scalar().is_some_and(|scalar| scalar.expanded) {
            self.error(node.place, format!("`{name}` is empty after `${{..}}` was replaced: set the variable or file"));
        }
        text.is_some_and(|text| !is_literal(node, text))
    }

    fn format(&mut self, node: &Node, format: Format, name: &str) {
        let text = node.text().unwrap_or_default();
        let reason = match format {
            Format::Acr => format::acr(text).err(),
            Format::Address => format::address(text).err(),
            Format::Authority => format::authority(text).err(),
            Format::Color => format::color(text).err(),
            Format::Domain => format::domain(text).err(),
            Format::Duration => format::duration(text).err(),
            Format::DurationOrOff if text == "off" => None,
            Format::DurationOrOff => format::duration(text).err(),
            Format::Endpoint if text.starts_with("tcp://") => format::tcp_endpoint(text).err(),
            Format::Endpoint => format::endpoint(text).err(),
            Format::ForwardedHeader => format::forwarded_header(text).err(),
            Format::From if text.starts_with("tls://") => format::tls_from(text).err(),
            Format::From if text.starts_with("tcp+https://") => format::tunnel_from(text).err(),
            Format::From => format::from(text).err(),
            Format::HttpUrl => format::http_url(text).err(),
            Format::HttpsUrl => format::https_url(text).err(),
            Format::HeaderName => format::header_name(text).err(),
            Format::Instance => audit::instance(text).err(),
            Format::Ip => format::ip(text).err(),
            Format::Time => format::time(text).err(),
            Format::HeaderValue => format::header_value(text).err(),
            Format::Location => format::location(text).err(),
            Format::RewrittenPath => format::rewritten_path(text).err(),
            Format::Issuer => format::issuer(text).err(),
            Format::Method => format::method(text).err(),
            Format::AnyMethod => format::any_method(text).err(),
            // What is wrong with an expression, also an empty one, is told where it is compiled.
            Format::AnyText | Format::Expression => None,
            Format::Name => format::name(text).err(),
            Format::Network => format::network(text).err(),
            Format::Origin => format::origin(text).err(),
            Format::Path => format::path(text).err(),
            Format::Ratio => format::ratio(text).err(),
            Format::RequestTarget => format::request_target(text).err(),
            Format::ServerName => format::server_name(text).err(),
            Format::Size => format::size(text).err(),
            Format::Store => format::store(text).err(),
            Format::SyslogName => format::syslog_name(text).err(),
            Format::SyslogUrl => format::syslog_url(text).err(),
            Format::Regex => {
                if let Err(reason) = format::regex(text) {
                    self.error(node.place, format!("`{name}`: {} is {reason}", node.shown()));
                }
                None
            }
            Format::File => {
                self.file(node, text, name);
                None
            }
            Format::Certificates if self.file(node, text, name) => {
                let found =
                    CertificateDer::pem_file_iter(self.path(node, text)).ok().and_then(|mut found| found.next());
                (!matches!(found, Some(Ok(_)))).then_some("a file without a certificate: write a PEM file")
            }
            Format::PrivateKey if self.file(node, text, name) => {
                let found = PrivateKeyDer::from_pem_file(self.path(node, text));
                found
                    .is_err()
                    .then_some("a file without a private key: write a PEM file with a key that is not encrypted")
            }
            Format::RevocationLists if self.file(node, text, name) => {
                let found = CertificateRevocationListDer::from_pem_file(self.path(node, text));
                found.is_err().then_some("a file without a revocation list: write a PEM file")
            }
            Format::SigningKey if self.file(node, text, name) => {
                if let Err(reason) = audit::signing_key(&self.path(node, text)) {
                    let remedy = "make one with `openssl genpkey -algorithm ed25519`";
                    self.error(node.place, format!("`{name}`: {} has {reason}: {remedy}", node.shown()));
                }
                None
            }
            Format::Certificates | Format::PrivateKey | Format::RevocationLists | Format::SigningKey => None,
            Format::Glob | Format::Output | Format::TableFile => text.is_empty().then_some("empty: write a path"),
        };
        if let Some(reason) = reason {
            self.error(node.place, format!("`{name}`: {} is {reason}", node.shown()));
        }
    }

    fn path(&self, node: &Node, text: &str) -> PathBuf {
        self.sources.folder(node.place.file).join(text)
    }

    /// Returns whether the file can be read.
    fn file(&mut self, node: &Node, text: &str, name: &str) -> bool {
        let path = self.path(node, text);
        self.sources.watched.add(path.clone());
        let opened = std::fs::File::open(&path).and_then(|file| file.metadata());
        let reason = match opened {
            Ok(metadata) if !metadata.is_dir() => return true,
            Ok(_) => "it is a folder; write the path of a file".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "permission denied; make it readable for the user of portcullis".to_owned()
            }
            Err(error) => format!("{}; correct the path or make the file", super::reason(&error)),
        };
        let expanded = node.scalar().is_some_and(|scalar| scalar.expanded);
        let shown = if expanded { node.shown() } else { quoted(&path.display().to_string()) };
        self.error(node.place, format!("`{name}`: cannot read {shown}: {reason}"));
        false
    }
}

fn is_flag(node: &Node) -> bool {
    node.scalar().is_some_and(|scalar| scalar.style == Style::Plain && is_bool(&scalar.text))
}

/// A boolean where a text belongs is a mistake; a number is not, because `min_version: 1.3` can only mean the text.
fn is_literal(node: &Node, text: &str) -> bool {
    is_bool(text) && is_flag(node)
}

/// Says what a value of this kind looks like.
fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Any => "a value".to_owned(),
        Kind::Text | Kind::Secret | Kind::Format(_) => "a text".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Count(min, max) => format!("a whole number from {min} to {max}"),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        Kind::List(_, Alone::Refused) => "a list".to_owned(),
        Kind::List(_, Alone::Allowed) => "a text or a list".to_owned(),
        Kind::Table(_) | Kind::Section(_) => "a mapping".to_owned(),
        Kind::FlagOr(_) => "`true`, `false` or a mapping".to_owned(),
        Kind::ScalarOr(..) => "a text or a mapping".to_owned(),
        Kind::ChoiceOr(..) => "a word or a list".to_owned(),
        Kind::Rules => "a CEL expression or a list of rules".to_owned(),
    }
}

fn first_sentence(doc: &str) -> String {
    let sentence = doc.split_once("; ").map_or(doc, |(first, _)| first);
    let sentence = sentence.split_once(". ").map_or(sentence, |(first, _)| first).trim_end_matches('.');
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
