//! A plain HTTP client for the tests: one request a connection, no redirects followed.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Sends a request in cleartext.
pub(crate) async fn send(address: SocketAddr, request: Request<String>) -> Response<Bytes> {
    exchange(TcpStream::connect(address).await.unwrap(), address.to_string(), request).await
}

/// Sends a request over TLS, to the server that `name` belongs to.
pub(crate) async fn send_tls(
    address: SocketAddr,
    name: &str,
    tls: &Arc<ClientConfig>,
    request: Request<String>,
) -> Response<Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, socket).await.unwrap();
    exchange(stream, address.to_string(), request).await
}

async fn exchange<I>(io: I, host: String, request: Request<String>) -> Response<Bytes>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.unwrap();
    let (mut parts, body) = request.into_parts();
    parts.headers.entry("host").or_insert(host.parse().unwrap());
    let answer = async move {
        let response = sender.send_request(Request::from_parts(parts, Full::<Bytes>::from(body))).await.unwrap();
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    };
    tokio::join!(answer, connection).0
}
