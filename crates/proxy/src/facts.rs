//! What policies see of a request: borrowed from it, on the stack.

use std::borrow::Cow;
use std::cell::Cell;

use authenticate::Session;
use authorize::{Decision, Grpc, Headers, Input, Request, RouteFacts, SessionFacts, Tls};
use http::HeaderMap;
use identity::ClientAddress;
use jiff::Timestamp;

use crate::Snapshot;
use crate::config::Path;
use crate::exchange::Exchange;
use crate::snapshot::LoadedRoute;

/// Headers as policies see them; notes whether one looked.
#[derive(Debug)]
pub(crate) struct HeaderFacts<'a> {
    headers: &'a HeaderMap,
    read: Cell<bool>,
}

impl<'a> HeaderFacts<'a> {
    pub(crate) const fn new(headers: &'a HeaderMap) -> Self {
        Self { headers, read: Cell::new(false) }
    }

    /// Returns whether a policy looked at any header, there or not.
    pub(crate) const fn were_read(&self) -> bool {
        self.read.get()
    }
}

impl Headers for HeaderFacts<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.read.set(true);
        joined(self.headers.get_all(name).iter().map(http::HeaderValue::as_bytes))
    }

    fn for_each(&self, each: &mut dyn FnMut(&str, Cow<'_, str>)) {
        self.read.set(true);
        for name in self.headers.keys() {
            if let Some(value) = self.get(name.as_str()) {
                each(name.as_str(), value);
            }
        }
    }
}

fn joined<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Option<Cow<'a, str>> {
    let mut joined = String::from_utf8_lossy(values.next()?);
    for value in values {
        let text = joined.to_mut();
        text.push_str(", ");
        text.push_str(&String::from_utf8_lossy(value));
    }
    Some(joined)
}

/// Returns what a policy decides over.
pub(crate) fn input<'a>(
    exchange: &'a Exchange,
    address: ClientAddress,
    route: &'a LoadedRoute,
    headers: &'a HeaderFacts<'a>,
    calls_a_method: bool,
) -> Input<'a> {
    let tls = exchange.connection.tls.as_ref();
    Input {
        request: Request {
            ip: address.client,
            peer_ip: address.peer,
            ip_source: address.source.as_str(),
            method: exchange.method.as_str(),
            scheme: exchange.connection.scheme().as_str(),
            host: &exchange.host,
            path: exchange.path(),
            query: exchange.query(),
            headers,
            time: exchange.time,
            protocol: exchange.protocol,
            id: exchange.id.as_str(),
            grpc: if calls_a_method { grpc(exchange.path()) } else { Grpc::default() },
            tls: tls.map_or_else(Tls::default, |tls| Tls {
                version: tls.version,
                sni: &tls.sni,
                client_certificate: tls.client.as_ref().map(|client| &client.certificate),
            }),
        },
        user: exchange.session.as_deref().map(Session::identity),
        session: exchange.session.as_deref().map(session),
        route: RouteFacts { name: &route.config.name, host: &route.host },
    }
}

/// Returns whether a session may open the front page of a route.
pub(crate) fn may_open(
    snapshot: &Snapshot,
    index: usize,
    route: &LoadedRoute,
    of: &Session,
    address: ClientAddress,
    now: Timestamp,
) -> bool {
    let path = match &route.config.path {
        Path::Any | Path::Regex(_) => "/",
        Path::Exact(path) | Path::Prefix(path) => path,
    };
    let none = HeaderMap::new();
    let input = Input {
        request: Request {
            ip: address.client,
            peer_ip: address.peer,
            ip_source: address.source.as_str(),
            method: "GET",
            scheme: route.config.scheme.as_str(),
            host: &route.host,
            path,
            query: "",
            headers: &HeaderFacts::new(&none),
            time: now,
            protocol: "http/1.1",
            id: "",
            grpc: Grpc::default(),
            tls: Tls::default(),
        },
        user: Some(of.identity()),
        session: Some(session(of)),
        route: RouteFacts { name: &route.config.name, host: &route.host },
    };
    snapshot.authorizer.route(index).is_some_and(|policy| matches!(policy.decide(&input), Decision::Allow(_)))
}

fn session(session: &Session) -> SessionFacts<'_> {
    SessionFacts { id: session.id().as_str(), created: session.created(), expires: session.expires() }
}

/// gRPC over HTTP/2, "Requests": `/package.Service/Method`.
pub(crate) fn grpc(path: &str) -> Grpc<'_> {
    let parts = path.strip_prefix('/').and_then(|path| path.rsplit_once('/'));
    parts.map_or_else(Grpc::default, |(service, method)| Grpc { service, method })
}

#[cfg(test)]
mod tests;
