//! The names that a condition may use, their types, and where their values come from.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use identity::{Identity, Kind, Proof};
use jiff::Timestamp;

use crate::code::Address;
use crate::query;
use crate::value::{List, Map, Value};
use crate::{Input, SessionFacts};

/// One field of the environment.
pub(crate) struct Fact {
    /// The dotted name.
    pub(crate) name: &'static str,
    /// Its type, as functions write theirs.
    pub(crate) of: &'static str,
    /// Reads it.
    pub(crate) read: for<'a> fn(&Input<'a>) -> Value<'a>,
}

impl std::fmt::Debug for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Fact {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Fact {
    /// Returns the field of that dotted name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        FACTS.iter().find(|fact| fact.name == name)
    }

    /// Returns which address the field is the text of.
    pub(crate) fn address(&self) -> Option<Address> {
        match self.name {
            "request.ip" => Some(Address::Client),
            "request.peer_ip" => Some(Address::Peer),
            _ => None,
        }
    }

    /// Returns whether the field is the path, or is cut out of it.
    pub(crate) fn reads_path(&self) -> bool {
        self.name == "request.path" || self.name.starts_with("request.grpc.")
    }

    /// Returns whether the field is known only once somebody has signed in.
    pub(crate) fn needs_sign_in(&self) -> bool {
        self.name.starts_with("user.") || self.name.starts_with("session.")
    }
}

/// Returns whether `name` is a group of fields, such as `request` or `request.tls`.
pub(crate) fn is_group(name: &str) -> bool {
    fields(name).next().is_some()
}

/// Returns the names directly below a group; `""` gives the roots. A name may come more than once.
pub(crate) fn fields(group: &str) -> impl Iterator<Item = &'static str> {
    FACTS.iter().filter_map(move |fact| {
        let rest = if group.is_empty() { fact.name } else { fact.name.strip_prefix(group)?.strip_prefix('.')? };
        rest.split('.').next()
    })
}

