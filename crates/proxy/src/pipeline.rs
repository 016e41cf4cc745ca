//! The phases of one request, in order: start reading here.
//!
//! A phase is called only from here, returns a value, and never calls an earlier one. Whatever refuses leaves by
//! `respond.rs`; whatever happens, the exchange is recorded once.

use std::pin::pin;
use std::sync::Arc;

use authenticate::{Authenticator, Outcome, Presented, Session};
use authorize::{Decision, Permit, ShadowDecision};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body::Body as _;
use identity::{AddressSource, ClientAddress, Origin, Scheme};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::assert_identity::{Signed, assert_identity};
use crate::body::{Content, ResponseBody};
use crate::caller::Caller;
use crate::client_address::{Told, client_address, client_header, watch_for_lost_addresses};
use crate::config::{Authentication, CorsPreflight, HashBy, Route, WebSockets};
use crate::connection::Connection;
use crate::decide_again::decide_again;
use crate::exchange::{Exchange, Verdict};
use crate::facts::{self, HeaderFacts};
use crate::forward::{Farewell, Forward, Forwarded, Tries, Tunnel, Upgrade, forward};
use crate::http1;
use crate::incoming::Incoming;
use crate::interim::Interim;
use crate::respond::{self, Challenge, Refused, Wanting};
use crate::route::{HostRoutes, Match};
use crate::sanitize::{self, Strictness, Target};
use crate::snapshot::{LoadedRoute, Snapshot};
use crate::streams::{Opening, Stream};
use crate::upstream::{Credential, TrailerRules, stable_hash};
use crate::{Rewrites, cors_preflight, max_forwards, own_endpoints, rewrite, via, websocket_origin};

/// Answers one request.
pub(crate) async fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
    interim: Interim,
) -> Response<ResponseBody> {
    let mut exchange = Exchange::begin(connection, &request);
    let caller = exchange.caller;
    let answered = phases(&mut exchange, request, caller, &interim).await;
    let response = answered.unwrap_or_else(|refused| respond::refuse(&refused, caller, &mut exchange));
    exchange.respond(response.status(), response.headers());
    match exchange.tunnel.take() {
        None => response.map(|content| ResponseBody::new(content, exchange)),
        Some(tunnel) => {
            // The exchange lasts as long as the WebSocket or tunnel that it opened.
            let tunnels = exchange.connection.serving.tunnels.clone();
            tunnels.spawn(watch_tunnel(exchange, tunnel));
            response.map(ResponseBody::of_tunnel)
        }
    }
}

/// Answers a head that is refused before it is a request: recorded as any other, with what was understood of it.
pub(crate) fn refuse(connection: Arc<Connection>, head: http1::Refused) -> Response<ResponseBody> {
    let mut request = Request::new(());
    // As in access logs: a method that nobody knows.
    *request.method_mut() = head.method.or_else(|| Method::from_bytes(b"-").ok()).unwrap_or_default();
    let mut exchange = Exchange::begin(connection, &request);
    exchange.target = head.target;
    exchange.address = exchange.connection.direct_address();
    let response = respond::refuse(&Refused::Malformed(head.refusal), Caller::Program, &mut exchange);
    exchange.respond(response.status(), response.headers());
    response.map(|content| ResponseBody::new(content, exchange))
}

/// Decides again on a WebSocket or tunnel where there is a doubt, until it has ended.
async fn watch_tunnel(mut exchange: Box<Exchange>, tunnel: Tunnel) {
    let Tunnel { mut carried, part } = tunnel;
    let _open = exchange.open_tunnel();
    let mut stream = Stream::new(exchange.streams());
    let carried = loop {
        tokio::select! {
            carried = &mut carried => break carried,
            () = stream.doubt(&*exchange) => {}
        }
        match decide_again(&mut exchange) {
            Ok(()) => stream.leave(exchange.streams()),
            Err(closed) => {
                exchange.close(&closed);
                // One that has ended meanwhile needs no farewell.
                let _ = part.send(Farewell::PolicyViolation);
                break carried.await;
            }
        }
    };
    stream.leave(exchange.streams());
    exchange.carried(carried.unwrap_or_default());
}

