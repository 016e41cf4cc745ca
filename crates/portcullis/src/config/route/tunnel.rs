//! Routes of tunnels: `from: tcp+https://`.

use authorize::RouteRules;
use identity::Scheme;
use proxy::{
    CorsPreflight, EncodedSlashes, Endpoint, EndpointScheme, HealthProbe, Host, HostHeader, Path, Rewrites, Route,
    TcpEndpoint, Timeouts, UpstreamProtocol, UpstreamSettings, UpstreamTls, WebSockets,
};

use super::{Named, authentication, balance, check_provider, provider, rate_limit, rules, step_up, timeouts};
use crate::config::builder::Builder;
use crate::config::fields::Fields;
use crate::config::format::From;
use crate::config::sign_in::SignIn;
use crate::config::tree::Node;
use crate::config::{format, schema};

/// Returns whether a route is one of them.
pub(super) fn is(node: &Node) -> bool {
    node.get("from").and_then(Node::text).is_some_and(|from| from.starts_with("tcp+https://"))
}

/// Builds one and its rules.
pub(super) fn route<'n>(
    builder: &mut Builder<'n>,
    node: &'n Node,
    fields: &Fields<'n>,
    named: Named<'_>,
) -> Option<(Route, RouteRules)> {
    refuse_keys(builder, node);
    let to = endpoints(builder, node, fields);
    let authenticate = authentication(builder, fields, named);
    check_provider(builder, fields, named);
    let step_up = step_up(builder, fields, authenticate);
    let upstream = upstream(builder, fields);
    let rules = rules(builder, fields, named);
    let From { host, port, .. } = fields.read("from", format::tunnel_from)?;
    let name = fields.text("name").map_or_else(|| derived_name(&host, port), str::to_owned);
    let written = fields.own("timeout").and_then(|timeout| timeout.get("idle")).is_some();
    let timeouts = timeouts(fields);
    let route = Route {
        name: name.clone(),
        scheme: Scheme::Https,
        host,
        port: Scheme::Https.default_port(),
        tunnel: Some(port),
        path: Path::Any,
        methods: Vec::new(),
        to,
        upstream_protocol: UpstreamProtocol::FromScheme,
        upstream_tls: UpstreamTls::default(),
        upstream,
        host_header: HostHeader::Upstream,
        authenticate,
        provider: provider(fields),
        step_up,
        identity: None,
        // A tunnel may rest for as long as both sides like, unless its route says otherwise.
        timeouts: Timeouts { idle: timeouts.idle.filter(|_| written), response_headers: None, total: None, ..timeouts },
        encoded_slashes: EncodedSlashes::Auto,
        cors_preflight: CorsPreflight::Deny,
        websockets: WebSockets::Off,
        max_request_body: None,
        rate_limit: rate_limit(fields),
        rewrites: Rewrites::default(),
    };
    Some((route, RouteRules { route: name, ..rules }))
}

/// Finds out on which port the pages of tunnels' hosts are, sign-in among them: `from` has that of the service.
pub(super) fn find_pages(built: &mut [(&Node, (Route, RouteRules))], sign_in: Option<&SignIn>) {
    let routes = built.iter().map(|(_, (route, _))| route);
    let pages = routes.filter(|route| route.tunnel.is_none() && route.scheme == Scheme::Https);
    let pages: Vec<_> = pages.map(|route| (route.host.clone(), route.port)).collect();
    let sign_in = sign_in.map(|sign_in| &sign_in.config.url).filter(|url| url.scheme() == Scheme::Https);
    for (_, (tunnel, _)) in built.iter_mut().filter(|(_, (route, _))| route.tunnel.is_some()) {
        let same = pages.iter().find(|(host, _)| *host == tunnel.host);
        let page = same.or_else(|| pages.iter().find(|(host, _)| covers(host, &tunnel.host)));
        let port = page.map(|(_, port)| *port).or_else(|| sign_in.map(identity::Origin::port));
        tunnel.port = port.unwrap_or(tunnel.port);
    }
}

