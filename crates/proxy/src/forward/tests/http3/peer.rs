//! A server of HTTP/3 by other hands: h3 on quinn.

use std::sync::Mutex;

use bytes::Buf as _;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, ServerConfig, TransportConfig, VarInt};

use super::super::tls::{Authority, leaf, server};
use super::*;

/// A request, and its answer.
pub(super) type Exchange = h3::server::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// A server.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    authority: Authority,
    connections: Arc<AtomicUsize>,
    parting: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
    endpoint: Endpoint,
}

impl Peer {
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// A route to it, over HTTP/3.
    pub(super) fn route(&self) -> Route {
        let mut route = route(EndpointScheme::Https, &[self.address]);
        route.upstream_protocol = UpstreamProtocol::Http3;
        route.upstream_tls = self.authority.trusted();
        route
    }

    /// Is heard of no more at its address.
    pub(super) fn vanish(&self) {
        self.endpoint.rebind(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    }

    /// Says on all connections that no more requests are taken.
    pub(super) fn go_away(&self) {
        self.parting.lock().unwrap().drain(..).for_each(|part| part.send(()).unwrap());
    }
}

/// A server that does what `each` does with each request.
pub(super) async fn peer<F, R>(each: F) -> Peer
where
    F: Fn(Request<()>, Exchange) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    peer_allowing(100, each).await
}

/// One that allows so many requests at a time.
pub(super) async fn peer_allowing<F, R>(streams: u32, each: F) -> Peer
where
    F: Fn(Request<()>, Exchange) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let parting = Arc::<Mutex<Vec<oneshot::Sender<()>>>>::default();
    let parts = Arc::clone(&parting);
    let (address, authority, connections, endpoint) = raw_peer(streams, move |connection| {
        let (part, parts) = oneshot::channel();
        parting.lock().unwrap().push(part);
        serve(connection, each.clone(), parts)
    });
    Peer { address, authority, connections, parting: parts, endpoint }
}

/// Serves until told to go away: then the requests that are open are finished.
async fn serve<F, R>(connection: Connection, each: F, mut part: oneshot::Receiver<()>)
where
    F: Fn(Request<()>, Exchange) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let Ok(mut http) = h3::server::Connection::new(h3_quinn::Connection::new(connection)).await else { return };
    let mut has_parted = false;
    loop {
        tokio::select! {
            accepted = http.accept() => match accepted {
                Ok(Some(resolver)) => {
                    let each = each.clone();
                    tokio::spawn(async move {
                        if let Ok((request, exchange)) = resolver.resolve_request().await {
                            each(request, exchange).await;
                        }
                    });
                }
                Ok(None) | Err(_) => return,
            },
            Ok(()) = &mut part, if !has_parted => {
                has_parted = true;
                http.shutdown(1).await.unwrap();
            }
        }
    }
}

/// A server that does what `each` does with each connection, and the authority of its certificate.
pub(super) fn raw_peer<F, R>(streams: u32, each: F) -> (SocketAddr, Authority, Arc<AtomicUsize>, Endpoint)
where
    F: Fn(Connection) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let authority = Authority::new();
    let (address, connections, endpoint) = raw_peer_with(server(&authority, &leaf(), &["h3"]), streams, each);
    (address, authority, connections, endpoint)
}

/// A server with this TLS that does what `each` does with each request.
pub(super) fn peer_with<F, R>(tls: rustls::ServerConfig, each: F) -> (SocketAddr, Arc<AtomicUsize>, Endpoint)
where
    F: Fn(Request<()>, Exchange) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    raw_peer_with(tls, 100, move |connection| {
        let (never, part) = oneshot::channel();
        let each = each.clone();
        async move {
            serve(connection, each, part).await;
            drop(never);
        }
    })
}

pub(super) fn raw_peer_with<F, R>(
    tls: rustls::ServerConfig,
    streams: u32,
    each: F,
) -> (SocketAddr, Arc<AtomicUsize>, Endpoint)
where
    F: Fn(Connection) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let mut transport = TransportConfig::default();
    transport.max_concurrent_bidi_streams(VarInt::from_u32(streams));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = endpoint.local_addr().unwrap();
    let connections = Arc::<AtomicUsize>::default();
    let (accepting, counted) = (endpoint.clone(), Arc::clone(&connections));
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            if let Ok(connection) = incoming.await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(each(connection));
            }
        }
    });
    (address, connections, endpoint)
}

/// Sends the head of an answer.
pub(super) async fn respond(exchange: &mut Exchange, status: u16) {
    exchange.send_response(Response::builder().status(status).body(()).unwrap()).await.unwrap();
}

/// Answers.
pub(super) async fn answer_with(mut exchange: Exchange, body: impl Into<Bytes>) {
    respond(&mut exchange, 200).await;
    exchange.send_data(body.into()).await.unwrap();
    exchange.finish().await.unwrap();
}

/// Reads the next part of a request's body.
pub(super) async fn part_of(exchange: &mut Exchange) -> Option<Bytes> {
    let mut part = exchange.recv_data().await.unwrap()?;
    let length = part.remaining();
    Some(part.copy_to_bytes(length))
}

/// Reads a request's body to its end.
pub(super) async fn body_of(exchange: &mut Exchange) -> Bytes {
    let mut body = Vec::new();
    while let Some(part) = part_of(exchange).await {
        body.extend_from_slice(&part);
    }
    body.into()
}
