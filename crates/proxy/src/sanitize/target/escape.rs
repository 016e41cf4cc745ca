//! Percent escapes of a path and of a query (RFC 3986 §2.1 and §6.2.2).

use super::Refusal;

/// Undoes the escapes of unreserved characters, writes the others in upper case, and escapes what may not stand in a path
/// as it is, so that each path has one spelling.
///
/// # Errors
/// An escape is none, hides a control character, or hides bytes that are no UTF-8 (an overlong `.` is `%C0%AE`).
pub(super) fn unescape(path: &str) -> Result<String, Refusal> {
    let mut normal = String::with_capacity(path.len());
    let mut hidden = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let (byte, escaped) = if byte == b'%' { (escaped(&mut bytes)?, true) } else { (byte, false) };
        if byte.is_ascii() {
            complete(&mut hidden)?;
        } else {
            hidden.push(byte);
        }
        match (byte, escaped) {
            (0x00..=0x1f | 0x7f, _) | (b' ', false) => return Err(CONTROL),
            (_, true) if is_unreserved(byte) => normal.push(char::from(byte)),
            // The only other character that passes raw; strict hosts refuse it.
            (b'/' | b'\\', false) => normal.push(char::from(byte)),
            (_, false) if is_segment_character(byte) => normal.push(char::from(byte)),
            _ => push_escaped(&mut normal, byte),
        }
    }
    complete(&mut hidden)?;
    Ok(normal)
}

/// Checks the escapes of a query, which passes as it came.
///
/// # Errors
/// An escape is none or hides a NUL.
pub(super) fn check_query(query: &str) -> Result<(), Refusal> {
    let mut bytes = query.bytes();
    while let Some(byte) = bytes.next() {
        if byte == 0 || byte == b'%' && escaped(&mut bytes)? == 0 {
            return Err(CONTROL);
        }
    }
    Ok(())
}

/// Tells whether a character stands in a segment as it is: RFC 3986 `pchar` without escapes.
pub(super) const fn is_segment_character(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn escaped(bytes: &mut std::str::Bytes<'_>) -> Result<u8, Refusal> {
    let mut digit =
        || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
    match (digit(), digit()) {
        (Some(high), Some(low)) => Ok(high << 4 | low),
        _ => Err(Refusal::bad_request("escape-invalid", "the target holds a `%` without two hexadecimal digits")),
    }
}

fn complete(hidden: &mut Vec<u8>) -> Result<(), Refusal> {
    if std::str::from_utf8(hidden).is_err() {
        return Err(Refusal::bad_request("path-not-utf8", "the path's escapes are no UTF-8"));
    }
    hidden.clear();
    Ok(())
}

fn push_escaped(normal: &mut String, byte: u8) {
    normal.push('%');
    for nibble in [byte >> 4, byte & 0x0f] {
        let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        normal.push(digit.to_ascii_uppercase());
    }
}

const CONTROL: Refusal = Refusal::bad_request("control-character", "the target holds a control character");
