//! The one exit for refusals and failures: chooses the status, and the form that the caller understands.
//!
//! What a caller is told is fixed text, a stable code and the request id. What exactly went wrong is for the log.

mod told;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use authenticate::{StepUp, StepUpUnmet};
use authorize::Denial;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use pages::{Fault, Forbidden};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::body::Content;
use crate::caller::Caller;
use crate::config::{Authentication, Route};
use crate::decide_again::Closed;
use crate::exchange::{Exchange, Verdict};
use crate::sanitize::Refusal;
use crate::upstream::{FailureKind, UpstreamFailure};

use told::{Told, told, told_of_upstream};

/// Why a request is not answered by an upstream.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is not well-formed, or says two things at once.
    Malformed(Refusal),
    /// `CONNECT` to anywhere, `TRACE`, or a method that the routes of the path do not take, with those that they do.
    MethodNotAllowed(Option<String>),
    /// Another certificate serves the host.
    Misdirected,
    /// The client's certificate no longer counts: it ended, or was revoked, after the handshake.
    CertificateEnded,
    /// No route, and none of our own endpoints.
    NotFound,
    /// No route for anything but `CONNECT`.
    OnlyTunnels,
    /// The route opens no WebSockets.
    WebSocketsOff,
    /// The page that opens the WebSocket is of another origin.
    CrossOrigin,
    /// An upgrade that is not WebSocket.
    UpgradeUnsupported,
    /// Somebody must sign in.
    Challenge(Challenge),
    /// More was asked for than the route allows; after so long there is room again.
    RateLimited(Duration),
    /// The request says that its body is larger than the route takes.
    BodyTooLarge,
    /// A policy refused.
    Denied(Denial),
    /// Who is calling cannot be known.
    SessionStoreUnavailable(Arc<str>),
    /// The audit log takes no record.
    AuditUnavailable(Arc<str>),
    /// What the upstream must be told of the user cannot be said.
    IdentityUnavailable {
        /// A stable code.
        reason: &'static str,
        /// What exactly went wrong.
        error: Arc<str>,
    },
    /// It was allowed, and is not any more.
    Closed(Closed),
    /// The upstream gave no response.
    Upstream(UpstreamFailure),
}

/// What somebody who must sign in is told.
#[derive(Debug)]
pub(crate) struct Challenge {
    /// What is wanting.
    pub(crate) wanting: Wanting,
    /// Where to sign in: a URL of the origin that was asked.
    pub(crate) sign_in: String,
    /// What the route asks beyond a sign-in.
    pub(crate) step_up: Option<StepUp>,
}

/// What a request lacks of the sign-in that its route asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanting {
    /// Nobody has signed in.
    SignIn,
    /// Another provider than the route's vouched.
    OtherProvider,
    /// The sign-in is not recent, or not strong, enough.
    StepUp(StepUpUnmet),
}

impl Wanting {
    /// Returns the stable code.
    const fn reason(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in-required",
            Self::OtherProvider => "other-provider-required",
            Self::StepUp(_) => "step-up-required",
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Malformed(refusal)
    }
}

impl Refused {
    /// Returns what it is in the audit record, where a policy or the lack of a session refuses.
    pub(crate) const fn decision(&self) -> audit::Decision {
        if matches!(self, Self::Challenge(_)) { audit::Decision::Challenge } else { audit::Decision::Deny }
    }

    /// Returns whether the client is told that its connection ends: it may not go on with this certificate, or what is
    /// left of the request may still come (RFC 9110 §15.5.9).
    fn ends_connection(&self) -> bool {
        matches!(self, Self::CertificateEnded)
            || matches!(self, Self::Upstream(failure) if failure.kind == FailureKind::ClientSilent)
    }
}

