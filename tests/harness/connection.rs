//! TLS connections to the proxy, for tests that speak a protocol of their own over them.

use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Proxy, Result};

/// Opens a TLS connection for `host` that offers these protocols by ALPN.
///
/// # Errors
/// The connection cannot be made.
pub async fn connect(proxy: &Proxy, host: &str, alpn: &[&str]) -> Result<TlsStream<TcpStream>> {
    let mut tls = (*proxy.tls()).clone();
    // A resumed session shows the certificate of the session that it continues.
    tls.resumption = Resumption::disabled();
    tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(proxy.address()).await?;
    Ok(TlsConnector::from(std::sync::Arc::new(tls)).connect(ServerName::try_from(host.to_owned())?, stream).await?)
}
