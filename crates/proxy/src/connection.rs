//! From socket to request: handshake, choice of protocol, and the time limits of one connection.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use identity::{ClientAddress, Scheme};
use jiff::Timestamp;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use crate::activity::{Activity, Rest, Resumed};
use crate::client_address::client_header;
use crate::client_places::ClientPlace;
use crate::config::ForwardedHeader;
use crate::entrance::Entrance;
use crate::http1;
use crate::http2;
use crate::interim::Interim;
use crate::listener::Serving;
use crate::metrics::{Handshake, Limit, OpenConnection};
use crate::open_places::OpenPlace;
use crate::seldom::Seldom;
use crate::tls::{self, H2, Served, Terminator, VerifiedClient};
use crate::worker::Seat;
use crate::{Snapshot, passthrough, proxy_protocol, sanitize};

/// One accepted socket, as its requests see it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The listener as it was when the client came; requests look at that of their own revision.
    pub(crate) entrance: Arc<Entrance>,
    pub(crate) serving: Serving,
    /// The peer, or whom its PROXY header names.
    pub(crate) address: ClientAddress,
    /// The same as upstreams are told of it, for requests that name nobody else.
    pub(crate) client_header: HeaderValue,
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) activity: Arc<Activity>,
    /// What the upstream of the request under way says before it answers, over HTTP/1.1.
    pub(crate) interim: Interim,
    // Given back when the last exchange is over: a tunnel outlives the task of its connection.
    _place: Place,
}

/// A place among the connections that a listener may have open, until dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) _place: OpenPlace,
    pub(crate) _open: OpenConnection,
    pub(crate) _seat: Seat,
    /// Taken once the client is known.
    pub(crate) of_client: Option<ClientPlace>,
}

/// What the handshake agreed on.
#[derive(Debug)]
pub(crate) struct TlsFacts {
    pub(crate) version: &'static str,
    /// In lower case; empty when the client named no server.
    pub(crate) sni: Box<str>,
    /// The client's certificate, where it showed one.
    pub(crate) client: Option<VerifiedClient>,
    certificate: Option<Arc<Served>>,
}

impl Connection {
    /// Returns the configuration in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.serving.snapshot.load_full()
    }

    /// Returns the listener as that configuration has it; as it was, where the configuration has it no more and the
    /// connection is about to end.
    pub(crate) fn entrance_in<'a>(&'a self, snapshot: &'a Snapshot) -> &'a Entrance {
        snapshot.entrances.get(self.entrance.id).unwrap_or(&self.entrance)
    }

    /// Returns whom the connection comes from, where no header of a trusted proxy could name somebody else.
    pub(crate) fn direct_address(&self) -> Option<ClientAddress> {
        let is_direct = !self.entrance.trusted_proxies.contains(self.address.client);
        is_direct.then_some(self.address)
    }

    /// Returns how the client reached us.
    pub(crate) const fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// Returns whether another certificate than this connection's serves the host (in lower case). A browser may send
    /// requests for several hosts over one connection (RFC 9113 §9.1.1); those that it must not are misdirected.
    pub(crate) fn is_misdirected(&self, host: &str) -> bool {
        let (Some(facts), Some(terminator)) = (&self.tls, &self.entrance.tls) else { return false };
        if *facts.sni == *host {
            return false;
        }
        let Some(shown) = &facts.certificate else { return false };
        let right = terminator.certificates.select(Some(host));
        !shown.covers(host) && right.is_some_and(|right| !right.replaces(shown))
    }

    /// Returns the single-address header that this listener's proxies send, and takes what apps might confuse with it away.
    pub(crate) fn single_header(&self, snapshot: &Snapshot, headers: &mut HeaderMap) -> Option<HeaderName> {
        let ForwardedHeader::Single(name) = &self.entrance_in(snapshot).config.forwarded_header else { return None };
        sanitize::remove_aliases(headers, name);
        Some(name.clone())
    }

    /// Returns whether the client, whom the handshake admitted, would not be admitted by that configuration: its
    /// certificate no longer counts, or it showed none where one is asked for now.
    pub(crate) fn certificate_ended(&self, snapshot: &Snapshot, now: Timestamp) -> bool {
        let Some(facts) = &self.tls else { return false };
        let terminator = self.entrance_in(snapshot).tls.as_ref();
        terminator.is_some_and(|terminator| !terminator.admits(facts.client.as_ref(), now))
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    mut place: Place,
    entrance: Arc<Entrance>,
    serving: Serving,
) {
    // Small frames wait for nobody: Nagle's algorithm and delayed acknowledgements together cost 40 ms.
    let _ = stream.set_nodelay(true);
    bound_unread(&stream, entrance.config.limits.idle_timeout);
    let connected = proxy_protocol::connected(&mut stream, peer.into(), &entrance.config, &entrance.trusted_proxies);
    let ended = match serving.first_words(connected).await {
        None => return,
        Some(Err(error)) => {
            // Whoever leaves without a word, as health checks do, was not refused.
            if error.kind() == io::ErrorKind::InvalidData {
                entrance.metrics.proxy_header_refused();
            }
            Err(error)
        }
        Some(Ok(address)) => match entrance.place_of(address.client) {
            Err(limit) => Err(over(&entrance, limit)),
            Ok(of_client) => {
                place.of_client = of_client;
                match &entrance.tls {
                    // The place is kept until the connection ends.
                    None if entrance.config.passthrough => {
                        let served = Box::pin(passthrough::serve(stream, address, &entrance, &serving)).await;
                        drop(place);
                        served
                    }
                    Some(terminator) => {
                        let shaken = Box::pin(shake_hands(stream, address, place, terminator, &entrance, &serving));
                        match shaken.await {
                            Ok(served) => served.await,
                            Err(error) => Err(error),
                        }
                    }
                    None => serve_cleartext(stream, address, place, &entrance, &serving).await,
                }
            }
        },
    };
    if let Err(error) = ended {
        tracing::debug!(listener.name = entrance.config.name, client.address = %peer, %error, "connection ended");
    }
}