async fn phases(
    exchange: &mut Exchange,
    request: Request<Incoming>,
    caller: Caller,
    interim: &Interim,
) -> Result<Response<Content>, Refused> {
    let snapshot = Arc::clone(&exchange.snapshot);
    let (mut parts, body) = request.into_parts();
    let received = receive(exchange, &mut parts, &snapshot).inspect_err(|_| exchange.refused_at(&parts.uri));
    let (arrived, destination) = received?;
    let index = match destination {
        Destination::Redirect(location) => return Ok(redirected(exchange, &location)),
        Destination::Own(origin) => {
            return Box::pin(own_endpoints::serve(exchange, parts, body, origin, arrived.address)).await;
        }
        Destination::Route(index) => index,
    };
    exchange.route = Some(index);
    let route = snapshot.route(index).ok_or(Refused::NotFound)?;
    let origin = route.origin(&exchange.host).ok_or(Refused::NotFound)?;
    check_upgrade(arrived.upgrade, &parts.headers, &route.config.websockets, &origin)?;
    exchange.upgrade = arrived.upgrade;
    // Before our cookies are taken out: whoever brings any is no browser that asks beforehand.
    let passes = route.config.cors_preflight == CorsPreflight::Pass;
    let preflight = passes && cors_preflight::is(&parts, &body, arrived.upgrade);
    let phase = exchange.phase("authenticate");
    exchange.session = authenticate(&snapshot, &origin, route, &parts.headers, exchange.time).await?;
    drop(phase);
    Authenticator::strip_cookies(&mut parts.headers);
    limit_rate(exchange, route, arrived.address)?;
    let phase = exchange.phase("policy");
    let permit = if preflight {
        pass_preflight(exchange, &parts.headers, arrived.address, (index, route))?
    } else {
        decide(exchange, &parts.headers, arrived.address, (index, route), &origin, caller)?
    };
    drop(phase);
    if route.config.max_request_body.is_some_and(|limit| body.size_hint().lower() > limit) {
        return Err(Refused::BodyTooLarge);
    }
    let unrecorded = |error: audit::AuditError| Refused::AuditUnavailable(error.to_string().into());
    if let Some(answer) = &route.config.rewrites.answer {
        exchange.write_ahead().await.map_err(unrecorded)?;
        return Ok(rewrite::answer(permit, answer, exchange));
    }
    if max_forwards::ends_here(&parts.method, &mut parts.headers) {
        exchange.write_ahead().await.map_err(unrecorded)?;
        return Ok(max_forwards::answer(permit, &route.config.methods, exchange));
    }
    let told = tell_upstream(exchange, &permit, &mut parts.headers, arrived, route, &origin)?;
    via::add(&mut parts.headers, parts.version)?;
    rewrite_request(&mut parts, &route.config.rewrites)?;
    exchange.write_ahead().await.map_err(unrecorded)?;
    send(exchange, permit, route, Request::from_parts(parts, body), &told, interim).await
}

/// What the first three phases found.
struct Arrived {
    /// The host that was asked for, with its port where one was given.
    host: HeaderValue,
    port: Option<u16>,
    address: ClientAddress,
    upgrade: Upgrade,
}

/// Who answers.
enum Destination {
    /// The https listener.
    Redirect(String),
    /// One of our own endpoints, of that origin.
    Own(Origin),
    /// The route at that place of the configuration.
    Route(usize),
}

