//! Routes of tunnels: what is read, and what is refused because it says something of requests.

use std::time::Duration;

use identity::Scheme;
use proxy::{EndpointScheme, HealthProbe, Host, Route};

use super::{Folder, check};

const LISTENER: &str = "listeners: [{ address: 0.0.0.0:443, trusted_proxies: [], tls: { certificates: [{ cert_file: a.pem, key_file: a.key }] } }]\n";

fn folder(config: &str) -> Folder {
    let certified = rcgen::generate_simple_self_signed(["*.test".to_owned(), "*.a.test".to_owned()]).unwrap();
    Folder::new(config).with("a.pem", certified.cert.pem()).with("a.key", certified.signing_key.serialize_pem())
}

fn config(route: &str, more: &str) -> String {
    format!("{LISTENER}{more}routes:\n  - {{ {route} }}\n")
}

/// A tunnel with these further keys.
fn tunnel(more: &str) -> String {
    format!("from: \"tcp+https://ssh.test:22\", to: \"tcp://10.0.0.1:22\", allow: \"true\", authenticate: none{more}")
}

fn routes(config: &str) -> Vec<Route> {
    folder(config).load().unwrap_or_else(|error| panic!("{error}")).proxy.routes
}

fn read(route: &str, more: &str) -> Route {
    routes(&config(route, more)).remove(0)
}

/// Compares the first line of what is said.
fn says(route: &str, more: &str, expected: &str) {
    let problems = folder(&config(route, more)).problems();
    let first = problems.lines().next().unwrap_or_default();
    assert_eq!(first, expected, "for {route}\n{problems}");
}

#[test]
fn a_tunnel_has_a_port_of_its_own_and_tcp_endpoints() {
    let route = read(&tunnel(""), "");
    assert_eq!((route.name.as_str(), route.scheme), ("tcp+https://ssh.test:22", Scheme::Https));
    assert_eq!((route.host, route.tunnel, route.port), (Host::Exact("ssh.test".into()), Some(22), 443));
    let to = &route.to[0];
    assert_eq!((to.scheme, to.host.as_str(), to.port, to.weight), (EndpointScheme::Tcp, "10.0.0.1", 22, 1));
    assert_eq!((route.timeouts.idle, route.timeouts.response_headers, route.identity), (None, None, None));

    let route = read(&tunnel("").replace("ssh.test:22", "*.A.test"), "");
    assert_eq!((route.host, route.tunnel), (Host::Wildcard("a.test".into()), Some(443)));
    assert_eq!(route.name, "tcp+https://*.a.test");
    let weighted = "[{ url: \"tcp://a:1\", weight: 3 }, \"tcp://[::1]:2\"]";
    let route = read(&tunnel("").replace("\"tcp://10.0.0.1:22\"", weighted), "");
    let to: Vec<_> = route.to.iter().map(|to| (to.host.as_str(), to.port, to.weight)).collect();
    assert_eq!(to, [("a", 1, 3), ("[::1]", 2, 1)]);
}

#[test]
fn what_is_inherited_of_requests_says_nothing_of_tunnels() {
    let defaults = "defaults: { timeout: { idle: 1m, connect: 2s, total: 3s }, health_check: { path: /healthz }, preserve_host: true, \
                    identity: { headers: { X-Email: email } }, rate_limit: { requests: 9 }, websockets: any }\n";
    let route = read(&tunnel(""), defaults);
    assert_eq!((route.timeouts.idle, route.timeouts.total), (None, None));
    assert_eq!(route.timeouts.connect, Duration::from_secs(2));
    assert_eq!((route.upstream.health_check, route.identity), (None, None));
    assert_eq!(route.rate_limit.map(|limit| limit.requests), Some(9));

    let route = read(&tunnel(", timeout: { idle: 8h }, health_check: { type: tcp }"), defaults);
    assert_eq!(route.timeouts.idle, Some(Duration::from_secs(8 * 60 * 60)));
    assert_eq!(route.upstream.health_check.map(|check| check.probe), Some(HealthProbe::Tcp));
}

#[test]
fn the_pages_of_a_tunnels_host_are_where_its_other_routes_are_or_sign_in_is() {
    let web = |from: &str| {
        format!("  - {{ from: \"{from}\", to: \"http://10.0.0.2\", allow: \"true\", authenticate: none }}\n")
    };
    let port = |more: &str| routes(&(config(&tunnel(""), "") + more))[0].port;
    assert_eq!(port(""), 443);
    assert_eq!(port(&web("https://ssh.test:8443")), 8443);
    assert_eq!(port(&web("https://*.test:8443")), 8443);
    assert_eq!(port(&web("https://other.test:8443")), 443);
    let sign_in = "authenticate: { url: \"https://auth.test:9443\", providers: [{ id: a, issuer: \"https://idp.test\", client_id: b }] }\n";
    assert_eq!(read(&tunnel(""), sign_in).port, 9443);
}