/// Makes the answer to a request that is refused or failed, and notes why.
pub(crate) fn refuse(refused: &Refused, caller: Caller, exchange: &mut Exchange) -> Response<Content> {
    note(refused, exchange);
    let mut response = match (refused, caller) {
        (Refused::Challenge(challenge), Caller::Browser) => redirect_to_sign_in(challenge),
        (Refused::Challenge(challenge), Caller::Program) => unauthenticated(challenge, exchange),
        (Refused::Denied(denial), Caller::Browser) => forbidden_page(denial, exchange),
        (_, Caller::Grpc(content_type)) => grpc(&told(refused), content_type),
        (_, Caller::Browser) => fault_page(&told(refused), exchange),
        (_, Caller::Program) => json(&told(refused), exchange),
    };
    if exchange.method == Method::HEAD {
        // RFC 9110 §9.3.2. Over HTTP/2 nobody takes the content off for us.
        *response.body_mut() = Content::Whole(Bytes::new());
    }
    let headers = response.headers_mut();
    seal(headers, exchange);
    if refused.ends_connection() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Refused::RateLimited(wait) = refused {
        // RFC 9110 §10.2.3: whole seconds; one that is cut short would lead to the next refusal.
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    if let Refused::MethodNotAllowed(allowed) = refused {
        // RFC 9110 §15.5.6.
        let allowed = allowed.as_deref().unwrap_or(METHODS);
        headers.extend(HeaderValue::from_str(allowed).ok().map(|allowed| (header::ALLOW, allowed)));
    }
    response
}

/// Adds the headers that all our own answers have.
pub(crate) fn seal(headers: &mut HeaderMap, exchange: &Exchange) {
    // A cache that kept one user's answer would show it to the next.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Cookie, Accept"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(REQUEST_ID, exchange.id.to_header());
}

/// Answers every request of a redirecting listener.
pub(crate) fn redirect_to_https(location: &str) -> Response<Content> {
    answer(StatusCode::PERMANENT_REDIRECT, &[(header::LOCATION, location)], String::new())
}

/// Writes into the exchange what was decided and why: the log's view of the same refusal.
fn note(refused: &Refused, exchange: &mut Exchange) {
    let deny = |reason, error: Option<&Arc<str>>| Verdict {
        decision: audit::Decision::Deny,
        rule: None,
        reason,
        error: error.cloned(),
    };
    exchange.verdict = match refused {
        Refused::Malformed(refusal) => deny(refusal.code, None),
        Refused::MethodNotAllowed(_) => deny("method-not-allowed", None),
        Refused::Misdirected => deny("misdirected-request", None),
        Refused::CertificateEnded => deny("client-certificate-ended", None),
        Refused::NotFound | Refused::OnlyTunnels => deny("no-route", None),
        Refused::RateLimited(_) => deny("rate-limited", None),
        Refused::BodyTooLarge => deny("request-body-too-large", None),
        Refused::WebSocketsOff => deny("websockets-off", None),
        Refused::CrossOrigin => deny("cross-origin-websocket", None),
        Refused::UpgradeUnsupported => deny("upgrade-not-supported", None),
        Refused::Challenge(challenge) => {
            Verdict { decision: audit::Decision::Challenge, ..deny(challenge.wanting.reason(), None) }
        }
        Refused::Denied(denial) => {
            Verdict { rule: denial.rule.clone(), ..deny(denial.reason.as_str(), denial.error.as_ref()) }
        }
        Refused::SessionStoreUnavailable(error) => deny("session-store-unavailable", Some(error)),
        Refused::AuditUnavailable(error) => deny("audit-unavailable", Some(error)),
        Refused::IdentityUnavailable { reason, error } => deny(reason, Some(error)),
        Refused::Closed(closed) => return exchange.close(closed),
        Refused::Upstream(failure) => {
            // The decision stands: the request was allowed, and what failed came after.
            exchange.verdict.error = Some(failure.detail.as_ref().into());
            return;
        }
    };
}

fn redirect_to_sign_in(challenge: &Challenge) -> Response<Content> {
    answer(StatusCode::FOUND, &[(header::LOCATION, &challenge.sign_in)], String::new())
}

fn unauthenticated(challenge: &Challenge, exchange: &Exchange) -> Response<Content> {
    let (error, wanted) = match challenge.wanting {
        Wanting::SignIn | Wanting::OtherProvider => ("unauthenticated", "Bearer".to_owned()),
        Wanting::StepUp(unmet) => (INSUFFICIENT, insufficient(unmet, challenge.step_up.as_ref())),
    };
    let body = serde_json::json!({
        "error": error,
        "sign_in": challenge.sign_in,
        "request_id": exchange.id.as_str(),
    });
    let headers = [(header::WWW_AUTHENTICATE, &*wanted), (header::CONTENT_TYPE, JSON)];
    answer(StatusCode::UNAUTHORIZED, &headers, body.to_string())
}

/// Says what would be enough (RFC 9470 §3). Nothing in it needs escaping: the values of a step-up hold no quotes.
fn insufficient(unmet: StepUpUnmet, step_up: Option<&StepUp>) -> String {
    let described = match unmet {
        StepUpUnmet::NoTime | StepUpUnmet::Ahead | StepUpUnmet::TooOld => "a more recent sign-in is required",
        StepUpUnmet::OtherClass => "a stronger sign-in is required",
    };
    let mut wanted = format!("Bearer error=\"{INSUFFICIENT}\", error_description=\"{described}\"");
    for (name, value) in step_up.into_iter().flat_map(StepUp::parameters) {
        let _ = write!(wanted, ", {name}=\"{value}\"");
    }
    wanted
}

fn json(told: &Told<'_>, exchange: &Exchange) -> Response<Content> {
    let body = serde_json::json!({
        "error": told.code,
        "message": told.message,
        "request_id": exchange.id.as_str(),
    });
    answer(told.status, &[(header::CONTENT_TYPE, JSON)], body.to_string())
}

/// A trailers-only answer: to a gRPC client an HTTP status says nothing.
fn grpc(told: &Told<'_>, content_type: &'static str) -> Response<Content> {
    let mut response = answer(StatusCode::OK, &[(header::CONTENT_TYPE, content_type)], String::new());
    response.headers_mut().extend(grpc_status(told));
    response
}

/// Makes the trailers that end a gRPC answer which broke off.
pub(crate) fn grpc_trailers(kind: FailureKind) -> HeaderMap {
    grpc_status(&told_of_upstream(kind))
}

fn grpc_status(told: &Told<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(told.grpc));
    let message = utf8_percent_encode(told.message, GRPC_MESSAGE).to_string();
    // What is left is printable ASCII.
    headers.extend(HeaderValue::try_from(message).ok().map(|it| (HeaderName::from_static("grpc-message"), it)));
    headers
}

