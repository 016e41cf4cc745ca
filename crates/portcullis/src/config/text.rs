//! Reads text from files of bounded size, and says where one is no text.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The text of a configuration file, as far as it is one.
pub(super) struct Text {
    pub(super) text: String,
    /// Where something is wrong with it, as a byte offset, and what.
    pub(super) mistake: Option<(usize, String)>,
}

impl Text {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let bytes = read_up_to(path, MAX_FILE_BYTES + 1)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let message = format!("the file is larger than {MAX_FILE_BYTES} bytes: make it smaller");
            return Ok(Self { text: String::new(), mistake: Some((0, message)) });
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) => Self { text: without_mark(text), mistake: None },
            Err(error) => {
                let message = "the file is not UTF-8 here: save it as UTF-8".to_owned();
                let valid = error.utf8_error().valid_up_to();
                // What follows is not shown: nobody could tell whether it is a secret.
                let text = error.into_bytes().into_iter().take(valid).collect();
                Self { text: String::from_utf8(text).unwrap_or_default(), mistake: Some((valid, message)) }
            }
        })
    }
}

/// Reads the text that stands for a value.
///
/// # Errors
/// Why there is none, and what to do.
pub(super) fn read_value(path: &Path) -> Result<String, String> {
    const REMEDY: &str = "correct the path, or make the file readable";
    let bytes = read_bytes(path, MAX_VALUE_BYTES).map_err(|reason| format!("{reason}; {REMEDY}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8; save it as UTF-8, or write the value as text")?;
    let text = without_mark(text);
    // Files made by editors and `echo` end with a line break that is no part of the value.
    Ok(text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text).to_owned())
}

/// Reads a file, unless it is larger than `limit`.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let bytes = read_up_to(path, limit + 1)?;
    if bytes.len() as u64 > limit { Err(format!("the file is larger than {limit} bytes")) } else { Ok(bytes) }
}

fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| reason(&error))
}

/// Says what the system said, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return "there is no such file".to_owned();
    }
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text).to_lowercase()
}

/// Takes the byte order mark off that some editors begin a file with.
fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// A file of this size holds more routes than the tree may.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of a file that stands for a value.
const MAX_VALUE_BYTES: u64 = 1024 * 1024;
