//! One request from its head to the last byte of its response: what becomes its audit record, metrics and access event.
//!
//! Everything is written when the value is dropped: once, however the request ends, also when the client leaves.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use audit::{Decision, Ended, Kind, Milliseconds, Outcome, Record, Slot};
use authenticate::Session;
use authorize::ShadowDecision;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use identity::ClientAddress;
use jiff::Timestamp;
use telemetry::{Phase, Served, Trace};
use tokio::time::Instant;

use crate::Snapshot;
use crate::boxed::boxed;
use crate::caller::Caller;
use crate::client_address::TrustedProxies;
use crate::connection::{Connection, TlsFacts};
use crate::decide_again::Closed;
use crate::forward::{Carried, DRAINED, Traffic, Tunnel, Upgrade};
use crate::metrics::{Carries, OpenTunnel, Times};
use crate::request_id::RequestId;
use crate::streams::Streams;
use crate::upstream::Progress;

/// One request, as it will be remembered.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) id: RequestId,
    pub(crate) time: Timestamp,
    /// `GET` for a WebSocket, also where HTTP/2 says `CONNECT`: the same request in another dress.
    pub(crate) method: Method,
    pub(crate) protocol: &'static str,
    pub(crate) host: Box<str>,
    /// The port that a `CONNECT` names.
    pub(crate) port: Option<u16>,
    // Shares what came. Without query where it was refused before it had its normal form; none where there is no path.
    pub(crate) target: Option<PathAndQuery>,
    pub(crate) address: Option<ClientAddress>,
    pub(crate) route: Option<usize>,
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) upstream: Option<Answerer>,
    pub(crate) verdict: Verdict,
    pub(crate) shadow: Option<ShadowDecision>,
    /// What `audit.fields` adds to the record.
    pub(crate) fields: Vec<(Arc<str>, serde_json::Value)>,
    /// Who reads our own answers.
    pub(crate) caller: Caller,
    /// The headers that policies see, where one has looked, for when it decides again.
    pub(crate) headers: Option<Box<HeaderMap>>,
    /// What it asks to become.
    pub(crate) upgrade: Upgrade,
    /// What the route's rules read and the record has no other field for.
    pub(crate) inputs: Box<[(Arc<str>, audit::Input)]>,
    /// The WebSocket or tunnel that this request opened.
    pub(crate) tunnel: Option<Tunnel>,
    /// The trace that it belongs to, where requests are traced.
    pub(crate) trace: Option<Arc<Trace>>,
    /// The configuration that has allowed it again.
    again: Option<Arc<Snapshot>>,
    kind: Kind,
    ended: Vec<Arc<Session>>,
    started: Instant,
    user_agent: Option<HeaderValue>,
    slot: Option<Slot>,
    policy: Option<Duration>,
    upstream_time: Option<Duration>,
    status: u16,
    grpc_status: Option<u16>,
    body: Option<Arc<Progress>>,
    tunnelled: Traffic,
    bytes_out: u64,
}

/// What was decided, and why.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) decision: Decision,
    pub(crate) rule: Option<Arc<str>>,
    /// A stable kebab-case code.
    pub(crate) reason: &'static str,
    /// What exactly failed; for the log, never for the downstream.
    pub(crate) error: Option<Arc<str>>,
}

/// The upstream that answered, or that failed to.
#[derive(Clone, Debug)]
pub(crate) struct Answerer {
    pub(crate) endpoint: Arc<str>,
    pub(crate) protocol: &'static str,
    pub(crate) protocol_reason: &'static str,
    pub(crate) attempts: u32,
}

impl Exchange {
    /// Begins with the head of a request.
    pub(crate) fn begin<B>(connection: Arc<Connection>, request: &Request<B>) -> Box<Self> {
        connection.activity.begin();
        if request.version() == Version::HTTP_2 {
            connection.entrance.metrics.stream_opened();
        }
        let snapshot = connection.snapshot();
        let time = snapshot.clock.now();
        boxed(|| Self {
            id: RequestId::new(time),
            time,
            method: logical_method(request),
            protocol: if request.version() == Version::HTTP_2 { "h2" } else { "http/1.1" },
            host: Box::default(),
            port: None,
            target: None,
            address: None,
            route: None,
            session: None,
            upstream: None,
            verdict: Verdict { decision: Decision::Deny, rule: None, reason: "client-left", error: None },
            shadow: None,
            fields: Vec::new(),
            caller: Caller::of(request),
            headers: None,
            upgrade: Upgrade::None,
            inputs: Box::default(),
            tunnel: None,
            trace: None,
            again: None,
            kind: Kind::Request,
            ended: Vec::new(),
            started: Instant::now(),
            user_agent: request.headers().get(header::USER_AGENT).cloned(),
            slot: None,
            policy: None,
            upstream_time: None,
            status: 0,
            grpc_status: None,
            body: None,
            tunnelled: Traffic::default(),
            bytes_out: 0,
            snapshot,
            connection,
        })
    }