/// Phases 1 to 3: normal form, client address, route. From here on only the normal form is looked at.
fn receive(exchange: &mut Exchange, parts: &mut Parts, snapshot: &Snapshot) -> Result<(Arrived, Destination), Refused> {
    let connection = Arc::clone(&exchange.connection);
    let entrance = connection.entrance_in(snapshot);
    let trusted = &entrance.trusted_proxies;
    let address = client_address(connection.address, &parts.headers, trusted, &entrance.config.forwarded_header);
    // The record of what is refused before anything else says who sent it, too.
    exchange.address = address.as_ref().ok().copied();
    if exchange.method == Method::TRACE {
        return Err(Refused::MethodNotAllowed(None));
    }
    let connects = exchange.method == Method::CONNECT;
    let authority = if connects { sanitize::connect_authority(parts) } else { sanitize::authority(parts) }?;
    let asked = authority.to_header(parts.headers.get(header::HOST)).map_err(|_| Refused::NotFound)?;
    let port = authority.port();
    exchange.host = authority.into_host();
    exchange.port = port.filter(|_| connects);
    if connection.is_misdirected(&exchange.host) {
        return Err(Refused::Misdirected);
    }
    if connection.certificate_ended(snapshot, exchange.time) {
        return Err(Refused::CertificateEnded);
    }
    let host = snapshot.table.host(connection.scheme(), &exchange.host);
    let strictness = host.map_or(Strictness::Lenient, HostRoutes::strictness);
    // RFC 9110 §9.3.6: a CONNECT has no path.
    let target = (!connects).then(|| sanitize::target(&exchange.method, &parts.uri, strictness)).transpose()?;
    let normal = target.as_ref().map(Target::to_path_and_query).transpose().map_err(|_| Refused::NotFound)?;
    exchange.target.clone_from(&normal);
    let address = address?;
    exchange.begin_trace(&parts.headers, trusted);
    watch_for_lost_addresses(&entrance.config.name, &address, &parts.headers, trusted, &entrance.metrics);
    let destination = match &target {
        Some(target) => destination(exchange, snapshot, host, target)?,
        None => tunnel(exchange, snapshot, parts)?,
    };
    if let Some(normal) = normal {
        parts.uri = Uri::from(normal);
    }
    if parts.version == Version::HTTP_2 {
        sanitize::values(&parts.headers)?;
    }
    let removed = sanitize::headers(&mut parts.headers, &snapshot.removed, entrance.config.limits.underscore_headers)?;
    let upgrade = upgrade(parts, removed)?;
    Ok((Arrived { host: asked, port, address, upgrade }, destination))
}

fn destination(
    exchange: &Exchange,
    snapshot: &Snapshot,
    host: Option<&HostRoutes>,
    target: &Target<'_>,
) -> Result<Destination, Refused> {
    let scheme = exchange.connection.scheme();
    if exchange.connection.entrance_in(snapshot).config.http_redirect && !target.path().starts_with(ACME_CHALLENGE) {
        return Ok(Destination::Redirect(https_location(exchange, snapshot)));
    }
    if own_endpoints::is_own(target.path()) {
        return snapshot.own_origin(scheme, &exchange.host).map(Destination::Own).ok_or(Refused::NotFound);
    }
    let no_host = || match scheme {
        Scheme::Https if snapshot.table.has_tunnels(&exchange.host) => Refused::OnlyTunnels,
        Scheme::Http | Scheme::Https => Refused::NotFound,
    };
    match host.ok_or_else(no_host)?.find(target, &exchange.method)? {
        Match::Route(index) => Ok(Destination::Route(index)),
        Match::MethodNotAllowed(allow) => Err(Refused::MethodNotAllowed(Some(allow.to_header()))),
        Match::NotFound => Err(Refused::NotFound),
    }
}

/// Finds the route of a `CONNECT`. To anywhere else there is none: we are nobody's forward proxy.
fn tunnel(exchange: &Exchange, snapshot: &Snapshot, parts: &Parts) -> Result<Destination, Refused> {
    let port = exchange.port.filter(|_| exchange.connection.scheme() == Scheme::Https);
    let route = port.and_then(|port| snapshot.table.tunnel(&exchange.host, port));
    let index = route.ok_or(Refused::MethodNotAllowed(None))?;
    // RFC 9110 §9.3.6: it has no content. What somebody between us takes for content we would take for the tunnel's.
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let has_content =
        parts.headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0");
    if has_content || http1::is_ahead(&parts.extensions) {
        return Err(Refused::Malformed(respond::AHEAD));
    }
    Ok(Destination::Route(index))
}

