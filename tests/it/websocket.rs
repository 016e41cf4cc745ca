//! WebSockets run through the same phases as everything else.

use integration::{Setup, Upstream, connect, raw, read_request, status};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Result;

fn upgrade(host: &str, more: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nhost: {host}.localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// RFC 6455 §1.3 names the accept value of this key.
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfrom-upstream";

#[tokio::test]
async fn identity_headers_from_downstream_are_removed_from_upgrades() -> Result {
    let upstream = Upstream::answering(ACCEPTED).await?;
    let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'", "websockets": "any" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let spoofed = "x-portcullis-jwt-assertion: forged\r\nx_portcullis_jwt_assertion: forged\r\nx-forwarded-for: 6.6.6.6\r\n\
                   x-auth-request-email: forged\r\ncookie: __Host-portcullis=abc; a=b\r\n";
    let answer = raw(&proxy, "one.localhost", upgrade("one", spoofed).as_bytes()).await?;
    assert_eq!(status(&answer), 101, "{answer}");
    assert!(answer.ends_with("from-upstream"), "{answer}");
    let seen = upstream.seen().pop().expect("asked");
    assert!(seen.headers.iter().all(|(_, value)| !value.contains("forged")), "{seen:?}");
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("cookie"), ["a=b"]);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_tunnel_is_opened_only_by_an_upstream_that_agrees() -> Result {
    for (lie, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 502),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", 403),
        ("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nx", 502),
        (
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nx",
            502,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: wrong\r\n\r\nx",
            502,
        ),
    ] {
        let upstream = Upstream::answering(lie).await?;
        let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'", "websockets": "any" });
        let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
        let answer = raw(&proxy, "one.localhost", upgrade("one", "").as_bytes()).await?;
        assert_eq!(status(&answer), expected, "{lie}: {answer}");
        proxy.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_did_not_answer_one_in_time_is_recorded() -> Result {
    let upstream = Upstream::with(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await?;
    let limited = json!({ "authenticate": "none", "allow": "true", "timeout": { "total": "100ms" } });
    let proxy = Setup::default().route("one", &upstream.url(), &limited).start().await?;
    let answer = raw(&proxy, "one.localhost", upgrade("one", "").as_bytes()).await?;
    assert_eq!(status(&answer), 504, "{answer}");
    let records = proxy.stop().await?;
    let recorded = json!({
        "endpoint": upstream.url(), "protocol": "http/1.1", "protocol_reason": "configured", "attempts": 1,
    });
    assert_eq!(records[0]["upstream"], recorded, "{records:#?}");
    Ok(())
}

#[tokio::test]
async fn pages_of_other_sites_open_none() -> Result {
    let upstream = Upstream::answering(ACCEPTED).await?;
    let route = |websockets: serde_json::Value| {
        let mut route = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'" });
        if !websockets.is_null() {
            route["websockets"] = websockets;
        }
        route
    };
    let proxy = Setup::default()
        .route("same", &upstream.url(), &route(json!(null)))
        .route("listed", &upstream.url(), &route(json!(["https://friend.example"])))
        .route("off", &upstream.url(), &route(json!("off")))
        .start()
        .await?;
    for (host, origin, expected) in [
        ("same", Some("https://same.localhost"), 101),
        ("same", Some("https://evil.example"), 403),
        ("same", Some("null"), 403),
        ("same", Some("http://same.localhost"), 403),
        ("same", None, 101),
        ("listed", Some("https://friend.example"), 101),
        ("listed", Some("https://listed.localhost"), 403),
        ("off", Some("https://off.localhost"), 403),
        ("off", None, 403),
    ] {
        let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
        let answer = raw(&proxy, &format!("{host}.localhost"), upgrade(host, &origin).as_bytes()).await?;
        assert_eq!(status(&answer), expected, "{host} {origin}: {answer}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn those_that_are_open_are_counted_until_they_end() -> Result {
    let upstream = Upstream::with(|mut stream| async move {
        let _ = read_request(&mut stream, &mut Vec::new()).await;
        let _ = stream.write_all(ACCEPTED.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let upstream = upstream.await?;
    let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'", "websockets": "any" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let mut stream = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    stream.write_all(upgrade("one", "").as_bytes()).await?;
    proxy.counts("portcullis_tunnels_open{route=\"one\",carries=\"websocket\"} 1").await?;
    drop(stream);
    proxy.counts("portcullis_tunnels_open{route=\"one\",carries=\"websocket\"} 0").await?;
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_is_sent_before_the_tunnel_is_open_is_a_request_when_it_is_refused() -> Result {
    let upstream = Upstream::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await?;
    let open = json!({ "authenticate": "none", "allow": "request.path != '/secret'", "websockets": "any" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    for (early, expected) in
        [("GET /secret HTTP/1.1\r\nhost: one.localhost\r\n\r\n", "403"), ("GET /a#b HTTP/1.1\r\n\r\n", "400")]
    {
        let request = format!("{}{early}", upgrade("one", ""));
        let answer = raw(&proxy, "one.localhost", request.as_bytes()).await?;
        let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
        assert_eq!(statuses, ["403", expected], "{answer}");
    }
    let paths: Vec<_> = upstream.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(paths, ["GET /ws HTTP/1.1", "GET /ws HTTP/1.1"]);
    proxy.stop().await?;
    Ok(())
}
