//! What routes change on the way, and what they answer without an upstream.

use http::Request;
use integration::{Setup, Upstream, http2, raw, status};
use serde_json::json;

use crate::Result;

#[tokio::test]
async fn path_and_headers_are_changed_and_the_record_has_what_was_asked_for() -> Result {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: secret\r\nx-a: 1\r\n\r\nok").await?;
    let more = json!({
        "prefix": "/app", "prefix_rewrite": "/v2", "authenticate": "none", "allow": "request.path == '/app/x'",
        "request_headers": { "set": { "x-tenant": "blue" }, "add": { "x-way": "in" }, "remove": ["x-debug"] },
        "response_headers": { "remove": ["server"], "set": { "x-frame-options": "DENY" }, "add": { "x-a": "2" } },
    });
    let proxy = Setup::default().route("app", &upstream.url(), &more).start().await?;
    let headers = [("x-tenant", "red"), ("x-way", "own"), ("x-debug", "1")];
    let get = http::Method::GET;
    let answer = proxy.browser().send(get, "https://app.localhost/app/x?q=1", &headers, bytes::Bytes::new()).await?;
    assert_eq!((answer.header("server"), answer.header("x-frame-options")), ("", "DENY"));
    assert_eq!(answer.headers.get_all("x-a").iter().count(), 2);
    let seen = upstream.seen().remove(0);
    assert_eq!(seen.line, "GET /v2/x?q=1 HTTP/1.1");
    assert_eq!(
        (seen.all("x-tenant"), seen.all("x-way"), seen.all("x-debug")),
        (vec!["blue"], vec!["own", "in"], vec![])
    );
    let records = proxy.stop().await?;
    assert_eq!(records[0]["path"], "/app/x");
    Ok(())
}

#[tokio::test]
async fn the_way_of_a_request_is_told_unless_the_route_takes_it_out_and_never_runs_in_circles() -> Result {
    let upstream = Upstream::hello().await?;
    let open = json!({ "authenticate": "none", "allow": "true" });
    let silent = json!({ "authenticate": "none", "allow": "true", "request_headers": { "remove": ["Via"] } });
    let setup = Setup::default().route("open", &upstream.url(), &open).route("silent", &upstream.url(), &silent);
    let proxy = setup.start().await?;
    let get =
        |host: &str, via: &str| format!("GET / HTTP/1.1\r\nhost: {host}.localhost\r\n{via}connection: close\r\n\r\n");
    for (host, via, expected) in [
        ("open", "", &["1.1 portcullis"][..]),
        ("open", "via: 1.0 fred, 1.1 p.example\r\n", &["1.0 fred, 1.1 p.example", "1.1 portcullis"]),
        ("silent", "via: 1.0 fred\r\n", &[]),
    ] {
        let answer = raw(&proxy, &format!("{host}.localhost"), get(host, via).as_bytes()).await?;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(!answer.contains("via:"), "{answer}");
        assert_eq!(upstream.seen().pop().expect("asked").all("via"), expected, "{host} {via}");
    }
    let mut client = http2(&proxy, "open.localhost").await?;
    client.send_request(Request::get("https://open.localhost/").body(())?, true)?.0.await?;
    assert_eq!(upstream.seen().pop().expect("asked").all("via"), ["2.0 portcullis"]);
    let before = upstream.seen().len();
    let circles = get("open", &"via: 1.1 portcullis\r\n".repeat(8));
    let answer = raw(&proxy, "open.localhost", circles.as_bytes()).await?;
    assert!(status(&answer) == 508 && answer.contains("request-loop"), "{answer}");
    assert_eq!(upstream.seen().len(), before);
    Ok(())
}

#[tokio::test]
async fn redirects_and_texts_stand_behind_the_policy() -> Result {
    let route = |host: &str, more: serde_json::Value| {
        let mut route = json!({ "from": format!("https://{host}.localhost"), "authenticate": "none", "allow": "request.path != '/no'" });
        route.as_object_mut().into_iter().for_each(|route| route.extend(more.as_object().cloned().unwrap_or_default()));
        route
    };
    let mut setup = Setup::default();
    for host in ["old", "gone"] {
        // For the certificate.
        setup = setup.route(host, "http://127.0.0.1:1", &json!({}));
    }
    let proxy = setup
        .section(&json!({ "routes": [
            route("old", json!({ "redirect": { "url": "https://new.example.com/base/", "status": 308, "append_path": true } })),
            route("gone", json!({ "respond": { "status": 410, "body": "closed" } })),
        ] }))
        .start()
        .await?;
    let mut browser = proxy.browser();
    let moved = browser.get("https://old.localhost/a%20b?c=d").await?;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "https://new.example.com/base/a%20b?c=d"));
    let gone = browser.get("https://gone.localhost/x").await?;
    assert_eq!((gone.status.as_u16(), gone.text().as_str()), (410, "closed"));
    for url in ["https://old.localhost/no", "https://gone.localhost/no"] {
        assert_eq!(browser.get(url).await?.status, 403, "{url}");
    }
    let records = proxy.stop().await?;
    let decided: Vec<_> =
        records.iter().map(|record| (record["status"].as_u64(), record["decision"].as_str())).collect();
    assert_eq!(
        decided,
        [(Some(308), Some("allow")), (Some(410), Some("allow")), (Some(403), Some("deny")), (Some(403), Some("deny"))]
    );
    Ok(())
}