/// Returns what a request asks to become. A WebSocket is asked for with `GET`, or by extended CONNECT.
fn upgrade(parts: &Parts, asked: sanitize::Upgrade) -> Result<Upgrade, Refused> {
    if let Some(protocol) = parts.extensions.get::<h2::ext::Protocol>() {
        return if protocol.as_str() == "websocket" {
            Ok(Upgrade::ExtendedConnect)
        } else {
            Err(Refused::UpgradeUnsupported)
        };
    }
    if parts.method == Method::CONNECT {
        return Ok(Upgrade::Connect);
    }
    match asked {
        sanitize::Upgrade::WebSocket if parts.method == Method::GET && parts.version == Version::HTTP_11 => {
            websocket_origin::check_key(&parts.headers)?;
            Ok(Upgrade::WebSocket)
        }
        // RFC 9110 §7.8: a server may ignore the wish, and the request goes on without it. `h2c` above all: behind an
        // upgraded connection no request would be decided on.
        sanitize::Upgrade::None | sanitize::Upgrade::WebSocket | sanitize::Upgrade::Other => Ok(Upgrade::None),
    }
}

fn check_upgrade(upgrade: Upgrade, headers: &HeaderMap, allowed: &WebSockets, own: &Origin) -> Result<(), Refused> {
    match upgrade {
        Upgrade::None | Upgrade::Connect => Ok(()),
        Upgrade::WebSocket | Upgrade::ExtendedConnect => websocket_origin::check(headers, allowed, own),
    }
}

fn https_location(exchange: &Exchange, snapshot: &Snapshot) -> String {
    let (host, path, query) = (&exchange.host, exchange.path(), exchange.query());
    let port = snapshot.https_port(host).filter(|port| *port != 443).map(|port| format!(":{port}"));
    let question = if query.is_empty() { "" } else { "?" };
    format!("https://{host}{}{path}{question}{query}", port.unwrap_or_default())
}

fn redirected(exchange: &mut Exchange, location: &str) -> Response<Content> {
    exchange.verdict =
        Verdict { decision: audit::Decision::Allow, rule: None, reason: "redirected-to-https", error: None };
    let mut response = respond::redirect_to_https(location);
    respond::seal(response.headers_mut(), exchange);
    response
}

/// Phase 4: who is calling. Nobody is an answer; not knowing is a refusal.
async fn authenticate(
    snapshot: &Snapshot,
    origin: &Origin,
    route: &LoadedRoute,
    headers: &HeaderMap,
    time: Timestamp,
) -> Result<Option<Arc<Session>>, Refused> {
    let authenticator = match (route.config.authenticate, &snapshot.authenticator) {
        (Authentication::None, _) | (Authentication::Optional, None) => return Ok(None),
        (Authentication::Required, None) => {
            return Err(Refused::SessionStoreUnavailable("no provider is configured".into()));
        }
        (Authentication::Required | Authentication::Optional, Some(authenticator)) => authenticator,
    };
    match authenticator.authenticate(Presented { origin, headers, time }).await {
        Outcome::NotAuthenticated => Ok(None),
        Outcome::Authenticated(session) => Ok(Some(session)),
        Outcome::Unavailable(error) => Err(Refused::SessionStoreUnavailable(error.to_string().into())),
    }
}

/// Refuses whoever asks for more than the route allows.
fn limit_rate(exchange: &Exchange, route: &LoadedRoute, address: ClientAddress) -> Result<(), Refused> {
    let Some(limiter) = &route.rate_limiter else { return Ok(()) };
    let user = exchange.session.as_deref().map(|session| session.identity().id());
    limiter.take(user, address.client, Instant::now()).map_err(Refused::RateLimited)
}

