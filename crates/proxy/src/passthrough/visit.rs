//! One connection from its first message to its end: what becomes its audit record, metrics and log line.
//!
//! Everything is written when the value is dropped, however the connection ends.

use std::borrow::Cow;
use std::sync::Arc;

use audit::{Ended, Kind, Milliseconds, Outcome, Record, Slot};
use authorize::{Decision, Grpc, Input, Permit, Request, RouteFacts, Tls};
use http::HeaderMap;
use identity::ClientAddress;
use jiff::Timestamp;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::hello::Invalid;
use super::route::Loaded;
use crate::Snapshot;
use crate::exchange::milliseconds;
use crate::facts::HeaderFacts;
use crate::forward::Traffic;
use crate::metrics::Times;
use crate::request_id::RequestId;

/// One connection, as it will be remembered.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) traffic: Traffic,
    snapshot: Arc<Snapshot>,
    address: ClientAddress,
    id: RequestId,
    time: Timestamp,
    started: Instant,
    server_name: Box<str>,
    route: Option<usize>,
    decision: audit::Decision,
    rule: Option<Arc<str>>,
    reason: &'static str,
    error: Option<Arc<str>>,
    slot: Option<Slot>,
    times: Times,
    endpoint: Option<String>,
    attempts: u32,
}

/// Why a connection is not passed on.
#[derive(Debug)]
pub(super) struct Refused {
    /// What the client is told.
    pub(super) alert: Vec<u8>,
    // A decision that stands has no code: what failed came after it.
    code: Option<&'static str>,
    rule: Option<Arc<str>>,
    error: Option<Arc<str>>,
}

/// The place of a route among those of TLS connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteIndex(usize);

impl Refused {
    pub(super) fn hello(invalid: Invalid) -> Self {
        Self { alert: invalid.alert, error: Some(invalid.reason.into()), ..Self::with("tls-hello-invalid", None) }
    }

    pub(super) fn late() -> Self {
        Self { error: Some("it did not come in time".into()), ..Self::with("tls-hello-invalid", None) }
    }

    fn with(code: &'static str, alert: Option<u8>) -> Self {
        // RFC 8446 §5.1 and §6: a fatal alert in a record of its own.
        let alert = alert.map(|description| vec![21, 3, 3, 0, 2, 2, description]).unwrap_or_default();
        Self { alert, code: Some(code), rule: None, error: None }
    }
}

impl Visit {
    pub(super) fn begin(snapshot: Arc<Snapshot>, address: ClientAddress) -> Self {
        let time = snapshot.clock.now();
        Self {
            traffic: Traffic::default(),
            address,
            id: RequestId::new(time),
            time,
            started: Instant::now(),
            server_name: Box::default(),
            route: None,
            decision: audit::Decision::Deny,
            rule: None,
            reason: "client-left",
            error: None,
            slot: None,
            times: Times::default(),
            endpoint: None,
            attempts: 0,
            snapshot,
        }
    }

    /// Finds the route of a server name.
    pub(super) fn find(&mut self, server_name: Option<&str>) -> Result<RouteIndex, Refused> {
        let name = server_name.ok_or_else(|| Refused::with("server-name-missing", Some(UNRECOGNIZED_NAME)))?;
        self.server_name = name.into();
        let index = self.snapshot.passthrough.find(name);
        let index = index.ok_or_else(|| Refused::with("no-route", Some(UNRECOGNIZED_NAME)))?;
        self.route = Some(index);
        Ok(RouteIndex(index))
    }

    /// Decides by what is known: the address and the server name.
    pub(super) fn decide(&mut self, route: &RouteIndex) -> Result<Permit, Refused> {
        let snapshot = Arc::clone(&self.snapshot);
        let none = || Refused::with("no-route", Some(UNRECOGNIZED_NAME));
        let route = snapshot.passthrough.get(route.0).ok_or_else(none)?;
        let policy = snapshot.authorizer.route(route.policy).ok_or_else(none)?;
        let began = Instant::now();
        let (headers, host) = (HeaderMap::new(), &self.server_name);
        let decided = policy.decide(&Input {
            request: Request {
                ip: self.address.client,
                peer_ip: self.address.peer,
                ip_source: self.address.source.as_str(),
                method: "",
                scheme: SCHEME,
                host,
                path: "",
                query: "",
                headers: &HeaderFacts::new(&headers),
                time: self.time,
                protocol: SCHEME,
                id: self.id.as_str(),
                grpc: Grpc::default(),
                tls: Tls { version: "", sni: host, client_certificate: None },
            },
            user: None,
            session: None,
            route: RouteFacts { name: &route.config.name, host },
        });
        self.times.policy = Some(began.elapsed());
        let permit = match decided {
            Decision::Allow(permit) => permit,
            Decision::Deny(denial) => {
                return Err(Refused {
                    rule: denial.rule,
                    error: denial.error,
                    ..Refused::with(denial.reason.as_str(), Some(ACCESS_DENIED))
                });
            }
        };
        self.decision = audit::Decision::Allow;
        (self.rule, self.reason) = match permit.grounds() {
            Ok(rule) => (Some(Arc::clone(rule)), "allow-rule-matched"),
            Err(_) => (None, "shadow-mode"),
        };
        Ok(permit)
    }

    /// Writes the decision down before anything is passed on.
    pub(super) async fn write_ahead(&mut self) -> Result<(), Refused> {
        let unavailable = |error: audit::AuditError| Refused {
            error: Some(error.to_string().into()),
            ..Refused::with("audit-unavailable", Some(INTERNAL_ERROR))
        };
        let mut slot = self.snapshot.audit.reserve().map_err(unavailable)?;
        slot.write_ahead(|| self.record(None));
        self.slot.insert(slot).committed().await.map_err(unavailable)
    }

