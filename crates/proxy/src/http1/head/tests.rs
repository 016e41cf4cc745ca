//! What is a head, what it says, and what is none.

use super::*;

fn taken(text: &str) -> Result<Option<Head>, Refused> {
    take(text.as_bytes(), &mut 0, 64 * 1024)
}

fn code(text: &str) -> &'static str {
    match taken(text) {
        Err(refused) => refused.refusal.code,
        Ok(Some(_)) => "taken",
        Ok(None) => "unfinished",
    }
}

#[test]
fn a_head_is_taken_with_what_it_says() {
    let text =
        "POST /a%20b?c=d HTTP/1.1\r\nHost: a.test\r\nX-One:  1\t \r\nx-one:2\r\nx-none:\r\nContent-Length: 3\r\n\r\n";
    let head = taken(&format!("{text}abc")).unwrap().unwrap();
    assert_eq!((head.method.as_str(), head.target.to_string()), ("POST", "/a%20b?c=d".to_owned()));
    assert_eq!((head.version, head.framing, head.length), (Version::Http11, Framing::Length(3), text.len()));
    let values =
        |name: &str| head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((values("x-one"), values("x-none"), values("host")), (vec!["1", "2"], vec![""], vec!["a.test"]));
}

#[test]
fn a_head_is_the_same_in_parts_of_every_size() {
    let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for size in 1..text.len() {
        let mut looked_at = 0;
        let lengths = (size..text.len()).step_by(size);
        for length in lengths {
            assert!(take(&text[..length], &mut looked_at, 100).unwrap().is_none(), "{length}");
        }
        assert!(take(text, &mut looked_at, 100).unwrap().is_some());
    }
}

#[test]
fn one_of_several_heads_is_taken() {
    let one = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
    let head = taken(&format!("{one}GET /b HTTP/1.1\r\nhost: b\r\n\r\n")).unwrap().unwrap();
    assert_eq!((head.length, head.target.path()), (one.len(), "/a"));
    assert_eq!(head.headers.len(), 1);
}

