//! Records for spreadsheets (RFC 4180).

use super::columns::COLUMNS;
use super::row::Row;
use crate::cli::text;

/// Returns the first line: the names of the columns.
pub(super) fn head() -> String {
    COLUMNS.map(|column| column.name).join(",") + END
}

/// Returns the line of a record.
pub(super) fn line(row: &Row) -> String {
    COLUMNS.map(|column| cell(&row.text(column.pointer))).join(",") + END
}

/// Spreadsheets take a text that begins as a formula does for one, some behind spaces too, and run it: an apostrophe in front
/// makes it a text. Line breaks and other controls are replaced.
fn cell(text: &str) -> String {
    let text = text::safe(text);
    let text = if text.trim_start().starts_with(FORMULAS) { format!("'{text}") } else { text };
    if text.contains([',', '"', '\'', ';']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// What formulas begin with, the wide forms of East Asian spreadsheets too.
const FORMULAS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

const END: &str = "\r\n";
