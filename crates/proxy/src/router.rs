//! What requests that were recorded or made up come to, as others do, without serving anything.

use std::borrow::Cow;

use authorize::{Authorizer, ClientCertificate, Grpc, RoutePolicy};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use identity::Scheme;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::config::Route;
use crate::route::{HostRoutes, Match, Table};
use crate::{BuildError, caller, facts, sanitize, tls};

/// The routes of one configuration.
#[derive(Debug)]
pub struct Router {
    table: Table,
}

impl Router {
    /// Builds the table of routes.
    ///
    /// # Errors
    /// Routes that can never match.
    pub fn new(routes: &[Route], authorizer: &Authorizer) -> Result<Self, Vec<BuildError>> {
        let reads_path = |route| authorizer.route(route).is_some_and(RoutePolicy::reads_path);
        Table::build(routes, reads_path).map(|table| Self { table })
    }

    /// Returns the place of the route that a request has; `None` where it has none or is refused for its form.
    #[must_use]
    pub fn find(&self, scheme: Scheme, host: &str, path: &str, method: &str) -> Option<usize> {
        let routes = self.table.host(scheme, host)?;
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        let uri: Uri = path.parse().ok()?;
        let target = sanitize::target(&method, &uri, routes.strictness()).ok()?;
        match routes.find(&target, &method).ok()? {
            Match::Route(index) => Some(index),
            Match::MethodNotAllowed(_) | Match::NotFound => None,
        }
    }

    /// Returns the path of a request to a host in its normal form, as rules see it.
    ///
    /// # Errors
    /// Why a request with that path is refused.
    pub fn normal_path<'p>(&self, scheme: Scheme, host: &str, path: &'p str) -> Result<Cow<'p, str>, &'static str> {
        let strictness = self.table.host(scheme, host).map_or(sanitize::Strictness::Strict, HostRoutes::strictness);
        sanitize::normalise(path, strictness).map_err(|refusal| refusal.message)
    }

    /// Returns the place of the route that a `CONNECT` to a port of a host has.
    #[must_use]
    pub fn find_tunnel(&self, host: &str, port: u16) -> Option<usize> {
        self.table.tunnel(host, port)
    }
}

/// Returns the method that a request of a content type calls by its path: none unless it is gRPC or gRPC-Web.
#[must_use]
pub fn grpc_of<'p>(content_type: &str, path: &'p str) -> Grpc<'p> {
    let Ok(content_type) = HeaderValue::from_str(content_type) else { return Grpc::default() };
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
    if caller::grpc_content_type(&headers).is_some() { facts::grpc(path) } else { Grpc::default() }
}

/// Reads the first certificate of a PEM file as rules see that of a client.
///
/// # Errors
/// Why there is none.
pub fn read_client_certificate(pem: &[u8]) -> Result<ClientCertificate, String> {
    let der = CertificateDer::from_pem_slice(pem).map_err(|error| error.to_string())?;
    tls::client_certificate(&der)
}
