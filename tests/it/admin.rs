//! The listener for operators: what it shows, what it changes, and for whom.

use std::time::Duration;

use integration::{Proxy, Result as Outcome, Setup, Upstream, status};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;

async fn start() -> Outcome<(Upstream, Proxy)> {
    let upstream = Upstream::hello().await?;
    let allow =
        json!({ "allow": "user.authenticated", "request_headers": { "set": { "x-app-password": "hush-hush" } } });
    let proxy = Setup::default().route("one", &upstream.url(), &allow).start().await?;
    Ok((upstream, proxy))
}

fn body(answer: &str) -> Outcome<Value> {
    assert_eq!(status(answer), 200, "{answer}");
    Ok(serde_json::from_str(answer.split_once("\r\n\r\n").ok_or("no body")?.1)?)
}

async fn send(proxy: &Proxy, head: &str, content: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect(proxy.admin()).await?;
    let length = content.len();
    let request = format!("{head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{content}");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn what_is_in_force_is_shown_without_a_secret() -> Result {
    let (_upstream, proxy) = start().await?;
    let config = proxy.admin_get("localhost", "/config").await?;
    for secret in ["a-secret-of-the-tests-only", "hush-hush"] {
        assert!(!config.contains(secret), "{config}");
    }
    let config = body(&config)?;
    assert_eq!(config["revision"], json!(proxy.revision().await?));
    assert_eq!(config["config"]["authenticate"]["providers"][0]["client_secret"], "[redacted]");
    assert_eq!(config["config"]["authenticate"]["providers"][0]["id"], "tests");
    let routes = body(&proxy.admin_get("localhost", "/routes").await?)?;
    assert_eq!(routes["routes"][0]["from"], "https://one.localhost:443");
    let upstreams = body(&proxy.admin_get("localhost", "/upstreams").await?)?;
    let endpoint = &upstreams["upstreams"][0]["endpoints"][0];
    assert_eq!((&endpoint["state"], &endpoint["protocol"]), (&json!("available"), &json!("http/1.1")));
    let described = body(&proxy.admin_get("localhost", "/openapi.json").await?)?;
    for path in described["paths"].as_object().ok_or("no paths")?.keys().filter(|path| !path.contains('{')) {
        assert_ne!(status(&proxy.admin_get("localhost", path).await?), 404, "{path}");
    }
    assert_eq!(status(&proxy.admin_get("localhost", "/nowhere").await?), 404);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_revoked_session_is_none_at_once_and_the_record_says_who_ended_it() -> Result {
    let (_upstream, proxy) = start().await?;
    let mut ada = proxy.signed_in("ada", "one").await?;
    let mut grace = proxy.signed_in("grace", "one").await?;
    let listed = body(&proxy.admin_get("localhost", "/sessions").await?)?;
    assert_eq!(listed["total"], 2, "{listed}");
    let metrics = proxy.admin_get("localhost", "/metrics").await?;
    for line in ["portcullis_sessions 2\n", "portcullis_provider_up{provider=\"tests\"} 1\n"] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let of_ada = body(&proxy.admin_get("localhost", "/sessions?user=ada@example.com").await?)?;
    assert_eq!(of_ada["total"], 1, "{of_ada}");
    let id = of_ada["sessions"][0]["id"].as_str().ok_or("no id")?.to_owned();

    let revoked = body(&proxy.admin_send("DELETE", &format!("/sessions/{id}")).await?)?;
    assert_eq!(revoked["revoked"][0]["id"], json!(id));
    assert_eq!(status(&proxy.admin_send("DELETE", &format!("/sessions/{id}")).await?), 404);
    let url = "https://one.localhost/";
    assert!(ada.get(url).await?.status.is_redirection(), "ada has to sign in again");
    assert_eq!(grace.get(url).await?.status, 200);
    assert_eq!(status(&proxy.admin_send("DELETE", "/sessions").await?), 400);
    let revoked = body(&proxy.admin_send("DELETE", "/sessions?user=grace@example.com").await?)?;
    assert_eq!(revoked["revoked"].as_array().map(Vec::len), Some(1), "{revoked}");
    assert!(grace.get(url).await?.status.is_redirection());
    let revision = proxy.revision().await?;
    let records = proxy.stop().await?;
    let ended: Vec<_> = records.iter().filter(|record| record["reason"] == "session-revoked").collect();
    assert_eq!(ended.len(), 2, "{ended:#?}");
    assert_eq!((&ended[0]["kind"], &ended[0]["session"]), (&json!("revoke"), &json!(id)));
    assert_eq!((&ended[0]["user"]["email"], &ended[0]["revision"]), (&json!("ada@example.com"), &json!(revision)));
    assert_eq!(ended[0]["actor"], "admin at 127.0.0.1");
    Ok(())
}

#[tokio::test]
async fn a_token_is_asked_for_where_one_is_set() -> Result {
    let upstream = Upstream::hello().await?;
    let section = json!({ "admin": { "token": "a-token-for-the-operators" } });
    let more = json!({ "authenticate": "none", "allow": "true" });
    let proxy = Setup::default().route("one", &upstream.url(), &more).section(&section).start().await?;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(&proxy.admin_get("localhost", path).await?), 200, "{path}");
    }
    for path in ["/readyz?verbose", "/metrics", "/config", "/sessions", "/openapi.json", "/nowhere"] {
        assert_eq!(status(&proxy.admin_get("localhost", path).await?), 401, "{path}");
    }
    let get =
        |authorization: &str| format!("GET /config HTTP/1.1\r\nhost: localhost\r\nauthorization: {authorization}");
    for wrong in ["Bearer a-token-for-the-operator", "Bearer ", "a-token-for-the-operators", "Basic YTpi"] {
        assert_eq!(status(&send(&proxy, &get(wrong), "").await?), 401, "{wrong}");
    }
    assert_eq!(status(&send(&proxy, &get("Bearer a-token-for-the-operators"), "").await?), 200);
    // A name is fine for whoever has the token: no page of another origin can send it.
    let named = "GET /config HTTP/1.1\r\nhost: admin.example\r\nauthorization: bearer a-token-for-the-operators";
    assert_eq!(status(&send(&proxy, named, "").await?), 200);
    let plain = "POST /reload HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer a-token-for-the-operators";
    assert_eq!(status(&send(&proxy, plain, "").await?), 415);
    // Another content would not make it good.
    let token = "HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer a-token-for-the-operators";
    assert_eq!(status(&send(&proxy, &format!("DELETE /reload {token}"), "").await?), 405);
    assert_eq!(status(&send(&proxy, &format!("POST /metrics {token}"), "").await?), 405);
    assert_eq!(status(&send(&proxy, &format!("POST /nowhere {token}"), "").await?), 404);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn pages_of_others_change_nothing_and_methods_that_a_path_does_not_take_are_refused_as_such() -> Result {
    let (_upstream, proxy) = start().await?;
    let described = body(&proxy.admin_get("localhost", "/openapi.json").await?)?;
    for (path, methods) in described["paths"].as_object().ok_or("no paths")? {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            let head =
                format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain").replace("{id}", "x");
            let answer = send(&proxy, &head, "").await?;
            let taken = methods.get(method.to_ascii_lowercase()).is_some();
            assert_eq!(status(&answer), if taken { 415 } else { 405 }, "{method} {path}");
            assert!(taken || answer.contains("\r\nallow: "), "{answer}");
        }
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn reloads_and_closed_streams_are_recorded_with_who_and_why() -> Result {
    let (_upstream, proxy) = start().await?;
    let first = proxy.revision().await?;
    proxy.reload(|file| file["routes"][0]["allow"] = json!("false")).await?;
    let second = proxy.revision().await?;
    proxy.reload(|file| file["routes"][0]["allow"] = json!("nonsense")).await?;
    let records = tokio::time::timeout(Duration::from_secs(30), proxy.stop()).await??;
    let reloads: Vec<_> = records.iter().filter(|record| record["kind"] == "reload").collect();
    // The watcher may have come first: then the request finds nothing new, and is recorded all the same.
    let by_admin: Vec<_> = reloads.iter().filter(|record| record["actor"] == "admin at 127.0.0.1").collect();
    assert_eq!(by_admin.len(), 2, "{reloads:#?}");
    assert_eq!((&by_admin[0]["reason"], &by_admin[0]["revision"]), (&json!("configuration-taken"), &json!(second)));
    assert_eq!((&by_admin[1]["reason"], &by_admin[1]["revision"]), (&json!("configuration-refused"), &json!(second)));
    assert!(by_admin[1]["error"].as_str().is_some_and(|error| error.contains("nonsense")), "{by_admin:#?}");
    assert_ne!(first, second);
    Ok(())
}

#[tokio::test]
async fn what_was_not_changed_is_not_written_down() -> Result {
    let (_upstream, proxy) = start().await?;
    // The log belongs to the tests.
    let change = "PUT /log_level HTTP/1.1\r\nhost: localhost\r\ncontent-type: Application/JSON ; charset=utf-8";
    assert_eq!(status(&send(&proxy, change, r#"{"log_level":"debug"}"#).await?), 409);
    assert_eq!(status(&send(&proxy, change, r#"{"level":"debug"}"#).await?), 400);
    let records = proxy.stop().await?;
    assert!(!records.iter().any(|record| record["kind"] == "admin"), "{records:#?}");
    Ok(())
}
