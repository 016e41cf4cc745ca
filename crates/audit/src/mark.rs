//! The lines of a segment that are no records: the first, which ties it to the segment before, and the last.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::chain::{self, Position};
use crate::sign::Purpose;
use crate::{SigningKey, line};

/// The first line.
#[derive(Debug, Serialize)]
pub(crate) struct Head<'a> {
    #[serde(serialize_with = "line::microseconds")]
    time: Timestamp,
    kind: &'static str,
    instance: &'a str,
    segment: u64,
    /// How many lines the chain had before this one.
    after: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// What was wrong with the end of the log when the process started.
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<Alarm>,
}

/// The log was not what had been signed when a process went on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    pub(crate) reason: Reason,
    /// How far it had come by the checkpoint, where there was one.
    pub(crate) segment: u64,
    pub(crate) lines: u64,
}

/// What was not as it had been signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// There was no checkpoint, or none of the chain's key.
    #[serde(rename = "checkpoint-missing")]
    CheckpointMissing,
    /// The log was shorter than the checkpoint said.
    #[serde(rename = "lines-missing")]
    LinesMissing,
    /// Other lines stood there.
    #[serde(rename = "lines-altered")]
    LinesAltered,
}

impl From<Reason> for &'static str {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::CheckpointMissing => "the checkpoint of the chain was missing, or was not its own",
            Reason::LinesMissing => "lines that had been signed were missing before it",
            Reason::LinesAltered => "other lines than had been signed stood before it",
        }
    }
}

/// The last line.
#[derive(Debug, Serialize)]
pub(crate) struct End {
    #[serde(serialize_with = "line::microseconds")]
    time: Timestamp,
    kind: &'static str,
    segment: u64,
    /// How many lines the segment has before this one.
    lines: u64,
    closed: Closed,
    /// How many bytes of a line that a crash broke off were cut off here.
    #[serde(skip_serializing_if = "is_zero")]
    cut: u64,
}

/// Why a segment was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Closed {
    /// It had grown large enough.
    Size,
    /// It had become old enough.
    Age,
    /// The process stopped.
    Stop,
    /// A start found it open: the process before had been killed.
    #[serde(rename = "found-open")]
    FoundOpen,
}

impl<'a> Head<'a> {
    pub(crate) fn new(
        instance: &'a str,
        segment: u64,
        after: u64,
        key: Option<&'a SigningKey>,
        alarm: Option<Alarm>,
    ) -> Self {
        Self { time: Timestamp::now(), kind: HEAD, instance, segment, after, key: key.map(SigningKey::id), alarm }
    }
}

impl End {
    pub(crate) fn new(segment: u64, lines: u64, closed: Closed, cut: u64) -> Self {
        Self { time: Timestamp::now(), kind: END, segment, lines, closed, cut }
    }
}

/// Writes such a line out, sealed and signed, and returns the position after it.
pub(crate) fn line(
    mark: &impl Serialize,
    position: &Position,
    key: Option<&SigningKey>,
) -> io::Result<(Vec<u8>, Position)> {
    let mut bytes = Vec::new();
    line::append(&mut bytes, mark)?;
    chain::make_room(&mut bytes);
    let position = chain::seal(&mut bytes, position).unwrap_or(*position);
    if let Some(key) = key {
        let signature = key
            .sign(Purpose::Segment, &position.hash)
            .ok_or_else(|| io::Error::other("`audit.signing_key` cannot sign"))?;
        chain::add_signature(&mut bytes, &signature);
    }
    Ok((bytes, position))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(cut: &u64) -> bool {
    *cut == 0
}

/// The kinds of these lines.
pub(crate) const HEAD: &str = "segment";
pub(crate) const END: &str = "segment_end";
