//! What is in force, as JSON.

use axum::Json;
use axum::extract::State as Extract;
use proxy::{Authentication, EndpointScheme, Host, Path, Route, TlsRoute};
use serde_json::{Value, json};

use super::Console;

/// Shows the configuration file, without secrets.
pub(super) async fn config(Extract(Console { state, .. }): Extract<Console>) -> Json<Value> {
    let in_force = state.in_force();
    Json(json!({ "revision": in_force.revision, "config": in_force.shown }))
}

/// Lists the routes, in the order of the configuration, those of TLS connections last.
pub(super) async fn routes(Extract(Console { server, .. }): Extract<Console>) -> Json<Value> {
    let snapshot = server.snapshot();
    let routes: Vec<_> = snapshot.routes().map(route).chain(snapshot.tls_routes().map(tls_route)).collect();
    Json(json!({ "revision": snapshot.revision(), "routes": routes }))
}

/// Lists the upstreams of all routes: endpoints, their state and their connections.
pub(super) async fn upstreams(Extract(Console { server, .. }): Extract<Console>) -> Json<Value> {
    let upstreams = server.snapshot().upstreams().into_iter().map(|upstream| {
        let endpoints = upstream.endpoints.into_iter().map(|endpoint| {
            json!({
                "endpoint": endpoint.endpoint,
                "protocol": endpoint.protocol,
                "weight": endpoint.weight,
                "state": endpoint.state.as_str(),
                "ejections": endpoint.ejections,
                "connections": endpoint.connections,
                "idle": endpoint.idle,
                "streams": endpoint.streams,
            })
        });
        json!({ "route": upstream.route, "endpoints": endpoints.collect::<Vec<_>>() })
    });
    Json(json!({ "upstreams": upstreams.collect::<Vec<_>>() }))
}

fn route(route: &Route) -> Value {
    let host = name(&route.host);
    let path = match &route.path {
        Path::Any => json!({}),
        Path::Exact(path) => json!({ "path": path }),
        Path::Prefix(prefix) => json!({ "prefix": prefix }),
        Path::Regex(regex) => json!({ "regex": regex.as_str() }),
    };
    let to = route.to.iter().map(|endpoint| match endpoint.scheme {
        EndpointScheme::Http => format!("http://{}:{}", endpoint.host, endpoint.port),
        EndpointScheme::Https => format!("https://{}:{}", endpoint.host, endpoint.port),
        EndpointScheme::H2c => format!("h2c://{}:{}", endpoint.host, endpoint.port),
        EndpointScheme::Unix => format!("unix://{}", endpoint.host),
        EndpointScheme::Tcp => format!("tcp://{}:{}", endpoint.host, endpoint.port),
    });
    let from = match route.tunnel {
        Some(port) => format!("tcp+https://{host}:{port}"),
        None => format!("{}://{host}:{}", route.scheme.as_str(), route.port),
    };
    json!({
        "name": route.name,
        "from": from,
        "match": path,
        "methods": route.methods,
        "to": to.collect::<Vec<_>>(),
        "authenticate": match route.authenticate {
            Authentication::Required => "required",
            Authentication::Optional => "optional",
            Authentication::None => "none",
        },
        "provider": route.provider.as_ref().map(identity::ProviderId::as_str),
    })
}

fn tls_route(route: &TlsRoute) -> Value {
    let to = route.to.iter().map(|endpoint| format!("tcp://{}:{}", endpoint.host, endpoint.port));
    json!({
        "name": route.name,
        "from": format!("tls://{}", name(&route.host)),
        "match": {},
        "methods": [],
        "to": to.collect::<Vec<_>>(),
        "authenticate": "none",
        "provider": null,
    })
}

fn name(host: &Host) -> String {
    match host {
        Host::Exact(host) => host.clone(),
        Host::Wildcard(parent) => format!("*.{parent}"),
    }
}
