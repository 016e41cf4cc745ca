//! What makes an ID token acceptable: signature, algorithm, key, and every claim that bounds it.
//!
//! The library checks signature, issuer, audience, expiry and nonce. What it leaves to its caller is checked here on
//! the claims as they were signed: `azp`, `iat`, `nbf`, `at_hash`, and that each is of the type that it must be.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use identity::Secret;
use jiff::Timestamp;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IssuerUrl, Nonce, SignatureVerificationError,
};
use serde_json::{Map, Value};

use super::provider::Known;

/// What an ID token must say.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) occasion: Occasion<'a>,
    pub(super) now: Timestamp,
}

/// What an ID token was made for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Occasion<'a> {
    /// A sign-in, which sent this nonce.
    SignIn {
        /// Ties the token to the request.
        nonce: &'a Secret,
    },
    /// The refresh of a session whose last token said this.
    Refresh {
        /// Its claims.
        before: &'a Map<String, Value>,
    },
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The key set has no key of that id, or none that fits where none is named.
    #[error("it is signed with a key that the provider's key set does not have")]
    UnknownKey,
    /// The signature is not the provider's.
    #[error("signature: {0}")]
    Signature(String),
    /// A header parameter is missing or not acceptable.
    #[error("its header {0}")]
    Header(&'static str),
    /// A claim is missing or not acceptable.
    #[error("`{0}` {1}")]
    Claim(&'static str, &'static str),
}

/// Verifies an ID token and returns its claims (OpenID Connect Core 1.0 §3.1.3.7).
pub(super) fn verify_id_token(
    known: &Known,
    token: &CoreIdToken,
    expected: &Expected<'_>,
    access_token: &AccessToken,
) -> Result<Map<String, Value>, Refused> {
    let text = token.to_string();
    let header = part(&text, 0).ok_or(Refused::Header("cannot be read"))?;
    let signed = part(&text, 1).ok_or(Refused::Header("cannot be read"))?;
    check_header(&header)?;
    let issuer = IssuerUrl::new(expected.issuer.to_owned()).map_err(|_| Refused::Claim("iss", "is no URL"))?;
    let now = DateTime::<Utc>::from_timestamp(expected.now.as_second(), 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(expected.client_id.to_owned()),
        issuer,
        known.keys.clone(),
    )
    // Else the library would trust whatever the provider lists, and by default RS256 alone.
    .set_allowed_algs(known.metadata.signing_algorithms())
    .set_time_fn(move || now - TimeDelta::seconds(LEEWAY));
    let claims = token
        .claims(&verifier, |nonce: Option<&Nonce>| expected.occasion.check_nonce(nonce))
        .map_err(|error| refusal(error).of_key(&header))?;
    if let Some(hash) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|_| Refused::Header("names no algorithm"))?;
        let key = token.signing_key(&verifier).map_err(|_| Refused::UnknownKey)?;
        let actual = AccessTokenHash::from_token(access_token, algorithm, key)
            .map_err(|_| Refused::Claim("at_hash", "cannot be computed"))?;
        if *hash != actual {
            return Err(Refused::Claim("at_hash", "does not match the access token"));
        }
    }
    check_times(&signed, expected.now)?;
    check_parties(&signed, expected.client_id)?;
    if let Occasion::Refresh { before } = expected.occasion {
        check_continuity(&signed, before)?;
    }
    Ok(signed)
}

impl Refused {
    /// A provider that names no keys has others when a signature does not fit.
    pub(super) fn of_key(self, header: &Map<String, Value>) -> Self {
        match self {
            Self::Signature(_) if !header.contains_key("kid") => Self::UnknownKey,
            Self::UnknownKey | Self::Signature(_) | Self::Header(_) | Self::Claim(..) => self,
        }
    }
}

impl Occasion<'_> {
    /// At a refresh the nonce may be missing; where it is there, it is that of the sign-in (OpenID Connect Core 1.0 §12.2).
    fn check_nonce(&self, found: Option<&Nonce>) -> Result<(), String> {
        let (expected, may_be_missing) = match self {
            Self::SignIn { nonce } => (Some(nonce.expose()), false),
            Self::Refresh { before } => (before.get("nonce").and_then(Value::as_str), true),
        };
        // The library compares nonces in constant time.
        let same = match (found, expected) {
            (None, _) => may_be_missing,
            (Some(found), Some(expected)) => *found == Nonce::new(expected.to_owned()),
            (Some(_), None) => false,
        };
        if same { Ok(()) } else { Err("the nonce is another".into()) }
    }
}

