//! What we sign for upstreams: who is calling, as a short-lived JWT for one host.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use identity::Origin;
use jiff::Timestamp;
use serde::Serialize;

use crate::{AuthenticateError, Keys, Session};

/// The assertions of one session, one for each host that was called lately. Read without a lock.
#[derive(Debug, Default)]
pub(crate) struct AssertionCache(ArcSwap<Vec<Assertion>>);

#[derive(Clone, Debug)]
struct Assertion {
    audience: Origin,
    value: HeaderValue,
    signed: Timestamp,
    // Half of its life: an upstream never gets one that is about to end.
    fresh_until: Timestamp,
}

#[derive(Serialize)]
struct AssertionClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    email: &'a str,
    groups: &'a [Box<str>],
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    sid: &'a str,
    // The provider's issuer: tells equal subjects of two providers apart.
    idp: &'a str,
    iat: i64,
    exp: i64,
}

/// Returns the assertion about `session` for `audience`.
pub(crate) fn assertion(
    session: &Session,
    audience: &Origin,
    keys: &Keys,
    now: Timestamp,
) -> Result<HeaderValue, AuthenticateError> {
    let cached = session.assertions().0.load();
    if let Some(assertion) = cached.iter().find(|assertion| assertion.is_fresh(now) && assertion.audience == *audience)
    {
        return Ok(assertion.value.clone());
    }
    let value = sign(session, audience, keys, now)?;
    let fresh_until = now.checked_add(LIFE / 2).unwrap_or(now);
    let new = Assertion { audience: audience.clone(), value: value.clone(), signed: now, fresh_until };
    // Two requests at once may both sign; the list keeps whichever came last, and both are good.
    let others = cached.iter().filter(|other| other.is_fresh(now) && other.audience != *audience);
    let list = std::iter::once(new).chain(others.cloned()).take(MAX_AUDIENCES).collect();
    session.assertions().0.store(Arc::new(list));
    Ok(value)
}

impl Assertion {
    fn is_fresh(&self, now: Timestamp) -> bool {
        // Signed in the future: the clock was set back, and upstreams would refuse the `iat`.
        self.signed <= now && now < self.fresh_until
    }
}

fn sign(session: &Session, audience: &Origin, keys: &Keys, now: Timestamp) -> Result<HeaderValue, AuthenticateError> {
    let identity = session.identity();
    // Without the port: routes on one host share it, and apps seldom know under which port they are seen.
    let host = audience.host();
    let iat = now.as_second();
    let claims = AssertionClaims {
        iss: host,
        aud: host,
        sub: identity.subject().as_str(),
        email: identity.email(),
        groups: identity.groups(),
        name: identity.name(),
        sid: session.id().as_str(),
        idp: identity.issuer().as_str(),
        iat,
        exp: iat.saturating_add(LIFE.as_secs().cast_signed()),
    };
    let token = keys.sign(&claims).ok_or(AuthenticateError::Unsigned)?;
    let mut value =
        HeaderValue::from_maybe_shared(bytes::Bytes::from(token)).map_err(|_| AuthenticateError::Unsigned)?;
    value.set_sensitive(true);
    Ok(value)
}

/// How long an assertion is good. Longer means that an upstream believes in a session that has ended.
const LIFE: Duration = Duration::from_secs(300);

/// How many hosts of one session are remembered.
const MAX_AUDIENCES: usize = 32;

#[cfg(test)]
mod tests;
