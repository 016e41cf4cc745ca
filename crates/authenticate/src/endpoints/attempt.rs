//! The cookies of sign-in attempts: one for each attempt, so that several tabs can sign in at once.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use identity::{Origin, Scheme};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cookie;
use crate::handoff::{self, ATTEMPT_LIFETIME};
use crate::keys::{Keys, random_token};

/// Which leg of sign-in a cookie belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leg {
    /// The app's host waits for a ticket.
    Ticket,
    /// The host of `authenticate.url` waits for the provider.
    Provider,
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    value: T,
    until: Timestamp,
}

/// Makes the id of a new attempt. Ids sort by age, so that the oldest cookie can be told from its name.
pub(super) fn new_id(now: Timestamp) -> String {
    let random: String = random_token().chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("{:010x}{random}", now.as_second())
}

/// Returns the `Set-Cookie` lines that keep a value for an attempt, and forget attempts beyond the newest few.
pub(super) fn keep<T: Serialize>(
    keys: &Keys,
    leg: Leg,
    origin: &Origin,
    id: &str,
    value: T,
    headers: &HeaderMap,
    now: Timestamp,
) -> Vec<HeaderValue> {
    let name = name(leg, origin, id);
    let sealed =
        handoff::seal(keys, PURPOSE, &context(&name, origin), &Sealed { value, until: now + ATTEMPT_LIFETIME });
    let max_age = ATTEMPT_LIFETIME.as_secs();
    let mut lines: Vec<_> =
        set_cookie(&format!("{name}={sealed}; Max-Age={max_age}{}", cookie::attributes(origin.scheme())))
            .into_iter()
            .collect();
    let mut kept = names(headers, prefix(leg, origin.scheme()));
    kept.sort_unstable();
    // One place is for the new one. Without a bound, failed attempts would grow the header until requests fail (S-90).
    let surplus = kept.len().saturating_sub(MAX_ATTEMPTS - 1);
    lines.extend(kept.iter().take(surplus.min(MAX_CLEARED)).filter_map(|name| forget_named(name, origin)));
    lines
}

/// Reads what was kept for an attempt of this browser. A sibling host may have set a cookie of the same name beside
/// ours, so each is tried.
pub(super) fn kept<T: DeserializeOwned>(
    keys: &Keys,
    leg: Leg,
    origin: &Origin,
    id: &str,
    headers: &HeaderMap,
    now: Timestamp,
) -> Option<T> {
    let name = name(leg, origin, id);
    pairs(headers)
        .filter(|(found, _)| *found == name)
        .take(MAX_SAME_NAME)
        .find_map(|(_, sealed)| handoff::open::<Sealed<T>>(keys, PURPOSE, &context(&name, origin), sealed))
        .filter(|sealed| now < sealed.until)
        .map(|sealed| sealed.value)
}

/// Returns the `Set-Cookie` line that forgets an attempt.
pub(super) fn forget(leg: Leg, origin: &Origin, id: &str) -> Option<HeaderValue> {
    forget_named(&name(leg, origin, id), origin)
}

/// Returns the `Set-Cookie` lines that forget all attempts of this browser on this host.
pub(super) fn forget_all(origin: &Origin, headers: &HeaderMap) -> Vec<HeaderValue> {
    [Leg::Ticket, Leg::Provider]
        .into_iter()
        .flat_map(|leg| names(headers, prefix(leg, origin.scheme())))
        .take(MAX_CLEARED)
        .filter_map(|name| forget_named(name, origin))
        .collect()
}

fn forget_named(name: &str, origin: &Origin) -> Option<HeaderValue> {
    set_cookie(&format!("{name}=; Max-Age=0{}", cookie::attributes(origin.scheme())))
}

fn set_cookie(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

const fn prefix(leg: Leg, scheme: Scheme) -> &'static str {
    match (leg, scheme) {
        (Leg::Ticket, Scheme::Https) => "__Host-portcullis-attempt-",
        (Leg::Ticket, Scheme::Http) => "portcullis-attempt-",
        (Leg::Provider, Scheme::Https) => "__Host-portcullis-flow-",
        (Leg::Provider, Scheme::Http) => "portcullis-flow-",
    }
}

fn name(leg: Leg, origin: &Origin, id: &str) -> String {
    format!("{}{id}", prefix(leg, origin.scheme()))
}

/// Binds a sealed value to its name and host: it opens nowhere else.
fn context(name: &str, origin: &Origin) -> Vec<u8> {
    // Neither part can hold a space.
    format!("{name} {origin}").into_bytes()
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

fn names<'a>(headers: &'a HeaderMap, prefix: &'static str) -> Vec<&'a str> {
    pairs(headers)
        .map(|(name, _)| name)
        .filter(|name| {
            name.strip_prefix(prefix).is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()))
        })
        .collect()
}

const PURPOSE: &str = "sign-in attempt";
const MAX_ATTEMPTS: usize = 4;
const MAX_CLEARED: usize = 20;
const MAX_SAME_NAME: usize = 3;