/// OpenID Connect Core 1.0 §12.2: a refresh is about the same user, and brings a token that was made since.
fn check_continuity(claims: &Map<String, Value>, before: &Map<String, Value>) -> Result<(), Refused> {
    if claims.get("sub") != before.get("sub") {
        return Err(Refused::Claim("sub", "names another user than the session"));
    }
    if instant(claims, "iat")? < instant(before, "iat")?.map(|issued| issued - LEEWAY) {
        return Err(Refused::Claim("iat", "lies before that of the token before"));
    }
    Ok(())
}

/// Refuses headers that let the sender choose the key. One without `kid` is good where a single key fits (OpenID Connect Core
/// 1.0 §10.1): of several, none is tried.
pub(super) fn check_header(header: &Map<String, Value>) -> Result<(), Refused> {
    if ["jwk", "jku", "x5u", "x5c", "crit"].iter().any(|name| header.contains_key(*name)) {
        return Err(Refused::Header("brings a key of its own, or a critical extension"));
    }
    match header.get("kid") {
        None => Ok(()),
        Some(Value::String(kid)) if !kid.is_empty() => Ok(()),
        Some(_) => Err(Refused::Header("has a `kid` that names no key")),
    }
}

/// Checks `exp`, `iat` and `nbf` as they were signed: whole numbers, never texts (CVE-2026-25537).
pub(super) fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Refused> {
    let now = now.as_second();
    if instant(claims, "exp")?.ok_or(Refused::Claim("exp", "is missing"))? <= now - LEEWAY {
        return Err(Refused::Claim("exp", "has passed"));
    }
    if instant(claims, "iat")?.ok_or(Refused::Claim("iat", "is missing"))? > now + LEEWAY {
        return Err(Refused::Claim("iat", "lies in the future"));
    }
    if instant(claims, "nbf")?.is_some_and(|not_before| not_before > now + LEEWAY) {
        return Err(Refused::Claim("nbf", "lies in the future"));
    }
    Ok(())
}

fn check_parties(claims: &Map<String, Value>, client_id: &str) -> Result<(), Refused> {
    if claims.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Refused::Claim("sub", "is missing, empty or no text"));
    }
    match claims.get("azp") {
        None => Ok(()),
        Some(Value::String(party)) if party == client_id => Ok(()),
        // A token that was made for another client, even if we are named as an audience.
        Some(_) => Err(Refused::Claim("azp", "names another client")),
    }
}

fn instant(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, Refused> {
    claims
        .get(name)
        .map(|value| {
            value.as_i64().filter(|seconds| *seconds > 0).ok_or(Refused::Claim(name, "is no whole number of seconds"))
        })
        .transpose()
}

/// Reads one part of a compact JWS as a JSON object. What is read is unverified.
pub(super) fn part(token: &str, index: usize) -> Option<Map<String, Value>> {
    let part = token.split('.').nth(index)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn refusal(error: ClaimsVerificationError) -> Refused {
    match error {
        ClaimsVerificationError::Expired(_) => Refused::Claim("exp", "has passed"),
        ClaimsVerificationError::InvalidAudience(_) => Refused::Claim("aud", "names another client, or more than us"),
        ClaimsVerificationError::InvalidIssuer(_) => Refused::Claim("iss", "names another provider"),
        ClaimsVerificationError::InvalidNonce(_) => Refused::Claim("nonce", "is not the one that was sent"),
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            Refused::UnknownKey
        }
        ClaimsVerificationError::SignatureVerification(error) => Refused::Signature(error.to_string()),
        ClaimsVerificationError::InvalidAuthContext(_)
        | ClaimsVerificationError::InvalidAuthTime(_)
        | ClaimsVerificationError::InvalidSubject(_)
        | ClaimsVerificationError::Other(_)
        | ClaimsVerificationError::Unsupported(_)
        | _ => Refused::Header("is not acceptable"),
    }
}

/// Seconds by which clocks may differ. Wider, and a token that has ended is accepted for so much longer.
const LEEWAY: i64 = 60;
