//! What can be wrong with a log.

use std::fmt;
use std::path::Path;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub segment: Box<Path>,
    /// The line, from 1; none where the segment as a whole is meant.
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Its hash is not that of its bytes.
    #[error("altered: the hash of the line is not the one that it carries")]
    Altered,
    /// It does not carry the hash of the line before it.
    #[error("does not follow the line before: lines were removed, inserted or reordered here")]
    OutOfOrder,
    /// It is no line of a chain.
    #[error("inserted or altered: the line carries no hash")]
    Unsealed,
    /// The first line is not what begins a segment.
    #[error("the first line of the segment is missing, or is that of another segment")]
    HeadMissing,
    /// It has no line, and others follow it.
    #[error("has no line: all of them were cut off")]
    Emptied,
    /// The segment does not carry the hash of the end of the one before.
    #[error(
        "does not follow the segment before: lines were cut off its end or added there, or this is another segment"
    )]
    Untied,
    /// There are lines behind the one that ends a segment.
    #[error("stands behind the line that ends the segment")]
    BehindEnd,
    /// It ends another segment, or one with another number of lines.
    #[error("ends a segment of {0} lines, which this is not")]
    OtherEnd(u64),
    /// A number is missing.
    #[error(
        "segments {first} to {last} of this chain are missing before this one, and no record says that they were deleted"
    )]
    SegmentsMissing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// A number is there twice, or was deleted before.
    #[error("another segment has the same number, or it was deleted and put back")]
    SegmentRepeated,
    /// The last line is not whole.
    #[error("the last {bytes} bytes are no whole line")]
    Torn {
        /// How many bytes stand behind the last line feed.
        bytes: u64,
    },
    /// The line should be signed.
    #[error("not signed, though it should be")]
    Unsigned,
    /// The signature is of no key that was given.
    #[error("the signature is of none of the given keys (the line names key `{0}`)")]
    BadSignature(Box<str>),
    /// The segment ends before the line that a checkpoint counts.
    #[error("ends too early: line {signed} was signed, and lines up to there are missing")]
    CutOff {
        /// The line that was signed.
        signed: u64,
    },
    /// The segment that a checkpoint counts is missing, as are those behind it.
    #[error("segment {segment} and its line {signed} were signed, and no such segment follows")]
    SegmentsCutOff {
        /// The segment that was signed.
        segment: u64,
        /// The line of it.
        signed: u64,
    },
    /// A checkpoint has another hash.
    #[error("not the line that was signed: what stands here was written anew")]
    OtherThanSigned,
    /// A signed chain has no checkpoint.
    #[error("the checkpoint of this chain is missing: whether its end was cut off cannot be told")]
    CheckpointMissing,
    /// It cannot be read as one.
    #[error("no checkpoint: it was altered")]
    CheckpointAltered,
    /// A process that went on with the log found it other than it had been signed.
    #[error("when this segment was begun, {reason} (signed: segment {segment}, line {lines})")]
    Alarm {
        /// What it found.
        reason: &'static str,
        /// The segment that had been signed, and the line of it; 0 where that is not known.
        segment: u64,
        /// The line.
        lines: u64,
    },
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(Box<str>),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.segment.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}
