//! One endpoint: the connections to it, and which protocol they speak.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use http::uri::Scheme;
use http::{Request, Response};
use tokio::time::{Instant, timeout_at};

use super::body::{Arriving, RequestBody};
use super::connect::{Connector, Purpose, Speaks, Spoken};
use super::failure::{FailureKind, UpstreamFailure};
use super::health::Health;
use super::http1::{self, Unanswered};
use super::http2::{self, Slot};
use super::http3;
use super::prior_knowledge;
use super::shared::Retire;
use super::stream::Stream;
use crate::BuildError;
use crate::client_address::Told;
use crate::config::{UpstreamHttp2, UpstreamSettings};
use crate::expiry::Expiry;
use crate::worker::PerWorker;

/// One endpoint and the connections to it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    connector: Connector,
    // One for each thread that serves connections: none waits for another's lock, or wakes another's runtime.
    http1: PerWorker<Arc<http1::Pool>>,
    http2: Arc<http2::Pool>,
    http3: Arc<http3::Pool>,
    /// Of the connections that requests share.
    settings: UpstreamHttp2,
    /// ALPN or the probe chose HTTP/1.1 last time, so connections are not shared and need not wait for each other.
    chose_http1: AtomicBool,
    /// The probe has found HTTP/2.
    shows_http2: AtomicBool,
    health: Option<Health>,
    /// Open requests, where they are counted.
    active: AtomicUsize,
}

/// Counts a request as open while it lives.
#[derive(Debug)]
pub(crate) struct Active(Arc<Endpoint>);

/// A connection for one exchange.
#[derive(Debug)]
pub(crate) enum Lease {
    /// An HTTP/1.1 connection; `reused` has served before, and may be closing.
    Http1 { connection: Box<http1::Connection>, reused: bool },
    /// A stream of an HTTP/2 connection.
    Http2(Slot, http2::Sender),
    /// A stream of an HTTP/3 connection.
    Http3(Box<(http3::Slot, http3::Stream)>),
}

/// The connections of an endpoint, now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Of HTTP/1.1.
    pub(crate) http1: usize,
    /// Those of them that wait for a request.
    pub(crate) idle: usize,
    /// Of HTTP/2 and HTTP/3.
    pub(crate) shared: usize,
    /// Requests on those.
    pub(crate) streams: usize,
}

/// Which connections will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Any,
    New,
}

impl Endpoint {
    pub(super) fn new(connector: Connector, settings: &UpstreamSettings) -> Self {
        let (http2, http3) = (Arc::new(http2::Pool::default()), Arc::new(http3::Pool::default()));
        connector.retire_in(match connector.speaks {
            Speaks::Http3 => Arc::downgrade(&http3) as Weak<dyn Retire>,
            Speaks::Http1 | Speaks::Http2 | Speaks::Negotiated | Speaks::Probed | Speaks::Tcp => {
                Arc::downgrade(&http2) as _
            }
        });
        Self {
            health: settings.health_check.clone().map(Health::new),
            active: AtomicUsize::new(0),
            connector,
            http1: PerWorker::default(),
            http2,
            http3,
            settings: settings.http2.clone(),
            chose_http1: AtomicBool::new(false),
            shows_http2: AtomicBool::new(false),
        }
    }

    /// Reads the files of TLS again, for new connections.
    pub(super) fn reload_certificates(&self) -> Result<(), BuildError> {
        self.connector.reload_certificates()
    }

    /// Returns the fingerprint of the files of TLS that new connections go by.
    pub(super) fn tls_fingerprint(&self) -> Option<[u8; 32]> {
        self.connector.tls_fingerprint()
    }

    /// Returns when what new connections present and believe ends.
    pub(super) fn expiries(&self) -> Vec<Expiry> {
        self.connector.expiries()
    }

    /// Returns the endpoint as logs name it.
    pub(crate) const fn name(&self) -> &Arc<str> {
        &self.connector.name
    }

    /// Returns the host as `Host` says it.
    pub(super) fn authority(&self) -> &str {
        &self.connector.authority
    }

    pub(super) const fn health(&self) -> Option<&Health> {
        self.health.as_ref()
    }

    /// Returns how many connections and requests there are.
    pub(super) fn counts(&self) -> Counts {
        let (over_tcp, over_quic) = (self.http2.counts(), self.http3.counts());
        let (shared, streams) = (over_tcp.0 + over_quic.0, over_tcp.1 + over_quic.1);
        let of_threads = self.http1.all().map(|pool| pool.counts());
        let (http1, idle) = of_threads.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        Counts { http1, idle, shared, streams }
    }

    /// Returns the scheme of requests.
    pub(crate) const fn scheme(&self) -> Scheme {
        self.connector.scheme()
    }

