//! Warnings about hosts that load and that nobody reaches: no listener listens on their port, or none has a certificate for
//! them.

use std::net::IpAddr;

use identity::Scheme;
use proxy::{CertificateNames, Host, Listener};

use super::builder::Builder;
use super::fields::Fields;
use super::format::{self, From};
use super::tree::{Node, quoted};

/// Warns of what the listeners do not serve.
pub(super) fn check(builder: &mut Builder<'_>, root: &Fields<'_>, listeners: &[Listener]) {
    // What stands in front has ports and certificates of its own.
    if listeners.iter().any(|listener| !listener.trusted_proxies.is_empty()) {
        return;
    }
    let sign_in = root.get("authenticate").and_then(|authenticate| authenticate.get("url"));
    let hosts = root.items("routes").iter().filter_map(|route| route.get("from")).chain(sign_in);
    let names = certificate_names(listeners);
    for node in hosts {
        let Some(text) = node.text() else { continue };
        let (from, clients) = match format::tunnel_from(text) {
            Ok(from) => {
                tunnel(builder, node, listeners);
                (from, "`portcullis connect`")
            }
            Err(_) => {
                let Ok(from) = format::from(text) else { continue };
                port(builder, node, &from, listeners);
                (from, "browsers")
            }
        };
        if let Some(names) = names.as_ref().filter(|_| from.scheme == Scheme::Https) {
            certificate(builder, node, &from, (names, clients));
        }
    }
}

/// Ports that are not written are often others than those that are listened on: something translates them.
fn port(builder: &mut Builder<'_>, node: &Node, from: &From, listeners: &[Listener]) {
    let mut ports = listeners.iter().map(|listener| listener.address.port());
    let translated = from.port == from.scheme.default_port() && !stays_here(from, listeners);
    if !translated && ports.clone().all(|port| port != 0 && port != from.port) {
        let known =
            ports.next().map(|port| format!("listen there, or write a port that is listened on, such as {port}"));
        let remedy = known.unwrap_or_else(|| "listen there".to_owned());
        let unwritten =
            if from.port == from.scheme.default_port() { ", which is meant where none is written" } else { "" };
        builder.warning(node.place, format!("no listener listens on port {}{unwritten}: {remedy}", from.port));
    }
}

/// Returns whether nothing stands between a listener of this scheme and the browser: the host, or every listener, is on
/// loopback.
fn stays_here(from: &From, listeners: &[Listener]) -> bool {
    let (Host::Exact(host) | Host::Wildcard(host)) = &from.host;
    let local = host == "localhost" || host.ends_with(".localhost");
    // Without a listener with TLS something in front ends it.
    let served = listeners.iter().any(|listener| listener.tls.is_some() == (from.scheme == Scheme::Https));
    served && (local || listeners.iter().all(|listener| listener.address.ip().is_loopback()))
}

/// The port of a tunnel is that of the service behind it.
fn tunnel(builder: &mut Builder<'_>, node: &Node, listeners: &[Listener]) {
    if listeners.iter().all(|listener| listener.tls.is_none()) {
        builder.warning(node.place, "no listener opens tunnels: add one with `tls`");
    }
}

fn certificate(builder: &mut Builder<'_>, node: &Node, from: &From, (names, clients): (&[CertificateNames], &str)) {
    let (host, shown) = match &from.host {
        // Any label stands for all.
        Host::Wildcard(parent) => (format!("*.{parent}"), format!("*.{parent}")),
        Host::Exact(host) if host.parse::<IpAddr>().is_ok() || host.starts_with('[') => return,
        Host::Exact(host) => (host.clone(), host.clone()),
    };
    if !names.iter().any(|names| names.cover(&host)) {
        builder.warning(
            node.place,
            format!(
                "no certificate of a listener is good for {}: {clients} will refuse it; add one with that name to \
                 `tls.certificates`",
                quoted(&shown)
            ),
        );
    }
}

/// Returns the names in all certificates; `None` where there are none, or one of them cannot be read.
fn certificate_names(listeners: &[Listener]) -> Option<Vec<CertificateNames>> {
    let files = listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.certificates);
    let names: Vec<_> = files.map(|files| CertificateNames::read(&files.cert_file)).collect::<Option<_>>()?;
    (!names.is_empty()).then_some(names)
}
