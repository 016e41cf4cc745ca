//! Receivers of audit records and of traces change at a reload, and bad ones change nothing.

use integration::{Proxy, Setup, Upstream, status};
use serde_json::{Value, json};

use crate::Result;

/// A receiver of OTLP that takes all it gets.
async fn receiver() -> Result<Upstream> {
    Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
}

fn open() -> Value {
    json!({ "authenticate": "none", "allow": "true" })
}

/// Waits until something with this text in it has come.
async fn until_told(receiver: &Upstream, text: &str) -> Result {
    receiver.until(|seen| seen.iter().any(|seen| String::from_utf8_lossy(&seen.body).contains(text))).await
}

fn is_told(receiver: &Upstream, text: &str) -> bool {
    receiver.seen().iter().any(|seen| String::from_utf8_lossy(&seen.body).contains(text))
}

async fn get(proxy: &Proxy, path: &str) -> Result {
    assert_eq!(proxy.browser().get(&format!("https://one.localhost{path}")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn other_receivers_of_audit_records_are_in_force_at_a_reload() -> Result {
    let (upstream, first, second) = (Upstream::hello().await?, receiver().await?, receiver().await?);
    let sink = |metrics: &str| metrics.contains(r#"portcullis_audit_sink_records_total{sink="otlp",result="sent"}"#);
    let proxy = Setup::default()
        .route("one", &upstream.url(), &open())
        .section(&json!({ "audit": { "otlp": { "url": first.url() } } }))
        .start()
        .await?;
    get(&proxy, "/one").await?;
    until_told(&first, r#""path":"/one""#).await?;

    // What is refused for another reason changes no receiver either.
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    for bad in [
        json!({ "audit": { "otlp": { "url": second.url(), "timeout": "soon" } } }),
        json!({ "audit": { "otlp": { "url": second.url() } }, "listeners": [{ "address": taken.local_addr()? }] }),
    ] {
        let mut before = Value::Null;
        let answer = proxy.reload(|file| {
            before = file.clone();
            integration::merge(file, &bad);
        });
        let answer = answer.await?;
        assert_eq!(status(&answer), 422, "{answer}");
        assert_eq!(status(&proxy.reload(|file| *file = before).await?), 200);
    }
    assert!(second.seen().is_empty());

    let answer = proxy.reload(|file| file["audit"]["otlp"]["url"] = json!(second.url())).await?;
    assert_eq!(status(&answer), 200, "{answer}");
    get(&proxy, "/two").await?;
    until_told(&second, r#""path":"/two""#).await?;
    assert!(sink(&proxy.admin_get("localhost", "/metrics").await?));

    let answer = proxy.reload(|file| drop(file["audit"].as_object_mut().map(|audit| audit.remove("otlp")))).await?;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(!sink(&proxy.admin_get("localhost", "/metrics").await?));
    proxy.stop().await?;
    assert!(!is_told(&first, r#""path":"/two""#) && !is_told(&second, r#""path":"/one""#));
    Ok(())
}

#[tokio::test]
async fn requests_are_traced_as_a_reload_says() -> Result {
    let (upstream, first, second) = (Upstream::hello().await?, receiver().await?, receiver().await?);
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    get(&proxy, "/untraced").await?;

    proxy.reload(|file| file["telemetry"] = json!({ "traces": { "url": first.url() } })).await?;
    get(&proxy, "/first").await?;
    until_told(&first, "/first").await?;
    let answer = proxy.reload(|file| file["telemetry"]["traces"]["sample"] = json!(7)).await?;
    assert_eq!(status(&answer), 422, "{answer}");
    get(&proxy, "/again").await?;
    until_told(&first, "/again").await?;

    proxy.reload(|file| file["telemetry"] = json!({ "traces": { "url": second.url() } })).await?;
    get(&proxy, "/second").await?;
    until_told(&second, "/second").await?;
    proxy.reload(|file| file["telemetry"] = json!({})).await?;
    get(&proxy, "/last").await?;
    let metrics = proxy.admin_get("localhost", "/metrics").await?;
    assert!(metrics.contains(r#"portcullis_trace_spans_total{result="dropped"} 0"#), "{metrics}");
    let records = proxy.stop().await?;

    assert!(!["/untraced", "/second", "/last"].iter().any(|path| is_told(&first, path)));
    assert!(!["/first", "/last"].iter().any(|path| is_told(&second, path)));
    let is_traced = |path: &str| {
        let record = records.iter().find(|record| record["path"] == path);
        record.is_some_and(|record| record["trace_id"].is_string())
    };
    assert_eq!(["/untraced", "/first", "/again", "/second", "/last"].map(is_traced), [false, true, true, true, false]);
    Ok(())
}
