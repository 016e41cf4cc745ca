//! Decides on a stream that is open, as if it were asked for now.

use std::sync::Arc;

use authenticate::Session;
use authorize::{Decision, Input, Request};
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};

use crate::Snapshot;
use crate::config::Authentication;
use crate::exchange::{self, Exchange};
use crate::facts::{self, HeaderFacts};
use crate::metrics::RouteMetrics;
use crate::route::Match;
use crate::sanitize;
use crate::websocket_origin;

/// Why a stream is closed.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    /// A stable kebab-case code.
    pub(crate) reason: &'static str,
    /// The deny rule, where one held.
    pub(crate) rule: Option<Arc<str>>,
    /// The configuration that decided.
    pub(crate) by: Arc<Snapshot>,
}

impl Closed {
    /// Writes down that a stream is closed: in the log, the audit log and the metrics of its route.
    pub(crate) fn note(&self, id: &str, route: Option<&str>, session: Option<&Session>, metrics: &RouteMetrics) {
        let (reason, revision, rule) = (self.reason, &*self.by.revision, self.rule.as_deref());
        tracing::info!(
            request.id = id,
            route.id = route,
            policy.id = rule,
            config.revision = revision,
            reason,
            "stream closed"
        );
        let details = rule.map(|rule| ("rule", rule));
        let noted = self.by.audit.note(&audit::Event {
            id: Some(id.into()),
            revision: Some(revision.into()),
            route: route.map(Into::into),
            user: session.map(exchange::user),
            session: session.map(|session| session.id().as_str().into()),
            details: details.as_slice(),
            ..audit::Event::new(self.by.clock.now(), audit::EventKind::StreamClosed, "portcullis", reason)
        });
        if let Err(error) = noted {
            tracing::error!(request.id = id, %error, "a closed stream has no audit record");
        }
        metrics.stream_closed(reason);
    }

    /// Returns the gRPC status that tells the caller: 16 asks for credentials, 7 does not.
    pub(crate) fn grpc_code(&self) -> u16 {
        match self.reason {
            "session-ended" | "sign-in-required" | "step-up-required" | "client-certificate-ended" => 16,
            _ => 7,
        }
    }
}

/// Decides again. What is allowed is remembered as decided by the configuration in force.
///
/// # Errors
/// The stream is to be closed.
pub(crate) fn decide_again(exchange: &mut Exchange) -> Result<(), Closed> {
    let current = exchange.connection.snapshot();
    let renewed = exchange.session.as_deref().and_then(Session::renewed);
    let anew = renewed.is_some() || !Arc::ptr_eq(&current, exchange.decided_by());
    if renewed.is_some() {
        exchange.session = renewed;
    }
    match refusal(exchange, &current, anew) {
        None => {
            exchange.decided_again(current);
            Ok(())
        }
        Some((reason, rule)) => Err(Closed { reason, rule, by: current }),
    }
}

/// Returns why it is refused by the configuration in force, over what is known of its user now; the rules are asked `anew`
/// where one of the two is another than before.
fn refusal(exchange: &Exchange, current: &Arc<Snapshot>, anew: bool) -> Option<(&'static str, Option<Arc<str>>)> {
    let because = |reason| Some((reason, None));
    if let Some(session) = exchange.session.as_deref()
        && !current.authenticator.as_ref().is_some_and(|known| known.goes_on(session))
    {
        return because("session-ended");
    }
    if !anew {
        return None;
    }
    let now = current.clock.now();
    if exchange.connection.certificate_ended(current, now) {
        return because("client-certificate-ended");
    }
    let (Some(index), Some(address)) = (route(exchange, current), exchange.address) else { return because("no-route") };
    let (Some(route), Some(policy)) = (current.route(index), current.authorizer.route(index)) else {
        return because("no-route");
    };
    let session = exchange.session.as_ref().filter(|_| route.config.authenticate != Authentication::None);
    let accepted = session.filter(|session| {
        route.config.provider.as_ref().is_none_or(|provider| provider == session.identity().provider())
    });
    if accepted.is_none() && route.config.authenticate == Authentication::Required {
        return because("sign-in-required");
    }
    if let (Some(step_up), Some(session)) = (&route.config.step_up, accepted)
        && step_up.check(session.identity().proof(), now).is_err()
    {
        return because("step-up-required");
    }
    if let Some(headers) = exchange.headers.as_deref().filter(|_| exchange.is_websocket()) {
        let Some(origin) = route.origin(&exchange.host) else { return because("no-route") };
        if websocket_origin::check(headers, &route.config.websockets, &origin).is_err() {
            return because("websocket-refused");
        }
    }
    let none = HeaderMap::new();
    let headers = HeaderFacts::new(exchange.headers.as_deref().unwrap_or(&none));
    let input = facts::input(exchange, address, route, &headers, exchange.caller.calls_a_method());
    let request = Request { time: now, ..input.request };
    let (user, session) = if accepted.is_some() { (input.user, input.session) } else { (None, None) };
    match policy.decide(&Input { request, user, session, ..input }) {
        Decision::Deny(denial) => Some((denial.reason.as_str(), denial.rule)),
        // Headers are kept where the rules have read them before. What rules make of headers that are not there is no answer.
        Decision::Allow(_) if exchange.headers.is_none() && headers.were_read() => because("headers-not-kept"),
        Decision::Allow(_) => None,
    }
}

/// Returns the route that the request would have now.
fn route(exchange: &Exchange, current: &Snapshot) -> Option<usize> {
    if let Some(port) = exchange.port {
        return current.table.tunnel(&exchange.host, port);
    }
    let host = current.table.host(exchange.connection.scheme(), &exchange.host)?;
    let question = if exchange.query().is_empty() { "" } else { "?" };
    let target = format!("{}{question}{}", exchange.path(), exchange.query());
    let uri = Uri::from(PathAndQuery::try_from(target).ok()?);
    let target = sanitize::target(&exchange.method, &uri, host.strictness()).ok()?;
    match host.find(&target, &exchange.method).ok()? {
        Match::Route(index) => Some(index),
        Match::MethodNotAllowed(_) | Match::NotFound => None,
    }
}
