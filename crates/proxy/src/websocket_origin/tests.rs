//! Pages that may open WebSockets, and those that may not.

use http::HeaderMap;

use super::check;
use crate::config::WebSockets;

fn may(allowed: &WebSockets, pages: &[&str]) -> bool {
    let mut headers = HeaderMap::new();
    for page in pages {
        headers.append("origin", page.parse().unwrap());
    }
    check(&headers, allowed, &"https://app.example.com".parse().unwrap()).is_ok()
}

#[test]
fn by_default_only_pages_of_the_same_origin_and_programs_may() {
    let same = WebSockets::SameOrigin;
    assert!(may(&same, &["https://app.example.com"]));
    assert!(may(&same, &["https://app.example.com:443"]));
    assert!(may(&same, &[]));
    for page in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://sub.app.example.com",
        "null",
        "",
        "file://",
    ] {
        assert!(!may(&same, &[page]), "{page}");
    }
    assert!(!may(&same, &["https://app.example.com", "https://evil.example"]));
}

#[test]
fn the_route_may_widen_or_close_that() {
    let listed = WebSockets::Origins(vec!["https://console.example.com".parse().unwrap()]);
    assert!(may(&listed, &["https://console.example.com"]));
    assert!(!may(&listed, &["https://evil.example"]));
    assert!(may(&WebSockets::Any, &["https://evil.example"]));
    assert!(!may(&WebSockets::Off, &["https://app.example.com"]));
    assert!(!may(&WebSockets::Off, &[]));
}
