//! One line of the log.

pub(crate) mod plain;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// One line of the log. Texts are borrowed where they can be: a record lives only until it is written.
///
/// Cookies and tokens have no field here; whoever fills `inputs` sees to it that none gets there.
#[derive(Clone, Debug, Serialize)]
pub struct Record<'a> {
    /// When the request arrived.
    pub time: Timestamp,
    /// The request id.
    pub id: Cow<'a, str>,
    /// What happened.
    pub kind: Kind,
    /// The configuration that decided.
    pub revision: Cow<'a, str>,
    /// The route, where one matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Cow<'a, str>>,
    /// The client's address; absent when the request did not say it believably.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<std::net::IpAddr>,
    /// The socket's peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_ip: Option<std::net::IpAddr>,
    /// What made the client's address known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip_source: Option<&'static str>,
    /// Who asked, where somebody was signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User<'a>>,
    /// A prefix of the session's hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Cow<'a, str>>,
    /// The method.
    pub method: Cow<'a, str>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host, lower case, without port.
    pub host: Cow<'a, str>,
    /// The normalised path.
    pub path: Cow<'a, str>,
    /// The names of the query's parameters; never their values.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "some_items")]
    pub query_keys: Vec<Cow<'a, str>>,
    /// `http/1.1` or `h2`.
    pub protocol: &'static str,
    /// The downstream TLS connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls<'a>>,
    /// What was decided.
    pub decision: Decision,
    /// The rule that decided, as `policy/rule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    /// Why, as a stable code.
    pub reason: Cow<'a, str>,
    /// What failed while a rule was evaluated, or what the upstream's failure was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
    /// What rules that are not in force would have decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow<'a>>,
    /// What the route's rules read and no other field holds, by name.
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "entries")]
    pub inputs: Cow<'a, [(Arc<str>, Input)]>,
    /// What `audit.fields` adds, by name.
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "entries")]
    pub fields: Cow<'a, [(Arc<str>, serde_json::Value)]>,
    /// The trace that the request belongs to, where requests are traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Cow<'a, str>>,
    /// The client's `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Cow<'a, str>>,
    /// What became of it; absent where the record is written ahead, and an [`Ended`] follows.
    #[serde(flatten)]
    pub outcome: Option<Outcome<'a>>,
}

/// The second record of a request whose first was written ahead.
#[derive(Clone, Debug, Serialize)]
pub struct Ended<'a> {
    /// When the request ended.
    pub time: Timestamp,
    /// The request id: that of the first record.
    pub id: Cow<'a, str>,
    /// [`Kind::Outcome`].
    pub kind: Kind,
    /// Where it was refused after all: instead of what the first record says.
    #[serde(flatten)]
    pub refused: Option<Refused<'a>>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome<'a>,
}

/// A refusal of what was allowed before.
#[derive(Clone, Debug, Serialize)]
pub struct Refused<'a> {
    /// What was decided.
    pub decision: Decision,
    /// Why, as a stable code.
    pub reason: Cow<'a, str>,
}

/// What became of a request.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome<'a> {
    /// The upstream that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream<'a>>,
    /// The status sent downstream; 0 when the client left before one was sent.
    pub status: u16,
    /// The gRPC status, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u16>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// How long it took.
    pub ms: Milliseconds,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request was decided.
    Request,
    /// A request ended whose decision was written ahead.
    Outcome,
    /// Somebody signed in.
    SignIn,
    /// Somebody signed out.
    SignOut,
    /// A session was ended by somebody else (a provider's back-channel logout).
    Revoke,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Let through.
    Allow,
    /// Refused.
    Deny,
    /// Sent to sign in.
    Challenge,
}

/// What rules that are not in force would have decided.
#[derive(Clone, Debug, Serialize)]
pub struct Shadow<'a> {
    /// What it would have been.
    pub decision: Decision,
    /// The rule that would have decided, as `policy/rule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    /// Why, as a stable code.
    pub reason: &'static str,
    /// What failed while a rule was evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
}

/// One thing that the route's rules read.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// It was not there: `null`.
    Absent,
    /// It was there, and is not written: `"redacted"`.
    Redacted,
    /// It was there, and this is its keyed hash: `{"hash": ".."}`.
    Hashed(Box<str>),
    /// This: `{"is": ..}`.
    Is(serde_json::Value),
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_unit(),
            Self::Redacted => serializer.serialize_str(REDACTED),
            Self::Hashed(hash) => serializer.collect_map([("hash", hash)]),
            Self::Is(value) => serializer.collect_map([("is", value)]),
        }
    }
}

/// Who asked.
#[derive(Clone, Debug, Serialize)]
pub struct User<'a> {
    /// `issuer|subject`.
    pub id: Cow<'a, str>,
    /// The e-mail address.
    pub email: Cow<'a, str>,
    /// The groups.
    #[serde(serialize_with = "some_items")]
    pub groups: Cow<'a, [Box<str>]>,
    /// The provider.
    pub provider: Cow<'a, str>,
}

/// The downstream TLS connection.
#[derive(Clone, Debug, Serialize)]
pub struct Tls<'a> {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The server name that the client asked for.
    pub sni: Cow<'a, str>,
    /// The client's certificate, verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate<'a>>,
}

/// The certificate of a client.
#[derive(Clone, Debug, Serialize)]
pub struct ClientCertificate<'a> {
    /// The subject as RFC 4514 text.
    pub subject: Cow<'a, str>,
    /// SHA-256 of the DER, lower-case hexadecimal.
    pub fingerprint_sha256: Cow<'a, str>,
}

/// The upstream that answered, or that failed to.
#[derive(Clone, Debug, Serialize)]
pub struct Upstream<'a> {
    /// The endpoint that was reached, as `scheme://host:port`.
    pub endpoint: Cow<'a, str>,
    /// `http/1.1`, `h2` or `h2c`; absent when no connection came about.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub protocol: &'static str,
    /// Why that protocol: `configured` or `alpn`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub protocol_reason: &'static str,
    /// How many connections were tried.
    pub attempts: u32,
}

/// How long the stages took, in milliseconds with three decimals.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Milliseconds {
    /// The decision.
    #[serde(serialize_with = "three_decimals")]
    pub policy: f64,
    /// Until the upstream's response headers.
    #[serde(serialize_with = "three_decimals")]
    pub upstream: f64,
    /// Until the last byte was sent.
    #[serde(serialize_with = "three_decimals")]
    pub total: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn three_decimals<S: Serializer>(milliseconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((milliseconds * 1000.0).round() / 1000.0)
}

fn entries<S: Serializer, T: Serialize>(entries: &[(Arc<str>, T)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(name, value)| (&**name, value)))
}

/// Writes the first items of a list; the rest is counted.
fn some_items<S: Serializer, T: AsRef<str>>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    let left_out = items.len().saturating_sub(MAX_ITEMS);
    let marker = (left_out > 0).then(|| Cow::Owned(format!("…(+{left_out} items)")));
    serializer.collect_seq(items.iter().take(MAX_ITEMS).map(|item| Cow::Borrowed(item.as_ref())).chain(marker))
}

/// Stands for an input that is not written.
pub(crate) const REDACTED: &str = "redacted";

/// How many items of one list are kept. Without it a client decides how much disk a request costs.
pub(crate) const MAX_ITEMS: usize = 256;