/// Counts a connection that came to a limit, and says so.
fn over(entrance: &Entrance, limit: Limit) -> io::Error {
    entrance.metrics.limit_reached(limit);
    io::Error::new(io::ErrorKind::QuotaExceeded, format!("limit reached: {limit:?}"))
}

/// Lets the system cut a client that takes nothing of what is sent to it for so long: while we wait for it to read, nobody
/// polls the response, so no time limit of ours would notice.
fn bound_unread(stream: &TcpStream, limit: Duration) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(limit));
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, limit);
}

/// Has the system find out whether the peer of a tunnel lives while nothing is said, rather than how long it may take
/// nothing: a tunnel may rest for as long as both sides like.
pub(crate) fn watch_over(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    // A socket that takes no options is about to end.
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(None);
}

/// Shakes hands; returns how the connection is served then.
async fn shake_hands(
    stream: TcpStream,
    address: ClientAddress,
    place: Place,
    terminator: &Terminator,
    entrance: &Arc<Entrance>,
    serving: &Serving,
) -> io::Result<Serve> {
    let handshake = timeout(entrance.config.limits.handshake_timeout, terminator.accept(stream));
    let handshake = serving.first_words(handshake).await;
    let shaken = handshake.map_or_else(
        || Err(io::Error::other("shutting down")),
        |in_time| in_time.unwrap_or_else(|_| Err(over(entrance, Limit::HandshakeTimeout))),
    );
    let refused = shaken.as_ref().is_err_and(tls::is_client_refused);
    entrance.metrics.handshake(if refused { Handshake::ClientRefused } else { shaken.is_ok().into() });
    if let Some(error) = shaken.as_ref().err().filter(|_| refused) {
        // There is no request that the audit log could remember.
        tracing::info!(listener.name = entrance.config.name, client.address = %address.client, %error, "client certificate refused");
    }
    let (stream, client) = shaken?;
    let (_, session) = stream.get_ref();
    let protocol = if session.alpn_protocol() == Some(H2) { Protocol::Http2 } else { Protocol::Http1 };
    let facts = TlsFacts {
        version: match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        },
        sni: session.server_name().map(str::to_ascii_lowercase).unwrap_or_default().into(),
        client,
        certificate: terminator.certificates.select(session.server_name()),
    };
    Ok(serve_http(stream, &[], protocol, connection(address, place, Some(facts), entrance, serving)?))
}

async fn serve_cleartext(
    mut stream: TcpStream,
    address: ClientAddress,
    place: Place,
    entrance: &Arc<Entrance>,
    serving: &Serving,
) -> io::Result<()> {
    let sniffing = sniff(&mut stream, entrance.config.limits.idle_timeout, entrance.config.limits.header_timeout);
    let Some(sniffed) = serving.first_words(sniffing).await else { return Ok(()) };
    let Some((protocol, read)) = sniffed.map_err(|late| over(entrance, late))? else { return Ok(()) };
    serve_http(stream, &read, protocol, connection(address, place, None, entrance, serving)?).await
}

