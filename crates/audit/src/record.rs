//! One line of the log.

pub(crate) mod json;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// One line of the log. Texts are borrowed where they can be: a record lives only until it is written.
///
/// Cookies and tokens have no field here; whoever fills `inputs` sees to it that none gets there.
#[derive(Clone, Debug)]
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
    pub route: Option<Cow<'a, str>>,
    /// The client's address; absent when the request did not say it believably.
    pub client_ip: Option<std::net::IpAddr>,
    /// The socket's peer.
    pub peer_ip: Option<std::net::IpAddr>,
    /// What made the client's address known.
    pub client_ip_source: Option<&'static str>,
    /// Who asked, and in which session, where somebody was signed in.
    pub caller: Option<Caller<'a>>,
    /// The method.
    pub method: Cow<'a, str>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host, lower case, without port.
    pub host: Cow<'a, str>,
    /// The normalised path.
    pub path: Cow<'a, str>,
    /// The names of the query's parameters; never their values.
    pub query_keys: Vec<Cow<'a, str>>,
    /// `http/1.1` or `h2`.
    pub protocol: &'static str,
    /// The downstream TLS connection.
    pub tls: Option<Tls<'a>>,
    /// What was decided.
    pub decision: Decision,
    /// The rule that decided, as `policy/rule`.
    pub rule: Option<Cow<'a, str>>,
    /// Why, as a stable code.
    pub reason: Cow<'a, str>,
    /// What failed while a rule was evaluated, or what the upstream's failure was.
    pub error: Option<Cow<'a, str>>,
    /// What rules that are not in force would have decided.
    pub shadow: Option<Shadow<'a>>,
    /// What the route's rules read and no other field holds, by name.
    pub inputs: Cow<'a, [(Arc<str>, Input)]>,
    /// What `audit.fields` adds, by name.
    pub fields: Cow<'a, [(Arc<str>, serde_json::Value)]>,
    /// The trace that the request belongs to, where requests are traced.
    pub trace_id: Option<Cow<'a, str>>,
    /// The client's `User-Agent`.
    pub user_agent: Option<Cow<'a, str>>,
    /// What became of it; absent where the record is written ahead, and an [`Ended`] follows.
    pub outcome: Option<Outcome<'a>>,
}

/// The second record of a request whose first was written ahead.
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// When the request ended.
    pub time: Timestamp,
    /// The request id: that of the first record.
    pub id: Cow<'a, str>,
    /// [`Kind::Outcome`].
    pub kind: Kind,
    /// Where it was refused after all: instead of what the first record says.
    pub refused: Option<Refused<'a>>,
    /// What failed.
    pub error: Option<Cow<'a, str>>,
    /// What became of it.
    pub outcome: Outcome<'a>,
}

/// A refusal of what was allowed before.
#[derive(Clone, Debug)]
pub struct Refused<'a> {
    /// What was decided.
    pub decision: Decision,
    /// Why, as a stable code.
    pub reason: Cow<'a, str>,
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Outcome<'a> {
    /// The upstream that answered.
    pub upstream: Option<Upstream<'a>>,
    /// The status sent downstream; 0 when the client left before one was sent.
    pub status: u16,
    /// The gRPC status, where there was one.
    pub grpc_status: Option<u16>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// How long it took.
    pub ms: Milliseconds,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let through.
    Allow,
    /// Refused.
    Deny,
    /// Sent to sign in.
    Challenge,
}

/// What rules that are not in force would have decided.
#[derive(Clone, Debug)]
pub struct Shadow<'a> {
    /// What it would have been.
    pub decision: Decision,
    /// The rule that would have decided, as `policy/rule`.
    pub rule: Option<Cow<'a, str>>,
    /// Why, as a stable code.
    pub reason: &'static str,
    /// What failed while a rule was evaluated.
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

/// A user and a prefix of their session's hash, as records have them: written out once, for all requests of a session.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a>(&'a str);

impl<'a> Caller<'a> {
    /// States that the text is what [`crate::Log::write_caller`] returned.
    #[must_use]
    pub const fn written(text: &'a str) -> Self {
        Self(text)
    }
}

/// The downstream TLS connection.
#[derive(Clone, Debug)]
pub struct Tls<'a> {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The server name that the client asked for.
    pub sni: Cow<'a, str>,
    /// The client's certificate, verified.
    pub client_certificate: Option<ClientCertificate<'a>>,
}

/// The certificate of a client.
#[derive(Clone, Debug)]
pub struct ClientCertificate<'a> {
    /// The subject as RFC 4514 text.
    pub subject: Cow<'a, str>,
    /// SHA-256 of the DER, lower-case hexadecimal.
    pub fingerprint_sha256: Cow<'a, str>,
}

/// The upstream that answered, or that failed to.
#[derive(Clone, Debug)]
pub struct Upstream<'a> {
    /// The endpoint that was reached, as `scheme://host:port`.
    pub endpoint: Cow<'a, str>,
    /// `http/1.1`, `h2` or `h2c`; absent when no connection came about.
    pub protocol: &'static str,
    /// Why that protocol: `configured` or `alpn`.
    pub protocol_reason: &'static str,
    /// How many connections were tried.
    pub attempts: u32,
}

/// How long the stages took: written in milliseconds, with three decimals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Milliseconds {
    /// The decision.
    pub policy: Duration,
    /// Until the upstream's response headers.
    pub upstream: Duration,
    /// Until the last byte was sent.
    pub total: Duration,
}

/// Writes the first items of a list; the rest is counted.
fn some_items<S: Serializer, T: AsRef<str>>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    let left_out = items.len().saturating_sub(MAX_ITEMS);
    let marker = (left_out > 0).then(|| Cow::Owned(format!("…(+{left_out} items)")));
    serializer.collect_seq(items.iter().take(MAX_ITEMS).map(|item| Cow::Borrowed(item.as_ref())).chain(marker))
}

/// Writes out what [`Caller`] stands for.
pub(crate) fn write_caller(user: &User<'_>, session: Option<&str>) -> Box<str> {
    let mut written = Vec::new();
    json::caller(&mut written, user, session);
    // Never lossy: it is made of texts.
    String::from_utf8_lossy(&written).into()
}

/// Stands for an input that is not written.
pub(crate) const REDACTED: &str = "redacted";

/// How many items of one list are kept. Without it a client decides how much disk a request costs.
pub(crate) const MAX_ITEMS: usize = 256;
