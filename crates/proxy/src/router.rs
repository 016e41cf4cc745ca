//! Finds the routes of requests that were recorded, as requests find them, without serving anything.

use authorize::{Authorizer, RoutePolicy};
use http::{Method, Uri};
use identity::Scheme;

use crate::config::Route;
use crate::route::{Match, Table};
use crate::{BuildError, sanitize};

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

    /// Returns the place of the route that a `CONNECT` to a port of a host has.
    #[must_use]
    pub fn find_tunnel(&self, host: &str, port: u16) -> Option<usize> {
        self.table.tunnel(host, port)
    }
}
