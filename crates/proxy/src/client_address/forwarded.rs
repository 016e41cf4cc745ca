//! Reads `Forwarded` (RFC 7239).

use http::HeaderMap;
use http::header::FORWARDED;
use identity::Ip;

use super::{MAX_ENTRIES, TOO_LONG, TrustedProxies, UNKNOWN, parse_node};
use crate::sanitize::Refusal;

/// Walks all elements of all lines from the right, as the entries of `X-Forwarded-For` are walked.
///
/// # Errors
/// What is written is no `Forwarded` header, or the walk meets an element that names no address. A quote that somebody on
/// the far side left open would swallow what a trusted proxy appended: nothing of such a header is believed.
pub(super) fn from_the_right(headers: &HeaderMap, trusted: &TrustedProxies) -> Result<Option<Ip>, Refusal> {
    // From the left, because quotes are read from there.
    let mut nodes = Vec::new();
    for line in headers.get_all(FORWARDED) {
        for element in split(line.to_str().map_err(|_| UNKNOWN)?, ',') {
            if nodes.len() == MAX_ENTRIES {
                return Err(TOO_LONG);
            }
            nodes.push(node(element.ok_or(UNKNOWN)?)?);
        }
    }
    let mut leftmost = None;
    for node in nodes.iter().rev() {
        let address = node.as_deref().and_then(address).ok_or(UNKNOWN)?;
        leftmost = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    Ok(leftmost)
}

/// Returns the value of `for` of one element, without quotes.
fn node(element: &str) -> Result<Option<String>, Refusal> {
    let mut found = None;
    for pair in split(element, ';') {
        let pair = pair.ok_or(UNKNOWN)?.trim_matches([' ', '\t']);
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=').ok_or(UNKNOWN)?;
        let value = unquoted(value).ok_or(UNKNOWN)?;
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            // §4: "each parameter MUST NOT occur more than once per field-value".
            return Err(UNKNOWN);
        }
    }
    Ok(found)
}

/// Splits outside quotes. An item is missing where a quote is left open.
fn split(text: &str, at: char) -> impl Iterator<Item = Option<&str>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.char_indices().find(|(_, character)| {
            let ends = !quoted && *character == at;
            if escaped {
                escaped = false;
            } else if *character == '"' {
                quoted = !quoted;
            } else {
                escaped = quoted && *character == '\\';
            }
            ends
        });
        let item = match end {
            Some((end, _)) => {
                let (item, after) = text.split_at(end);
                rest = after.strip_prefix(at);
                item
            }
            None => {
                rest = None;
                text
            }
        };
        Some((!quoted).then_some(item))
    })
}

/// Reads a token, or what stands between quotes (RFC 9110 §5.6.4).
fn unquoted(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else {
        let is_token =
            !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || TOKEN.contains(&byte));
        return is_token.then(|| value.to_owned());
    };
    let mut text = String::new();
    let mut characters = inner.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => text.push(characters.next()?),
            _ => text.push(character),
        }
    }
    Some(text)
}

/// Reads a node (§6): an IPv4 address, or an IPv6 address in brackets, and a port that may be hidden. `unknown` and hidden
/// names are no addresses.
fn address(node: &str) -> Option<Ip> {
    match node.rsplit_once(":_") {
        Some((host, port)) if !port.is_empty() => {
            if host.ends_with(']') {
                parse_node(host)
            } else {
                host.parse().ok().filter(|_| !host.contains(':'))
            }
        }
        // Without brackets the last part of an IPv6 address may as well be a port.
        _ => parse_node(node).filter(|_| node.starts_with('[') || node.matches(':').count() < 2),
    }
}

/// What tokens hold besides letters and digits (RFC 9110 §5.6.2).
const TOKEN: &[u8] = b"!#$%&'*+-.^_`|~";

#[cfg(test)]
mod tests;
