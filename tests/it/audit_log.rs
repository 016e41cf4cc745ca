//! Every request leaves one record, whatever became of it.

use bytes::Bytes;
use http::Method;
use integration::{Answer, Setup, Upstream, connect, raw, read_request};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Result;

#[tokio::test]
async fn each_answer_has_one_record_with_its_reason() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default()
        .route(
            "member",
            &upstream.url(),
            &json!({ "allow": [{ "name": "engineers", "when": "'engineering' in user.groups" }] }),
        )
        .route(
            "broken",
            &upstream.url(),
            &json!({ "allow": "true || user.authenticated", "deny": "user.claims.none == 'x'" }),
        )
        .route("away", "http://127.0.0.1:1", &json!({ "authenticate": "none", "allow": "request.method == 'GET'" }))
        .start()
        .await?;
    let mut ada = proxy.signed_in("ada", "member").await?;
    ada.get("https://member.localhost/a?secret=1&other=2").await?;
    let challenged = proxy.browser().get("https://member.localhost/").await?;
    let broken = ada.open("https://broken.localhost/", "ada").await?;
    let away = ada.get("https://away.localhost/").await?;
    raw(&proxy, "member.localhost", b"GET /%00 HTTP/1.1\r\nhost: member.localhost\r\nconnection: close\r\n\r\n")
        .await?;
    let browser = &mut proxy.browser();
    browser.send(Method::GET, "https://member.localhost/", &[("user-agent", "x\u{2028}y")], Bytes::new()).await?;
    let records = proxy.stop().await?;
    let only = |key: &str, value: &str| {
        let found: Vec<_> = records.iter().filter(|record| record[key] == value).collect();
        assert_eq!(found.len(), 1, "{key} {value}: {records:#?}");
        found[0].clone()
    };
    let of = |answer: &Answer| only("id", answer.header("x-request-id"));

    let allowed = only("path", "/a");
    assert_eq!(allowed["decision"], "allow");
    assert_eq!(allowed["rule"], "member/engineers");
    assert_eq!(allowed["user"]["email"], "ada@example.com");
    assert_eq!(allowed["query_keys"], json!(["secret", "other"]));
    assert_eq!(allowed["path"], "/a");
    assert_eq!((&allowed["status"], &allowed["bytes_out"]), (&json!(200), &json!(5)));
    assert_eq!(allowed["upstream"]["endpoint"], upstream.url());
    assert_eq!(allowed["tls"]["sni"], "member.localhost");
    assert!(allowed["ms"]["total"].as_f64().is_some_and(|ms| ms > 0.0));

    assert_eq!(of(&challenged)["decision"], "challenge");
    let broken = of(&broken);
    assert_eq!((&broken["decision"], &broken["reason"]), (&json!("deny"), &json!("deny-rule-failed")));
    assert!(broken["error"].is_string());
    let away = of(&away);
    assert_eq!((&away["decision"], &away["status"]), (&json!("allow"), &json!(502)));
    let invalid = only("reason", "control-character");
    assert_eq!((&invalid["status"], &invalid["client_ip"]), (&json!(400), &json!("127.0.0.1")));
    assert!(records.iter().any(|record| record["kind"] == "sign_in"));

    let written = serde_json::to_string(&records)?;
    for secret in ["secret=1", "__Host-portcullis", "eyJ", "a-secret-of-the-tests-only"] {
        assert!(!written.contains(secret), "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn records_have_the_fields_that_are_asked_for_and_lack_those_that_are_not_wanted() -> Result {
    let upstream = Upstream::hello().await?;
    let audit = json!({
        "fields": { "engineer": "'engineering' in user.groups", "missing": "user.claims.nothing" },
        "redact": { "user.email": "remove", "user.id": "hash", "client_ip": "truncate" },
    });
    let proxy = Setup::default()
        .section(&json!({ "audit": audit }))
        .route("member", &upstream.url(), &json!({ "allow": "user.authenticated" }))
        .start()
        .await?;
    let mut ada = proxy.signed_in("ada", "member").await?;
    ada.get("https://member.localhost/a").await?;
    let records = proxy.stop().await?;
    let record = records.iter().find(|record| record["path"] == "/a").ok_or("no record")?;
    assert_eq!(record["fields"], json!({ "engineer": true, "missing": null }));
    assert_eq!((&record["client_ip"], &record["user"]["email"]), (&json!("127.0.0.0"), &json!("[removed]")));
    assert!(!serde_json::to_string(&records)?.contains("ada@example.com"));
    Ok(())
}

#[tokio::test]
async fn who_leaves_early_is_written_down_too() -> Result {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").await?;
    let open = json!({ "authenticate": "none", "allow": "request.method == 'GET'" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let answer = raw(&proxy, "one.localhost", b"GET / HTTP/1.1\r\nhost: one.localhost\r\n\r\n").await?;
    assert!(answer.ends_with("hello"));
    let records = proxy.stop().await?;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["bytes_out"], 5);
    Ok(())
}

#[tokio::test]
async fn who_leaves_before_the_answer_is_said_to_have_left() -> Result {
    let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::with(move |mut stream| {
        let asked = asked.clone();
        async move {
            let _ = read_request(&mut stream, &mut Vec::new()).await;
            let _ = asked.send(());
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let upstream = upstream.await?;
    let open = json!({ "authenticate": "none", "allow": "request.method == 'GET'" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let mut client = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    client.write_all(b"GET / HTTP/1.1\r\nhost: one.localhost\r\n\r\n").await?;
    was_asked.recv().await;
    drop(client);
    let records = proxy.stop().await?;
    assert_eq!(records.len(), 1, "{records:#?}");
    let told = (&records[0]["status"], &records[0]["error"]);
    assert_eq!(told, (&json!(0), &json!("the client left before it was answered")));
    Ok(())
}

#[tokio::test]
async fn what_was_spoken_with_an_upstream_that_fails_is_written_down() -> Result {
    let broken = Upstream::with(|mut stream| async move {
        let _ = read_request(&mut stream, &mut Vec::new()).await;
    });
    let (broken, gone) = (broken.await?, Upstream::hello().await?.address());
    let open = json!({ "authenticate": "none", "allow": "true" });
    let proxy = Setup::default()
        .route("broken", &broken.url(), &open)
        .route("gone", &format!("http://{gone}"), &open)
        .start()
        .await?;
    for host in ["broken", "gone"] {
        let answer =
            proxy.browser().send(Method::POST, &format!("https://{host}.localhost/"), &[], Bytes::new()).await?;
        assert_eq!(answer.status, 502, "{host}");
    }
    let records = proxy.stop().await?;
    let spoken: Vec<_> = records
        .iter()
        .filter(|record| record["kind"] == "request")
        .map(|record| (&record["upstream"]["protocol"], &record["upstream"]["protocol_reason"]))
        .collect();
    let nothing = &serde_json::Value::Null;
    assert_eq!(spoken, [(&json!("http/1.1"), &json!("configured")), (nothing, nothing)]);
    Ok(())
}
