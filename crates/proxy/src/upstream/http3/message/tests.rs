//! What a request looks like, and which heads of responses are believed.

use http::{HeaderValue, Method, Request, Response};

use super::{length, read_response, read_trailers, request, trailers};
use crate::upstream::http3::qpack;

fn section(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut section = Vec::new();
    qpack::begin(&mut section);
    lines.iter().for_each(|(name, value)| qpack::write(&mut section, name, value.as_bytes()));
    section
}

fn said(lines: &[(&str, &str)]) -> Result<Response<()>, String> {
    read_response(&section(lines)).map_err(|broken| broken.to_string())
}

#[test]
fn a_request_is_a_frame_with_its_pseudo_headers_first() {
    let mut sent = Vec::new();
    request(&Request::get("https://app.test/a?b").header("x", "y").body(()).unwrap(), &mut sent);
    let lines = [(":method", "GET"), (":scheme", "https"), (":authority", "app.test"), (":path", "/a?b"), ("x", "y")];
    let section = section(&lines);
    assert_eq!(sent, [&[0x01, u8::try_from(section.len()).unwrap()], &*section].concat());
}

#[test]
fn trailers_are_read_as_they_are_written() {
    let mut all = http::HeaderMap::new();
    all.insert("grpc-status", HeaderValue::from_static("0"));
    let mut sent = Vec::new();
    trailers(&all, &mut sent);
    assert_eq!(read_trailers(&sent[2..]).unwrap(), all);
}

#[test]
fn a_head_is_read() {
    let head = said(&[(":status", "404"), ("set-cookie", "a=b"), ("set-cookie", "c=d")]).unwrap();
    assert_eq!(head.status(), 404);
    assert_eq!(head.headers().get_all("set-cookie").iter().count(), 2);
}

#[test]
fn fields_are_limited_in_number_and_size() {
    let most = vec![("x", "y"); 200];
    let with = |more: &[(&'static str, &'static str)]| [&[(":status", "200")], more].concat();
    assert!(said(&with(&most)).is_ok());
    let many = [&*most, &[("x", "y")]].concat();
    assert_eq!(said(&with(&many)).unwrap_err(), "the response's header fields are too large");
    let large: &'static str = "y".repeat(129 * 1024).leak();
    assert_eq!(said(&with(&[("x", large)])).unwrap_err(), "the response's header fields are too large");
}

#[test]
fn a_body_is_as_long_as_the_head_says() {
    let of = |method: Method, lines: &[(&str, &str)]| length(&method, &said(lines).unwrap()).map_err(drop);
    assert_eq!(of(Method::GET, &[(":status", "200")]), Ok(None));
    assert_eq!(of(Method::GET, &[(":status", "200"), ("content-length", "5")]), Ok(Some(5)));
    assert_eq!(of(Method::GET, &[(":status", "200"), ("content-length", "5"), ("content-length", "5")]), Ok(Some(5)));
    assert_eq!(of(Method::HEAD, &[(":status", "200"), ("content-length", "5")]), Ok(Some(0)));
    assert_eq!(of(Method::GET, &[(":status", "304"), ("content-length", "5")]), Ok(Some(0)));
    assert_eq!(of(Method::GET, &[(":status", "204")]), Ok(Some(0)));
    for wrong in ["+5", "-5", "5, 5", "", "0x5", "99999999999999999999"] {
        assert_eq!(of(Method::GET, &[(":status", "200"), ("content-length", wrong)]), Err(()), "{wrong}");
    }
    assert_eq!(of(Method::GET, &[(":status", "200"), ("content-length", "5"), ("content-length", "6")]), Err(()));
}