fn forbidden_page(denial: &Denial, exchange: &Exchange) -> Response<Content> {
    let identity = exchange.session.as_deref().map(|session| session.identity());
    let user = identity.map(|identity| match (identity.email(), identity.name()) {
        ("", "") => identity.subject().as_str(),
        ("", name) => name,
        (email, _) => email,
    });
    let route = exchange.route.and_then(|route| exchange.snapshot.route(route)).map(|route| &route.config);
    let sign_in = sign_in_path(exchange.path(), exchange.query(), route);
    let sign_in = match (user, route.map(|route| route.authenticate)) {
        // Without `prompt`, the session that was refused would sign in again at once.
        (Some(_), _) => Some(format!("{sign_in}&prompt=select_account")),
        (None, Some(Authentication::Optional)) if exchange.snapshot.authenticator.is_some() => Some(sign_in),
        (None, _) => None,
    };
    let page = Forbidden {
        resource: &format!("{}{}", exchange.host, exchange.path()),
        user,
        message: denial.message.as_deref(),
        request_id: exchange.id.as_str(),
        switch_user_url: sign_in.as_deref(),
    };
    html(StatusCode::FORBIDDEN, page.render(&exchange.snapshot.look), exchange)
}

fn fault_page(told: &Told<'_>, exchange: &Exchange) -> Response<Content> {
    let retry = path_and_query(exchange.path(), exchange.query());
    let again = told.status.is_server_error() && told.status != StatusCode::NOT_IMPLEMENTED;
    let page = Fault {
        status: told.status.as_u16(),
        title: told.title,
        message: told.message,
        code: told.code,
        request_id: exchange.id.as_str(),
        retry_url: again.then_some(&*retry),
    };
    html(told.status, page.render(&exchange.snapshot.look), exchange)
}

fn html(status: StatusCode, body: String, exchange: &Exchange) -> Response<Content> {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, exchange.snapshot.look.content_security_policy()),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    answer(status, &headers, body)
}

fn answer(status: StatusCode, headers: &[(HeaderName, &str)], body: String) -> Response<Content> {
    let mut response = Response::new(Content::Whole(Bytes::from(body)));
    *response.status_mut() = status;
    for (name, value) in headers {
        // What comes from a request was percent-encoded on its way here; a value that still is none is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Returns where to sign in as a route asks, and come back to a path of the same host.
pub(crate) fn sign_in_path(path: &str, query: &str, route: Option<&Route>) -> String {
    let back = path_and_query(path, query);
    let mut url = format!("{}?return_to={}", authenticate::SIGN_IN_PATH, utf8_percent_encode(&back, QUERY_VALUE));
    let provider = route.and_then(|route| route.provider.as_ref()).map(|id| ("provider", id.to_string()));
    let step_up = route.and_then(|route| route.step_up.as_ref()).into_iter().flat_map(StepUp::parameters);
    for (name, value) in provider.into_iter().chain(step_up) {
        let _ = write!(url, "&{name}={}", utf8_percent_encode(&value, QUERY_VALUE));
    }
    url
}

fn path_and_query(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Why a `CONNECT` with content is refused, and one behind which something came before it was answered: who between us
/// takes it for a request would see another one than we (S-58).
pub(crate) const AHEAD: Refusal = Refusal::bad_request(
    "connect-with-content",
    "a CONNECT has no content, and nothing may be sent behind it before it is answered with 200",
);

/// The header of the request id, towards both sides.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is taken where a route does not say.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The error of RFC 9470 §3.
const INSUFFICIENT: &str = "insufficient_user_authentication";
const JSON: &str = "application/json";
/// What `grpc-message` must not hold as it is (gRPC over HTTP/2, "Responses").
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

#[cfg(test)]
mod tests;
