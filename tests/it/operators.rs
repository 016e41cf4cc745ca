//! What operators are shown, and what happens when disks and certificate files turn bad.

use std::collections::BTreeSet;
use std::time::Duration;

use demo::Authority;
use http::Method;
use identity::{Clock as _, SystemClock};
use integration::{Proxy, Setup, Upstream, connect, raw, status};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Result;

async fn start() -> Result<(Upstream, Proxy)> {
    let upstream = Upstream::hello().await?;
    let open = json!({ "authenticate": "none", "allow": "true" });
    let tables = json!({ "data": { "owners": { "csv": "owners.csv", "key": "host" } } });
    let setup = Setup::default().route("one", &upstream.url(), &open).section(&tables).file("owners.csv", "host\n");
    Ok((upstream, setup.start().await?))
}

/// Asks the admin listener until its answer is as expected.
async fn until(proxy: &Proxy, path: &str, expected: impl Fn(&str) -> bool) -> Result<String> {
    let asking = async {
        loop {
            let answer = proxy.admin_get("localhost", path).await?;
            if expected(&answer) {
                return Ok(answer);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking).await?
}

#[tokio::test]
async fn the_admin_listener_answers_to_no_name_that_a_page_could_take() -> Result {
    let (_upstream, proxy) = start().await?;
    for path in ["/healthz", "/readyz", "/readyz?verbose", "/metrics"] {
        assert_eq!(status(&proxy.admin_get("127.0.0.1", path).await?), 200, "{path}");
        for host in ["evil.example", "one.localhost", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert_eq!(status(&proxy.admin_get(host, path).await?), 421, "{host}{path}");
        }
        // Nothing of it is to be had over the listeners that users reach.
        let url = format!("https://auth.localhost{path}");
        assert_eq!(proxy.browser().get(&url).await?.status, 404, "{path}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn metrics_are_well_formed_documented_and_grow_with_no_request() -> Result {
    let (_upstream, proxy) = start().await?;
    let browser = &mut proxy.browser();
    browser.get("https://one.localhost/").await?;
    browser.get("https://auth.localhost/nowhere").await?;
    let series = async || -> Result<BTreeSet<String>> {
        let answer = proxy.admin_get("localhost", "/metrics").await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
        assert!(head.to_ascii_lowercase().contains("content-type: application/openmetrics-text"), "{head}");
        assert!(body.ends_with("# EOF\n"));
        let samples = body.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            name.to_owned()
        });
        Ok(samples.collect())
    };
    let before = series().await?;
    for index in 0..20 {
        let path = format!("/{index}?q={index}");
        let method = Method::from_bytes(format!("ODD{index}").as_bytes())?;
        let agent = format!("agent-{index}");
        let headers = [("user-agent", agent.as_str())];
        browser.send(method, &format!("https://one.localhost{path}"), &headers, bytes::Bytes::new()).await?;
        let unknown = format!("GET {path} HTTP/1.1\r\nhost: h{index}.localhost\r\nconnection: close\r\n\r\n");
        assert_eq!(status(&raw(&proxy, "one.localhost", unknown.as_bytes()).await?), 404);
    }
    assert_eq!(before, series().await?);

    let documented = include_str!("../../docs/operations.md");
    let names: BTreeSet<_> = before.iter().filter_map(|series| series.split('{').next()).collect();
    for name in names {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
        assert!(documented.contains(&format!("`{name}`")), "{name} is in no table of docs/operations.md");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_renewed_certificate_is_found_and_a_bad_one_leaves_the_last_good_one() -> Result {
    let (_upstream, proxy) = start().await?;
    let shown = async || -> Result<Vec<u8>> {
        let stream = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
        Ok(stream.get_ref().1.peer_certificates().ok_or("none")?[0].to_vec())
    };
    let first = shown().await?;
    let mut old = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    let leaf = proxy.folder().authority().sign(&["one.localhost".to_owned()], SystemClock.now())?;
    std::fs::write(proxy.folder().path("key.pem"), leaf.key_pem())?;
    std::fs::write(proxy.folder().path("cert.pem"), leaf.certificate_pem())?;
    let renewed = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let now = shown().await?;
            if now != first {
                return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(now);
            }
        }
    })
    .await??;
    old.write_all(b"GET / HTTP/1.1\r\nhost: one.localhost\r\n\r\n").await?;
    let mut head = [0; 12];
    old.read_exact(&mut head).await?;
    assert_eq!(&head, b"HTTP/1.1 200", "the old connection goes on");

    std::fs::write(proxy.folder().path("key.pem"), "no key")?;
    let told = until(&proxy, "/readyz?verbose", |answer| answer.contains("the last good ones serve")).await?;
    assert!(status(&told) == 200 && told.contains("key.pem"), "{told}");
    let metrics = proxy.admin_get("localhost", "/metrics").await?;
    assert!(metrics.contains("portcullis_tls_certificate_reload_success 0"), "{metrics}");
    assert_eq!(shown().await?, renewed);
    // A pair that does not belong together is bad as well.
    std::fs::write(proxy.folder().path("key.pem"), Authority::generate(SystemClock.now())?.key_pem())?;
    until(&proxy, "/readyz?verbose", |answer| answer.contains("does not belong to the certificate")).await?;
    assert_eq!(shown().await?, renewed);
    std::fs::write(proxy.folder().path("key.pem"), leaf.key_pem())?;
    until(&proxy, "/readyz?verbose", |answer| answer.contains("certificates: good")).await?;
    let metrics = proxy.admin_get("localhost", "/metrics").await?;
    assert!(metrics.contains("portcullis_tls_certificate_reload_success 1"), "{metrics}");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn without_a_disk_for_the_audit_log_requests_are_refused_until_there_is_one() -> Result {
    let (upstream, proxy) = start().await?;
    let browser = &mut proxy.browser();
    let url = "https://one.localhost/";
    assert_eq!(browser.get(url).await?.status, 200);
    let audit = proxy.folder().path("audit");
    let mut aside = Vec::new();
    // The log may make its folder again before the file is there: then that one is moved away, too.
    loop {
        aside.push(proxy.folder().path(&format!("aside-{}", aside.len())));
        std::fs::rename(&audit, &aside[aside.len() - 1])?;
        match std::fs::File::create_new(&audit) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => break drop(made?),
        }
    }
    let refused = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let answer = browser.send(Method::GET, url, &[], bytes::Bytes::new()).await?;
            if answer.status != 200 {
                return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(answer);
            }
        }
    })
    .await??;
    assert_eq!((refused.status.as_u16(), &refused.json()?["error"]), (503, &json!("audit_unavailable")));
    let forwarded = upstream.seen().len();
    assert_eq!(browser.get(url).await?.status, 503);
    assert_eq!(upstream.seen().len(), forwarded, "nothing is forwarded without a record");
    let ready = proxy.admin_get("localhost", "/readyz?verbose").await?;
    assert!(status(&ready) == 503 && ready.contains("cannot write the audit log"), "{ready}");

    std::fs::remove_file(&audit)?;
    until(&proxy, "/readyz", |answer| status(answer) == 200).await?;
    assert_eq!(browser.get(url).await?.status, 200);
    // What was asked before the folder was moved is in it; all else that was forwarded is in the new one, and only there.
    let mut before = 0;
    for file in aside.iter().map(std::fs::read_dir).collect::<std::io::Result<Vec<_>>>()?.into_iter().flatten() {
        before += std::fs::read_to_string(file?.path())?.lines().filter(|line| line.contains("\"status\":200")).count();
    }
    let forwarded = upstream.seen().len();
    let records = proxy.stop().await?;
    assert_eq!(before + records.iter().filter(|record| record["status"] == 200).count(), forwarded);
    Ok(())
}
