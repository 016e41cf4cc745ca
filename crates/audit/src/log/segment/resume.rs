//! Where a chain goes on after a start: behind its last whole line, whatever a crash left behind that. With a key, what is
//! there is compared with what the process before had signed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use serde::Deserialize;

use crate::archive::{Archive, Segment};
use crate::chain::{Link, Position};
use crate::checkpoint::{Checkpoint, Reached};
use crate::mark::{self, Alarm, Closed, END, End, Reason};
use crate::{SigningKey, VerifyingKey};

/// Where a chain goes on.
pub(super) struct Last {
    /// The number of the last segment, and how many lines it has; 0 when there is none.
    pub(super) number: u64,
    pub(super) lines: u64,
    pub(super) position: Position,
    /// What is not as it had been signed.
    pub(super) alarm: Option<Alarm>,
}

/// The end of a segment.
struct Ending {
    position: Position,
    lines: u64,
    /// The key that its first line names.
    key: Option<Box<str>>,
    /// What stands where the checkpoint says that a line stood.
    differs: Option<Reason>,
}

/// What is read of the first and of the last line.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Mark {
    kind: String,
    after: u64,
    key: Option<Box<str>>,
}

/// Finds the end of a chain, and closes its last segment where a crash left it open.
pub(super) fn resume(dir: &Path, instance: &str, key: Option<&SigningKey>) -> io::Result<Last> {
    let checkpoint = key.and_then(|_| Checkpoint::read(dir, instance)).and_then(Result::ok);
    let reached = checkpoint.as_ref().map(Checkpoint::reached);
    let mut last = Last { number: 0, lines: 0, position: Position::START, alarm: None };
    let mut ending = None;
    let archive = Archive::open(dir)?;
    let own = archive.segments().iter().filter(|segment| segment.name().instance.as_deref() == Some(instance));
    for segment in own.rev() {
        let number = segment.name().number;
        match ending_of(segment, reached.filter(|reached| reached.segment == number), key)? {
            Some(found) => {
                last = Last { number, lines: found.lines, position: found.position, alarm: None };
                ending = Some(found);
                break;
            }
            // The process ended before it had written a line: nothing is lost with the file.
            None => fs::remove_file(segment.path())?,
        }
    }
    let Some(key) = key else { return Ok(last) };
    let signed_before = ending.as_ref().and_then(|ending| ending.key.as_deref());
    let reason = match (&checkpoint, reached) {
        // Whoever changes keys starts with a checkpoint of the key before.
        (Some(checkpoint), Some(reached)) if signed_before != Some(key.id()) || is_of(checkpoint, key) => {
            let gone = (reached.segment > last.number).then_some(Reason::LinesMissing);
            gone.or_else(|| ending.and_then(|ending| ending.differs))
        }
        _ => signed_before.map(|_| Reason::CheckpointMissing),
    };
    last.alarm = reason.map(|reason| {
        let (segment, lines) = reached.map_or((0, 0), |reached| (reached.segment, reached.lines));
        tracing::error!(
            ?reason,
            segment,
            lines,
            "the end of the audit log is not what had been signed: see `audit verify`"
        );
        Alarm { reason, segment, lines }
    });
    // Numbers that were signed are not used again: what is missing stays missing.
    last.number = last.number.max(reached.map_or(0, |reached| reached.segment));
    Ok(last)
}

fn is_of(checkpoint: &Checkpoint, key: &SigningKey) -> bool {
    key.verifying_key().is_ok_and(|key: VerifyingKey| checkpoint.is_signed_by(&[key]))
}

/// Returns how a segment ends; `None` for one without a line.
fn ending_of(segment: &Segment, signed: Option<Reached>, key: Option<&SigningKey>) -> io::Result<Option<Ending>> {
    let mut lines = segment.lines()?;
    let mut last = Vec::new();
    let mut first = Mark::default();
    let mut count = 0;
    let mut differs = signed.filter(|signed| signed.lines > 0).map(|_| Reason::LinesMissing);
    while let Some(line) = lines.next_line()? {
        if count == 0 {
            first = parse(line);
        }
        count += 1;
        if let Some(signed) = signed.filter(|signed| signed.lines == count) {
            let is_same = Link::of(line).is_some_and(|link| link.hash == signed.hash);
            differs = (!is_same).then_some(Reason::LinesAltered);
        }
        last.clear();
        last.extend_from_slice(line);
    }
    if count == 0 {
        return Ok(None);
    }
    let ending = |position, lines| Some(Ending { position, lines, key: first.key.clone(), differs });
    let link = Link::of(&last).filter(Link::holds);
    let Some(hash) = link.and_then(|link| link.hash.first_chunk()) else {
        // Somebody else wrote there. It stays as it is, for `audit verify` to name, and a chain begins anew.
        tracing::error!(segment = %segment.path().display(), "the end of the audit log was altered: a new chain begins");
        return Ok(ending(Position::START, count));
    };
    let position = Position { hash: *hash, lines: first.after + count };
    if parse(&last).kind == END {
        return Ok(ending(position, count));
    }
    let position = close(segment, &position, count, (lines.bytes(), lines.torn()), key)?;
    Ok(ending(position, count + 1))
}

fn close(
    segment: &Segment,
    position: &Position,
    count: u64,
    (whole, torn): (u64, u64),
    key: Option<&SigningKey>,
) -> io::Result<Position> {
    tracing::warn!(segment = %segment.path().display(), torn, "the process before did not close its audit segment");
    let end = End::new(segment.name().number, count, Closed::FoundOpen, torn);
    let (line, position) = mark::line(&end, position, key)?;
    let mut file = OpenOptions::new().append(true).open(segment.path())?;
    file.set_len(whole)?;
    file.write_all(&line)?;
    file.sync_data()?;
    Ok(position)
}

fn parse(line: &[u8]) -> Mark {
    serde_json::from_slice(line).unwrap_or_default()
}
