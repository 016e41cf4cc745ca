//! Bounded load on loopback: a fixed number of connections over TLS, each sending the next request after the last answer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use integration::Result;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        })
    }
}

/// Open connections to one proxy, and the request that they repeat.
#[derive(Debug)]
pub(crate) struct Load {
    senders: Vec<Sender>,
    request: Request<Empty<Bytes>>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Load {
    /// Connects.
    pub(crate) async fn open(
        tls: &ClientConfig,
        proxy: SocketAddr,
        protocol: Protocol,
        request: Request<Empty<Bytes>>,
    ) -> Result<Self> {
        let mut tls = tls.clone();
        tls.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        let connector = TlsConnector::from(Arc::new(tls));
        let mut senders = Vec::new();
        while senders.len() < IN_FLIGHT {
            let stream = connect(&connector, proxy).await?;
            match protocol {
                Protocol::Http1 => senders.push(http1(stream).await?),
                Protocol::Http2 => {
                    let sender = http2(stream).await?;
                    senders.extend((0..STREAMS).map(|_| Sender::Http2(sender.clone())));
                }
            }
        }
        Ok(Self { senders, request })
    }

    /// Sends `requests` requests; fails when one is answered otherwise than by the upstream.
    pub(crate) async fn run(&mut self, requests: u32) -> Result<()> {
        let left = Arc::new(AtomicU32::new(requests));
        let mut tasks = JoinSet::new();
        for sender in self.senders.drain(..) {
            tasks.spawn(drive(sender, self.request.clone(), Arc::clone(&left)));
        }
        while let Some(driven) = tasks.join_next().await {
            self.senders.push(driven??);
        }
        Ok(())
    }
}

impl Sender {
    async fn send(&mut self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Self::Http2(sender) => Ok(sender.send_request(request).await?),
        }
    }
}

async fn drive(mut sender: Sender, request: Request<Empty<Bytes>>, left: Arc<AtomicU32>) -> Result<Sender> {
    while left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let response = sender.send(request.clone()).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK || body.len() != crate::scenario::ANSWER_BYTES {
            return Err(format!("{status} with {} bytes in place of the upstream's answer", body.len()).into());
        }
    }
    Ok(sender)
}

async fn connect(connector: &TlsConnector, proxy: SocketAddr) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    Ok(connector.connect(ServerName::try_from(crate::scenario::HOST)?, stream).await?)
}

async fn http1(stream: TlsStream<TcpStream>) -> Result<Sender> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

async fn http2(stream: TlsStream<TcpStream>) -> Result<http2::SendRequest<Empty<Bytes>>> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Requests at once: as many connections over HTTP/1.1, streams of a few connections over HTTP/2.
pub(crate) const IN_FLIGHT: usize = 16;

/// Streams of one HTTP/2 connection.
pub(crate) const STREAMS: usize = 4;