    /// Finds out which trace it belongs to, where requests are traced.
    pub(crate) fn begin_trace(&mut self, headers: &HeaderMap, trusted: &TrustedProxies) {
        if let Some(tracer) = &self.snapshot.tracer {
            let is_trusted = trusted.contains(self.connection.address.peer);
            self.trace = Some(Trace::begin(tracer, headers, is_trusted, self.time, self.started));
        }
    }

    /// Begins a phase of its trace, which ends when the value is dropped.
    pub(crate) fn phase(&self, name: &'static str) -> Option<Phase> {
        self.trace.as_ref().map(|trace| trace.phase(name))
    }

    /// Returns the path in normal form; as it came where that was refused.
    pub(crate) fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }

    /// Returns the query without `?`, as it came.
    pub(crate) fn query(&self) -> &str {
        self.target.as_ref().and_then(PathAndQuery::query).unwrap_or_default()
    }

    /// Notes the path of a request that was refused, where it has none in normal form.
    pub(crate) fn refused_at(&mut self, uri: &Uri) {
        if self.target.is_none() && !uri.path().is_empty() {
            let whole = || uri.path_and_query().cloned();
            self.target = uri.query().map_or_else(whole, |_| PathAndQuery::try_from(uri.path()).ok());
        }
    }

    /// Takes the place of this request's record in the audit log: from here on the record is sure to be written.
    pub(crate) fn reserve(&mut self) -> Result<(), audit::AuditError> {
        self.slot = Some(self.snapshot.audit.reserve()?);
        Ok(())
    }

    /// Writes the decision down before anything is forwarded, and waits until it is in the audit log.
    pub(crate) async fn write_ahead(&mut self) -> Result<(), audit::AuditError> {
        let mut slot = self.snapshot.audit.reserve()?;
        slot.write_ahead(|| self.record(None));
        let _phase = self.phase("audit");
        self.slot.insert(slot).committed().await
    }

    /// Notes how long the decision took.
    pub(crate) fn decided_in(&mut self, duration: Duration) {
        self.policy = Some(self.policy.unwrap_or_default() + duration);
    }

    /// Notes how long the upstream took to answer.
    pub(crate) const fn answered_in(&mut self, duration: Duration) {
        self.upstream_time = Some(duration);
    }

    /// Notes what rules that are not in force would have decided, beside what was decided.
    pub(crate) fn shadowed(&mut self, decision: ShadowDecision, in_force: Decision) {
        let shadow = shadow(&decision).decision;
        if shadow != in_force {
            self.snapshot.metrics_of(self.route).shadow_differs(in_force, shadow);
        }
        self.shadow = Some(decision);
    }

    /// Follows the request's body from here on, to at most so many bytes.
    pub(crate) fn follow_body(&mut self, limit: Option<u64>) -> Arc<Progress> {
        Arc::clone(self.body.get_or_insert_with(|| Arc::new(Progress::limited(limit))))
    }

    /// Returns whether more of the request's body came than may.
    pub(crate) fn body_is_too_large(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.is_too_large())
    }

    /// Returns whether more may happen to it before it is answered: somebody sends on, or calls a method that may stream.
    pub(crate) fn goes_on(&self) -> bool {
        self.caller.is_grpc() || self.body.as_ref().is_some_and(|body| body.is_sending())
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.connection.serving.streams
    }

    /// Returns whether it asks for a WebSocket or a tunnel.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.upgrade != Upgrade::None
    }

    /// Returns whether it asks for a WebSocket.
    pub(crate) const fn is_websocket(&self) -> bool {
        matches!(self.upgrade, Upgrade::WebSocket | Upgrade::ExtendedConnect)
    }

    /// Returns the host, with the port where that tells what is asked for.
    fn authority(&self) -> Cow<'_, str> {
        self.port.map_or(Cow::Borrowed(&self.host), |port| Cow::Owned(format!("{}:{port}", self.host)))
    }

    /// Returns the configuration that has allowed it last.
    pub(crate) fn decided_by(&self) -> &Arc<Snapshot> {
        self.again.as_ref().unwrap_or(&self.snapshot)
    }

    /// Another configuration allows it, too.
    pub(crate) fn decided_again(&mut self, by: Arc<Snapshot>) {
        self.again = Some(by).filter(|by| !Arc::ptr_eq(by, &self.snapshot));
    }

    /// Notes that it is closed before its end, and why.
    pub(crate) fn close(&mut self, closed: &Closed) {
        let (id, route, session) = (self.id.as_str(), self.route_name(), self.session.as_deref());
        closed.note(id, route, session, self.snapshot.metrics_of(self.route));
        self.broke_off(format!("closed: {}", closed.reason));
    }

    /// Counts the WebSocket or tunnel that this request opened as open until the value is dropped.
    pub(crate) fn open_tunnel(&self) -> OpenTunnel {
        let carries = match self.upgrade {
            Upgrade::None | Upgrade::Connect => Carries::Tcp,
            Upgrade::WebSocket | Upgrade::ExtendedConnect => Carries::WebSocket,
        };
        self.snapshot.metrics_of(self.route).open_tunnel(carries)
    }

    /// Ends with what the WebSocket or tunnel carried that this request opened.
    pub(crate) fn carried(mut self: Box<Self>, carried: Carried) {
        self.tunnelled = carried.traffic;
        if let Some(why) = carried.broke_off {
            self.broke_off(why);
        }
    }

    /// Notes what one of our own endpoints did.
    pub(crate) fn did(&mut self, event: authenticate::Event) {
        self.kind = match event.kind {
            authenticate::EventKind::SignIn => Kind::SignIn,
            authenticate::EventKind::SignOut => Kind::SignOut,
            authenticate::EventKind::Revoke => Kind::Revoke,
        };
        self.verdict.reason = event.reason;
        self.verdict.decision = if event.error.is_some() { Decision::Deny } else { Decision::Allow };
        self.verdict.error = event.error;
        if event.session.is_some() {
            self.session = event.session;
        }
        if let (Kind::SignIn, Some(session), Some(address)) = (self.kind, &self.session, &self.address) {
            self.connection.entrance.note_sign_in(address, session.identity().id(), self.time);
        }
        self.ended = event.ended;
    }

    /// Notes the head of the response.
    pub(crate) fn respond(&mut self, status: http::StatusCode, headers: &HeaderMap) {
        self.status = status.as_u16();
        self.grpc_status = grpc_status(headers);
    }

    /// Notes a part of the response's body.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// Notes the trailers of the response.
    pub(crate) fn trailed(&mut self, trailers: &HeaderMap) {
        self.grpc_status = grpc_status(trailers).or(self.grpc_status);
    }

    /// Notes that the response broke off.
    pub(crate) fn broke_off(&mut self, why: impl Into<Arc<str>>) {
        self.verdict.error.get_or_insert_with(|| why.into());
    }

    /// Notes that nobody takes the response any more: the client has left, unless we have closed its connection.
    pub(crate) fn was_left(&mut self, by_client: &'static str) {
        let closed = self.connection.serving.close.is_cancelled();
        self.broke_off(if closed { DRAINED } else { by_client });
    }

    fn record<'a>(&'a self, outcome: Option<Outcome<'a>>) -> Record<'a> {
        Record {
            time: self.time,
            id: self.id.as_str().into(),
            kind: self.kind,
            revision: (&*self.snapshot.revision).into(),
            route: self.route_name().map(Into::into),
            client_ip: self.address.map(|address| address.client.get()),
            peer_ip: Some(self.connection.address.peer.get()),
            client_ip_source: self.address.map(|address| address.source.as_str()),
            caller: self.session.as_deref().map(|session| self.caller_of(session)),
            method: self.method.as_str().into(),
            scheme: self.connection.scheme().as_str(),
            host: self.authority(),
            path: self.path().into(),
            query_keys: query_keys(self.query()),
            protocol: self.protocol,
            tls: self.connection.tls.as_ref().map(tls),
            decision: self.verdict.decision,
            rule: self.verdict.rule.as_deref().map(Into::into),
            reason: self.verdict.reason.into(),
            error: self.verdict.error.as_deref().map(Into::into),
            shadow: self.shadow.as_ref().map(shadow),
            inputs: Cow::Borrowed(&self.inputs),
            fields: Cow::Borrowed(&self.fields),
            trace_id: self.trace_id().map(Into::into),
            user_agent: self.user_agent.as_ref().map(|agent| String::from_utf8_lossy(agent.as_bytes())),
            outcome,
        }
    }

    fn caller_of<'a>(&self, session: &'a Session) -> audit::Caller<'a> {
        let write = |session: &Session| self.snapshot.audit.write_caller(&user(session), session.id().as_str());
        audit::Caller::written(session.described(write))
    }

    /// Describes the end of a request whose decision was written ahead: it was allowed then.
    fn ended(&self, total: Duration) -> Ended<'_> {
        let Verdict { decision, reason, ref error, .. } = self.verdict;
        Ended {
            time: self.time.saturating_add(total).unwrap_or(self.time),
            id: self.id.as_str().into(),
            kind: Kind::Outcome,
            refused: (decision != Decision::Allow).then(|| audit::Refused { decision, reason: reason.into() }),
            error: error.as_deref().map(Into::into),
            outcome: self.outcome(total),
        }
    }

    fn outcome(&self, total: Duration) -> Outcome<'_> {
        Outcome {
            upstream: self.upstream.as_ref().map(|upstream| audit::Upstream {
                endpoint: (&*upstream.endpoint).into(),
                protocol: upstream.protocol,
                protocol_reason: upstream.protocol_reason,
                attempts: upstream.attempts,
            }),
            status: self.status,
            grpc_status: self.grpc_status,
            bytes_in: self.bytes_in(),
            bytes_out: self.bytes_out + self.tunnelled.received,
            ms: Milliseconds {
                policy: self.policy.unwrap_or_default(),
                upstream: self.upstream_time.unwrap_or_default(),
                total,
            },
        }
    }

    /// Describes one of the further sessions that this request ended.
    fn record_of_ended<'a>(&'a self, session: &'a Session, total: Duration) -> Record<'a> {
        let reason = match self.kind {
            Kind::SignIn => "session-replaced",
            Kind::SignOut => "signed-out",
            Kind::Revoke | Kind::Request | Kind::Outcome => "backchannel-logout",
        };
        Record {
            kind: Kind::Revoke,
            caller: Some(self.caller_of(session)),
            decision: Decision::Allow,
            reason: reason.into(),
            error: None,
            shadow: None,
            inputs: Cow::Borrowed(&[]),
            ..self.record(Some(self.outcome(total)))
        }
    }

    /// Tells what failed, also where no access lines are written: a caller who quotes a request id is found here.
    fn report_failure(&self, error: &str) {
        let (id, route, reason) = (self.id.as_str(), self.route_name(), self.verdict.reason);
        let (upstream, trace) = (self.upstream.as_ref().map(|upstream| &*upstream.endpoint), self.trace_id());
        if self.status >= 500 {
            tracing::warn!(
                request.id = id,
                trace.id = trace,
                route.id = route,
                upstream.address = upstream,
                reason,
                error,
                "request failed"
            );
        } else {
            tracing::info!(
                request.id = id,
                trace.id = trace,
                route.id = route,
                upstream.address = upstream,
                reason,
                error,
                "request failed"
            );
        }
    }

    fn end_trace(&self) {
        let (Some(trace), Some(address)) = (&self.trace, self.address) else { return };
        trace.end(&Served {
            request_id: self.id.as_str(),
            method: self.method.as_str(),
            scheme: self.connection.scheme().as_str(),
            host: &self.host,
            path: self.path(),
            version: if self.protocol == "h2" { "2" } else { "1.1" },
            client: address.client.get(),
            peer: address.peer.get(),
            route: self.route_name(),
            decision: decision_name(self.verdict.decision),
            rule: self.verdict.rule.as_deref(),
            reason: self.verdict.reason,
            status: self.status,
        });
    }

    fn trace_id(&self) -> Option<&str> {
        self.trace.as_deref().map(Trace::id)
    }

    fn access(&self, total: Duration) {
        tracing::info!(
            target: "access",
            {
                request.id = self.id.as_str(),
                http.request.method = self.method.as_str(),
                url.path = self.path(),
                http.response.status_code = self.status,
                client.address = self.address.map(|address| tracing::field::display(address.client)),
                server.address = &*self.host,
                upstream.address = self.upstream.as_ref().map(|upstream| &*upstream.endpoint),
                route.id = self.route_name(),
                policy.id = self.verdict.rule.as_deref(),
                subject.id = self.session.as_deref().map(|session| session.identity().id()),
                session.hash = self.session.as_deref().map(|session| session.id().as_str()),
                decision = decision_name(self.verdict.decision),
                reason = self.verdict.reason,
                duration_ms = milliseconds(total),
                trace.id = self.trace_id(),
                error = self.verdict.error.as_deref()
            },
            "access"
        );
    }

    fn route_name(&self) -> Option<&str> {
        let route = self.route.and_then(|route| self.snapshot.route(route));
        route.map(|route| route.config.name.as_str())
    }

    fn bytes_in(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.bytes()) + self.tunnelled.sent
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = Instant::now();
        if self.protocol == "h2" {
            self.connection.entrance.metrics.stream_ended();
        }
        self.connection.activity.end(now);
        if self.status == 0 && self.verdict.decision == Decision::Allow {
            self.was_left("the client left before it was answered");
        }
        let total = now.duration_since(self.started);
        let slot = self.slot.take().map_or_else(|| self.snapshot.audit.reserve(), Ok);
        match slot {
            Ok(slot) if slot.is_ahead() => slot.end(|| self.ended(total)),
            Ok(slot) => slot.write(|| self.record(Some(self.outcome(total)))),
            // Nothing was forwarded: what is forwarded has its place already.
            Err(error) => tracing::error!(request.id = self.id.as_str(), %error, "a refusal has no audit record"),
        }
        for session in &self.ended {
            match self.snapshot.audit.reserve() {
                Ok(slot) => slot.write(|| self.record_of_ended(session, total)),
                Err(error) => {
                    let (id, session) = (self.id.as_str(), session.id().as_str());
                    tracing::error!(request.id = id, session.hash = session, %error, "the end of a session has no audit record");
                }
            }
        }
        let times = Times { policy: self.policy, upstream: self.upstream_time, total };
        self.snapshot.metrics_of(self.route).record(self.verdict.decision, self.status, &times);
        if let Some(error) = &self.verdict.error {
            self.report_failure(error);
        }
        self.access(total);
        self.end_trace();
    }
}

