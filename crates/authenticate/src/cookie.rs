//! Our cookies: the session's handle, and how they are kept from upstreams.

use std::iter;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{COOKIE, Entry};
use http::{HeaderMap, HeaderValue};
use identity::{Origin, Scheme};
use memchr::memchr;
use zeroize::Zeroizing;

use crate::store::Hash;

/// What a browser shows to be recognised: 256 random bits. Only its hash is kept.
pub(crate) struct Handle(Zeroizing<[u8; Self::LEN]>);

impl Handle {
    const LEN: usize = 32;
    const TEXT_LEN: usize = 43;

    /// Makes a handle.
    pub(crate) fn random() -> Self {
        Self(Zeroizing::new(crate::keys::random_bytes()))
    }

    /// Returns the hash under which the store knows it.
    pub(crate) fn hash(&self) -> Hash {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &*self.0);
        hash.as_ref().try_into().unwrap_or_default()
    }

    /// Reads the one text form that a handle has.
    fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != Self::TEXT_LEN {
            return None;
        }
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes).ok()?;
        (len == Self::LEN).then_some(Self(bytes))
    }
}

/// Returns the name of the session cookie. Only a secure origin can have the `__Host-` prefix, which keeps siblings and
/// cleartext from setting it (RFC 6265bis §4.1.3.2).
pub(crate) const fn session_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Https => "__Host-portcullis",
        Scheme::Http => "portcullis",
    }
}

/// Returns the attributes that all of our cookies have on such an origin.
pub(crate) const fn attributes(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Https => "; Path=/; Secure; HttpOnly; SameSite=Lax",
        Scheme::Http => "; Path=/; HttpOnly; SameSite=Lax",
    }
}

/// Returns the `Set-Cookie` that gives a browser its handle.
pub(crate) fn set(origin: &Origin, handle: &Handle) -> HeaderValue {
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(*handle.0));
    sensitive(&format!("{}={}{}", session_name(origin.scheme()), *text, attributes(origin.scheme())))
}

/// Returns what a browser sends back of a `Set-Cookie`: name and value.
pub(crate) fn pair(set_cookie: &HeaderValue) -> Option<&str> {
    set_cookie.to_str().ok()?.split(';').next()
}

/// Returns the `Set-Cookie` that makes a browser forget its handle.
pub(crate) fn clear(origin: &Origin) -> HeaderValue {
    sensitive(&format!("{}=; Max-Age=0{}", session_name(origin.scheme()), attributes(origin.scheme())))
}

fn sensitive(text: &str) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "names, base64url and attributes are visible ASCII")]
    let mut value = HeaderValue::from_str(text).expect("a cookie of ours is a header value");
    value.set_sensitive(true);
    value
}

/// Returns the handles that a request presents, in the order in which they came. A sibling host can set a cookie of the
/// same name, so there may be several; only well-formed ones count, and of those the first few.
pub(crate) fn handles(headers: &HeaderMap, scheme: Scheme) -> impl Iterator<Item = Handle> + '_ {
    let name = session_name(scheme).as_bytes();
    let pairs = headers.get_all(COOKIE).iter().flat_map(pairs);
    pairs.filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix(b"=").and_then(Handle::parse)).take(MAX_HANDLES)
}

/// Removes our cookies; the others stay as they came, in one line: over HTTP/2 each may come in a line of its own, and an
/// HTTP/1.1 server must be given them joined (RFC 9113 §8.2.3).
pub(crate) fn strip(headers: &mut HeaderMap) {
    let Entry::Occupied(mut lines) = headers.entry(COOKIE) else { return };
    let (mut ours, mut length) = (false, 0);
    for pair in lines.iter().flat_map(pairs) {
        if is_own(pair) {
            ours = true;
        } else {
            length += pair.len() + SEPARATOR.len();
        }
    }
    let is_one_line = lines.iter().nth(1).is_none();
    if is_one_line && !ours {
        return;
    }
    let mut kept = Vec::with_capacity(length.saturating_sub(SEPARATOR.len()));
    for pair in lines.iter().flat_map(pairs).filter(|pair| !is_own(pair)) {
        if !kept.is_empty() {
            kept.extend_from_slice(SEPARATOR);
        }
        kept.extend_from_slice(pair);
    }
    let sensitive = lines.iter().any(HeaderValue::is_sensitive);
    match HeaderValue::from_maybe_shared(Bytes::from(kept)) {
        Ok(mut kept) if !kept.is_empty() => {
            kept.set_sensitive(sensitive);
            lines.insert(kept);
        }
        Ok(_) | Err(_) => drop(lines.remove()),
    }
}

/// The cookies of one `Cookie` line, as `name=value`.
fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line.as_bytes());
    let parts = iter::from_fn(move || {
        let line = rest?;
        let end = memchr(b';', line);
        rest = end.and_then(|end| line.get(end + 1..));
        line.get(..end.unwrap_or(line.len()))
    });
    parts.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// Returns whether a `Set-Cookie` value sets a cookie of ours.
pub(crate) fn sets_own(set_cookie: &HeaderValue) -> bool {
    set_cookie.as_bytes().split(|byte| *byte == b';').next().is_some_and(is_own)
}

/// Tells by its name whether a `name=value` pair is ours: the session's, or one of a sign-in attempt.
fn is_own(pair: &[u8]) -> bool {
    // A cookie without a name is sent as its bare value, which may look like a name of ours (RFC 6265bis §5.7).
    let pair = pair.trim_ascii();
    let pair = pair.strip_prefix(b"=").map_or(pair, <[u8]>::trim_ascii);
    // No name of ours begins otherwise.
    if !pair.first().is_some_and(|first| matches!(first, b'_' | b'p' | b'P')) {
        return false;
    }
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    // Browsers match the prefix without case.
    let begins_with =
        |prefix: &[u8]| name.split_at_checked(prefix.len()).is_some_and(|(head, _)| head.eq_ignore_ascii_case(prefix));
    begins_with(b"__Host-portcullis") || name.eq_ignore_ascii_case(b"portcullis") || begins_with(b"portcullis-")
}

const SEPARATOR: &[u8] = b"; ";

/// How many handles of one request are looked up at most: a sibling that sets many cookies buys no work from us.
const MAX_HANDLES: usize = 4;

#[cfg(test)]
mod tests;
