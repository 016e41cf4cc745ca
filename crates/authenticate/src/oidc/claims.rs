//! From verified claims to an identity: which claims count, and what the provider vouches for.

use identity::{Claims, Identity, Kind, Proof, Subject, Verified};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::SignInError;
use crate::ClaimNames;
use crate::config;

/// Returns whether the ID token lacks what userinfo may hold.
pub(super) fn wants_userinfo(claims: &Map<String, Value>, names: &ClaimNames) -> bool {
    let claims = Claims::verified(claims.clone());
    claims.at(&names.groups).is_none() || claims.at(&names.email).is_none()
}

/// Adds what userinfo says and the ID token does not.
///
/// OpenID Connect Core 1.0 §5.3.2: the `sub` must be the same, else one user's answer is taken for another's.
pub(super) fn merge_userinfo(claims: &mut Map<String, Value>, userinfo: Map<String, Value>) -> Result<(), SignInError> {
    if userinfo.get("sub") != claims.get("sub") {
        return Err(SignInError::SubjectMismatch);
    }
    // `email_verified` speaks of the `email` beside it: the two are taken from the same place.
    let same_email = claims.get("email").is_none_or(|email| userinfo.get("email") == Some(email));
    if !claims.contains_key("email") {
        claims.remove("email_verified");
    }
    for (name, value) in userinfo {
        let foreign = name == "email_verified" && !same_email;
        // How a user was authenticated is said by what is signed, and by nothing else.
        if !foreign && !PROTOCOL_CLAIMS.contains(&name.as_str()) {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(())
}

/// Makes the identity, or refuses it because of its e-mail domain.
pub(super) fn identity(provider: &config::Provider, claims: Map<String, Value>) -> Result<Identity, SignInError> {
    let claims = Claims::verified(claims);
    let subject = claims
        .get("sub")
        .and_then(Value::as_str)
        .and_then(|subject| Subject::new(subject).ok())
        .ok_or_else(|| SignInError::TokenInvalid("`sub` is missing".into()))?;
    let email = vouched_email(provider, &claims);
    if !provider.allowed_email_domains.is_empty()
        && !provider.allowed_email_domains.iter().any(|domain| is_of_domain(email, domain))
    {
        return Err(SignInError::EmailDomainNotAllowed);
    }
    Ok(Identity::verified(Verified {
        issuer: provider.issuer.clone(),
        subject,
        kind: Kind::Person,
        provider: provider.id.clone(),
        email: email.into(),
        name: claims.at(&provider.claims.name).and_then(Value::as_str).unwrap_or_default().into(),
        groups: groups(provider, &claims),
        proof: proof(&claims),
        claims,
    }))
}

/// Returns the e-mail address that the provider vouches for, or an empty text. An address that anybody may enter about
/// themselves would let them be taken for somebody else by a policy over `user.email`.
fn vouched_email<'a>(provider: &config::Provider, claims: &'a Claims) -> &'a str {
    let vouched = match claims.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    let email = claims.at(&provider.claims.email).and_then(Value::as_str).unwrap_or_default();
    // `email_verified` speaks of `email` (OpenID Connect Core §5.1): what is in another claim, a user may have chosen.
    let vouched = vouched && claims.get("email").and_then(Value::as_str) == Some(email);
    if vouched || !provider.require_verified_email { email } else { "" }
}

/// Returns whether an address is of a domain: one plain `@`, ASCII only, nothing quoted, and the domain equal.
fn is_of_domain(email: &str, domain: &str) -> bool {
    let plain = email.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    let mut parts = email.split('@');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(local), Some(found), None) => plain && !local.is_empty() && found.eq_ignore_ascii_case(domain),
        _ => false,
    }
}

fn groups(provider: &config::Provider, claims: &Claims) -> Box<[Box<str>]> {
    let none = |reason: &str| {
        tracing::warn!(provider.id = %provider.id, claim = provider.claims.groups, reason, "the user has no groups");
        Box::default()
    };
    match claims.at(&provider.claims.groups) {
        Some(Value::String(group)) => Box::new([group.as_str().into()]),
        Some(Value::Array(groups)) if groups.len() > MAX_GROUPS => none("the provider sent too many groups"),
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(Into::into).collect(),
        Some(_) => none("the claim is neither a list nor a text"),
        // OpenID Connect Core 1.0 §5.6.2. Entra ID sends a reference instead of the groups when there are many.
        None if claims.get("_claim_names").is_some_and(|names| names.get(&provider.claims.groups).is_some()) => {
            none("the provider sent a reference instead of the groups, because there are too many")
        }
        None => Box::default(),
    }
}

fn proof(claims: &Claims) -> Proof {
    Proof {
        auth_time: claims.get("auth_time").and_then(Value::as_i64).and_then(|time| Timestamp::from_second(time).ok()),
        acr: claims.get("acr").and_then(Value::as_str).unwrap_or_default().into(),
        amr: claims
            .get("amr")
            .and_then(Value::as_array)
            .map(|methods| methods.iter().filter_map(Value::as_str).map(Into::into).collect())
            .unwrap_or_default(),
    }
}

/// What only the signed token may say.
const PROTOCOL_CLAIMS: [&str; 14] =
    ["iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "jti", "sid", "acr", "amr", "auth_time", "at_hash"];
/// A policy walks the groups: more than this is a mistake at the provider, and a burden for every request.
const MAX_GROUPS: usize = 1_000;

#[cfg(test)]
mod tests;
