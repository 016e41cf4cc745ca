//! One segment, looked at alone.

use std::io;

use serde::Deserialize;

use super::Problem;
use crate::chain::{self, Hash, Link};
use crate::checkpoint::Reached;
use crate::mark::{Alarm, HEAD};
use crate::sign::Purpose;
use crate::{Segment, SegmentName, VerifyingKey};

/// What was seen in one segment.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The hash that its first line follows.
    pub(super) first_prev: Option<Hash>,
    /// The hash of its last line.
    pub(super) last: Option<Hash>,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) torn: u64,
    /// The line that ends it.
    pub(super) end: Option<u64>,
    /// Of which chains records say that segments were deleted, and through which number.
    pub(super) deleted: Vec<(Box<str>, u64)>,
    pub(super) signed_through: Option<u64>,
    pub(super) key: Option<Box<str>>,
    pub(super) findings: Vec<(Option<u64>, Problem)>,
    // How far it had come by checkpoints.
    signed: Vec<Reached>,
}

/// What is read of lines that are no records.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Mark {
    kind: Box<str>,
    instance: Box<str>,
    segment: u64,
    lines: u64,
    key: Option<Box<str>>,
    alarm: Option<Alarm>,
    details: Details,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    chain: Box<str>,
    through: Box<str>,
}

impl Scan {
    /// Reads a segment, and compares it with checkpoints that are of it.
    pub(super) fn of(segment: &Segment, keys: &[VerifyingKey], signed: Vec<Reached>) -> Self {
        let mut scan = Self { signed, ..Self::default() };
        if segment.name().instance.is_some()
            && let Err(error) = scan.read(segment, keys)
        {
            scan.found(Problem::Unreadable(error.to_string().into()));
        }
        scan
    }

    fn read(&mut self, segment: &Segment, keys: &[VerifyingKey]) -> io::Result<()> {
        let mut lines = segment.lines()?;
        while let Some(line) = lines.next_line()? {
            self.lines += 1;
            if self.end.is_some() {
                self.found(Problem::BehindEnd);
            }
            match Link::of(line) {
                Some(link) => self.link(line, &link, segment.name(), keys),
                None => self.found(Problem::Unsealed),
            }
            if self.findings.len() >= MOST_FINDINGS {
                break;
            }
        }
        (self.bytes, self.torn) = (lines.bytes(), lines.torn());
        let signed = self.signed.iter().map(|signed| signed.lines).max().unwrap_or_default();
        if signed > self.lines && self.findings.len() < MOST_FINDINGS {
            self.found(Problem::CutOff { signed });
        }
        Ok(())
    }

    fn link(&mut self, line: &[u8], link: &Link<'_>, name: &SegmentName, keys: &[VerifyingKey]) {
        if !link.holds() {
            self.found(Problem::Altered);
        } else if self.last.is_some_and(|last| last != link.prev) {
            self.found(Problem::OutOfOrder);
        }
        if self.lines == 1 {
            self.first_prev = link.prev.first_chunk().copied();
            self.head(&mark(line), name);
        }
        let behind_time = behind_time(line);
        if behind_time.starts_with(END_KIND) {
            self.end(&mark(line), name);
        } else if behind_time.starts_with(RETENTION_KIND) {
            let Details { chain, through } = mark(line).details;
            self.deleted.push((chain, through.parse().unwrap_or_default()));
        }
        if self.lines == 1 || self.end == Some(self.lines) {
            self.signature(link, keys);
        }
        self.last = link.hash.first_chunk().copied();
        if self.signed.iter().any(|signed| signed.lines == self.lines && Some(signed.hash) != self.last) {
            self.found(Problem::OtherThanSigned);
        }
    }

    fn head(&mut self, mark: &Mark, name: &SegmentName) {
        let is_own =
            &*mark.kind == HEAD && Some(&mark.instance) == name.instance.as_ref() && mark.segment == name.number;
        if !is_own {
            self.found(Problem::HeadMissing);
        }
        self.key.clone_from(&mark.key);
        if let Some(Alarm { reason, segment, lines }) = mark.alarm {
            self.found(Problem::Alarm { reason: reason.into(), segment, lines });
        }
    }

    fn end(&mut self, mark: &Mark, name: &SegmentName) {
        if mark.segment != name.number || mark.lines + 1 != self.lines {
            self.found(Problem::OtherEnd(mark.lines));
        }
        self.end = Some(self.lines);
    }

    fn signature(&mut self, link: &Link<'_>, keys: &[VerifyingKey]) {
        if keys.is_empty() {
            return;
        }
        let Some(signature) = link.signature.and_then(chain::decode) else { return self.found(Problem::Unsigned) };
        if keys.iter().any(|key| key.verifies(Purpose::Segment, link.hash, &signature)) {
            self.signed_through = Some(self.lines);
        } else {
            self.found(Problem::BadSignature(self.key.clone().unwrap_or_default()));
        }
    }

    fn found(&mut self, problem: Problem) {
        let line = (self.lines > 0).then_some(self.lines);
        self.findings.push((line, problem));
    }
}

fn mark(line: &[u8]) -> Mark {
    serde_json::from_slice(line).unwrap_or_default()
}

/// Returns what follows the time that each line begins with: its kind, where it is of no request.
fn behind_time(line: &[u8]) -> &[u8] {
    let time = line.strip_prefix(br#"{"time":""#).unwrap_or_default();
    memchr::memchr(b'"', time).and_then(|end| time.get(end..)).unwrap_or_default()
}

const END_KIND: &[u8] = br#"","kind":"segment_end","#;
const RETENTION_KIND: &[u8] = br#"","kind":"retention","#;

/// A file that is all wrong is told in these many findings.
const MOST_FINDINGS: usize = 100;
