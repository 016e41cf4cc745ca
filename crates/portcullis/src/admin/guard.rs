//! Who may ask the admin listener for something.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use audit::{Event, EventKind};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;
use identity::{Clock as _, Secret, SystemClock};
use tokio::net::TcpListener;

use super::{Console, refusal};

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Our address: the one name besides loopback that the listener answers to.
    own: Option<IpAddr>,
    peer: SocketAddr,
}

impl Connected<IncomingStream<'_, TcpListener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let own = stream.io().local_addr().ok().map(|address| address.ip().to_canonical());
        Self { own, peer: *stream.remote_addr() }
    }
}

/// Who asks, as the audit log names them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operator {
    address: IpAddr,
    showed_token: bool,
}

impl Operator {
    /// Begins the audit record of what they do.
    pub(super) fn event<'a>(actor: &'a str, reason: &'a str) -> Event<'a> {
        Event::new(SystemClock.now(), EventKind::Admin, actor, reason)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.showed_token { " by token" } else { "" };
        write!(f, "admin at {}{how}", self.address)
    }
}

/// Admits those who show the token. Where none is asked for, refuses names: a page in an operator's browser can have its
/// own name point here (DNS rebinding, S-81), but cannot make the browser send an address that is ours.
pub(super) async fn admit(
    Extract(console): Extract<Console>,
    ConnectInfo(ends): ConnectInfo<Ends>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = console.state.in_force().token;
    let showed_token = token.as_ref().is_some_and(|token| shows(request.headers(), token));
    if !showed_token && !host(request.headers()).is_some_and(|host| is_own(host, ends.own)) {
        let message = "reach the admin listener by its address or as localhost, or send the token";
        return refusal(StatusCode::MISDIRECTED_REQUEST, "foreign_host", message, &[]);
    }
    if token.is_some() && !showed_token && !is_probe(&request) {
        let message = "send `Authorization: Bearer` with the value of `admin.token`";
        let mut response = refusal(StatusCode::UNAUTHORIZED, "token_required", message, &[]);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    request.extensions_mut().insert(Operator { address: ends.peer.ip().to_canonical(), showed_token });
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
    let is_json =
        content.is_some_and(|content| content.split(|byte| *byte == b';').next() == Some(b"application/json"));
    if changes && !is_json {
        let message = "send `Content-Type: application/json`, which no web page of another origin can";
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_required", message, &[]);
    }
    next.run(request).await
}

fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    hosts.next().and_then(|host| host.to_str().ok()).filter(|_| hosts.next().is_none())
}

pub(super) fn is_own(host: &str, own: Option<IpAddr>) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || Some(address.to_canonical()) == own,
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}