fn connection(
    address: ClientAddress,
    place: Place,
    tls: Option<TlsFacts>,
    entrance: &Arc<Entrance>,
    serving: &Serving,
) -> io::Result<Arc<Connection>> {
    Ok(Arc::new(Connection {
        entrance: Arc::clone(entrance),
        serving: serving.clone(),
        address,
        client_header: client_header(address.client).map_err(io::Error::other)?,
        tls,
        activity: Arc::new(Activity::new(entrance.config.limits.header_timeout, entrance.config.limits.idle_timeout)),
        interim: Interim::default(),
        _place: place,
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Reads just enough to know the protocol of a cleartext connection; `None` when the client left without a word.
async fn sniff(
    stream: &mut (impl AsyncRead + Unpin),
    idle: Duration,
    header: Duration,
) -> Result<Option<(Protocol, Vec<u8>)>, Limit> {
    let mut read = Vec::with_capacity(4096);
    // A connection that breaks off has said nothing either.
    match timeout(idle, stream.read_buf(&mut read)).await {
        Ok(Ok(0) | Err(_)) => return Ok(None),
        Ok(Ok(_)) => {}
        Err(_) => return Err(Limit::IdleTimeout),
    }
    let rest = async {
        loop {
            if read.starts_with(PREFACE) {
                return Some(Protocol::Http2);
            }
            if !PREFACE.starts_with(&read) {
                return Some(Protocol::Http1);
            }
            if matches!(stream.read_buf(&mut read).await, Ok(0) | Err(_)) {
                return None;
            }
        }
    };
    let protocol = timeout(header, rest).await.map_err(|_| Limit::HeaderTimeout)?;
    Ok(protocol.map(|protocol| (protocol, read)))
}

/// Serves requests until the connection ends. Boxed: what came before needs no room while a connection waits.
fn serve_http<S>(stream: S, read: &[u8], protocol: Protocol, connection: Arc<Connection>) -> Serve
where
    S: http1::Client,
{
    match protocol {
        Protocol::Http1 => {
            let mut http = http1::Server::new(Arc::clone(&connection), stream, read.into());
            Box::pin(async move {
                supervise(Pin::new(&mut http), |http| http.get_mut().finish(), &connection).await?;
                http.hand_over();
                Ok(())
            })
        }
        Protocol::Http2 => {
            let mut http = http2::Server::new(Arc::clone(&connection), Resumed::new(stream, read));
            Box::pin(async move { supervise(Pin::new(&mut http), |http| http.get_mut().finish(), &connection).await })
        }
    }
}

type Serve = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Drives a connection within its time limits, and ends it when the server stops.
async fn supervise<C, E>(mut http: Pin<&mut C>, finish: impl Fn(Pin<&mut C>), connection: &Connection) -> io::Result<()>
where
    C: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let end = pin!(end(connection));
    let end = tokio::select! {
        biased;
        // First, so that what is answered now says that it is the last.
        end = Seldom::new(end) => end,
        ended = http.as_mut() => return ended.map_err(io::Error::other),
    };
    finish(http.as_mut());
    let ended = match end {
        End::Stopping => connection.serving.close.run_until_cancelled(http).await,
        // Time to say so; what has not ended then is dropped.
        End::Over => timeout(LINGER, http).await.ok(),
    };
    ended.map_or(Ok(()), |ended| ended.map_err(io::Error::other))
}

/// Why a connection ends that its client has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The server stops.
    Stopping,
    /// It came to a limit.
    Over,
}

/// Waits until a connection is to end.
async fn end(connection: &Connection) -> End {
    // A token of its own: all connections polling one would meet at its lock.
    let stop = connection.serving.stop.child_token();
    let mut stopping = pin!(stop.cancelled());
    let mut alarm = pin!(sleep_until(connection.activity.next_look()));
    loop {
        tokio::select! {
            biased;
            () = stopping.as_mut() => return End::Stopping,
            () = alarm.as_mut() => match connection.activity.look() {
                Rest::Until(at) => alarm.as_mut().reset(at),
                Rest::Over(limit) => {
                    connection.entrance.metrics.limit_reached(limit);
                    return End::Over;
                }
            },
        }
    }
}

/// The first bytes of a cleartext HTTP/2 connection (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LINGER: Duration = Duration::from_secs(1);

/// How long a tunnel is silent before the system asks whether the client still lives.
const KEEPALIVE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