fn covers(wildcard: &Host, host: &Host) -> bool {
    match (wildcard, host) {
        (Host::Wildcard(parent), Host::Exact(name)) => name.split_once('.').is_some_and(|(_, rest)| rest == parent),
        (Host::Exact(_), _) | (Host::Wildcard(_), Host::Wildcard(_)) => false,
    }
}

/// Refuses what says something of requests: a tunnel carries bytes.
fn refuse_keys(builder: &mut Builder<'_>, node: &Node) {
    for entry in node.entries() {
        let key = entry.key.as_str();
        // A key that there is not was reported.
        if schema::ROUTE.key(key).is_some() && !KEYS.contains(&key) {
            let message = format!(
                "`{key}` does nothing on a `tcp+https://` route, which carries bytes and no requests: remove it, or write \
                 `https://`"
            );
            builder.error(entry.key_place, message);
        }
        for part in entry.value.entries() {
            if PARTS.contains(&(key, part.key.as_str())) {
                let message = format!(
                    "`{key}.{}` does nothing on a `tcp+https://` route, which has no responses: remove it",
                    part.key
                );
                builder.error(part.key_place, message);
            }
        }
    }
    for node in node.get("retry").and_then(|retry| retry.get("on")).map_or(&[][..], Node::items) {
        if node.text().is_some_and(|text| text != "connect-failure") {
            let message = format!("a tunnel is tried again after `connect-failure` alone: remove {}", node.shown());
            builder.error(node.place, message);
        }
    }
}

fn endpoints(builder: &mut Builder<'_>, route: &Node, fields: &Fields<'_>) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for node in fields.items("to") {
        let written = node.get("url").unwrap_or(node);
        let weight = Fields::new(&schema::TARGET, Some(node)).number("weight").unwrap_or(1);
        match written.text().map(format::tcp_endpoint) {
            Some(Ok(TcpEndpoint { host, port })) => {
                endpoints.push(Endpoint { scheme: EndpointScheme::Tcp, host, port, weight });
            }
            Some(Err(_)) => {
                let message = format!(
                    "a `tcp+https://` route leads to TCP endpoints: write `tcp://host:port`, not {}",
                    written.shown()
                );
                builder.error(written.place, message);
            }
            None => {}
        }
    }
    if fields.items("to").is_empty() {
        let place = fields.get("to").map_or(route.place, |to| to.place);
        builder.error(place, "a `tcp+https://` route needs `to`: add `tcp://host:port`");
    }
    endpoints
}

fn upstream(builder: &mut Builder<'_>, fields: &Fields<'_>) -> UpstreamSettings {
    let settings = balance::build(builder, fields);
    let of_requests = |check: &proxy::HealthCheck| !matches!(check.probe, HealthProbe::Tcp);
    // What is inherited is about requests, and says nothing here.
    if let Some(node) = fields.own("health_check").filter(|_| settings.health_check.as_ref().is_some_and(of_requests)) {
        builder.error(node.place, "the endpoints of a tunnel are checked over TCP: write `type: tcp`");
    }
    UpstreamSettings { health_check: settings.health_check.filter(|check| !of_requests(check)), ..settings }
}

fn derived_name(host: &Host, port: u16) -> String {
    let (star, name) = match host {
        Host::Exact(name) => ("", name),
        Host::Wildcard(parent) => ("*.", parent),
    };
    let port = if port == Scheme::Https.default_port() { String::new() } else { format!(":{port}") };
    format!("tcp+https://{star}{name}{port}")
}

/// What such a route may have.
const KEYS: [&str; 17] = [
    "name",
    "from",
    "to",
    "policy",
    "allow",
    "deny",
    "authenticate",
    "provider",
    "step_up",
    "timeout",
    "load_balancing",
    "health_check",
    "outlier_detection",
    "retry",
    "dns",
    "rate_limit",
    "mode",
];

/// What the sections among those may not have.
const PARTS: [(&str, &str); 3] = [("timeout", "response_headers"), ("timeout", "total"), ("retry", "per_try_timeout")];