#[test]
fn a_faulty_request_line_is_refused() {
    for (line, expected) in [
        ("GET / HTTP/1.1", "taken"),
        ("OPTIONS * HTTP/1.1", "taken"),
        ("GET http://a.test/x HTTP/1.0", "taken"),
        ("CONNECT a.test:443 HTTP/1.1", "taken"),
        ("GET /", "request-line-invalid"),
        ("GET", "request-line-invalid"),
        ("GET  / HTTP/1.1", "target-invalid"),
        ("GET /  HTTP/1.1", "target-invalid"),
        ("GET / a HTTP/1.1", "target-invalid"),
        ("GET\t/\tHTTP/1.1", "request-line-invalid"),
        (" GET / HTTP/1.1", "request-line-invalid"),
        ("G@T / HTTP/1.1", "request-line-invalid"),
        ("GET / http/1.1", "request-line-invalid"),
        ("GET / HTTP/1.1 ", "request-line-invalid"),
        ("GET / HTTP/11", "request-line-invalid"),
        ("GET / HTTP/1.10", "request-line-invalid"),
        ("GET / HTTP/1.2", "version-unknown"),
        ("GET / HTTP/0.9", "version-unknown"),
        ("GET / HTTP/2.0", "version-unknown"),
        ("GET /secret#/public HTTP/1.1", "target-invalid"),
        ("GET /\u{1} HTTP/1.1", "target-invalid"),
        ("GET /\0 HTTP/1.1", "target-invalid"),
        ("GET /\r/ HTTP/1.1", "target-invalid"),
        ("GET /<> HTTP/1.1", "target-invalid"),
    ] {
        assert_eq!(code(&format!("{line}\r\nhost: a\r\n\r\n")), expected, "{line:?}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(65_535));
    assert_eq!(take(long.as_bytes(), &mut 0, 1 << 20).unwrap_err().refusal.code, "target-too-long");
}

#[test]
fn a_faulty_line_is_refused() {
    for (lines, expected) in [
        ("x: 1\r\n", "taken"),
        ("x:\u{80}\r\n", "taken"),
        ("x: a\tb\r\n", "taken"),
        ("x: 1\n", "line-end-invalid"),
        ("x: 1\r\n\n", "line-end-invalid"),
        ("x: 1\r\n folded\r\n", "header-folded"),
        (" x: 1\r\n", "header-folded"),
        ("\tx: 1\r\n", "header-folded"),
        ("x : 1\r\n", "header-invalid"),
        ("x\r\n", "header-invalid"),
        (": 1\r\n", "header-invalid"),
        ("x y: 1\r\n", "header-invalid"),
        ("x\0: 1\r\n", "header-invalid"),
        ("x: a\0\r\n", "header-invalid"),
        ("x: a\rb\r\n", "header-invalid"),
        ("x: a\r\r\n", "header-invalid"),
        ("x: a\u{7f}\r\n", "header-invalid"),
        ("h\u{e9}: a\r\n", "header-invalid"),
    ] {
        assert_eq!(code(&format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n")), expected, "{lines:?}");
    }
}

#[test]
fn only_one_framing_is_taken() {
    use Framing::{Chunked, Length};
    let framing = |minor: u8, lines: &str| {
        let head = taken(&format!("POST / HTTP/1.{minor}\r\nhost: a\r\n{lines}\r\n"));
        head.map(|head| head.unwrap().framing).map_err(|refused| refused.refusal.code)
    };
    for (minor, lines, expected) in [
        (1, "", Ok(Length(0))),
        (1, "content-length: 0\r\n", Ok(Length(0))),
        (1, "content-length: 007\r\n", Ok(Length(7))),
        (1, "transfer-encoding: chunked\r\n", Ok(Chunked)),
        (1, "Transfer-Encoding:\tChunked \r\n", Ok(Chunked)),
        (0, "content-length: 5\r\n", Ok(Length(5))),
        (1, "content-length: 5\r\ncontent-length: 5\r\n", Err("content-length-repeated")),
        (1, "content-length: 5\r\ncontent-length: 6\r\n", Err("content-length-repeated")),
        (1, "content-length: 5, 5\r\n", Err("content-length-invalid")),
        (1, "content-length: +5\r\n", Err("content-length-invalid")),
        (1, "content-length: -5\r\n", Err("content-length-invalid")),
        (1, "content-length: 0x5\r\n", Err("content-length-invalid")),
        (1, "content-length: 5 5\r\n", Err("content-length-invalid")),
        (1, "content-length:\r\n", Err("content-length-invalid")),
        (1, "content-length: 18446744073709551616\r\n", Err("content-length-invalid")),
        (1, "content-length: 5\r\ntransfer-encoding: chunked\r\n", Err("framing-ambiguous")),
        (1, "transfer-encoding: chunked\r\ncontent-length: 5\r\n", Err("framing-ambiguous")),
        (1, "transfer-encoding: x\r\ncontent-length: 5\r\n", Err("framing-ambiguous")),
        (1, "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Err("transfer-coding-repeated")),
        (1, "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n", Err("transfer-coding-repeated")),
        (1, "transfer-encoding: chunked, identity\r\n", Err("transfer-coding-unknown")),
        (1, "transfer-encoding: identity, chunked\r\n", Err("transfer-coding-unknown")),
        (1, "transfer-encoding: chunked, chunked\r\n", Err("transfer-coding-unknown")),
        (1, "transfer-encoding: \"chunked\"\r\n", Err("transfer-coding-unknown")),
        (1, "transfer-encoding: xchunked\r\n", Err("transfer-coding-unknown")),
        (1, "transfer-encoding: \u{b}chunked\r\n", Err("header-invalid")),
        (1, "transfer-encoding:\r\n", Err("transfer-coding-unknown")),
        (0, "transfer-encoding: chunked\r\n", Err("transfer-coding-in-http10")),
    ] {
        assert_eq!(framing(minor, lines), expected, "1.{minor} {lines:?}");
    }
}

#[test]
fn what_a_client_wishes_depends_on_its_version() {
    let wishes = |minor: u8, lines: &str| {
        taken(&format!("GET / HTTP/1.{minor}\r\nhost: a\r\n{lines}\r\n")).unwrap().unwrap().wishes
    };
    for (minor, lines, kept) in [
        (1, "", true),
        (1, "connection: close\r\n", false),
        (1, "connection: x, Close\r\nconnection: keep-alive\r\n", false),
        (0, "", false),
        (0, "connection: Keep-Alive\r\n", true),
        (0, "connection: keep-alive, close\r\n", false),
    ] {
        assert_eq!(wishes(minor, lines).keeps_alive, kept, "1.{minor} {lines:?}");
    }
    let all = "expect: 100-Continue\r\nte: gzip, trailers\r\nupgrade: websocket\r\n";
    assert_eq!(
        wishes(1, all),
        Wishes { keeps_alive: true, expects_continue: true, takes_trailers: true, upgrades: true }
    );
    assert_eq!(wishes(0, all), Wishes::default());
    assert!(!taken("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n").unwrap().unwrap().wishes.keeps_alive);
}

#[test]
fn a_head_has_bounds() {
    let lines = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(count));
    assert_eq!(code(&lines(MAX_LINES)), "taken");
    assert_eq!(code(&lines(MAX_LINES + 1)), "head-too-large");
    let text = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100));
    for (whole, most, expected) in
        [(true, 100, "head-too-large"), (true, text.len(), "taken"), (false, 100, "head-too-large")]
    {
        let part = if whole { text.as_bytes() } else { &text.as_bytes()[..text.len() - 2] };
        let code = match take(part, &mut 0, most) {
            Ok(_) => "taken",
            Err(refused) => refused.refusal.code,
        };
        assert_eq!(code, expected, "{most}");
    }
}

#[test]
fn what_will_never_be_a_head_is_refused_before_its_end() {
    for text in
        ["GET /\r\n", "\x16\x03\x01\x02\0\x01\0", "SSH-2.0-OpenSSH_9\r\n", "GET / HTTP/1.1\n", "\n", "\rG", "\0"]
    {
        assert!(taken(text).is_err(), "{text:?}");
    }
    for text in ["G", "GET / HT", "GET / HTTP/1.1\r", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nx", "\r"] {
        assert_eq!(code(text), "unfinished", "{text:?}");
    }
}

#[test]
fn what_was_understood_of_a_refused_head_is_known() {
    let refused = taken("PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n").unwrap_err();
    assert_eq!(refused.method, Some(Method::PUT));
    assert_eq!(refused.target.unwrap().path(), "/a");
    assert!(taken("\0\r\n\r\n").unwrap_err().method.is_none());
}
