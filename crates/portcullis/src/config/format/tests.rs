//! What reads, and what does not.

use std::time::Duration;

use identity::Scheme;
use proxy::{EndpointScheme, Host};

use super::*;

#[test]
fn durations_add_their_units_up() {
    for (text, expected) in
        [("250ms", 250), ("30s", 30_000), ("1h30m", 5_400_000), ("14h", 50_400_000), ("7d", 604_800_000)]
    {
        assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
    }
    for text in
        ["", "30", "s", "30 s", "-1s", "1.5s", "0s", "1y", "99999999999999999999s", "18446744073709551615d", "1s2"]
    {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn sizes_are_binary() {
    assert_eq!((size("1"), size("64KiB"), size("2 MiB"), size("1GiB")), (Ok(1), Ok(65_536), Ok(2 << 20), Ok(1 << 30)));
    for text in ["", "0", "64KB", "KiB", "-1", "1.5MiB", "99999999999999999999GiB"] {
        assert!(size(text).is_err(), "{text}");
    }
}

#[test]
fn external_urls_are_origins_with_an_optional_wildcard() {
    let read = from("https://*.Example.com:8443").unwrap();
    assert_eq!((read.scheme, read.host, read.port), (Scheme::Https, Host::Wildcard("example.com".into()), 8443));
    assert_eq!(from("http://a.test").unwrap().port, 80);
    for text in [
        "a.test",
        "https://a.test/x",
        "https://a.test?x",
        "https://u@a.test",
        "https://*",
        "https://a.*.test",
        "ftp://a",
        "https://*.*.test",
    ] {
        assert!(from(text).is_err(), "{text}");
    }
}

#[test]
fn endpoints_have_a_scheme_a_host_and_a_port() {
    let read = endpoint("h2c://backend:9090").unwrap();
    assert_eq!((read.scheme, read.host.as_str(), read.port), (EndpointScheme::H2c, "backend", 9090));
    assert_eq!(endpoint("https://a.test/").unwrap().port, 443);
    assert_eq!(endpoint("http://[2001:db8::1]:8080").unwrap().host, "[2001:db8::1]");
    for text in ["a:80", "http://a/x", "http://a?x", "http://a#x", "http://u:p@a", "http://", "http://a:99999"] {
        assert!(endpoint(text).is_err(), "{text}");
    }
}

#[test]
fn unix_sockets_have_an_absolute_path() {
    let read = endpoint("unix:///run/app/Web.sock").unwrap();
    assert_eq!((read.scheme, read.host.as_str(), read.port), (EndpointScheme::Unix, "/run/app/Web.sock", 0));
    let long = format!("unix:///{}", "x".repeat(200));
    for text in ["unix://", "unix:///", "unix://run/x", "unix:/x", "unix:///run/", "unix:///x?y", "unix:///x\0", &long]
    {
        assert!(endpoint(text).is_err(), "{text}");
    }
}

#[test]
fn our_own_paths_cannot_be_claimed() {
    for text in [
        "/.portcullis",
        "/.portcullis/",
        "/.portcullis/user",
        "/.well-known/portcullis/jwks.json",
        "x",
        "/a?b",
        "/a//b",
        "/./a",
    ] {
        assert!(path(text).is_err(), "{text}");
    }
    for text in ["/", "/a", "/.portcullisx", "/.well-known/acme"] {
        assert!(path(text).is_ok(), "{text}");
    }
}

#[test]
fn issuers_need_tls_unless_they_are_on_this_machine() {
    for text in
        ["https://idp.test/realms/a", "http://127.0.0.1:9000", "http://localhost:9000/x", "http://idp.localhost"]
    {
        assert!(issuer(text).is_ok(), "{text}");
    }
    for text in ["http://idp.test", "idp.test", "https://idp.test?x=1", "file:///x", ""] {
        assert!(issuer(text).is_err(), "{text}");
    }
}