    /// Returns what records call a protocol.
    pub(crate) fn protocol(&self, spoken: Spoken) -> &'static str {
        match spoken {
            Spoken::Http1 => "http/1.1",
            Spoken::Http2 if self.scheme() == Scheme::HTTPS => "h2",
            Spoken::Http2 => "h2c",
            Spoken::Http3 => "h3",
        }
    }

    /// Returns what is spoken, as records call it; nothing while no connection has shown it.
    pub(super) fn protocol_now(&self) -> Option<&'static str> {
        let spoken = match self.connector.speaks {
            Speaks::Tcp => return Some("tcp"),
            Speaks::Http1 => Spoken::Http1,
            Speaks::Http2 => Spoken::Http2,
            Speaks::Http3 => Spoken::Http3,
            Speaks::Negotiated | Speaks::Probed if self.chose_http1.load(Ordering::Relaxed) => Spoken::Http1,
            Speaks::Negotiated if self.http2.counts().0 > 0 => Spoken::Http2,
            Speaks::Probed if self.shows_http2.load(Ordering::Relaxed) => Spoken::Http2,
            Speaks::Negotiated | Speaks::Probed => return None,
        };
        Some(self.protocol(spoken))
    }

    /// Returns why the protocol is spoken that is spoken.
    pub(crate) const fn protocol_reason(&self, spoken: Spoken) -> &'static str {
        match (self.connector.speaks, spoken) {
            (Speaks::Http1 | Speaks::Http2 | Speaks::Http3 | Speaks::Tcp, _) => "configured",
            (Speaks::Negotiated, _) => "alpn",
            (Speaks::Probed, Spoken::Http2 | Spoken::Http3) => "probed",
            (Speaks::Probed, Spoken::Http1) => "fallback",
        }
    }

    /// Returns whether active checks find the endpoint working, or have not found out yet.
    pub(super) fn is_healthy(&self) -> bool {
        self.health.as_ref().is_none_or(Health::is_good)
    }

    /// Begins to look its name up and to check the endpoint, where that is to be done and is not yet.
    pub(super) fn watch(self: &Arc<Self>) {
        self.connector.watch();
        if let Some(health) = &self.health {
            health.watch(self);
        }
    }

    /// Counts a request as open.
    pub(crate) fn begin(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(Arc::clone(self))
    }

    /// Returns how many requests are open that were counted.
    pub(super) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Opens a connection for a check.
    pub(super) async fn connect(&self) -> Result<(Stream, Spoken), UpstreamFailure> {
        self.connector.connect(Purpose::Exchange).await
    }

    /// Finds or opens a connection for one exchange. HTTP/1.1 carries no gRPC: for it, an endpoint that fell back is
    /// probed again.
    pub(crate) async fn lease(self: &Arc<Self>, freshness: Freshness, grpc: bool) -> Result<Lease, UpstreamFailure> {
        if self.takes_http1(grpc) {
            return self.lease_http1(freshness).await;
        }
        if self.speaks_http3() {
            return match self.http3.take() {
                Some(taken) => Ok(Lease::Http3(Box::new(taken))),
                None => Box::pin(self.lease_http3()).await,
            };
        }
        match self.http2.take() {
            Some((slot, sender)) => Ok(Lease::Http2(slot, sender)),
            None => Box::pin(self.lease_shared(grpc)).await,
        }
    }

    /// Returns whether HTTP/3 is spoken, and nothing else.
    pub(super) fn speaks_http3(&self) -> bool {
        self.connector.speaks == Speaks::Http3
    }

    /// Opens a connection of QUIC.
    pub(super) async fn connect_over_quic(&self) -> Result<quinn::Connection, UpstreamFailure> {
        self.connector.connect_over_quic().await
    }

    /// Opens a connection for an upgrade: HTTP/1.1, and nobody else's.
    pub(crate) async fn connect_for_upgrade(&self) -> Result<Stream, UpstreamFailure> {
        if self.speaks_http3() {
            let detail = "no WebSocket goes over HTTP/3: give it a route of its own without `upstream_protocol: http3`";
            return Err(UpstreamFailure::new(FailureKind::Protocol, detail));
        }
        Ok(self.connector.connect(Purpose::Upgrade).await?.0)
    }

    fn takes_http1(&self, grpc: bool) -> bool {
        match self.connector.speaks {
            Speaks::Http1 | Speaks::Tcp => true,
            Speaks::Http2 | Speaks::Http3 => false,
            Speaks::Negotiated => self.chose_http1.load(Ordering::Relaxed),
            Speaks::Probed => !grpc && self.chose_http1.load(Ordering::Relaxed),
        }
    }

    async fn lease_http1(self: &Arc<Self>, freshness: Freshness) -> Result<Lease, UpstreamFailure> {
        if freshness == Freshness::Any
            && let Some(connection) = self.http1.own().take()
        {
            return Ok(Lease::Http1 { connection, reused: true });
        }
        // Seldom needed, and large: kept out of the future of every request.
        let (stream, spoken) = Box::pin(self.connector.connect(Purpose::Exchange)).await?;
        match spoken {
            Spoken::Http1 => Ok(Lease::Http1 { connection: self.http1.own().open(stream), reused: false }),
            Spoken::Http2 | Spoken::Http3 => {
                self.chose_http1.store(false, Ordering::Relaxed);
                http2::open(&self.http2, &self.settings, stream).await?;
                Box::pin(self.lease_shared(false)).await
            }
        }
    }

    /// Waits until some connection has room, and connects where nobody does yet.
    async fn lease_shared(self: &Arc<Self>, grpc: bool) -> Result<Lease, UpstreamFailure> {
        let connect = |attempt| drop(tokio::spawn(Arc::clone(self).attempt(attempt)));
        match self.http2.wait(self.connector.limit, connect, || self.takes_http1(grpc)).await? {
            Some((slot, sender)) => Ok(Lease::Http2(slot, sender)),
            None => self.lease_http1(Freshness::Any).await,
        }
    }

    async fn lease_http3(self: &Arc<Self>) -> Result<Lease, UpstreamFailure> {
        let connect = |attempt| drop(tokio::spawn(Arc::clone(self).attempt_http3(attempt)));
        let waited = self.http3.wait(self.connector.limit, connect, || false).await?;
        let none = || UpstreamFailure::new(FailureKind::Protocol, "no connection had room for another stream");
        Ok(Lease::Http3(Box::new(waited.ok_or_else(none)?)))
    }

    /// Connects on behalf of all requests that wait; none of them owns the attempt, so none that leaves ends it.
    async fn attempt(self: Arc<Self>, attempt: u64) {
        let outcome = self.open().await;
        self.http2.settle(attempt, outcome);
    }

    async fn attempt_http3(self: Arc<Self>, attempt: u64) {
        let connected = self.connect_over_quic().await;
        let outcome =
            connected.and_then(|connection| http3::open(&self.http3, self.settings.max_concurrent_streams, connection));
        self.http3.settle(attempt, outcome);
    }

    async fn open(&self) -> Result<(), UpstreamFailure> {
        let probed = self.connector.speaks == Speaks::Probed;
        if probed && !self.shows_http2.load(Ordering::Relaxed) {
            self.probe().await?;
        }
        match self.connector.connect(Purpose::Exchange).await? {
            (stream, Spoken::Http1) if !probed => {
                let pool = self.http1.own();
                pool.put(pool.open(stream));
                self.chose_http1.store(true, Ordering::Relaxed);
                Ok(())
            }
            (stream, _) => http2::open(&self.http2, &self.settings, stream).await,
        }
    }

    /// Finds out on a connection of its own which protocol is spoken, and remembers it. That the endpoint cannot be
    /// connected to says nothing of it.
    async fn probe(&self) -> Result<(), UpstreamFailure> {
        let deadline = Instant::now() + self.connector.limit;
        let (stream, _) = self.connector.connect(Purpose::Exchange).await?;
        let found = timeout_at(deadline, prior_knowledge::speaks_http2(stream)).await.unwrap_or(false);
        self.shows_http2.store(found, Ordering::Relaxed);
        self.chose_http1.store(!found, Ordering::Relaxed);
        tracing::debug!(endpoint = %self.name(), http2 = found, "upstream probed for HTTP/2");
        if found { Ok(()) } else { Err(UpstreamFailure::new(FailureKind::Protocol, NO_HTTP2)) }
    }

    /// Sends a request over a connection. What the probe found is forgotten where a connection shows that it holds no
    /// longer; one that merely closes on a request shows nothing: apps do that.
    pub(crate) async fn send(
        &self,
        lease: Lease,
        request: Request<RequestBody>,
        told: &Told,
    ) -> Result<Response<Arriving>, Unanswered> {
        let is_probed = self.connector.speaks == Speaks::Probed;
        match lease {
            Lease::Http1 { connection, reused } => {
                let answer = connection.send(request, told).await;
                if is_probed && answer.as_ref().is_err_and(|unanswered| unanswered.is_of_another_protocol(reused)) {
                    self.chose_http1.store(false, Ordering::Relaxed);
                }
                Ok(answer?.map(Arriving::Http1))
            }
            Lease::Http2(slot, sender) => {
                let shown = is_probed.then(|| http2::shown(&slot));
                let answer = http2::send(slot, sender, request, self.connector.limit).await;
                if answer.is_err() && shown.is_some_and(|shown| !shown()) {
                    self.shows_http2.store(false, Ordering::Relaxed);
                }
                Ok(answer?.map(Arriving::Http2))
            }
            Lease::Http3(taken) => {
                let (slot, stream) = *taken;
                let answer = Box::pin(http3::send(slot, stream, request, self.connector.limit)).await;
                Ok(answer?.map(|body| Arriving::Http3(Box::new(body))))
            }
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lease {
    /// Returns the protocol of the connection.
    pub(crate) const fn spoken(&self) -> Spoken {
        match self {
            Self::Http1 { .. } => Spoken::Http1,
            Self::Http2(..) => Spoken::Http2,
            Self::Http3(_) => Spoken::Http3,
        }
    }

    /// Returns whether the connection has served before.
    pub(crate) const fn is_reused(&self) -> bool {
        matches!(self, Self::Http1 { reused: true, .. })
    }
}

/// Why a probed endpoint answers no gRPC.
const NO_HTTP2: &str = "upstream does not speak HTTP/2 without TLS, which gRPC needs";
