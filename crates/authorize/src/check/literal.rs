//! Values that a part of a condition never has: a rule that asks for one never holds, and as a deny rule it would let
//! everybody pass.

use std::ops::Range;

use identity::Ip;

use super::domain::{self, Domain};
use super::{Checker, constant};
use crate::code::Code;
use crate::condition::Fault;
use crate::constant::Constant;
use crate::environment::Fact;
use crate::function::Function;
use crate::syntax::{Kind, Node};

impl Checker<'_> {
    /// Looks at a value, or at each of a list of values, that a part is compared with.
    pub(super) fn possible(&mut self, part: &Code, literal: &Code, node: &Node) {
        match (constant(literal), &node.kind) {
            (Some(Constant::List(values)), Kind::List(items)) => {
                for (value, item) in values.iter().zip(items) {
                    self.possible_value(part, value, &item.at);
                }
            }
            (Some(value), _) => self.possible_value(part, value, &node.at),
            (None, _) => {}
        }
    }

    fn possible_value(&mut self, part: &Code, value: &Constant, at: &Range<usize>) {
        let never = match (part, value) {
            (Code::Fact(fact), Constant::Text(text)) => {
                never(fact.name, text).map(|help| (fact.name, text.to_string(), help))
            }
            (Code::PartInZone(part, ..), Constant::Int(number)) if !Domain::of_time(*part).has(*number) => {
                Some((Function::Time(*part).name(), number.to_string(), domain::numbers(*part).to_owned()))
            }
            (Code::Call(Function::Family, _), Constant::Int(number)) if !matches!(number, 4 | 6) => {
                Some((Function::Family.name(), number.to_string(), "it is 4 or 6".to_owned()))
            }
            _ => None,
        };
        if let Some((name, value, help)) = never {
            self.faults.push(Fault::warning(at.clone(), format!("`{name}` is never `{value}`")).help(help));
        }
    }

    /// Looks at a text that a field is to contain, begin or end with, or match.
    pub(super) fn possible_part(&mut self, function: Function, arguments: &[Code], nodes: &[&Node]) {
        let ([Code::Fact(fact), Code::Constant(Constant::Text(text))], [_, node]) = (arguments, nodes) else { return };
        if let Some(help) = never_within(function, fact, text) {
            let message = format!("`{}` never {} `{text}`", fact.name, verb(function));
            self.faults.push(Fault::warning(node.at.clone(), message).help(help));
        }
    }
}

/// Says what to write instead of a text that the field never is.
fn never(field: &str, text: &str) -> Option<String> {
    match field {
        "request.ip" | "request.peer_ip" => match text.parse::<Ip>() {
            Ok(address) => differs(text, &address.to_string()),
            Err(_) if text.contains('/') => Some(format!("write `{field}.inCIDR(\"{text}\")`")),
            Err(_) => Some("write an address such as `203.0.113.7` or `2001:db8::7`".to_owned()),
        },
        "request.method" => {
            let upper = text.to_ascii_uppercase();
            METHODS.contains(&&*upper).then(|| differs(text, &upper)).flatten()
        }
        "request.scheme" => unless_one_of(text, &["http", "https"]),
        "request.protocol" => unless_one_of(text, &["http/1.1", "h2", "h3"]),
        "request.tls.version" => unless_one_of(text, &["", "1.2", "1.3"]),
        "request.host" if !text.starts_with('[') => {
            // As it is routed: lower case, without the port and the dot at the end.
            let host = text.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
            differs(text, &host)
        }
        "request.tls.sni" | "request.ip_source" => differs(text, &text.to_ascii_lowercase()),
        "request.path" => never_a_path(text),
        "request.grpc.service" | "request.grpc.method" if text.contains('/') => Some(
            "a path `/package.Service/Method` has the service `package.Service` and the method `Method`".to_owned(),
        ),
        "request.tls.client_certificate.fingerprint_sha256" => {
            let digits = text.replace(':', "").to_ascii_lowercase();
            let whole = digits.is_empty() || digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            if whole { differs(text, &digits) } else { Some("it is 64 hexadecimal digits, in lower case".to_owned()) }
        }
        "user.id" if !text.is_empty() && !text.contains('|') => {
            Some("it is the issuer and the subject, joined by a vertical bar".to_owned())
        }
        _ => None,
    }
}

/// A path as it was routed: from the first slash to the query, with nothing left to resolve.
fn never_a_path(text: &str) -> Option<String> {
    // Where a tunnel is asked for, there is none.
    if text.is_empty() {
        return None;
    }
    if let Some((path, _)) = text.split_once('?') {
        return Some(format!("a path has no query: write `{path}`, and ask for `request.query`"));
    }
    if !text.starts_with('/') && text != "*" {
        return Some(format!("write `/{text}`"));
    }
    let resolved = |part: &str| matches!(part, "." | "..");
    let parts = text.split('/').skip(1);
    if parts.clone().any(resolved) {
        return Some("dot segments are resolved before a rule sees the path".to_owned());
    }
    let merged = text.contains("//");
    merged.then(|| "slashes in a row are merged before a rule sees the path".to_owned())
}

/// Says what to write instead of a text that is never part of the field.
fn never_within(function: Function, fact: &Fact, text: &str) -> Option<String> {
    match fact.name {
        "request.host"
        | "request.scheme"
        | "request.ip"
        | "request.peer_ip"
        | "request.tls.sni"
        | "request.tls.client_certificate.fingerprint_sha256" => differs(text, &text.to_ascii_lowercase()),
        "request.path" if function != Function::Glob && text.contains('?') => {
            Some("a path has no query: ask for `request.query`".to_owned())
        }
        "request.path" => {
            let from_the_start = matches!(function, Function::StartsWith | Function::Glob);
            let elsewhere = text.starts_with(|c: char| !matches!(c, '/' | '*' | '?' | '\\'));
            (from_the_start && elsewhere).then(|| format!("write `/{text}`"))
        }
        "request.grpc.service" | "request.grpc.method" if text.contains('/') => {
            Some("neither service nor method has a slash".to_owned())
        }
        _ => None,
    }
}

const fn verb(function: Function) -> &'static str {
    match function {
        Function::StartsWith => "starts with",
        Function::EndsWith => "ends with",
        Function::Glob => "matches",
        _ => "contains",
    }
}

fn differs(text: &str, right: &str) -> Option<String> {
    (text != right).then(|| format!("write `{right}`"))
}

fn unless_one_of(text: &str, known: &[&str]) -> Option<String> {
    let shown: Vec<&str> = known.iter().copied().filter(|known| !known.is_empty()).collect();
    (!known.contains(&text)).then(|| format!("it is one of `{}`", shown.join("`, `")))
}

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
