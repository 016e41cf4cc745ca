//! A request that is made up, or that was recorded: what policies see.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use authorize::{ClientCertificate, Grpc, Headers, Input, Request, RouteFacts, SessionFacts, Tls};
use identity::{Identity, Ip, Scheme};
use jiff::Timestamp;
use proxy::{Host, Route, Router};

/// Everything that an [`Input`] borrows from.
#[derive(Clone, Debug)]
pub(crate) struct Situation<'s> {
    pub(crate) ip: Ip,
    pub(crate) peer_ip: Ip,
    pub(crate) ip_source: &'static str,
    pub(crate) method: Cow<'s, str>,
    pub(crate) scheme: &'static str,
    pub(crate) host: Cow<'s, str>,
    pub(crate) path: Cow<'s, str>,
    /// Without `?`.
    pub(crate) query: String,
    pub(crate) headers: HeaderTexts,
    pub(crate) time: Timestamp,
    pub(crate) protocol: &'static str,
    pub(crate) id: Cow<'s, str>,
    pub(crate) grpc: (String, String),
    pub(crate) tls_version: &'static str,
    pub(crate) sni: Cow<'s, str>,
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) user: Option<Arc<Identity>>,
    pub(crate) session: Option<SessionTexts<'s>>,
    pub(crate) route: Cow<'s, str>,
    pub(crate) route_host: Cow<'s, str>,
}

/// A session.
#[derive(Clone, Debug)]
pub(crate) struct SessionTexts<'s> {
    pub(crate) id: Cow<'s, str>,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
}

/// Headers by lower-case name.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderTexts(pub(crate) BTreeMap<String, String>);

impl Headers for HeaderTexts {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.get(name).map(|value| Cow::Borrowed(value.as_str()))
    }

    fn for_each(&self, each: &mut dyn FnMut(&str, Cow<'_, str>)) {
        self.0.iter().for_each(|(name, value)| each(name, Cow::Borrowed(value)));
    }
}

impl Situation<'_> {
    /// Lends the facts to a decision.
    pub(crate) fn input(&self) -> Input<'_> {
        let (service, method) = &self.grpc;
        Input {
            request: Request {
                ip: self.ip,
                peer_ip: self.peer_ip,
                ip_source: self.ip_source,
                method: &self.method,
                scheme: self.scheme,
                host: &self.host,
                path: &self.path,
                query: &self.query,
                headers: &self.headers,
                time: self.time,
                protocol: self.protocol,
                id: &self.id,
                grpc: Grpc { service, method },
                tls: Tls { version: self.tls_version, sni: &self.sni, client_certificate: self.certificate.as_ref() },
            },
            user: self.user.as_deref(),
            session: self.session.as_ref().map(|session| SessionFacts {
                id: &session.id,
                created: session.created,
                expires: session.expires,
            }),
            route: RouteFacts { name: &self.route, host: &self.route_host },
        }
    }

    /// Returns the place of the route that the request comes to; with a port it asks for a tunnel.
    pub(crate) fn find(&self, router: &Router, port: Option<u16>) -> Option<usize> {
        let scheme = if self.scheme == "https" { Scheme::Https } else { Scheme::Http };
        match port {
            Some(port) => router.find_tunnel(&self.host, port),
            None => router.find(scheme, &self.host, &self.path, &self.method),
        }
    }
}

/// Returns the known word that a text is.
pub(crate) fn word(known: &[&'static str], text: &str) -> Option<&'static str> {
    known.iter().copied().find(|word| *word == text)
}

/// Puts `key=value` at the end of a query, in the form in which it would have come.
pub(crate) fn push_parameter(query: &mut String, key: &str, value: &str) {
    let encoded = url::form_urlencoded::Serializer::new(std::mem::take(query)).append_pair(key, value).finish();
    *query = encoded;
}

/// Returns the host of a route, as policies see it.
pub(crate) fn route_host(route: &Route) -> Cow<'_, str> {
    match &route.host {
        Host::Exact(host) => host.into(),
        Host::Wildcard(parent) => format!("*.{parent}").into(),
    }
}
