//! Heads and bodies that are none: what two programs could read in two ways above all.

use serde_json::json;

use super::*;

/// What comes after the request line and `Host`, with status and reason.
const REFUSED: &[(&str, u16, &str)] = &[
    // Two framings.
    ("content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG", 400, "framing-ambiguous"),
    ("transfer-encoding: chunked\r\ncontent-length: 6\r\n\r\n0\r\n\r\nG", 400, "framing-ambiguous"),
    ("content-length: 1\r\ncontent-length: 1\r\n\r\na", 400, "content-length-repeated"),
    ("content-length: 1\r\ncontent-length: 2\r\n\r\na", 400, "content-length-repeated"),
    ("content-length: 1, 1\r\n\r\na", 400, "content-length-invalid"),
    ("content-length: +1\r\n\r\na", 400, "content-length-invalid"),
    ("content-length: -1\r\n\r\na", 400, "content-length-invalid"),
    ("content-length: 0x1\r\n\r\na", 400, "content-length-invalid"),
    ("content-length: 1 1\r\n\r\na", 400, "content-length-invalid"),
    ("content-length: \r\n\r\na", 400, "content-length-invalid"),
    ("content-length: 99999999999999999999\r\n\r\na", 400, "content-length-invalid"),
    ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400, "transfer-coding-repeated"),
    ("transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n\r\n0\r\n\r\n", 400, "transfer-coding-repeated"),
    ("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501, "transfer-coding-unknown"),
    ("transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "transfer-coding-unknown"),
    ("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 501, "transfer-coding-unknown"),
    ("transfer-encoding: identity\r\n\r\n", 501, "transfer-coding-unknown"),
    ("transfer-encoding:\r\n\r\n", 501, "transfer-coding-unknown"),
    // Spaces and line ends where programs differ.
    ("transfer-encoding : chunked\r\n\r\n0\r\n\r\n", 400, "header-invalid"),
    ("transfer-encoding\t: chunked\r\n\r\n0\r\n\r\n", 400, "header-invalid"),
    ("transfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n", 400, "header-invalid"),
    ("x: 1\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400, "header-folded"),
    ("x: 1\r\n\tfolded\r\n\r\n", 400, "header-folded"),
    ("x: 1\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400, "line-end-invalid"),
    ("x: 1\n\n", 400, "line-end-invalid"),
    ("x: 1\r\n\n", 400, "line-end-invalid"),
    ("x: 1\rtransfer-encoding: chunked\r\n\r\n", 400, "header-invalid"),
    ("x: 1\r\r\n\r\n", 400, "header-invalid"),
    ("x: \0\r\n\r\n", 400, "header-invalid"),
    ("x\0: 1\r\n\r\n", 400, "header-invalid"),
    ("x: \u{1b}[31m\r\n\r\n", 400, "header-invalid"),
    ("bad name: 1\r\n\r\n", 400, "header-invalid"),
    ("no colon\r\n\r\n", 400, "header-invalid"),
    (": no name\r\n\r\n", 400, "header-invalid"),
];

/// Whole heads, with status, reason, and what of method and path is known.
const REFUSED_WHOLE: &[(&str, u16, &str, &str, &str)] = &[
    ("GET /\r\n", 400, "request-line-invalid", "-", ""),
    ("GET / HTTP/1.1\n", 400, "line-end-invalid", "-", ""),
    ("\nGET / HTTP/1.1\r\nhost: a.test\r\n\r\n", 400, "line-end-invalid", "-", ""),
    ("\r\r\nGET / HTTP/1.1\r\nhost: a.test\r\n\r\n", 400, "request-line-invalid", "-", ""),
    (" GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", 400, "request-line-invalid", "-", ""),
    ("\u{16}\u{3}\u{1}\0", 400, "request-line-invalid", "-", ""),
    ("GET / HTTP/0.9\r\nhost: a.test\r\n\r\n", 505, "version-unknown", "GET", ""),
    ("GET / HTTP/1.2\r\nhost: a.test\r\n\r\n", 505, "version-unknown", "GET", ""),
    ("GET / HTTP/2.0\r\nhost: a.test\r\n\r\n", 505, "version-unknown", "GET", ""),
    ("GET /a#b HTTP/1.1\r\nhost: a.test\r\n\r\n", 400, "target-invalid", "GET", ""),
    ("GET /a b HTTP/1.1\r\nhost: a.test\r\n\r\n", 400, "target-invalid", "GET", ""),
    (
        "POST / HTTP/1.0\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n",
        400,
        "transfer-coding-in-http10",
        "POST",
        "/",
    ),
];

/// What is a request and is refused as one.
const REFUSED_REQUESTS: &[(&str, u16, &str)] = &[
    ("GET http://169.254.169.254/ HTTP/1.1\r\nhost: a.test\r\n\r\n", 400, "host-mismatch"),
    ("GET ftp://a.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n", 400, "scheme-invalid"),
    ("GET a.test HTTP/1.1\r\nhost: a.test\r\n\r\n", 400, "path-invalid"),
    ("GET * HTTP/1.1\r\nhost: a.test\r\n\r\n", 400, "path-invalid"),
    ("GET / HTTP/1.1\r\n\r\n", 400, "host-missing"),
    ("GET / HTTP/1.1\r\nhost: a.test\r\nhost: a.test\r\n\r\n", 400, "host-repeated"),
    ("CONNECT a.test:22 HTTP/1.1\r\nhost: a.test:22\r\n\r\n", 405, "method-not-allowed"),
    ("TRACE / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n", 405, "method-not-allowed"),
];

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn what_two_programs_could_read_in_two_ways_is_refused_and_recorded() {
    let (address, mut told) = upstream(&[("/first", OK), ("/smuggled", OK)]).await;
    let proxy = proxy(address);
    let mut expected = Vec::new();
    for (lines, status, reason) in REFUSED {
        for first in ["", "GET /first HTTP/1.1\r\nhost: a.test\r\n\r\n"] {
            let text = format!("{first}POST /a HTTP/1.1\r\nhost: a.test\r\n{lines}{SMUGGLED}");
            for cut in [text.len(), first.len() + 3, text.len() - SMUGGLED.len() - 1] {
                let mut stream = connect(&proxy).await;
                stream.write_all(&text.as_bytes()[..cut]).await.unwrap();
                tokio::task::yield_now().await;
                // It may be refused by now.
                let _ = stream.write_all(&text.as_bytes()[cut..]).await;
                let answers = read_all(&mut stream).await;
                let refused = status.to_string();
                let all = if first.is_empty() { vec![&*refused] } else { vec!["200", &*refused] };
                assert_eq!(statuses(&answers), all, "{text:?}: {answers}");
                assert!(answers.contains(&format!("\"error\":\"{reason}\"")), "{text:?}: {answers}");
                assert!(answers.contains("connection: close\r\n"), "{answers}");
                expected.push(json!(reason));
            }
        }
    }
    while let Ok(Seen::Head(head)) = told.try_recv() {
        assert!(head.starts_with("GET /first "), "{head}");
    }
    let records = proxy.stop().await;
    let refused: Vec<_> = records.iter().filter(|record| record["decision"] == "deny").collect();
    assert_eq!(refused.iter().map(|record| record["reason"].clone()).collect::<Vec<_>>(), expected);
    for record in refused {
        assert_eq!(
            (&record["kind"], &record["method"], &record["client_ip"], &record["peer_ip"]),
            (&json!("request"), &json!("POST"), &json!("127.0.0.1"), &json!("127.0.0.1"))
        );
    }
}

#[tokio::test]
async fn what_is_no_request_of_http1_is_refused_and_recorded() {
    let (address, mut told) = upstream(&[]).await;
    let proxy = proxy(address);
    for (text, status, reason, ..) in REFUSED_WHOLE {
        let answer = proxy.send(text).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (*status, Some(*reason)), "{text:?}");
    }
    for (text, status, _) in REFUSED_REQUESTS {
        // Those that keep the connection end with a request that does not.
        let mut stream = connect(&proxy).await;
        stream.write_all(format!("{text}\0").as_bytes()).await.unwrap();
        let answers = read_all(&mut stream).await;
        assert_eq!(statuses(&answers)[0], status.to_string(), "{text:?}: {answers}");
    }
    assert!(told.try_recv().is_err());
    let records = proxy.stop().await;
    for (record, (_, status, reason, method, path)) in records.iter().zip(REFUSED_WHOLE) {
        assert_eq!(
            (&record["status"], &record["reason"], &record["method"], &record["path"]),
            (&json!(status), &json!(reason), &json!(method), &json!(path))
        );
    }
    let others: Vec<_> =
        records[REFUSED_WHOLE.len()..].iter().map(|record| record["reason"].as_str().unwrap()).collect();
    for (_, _, reason) in REFUSED_REQUESTS {
        assert!(others.contains(reason), "{reason}: {others:?}");
    }
}

#[tokio::test]
async fn a_chunked_body_that_is_none_is_refused_and_ends_the_connection() {
    let (address, mut told) = upstream(&[("/smuggled", OK)]).await;
    let proxy = proxy(address);
    for body in [
        "zz\r\n\r\n",
        "-1\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "1\na\n0\n\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1;x\n=\r\na\r\n0\r\n\r\n",
        "1;x\rx\r\na\r\n0\r\n\r\n",
        "1;\0\r\na\r\n0\r\n\r\n",
        "10000000000000000\r\na\r\n0\r\n\r\n",
        "0\r\nx : 1\r\n\r\n",
        "0\r\nx: 1\n\r\n",
        "0\r\nx: 1\r\n folded\r\n\r\n",
        "0\r\n\n",
    ] {
        let text = format!("POST /a HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n{body}{SMUGGLED}");
        let mut stream = connect(&proxy).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        let answers = read_all(&mut stream).await;
        assert_eq!(statuses(&answers), ["400"], "{body:?}: {answers}");
    }
    while let Ok(seen) = told.try_recv() {
        assert!(!matches!(&seen, Seen::Head(head) if head.contains("smuggled")), "{seen:?}");
    }
    assert!(proxy.stop().await.iter().all(|record| record["path"] != "/smuggled"));
}

#[tokio::test]
async fn extensions_of_chunks_are_not_passed_on_and_have_a_bound() {
    let proxy = proxy(crate::test_support::echo().await);
    let head = "POST /a HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = proxy.send(&format!("{head}2;a=b\r\nhe\r\n3 ; c=\"d\"\r\nllo\r\n0;e\r\n\r\n")).await;
    assert_eq!(answer.json()["body"], "hello");
    let greedy = format!("1;{}\r\na\r\n", "x".repeat(4000)).repeat(60);
    assert_eq!(proxy.send(&format!("{head}{greedy}0\r\n\r\n")).await.status, 400);
    let small = "1\r\na\r\n".repeat(100_000);
    assert_eq!(proxy.send(&format!("{head}{small}0\r\n\r\n")).await.status, 200);
}
