//! Routes of TLS connections: `from: tls://`.

use std::collections::HashSet;

use authorize::RouteRules;
use proxy::{Host, Route, TlsRoute};

use super::{Named, balance, rules, timeouts};
use crate::config::builder::Builder;
use crate::config::fields::Fields;
use crate::config::tree::{Node, quoted};
use crate::config::{format, schema};

/// Returns whether a route is one of them.
pub(super) fn is(node: &Node) -> bool {
    node.get("from").and_then(Node::text).is_some_and(|from| from.starts_with("tls://"))
}

/// Builds them and their rules, in the same order.
pub(super) fn build<'n>(
    builder: &mut Builder<'n>,
    root: &Fields<'n>,
    nodes: Vec<&'n Node>,
    named: Named<'_>,
    of_requests: &[(&Node, (Route, RouteRules))],
) -> (Vec<TlsRoute>, Vec<RouteRules>) {
    let mut names: HashSet<_> = of_requests.iter().map(|(_, (route, _))| route.name.clone()).collect();
    let mut hosts = HashSet::new();
    let mut built = Vec::new();
    let is_served = root.items("listeners").iter().any(|node| node.get("protocol").and_then(Node::text) == Some("tls"));
    for node in nodes {
        let place = node.get("from").map_or(node.place, |from| from.place);
        if !is_served {
            builder.warning(place, "no listener passes TLS connections on: add one with `protocol: tls`");
        }
        let Some(route) = route(builder, node, named) else { continue };
        if !hosts.insert(route.0.host.clone()) {
            builder.error(place, "this route never matches: one above has the same server name; remove one");
        } else if !names.insert(route.0.name.clone()) {
            let name = quoted(&route.0.name);
            builder.error(place, format!("two routes are called {name}: give one another `name`"));
        }
        built.push(route);
    }
    built.into_iter().unzip()
}

fn route<'n>(builder: &mut Builder<'n>, node: &'n Node, named: Named<'_>) -> Option<(TlsRoute, RouteRules)> {
    let fields = Fields::new(&schema::ROUTE, Some(node));
    for entry in node.entries() {
        let is_none = entry.key == "authenticate" && entry.value.text() == Some("none");
        // A key that there is not was reported.
        let known = schema::ROUTE.key(&entry.key).is_some();
        if known && !KEYS.contains(&entry.key.as_str()) && !is_none {
            let message = format!(
                "`{}` does nothing on a `tls://` route, whose bytes pass unread: remove it, or write `https://`",
                entry.key
            );
            builder.error(entry.key_place, message);
        }
    }
    let mut to = Vec::new();
    for node in fields.items("to") {
        let written = node.get("url").unwrap_or(node);
        match written.text().map(format::tcp_endpoint) {
            Some(Ok(endpoint)) if std::ptr::eq(written, node) => to.push(endpoint),
            Some(_) => {
                let message = format!(
                    "a `tls://` route leads to TCP endpoints: write `tcp://host:port`, not {}",
                    written.shown()
                );
                builder.error(written.place, message);
            }
            None => {}
        }
    }
    if fields.items("to").is_empty() {
        builder.error(
            fields.get("to").map_or(node.place, |to| to.place),
            "a `tls://` route needs `to`: add `tcp://host:port`",
        );
    }
    let rules = rules(builder, &fields, named);
    let host = fields.read("from", format::tls_from)?;
    let derived = || match &host {
        Host::Exact(name) => format!("tls://{name}"),
        Host::Wildcard(suffix) => format!("tls://*.{suffix}"),
    };
    let name = fields.text("name").map_or_else(derived, str::to_owned);
    let route =
        TlsRoute { name: name.clone(), host, to, connect: timeouts(&fields).connect, dns: balance::dns(&fields) };
    Some((route, RouteRules { route: name, ..rules }))
}

/// What such a route may have.
const KEYS: [&str; 8] = ["name", "from", "to", "policy", "allow", "deny", "timeout", "dns"];
