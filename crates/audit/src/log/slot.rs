//! The place of one record in the log, from before a request is forwarded until it has ended.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::commit::Committed;
use super::{Hurry, Inner};
use crate::{AuditError, Ended, Mode, Record, line};

/// The place of one record. A place that is given up without a record (a request whose task was torn down) leaves a
/// line of kind `unrecorded`, so that the log never looks complete when it is not.
#[derive(Debug)]
#[must_use = "a place without a record is a gap in the log"]
pub struct Slot {
    // Invariant: `Some` until the record is written, where there are records.
    log: Option<Arc<Inner>>,
    // The batch that has the decision, where that was written ahead.
    ahead: Option<u64>,
}

/// What stands in for a record that never came.
#[derive(Serialize)]
struct Unrecorded {
    #[serde(serialize_with = "line::microseconds")]
    time: Timestamp,
    kind: &'static str,
    reason: &'static str,
}

impl Slot {
    pub(super) const fn new(log: Option<Arc<Inner>>) -> Self {
        Self { log, ahead: None }
    }

    /// Writes the decision ahead of what it allows, where that is asked for: [`Slot::committed`] tells when it is in the
    /// log, and [`Slot::end`] writes what became of it.
    pub fn write_ahead<'a>(&mut self, record: impl FnOnce() -> Record<'a>) {
        if let Some(log) = self.log.as_ref().filter(|log| log.shared.mode == Mode::Strict) {
            self.ahead = log.shared.hand_over_record(Hurry::Waited, &record());
        }
    }

    /// Waits until what was written ahead is in the log, so that it stays there whatever happens to this process.
    ///
    /// # Errors
    /// The disk does not take it: what was allowed must not happen.
    pub async fn committed(&self) -> Result<(), AuditError> {
        match (&self.log, self.ahead) {
            (Some(log), Some(batch)) => Committed::new(&log.shared, batch).await,
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Returns whether the decision was written ahead.
    #[must_use]
    pub const fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Writes what became of a decision that was written ahead. Never blocks on the disk.
    pub fn end<'a>(mut self, ended: impl FnOnce() -> Ended<'a>) {
        if let Some(log) = self.log.take() {
            log.shared.hand_over(Hurry::None, |line| ended().append(line));
        }
    }

    /// Writes the record. Never blocks on the disk.
    pub fn write<'a>(mut self, record: impl FnOnce() -> Record<'a>) {
        if let Some(log) = self.log.take() {
            log.shared.hand_over_record(Hurry::None, &record());
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            tracing::error!(reason = SLOT_DROPPED, "a request ended without its audit record");
            let unrecorded = Unrecorded { time: Timestamp::now(), kind: "unrecorded", reason: SLOT_DROPPED };
            log.shared.hand_over(Hurry::None, |line| line::append(line, &unrecorded));
        }
    }
}

const SLOT_DROPPED: &str = "slot-dropped";
