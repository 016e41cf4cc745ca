//! Tests of the authority: spellings, disagreements and characters that no host has.

use http::{Request, Uri};
use proptest::prelude::*;

use super::*;

fn parts(uri: &str, hosts: &[&str]) -> Parts {
    let mut request = Request::builder().uri(uri.parse::<Uri>().unwrap());
    for host in hosts {
        request = request.header(HOST, *host);
    }
    request.body(()).unwrap().into_parts().0
}

fn check(uri: &str, hosts: &[&str], expected: Result<&str, &str>) {
    let found = authority(&parts(uri, hosts));
    let found = found.as_ref().map(ToString::to_string).map_err(|refusal| refusal.code);
    assert_eq!(found.as_deref().map_err(|code| *code), expected, "{uri} {hosts:?}");
}

#[test]
fn one_host_has_many_spellings() {
    check("/", &["app.example.com"], Ok("app.example.com"));
    check("/", &["APP.Example.COM"], Ok("app.example.com"));
    check("/", &["app.example.com."], Ok("app.example.com"));
    check("/", &["app.example.com:443"], Ok("app.example.com:443"));
    check("/", &["App.example.com.:8443"], Ok("app.example.com:8443"));
    check("/", &["192.0.2.1:80"], Ok("192.0.2.1:80"));
    check("/", &["[2001:DB8::1]"], Ok("[2001:db8::1]"));
    check("/", &["[2001:db8::1]:8443"], Ok("[2001:db8::1]:8443"));
    check("/", &["under_score.example"], Ok("under_score.example"));
}

#[test]
fn a_missing_or_repeated_host_is_refused() {
    check("/", &[], Err("host-missing"));
    // RFC 9112 §3.2: not even beside a target that names it. HTTP/1.0 has none, and HTTP/2 has `:authority`.
    check("http://a.example/", &[], Err("host-missing"));
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let mut parts = parts("http://a.example/", &[]);
        parts.version = version;
        assert_eq!(authority(&parts).map(|found| found.to_string()).as_deref(), Ok("a.example"));
    }
    check("/", &["a.example", "a.example"], Err("host-repeated"));
    check("/", &["a.example", "b.example"], Err("host-repeated"));
    check("http://a.example/", &["a.example", "a.example"], Err("host-repeated"));
}

#[test]
fn the_target_and_host_must_agree() {
    check("https://a.example/", &["A.example."], Ok("a.example"));
    check("https://a.example:443/", &["a.example"], Ok("a.example:443"));
    check("http://a.example/", &["a.example:80"], Ok("a.example"));
    check("https://a.example/", &["b.example"], Err("host-mismatch"));
    check("https://a.example/", &["a.example:8443"], Err("host-mismatch"));
    check("http://169.254.169.254/", &["a.example"], Err("host-mismatch"));
}

#[test]
fn only_http_has_a_place_here() {
    check("ftp://a.example/", &["a.example"], Err("scheme-invalid"));
}

#[test]
fn what_is_no_host_is_refused() {
    for host in [
        "",
        ".",
        "a..b",
        ".a",
        "a.example..",
        "a\";for=1.1.1.1",
        "a,b",
        "a b",
        "a/b",
        "a\\b",
        "a%2eexample",
        "user@a.example",
        "a.example:",
        "a.example:0",
        "a.example:+80",
        "a.example:65536",
        "a:b:80",
        "2001:db8::1",
        "[2001:db8::1",
        "[192.0.2.1]",
        "[fe80::1%25eth0]",
        "[::1]x",
        "*.example",
        "bücher.example",
    ] {
        check("/", &[host], Err("host-invalid"));
    }
    check("/", &[&"a.".repeat(128)], Err("host-invalid"));
    check("http://user@a.example/", &["a.example"], Err("host-invalid"));
}

proptest! {
    #[test]
    fn a_host_is_refused_or_has_one_form(text in "[ -~]{0,40}|[a-cA-C.:0-9\\[\\]]{1,24}") {
        if let Ok(once) = Authority::parse(text.as_bytes()) {
            let host = once.clone().into_host();
            prop_assert!(!host.is_empty() && !host.ends_with('.'));
            prop_assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
            let again = Authority::parse(once.to_string().as_bytes());
            prop_assert_eq!(again, Ok(once));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Authority::parse(&bytes);
    }
}
