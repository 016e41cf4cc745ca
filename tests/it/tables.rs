//! Tables that policies look things up in, and that change while the proxy serves.

use std::time::Duration;

use integration::{Proxy, Setup, Upstream};
use serde_json::json;

use crate::Result;

/// A route that those may reach to whom the table `access` says `yes`.
async fn start(rows: &str) -> Result<(Upstream, Proxy)> {
    let upstream = Upstream::hello().await?;
    let policy = json!({
        "allow": r#"lookup("access", user.email).allowed == "yes""#,
        "deny": [r#"has(lookup("networks", request.ip).banned)"#],
    });
    let tables = json!({ "data": {
        "access": { "csv": "access.csv", "key": "email" },
        "networks": { "json": "networks.json", "key_type": "network" },
    } });
    let setup = Setup::default().route("one", &upstream.url(), &policy).section(&tables);
    let setup = setup.file("access.csv", rows).file("networks.json", "{}");
    Ok((upstream, setup.start().await?))
}

/// Writes a file as an editor does, by renaming over it.
fn write(proxy: &Proxy, name: &str, content: &str) -> Result {
    std::fs::write(proxy.folder().path("aside"), content)?;
    Ok(std::fs::rename(proxy.folder().path("aside"), proxy.folder().path(name))?)
}

async fn until(mut holds: impl AsyncFnMut() -> Result<bool>) -> Result {
    let asking = async {
        while !holds().await? {}
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await?
}

#[tokio::test]
async fn a_row_that_is_added_lets_in_and_one_that_is_taken_away_keeps_out() -> Result {
    let (_upstream, proxy) = start("email,allowed\nada@example.com,yes\ngrace@example.com,no\n").await?;
    let revision = proxy.revision().await?;
    let mut browser = proxy.signed_in("ada", "one").await?;
    let mut other = proxy.browser();
    assert_eq!(other.open("https://one.localhost/", "grace").await?.status, 403);

    write(&proxy, "access.csv", "email,allowed\ngrace@example.com,yes\n")?;
    until(async || Ok(other.get("https://one.localhost/").await?.status == 200)).await?;
    assert_eq!(browser.get("https://one.localhost/").await?.status, 403, "ada has no row any more");

    write(&proxy, "networks.json", r#"{"127.0.0.0/8": {"banned": true}}"#)?;
    until(async || Ok(other.get("https://one.localhost/").await?.status == 403)).await?;
    assert_eq!(proxy.revision().await?, revision, "a table is no configuration");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_table_that_turns_bad_leaves_the_last_good_one() -> Result {
    let (_upstream, proxy) = start("email,allowed\nada@example.com,yes\n").await?;
    let mut browser = proxy.signed_in("ada", "one").await?;
    write(&proxy, "access.csv", "email,allowed\nada@example.com\n")?;
    let told = "because: line 2: the line has 1 fields, and the first line has 2";
    until(async || Ok(proxy.admin_get("localhost", "/readyz?verbose").await?.contains(told))).await?;
    assert_eq!(browser.get("https://one.localhost/").await?.status, 200);
    let metrics = proxy.admin_get("localhost", "/metrics").await?;
    assert!(metrics.contains("portcullis_table_read_success{table=\"access\"} 0"), "{metrics}");
    assert!(proxy.admin_get("localhost", "/readyz").await?.starts_with("HTTP/1.1 200"), "it serves");

    write(&proxy, "access.csv", "email,allowed\n")?;
    until(async || Ok(proxy.admin_get("localhost", "/readyz?verbose").await?.contains("tables: good"))).await?;
    assert_eq!(browser.get("https://one.localhost/").await?.status, 403);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_table_that_was_never_fetched_denies() -> Result {
    let upstream = Upstream::hello().await?;
    let policy = json!({
        "authenticate": "none", "allow": "true",
        "deny": [r#"lookup("blocklist", request.ip) != {}"#],
    });
    // Nobody listens on this port: it was given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let table = json!({
        "url": format!("https://127.0.0.1:{port}/block.csv"), "format": "csv", "key": "network", "key_type": "network",
        "ca_file": "ca.pem",
    });
    let setup = Setup::default().route("one", &upstream.url(), &policy);
    let proxy = setup.section(&json!({ "data": { "blocklist": table } })).start().await?;
    assert_eq!(proxy.browser().get("https://one.localhost/").await?.status, 403);
    let verbose = proxy.admin_get("localhost", "/readyz?verbose").await?;
    assert!(verbose.contains("blocklist: nothing can be looked up in it, because: cannot connect to"), "{verbose}");
    proxy.stop().await?;
    Ok(())
}
