//! The facts that a policy may see, and no others.

use std::borrow::Cow;

use identity::{Identity, Ip};
use jiff::Timestamp;

/// Everything that one decision is made over. Values are borrowed: nothing is copied unless an expression needs it.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What is asked for.
    pub request: Request<'a>,
    /// Who asks; `None` before sign-in.
    pub user: Option<&'a Identity>,
    /// The session, where one was presented.
    pub session: Option<SessionFacts<'a>>,
    /// The route that matched.
    pub route: RouteFacts<'a>,
}

/// The request, in the normal form in which it was routed and will be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `request.ip`: the client.
    pub ip: Ip,
    /// `request.peer_ip`: the socket's peer.
    pub peer_ip: Ip,
    /// `request.ip_source`.
    pub ip_source: &'static str,
    /// `request.method`.
    pub method: &'a str,
    /// `request.scheme`: `http` or `https`.
    pub scheme: &'static str,
    /// `request.host`: lower case, without port.
    pub host: &'a str,
    /// `request.path`: normalised, without query.
    pub path: &'a str,
    /// The raw query without `?`; `request.query` is a map of lists parsed from it.
    pub query: &'a str,
    /// `request.headers`.
    pub headers: &'a dyn Headers,
    /// `request.time`.
    pub time: Timestamp,
    /// `request.protocol`: `http/1.1` or `h2`.
    pub protocol: &'static str,
    /// `request.id`.
    pub id: &'a str,
    /// `request.grpc`; both parts empty when the request is not gRPC.
    pub grpc: Grpc<'a>,
    /// `request.tls`; empty texts on a cleartext listener.
    pub tls: Tls<'a>,
}

/// Request headers, with lower-case names.
pub trait Headers: std::fmt::Debug {
    /// Returns the value of a header; repeated values joined by `, `; bytes that are no UTF-8 replaced by U+FFFD.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;

    /// Calls `each` with every header once, joined as by [`Headers::get`].
    fn for_each(&self, each: &mut dyn FnMut(&str, Cow<'_, str>));
}

/// `request.grpc`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grpc<'a> {
    /// `package.Service`, or empty.
    pub service: &'a str,
    /// `Method`, or empty.
    pub method: &'a str,
}

/// `request.tls`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tls<'a> {
    /// `1.2`, `1.3`, or empty on cleartext.
    pub version: &'static str,
    /// The server name that the client asked for, or empty.
    pub sni: &'a str,
    /// The client's certificate, verified.
    pub client_certificate: Option<&'a ClientCertificate>,
}

/// `request.tls.client_certificate`; all empty and `present` false where there is none.
#[derive(Clone, Debug, Default)]
pub struct ClientCertificate {
    /// The subject as RFC 4514 text.
    pub subject: Box<str>,
    /// DNS names.
    pub san_dns: Box<[Box<str>]>,
    /// URIs.
    pub san_uri: Box<[Box<str>]>,
    /// E-mail addresses.
    pub san_email: Box<[Box<str>]>,
    /// SHA-256 of the DER, lower-case hexadecimal.
    pub fingerprint_sha256: Box<str>,
    /// End of validity.
    pub not_after: Timestamp,
}

/// `session`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionFacts<'a> {
    /// `session.id`: a name for logs, no credential.
    pub id: &'a str,
    /// `session.created`.
    pub created: Timestamp,
    /// `session.expires`.
    pub expires: Timestamp,
}

/// `route`.
#[derive(Clone, Copy, Debug)]
pub struct RouteFacts<'a> {
    /// `route.name`.
    pub name: &'a str,
    /// `route.host`.
    pub host: &'a str,
}
