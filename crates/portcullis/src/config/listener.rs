//! `listeners[]` to the proxy's own configuration.

use std::collections::HashSet;

use proxy::{
    Certificate, ClientAuth, ClientAuthMode, Http2, Limits, Listener, ListenerTls, ProxyProtocol, TlsVersion,
    Underscores,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::builder::Builder;
use super::fields::Fields;
use super::tree::{Node, quoted};
use super::{format, schema};

/// Builds every listener.
pub(crate) fn build(builder: &mut Builder<'_>, root: &Fields<'_>) -> Vec<Listener> {
    let nodes = root.items("listeners");
    if let Some(empty) = root.get("listeners").filter(|node| node.items().is_empty()) {
        builder.error(empty.place, "`listeners` is empty: add at least one with an `address`");
    }
    let built: Vec<_> = nodes.iter().filter_map(|node| Some((node, listener(builder, node)?))).collect();
    let mut names = HashSet::new();
    let mut addresses: HashSet<_> =
        root.section("admin", &schema::ADMIN).read("address", format::address).into_iter().collect();
    for (node, listener) in &built {
        let place = |key| node.get(key).or_else(|| node.get("address")).map_or(node.place, |node| node.place);
        // Port 0 is another one each time.
        if listener.address.port() != 0 && !addresses.insert(listener.address) {
            let address = quoted(&listener.address.to_string());
            builder.error(
                place("address"),
                format!("another listener, or `admin`, has the address {address}: give one another port"),
            );
        } else if !names.insert(&listener.name) {
            builder.error(
                place("name"),
                format!("two listeners are called {}: give one another `name`", quoted(&listener.name)),
            );
        }
    }
    built.into_iter().map(|(_, listener)| listener).collect()
}

fn listener(builder: &mut Builder<'_>, node: &Node) -> Option<Listener> {
    let fields = Fields::new(&schema::LISTENER, Some(node));
    let https = fields.get("tls").is_some();
    match (fields.get("protocol"), https) {
        (Some(protocol), false) if protocol.text() == Some("https") => {
            builder.error(protocol.place, "an `https` listener needs `tls`: add `tls.certificates`, or write `http`");
        }
        (Some(protocol), true) if protocol.text() == Some("tls") => {
            builder.error(
                protocol.place,
                "a `tls` listener decrypts nothing and has no certificates: remove `tls`, or write `https`",
            );
        }
        (Some(protocol), true) if protocol.text() == Some("http") => {
            builder.error(protocol.place, "an `http` listener has no `tls`: remove `tls`, or write `https`");
        }
        _ => {}
    }
    let passthrough = fields.text("protocol") == Some("tls");
    if let Some(redirect) =
        fields.get("http_redirect").filter(|_| (https || passthrough) && fields.flag("http_redirect"))
    {
        builder.error(redirect.place, "`http_redirect` is for `http` listeners: remove it, or remove `tls`");
    }
    for proxy in fields.items("trusted_proxies") {
        if proxy.text().and_then(|text| format::network(text).ok()).is_some_and(|net| net.prefix_len() == 0) {
            builder.error(
                proxy.place,
                "a network of all addresses lets every client choose its own address: write the networks of your load \
                 balancers",
            );
        }
    }
    let tls = https.then(|| tls(builder, &fields));
    let address = fields.read("address", format::address)?;
    Some(Listener {
        name: fields.text("name").map_or_else(|| address.to_string(), str::to_owned),
        address,
        tls,
        passthrough,
        http_redirect: fields.flag("http_redirect"),
        proxy_protocol: proxy_protocol(builder, &fields),
        trusted_proxies: fields.read_all("trusted_proxies", format::network),
        forwarded_header: fields.read("forwarded_header", format::forwarded_header).unwrap_or_default(),
        http2: http2(builder, &fields.section("http2", &schema::HTTP2)),
        limits: limits(builder, &fields.section("limits", &schema::LIMITS)),
    })
}

fn proxy_protocol(builder: &mut Builder<'_>, fields: &Fields<'_>) -> ProxyProtocol {
    let mode = match fields.text("proxy_protocol") {
        Some("accept") => ProxyProtocol::Accept,
        Some("require") => ProxyProtocol::Require,
        _ => return ProxyProtocol::Off,
    };
    if let Some(node) = fields.get("proxy_protocol").filter(|_| fields.items("trusted_proxies").is_empty()) {
        builder.error(
            node.place,
            "a PROXY header is believed from `trusted_proxies` only, and there are none: add the networks of your load \
             balancers",
        );
    }
    mode
}

/// Builds the `tls` of a listener.
pub(super) fn tls(builder: &mut Builder<'_>, listener: &Fields<'_>) -> ListenerTls {
    let fields = listener.section("tls", &schema::TLS);
    if let Some(empty) = fields.get("certificates").filter(|node| node.items().is_empty()) {
        builder.error(empty.place, "`certificates` is empty: add one with `cert_file` and `key_file`");
    }
    let certificates = fields.items("certificates").iter().filter_map(|node| {
        let fields = Fields::new(&schema::CERTIFICATE, Some(node));
        let certificate = Certificate {
            cert_file: fields.path("cert_file", &builder.sources)?,
            key_file: fields.path("key_file", &builder.sources)?,
        };
        check_pair(builder, &certificate, fields.get("key_file"));
        Some(certificate)
    });
    ListenerTls {
        certificates: certificates.collect(),
        min_version: match fields.text("min_version") {
            Some("1.3") => TlsVersion::V1_3,
            _ => TlsVersion::V1_2,
        },
        client_auth: client_auth(builder, &fields.section("client_auth", &schema::CLIENT_AUTH)),
    }
}

fn client_auth(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Option<ClientAuth> {
    let ca_file = fields.path("ca_file", &builder.sources);
    let crl_file = fields.path("crl_file", &builder.sources);
    let mode = match fields.text("mode") {
        Some("request") => ClientAuthMode::Request,
        Some("require") => ClientAuthMode::Require,
        _ => {
            if let Some(file) = fields.get("ca_file").or_else(|| fields.get("crl_file")) {
                builder.error(
                    file.place,
                    "no client is asked for a certificate: write `mode: request` or `mode: require`, or remove the file",
                );
            }
            return None;
        }
    };
    if let Some(node) = fields.get("mode").filter(|_| ca_file.is_none() && fields.get("ca_file").is_none()) {
        builder.error(node.place, "certificates of clients need authorities to believe: add `ca_file`");
    }
    Some(ClientAuth { mode, ca_file: ca_file?, crl_file })
}

/// Refuses a key of another certificate. What is wrong with one file alone was said before.
pub(super) fn check_pair(builder: &mut Builder<'_>, certificate: &Certificate, key_node: Option<&Node>) {
    let Certificate { cert_file, key_file } = certificate;
    let chain = CertificateDer::pem_file_iter(cert_file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let (Ok(chain), Ok(key), Some(node)) = (chain, PrivateKeyDer::from_pem_file(key_file), key_node) else { return };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    if let Err(rustls::Error::InconsistentKeys(_)) = CertifiedKey::from_der(chain, key, &provider) {
        builder.error(node.place, "this key does not belong to the certificate: write the files of one pair");
    }
}

fn http2(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Http2 {
    let default = Http2::default();
    Http2 {
        max_concurrent_streams: fields.number("max_concurrent_streams").unwrap_or(default.max_concurrent_streams),
        // RFC 9113 §6.5.2 and §6.9.1 bound windows to 2^31 - 1.
        initial_stream_window_size: builder
            .size_between(fields, "initial_stream_window_size", 65_535, WINDOW_MAX)
            .unwrap_or(default.initial_stream_window_size),
        initial_connection_window_size: builder
            .size_between(fields, "initial_connection_window_size", 65_535, WINDOW_MAX)
            .unwrap_or(default.initial_connection_window_size),
        max_header_list_size: builder
            .size_between(fields, "max_header_list_size", HEADERS_MIN, HEADERS_MAX)
            .unwrap_or(default.max_header_list_size),
        keepalive_interval: fields.duration("keepalive_interval").unwrap_or(default.keepalive_interval),
    }
}

fn limits(builder: &mut Builder<'_>, fields: &Fields<'_>) -> Limits {
    let default = Limits::default();
    Limits {
        header_timeout: fields.duration("header_timeout").unwrap_or(default.header_timeout),
        idle_timeout: fields.duration("idle_timeout").unwrap_or(default.idle_timeout),
        max_connections: fields.number("max_connections").unwrap_or(default.max_connections),
        max_connections_per_client: fields
            .number("max_connections_per_client")
            .unwrap_or(default.max_connections_per_client),
        max_header_bytes: builder
            .size_between(fields, "max_header_bytes", HEADERS_MIN, HEADERS_MAX)
            .map_or(default.max_header_bytes, |bytes| bytes as usize),
        handshake_timeout: fields.duration("handshake_timeout").unwrap_or(default.handshake_timeout),
        underscore_headers: match fields.text("underscore_headers") {
            Some("reject") => Underscores::Reject,
            Some("allow") => Underscores::Allow,
            _ => Underscores::Drop,
        },
    }
}

/// The largest window that HTTP/2 can state.
const WINDOW_MAX: u64 = (1 << 31) - 1;

/// hyper refuses smaller buffers for HTTP/1.1.
const HEADERS_MIN: u64 = 8 * 1024;

/// Memory that one unfinished request may hold.
const HEADERS_MAX: u64 = 1024 * 1024;
