//! One record, as tables show it.

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

    /// Returns a field.
    pub(super) fn value(&self, pointer: &str) -> Option<&Value> {
        self.record.pointer(pointer)
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
}
