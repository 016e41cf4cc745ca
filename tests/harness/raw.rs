//! Bytes as they are, over TLS: for requests that no client library would send.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Proxy, Result};

/// Sends `bytes` over one TLS connection for `host` and returns all that comes back until the proxy closes it, or has
/// nothing more to say for a second after an answer.
///
/// # Errors
/// The connection cannot be made, or nothing comes back within ten seconds.
pub async fn raw(proxy: &Proxy, host: &str, bytes: &[u8]) -> Result<String> {
    raw_trusting(proxy.tls(), proxy, host, bytes).await
}

/// Does the same with a TLS client of the test's own.
///
/// # Errors
/// As above.
pub async fn raw_trusting(tls: Arc<ClientConfig>, proxy: &Proxy, host: &str, bytes: &[u8]) -> Result<String> {
    let stream = TcpStream::connect(proxy.address()).await?;
    let name = ServerName::try_from(host.to_owned())?;
    let mut stream = TlsConnector::from(tls).connect(name, stream).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    loop {
        let patience = Duration::from_secs(if answer.is_empty() { 15 } else { 1 });
        match tokio::time::timeout(patience, stream.read_buf(&mut answer)).await {
            Ok(Ok(1..)) => {}
            // A connection that is cut after an answer has still given the answer.
            Ok(Ok(0) | Err(_)) => break,
            Err(_) if answer.is_empty() => return Err("no answer".into()),
            Err(_) => break,
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Returns the status of an answer, or 0 when the connection was closed without one.
#[must_use]
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}
