//! Heads of requests as they are sent, and heads of responses as they are understood.

use http::header::HOST;

use super::*;
use crate::test_support::told;

fn take_all(bytes: &[u8], method: &Method) -> Result<Option<Head>, Broken> {
    take(&mut BytesMut::from(bytes), &mut 0, method)
}

fn framing_of(bytes: &str) -> Option<(ResponseFraming, bool)> {
    let head = take_all(bytes.as_bytes(), &Method::GET).ok()??;
    Some((head.framing, head.keeps_alive))
}

fn written(request: &Request<RequestBody>, framing: RequestFraming) -> String {
    let mut line = Vec::new();
    write(request, &told("app.test"), framing, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn a_request_says_one_framing_whatever_its_headers_say() {
    let request = Request::post("/a?b=c")
        .header(HOST, "app.test")
        .header(CONTENT_LENGTH, "7")
        .header(CONTENT_LENGTH, "9")
        .header(TRANSFER_ENCODING, "chunked")
        .body(RequestBody::empty())
        .unwrap();
    let told = "x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\nx-forwarded-host: app.test\r\n\
                x-forwarded-port: 443\r\nx-request-id: 0198\r\n";
    let head = format!("POST /a?b=c HTTP/1.1\r\nhost: app.test\r\n{told}");
    assert_eq!(written(&request, RequestFraming::Empty), format!("{head}content-length: 0\r\n\r\n"));
    assert_eq!(written(&request, RequestFraming::Length(5)), format!("{head}content-length: 5\r\n\r\n"));
    assert_eq!(written(&request, RequestFraming::Chunked), format!("{head}transfer-encoding: chunked\r\n\r\n"));
    let bare = Request::get("*").body(RequestBody::empty()).unwrap();
    assert_eq!(written(&bare, RequestFraming::Empty), format!("GET * HTTP/1.1\r\n{told}\r\n"));
}

#[test]
fn a_head_is_taken_once_it_is_whole_and_nothing_behind_it() {
    let whole = b"HTTP/1.1 404 Nobody Home\r\nx: 1\r\nX: 2\r\ncontent-length: 2\r\n\r\nok";
    for first in 0..whole.len() - 2 {
        let (mut read, mut looked_at) = (BytesMut::from(&whole[..first]), 0);
        assert!(take(&mut read, &mut looked_at, &Method::GET).unwrap().is_none(), "{first}");
        read.extend_from_slice(&whole[first..]);
        let head = take(&mut read, &mut looked_at, &Method::GET).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), head.framing), (404, ResponseFraming::Length(2)));
        assert_eq!(head.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(head.extensions.get::<ReasonPhrase>().unwrap().as_bytes(), b"Nobody Home");
        assert_eq!(&read[..], b"ok");
    }
}

#[test]
fn the_end_of_a_response_is_known_or_the_response_is_refused() {
    use ResponseFraming::{Chunked, Close, Length};
    for (head, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Some((Length(5), true))),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n", Some((Length(5), true))),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n", Some((Length(5), true))),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\n\r\n", Some((Close, false))),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding : Chunked\r\n\r\n", Some((Chunked, true))),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: 2\r\n\r\n", None),
        // Both: the chunks are read, and the connection is not trusted again.
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", Some((Chunked, false))),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", None),
        ("HTTP/1.1 204 No Content\r\n\r\n", Some((Length(0), true))),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", Some((Length(0), true))),
        // What it announces may come, when the connection serves the next request.
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Some((Length(0), false))),
        ("HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", Some((Length(0), false))),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Some((Length(0), true))),
        ("HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 5\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nx : a\r\n\r\n", Some((Close, false))),
        ("HTTP/2.0 200 OK\r\n\r\n", None),
        ("ICY 200 OK\r\n", None),
    ] {
        assert_eq!(framing_of(head), expected, "{head}");
    }
    let head = take_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", &Method::HEAD).unwrap().unwrap();
    assert_eq!((head.framing, head.headers[CONTENT_LENGTH].as_bytes()), (Length(0), &b"5"[..]));
}

#[test]
fn a_connection_is_kept_unless_either_side_said_close() {
    for (minor, lines, kept) in [
        (1, "", true),
        (1, "connection: Close\r\n", false),
        (1, "connection: x-a, close\r\nconnection: keep-alive\r\n", false),
        (0, "", false),
        (0, "connection: keep-alive\r\n", true),
        (0, "connection: close\r\nconnection: keep-alive\r\n", false),
    ] {
        let head = format!("HTTP/1.{minor} 200 OK\r\n{lines}content-length: 0\r\n\r\n");
        assert_eq!(framing_of(&head).unwrap().1, kept, "{head}");
    }
}

#[test]
fn a_head_has_bounds() {
    let many = "x: y\r\n".repeat(MAX_HEADERS + 1);
    assert!(take_all(format!("HTTP/1.1 200 OK\r\n{many}\r\n").as_bytes(), &Method::GET).is_err());
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD));
    assert!(matches!(take_all(endless.as_bytes(), &Method::GET), Err(Broken::TooLarge)));
    assert!(matches!(take_all(format!("{endless}\r\n\r\n").as_bytes(), &Method::GET), Err(Broken::TooLarge)));
}