#[test]
fn what_says_something_of_requests_is_refused() {
    for (key, value) in [
        ("path", "/a"),
        ("prefix", "/a"),
        ("regex", "/a"),
        ("methods", "[GET]"),
        ("upstream_protocol", "http1"),
        ("host_rewrite", "a.test"),
        ("preserve_host", "true"),
        ("prefix_rewrite", "/a"),
        ("request_headers", "{ remove: [X-A] }"),
        ("response_headers", "{ remove: [X-A] }"),
        ("identity", "true"),
        ("http2", "{}"),
        ("credential", "{ value: \"${env:SECRET}\" }"),
        ("upstream_tls", "{}"),
        ("encoded_slashes", "keep"),
        ("cors_preflight", "deny"),
        ("websockets", "any"),
        ("max_request_body", "1KiB"),
    ] {
        let expected = format!(
            "portcullis.yaml:3:100: `{key}` does nothing on a `tcp+https://` route, which carries bytes and no requests: remove \
             it, or write `https://`"
        );
        says(&tunnel(&format!(", {key}: {value}")), "", &expected);
    }
}

#[test]
fn what_has_no_meaning_within_a_section_is_refused() {
    says(
        &tunnel(", timeout: { total: 1h }"),
        "",
        "portcullis.yaml:3:111: `timeout.total` does nothing on a `tcp+https://` route, which has no responses: remove it",
    );
    says(
        &tunnel(", retry: { on: [connect-failure, \"502\"] }"),
        "",
        "portcullis.yaml:3:131: a tunnel is tried again after `connect-failure` alone: remove `502`",
    );
    says(
        &tunnel(", health_check: { path: /healthz }"),
        "",
        "portcullis.yaml:3:114: the endpoints of a tunnel are checked over TCP: write `type: tcp`",
    );
    says(&tunnel(", retry: { attempts: 3, on: [connect-failure] }, health_check: { type: tcp }"), "", "");
}

#[test]
fn where_a_tunnel_leads_is_checked() {
    let to = |to: &str| tunnel("").replace("\"tcp://10.0.0.1:22\"", to);
    says(
        &to("\"https://10.0.0.1\""),
        "",
        "portcullis.yaml:3:44: a `tcp+https://` route leads to TCP endpoints: write `tcp://host:port`, not `https://10.0.0.1`",
    );
    says(&to("[]"), "", "portcullis.yaml:3:44: a `tcp+https://` route needs `to`: add `tcp://host:port`");
    says(
        &tunnel("").replace("ssh.test:22", "ssh.test:22/path"),
        "",
        "portcullis.yaml:3:13: `from`: `tcp+https://ssh.test:22/path` is no tunnel: write `tcp+https://host:port`, with the port of \
         the service, such as `tcp+https://ssh.example.com:22`",
    );
    says(
        &tunnel("").replace("ssh.test", "elsewhere.example"),
        "",
        "portcullis.yaml:3:13: warning: no certificate of a listener is good for `elsewhere.example`: `portcullis connect` will refuse \
         it; \
         add one with that name to `tls.certificates`",
    );
}

#[test]
fn a_key_that_there_is_not_is_reported_once() {
    let problems = folder(&config(&tunnel(", alow: \"true\""), "")).problems();
    let told: Vec<_> = problems.lines().filter(|line| line.contains("`alow`")).collect();
    assert_eq!(told, ["portcullis.yaml:3:100: unknown key `alow`: did you mean `allow`?"], "{problems}");
}

#[test]
fn two_tunnels_of_one_host_have_two_ports() {
    let two = |first: &str, second: &str| {
        let route =
            |from: &str, name: &str| format!("  - {{ {}, name: {name} }}\n", tunnel("").replace("ssh.test:22", from));
        let config = format!("{LISTENER}routes:\n{}{}", route(first, "a"), route(second, "b"));
        folder(&config).problems().lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(two("ssh.test:22", "ssh.test:23"), "");
    assert_eq!(two("ssh.test:22", "*.test:22"), "");
    let twin = "portcullis.yaml:4:13: this route never matches: one above has the same host and port; remove one";
    assert_eq!(two("ssh.test:22", "SSH.test:22"), twin);
}

#[test]
fn tunnels_need_a_listener_with_tls() {
    check(
        &format!("listeners: [{{ address: 127.0.0.1:0 }}]\nroutes:\n  - {{ {} }}\n", tunnel("")),
        "\
portcullis.yaml:3:13: warning: no listener opens tunnels: add one with `tls`
  3 |   - { from: \"tcp+https://ssh.test:22\", to: \"tcp://10.0.0.1:22\", allow: \"true\", authenticate: none }
    |             ^^^^^^^^^^^^^^^^^^^^^^^^^",
    );
}
