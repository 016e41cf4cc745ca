//! One line of the audit log, as far as a decision can be made again from it. Texts are borrowed from the line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A text of the line. In an `Option` or a `Vec`, serde borrows no other.
#[derive(Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// One line of the log. What it holds beside this is passed over.
#[derive(Debug, Deserialize)]
pub(crate) struct Line<'a> {
    pub(crate) time: Timestamp,
    #[serde(borrow, default)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) revision: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) route: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) client_ip: Option<IpAddr>,
    #[serde(default)]
    pub(crate) peer_ip: Option<IpAddr>,
    #[serde(borrow, default)]
    pub(crate) client_ip_source: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) user: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) session: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) method: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) scheme: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) host: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) path: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) query_keys: Vec<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) protocol: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) tls: Option<Tls<'a>>,
    #[serde(borrow, default)]
    pub(crate) decision: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) rule: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) reason: Cow<'a, str>,
    #[serde(borrow, default)]
    inputs: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tls<'a> {
    #[serde(borrow, default)]
    pub(crate) version: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) sni: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) client_certificate: Option<Certificate<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Certificate<'a> {
    #[serde(borrow, default)]
    pub(crate) subject: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) fingerprint_sha256: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) email: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) groups: Vec<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) provider: Cow<'a, str>,
}

/// One entry of `inputs`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    Absent,
    Redacted,
    Hashed(Box<str>),
    Is(Value),
}

impl<'a> Line<'a> {
    /// Reads a line.
    pub(crate) fn read(line: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// Returns `inputs`; `None` where they are not as they are written.
    pub(crate) fn inputs(&self) -> Option<BTreeMap<Box<str>, Input>> {
        let Some(raw) = self.inputs else { return Some(BTreeMap::new()) };
        let entries: serde_json::Map<String, Value> = serde_json::from_str(raw.get()).ok()?;
        entries.into_iter().map(|(name, value)| Some((name.into(), Input::of(value)?))).collect()
    }
}

impl Input {
    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Absent),
            Value::String(_) => Some(Self::Redacted),
            Value::Object(mut entries) => match (entries.remove("is"), entries.remove("hash")) {
                (Some(value), _) => Some(Self::Is(value)),
                (None, Some(Value::String(hash))) => Some(Self::Hashed(hash.into())),
                (None, _) => None,
            },
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        }
    }
}
