//! Hands requests for our own paths to `authenticate`: `/.portcullis/` and the JWKS, on every host that is ours.

use authenticate::{Endpoint, Event, Outcome, Presented, begins_sign_in};
use authorize::Denial;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Limited;
use identity::{ClientAddress, Origin};
use percent_encoding::percent_decode_str;

use crate::body::Content;
use crate::exchange::{Exchange, Verdict};
use crate::facts::{self, HeaderFacts};
use crate::incoming::Incoming;
use crate::respond::{REQUEST_ID, Refused};

/// Returns whether a path is reserved: no route can have it. So is what an app may take for the same, which decodes once more,
/// merges slashes, drops parameters or does not tell cases apart; it is nothing of ours either, and answered 404.
pub(crate) fn is_own(path: &str) -> bool {
    // Few paths begin so, and none of the others is ours.
    let rest = path.trim_start_matches(SLASHES);
    if !rest.starts_with(['.', '%']) {
        return false;
    }
    let decoded = percent_decode_str(rest).decode_utf8_lossy();
    let segments = decoded
        .split(SLASHES)
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .filter(|segment| !segment.is_empty());
    RESERVED.iter().any(|reserved| {
        let mut segments = segments.clone();
        reserved.iter().all(|name| segments.next().is_some_and(|segment| segment.eq_ignore_ascii_case(name)))
    })
}

/// Answers a request for one of our own paths.
pub(crate) async fn serve(
    exchange: &mut Exchange,
    parts: Parts,
    body: Incoming,
    origin: Origin,
    address: ClientAddress,
) -> Result<Response<Content>, Refused> {
    let authenticator = exchange.snapshot.authenticator.clone().ok_or(Refused::NotFound)?;
    if begins_sign_in(parts.uri.path())
        && let Some(denial) = refused_everywhere(exchange, &parts.headers, address)
    {
        return Err(Refused::Denied(denial));
    }
    // Signing in without a record of it would be worse than not signing in.
    exchange.reserve().map_err(|error| Refused::AuditUnavailable(error.to_string().into()))?;
    exchange.verdict = Verdict { decision: audit::Decision::Allow, rule: None, reason: "own-endpoint", error: None };
    let presented = Presented { origin: &origin, headers: &parts.headers, time: exchange.time };
    let outcome = authenticator.authenticate(presented).await;
    let mut apps = Vec::new();
    if let Outcome::Authenticated(session) = &outcome {
        if parts.uri.path() == ACCOUNT {
            apps = exchange.snapshot.apps(session, address);
        }
        exchange.session = Some(std::sync::Arc::clone(session));
    }
    let unavailable = if let Outcome::Unavailable(error) = &outcome { Some(error.to_string()) } else { None };
    let programs = has_tunnel(exchange);
    let endpoint = Endpoint { origin, outcome, address, request_id: exchange.id.as_str().into(), programs, apps };
    let body = axum::body::Body::new(Limited::new(body, MAX_BODY));
    let mut response = authenticator.serve(endpoint, Request::from_parts(parts, body)).await;
    if let Some(event) = response.extensions_mut().remove::<Event>() {
        exchange.did(event);
    } else if let Some(error) = unavailable.filter(|_| response.status() == StatusCode::SERVICE_UNAVAILABLE) {
        exchange.verdict = Verdict {
            decision: audit::Decision::Deny,
            rule: None,
            reason: "session-store-unavailable",
            error: Some(error.into()),
        };
    }
    stamp(response.headers_mut(), exchange);
    Ok(response.map(Content::Own))
}

/// Returns a denial where every route of the host refuses this caller whoever they are: a banned network is not sent to
/// the provider, by no address of ours.
fn refused_everywhere(exchange: &Exchange, headers: &HeaderMap, address: ClientAddress) -> Option<Denial> {
    let headers = HeaderFacts::new(headers);
    let routes = exchange.snapshot.routes_of(exchange.connection.scheme(), &exchange.host);
    let mut denials = routes.map(|(index, route)| {
        let input = facts::input(exchange, address, route, &headers, false);
        exchange.snapshot.authorizer.route(index)?.before_sign_in(&input)
    });
    let first = denials.next()??;
    denials.all(|denial| denial.is_some()).then_some(first)
}

/// Returns whether the host has a tunnel: then programs may have sessions for it.
fn has_tunnel(exchange: &Exchange) -> bool {
    let mut routes = exchange.snapshot.routes_of(exchange.connection.scheme(), &exchange.host);
    routes.any(|(_, route)| route.config.tunnel.is_some())
}

fn stamp(headers: &mut HeaderMap, exchange: &Exchange) {
    headers.insert(REQUEST_ID, exchange.id.to_header());
}

const RESERVED: [&[&str]; 2] = [&[".portcullis"], &[".well-known", "portcullis"]];
const SLASHES: [char; 2] = ['/', '\\'];
/// The page of the user.
pub(crate) const ACCOUNT: &str = "/.portcullis/";
/// Forms and logout tokens are small; whoever sends more wants something else.
const MAX_BODY: usize = 64 * 1024;

#[cfg(test)]
mod tests;
