//! Heads as they come, and where they are faulty.

use super::{Scanned, Scanner};

/// Scans `text` whole and in every pair of parts; returns what the fault was found at, with the heads that ended.
#[track_caller]
fn scan(text: &str) -> (Scanned, u32) {
    let bytes = text.as_bytes();
    let mut scanner = Scanner::default();
    let whole = scanner.scan(bytes);
    for at in 0..=bytes.len() {
        let mut parted = Scanner::default();
        let (left, right) = bytes.split_at(at);
        let found = match parted.scan(left) {
            Scanned::Whole => behind(at, parted.scan(right)),
            found @ (Scanned::Fault(_) | Scanned::UpgradeAsked(_)) => found,
        };
        assert_eq!((found, parted.heads()), (whole, scanner.heads()), "{text:?} parted at {at}");
    }
    (whole, scanner.heads())
}

const fn behind(at: usize, found: Scanned) -> Scanned {
    match found {
        Scanned::Whole => Scanned::Whole,
        Scanned::Fault(fault) => Scanned::Fault(at + fault),
        Scanned::UpgradeAsked(end) => Scanned::UpgradeAsked(at + end),
    }
}

#[track_caller]
fn passes(text: &str, heads: u32) {
    assert_eq!(scan(text), (Scanned::Whole, heads), "{text:?}");
}

/// `!` stands before the byte that is faulty.
#[track_caller]
fn faulty(text: &str) {
    let at = text.find('!').unwrap();
    let text = text.replacen('!', "", 1);
    assert_eq!(scan(&text).0, Scanned::Fault(at), "{text:?}");
}

#[test]
fn requests_follow_each_other_where_their_bodies_end() {
    passes("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 1);
    passes("GET / HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n", 2);
    passes("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n#\n\n#GET / HTTP/1.1\r\n\r\n", 2);
    passes("POST / HTTP/1.1\r\ncontent-length:\t 0 \r\n\r\nGET / HTTP/1.1\r\n\r\n", 2);
    passes("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n#\n#\n#\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2);
    passes(
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n00a ;x=\"#\"\r\n0123456789\r\n0\r\nt: #\r\nu: 1\r\n\r\n\
         GET / HTTP/1.1\r\n\r\n",
        2,
    );
    passes("\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2);
}

#[test]
fn names_that_begin_like_those_that_matter_do_not_matter() {
    passes(
        "GET / HTTP/1.1\r\ncookie: #\r\nc: 1\r\nconnection: close\r\ncontent-length-x: 5\r\nx-content-length: 5\r\n\r\n",
        1,
    );
    passes("GET / HTTP/1.1\r\nte: trailers\r\ntransfer-encodings: chunked\r\nupgrade-insecure-requests: 1\r\n\r\n", 1);
    passes("M#ETHOD /?x HTTP/1.1\r\nreferer: https://a/#b\r\nempty:\r\n\r\n", 1);
}

#[test]
fn a_fragment_is_a_fault() {
    faulty("GET /secret!#/public HTTP/1.1\r\n\r\n");
    faulty("GET !# HTTP/1.1\r\n\r\n");
    faulty("GET http://a/?x!# HTTP/1.1\r\n\r\n");
    faulty("GET / HTTP/1.1\r\n\r\nGET /a!#b HTTP/1.1\r\n\r\n");
    faulty("POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n#GET /a!#b HTTP/1.1\r\n\r\n");
    faulty("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /a!#b HTTP/1.1\r\n\r\n");
}

#[test]
fn two_framings_are_a_fault() {
    for first in ["content-length: 5", "transfer-encoding: chunked", "Content-Length: 0", "Transfer-Encoding: x"] {
        for second in ["content-length!: 5", "transfer-encoding!: chunked", "CONTENT-LENGTH!: 5", "Transfer-Encoding!:"]
        {
            faulty(&format!("POST / HTTP/1.1\r\n{first}\r\nx: 1\r\n{second}\r\n\r\n"));
        }
    }
}

#[test]
fn a_line_end_without_carriage_return_is_a_fault() {
    faulty("GET / HTTP/1.1!\n\r\n");
    faulty("GET / HTTP/1.1\r\nhost: a!\n\r\n");
    faulty("GET / HTTP/1.1\r\ncontent-length: 1!\n\r\n");
    faulty("GET / HTTP/1.1\r\nhost: a\r\n!\n");
    faulty("GET / HTTP/1.1\r\nconte!\n");
    faulty("!\nGET / HTTP/1.1\r\n\r\n");
    faulty("\r\n!\nGET / HTTP/1.1\r\n\r\n");
    faulty("POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n\r!\nGET / HTTP/1.1\r\n\r\n");
}

#[test]
fn what_follows_a_wish_for_an_upgrade_is_left_alone() {
    let asks = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    let found = scan(&format!("GET / HTTP/1.1\r\n\r\n{asks}#\n"));
    assert_eq!(found, (Scanned::UpgradeAsked(18 + asks.len()), 2));
    let with_body = "POST / HTTP/1.1\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\n#\n";
    assert_eq!(scan(with_body), (Scanned::UpgradeAsked(with_body.len()), 1));
}

#[test]
fn after_what_hyper_refuses_nothing_is_a_head() {
    let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    let bodies = ["\n", "g\r\n", "5\n", "-1\r\n", "1\r\nab", "10000000000000000\r\n", "0\r\n\rx"];
    let bodies = bodies.map(|body| format!("{chunked}{body}"));
    for lost in bodies.iter().map(String::as_str).chain(["\rGET", "GET / HTTP/1.1\r\n\rx"]) {
        assert_eq!(scan(&format!("{lost}\r\n\r\nGET /a#b HTTP/1.1\n\n")).0, Scanned::Whole, "{lost:?}");
    }
}
