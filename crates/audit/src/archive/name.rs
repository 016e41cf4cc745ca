//! What segments are called: the chain, their place in it, and when they were begun.

use std::fmt;

use jiff::Timestamp;

/// The name of a segment, without what its file ends in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// The chain; `None` for a segment of the time before there were chains.
    pub instance: Option<Box<str>>,
    /// The place in the chain, from 1.
    pub number: u64,
    /// When it was begun, as UTC. Only people look at it: clocks jump.
    pub begun: Box<str>,
}

impl SegmentName {
    /// Names a new segment.
    pub(crate) fn new(instance: &str, number: u64, begun: Timestamp) -> Self {
        Self { instance: Some(instance.into()), number, begun: begun.strftime("%Y%m%dT%H%M%SZ").to_string().into() }
    }

    /// Reads the name of a file, and whether it is compressed.
    pub(crate) fn parse(file: &str) -> Option<(Self, bool)> {
        let (name, is_compressed) = match file.strip_suffix(COMPRESSED) {
            Some(name) => (name, true),
            None => (file.strip_suffix(PLAIN)?, false),
        };
        let (rest, last) = name.strip_prefix("audit-")?.rsplit_once('-')?;
        if is_time(last) {
            let (instance, number) = rest.rsplit_once('-')?;
            let number = number.parse().ok()?;
            return Some((Self { instance: Some(instance.into()), number, begun: last.into() }, is_compressed));
        }
        // As names were before: a time and a number.
        let number = last.parse().ok()?;
        is_time(rest).then(|| (Self { instance: None, number, begun: rest.into() }, is_compressed))
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instance, number, begun } = self;
        match instance {
            Some(instance) => write!(f, "audit-{instance}-{number:08}-{begun}"),
            None => write!(f, "audit-{begun}-{number:06}"),
        }
    }
}

fn is_time(text: &str) -> bool {
    let shape = text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    shape.eq(*b"00000000T000000Z")
}

/// What the files of segments end in.
pub(super) const PLAIN: &str = ".jsonl";
pub(super) const COMPRESSED: &str = ".jsonl.zst";
pub(super) const SUMMARY: &str = ".summary.json";

#[cfg(test)]
mod tests;
