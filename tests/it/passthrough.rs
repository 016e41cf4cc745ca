//! TLS connections that pass undecrypted: open for long, and decided again.

use std::sync::Arc;

use identity::{Clock as _, SystemClock};
use integration::{Folder, Proxy, Result as Outcome, Setup};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Result;

/// A server with a certificate of its own that echoes.
async fn echo() -> Outcome<(u16, Arc<ClientConfig>)> {
    let folder = Folder::new(&["db"])?;
    let leaf = folder.authority().sign(&["db.localhost".to_owned(), "kept.localhost".to_owned()], SystemClock.now())?;
    let tls = TlsAcceptor::from(leaf.server_config()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let mut stream = tls.accept(stream).await?;
                let mut byte = [0];
                while stream.read_exact(&mut byte).await.is_ok() {
                    stream.write_all(&byte).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    Ok((port, folder.authority().client_config()?))
}

async fn connect(proxy: &Proxy, tls: &Arc<ClientConfig>, name: &str) -> Outcome<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(proxy.listener("pass").ok_or("no listener")?).await?;
    let name = ServerName::try_from(format!("{name}.localhost"))?;
    Ok(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?)
}

async fn echoes(stream: &mut TlsStream<TcpStream>) -> Result<bool> {
    stream.write_all(b"x").await?;
    Ok(stream.read_u8().await? == b'x')
}

#[tokio::test]
async fn a_reload_closes_the_connections_that_it_no_longer_allows_and_says_so() -> Result {
    let (port, tls) = echo().await?;
    let route = |name: &str| {
        let to = format!("tcp://localhost:{port}");
        json!({ "name": name, "from": format!("tls://{name}.localhost"), "to": to, "allow": "request.ip == '127.0.0.1'" })
    };
    let listeners = json!([{ "name": "pass", "address": "127.0.0.1:0", "protocol": "tls" }]);
    let sections = json!({ "listeners": listeners, "routes": [route("db"), route("kept")] });
    let proxy = Setup::default().section(&sections).start().await?;
    let (mut db, mut kept) = (connect(&proxy, &tls, "db").await?, connect(&proxy, &tls, "kept").await?);
    assert!(echoes(&mut db).await? && echoes(&mut kept).await?);
    proxy.counts("portcullis_tunnels_open{route=\"db\",carries=\"tls\"} 1").await?;

    let routes = proxy.admin_get("localhost", "/routes").await?;
    assert!(routes.contains("\"from\":\"tls://kept.localhost\""), "{routes}");

    proxy.reload(|file| file["routes"][0]["allow"] = json!("request.ip == '192.0.2.1'")).await?;
    let closed = tokio::time::timeout(std::time::Duration::from_secs(30), db.read_u8()).await?;
    assert!(closed.is_err(), "{closed:?}");
    assert!(echoes(&mut kept).await?);
    assert!(connect(&proxy, &tls, "db").await.is_err());

    proxy.counts("portcullis_streams_closed_total{route=\"db\",reason=\"no-policy-matched\"} 1").await?;
    proxy.counts("portcullis_tunnels_open{route=\"db\",carries=\"tls\"} 0").await?;

    // A route that is gone is no route for those that are open, either.
    proxy.reload(|file| file["routes"] = json!([route("other")])).await?;
    let closed = tokio::time::timeout(std::time::Duration::from_secs(30), kept.read_u8()).await?;
    assert!(closed.is_err(), "{closed:?}");

    let records = proxy.stop().await?;
    let noted: Vec<(&Value, &Value)> = records
        .iter()
        .filter(|record| record["kind"] == "stream_closed")
        .map(|record| (&record["route"], &record["reason"]))
        .collect();
    assert_eq!(noted, [(&json!("db"), &json!("no-policy-matched")), (&json!("kept"), &json!("no-route"))]);
    let ended = records.iter().find(|record| record["error"] == "closed: no-policy-matched").ok_or("no outcome")?;
    assert!(ended["bytes_in"].as_u64() > Some(0), "{ended}");
    Ok(())
}
