//! One record, as tables and spreadsheets show it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use super::newest::Kept;

/// One record.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) time: Timestamp,
    record: Value,
}

impl Row {
    pub(super) fn of(kept: &Kept) -> Option<Self> {
        Self::read(&kept.json())
    }

    /// Reads a record, joined.
    pub(super) fn read(json: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(json).ok()?;
        Some(Self { time: record.get("time")?.as_str()?.parse().ok()?, record })
    }

    /// Returns a field as text; empty where it is not there.
    pub(super) fn text(&self, pointer: &str) -> Cow<'_, str> {
        match self.record.pointer(pointer) {
            None | Some(Value::Null) => Cow::Borrowed(""),
            Some(Value::String(text)) => Cow::Borrowed(text),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
                Cow::Owned(texts.collect::<Vec<_>>().join(" "))
            }
            Some(value) => Cow::Owned(value.to_string()),
        }
    }

    /// Returns the status; `?` where the outcome was not found.
    pub(super) fn status(&self) -> Cow<'_, str> {
        if self.record.get("outcome").is_some() { Cow::Borrowed("?") } else { self.text("/status") }
    }

    /// Returns the e-mail address of the user, else the id, else who did what is no request.
    pub(super) fn who(&self) -> Cow<'_, str> {
        ["/user/email", "/user/id", "/actor"]
            .map(|of| self.text(of))
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }

    pub(super) fn csv(&self) -> String {
        COLUMNS.map(|(_, pointer)| cell(&self.text(pointer))).join(",")
    }
}

pub(super) fn csv_head() -> String {
    COLUMNS.map(|(name, _)| name).join(",")
}

/// Writes a cell (RFC 4180). Spreadsheets take a text that begins as a formula does for one, and run it: an apostrophe
/// in front makes it a text. Line breaks and other controls become spaces.
fn cell(text: &str) -> String {
    let text = crate::cli::text::safe(text);
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    let text = if is_formula { format!("'{text}") } else { text };
    if text.contains([',', '"', '\'', ';']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The columns of CSV, and where they stand in a record.
const COLUMNS: [(&str, &str); 26] = [
    ("time", "/time"),
    ("id", "/id"),
    ("kind", "/kind"),
    ("decision", "/decision"),
    ("status", "/status"),
    ("outcome", "/outcome"),
    ("user_id", "/user/id"),
    ("user_email", "/user/email"),
    ("user_groups", "/user/groups"),
    ("user_provider", "/user/provider"),
    ("actor", "/actor"),
    ("session", "/session"),
    ("client_ip", "/client_ip"),
    ("route", "/route"),
    ("method", "/method"),
    ("host", "/host"),
    ("path", "/path"),
    ("rule", "/rule"),
    ("reason", "/reason"),
    ("error", "/error"),
    ("upstream", "/upstream/endpoint"),
    ("bytes_in", "/bytes_in"),
    ("bytes_out", "/bytes_out"),
    ("ms_total", "/ms/total"),
    ("user_agent", "/user_agent"),
    ("revision", "/revision"),
];
