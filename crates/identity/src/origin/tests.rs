//! Tests of origins: one spelling each, and nothing else passes for one.

use super::*;

fn check(text: &str, expected: &str) {
    let origin: Origin = text.parse().unwrap();
    assert_eq!(origin.to_string(), expected, "{text}");
    assert_eq!(expected.parse::<Origin>().unwrap(), origin, "{text}");
}

#[test]
fn an_origin_has_one_spelling() {
    check("https://app.example.com", "https://app.example.com");
    check("https://APP.Example.com./", "https://app.example.com");
    check("https://app.example.com:443", "https://app.example.com");
    check("http://app.example.com:80/", "http://app.example.com");
    check("http://app.example.com:443", "http://app.example.com:443");
    check("https://app.example.com:8443", "https://app.example.com:8443");
    check("https://[2001:DB8::1]", "https://[2001:db8::1]");
    check("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443");
    check("http://192.0.2.1:8080", "http://192.0.2.1:8080");
    check("https://my_app.localhost", "https://my_app.localhost");
}

#[test]
fn what_is_no_origin_is_refused() {
    for text in [
        "",
        "app.example.com",
        "//app.example.com",
        "https:app.example.com",
        "https://",
        "https:///",
        "https://.",
        "https://..",
        "https://a..b",
        "https://.a",
        "https://a..",
        "https://a//",
        "https://a/b",
        "https://a?b",
        "https://a#b",
        "https://user@a",
        "https://a b",
        "https://a\\b",
        "https://a\r\nb",
        "https://a;b",
        "https://a%2eb",
        "https://bücher.example",
        "https://*.example.com",
        "https://a:",
        "https://a:0",
        "https://a:+443",
        "https://a:65536",
        "https://a:b",
        "https://a:1:2",
        "https://2001:db8::1",
        "https://[2001:db8::1",
        "https://[192.0.2.1]",
        "https://[fe80::1%eth0]",
        "https://[::1]x",
        "HTTPS://a",
        "ftp://a",
        "javascript://a",
        " https://a",
        "null",
    ] {
        assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin), "{text:?}");
    }
}

#[test]
fn parts_make_the_same_origin_as_text() {
    let origin = Origin::new(Scheme::Https, "App.Example.com.", None).unwrap();
    assert_eq!(origin, "https://app.example.com:443".parse().unwrap());
    assert_eq!((origin.scheme(), origin.host(), origin.port()), (Scheme::Https, "app.example.com", 443));
    assert_eq!(Origin::new(Scheme::Http, "a", Some(443)).unwrap().authority(), "a:443");
}

#[test]
fn scheme_host_and_port_tell_origins_apart() {
    let origin = |text: &str| text.parse::<Origin>().unwrap();
    assert_ne!(origin("https://a"), origin("http://a"));
    assert_ne!(origin("https://a"), origin("https://b"));
    assert_ne!(origin("https://a"), origin("https://a:8443"));
}