/// Everything that a condition sees.
pub(crate) const FACTS: &[Fact] = &[
    Fact { name: "request.ip", of: "string", read: |input| Value::text(input.request.ip.to_string()) },
    Fact { name: "request.peer_ip", of: "string", read: |input| Value::text(input.request.peer_ip.to_string()) },
    Fact { name: "request.ip_source", of: "string", read: |input| Value::text(input.request.ip_source) },
    Fact { name: "request.method", of: "string", read: |input| Value::text(input.request.method) },
    Fact { name: "request.scheme", of: "string", read: |input| Value::text(input.request.scheme) },
    Fact { name: "request.host", of: "string", read: |input| Value::text(input.request.host) },
    Fact { name: "request.path", of: "string", read: |input| Value::text(input.request.path) },
    Fact {
        name: "request.query",
        of: "map<string, list<string>>",
        read: |input| Value::Map(Map::Lists(Rc::new(query::parse(input.request.query)))),
    },
    Fact {
        name: "request.headers",
        of: "map<string, string>",
        read: |input| Value::Map(Map::Headers(input.request.headers)),
    },
    Fact { name: "request.time", of: "timestamp", read: |input| Value::Timestamp(input.request.time) },
    Fact { name: "request.protocol", of: "string", read: |input| Value::text(input.request.protocol) },
    Fact { name: "request.id", of: "string", read: |input| Value::text(input.request.id) },
    Fact { name: "request.grpc.service", of: "string", read: |input| Value::text(input.request.grpc.service) },
    Fact { name: "request.grpc.method", of: "string", read: |input| Value::text(input.request.grpc.method) },
    Fact { name: "request.tls.version", of: "string", read: |input| Value::text(input.request.tls.version) },
    Fact { name: "request.tls.sni", of: "string", read: |input| Value::text(input.request.tls.sni) },
    Fact {
        name: "request.tls.client_certificate.present",
        of: "bool",
        read: |input| Value::Bool(input.request.tls.client_certificate.is_some()),
    },
    Fact {
        name: "request.tls.client_certificate.subject",
        of: "string",
        read: |input| Value::text(input.request.tls.client_certificate.map_or("", |known| &known.subject)),
    },
    Fact {
        name: "request.tls.client_certificate.san_dns",
        of: "list<string>",
        read: |input| texts(input.request.tls.client_certificate.map(|known| &*known.san_dns)),
    },
    Fact {
        name: "request.tls.client_certificate.san_uri",
        of: "list<string>",
        read: |input| texts(input.request.tls.client_certificate.map(|known| &*known.san_uri)),
    },
    Fact {
        name: "request.tls.client_certificate.san_email",
        of: "list<string>",
        read: |input| texts(input.request.tls.client_certificate.map(|known| &*known.san_email)),
    },
    Fact {
        name: "request.tls.client_certificate.fingerprint_sha256",
        of: "string",
        read: |input| Value::text(input.request.tls.client_certificate.map_or("", |known| &known.fingerprint_sha256)),
    },
    Fact {
        name: "request.tls.client_certificate.not_after",
        of: "timestamp",
        read: |input| time(input.request.tls.client_certificate.map(|known| known.not_after)),
    },
    Fact { name: "user.authenticated", of: "bool", read: |input| Value::Bool(input.user.is_some()) },
    Fact {
        name: "user.machine",
        of: "bool",
        read: |input| Value::Bool(input.user.is_some_and(|user| user.kind() == Kind::Machine)),
    },
    Fact { name: "user.id", of: "string", read: |input| user_text(input, Identity::id) },
    Fact { name: "user.email", of: "string", read: |input| user_text(input, Identity::email) },
    Fact {
        name: "user.email_verified",
        of: "bool",
        read: |input| {
            let claimed = input.user.and_then(|user| user.claims().get("email_verified"));
            // Some providers write the claim as text.
            Value::Bool(claimed.is_some_and(|claim| claim.as_bool() == Some(true) || claim.as_str() == Some("true")))
        },
    },
    Fact { name: "user.name", of: "string", read: |input| user_text(input, Identity::name) },
    Fact { name: "user.groups", of: "list<string>", read: |input| texts(input.user.map(Identity::groups)) },
    Fact {
        name: "user.claims",
        of: "map<string, dyn>",
        read: |input| Value::Map(input.user.map_or(Map::Empty, |user| Map::Json(user.claims().as_map()))),
    },
    Fact { name: "user.provider", of: "string", read: |input| user_text(input, |user| user.provider().as_str()) },
    Fact {
        name: "session.id",
        of: "string",
        read: |input| Value::text(session(input).map_or("", |session| session.id)),
    },
    Fact {
        name: "session.created",
        of: "timestamp",
        read: |input| time(session(input).map(|session| session.created)),
    },
    Fact {
        name: "session.expires",
        of: "timestamp",
        read: |input| time(session(input).map(|session| session.expires)),
    },
    Fact {
        name: "session.auth_time",
        of: "timestamp",
        read: |input| time(proof(input).and_then(|proof| proof.auth_time)),
    },
    Fact { name: "session.acr", of: "string", read: |input| Value::text(proof(input).map_or("", |proof| &proof.acr)) },
    Fact { name: "session.amr", of: "list<string>", read: |input| texts(proof(input).map(|proof| &*proof.amr)) },
    Fact { name: "route.name", of: "string", read: |input| Value::text(input.route.name) },
    Fact { name: "route.host", of: "string", read: |input| Value::text(input.route.host) },
];

fn texts(items: Option<&[Box<str>]>) -> Value<'_> {
    Value::List(List::Texts(items.unwrap_or_default()))
}

/// A time that is not known is the beginning of 1970: long past, so that nothing counts as recent or still valid.
fn time<'a>(time: Option<Timestamp>) -> Value<'a> {
    Value::Timestamp(time.unwrap_or(Timestamp::UNIX_EPOCH))
}

fn user_text<'a>(input: &Input<'a>, read: for<'b> fn(&'b Identity) -> &'b str) -> Value<'a> {
    Value::text(input.user.map_or("", read))
}

const fn session<'a>(input: &Input<'a>) -> Option<SessionFacts<'a>> {
    input.session
}

fn proof<'a>(input: &Input<'a>) -> Option<&'a Proof> {
    input.user.map(Identity::proof)
}

/// What a parsed query looks like.
pub(crate) type Query<'a> = BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>;

#[cfg(test)]
mod tests;
