//! What a route's rules read and the audit record has no field for: kept with it, so that its decision can be explained
//! and made again.
//!
//! Which inputs those are is known when a configuration is loaded; a route whose rules read none costs nothing here.

use std::sync::Arc;

use audit::{Input as Recorded, InputKey};
use authorize::{Input, Read, looks_like_token};
use serde_json::Value;

use crate::config::{Authentication, KeepInput, RecordInputs};

/// The inputs of one route that are kept.
#[derive(Debug)]
pub(crate) struct Inputs {
    kept: Box<[Kept]>,
    /// Whether it is to be said that nobody was signed in: without a session somebody looked for, a record says nothing.
    signed_out: bool,
    key: Option<InputKey>,
}

#[derive(Debug)]
struct Kept {
    name: Arc<str>,
    read: Read,
    how: KeepInput,
}

impl Inputs {
    /// Chooses what to keep of what a route's rules read. `key` is called where something is hashed.
    ///
    /// # Errors
    /// There is no key.
    pub(crate) fn new(
        reads: &[Read],
        authenticate: Authentication,
        keep: &RecordInputs,
        key: impl FnOnce() -> std::io::Result<InputKey>,
    ) -> std::io::Result<Self> {
        let mut kept: Vec<Kept> = Vec::new();
        for read in reads.iter().filter(|read| read.is_entry() || NOT_RECORDED.contains(&read.field)) {
            let name: Arc<str> = read.to_string().into();
            let how = keep.how(&name, read);
            // Whoever keeps the value keeps that it is there.
            let known = kept.iter().position(|known| known.name == name);
            match known.and_then(|known| kept.get_mut(known)) {
                Some(known) if known.read.presence => *known = Kept { name, read: read.clone(), how },
                Some(_) => {}
                None if how == KeepInput::None => {}
                None => kept.push(Kept { name, read: read.clone(), how }),
            }
        }
        let of_user = |read: &Read| read.field.starts_with("user.") || read.field.starts_with("session.");
        let key = kept.iter().any(|kept| kept.how == KeepInput::Hashed).then(key).transpose()?;
        let signed_out = authenticate != Authentication::None && reads.iter().any(of_user);
        Ok(Self { kept: kept.into(), signed_out, key })
    }

    /// Keeps what is to be kept of one request.
    pub(crate) fn keep(&self, input: &Input<'_>) -> Box<[(Arc<str>, Recorded)]> {
        let nobody = input.user.is_none();
        let mut kept = Vec::new();
        if nobody && self.signed_out {
            kept.push((Arc::from(AUTHENTICATED), Recorded::Is(false.into())));
        }
        for one in &self.kept {
            let of_user = one.read.field.starts_with("user.") || one.read.field.starts_with("session.");
            if !(nobody && of_user) {
                kept.push((Arc::clone(&one.name), self.kept(one, input)));
            }
        }
        kept.into()
    }

    fn kept(&self, one: &Kept, input: &Input<'_>) -> Recorded {
        let Some(value) = one.read.value(input) else { return Recorded::Absent };
        let secret = one.read.is_secret() || holds_token(&value);
        match (one.how, &self.key) {
            _ if secret || one.read.presence => Recorded::Redacted,
            (KeepInput::Full, _) if value.to_string().len() <= MAX_VALUE => Recorded::Is(value),
            (KeepInput::Hashed, Some(key)) => match value {
                Value::String(text) => Recorded::Hashed(key.hash(&one.name, &text)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    Recorded::Redacted
                }
            },
            (KeepInput::Full | KeepInput::Hashed | KeepInput::Redacted | KeepInput::None, _) => Recorded::Redacted,
        }
    }
}

impl RecordInputs {
    /// Returns how an input is kept: as the longest pattern says that its name matches.
    fn how(&self, name: &str, read: &Read) -> KeepInput {
        let patterns = self.patterns.iter().filter(|(pattern, _)| matches(pattern, name));
        let longest = patterns.max_by_key(|(pattern, _)| pattern.len());
        longest.map_or(
            // What callers and providers choose is hashed; what we found out ourselves is no secret of theirs.
            if read.is_entry() || read.field == "user.name" { KeepInput::Hashed } else { KeepInput::Full },
            |(_, how)| *how,
        )
    }
}

/// `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
        last = Some(part);
    }
    rest.is_empty() || last.is_some_and(|last| last.is_empty() || rest.ends_with(last))
}

/// Returns whether a token is anywhere within a value.
fn holds_token(value: &Value) -> bool {
    match value {
        Value::String(text) => looks_like_token(text),
        Value::Array(items) => items.iter().any(holds_token),
        Value::Object(entries) => {
            entries.iter().any(|(name, value)| authorize::sounds_secret(name) || holds_token(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Fields that a record does not have.
const NOT_RECORDED: [&str; 14] = [
    "request.grpc.service",
    "request.grpc.method",
    "request.tls.client_certificate.san_dns",
    "request.tls.client_certificate.san_uri",
    "request.tls.client_certificate.san_email",
    "request.tls.client_certificate.not_after",
    "user.machine",
    "user.name",
    "user.email_verified",
    "session.created",
    "session.expires",
    "session.auth_time",
    "session.acr",
    "session.amr",
];

const AUTHENTICATED: &str = "user.authenticated";

/// A record stays small whatever a provider puts into a claim.
const MAX_VALUE: usize = 4096;

#[cfg(test)]
mod tests;
