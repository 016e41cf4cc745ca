//! Removes the headers that are for one hop, and those that only we may set.

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue, TE, UPGRADE};

use super::Refusal;
use crate::{IdentityHeaders, Underscores};

mod names;

/// The headers that no downstream may send: compiled once for a configuration.
#[derive(Debug)]
pub(crate) struct Removed {
    // By their length.
    names: Box<[AsLong]>,
}

/// Names of one length. Invariant: lower case, hyphens for everything that is no letter or digit.
#[derive(Debug, Default)]
struct AsLong {
    names: Vec<Box<str>>,
    /// A bit for what each begins with: with the length it nearly always tells a name from all of them.
    firsts: u32,
}

impl Removed {
    /// Takes the headers of every route's identity: a header that one route sets is removed on all of them.
    pub(crate) fn new<'a>(identities: impl IntoIterator<Item = &'a IdentityHeaders>) -> Self {
        let configured = identities.into_iter().flat_map(IdentityHeaders::names);
        let known = names::HOP_BY_HOP.iter().chain(&names::SPOOFABLE).map(|name| Box::<str>::from(*name));
        let mut names: Vec<AsLong> = Vec::new();
        for name in configured.map(|name| Box::<str>::from(folded(name.as_str()))).chain(known) {
            names.resize_with(names.len().max(name.len() + 1), AsLong::default);
            if let Some(as_long) = names.get_mut(name.len()) {
                as_long.firsts |= first(&name);
                as_long.names.push(name);
            }
        }
        Self { names: names.into() }
    }

    fn holds(&self, name: &str) -> bool {
        let as_long = self.names.get(name.len()).filter(|as_long| as_long.firsts & first(name) != 0);
        // All families begin with one of two letters, and most names with neither.
        let may_be_of_family = matches!(name.as_bytes(), [b'c' | b'x', ..]);
        as_long.is_some_and(|as_long| as_long.names.iter().any(|listed| **listed == *name))
            || may_be_of_family && names::FAMILIES.iter().any(|family| name.starts_with(family))
    }

    fn verdict(&self, name: &str, underscores: Underscores) -> Verdict {
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return if self.holds(name) { Verdict::Remove } else { Verdict::Keep };
        }
        // CGI, WSGI and PHP know a header by letters, digits and underscores: `X_Forwarded_User` and `X.Forwarded.User`
        // are `HTTP_X_FORWARDED_USER` to them, like the real one.
        let name_to_apps = folded(name);
        let stands_for_ours = self.holds(&name_to_apps) || names::FRAMING.contains(&name_to_apps.as_str());
        match underscores {
            Underscores::Reject if name.contains('_') => Verdict::Refuse,
            Underscores::Drop if name.contains('_') => Verdict::Remove,
            Underscores::Drop | Underscores::Reject | Underscores::Allow if stands_for_ours => Verdict::Remove,
            Underscores::Drop | Underscores::Reject | Underscores::Allow => Verdict::Keep,
        }
    }
}

/// What a request asked its connection to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// Nothing else.
    None,
    /// A WebSocket.
    WebSocket,
    /// Something that is never forwarded, `h2c` above all.
    Other,
}

/// Removes what may not pass, on every path alike, and returns what `Upgrade` asked for.
///
/// Runs after the client's address was read and before anything is set, so that a name in `Connection` cannot remove a
/// header of ours. `te: trailers` stays, whatever is spoken upstream.
///
/// # Errors
/// A name with an underscore where those are refused.
pub(crate) fn headers(
    headers: &mut HeaderMap,
    removed: &Removed,
    underscores: Underscores,
) -> Result<Upgrade, Refusal> {
    let mut doomed: Vec<HeaderName> = Vec::new();
    let mut refused = false;
    for name in headers.keys() {
        match removed.verdict(name.as_str(), underscores) {
            Verdict::Keep => {}
            Verdict::Remove => doomed.push(name.clone()),
            Verdict::Refuse => refused = true,
        }
    }
    if doomed.is_empty() && !refused {
        // All that is looked at below is removed.
        return Ok(Upgrade::None);
    }
    if refused {
        return Err(Refusal::bad_request("underscore-header", "a header's name holds an underscore"));
    }
    let upgrade = upgrade(headers);
    let trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    let named = tokens(headers, &CONNECTION).filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok());
    doomed.extend(named.filter(|name| headers.contains_key(name) && !names::FRAMING.contains(&name.as_str())));
    for name in doomed {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(upgrade)
}

/// Refuses values that begin or end with a space: over HTTP/1.1 an app takes it off, and reads another value than the one that
/// was decided on.
///
/// # Errors
/// There is one, which HTTP/2 alone can carry (RFC 9113 §8.2.1).
pub(crate) fn values(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_bare = |value: &HeaderValue| value.as_bytes().trim_ascii().len() == value.len();
    if headers.values().all(is_bare) {
        return Ok(());
    }
    Err(Refusal::bad_request("header-invalid", "a header's value begins or ends with a space"))
}

/// Removes from a request's trailers what may not pass as a header: an app that merges both (RFC 9110 §6.5.1 lets it)
/// would believe it.
pub(crate) fn trailers(trailers: &mut HeaderMap, removed: &Removed, underscores: Underscores) {
    let passes = |name: &HeaderName| match removed.verdict(name.as_str(), underscores) {
        Verdict::Keep => !names::FRAMING.contains(&name.as_str()) && !names::CREDENTIALS.contains(&name.as_str()),
        // Too late to refuse: the head has gone.
        Verdict::Remove | Verdict::Refuse => false,
    };
    let doomed: Vec<HeaderName> = trailers.keys().filter(|name| !passes(name)).cloned().collect();
    for name in doomed {
        trailers.remove(name);
    }
}

/// Removes what apps take for the same header, whatever its spelling.
pub(crate) fn remove_aliases(headers: &mut HeaderMap, name: &HeaderName) {
    let name = folded(name.as_str());
    let doomed: Vec<HeaderName> = headers.keys().filter(|other| folded(other.as_str()) == name).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// Returns whether no route may change a header: those of the connection and of the message, those by which apps are told
/// who is calling, cookies (ours are among them), and those of WebSockets.
#[must_use]
pub fn is_reserved(name: &HeaderName) -> bool {
    let name = folded(name.as_str());
    let listed = [&names::HOP_BY_HOP[..], &names::FRAMING, &names::SPOOFABLE, &names::COOKIES].concat();
    listed.contains(&name.as_str())
        || names::FAMILIES.iter().chain(&["sec-websocket-"]).any(|family| name.starts_with(family))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Remove,
    Refuse,
}

fn upgrade(headers: &HeaderMap) -> Upgrade {
    // RFC 9110 §7.8: without the connection option the header says nothing.
    if !headers.contains_key(UPGRADE)
        || !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
    {
        return Upgrade::None;
    }
    let mut asked = tokens(headers, &UPGRADE);
    match (asked.next(), asked.next()) {
        (Some(only), None) if only.eq_ignore_ascii_case("websocket") => Upgrade::WebSocket,
        _ => Upgrade::Other,
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Returns a bit for what a name begins with.
fn first(name: &str) -> u32 {
    name.bytes().next().map_or(0, |first| 1 << (first % 32))
}

fn folded(name: &str) -> String {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '-' };
    name.bytes().map(fold).collect()
}

#[cfg(test)]
mod tests;
