//! HTTP/3 to upstreams: what is read, and what is refused.

use proxy::{HealthProbe, UpstreamProtocol};

use super::{Folder, check};

const OVER_QUIC: &str = r#"listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://a.test
    to: [https://10.0.0.1, https://b.test:8443]
    authenticate: none
    allow: "true"
    upstream_protocol: http3
"#;

#[test]
fn an_https_endpoint_may_speak_http3() {
    let checked = format!("{OVER_QUIC}    health_check: {{ type: http, path: /healthz }}\n");
    let route = Folder::new(&checked).load().unwrap().proxy.routes.remove(0);
    assert_eq!(route.upstream_protocol, UpstreamProtocol::Http3);
    assert!(matches!(route.upstream.health_check.unwrap().probe, HealthProbe::Http { .. }));
}

#[test]
fn http3_needs_https() {
    for (to, scheme) in [("http://10.0.0.1", "http"), ("h2c://10.0.0.1", "h2c"), ("unix:///run/a.sock", "unix")] {
        let config = OVER_QUIC.replace("[https://10.0.0.1, https://b.test:8443]", to);
        check(
            &config,
            &format!(
                "portcullis.yaml:7:24: `upstream_protocol` `http3` does not fit `to`, which has the scheme `{scheme}`: \
                 `http` goes with `http1`, `h2c` and `auto`, `https` with `http1`, `http2`, `http3` and `auto`, `h2c` with \
                 `h2c`, `unix` with `http1`\n  7 |     upstream_protocol: http3\n    |                        ^^^^^\n"
            ),
        );
    }
}

#[test]
fn a_check_of_tcp_says_nothing_of_http3() {
    check(
        &format!("{OVER_QUIC}    health_check: {{ type: tcp }}\n"),
        "portcullis.yaml:8:27: `type: tcp` says nothing of an endpoint with `upstream_protocol: http3`, which listens for \
         UDP: write `http` or `grpc`\n  8 |     health_check: { type: tcp }\n    |                           ^^^\n",
    );
}