    /// Connects to the first endpoint that answers. Takes the permit: nothing is reached without one.
    pub(super) async fn connect(&mut self, route: &RouteIndex, _permit: Permit) -> Result<TcpStream, Refused> {
        let snapshot = Arc::clone(&self.snapshot);
        let began = Instant::now();
        let mut last = "there is no endpoint".to_owned();
        let route = snapshot.passthrough.get(route.0);
        for endpoint in route.into_iter().flat_map(Loaded::endpoints) {
            self.attempts += 1;
            self.endpoint = Some(format!("tcp://{}:{}", endpoint.host, endpoint.port));
            let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
            let limit = route.map_or(std::time::Duration::ZERO, |route| route.config.connect);
            match timeout(limit, TcpStream::connect((host, endpoint.port))).await {
                Ok(Ok(stream)) => {
                    self.times.upstream = Some(began.elapsed());
                    let _ = stream.set_nodelay(true);
                    // Nobody else would notice that the machine at the other end has gone.
                    let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
                    return Ok(stream);
                }
                Ok(Err(error)) => last = format!("cannot connect to `{}:{}`: {error}", endpoint.host, endpoint.port),
                Err(_) => last = format!("cannot connect to `{}:{}` within {limit:?}", endpoint.host, endpoint.port),
            }
        }
        Err(Refused { code: None, error: Some(last.into()), ..Refused::with("", Some(INTERNAL_ERROR)) })
    }

    /// Notes why the connection is not passed on.
    pub(super) fn refuse(&mut self, refused: &Refused) {
        if let Some(code) = refused.code {
            self.decision = audit::Decision::Deny;
            self.reason = code;
            self.rule.clone_from(&refused.rule);
        }
        self.error.clone_from(&refused.error);
    }

    /// Notes that one side broke off.
    pub(super) fn broke_off(&mut self, why: &str) {
        self.error = Some(why.into());
    }

    fn loaded(&self) -> Option<&Loaded> {
        self.route.and_then(|index| self.snapshot.passthrough.get(index))
    }

    fn record<'a>(&'a self, outcome: Option<Outcome<'a>>) -> Record<'a> {
        Record {
            time: self.time,
            id: self.id.as_str().into(),
            kind: Kind::Request,
            revision: self.snapshot.revision().into(),
            route: self.loaded().map(|route| route.config.name.as_str().into()),
            client_ip: Some(self.address.client.get()),
            peer_ip: Some(self.address.peer.get()),
            client_ip_source: Some(self.address.source.as_str()),
            user: None,
            session: None,
            method: "".into(),
            scheme: SCHEME,
            host: (&*self.server_name).into(),
            path: "".into(),
            query_keys: Vec::new(),
            protocol: SCHEME,
            tls: Some(audit::Tls { version: "", sni: (&*self.server_name).into(), client_certificate: None }),
            decision: self.decision,
            rule: self.rule.as_deref().map(Into::into),
            reason: self.reason.into(),
            error: self.error.as_deref().map(Into::into),
            shadow: None,
            inputs: Cow::Borrowed(&[]),
            fields: Cow::Borrowed(&[]),
            trace_id: None,
            user_agent: None,
            outcome,
        }
    }

    fn ended(&self) -> Ended<'_> {
        Ended {
            time: self.time.saturating_add(self.times.total).unwrap_or(self.time),
            id: self.id.as_str().into(),
            kind: Kind::Outcome,
            refused: (self.decision != audit::Decision::Allow)
                .then(|| audit::Refused { decision: self.decision, reason: self.reason.into() }),
            error: self.error.as_deref().map(Into::into),
            outcome: self.outcome(),
        }
    }

    fn outcome(&self) -> Outcome<'_> {
        Outcome {
            upstream: self.endpoint.as_deref().map(|endpoint| audit::Upstream {
                endpoint: endpoint.into(),
                protocol: "tcp",
                protocol_reason: "configured",
                attempts: self.attempts,
            }),
            status: 0,
            grpc_status: None,
            bytes_in: self.traffic.sent,
            bytes_out: self.traffic.received,
            ms: Milliseconds {
                policy: milliseconds(self.times.policy.unwrap_or_default()),
                upstream: milliseconds(self.times.upstream.unwrap_or_default()),
                total: milliseconds(self.times.total),
            },
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.times.total = self.started.elapsed();
        match self.slot.take().map_or_else(|| self.snapshot.audit.reserve(), Ok) {
            Ok(slot) if slot.is_ahead() => slot.end(&self.ended()),
            Ok(slot) => slot.write(&self.record(Some(self.outcome()))),
            Err(error) => tracing::error!(request.id = self.id.as_str(), %error, "a refusal has no audit record"),
        }
        let metrics = self.loaded().map_or_else(|| self.snapshot.metrics_of(None), |route| &route.metrics);
        metrics.record(self.decision, 0, &self.times);
        if let Some(error) = &self.error {
            let (route, name) = (self.loaded().map(|route| route.config.name.as_str()), &*self.server_name);
            let (id, client) = (self.id.as_str(), self.address.client);
            tracing::info!(
                request.id = id,
                route.id = route,
                client.address = %client,
                server.address = name,
                reason = self.reason,
                error = &**error,
                "tls connection failed"
            );
        }
    }
}

/// What takes the place of a scheme and of a protocol.
const SCHEME: &str = "tls";

const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(60);

// Alerts of RFC 8446 §6.2.
const ACCESS_DENIED: u8 = 49;
const INTERNAL_ERROR: u8 = 80;
const UNRECOGNIZED_NAME: u8 = 112;
