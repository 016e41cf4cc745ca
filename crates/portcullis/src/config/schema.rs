//! What may be written: one description of every key, from which files are checked, the JSON Schema is printed and the
//! tables of `docs/configuration.md` are made.

mod data;
mod policies;
pub(crate) mod policy_tests;
mod rewrite;
mod root;
mod route;
mod shipping;
mod sign_in;
mod upstream;

pub(crate) use data::TABLE;
pub(crate) use policies::{CANDIDATE, POLICY, POLICY_FILE, RULE, RULES};
pub(crate) use rewrite::{HEADER_EDITS, REDIRECT, REGEX_REWRITE, RESPOND};
pub(crate) use root::{
    ADMIN, AUDIT, BRANDING, CERTIFICATE, CLIENT_AUTH, HTTP2, LIMITS, LISTENER, POLICY_ROOT, REDACT, RETENTION, ROOT,
    TLS,
};
pub(crate) use route::{DEFAULTS, IDENTITY_HEADERS, RATE_LIMIT, ROUTE, STEP_UP, TIMEOUTS, TLS as UPSTREAM_TLS};
pub(crate) use shipping::{FACILITIES, OTLP, SYSLOG, TELEMETRY, TRACES};
pub(crate) use sign_in::{AUTHENTICATE, CLAIMS, KEYS, PROVIDER, SESSION};
pub(crate) use upstream::{
    CREDENTIAL, DNS, HASHING, HEALTH_CHECK, HTTP2 as UPSTREAM_HTTP2, OAUTH2, OUTLIER_DETECTION, RETRY, TARGET,
};

/// A mapping with known keys.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) doc: &'static str,
    pub(crate) keys: &'static [Key],
}

impl Section {
    /// Returns whether any key must be written.
    pub(crate) fn has_required(&self) -> bool {
        self.keys.iter().any(|key| key.presence == Presence::Required)
    }
}

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
    pub(crate) doc: &'static str,
}

/// What happens where a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It must be written.
    Required,
    /// This value is used.
    Default(&'static str),
    /// It has no value; the text says what that means.
    Optional(&'static str),
}

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Any text that is not empty.
    Text,
    /// A text that is never shown.
    Secret,
    /// `true` or `false`.
    Flag,
    /// A whole number between these.
    Count(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A text with a meaning of its own.
    Format(Format),
    /// A list of values; a value alone where that may stand for a list of one.
    List(&'static Self, Alone),
    /// Names and values that the file chooses.
    Table(&'static Self),
    /// A mapping with known keys.
    Section(&'static Section),
    /// A flag or a mapping: `identity: false`.
    FlagOr(&'static Section),
    /// A word or a list: `websockets`.
    ChoiceOr(&'static [&'static str], &'static Self),
    /// A text or a mapping: an item of `to`.
    ScalarOr(&'static Self, &'static Section),
    /// Rules of a policy: an expression, or a list of expressions and of mappings.
    Rules,
    /// Anything.
    Any,
}

/// Whether a list of one may be written without brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alone {
    /// It may.
    Allowed,
    /// It must be a list.
    Refused,
}

/// Texts with a meaning of their own; `config/format.rs` reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A value of `acr_values`.
    Acr,
    Address,
    Authority,
    /// A PEM file with at least one certificate.
    Certificates,
    Color,
    Domain,
    Duration,
    /// A duration, or `off`.
    DurationOrOff,
    Endpoint,
    /// A file that must be there.
    File,
    ForwardedHeader,
    /// A pattern of file names.
    Glob,
    From,
    HeaderName,
    HeaderValue,
    /// An `https` or `http` URL.
    HttpUrl,
    /// An `https` URL.
    HttpsUrl,
    /// The name of a chain of the audit log.
    Instance,
    /// An address, without a port.
    Ip,
    Issuer,
    /// A URL, or an absolute path.
    Location,
    Method,
    /// Also that of a tunnel.
    AnyMethod,
    /// Also an empty text.
    AnyText,
    /// A CEL expression; `true` is one, and a plain one.
    Expression,
    Name,
    Network,
    Origin,
    /// A folder or file that is made when it is missing.
    Output,
    Path,
    /// A PEM file with a private key.
    PrivateKey,
    /// A number from 0 to 1.
    Ratio,
    Regex,
    /// A PEM file with at least one revocation list.
    RevocationLists,
    /// Path and query of a request that Portcullis makes.
    RequestTarget,
    /// A path in normal form, which may be `/`.
    RewrittenPath,
    ServerName,
    /// A PEM file with a key that signs segments of the audit log.
    SigningKey,
    Size,
    /// A point in time (RFC 3339).
    Time,
    Store,
    /// What stands in a header of syslog messages.
    SyslogName,
    /// A `tls` or `tcp` URL.
    SyslogUrl,
    /// A file that must be there, and is watched by itself.
    TableFile,
}

impl Section {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

const fn key(name: &'static str, kind: Kind, presence: Presence, doc: &'static str) -> Key {
    Key { name, kind, presence, doc }
}

const fn list(kind: &'static Kind) -> Kind {
    Kind::List(kind, Alone::Refused)
}

const fn one_or_many(kind: &'static Kind) -> Kind {
    Kind::List(kind, Alone::Allowed)
}
