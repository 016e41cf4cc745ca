//! Where a chain goes on after a start: behind its last whole line, whatever a crash left behind that.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use serde::Deserialize;

use crate::SigningKey;
use crate::archive::{Archive, Segment};
use crate::chain::{Link, Position};
use crate::mark::{self, Closed, END, End};

/// Where a chain goes on.
pub(super) struct Last {
    /// The number of the last segment; 0 when there is none.
    pub(super) number: u64,
    pub(super) position: Position,
}

/// What is read of the first and of the last line.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Mark {
    kind: String,
    after: u64,
}

/// Finds the end of a chain, and closes its last segment where a crash left it open.
pub(super) fn resume(dir: &Path, instance: &str, key: Option<&SigningKey>) -> io::Result<Last> {
    let archive = Archive::open(dir)?;
    let own = archive.segments().iter().filter(|segment| segment.name().instance.as_deref() == Some(instance));
    for segment in own.rev() {
        match last_of(segment, key)? {
            Some(position) => return Ok(Last { number: segment.name().number, position }),
            // The process ended before it had written a line: nothing is lost with the file.
            None => fs::remove_file(segment.path())?,
        }
    }
    Ok(Last { number: 0, position: Position::START })
}

/// Returns the position after the last line of a segment; `None` for one without a line.
fn last_of(segment: &Segment, key: Option<&SigningKey>) -> io::Result<Option<Position>> {
    let mut lines = segment.lines()?;
    let mut last = Vec::new();
    let (mut after, mut count) = (0, 0);
    while let Some(line) = lines.next_line()? {
        if count == 0 {
            after = parse(line).after;
        }
        count += 1;
        last.clear();
        last.extend_from_slice(line);
    }
    if count == 0 {
        return Ok(None);
    }
    let link = Link::of(&last).filter(Link::holds);
    let Some(hash) = link.and_then(|link| link.hash.first_chunk()) else {
        // Somebody else wrote there. It stays as it is, for `audit verify` to name, and a chain begins anew.
        tracing::error!(segment = %segment.path().display(), "the end of the audit log was altered: a new chain begins");
        return Ok(Some(Position::START));
    };
    let position = Position { hash: *hash, lines: after + count };
    if parse(&last).kind == END {
        return Ok(Some(position));
    }
    close(segment, &position, count, (lines.bytes(), lines.torn()), key).map(Some)
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
