//! Logout tokens: how a provider says that a session has ended (OpenID Connect Back-Channel Logout 1.0 §2.4 to §2.6).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Issuer, Subject};
use jiff::Timestamp;
use openidconnect::{JsonWebKey as _, JsonWebKeyAlgorithm, JsonWebKeyUse as _, JwsSigningAlgorithm as _};
use serde_json::{Map, Value};

use super::provider::Known;
use super::token::{self, Refused};
use super::{Provider, metadata};

/// What a verified logout token asks for.
#[derive(Debug)]
pub(crate) struct Logout {
    /// The provider.
    pub(crate) issuer: Issuer,
    /// Whose sessions end; all of them, unless `session` is given.
    pub(crate) subject: Option<Subject>,
    /// The provider's session that has ended.
    pub(crate) session: Option<String>,
    /// Names the token: it is honoured once.
    pub(crate) id: String,
}

impl Provider {
    /// Returns whether a token claims to be from this provider, for our client there. The claim is not verified by this.
    pub(crate) fn is_claimed_by(&self, token: &str) -> bool {
        token::part(token, 1).is_some_and(|claims| {
            claims.get("iss").and_then(Value::as_str) == Some(self.config.issuer.as_str()) && self.is_for_us(&claims)
        })
    }

    /// Verifies a logout token. The error says why it is refused.
    pub(crate) async fn verify_logout_token(&self, token: &str) -> Result<Logout, String> {
        let known = self.known().await.map_err(|error| error.to_string())?;
        let claims = match verify_signature(&known, token) {
            Err(Refused::UnknownKey) => match self.newer_keys(&known).await {
                Some(newer) => verify_signature(&newer, token),
                None => Err(Refused::UnknownKey),
            },
            verified => verified,
        };
        claims.and_then(|claims| self.accept(&claims, self.clock.now())).map_err(|refused| refused.to_string())
    }

    fn accept(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<Logout, Refused> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text("iss") != Some(self.config.issuer.as_str()) {
            return Err(Refused::Claim("iss", "names another provider"));
        }
        if !self.is_for_us(claims) {
            return Err(Refused::Claim("aud", "names another client, or more than us"));
        }
        token::check_times(claims, now)?;
        if claims.get("iat").and_then(Value::as_i64).is_none_or(|issued| issued < now.as_second() - MAX_AGE) {
            return Err(Refused::Claim("iat", "lies too far back"));
        }
        if !claims.get("events").and_then(|events| events.get(LOGOUT_EVENT)).is_some_and(Value::is_object) {
            return Err(Refused::Claim("events", "does not hold the logout event"));
        }
        // §2.4: so that an ID token can never be taken for a logout token.
        if claims.contains_key("nonce") {
            return Err(Refused::Claim("nonce", "must not be there"));
        }
        let id = text("jti").ok_or(Refused::Claim("jti", "is missing"))?.to_owned();
        let subject = text("sub").and_then(|subject| Subject::new(subject).ok());
        let session = text("sid").map(str::to_owned);
        if subject.is_none() && session.is_none() {
            return Err(Refused::Claim("sub", "and `sid` are both missing"));
        }
        Ok(Logout { issuer: self.config.issuer.clone(), subject, session, id })
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        match claims.get("aud") {
            Some(Value::String(audience)) => *audience == self.config.client_id,
            Some(Value::Array(audiences)) => {
                !audiences.is_empty() && audiences.iter().all(|audience| *audience == *self.config.client_id)
            }
            _ => false,
        }
    }
}

fn verify_signature(known: &Known, token: &str) -> Result<Map<String, Value>, Refused> {
    let unreadable = || Refused::Header("cannot be read");
    let header = token::part(token, 0).ok_or_else(unreadable)?;
    token::check_header(&header)?;
    let algorithm = header
        .get("alg")
        .and_then(Value::as_str)
        .and_then(metadata::signing_algorithm)
        .filter(|algorithm| known.metadata.signing_algorithms().contains(algorithm))
        .ok_or(Refused::Header("names an algorithm that is not allowed"))?;
    let kid = header.get("kid").and_then(Value::as_str);
    let mut fitting = known
        .keys
        .keys()
        .iter()
        .filter(|key| kid.is_none() || key.key_id().map(|id| id.as_str()) == kid)
        .filter(|key| algorithm.key_type().as_ref() == Some(key.key_type()))
        .filter(|key| key.key_use().is_none_or(|usage| usage.allows_signature()))
        .filter(|key| match key.signing_alg() {
            JsonWebKeyAlgorithm::Algorithm(only) => *only == algorithm,
            JsonWebKeyAlgorithm::Unspecified => true,
            JsonWebKeyAlgorithm::Unsupported => false,
        });
    let key = fitting.next().ok_or(Refused::UnknownKey)?;
    if fitting.next().is_some() {
        let open = Refused::Header("leaves open by which of several keys it is signed");
        return Err(if kid.is_some() { open } else { Refused::UnknownKey });
    }
    let (signed, signature) = token.rsplit_once('.').ok_or_else(unreadable)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| unreadable())?;
    key.verify_signature(&algorithm, signed.as_bytes(), &signature)
        .map_err(|error| Refused::Signature(error.to_string()).of_key(&header))?;
    if signed.split('.').count() != 2 {
        return Err(unreadable());
    }
    token::part(token, 1).ok_or_else(unreadable)
}

const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Seconds after which a logout token is too old; the ids of used tokens are kept for longer.
const MAX_AGE: i64 = 120;
