//! Where a route leads, and how upstreams are spoken to.

use proxy::{Certificate, Endpoint, EndpointScheme, HostHeader, UpstreamProtocol, UpstreamTls};

use crate::config::builder::Builder;
use crate::config::fields::Fields;
use crate::config::listener::check_pair;
use crate::config::tree::Node;
use crate::config::{format, schema};

/// The upstream's part of a route.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) to: Vec<Endpoint>,
    pub(super) protocol: UpstreamProtocol,
    pub(super) tls: UpstreamTls,
    pub(super) host: HostHeader,
}

pub(super) fn build(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Upstream {
    let to: Vec<_> = fields.items("to").iter().filter_map(endpoint).collect();
    let scheme = to.first().map(|endpoint| endpoint.scheme);
    let host = host_header(builder, fields);
    let tls = tls(builder, fields, scheme);
    if let Some(node) = fields.own("to").filter(|node| node.items().is_empty()) {
        builder.error(node.place, "`to` is empty: write at least one upstream URL");
    }
    for node in fields.items("to") {
        let written = node.get("url").unwrap_or(node);
        if written.text().is_some_and(|text| text.starts_with("tcp://")) {
            builder.error(
                written.place,
                "`tcp://` endpoints are for routes `from: tcp+https://host:port` and `from: tls://host`: write `http://` or \
                 `https://`",
            );
        }
    }
    let Some(scheme) = scheme else {
        // Answered without an upstream, or reported.
        return Upstream { to, protocol: UpstreamProtocol::FromScheme, tls, host };
    };
    for node in fields.items("to") {
        let written = node.get("url").unwrap_or(node);
        if endpoint(node).is_some_and(|endpoint| endpoint.scheme != scheme) {
            let message = format!(
                "the endpoints of a route must have one scheme, and the first has `{}`: split the route, or change {}",
                scheme_name(scheme),
                written.shown()
            );
            builder.error(written.place, message);
        }
    }
    Upstream { to, protocol: protocol(builder, fields, scheme), tls, host }
}

/// Reads an item of `to`: a URL, or one with a weight.
fn endpoint(node: &Node) -> Option<Endpoint> {
    let fields = Fields::new(&schema::TARGET, Some(node));
    let endpoint = format::endpoint(node.text().or_else(|| fields.text("url"))?).ok()?;
    Some(Endpoint { weight: fields.number("weight")?, ..endpoint })
}

fn protocol(builder: &mut Builder<'_>, fields: &Fields<'_>, scheme: EndpointScheme) -> UpstreamProtocol {
    let Some(node) = fields.get("upstream_protocol") else { return UpstreamProtocol::FromScheme };
    match (node.text().unwrap_or_default(), scheme) {
        ("http1", EndpointScheme::Http | EndpointScheme::Https | EndpointScheme::Unix) => UpstreamProtocol::Http1,
        ("http2", EndpointScheme::Https) => UpstreamProtocol::Http2,
        ("h2c", EndpointScheme::Http | EndpointScheme::H2c) => UpstreamProtocol::H2c,
        ("http3", EndpointScheme::Https) => UpstreamProtocol::Http3,
        ("auto", EndpointScheme::Http | EndpointScheme::Https) => UpstreamProtocol::Auto,
        ("http1" | "http2" | "h2c" | "http3" | "auto", scheme) => {
            let message = format!(
                "`upstream_protocol` {} does not fit `to`, which has the scheme `{}`: `http` goes with `http1`, \
                 `h2c` and `auto`, `https` with `http1`, `http2`, `http3` and `auto`, `h2c` with `h2c`, `unix` with \
                 `http1`",
                node.shown(),
                scheme_name(scheme)
            );
            let place =
                fields.own("upstream_protocol").or_else(|| fields.own("to")).map_or(node.place, |node| node.place);
            builder.error(place, message);
            UpstreamProtocol::FromScheme
        }
        _ => UpstreamProtocol::FromScheme,
    }
}

fn host_header(builder: &mut Builder<'_>, fields: &Fields<'_>) -> HostHeader {
    let preserve = fields.own("preserve_host").filter(|node| node.text() == Some("true"));
    if let (Some(preserve), Some(_)) = (preserve, fields.own("host_rewrite")) {
        builder.error(preserve.place, "`preserve_host` and `host_rewrite` exclude each other: keep one");
    }
    match fields.read("host_rewrite", format::authority) {
        Some(host) => HostHeader::Rewrite(host),
        None if fields.flag("preserve_host") => HostHeader::Preserve,
        None => HostHeader::Upstream,
    }
}

fn tls(builder: &mut Builder<'_>, fields: &Fields<'_>, scheme: Option<EndpointScheme>) -> UpstreamTls {
    let clear = scheme.is_some_and(|scheme| scheme != EndpointScheme::Https);
    if let Some(node) = fields.own("upstream_tls").filter(|_| clear) {
        builder.error(node.place, "`upstream_tls` needs `https://` endpoints in `to`: change `to`, or remove it");
    }
    let fields = fields.section("upstream_tls", &schema::UPSTREAM_TLS);
    let certificate = fields.path("client_cert_file", &builder.sources);
    let key = fields.path("client_key_file", &builder.sources);
    let pair = (fields.get("client_cert_file"), fields.get("client_key_file"));
    if let (Some(node), None) | (None, Some(node)) = pair {
        builder.error(node.place, "`client_cert_file` and `client_key_file` belong together: add the other one");
    }
    let client_certificate = certificate.zip(key).map(|(cert_file, key_file)| Certificate { cert_file, key_file });
    if let Some(certificate) = &client_certificate {
        check_pair(builder, certificate, fields.get("client_key_file"));
    }
    if let Some(node) = fields.get("insecure_skip_verify").filter(|_| fields.flag("insecure_skip_verify")) {
        builder.warning(
            node.place,
            "`insecure_skip_verify` believes any certificate, so that anybody on the way can be the upstream: use \
             `ca_file` and `server_name`",
        );
    }
    UpstreamTls {
        ca_file: fields.path("ca_file", &builder.sources),
        client_certificate,
        server_name: fields.read("server_name", format::server_name),
        danger_skip_verify: fields.flag("insecure_skip_verify"),
    }
}

const fn scheme_name(scheme: EndpointScheme) -> &'static str {
    match scheme {
        EndpointScheme::Http => "http",
        EndpointScheme::Https => "https",
        EndpointScheme::H2c => "h2c",
        EndpointScheme::Unix => "unix",
        EndpointScheme::Tcp => "tcp",
    }
}
