//! Messages that two programs could read in two ways.

use integration::{Setup, Upstream, raw, status};
use serde_json::json;

use crate::Result;

const HEAD: &str = "POST / HTTP/1.1\r\nhost: one.localhost\r\n";

#[tokio::test]
async fn what_could_hide_a_second_request_is_refused() -> Result {
    let upstream = Upstream::hello().await?;
    let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: one.localhost\r\n\r\n";
    for framing in [
        "content-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
        "content-length: 5\r\ncontent-length: 5\r\n\r\nabcde",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "content-length: 5\nx: 1\r\n\r\nabcde",
        "x: 1\n\n",
        "content-length: +5\r\n\r\nabcde",
        "content-length: 5, 6\r\n\r\nabcde",
        "content-length: 0x5\r\n\r\nabcde",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: identity\r\n\r\n",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "content-length: 5\r\n folded: yes\r\n\r\nabcde",
        "bad name: 1\r\ncontent-length: 0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    ] {
        let request = format!("{HEAD}{framing}{smuggled}");
        let answer = raw(&proxy, "one.localhost", request.as_bytes()).await?;
        assert!(matches!(status(&answer), 400 | 501 | 502 | 0), "{framing:?}: {answer}");
        assert!(!answer.contains("hello"), "{framing:?}: {answer}");
    }
    for seen in upstream.seen() {
        assert!(!seen.line.contains("smuggled"), "{seen:?}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn both_framings_at_once_are_never_both_passed_on() -> Result {
    let upstream = Upstream::hello().await?;
    let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let request =
        format!("{HEAD}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n");
    raw(&proxy, "one.localhost", request.as_bytes()).await?;
    for seen in upstream.seen() {
        assert!(!seen.line.contains("smuggled"), "{seen:?}");
        assert!(seen.all("content-length").is_empty() || seen.all("transfer-encoding").is_empty(), "{seen:?}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn headers_have_a_bound() -> Result {
    let upstream = Upstream::hello().await?;
    let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let long = format!("GET / HTTP/1.1\r\nhost: one.localhost\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let answer = raw(&proxy, "one.localhost", long.as_bytes()).await?;
    assert!(matches!(status(&answer), 431 | 0), "{answer}");
    let many: String = (0..2000).map(|index| format!("x-{index}: 1\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nhost: one.localhost\r\n{many}\r\n");
    let answer = raw(&proxy, "one.localhost", many.as_bytes()).await?;
    assert!(matches!(status(&answer), 431 | 400 | 0), "{answer}");
    assert!(upstream.seen().is_empty());
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn an_upgrade_that_is_no_websocket_is_not_forwarded() -> Result {
    let upstream = Upstream::hello().await?;
    let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let request = "GET / HTTP/1.1\r\nhost: one.localhost\r\nconnection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\n\
                   http2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = raw(&proxy, "one.localhost", request.as_bytes()).await?;
    assert_ne!(status(&answer), 101, "{answer}");
    for seen in upstream.seen() {
        assert!(seen.all("upgrade").is_empty() && seen.all("http2-settings").is_empty(), "{seen:?}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_header_that_is_no_text_is_decided_and_written_down_all_the_same() -> Result {
    let upstream = Upstream::hello().await?;
    let rules = json!({ "authenticate": "none", "allow": "request.headers['x-odd'] != 'plain'" });
    let proxy = Setup::default().route("one", &upstream.url(), &rules).start().await?;
    let mut request = b"GET /a HTTP/1.1\r\nhost: one.localhost\r\nconnection: close\r\nuser-agent: \xff\xfe{\"user\":\"root\"}\x1b[31m\r\nx-odd: ".to_vec();
    request.retain(|byte| *byte != 0x1b);
    request.extend_from_slice(b"\x80\xff\r\n\r\n");
    let answer = raw(&proxy, "one.localhost", &request).await?;
    assert_eq!(status(&answer), 200, "{answer}");
    let records = proxy.stop().await?;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["decision"], "allow");
    Ok(())
}
