//! Tests of what passes and what does not: every alias, every hop.

use http::HeaderName;

use super::*;
use crate::IdentityClaim;

fn removed() -> Removed {
    Removed::new(&[IdentityHeaders {
        assertion_header: HeaderName::from_static("x-goog-assertion"),
        headers: vec![
            (HeaderName::from_static("x-team"), IdentityClaim::Groups),
            (HeaderName::from_static("who_calls"), IdentityClaim::Email),
        ],
    }])
}

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

fn check_with(underscores: Underscores, lines: &[(&str, &str)], expected: Result<&[&str], &str>) {
    let mut map = map(lines);
    let passed = headers(&mut map, &removed(), underscores).map_err(|refusal| refusal.code).map(|_| {
        let mut names: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    });
    assert_eq!(passed.as_deref(), expected.as_ref().copied(), "{lines:?}");
}

fn check(lines: &[(&str, &str)], expected: &[&str]) {
    check_with(Underscores::Drop, lines, Ok(expected));
}

/// Every spelling of a name with `_` for any of its hyphens.
fn aliases(name: &str) -> Vec<String> {
    let hyphens: Vec<_> = name.match_indices('-').map(|(at, _)| at).collect();
    (0..1_u32 << hyphens.len())
        .map(|mix| {
            let mut bytes = name.as_bytes().to_vec();
            for (bit, at) in hyphens.iter().enumerate() {
                if mix & (1 << bit) != 0 {
                    bytes[*at] = b'_';
                }
            }
            String::from_utf8(bytes).unwrap()
        })
        .collect()
}

#[test]
fn ordinary_headers_pass_untouched() {
    let lines = [
        ("host", "a"),
        ("accept", "*/*"),
        ("cookie", "a=b"),
        ("content-length", "3"),
        ("x-custom", "1"),
        ("trailer", "x"),
    ];
    check(&lines, &["accept", "content-length", "cookie", "host", "trailer", "x-custom"]);
    check(
        &[("sec-websocket-key", "x"), ("authorization", "Bearer x"), ("traceparent", "00")],
        &["authorization", "sec-websocket-key", "traceparent"],
    );
}

#[test]
fn no_spelling_of_an_identity_header_passes() {
    let names = names::SPOOFABLE.iter().copied().chain([
        "x-goog-assertion",
        "x-team",
        "who-calls",
        "x-portcullis-jwt-assertion",
        "x-portcullis-anything",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-uri",
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-auth-request-user",
        "x-auth-request-email",
        "x-envoy-original-path",
        "x-envoy-external-address",
        "cf-connecting-ip",
        "cf-access-jwt-assertion",
    ]);
    for name in names {
        for alias in aliases(name) {
            for underscores in [Underscores::Drop, Underscores::Allow] {
                check_with(underscores, &[(&alias, "root@example.com"), ("accept", "*/*")], Ok(&["accept"]));
            }
        }
        check(&[(&name.replace('-', "."), "x"), (&name.to_uppercase(), "y")], &[]);
    }
}

#[test]
fn underscores_are_dropped_refused_or_allowed() {
    let lines = [("x_custom", "1"), ("accept", "*/*")];
    check_with(Underscores::Drop, &lines, Ok(&["accept"]));
    check_with(Underscores::Reject, &lines, Err("underscore-header"));
    check_with(Underscores::Allow, &lines, Ok(&["accept", "x_custom"]));
    for alias in ["content_length", "transfer_encoding", "x_forwarded_for", "http_host"] {
        let expected: &[&str] = if alias == "http_host" { &["http_host"] } else { &[] };
        check_with(Underscores::Allow, &[(alias, "1")], Ok(expected));
    }
}

#[test]
fn what_is_for_one_hop_ends_here() {
    check(&[("connection", "close"), ("keep-alive", "timeout=5"), ("proxy-connection", "x")], &[]);
    check(&[("connection", "close, X-Private"), ("x-private", "1"), ("x-public", "1")], &["x-public"]);
    check(&[("connection", "a"), ("connection", " B ,,"), ("a", "1"), ("b", "1"), ("c", "1")], &["c"]);
    check(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")], &[]);
    check(&[("transfer-encoding", "chunked"), ("proxy-authorization", "Basic x"), ("proxy", "evil")], &[]);
}

#[test]
fn connection_cannot_name_what_frames_the_message() {
    check(
        &[("connection", "content-length, host, te"), ("content-length", "3"), ("host", "a")],
        &["content-length", "host"],
    );
}

#[test]
fn only_trailers_are_left_of_te() {
    for (value, expected) in [("trailers", Some("trailers")), ("gzip, Trailers", Some("trailers")), ("gzip", None)] {
        let mut map = map(&[("te", value), ("connection", "te")]);
        headers(&mut map, &removed(), Underscores::Drop).unwrap();
        assert_eq!(map.get(TE).map(|value| value.to_str().unwrap()), expected);
    }
}

#[test]
fn only_a_websocket_upgrade_counts() {
    let asked = |lines: &[(&str, &str)]| headers(&mut map(lines), &removed(), Underscores::Drop).unwrap();
    assert_eq!(asked(&[]), Upgrade::None);
    assert_eq!(asked(&[("upgrade", "websocket")]), Upgrade::None);
    assert_eq!(asked(&[("connection", "upgrade"), ("upgrade", "websocket")]), Upgrade::WebSocket);
    assert_eq!(asked(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]), Upgrade::WebSocket);
    assert_eq!(asked(&[("connection", "upgrade"), ("upgrade", "h2c")]), Upgrade::Other);
    assert_eq!(asked(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")]), Upgrade::Other);
}

#[test]
fn the_documentation_lists_every_removed_header() {
    let documentation = include_str!("../../../../../docs/routing.md");
    for name in names::HOP_BY_HOP.iter().chain(&names::SPOOFABLE) {
        assert!(documentation.contains(&format!("`{name}`")), "{name}");
    }
    for family in names::FAMILIES {
        assert!(documentation.contains(&format!("`{family}*`")), "{family}");
    }
}

#[test]
fn a_value_has_no_space_around_it() {
    for (value, passes) in
        [("a b", true), ("", true), ("\u{e9}", true), (" a", false), ("a ", false), ("\ta", false), (" ", false)]
    {
        let headers = HeaderMap::from_iter([(TE, HeaderValue::from_bytes(value.as_bytes()).unwrap())]);
        assert_eq!(values(&headers).is_ok(), passes, "{value:?}");
    }
}