fn tls(tls: &TlsFacts) -> audit::Tls<'_> {
    let client_certificate = tls.client.as_ref().map(|client| audit::ClientCertificate {
        subject: (&*client.certificate.subject).into(),
        fingerprint_sha256: (&*client.certificate.fingerprint_sha256).into(),
    });
    audit::Tls { version: tls.version, sni: (&*tls.sni).into(), client_certificate }
}

fn shadow(decision: &ShadowDecision) -> audit::Shadow<'_> {
    let (decision, rule, reason, error) = match decision {
        ShadowDecision::Allow(rule) => (Decision::Allow, Some(rule), "allow-rule-matched", None),
        ShadowDecision::Deny(denial) => {
            (Decision::Deny, denial.rule.as_ref(), denial.reason.as_str(), denial.error.as_ref())
        }
        ShadowDecision::Challenge => (Decision::Challenge, None, "sign-in-required", None),
    };
    audit::Shadow {
        decision,
        rule: rule.map(|rule| (&**rule).into()),
        reason,
        error: error.map(|error| (&**error).into()),
    }
}

pub(crate) fn user(session: &Session) -> audit::User<'_> {
    let identity = session.identity();
    audit::User {
        id: identity.id().into(),
        email: identity.email().into(),
        groups: Cow::Borrowed(identity.groups()),
        provider: identity.provider().as_str().into(),
    }
}

fn logical_method<B>(request: &Request<B>) -> Method {
    // RFC 8441 §4: the extended CONNECT of HTTP/2 is what `GET` with `Upgrade` is in HTTP/1.1.
    if request.method() == Method::CONNECT && request.extensions().get::<h2::ext::Protocol>().is_some() {
        Method::GET
    } else {
        request.method().clone()
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

/// Returns the names of the query's parameters, each once; never a value.
fn query_keys(query: &str) -> Vec<Cow<'_, str>> {
    let mut keys = Vec::new();
    for pair in query.split('&').take(MAX_QUERY_KEYS) {
        // A bare word may be a token as well as a name.
        let Some((key, _)) = pair.split_once('=') else { continue };
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

const fn decision_name(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
        Decision::Challenge => "challenge",
    }
}

/// Returns a duration as records have it.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A record stays small whatever is asked.
const MAX_QUERY_KEYS: usize = 64;

#[cfg(test)]
mod tests;
