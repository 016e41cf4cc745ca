//! One connection from its first message to its end: what becomes its audit record, metrics and log line.
//!
//! Everything is written when the value is dropped, however the connection ends.

use std::borrow::Cow;
use std::sync::Arc;

use audit::{Ended, Kind, Milliseconds, Outcome, Record, Slot};
use authenticate::Session;
use authorize::{Decision, Grpc, Input, Permit, Request, RouteFacts, RoutePolicy, Tls};
use http::HeaderMap;
use identity::ClientAddress;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::hello::Invalid;
use super::route::Loaded;
use crate::Snapshot;
use crate::decide_again::Closed;
use crate::facts::HeaderFacts;
use crate::forward::Traffic;
use crate::metrics::{Carries, OpenTunnel, RouteMetrics, Times};
use crate::request_id::RequestId;
use crate::streams::{Lasting, Streams};

/// One connection, as it will be remembered.
#[derive(Debug)]
pub(super) struct Visit {
    traffic: Traffic,
    snapshot: Arc<Snapshot>,
    // Another configuration that has allowed it since.
    again: Option<Arc<Snapshot>>,
    streams: Arc<Streams>,
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
    endpoint: Option<Arc<str>>,
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
        Self { error: Some(invalid.reason.into()), ..Self::with("tls-hello-invalid", invalid.alert) }
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
    pub(super) fn begin(snapshot: Arc<Snapshot>, streams: Arc<Streams>, address: ClientAddress) -> Self {
        let time = snapshot.clock.now();
        Self {
            traffic: Traffic::default(),
            again: None,
            streams,
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
        let decided = self.ask(policy, route, self.time);
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

    /// Decides again, by the configuration in force. What is allowed is remembered as decided by it.
    ///
    /// # Errors
    /// The connection is to be closed; that is written down.
    pub(super) fn decide_again(&mut self, current: Arc<Snapshot>) -> Result<(), Closed> {
        let refused = match current.passthrough.find(&self.server_name).and_then(|index| current.passthrough.get(index))
        {
            None => Some(("no-route", None)),
            Some(route) => match current.authorizer.route(route.policy) {
                None => Some(("no-route", None)),
                Some(policy) => match self.ask(policy, route, current.clock.now()) {
                    Decision::Allow(_) => None,
                    Decision::Deny(denial) => Some((denial.reason.as_str(), denial.rule)),
                },
            },
        };
        let Some((reason, rule)) = refused else {
            self.again = Some(current);
            return Ok(());
        };
        let closed = Closed { reason, rule, by: current };
        let route = self.loaded().map(|route| route.config.name.as_str());
        closed.note(self.id.as_str(), route, None, self.metrics());
        Err(closed)
    }

    fn ask(&self, policy: &RoutePolicy, route: &Loaded, time: Timestamp) -> Decision {
        let (headers, host) = (HeaderMap::new(), &self.server_name);
        policy.decide(&Input {
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
                time,
                protocol: SCHEME,
                id: self.id.as_str(),
                grpc: Grpc::default(),
                tls: Tls { version: "", sni: host, client_certificate: None },
            },
            user: None,
            session: None,
            route: RouteFacts { name: &route.config.name, host },
        })
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
            self.endpoint = Some(Arc::clone(&endpoint.name));
            match endpoint.dial.open(async |tcp| Ok(tcp)).await {
                Ok(stream) => {
                    self.times.upstream = Some(began.elapsed());
                    return Ok(stream);
                }
                Err(failure) => last = failure.detail.into_owned(),
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

    /// Counts the connection as open until the value is dropped.
    pub(super) fn open_tunnel(&self) -> OpenTunnel {
        self.metrics().open_tunnel(Carries::Tls)
    }

    /// Notes what was carried, and why it broke off, if it did.
    pub(super) fn carried(&mut self, traffic: Traffic, broke_off: Option<String>) {
        self.traffic = traffic;
        self.error = broke_off.map(Into::into);
    }

    fn metrics(&self) -> &RouteMetrics {
        self.loaded().map_or_else(|| self.snapshot.metrics_of(None), |route| &route.metrics)
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
            caller: None,
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
                policy: self.times.policy.unwrap_or_default(),
                upstream: self.times.upstream.unwrap_or_default(),
                total: self.times.total,
            },
        }
    }
}

impl Lasting for Visit {
    fn streams(&self) -> &Streams {
        &self.streams
    }

    fn session(&self) -> Option<&Arc<Session>> {
        None
    }

    fn decided_by(&self) -> &Arc<Snapshot> {
        self.again.as_ref().unwrap_or(&self.snapshot)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.times.total = self.started.elapsed();
        match self.slot.take().map_or_else(|| self.snapshot.audit.reserve(), Ok) {
            Ok(slot) if slot.is_ahead() => slot.end(|| self.ended()),
            Ok(slot) => slot.write(|| self.record(Some(self.outcome()))),
            Err(error) => tracing::error!(request.id = self.id.as_str(), %error, "a refusal has no audit record"),
        }
        self.metrics().record(self.decision, 0, &self.times);
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

// Alerts of RFC 8446 §6.2.
const ACCESS_DENIED: u8 = 49;
const INTERNAL_ERROR: u8 = 80;
const UNRECOGNIZED_NAME: u8 = 112;
