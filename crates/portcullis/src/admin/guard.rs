//! Who may ask the admin listener for something.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use audit::{Event, EventKind};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;
use identity::{Clock as _, Secret, SystemClock};
use proxy::{OperatorCertificate, OperatorTls};

use super::socket::Socket;
use super::{Console, refusal};

/// The two ends of a connection.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    /// Our address: the one name besides loopback that the listener answers to in cleartext.
    own: Option<IpAddr>,
    peer: SocketAddr,
    is_tls: bool,
    certificate: Option<Arc<OperatorCertificate>>,
}

impl Ends {
    pub(super) fn new(own: Option<SocketAddr>, peer: SocketAddr) -> Self {
        Self { own: own.map(|own| own.ip().to_canonical()), peer, is_tls: false, certificate: None }
    }

    pub(super) fn over_tls(self, certificate: Option<OperatorCertificate>) -> Self {
        Self { is_tls: true, certificate: certificate.map(Arc::new), ..self }
    }
}

impl Connected<IncomingStream<'_, Socket>> for Ends {
    fn connect_info(stream: IncomingStream<'_, Socket>) -> Self {
        stream.remote_addr().clone()
    }
}

/// Who asks, as the audit log names them.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    address: IpAddr,
    showed: Showed,
}

/// How somebody showed that they are an operator.
#[derive(Clone, Debug)]
enum Showed {
    Nothing,
    Token,
    Certificate(Arc<OperatorCertificate>),
}

impl Operator {
    /// Begins the audit record of what they do.
    pub(super) fn event<'a>(kind: EventKind, actor: &'a str, reason: &'a str) -> Event<'a> {
        Event::new(SystemClock.now(), kind, actor, reason)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "admin at {}", self.address)?;
        match &self.showed {
            Showed::Nothing => Ok(()),
            Showed::Token => f.write_str(" by token"),
            Showed::Certificate(certificate) => write!(f, " by certificate of {}", certificate.subject()),
        }
    }
}

/// Admits those who show a certificate or the token. Where neither is shown, refuses names that are not ours: a page in an
/// operator's browser can have its own name point here (DNS rebinding, S-81), but cannot make the browser send an address
/// that is ours, nor take a certificate for its own.
pub(super) async fn admit(
    Extract(console): Extract<Console>,
    ConnectInfo(ends): ConnectInfo<Ends>,
    mut request: Request,
    next: Next,
) -> Response {
    let snapshot = console.server.snapshot();
    let tls = snapshot.entrances().operators().map(|tls| &**tls);
    let token = console.state.in_force().token;
    let showed = shown(&request, &ends, token.as_ref(), tls);
    let is_ours = |host: &str| is_own(host, ends.own) || ends.is_tls && tls.is_some_and(|tls| covers(tls, host));
    if !matches!(showed, Showed::Token) && !host(&request).is_some_and(|host| is_ours(&host)) {
        let message = "reach the admin listener by its address, as localhost or by a name of its certificate, or send the \
                       token";
        return refusal(StatusCode::MISDIRECTED_REQUEST, "foreign_host", message, &[]);
    }
    let asks_for_certificate = tls.is_some_and(OperatorTls::asks);
    if matches!(showed, Showed::Nothing) && (token.is_some() || asks_for_certificate) && !is_probe(&request) {
        return not_shown(token.is_some(), asks_for_certificate);
    }
    request.extensions_mut().insert(Operator { address: ends.peer.ip().to_canonical(), showed });
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn shown(request: &Request, ends: &Ends, token: Option<&Secret>, tls: Option<&OperatorTls>) -> Showed {
    let now = SystemClock.now();
    match &ends.certificate {
        Some(certificate) if tls.is_some_and(|tls| tls.admits(certificate, now)) => {
            Showed::Certificate(Arc::clone(certificate))
        }
        Some(_) | None if token.is_some_and(|token| shows(request.headers(), token)) => Showed::Token,
        Some(_) | None => Showed::Nothing,
    }
}

fn not_shown(token: bool, certificate: bool) -> Response {
    let message = match (token, certificate) {
        (true, true) => {
            "show a certificate that `admin.tls.client_auth` believes, or send `Authorization: Bearer` with the value of \
             `admin.token`"
        }
        (true, false) => "send `Authorization: Bearer` with the value of `admin.token`",
        (false, _) => "show a certificate that `admin.tls.client_auth` believes",
    };
    let error = if token { "token_required" } else { "certificate_required" };
    let mut response = refusal(StatusCode::UNAUTHORIZED, error, message, &[]);
    if token {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Load balancers and kubelets ask for nothing but these, and have no token.
fn is_probe(request: &Request) -> bool {
    let path = request.uri().path();
    path == "/healthz" || path == "/readyz" && request.uri().query().is_none()
}

fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(shown), None) = (shown.next(), shown.next()) else { return false };
    let shown = shown.as_bytes().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    // In constant time, or the time would tell how much of a guess was right.
    shown.is_some_and(|(_, shown)| {
        aws_lc_rs::constant_time::verify_slices_are_equal(shown, token.expose().as_bytes()).is_ok()
    })
}

/// Refuses to change anything for a web page in an operator's browser. Such a page can send requests here, but none with
/// this content type unless it is allowed to first (a CORS preflight), and no preflight is answered.
pub(super) async fn refuse_other_pages(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let content = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_json = content.and_then(|content| content.split(|byte| *byte == b';').next());
    let is_json = is_json.is_some_and(|content| content.trim_ascii().eq_ignore_ascii_case(b"application/json"));
    if changes && !is_json {
        let message = "send `Content-Type: application/json`, which no web page of another origin can";
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_required", message, &[]);
    }
    next.run(request).await
}

/// HTTP/2 names the host in the target.
fn host(request: &Request) -> Option<String> {
    if request.version() == Version::HTTP_2 {
        return request.uri().authority().map(ToString::to_string);
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    hosts.next().and_then(|host| host.to_str().ok()).filter(|_| hosts.next().is_none()).map(str::to_owned)
}

fn covers(tls: &OperatorTls, host: &str) -> bool {
    host.parse::<axum::http::uri::Authority>().is_ok_and(|authority| tls.covers(authority.host()))
}

pub(super) fn is_own(host: &str, own: Option<IpAddr>) -> bool {
    // No browser says who asks in front of the host.
    let Some(authority) = host.parse::<axum::http::uri::Authority>().ok().filter(|_| !host.contains('@')) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || Some(address.to_canonical()) == own,
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}