/// Phase 5: deny rules that need nobody, then whether somebody must sign in, then the policy.
fn decide(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    address: ClientAddress,
    (index, route): (usize, &LoadedRoute),
    origin: &Origin,
    caller: Caller,
) -> Result<Permit, Refused> {
    let snapshot = Arc::clone(&exchange.snapshot);
    let began = Instant::now();
    let policy = snapshot.authorizer.route(index).ok_or(Refused::NotFound)?;
    // A session of another provider than the route asks for proves nothing to this route.
    let accepted = |session: &Arc<Session>| {
        route.config.provider.as_ref().is_none_or(|provider| provider == session.identity().provider())
    };
    let stranger = exchange.session.take_if(|session| !accepted(session)).is_some();
    let wanting = wanting(exchange, &route.config, stranger);
    let (seen, headers) = (headers, HeaderFacts::new(headers));
    let (decided, shadow, (fields, inputs)) = {
        let input = facts::input(exchange, address, route, &headers, caller.calls_a_method());
        let fields: Vec<_> = snapshot.authorizer.fields(&input).collect();
        let kept = (fields, route.inputs.keep(&input));
        if let Some(wanting) = wanting {
            let refused = policy
                .before_sign_in(&input)
                .map_or_else(|| Refused::Challenge(challenge(exchange, route, origin, wanting)), Refused::Denied);
            (Err(refused), policy.shadow_before_sign_in(&input), kept)
        } else {
            let decision = policy.decide(&input);
            let shadow = policy.shadow(&input, &decision);
            match decision {
                Decision::Allow(permit) => (Ok(permit), shadow, kept),
                Decision::Deny(denial) => (Err(Refused::Denied(denial)), shadow, kept),
            }
        }
    };
    exchange.inputs = inputs;
    exchange.decided_in(began.elapsed());
    exchange.fields = fields;
    if headers.were_read() || exchange.is_tunnel() {
        exchange.headers = Some(Box::new(seen.clone()));
    }
    if let Some(shadow) = shadow {
        exchange.shadowed(shadow, decided.as_ref().map_or_else(Refused::decision, |_| audit::Decision::Allow));
    }
    let permit = decided?;
    let (rule, reason) = match permit.grounds() {
        Ok(rule) => (Some(Arc::clone(rule)), "allow-rule-matched"),
        // What the policy says is in `shadow`.
        Err(_) => (None, "shadow-mode"),
    };
    exchange.verdict = Verdict { decision: audit::Decision::Allow, rule, reason, error: None };
    Ok(permit)
}

/// Phase 5 of a CORS preflight that the route passes: only the deny rules that need nobody.
fn pass_preflight(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    address: ClientAddress,
    (index, route): (usize, &LoadedRoute),
) -> Result<Permit, Refused> {
    let snapshot = Arc::clone(&exchange.snapshot);
    let began = Instant::now();
    let policy = snapshot.authorizer.route(index).ok_or(Refused::NotFound)?;
    let headers = HeaderFacts::new(headers);
    let input = facts::input(exchange, address, route, &headers, false);
    let decision = policy.pass_cors_preflight(&input);
    // Nor would rules that are not in force ask for sign-in.
    let shadow = policy.shadow_before_sign_in(&input).filter(|shadow| matches!(shadow, ShadowDecision::Deny(_)));
    let (fields, inputs) = (snapshot.authorizer.fields(&input).collect(), route.inputs.keep(&input));
    exchange.fields = fields;
    exchange.inputs = inputs;
    exchange.decided_in(began.elapsed());
    let decided = match decision {
        Decision::Allow(permit) => Ok(permit),
        Decision::Deny(denial) => Err(Refused::Denied(denial)),
    };
    if let Some(shadow) = shadow {
        exchange.shadowed(shadow, decided.as_ref().map_or_else(Refused::decision, |_| audit::Decision::Allow));
    }
    let permit = decided?;
    let rule = permit.grounds().ok().cloned();
    exchange.verdict = Verdict { decision: audit::Decision::Allow, rule, reason: "cors-preflight", error: None };
    Ok(permit)
}

