//! Query strings, read as HTML forms write them.

use std::borrow::Cow;

use crate::environment::Query;

/// Parses a raw query. Names keep all their values in order; an escape that is none stays as it is.
pub(crate) fn parse(raw: &str) -> Query<'_> {
    let mut query = Query::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        query.entry(decode(name)).or_default().push(decode(value));
    }
    query
}

/// Decodes `%XX` and `+`; bytes that are no UTF-8 become U+FFFD.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = match (byte, after) {
            (b'%', [high, low, tail @ ..]) => digit(*high).zip(digit(*low)).map(|(high, low)| (high * 16 + low, tail)),
            _ => None,
        };
        if let Some((value, tail)) = escaped {
            decoded.push(value);
            rest = tail;
        } else {
            decoded.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    Cow::Owned(
        String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
