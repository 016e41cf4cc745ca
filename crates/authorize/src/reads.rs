//! What rules read of a request: fields, and single entries of maps. Found when a rule is checked, so that the audit
//! log can keep exactly those, and so that a record tells what it cannot answer.

use std::fmt;
use std::sync::Arc;

use crate::Input;
use crate::environment::Fact;
use crate::value::Value;

/// One thing that a rule reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Read {
    /// The field, such as `request.ip` or `request.headers`.
    pub field: &'static str,
    /// The entry, where the field is a map and the rule reads one entry of it.
    pub key: Option<Arc<str>>,
    /// Whether only its presence is asked for: `has(user.claims.team)`, `"x-role" in request.headers`.
    pub presence: bool,
}

impl Read {
    /// Returns that a field is read as a whole.
    #[must_use]
    pub const fn whole(field: &'static str) -> Self {
        Self { field, key: None, presence: false }
    }

    /// Returns whether this is a credential, or sounds like one: never shown, never written to the audit log.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        !self.presence && self.key.as_deref().is_some_and(sounds_secret)
    }

    /// Returns its value in a request; `None` where an entry is not there.
    #[must_use]
    pub fn value(&self, input: &Input<'_>) -> Option<serde_json::Value> {
        let value = (Fact::named(self.field)?.read)(input);
        match (&self.key, &value) {
            (Some(key), Value::Map(map)) => map.get_text(key).map(|value| value.to_json()),
            (Some(_), _) => None,
            (None, value) => Some(value.to_json()),
        }
    }

    /// Returns whether this is one entry of `request.headers`, `request.query` or `user.claims`.
    #[must_use]
    pub fn is_entry(&self) -> bool {
        self.key.is_some()
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}.{key}", self.field),
            None => f.write_str(self.field),
        }
    }
}

/// Returns whether a header, parameter or claim of that name may hold a credential.
#[must_use]
pub fn sounds_secret(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    SECRETS.iter().any(|secret| name.contains(secret))
        || ["code", "key", "sig", "auth", "sid", "nonce"].contains(&&*name)
}

/// Returns whether a text has the form of a signed token (RFC 7515 §3.1), whatever it is called.
#[must_use]
pub fn looks_like_token(text: &str) -> bool {
    let text = text.rsplit(' ').next().unwrap_or_default();
    let encoded = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    // `{"` in base64url: every JOSE header begins with it.
    text.starts_with("eyJ") && text.matches('.').count() == 2 && text.split('.').all(encoded)
}

/// Parts of names, in lower case and without punctuation.
const SECRETS: [&str; 12] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "passw",
    "credential",
    "apikey",
    "privatekey",
    "signature",
    "assertion",
    "jwt",
    "session",
];

#[cfg(test)]
mod tests;
