//! How a record becomes one line: JSON in which nothing can break the line, steer a terminal or grow without bound.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer as Json};

/// Appends anything as JSON, without a line feed.
///
/// # Errors
/// It has no JSON form.
pub(crate) fn append(line: &mut Vec<u8>, record: &impl Serialize) -> serde_json::Result<()> {
    let start = line.len();
    record.serialize(&mut Json::new(&mut *line))?;
    // Nearly every record is short plain ASCII, where plain JSON is as safe. Looking at all bytes at once is cheaper
    // than looking at each text.
    let written = line.get(start..).unwrap_or_default();
    let is_plain = !written.iter().fold(false, |found, byte| found | (*byte >= 0x7f));
    if !is_plain || written.len() > MAX_TEXT_BYTES {
        line.truncate(start);
        record.serialize(&mut Json::with_formatter(&mut *line, OneLine::default()))?;
    }
    Ok(())
}

/// Appends a text that stands in quotes already.
///
/// # Errors
/// Never: every text has a JSON form.
pub(crate) fn append_within_quotes(line: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    let start = line.len();
    text.serialize(&mut Json::with_formatter(&mut *line, OneLine::default()))?;
    line.pop();
    line.remove(start);
    Ok(())
}

/// Writes a time as all lines have it: to the microsecond, in as many characters.
pub(crate) fn microseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// Compact JSON with bounded texts, in which whatever a terminal or a line reader could act on is escaped.
#[derive(Debug, Default)]
struct OneLine {
    // Bytes of the present text: those that were written, and those that were left out.
    kept: usize,
    left_out: usize,
}

impl OneLine {
    /// Returns how much of a fragment still fits, in bytes.
    fn fit(&mut self, fragment: &str) -> usize {
        let room = MAX_TEXT_BYTES.saturating_sub(self.kept);
        // Once something was left out, nothing may follow it.
        let len = match self.left_out {
            0 => fragment.floor_char_boundary(room),
            _ => 0,
        };
        self.kept = self.kept.saturating_add(len);
        self.left_out = self.left_out.saturating_add(fragment.len() - len);
        len
    }
}

impl Formatter for OneLine {
    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        *self = Self::default();
        writer.write_all(b"\"")
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.left_out {
            0 => writer.write_all(b"\""),
            bytes => write!(writer, "…(+{bytes} bytes)\""),
        }
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let len = self.fit(fragment);
        let fragment = fragment.get(..len).unwrap_or_default();
        let mut rest = fragment;
        while let Some((at, unsafe_char)) = rest.char_indices().find(|(_, char)| is_unsafe(*char)) {
            let (safe, from_char) = rest.split_at_checked(at).unwrap_or((rest, ""));
            writer.write_all(safe.as_bytes())?;
            for unit in unsafe_char.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = from_char.get(unsafe_char.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        if self.fit(" ") == 0 {
            return Ok(());
        }
        CompactFormatter.write_char_escape(writer, escape)
    }
}

/// Escapes what a terminal could act on in JSON of others' making.
pub(crate) fn escape_unsafe(json: String) -> String {
    if json.is_ascii() && !json.contains('\u{7f}') {
        return json;
    }
    let mut escaped = String::with_capacity(json.len());
    for char in json.chars() {
        if is_unsafe(char) {
            char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
        } else {
            escaped.push(char);
        }
    }
    escaped
}

/// Returns whether a character that JSON lets stand as it is could still do harm where the line is read: DEL and the C1
/// controls (U+009B begins a terminal sequence), line and paragraph separators, and marks that reorder or hide text.
const fn is_unsafe(char: char) -> bool {
    matches!(char,
        '\u{7f}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

/// How many bytes of one text are kept; the rest is counted. Without it a client decides how much disk a request costs.
pub(crate) const MAX_TEXT_BYTES: usize = 2048;

#[cfg(test)]
mod tests;
