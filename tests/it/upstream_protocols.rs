//! Unix sockets, and protocols that are found out.

use demo::grpc::Grpc;
use integration::{Proxy, Setup, Upstream, raw, read_request, status};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;

use crate::Result;

#[tokio::test]
async fn a_unix_socket_is_an_upstream_like_any_other() -> Result {
    let folder = tempfile::tempdir()?;
    let (path, missing) = (folder.path().join("app.sock"), folder.path().join("missing.sock"));
    let listener = UnixListener::bind(&path)?;
    let app = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let seen = read_request(&mut stream, &mut Vec::new()).await.expect("a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await?;
        std::io::Result::Ok(seen)
    });
    let open = json!({ "authenticate": "none", "allow": "true" });
    let (url, nowhere) = (format!("unix://{}", path.display()), format!("unix://{}", missing.display()));
    let proxy = Setup::default().route("app", &url, &open).route("missing", &nowhere, &open).start().await?;
    let answer = proxy.browser().get("https://app.localhost/a?b").await?;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello".to_owned()));
    let seen = app.await??;
    assert_eq!((seen.line.as_str(), seen.all("host")), ("GET /a?b HTTP/1.1", vec!["localhost"]));
    assert_eq!(seen.all("x-forwarded-host"), ["app.localhost"]);

    let answer = raw(&proxy, "missing.localhost", b"GET / HTTP/1.1\r\nhost: missing.localhost\r\n\r\n").await?;
    assert_eq!(status(&answer), 502);
    assert!(answer.contains("upstream_connect_error") && !answer.contains("missing.sock"), "{answer}");

    let records = proxy.stop().await?;
    let of = |route: &str| records.iter().find(|record| record["route"] == route && record["status"].is_u64());
    let upstream = &of("app").expect("recorded")["upstream"];
    assert_eq!(
        *upstream,
        json!({ "endpoint": url, "protocol": "http/1.1", "protocol_reason": "configured", "attempts": 1 })
    );
    let error = of("missing").expect("recorded")["error"].as_str().unwrap_or_default();
    assert!(error.contains(&format!("cannot connect to `{nowhere}`: No such file or directory")), "{error}");
    Ok(())
}

/// Returns the protocol of the first endpoint of each route, as operators are shown it.
async fn shown(proxy: &Proxy) -> Result<Value> {
    let answer = proxy.admin_get("localhost", "/upstreams").await?;
    let upstreams: Value = serde_json::from_str(answer.split_once("\r\n\r\n").ok_or("no body")?.1)?;
    let routes = upstreams["upstreams"].as_array().ok_or("no upstreams")?;
    Ok(routes.iter().map(|route| route["endpoints"][0]["protocol"].clone()).collect())
}

#[tokio::test]
async fn the_record_says_which_protocol_was_found_and_operators_are_shown() -> Result {
    let (plain, service) = (Upstream::hello().await?, Grpc::start().await?);
    let auto = json!({ "authenticate": "none", "allow": "true", "upstream_protocol": "auto" });
    let proxy = Setup::default()
        .route("plain", &plain.url(), &auto)
        .route("service", &format!("http://{}", service.address()), &auto)
        .start()
        .await?;
    let before = shown(&proxy).await?;
    for host in ["plain", "service"] {
        proxy.browser().get(&format!("https://{host}.localhost/")).await?;
    }
    assert_eq!((before, shown(&proxy).await?), (json!([null, null]), json!(["http/1.1", "h2c"])));
    let records = proxy.stop().await?;
    for (route, protocol, reason) in [("plain", "http/1.1", "fallback"), ("service", "h2c", "probed")] {
        let told = |record: &&serde_json::Value| record["route"] == route && record["upstream"].is_object();
        let upstream = &records.iter().find(told).expect("recorded")["upstream"];
        assert_eq!((&upstream["protocol"], &upstream["protocol_reason"]), (&json!(protocol), &json!(reason)));
    }
    Ok(())
}