/// Returns what a request lacks of the sign-in that its route asks for.
fn wanting(exchange: &Exchange, route: &Route, stranger: bool) -> Option<Wanting> {
    match exchange.session.as_deref() {
        None if route.authenticate != Authentication::Required => None,
        None if stranger => Some(Wanting::OtherProvider),
        None => Some(Wanting::SignIn),
        Some(session) => {
            let unmet = route.step_up.as_ref()?.check(session.identity().proof(), exchange.time).err()?;
            Some(Wanting::StepUp(unmet))
        }
    }
}

fn challenge(exchange: &Exchange, route: &LoadedRoute, origin: &Origin, wanting: Wanting) -> Challenge {
    // Nobody can come back to a tunnel by browser.
    let back = if route.config.tunnel.is_some() { own_endpoints::ACCOUNT } else { exchange.path() };
    let sign_in = respond::sign_in_path(back, exchange.query(), Some(&route.config));
    let step_up = route.config.step_up.clone();
    Challenge { wanting, sign_in: format!("{origin}{sign_in}"), step_up }
}

/// Phase 7: what the upstream learns of the caller and of the request.
fn tell_upstream(
    exchange: &Exchange,
    permit: &Permit,
    headers: &mut HeaderMap,
    arrived: Arrived,
    route: &LoadedRoute,
    origin: &Origin,
) -> Result<Told, Refused> {
    let scheme = exchange.connection.scheme();
    let unavailable = |reason, error: &dyn std::error::Error| {
        let error = error.to_string().into();
        Refused::IdentityUnavailable { reason, error }
    };
    let client = match arrived.address.source {
        AddressSource::Peer | AddressSource::ProxyProtocol => exchange.connection.client_header.clone(),
        AddressSource::XForwardedFor | AddressSource::Forwarded | AddressSource::Header => {
            client_header(arrived.address.client).map_err(|error| unavailable("forwarded-header-invalid", &error))?
        }
    };
    let mut told = Told::new(client, scheme, arrived.host, arrived.port, exchange.id.to_header());
    let single = exchange.connection.single_header(&exchange.snapshot, headers);
    if let Some(name) = single.filter(|name| told.get(name).is_none()) {
        headers.insert(name, told.client().clone());
    }
    let caller = exchange.session.as_deref().map(|session| Signed {
        session,
        authenticator: exchange.snapshot.authenticator.as_deref(),
        audience: origin,
        time: exchange.time,
    });
    let credential = route.cluster.credential().map(Credential::name);
    credential.into_iter().for_each(|name| told.leave(name));
    assert_identity(permit, headers, route.config.identity.as_ref(), caller, &mut told)
        .map_err(|error| unavailable(error.code(), &error))?;
    Ok(told)
}

/// Phase 9 begins with what the route changes of a request. None of it was there to be decided by.
fn rewrite_request(parts: &mut Parts, rewrites: &Rewrites) -> Result<(), Refused> {
    if let Some(path) = &rewrites.path {
        parts.uri = rewrite::path(path, &parts.uri)?;
    }
    rewrite::headers(&rewrites.request_headers, &mut parts.headers);
    Ok(())
}

/// A request that is forwarded. Its record says where it went however that ends, also when its client leaves.
struct Sending<'a, 'route> {
    exchange: &'a mut Exchange,
    began: Instant,
    tries: Tries<'route>,
}

impl Drop for Sending<'_, '_> {
    fn drop(&mut self) {
        self.exchange.answered_in(self.began.elapsed());
        self.exchange.upstream = self.tries.last();
    }
}

