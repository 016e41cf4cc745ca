//! Headers and gRPC names as policies see them.

use authorize::Headers as _;
use http::{HeaderMap, HeaderValue};

use super::{HeaderFacts, grpc};

#[test]
fn repeated_headers_are_always_joined() {
    let mut headers = HeaderMap::new();
    headers.append("x-role", HeaderValue::from_static("admin"));
    headers.append("x-role", HeaderValue::from_static("guest"));
    headers.append("x-bytes", HeaderValue::from_bytes(b"a\xffb").unwrap());
    let facts = HeaderFacts::new(&headers);
    assert_eq!(facts.get("x-role").unwrap(), "admin, guest");
    assert_eq!(facts.get("x-bytes").unwrap(), "a\u{fffd}b");
    assert!(facts.get("x-none").is_none());
    let mut seen = Vec::new();
    facts.for_each(&mut |name, value| seen.push(format!("{name}={value}")));
    seen.sort();
    assert_eq!(seen, ["x-bytes=a\u{fffd}b", "x-role=admin, guest"]);
}

#[test]
fn the_path_of_grpc_names_service_and_method() {
    let check = |path, service, method| {
        let grpc = grpc(path);
        assert_eq!((grpc.service, grpc.method), (service, method), "{path}");
    };
    check("/helloworld.Greeter/SayHello", "helloworld.Greeter", "SayHello");
    check("/Greeter", "", "");
    check("/", "", "");
}
