//! Texts that a field never is: a rule that asks for one never holds, and as a deny rule it would let everybody pass.

use std::ops::Range;

use identity::Ip;

use super::{Checker, constant};
use crate::code::Code;
use crate::condition::Fault;
use crate::constant::Constant;

impl Checker<'_> {
    /// Looks at a text, or at each of a list of texts, that a field is compared with.
    pub(super) fn possible(&mut self, field: &Code, literal: &Code, at: &Range<usize>) {
        let (Code::Fact(fact), Some(literal)) = (field, constant(literal)) else { return };
        let literals = if let Constant::List(items) = literal { items } else { std::slice::from_ref(literal) };
        for literal in literals {
            if let Constant::Text(text) = literal
                && let Some(help) = never(fact.name, text)
            {
                let fault = Fault::new(at.clone(), format!("`{}` is never `{text}`", fact.name));
                self.faults.push(fault.help(help));
            }
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
        "request.host" if !text.starts_with('[') => {
            // As it is routed: lower case, without the port and the dot at the end.
            let host = text.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
            differs(text, &host)
        }
        _ => None,
    }
}

fn differs(text: &str, right: &str) -> Option<String> {
    (text != right).then(|| format!("write `{right}`"))
}

fn unless_one_of(text: &str, known: &[&str]) -> Option<String> {
    (!known.contains(&text)).then(|| format!("it is one of `{}`", known.join("`, `")))
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