/// Phase 9: forwards. Takes the permit, so that nothing is forwarded twice or without one.
async fn send(
    exchange: &mut Exchange,
    permit: Permit,
    route: &LoadedRoute,
    request: Request<Incoming>,
    told: &Told,
    interim: &Interim,
) -> Result<Response<Content>, Refused> {
    let began = Instant::now();
    let progress = (!request.body().is_end_stream()).then(|| exchange.follow_body(route.config.max_request_body));
    // A client may send for hours before it is answered, and a gRPC stream be open as long before its first message.
    let lasts = progress.is_some() || exchange.caller.is_grpc();
    let (connection, trace) = (Arc::clone(&exchange.connection), exchange.trace.clone());
    let serving = &connection.serving;
    let trailers = TrailerRules {
        removed: Arc::clone(&exchange.snapshot.removed),
        underscores: connection.entrance_in(&exchange.snapshot).config.limits.underscore_headers,
        credential: route.cluster.credential().map(|credential| Arc::clone(credential.name())),
    };
    let context = Forward {
        hash: route.cluster.hash_by().map(|by| hash(by, exchange, request.headers(), told)),
        grpc: exchange.caller.is_grpc(),
        upgrade: exchange.upgrade,
        told,
        tunnels: &serving.tunnels,
        stop: &serving.stop,
        close: &serving.close,
        progress,
        trailers: &trailers,
        trace: trace.as_ref(),
        interim,
    };
    let forwarded = {
        let mut sending = Sending { exchange: &mut *exchange, began, tries: Tries::default() };
        let mut forwarding = pin!(forward(permit, &route.cluster, request, context, &mut sending.tries));
        if lasts {
            let mut opening = Opening::new(&serving.streams);
            loop {
                tokio::select! {
                    biased;
                    forwarded = &mut forwarding => break forwarded,
                    () = opening.doubt(began, &*sending.exchange) => {}
                }
                // What has come whole is a request in flight: it ends by the configuration that admitted it.
                if sending.exchange.goes_on() {
                    decide_again(sending.exchange).map_err(Refused::Closed)?;
                }
                opening.leave();
            }
        } else {
            forwarding.await
        }
    };
    let Forwarded { response, tunnel } = forwarded.map_err(Refused::Upstream)?;
    exchange.tunnel = tunnel;
    let mut response = response.map(Content::Upstream);
    if exchange.upgrade == Upgrade::Connect {
        response.headers_mut().insert(respond::REQUEST_ID, exchange.id.to_header());
    }
    drop_own_cookies(response.headers_mut());
    rewrite::headers(&route.config.rewrites.response_headers, response.headers_mut());
    Ok(response)
}

/// Stands for what keeps a caller at one endpoint.
fn hash(by: &HashBy, exchange: &Exchange, headers: &HeaderMap, told: &Told) -> u64 {
    let known = match by {
        HashBy::User => exchange.session.as_deref().map(|session| stable_hash(&session.identity().id())),
        HashBy::Header(name) => {
            told.get(name).or_else(|| headers.get(name)).map(|value| stable_hash(&value.as_bytes()))
        }
        HashBy::ClientAddress => None,
    };
    known.unwrap_or_else(|| stable_hash(&exchange.address.map(|address| address.client.get())))
}

/// An upstream that could set our cookies could sign its users in as somebody else.
fn drop_own_cookies(headers: &mut HeaderMap) {
    if !headers.get_all(header::SET_COOKIE).iter().any(Authenticator::is_own_cookie) {
        return;
    }
    if let header::Entry::Occupied(cookies) = headers.entry(header::SET_COOKIE) {
        let (name, all) = cookies.remove_entry_mult();
        let theirs: Vec<_> = all.filter(|cookie| !Authenticator::is_own_cookie(cookie)).collect();
        for cookie in theirs {
            headers.append(&name, cookie);
        }
    }
}

/// Certificate authorities ask for this over cleartext (RFC 8555 §8.3).
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

#[cfg(test)]
mod tests;
