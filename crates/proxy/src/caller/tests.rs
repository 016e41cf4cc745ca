//! Kinds of callers.

use http::{Method, Request};

use super::Caller;

fn check(method: &Method, headers: &[(&str, &str)], expected: Caller) {
    let mut request = Request::builder().method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    assert_eq!(Caller::of(&request.body(()).unwrap()), expected, "{method} {headers:?}");
}

#[test]
fn a_navigation_is_a_browser() {
    check(&Method::GET, &[("sec-fetch-mode", "navigate")], Caller::Browser);
    check(&Method::POST, &[("sec-fetch-mode", "navigate")], Caller::Browser);
    check(&Method::GET, &[("accept", "text/html,application/xml;q=0.9")], Caller::Browser);
    check(&Method::HEAD, &[("accept", "application/json, Text/HTML;q=0.5")], Caller::Browser);
}

#[test]
fn scripts_apis_and_websockets_are_programs() {
    check(&Method::GET, &[], Caller::Program);
    check(&Method::GET, &[("accept", "*/*")], Caller::Program);
    check(&Method::POST, &[("accept", "text/html")], Caller::Program);
    check(&Method::GET, &[("accept", "text/html;q=0, */*")], Caller::Program);
    check(&Method::GET, &[("accept", "text/html; level=1; Q=0.000")], Caller::Program);
    check(&Method::GET, &[("accept", "text/html;q=0.1")], Caller::Browser);
    check(&Method::GET, &[("accept", "text/html"), ("sec-fetch-mode", "cors")], Caller::Program);
    check(&Method::GET, &[("accept", "text/html"), ("sec-fetch-mode", "websocket")], Caller::Program);
    check(&Method::GET, &[("accept", "text/html"), ("upgrade", "websocket")], Caller::Program);
}

#[test]
fn grpc_is_told_by_its_content_type() {
    for content_type in ["application/grpc", "application/grpc+proto", "Application/gRPC;x=y"] {
        check(&Method::POST, &[("content-type", content_type)], Caller::Grpc("application/grpc"));
    }
    check(&Method::POST, &[("content-type", "application/grpc-web+proto")], Caller::Grpc("application/grpc-web"));
    check(&Method::POST, &[("content-type", "application/grpc-web-text")], Caller::Grpc("application/grpc-web-text"));
    check(&Method::POST, &[("content-type", "application/grpcx")], Caller::Program);
    assert!(Caller::Grpc("application/grpc").is_grpc());
    assert!(!Caller::Grpc("application/grpc-web").is_grpc());
    assert!(Caller::Grpc("application/grpc-web").calls_a_method());
}
