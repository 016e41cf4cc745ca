//! Where and how the log is written.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Redaction, SigningKey};

/// The `audit` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The directory of the segments; made when it is missing.
    pub dir: PathBuf,
    /// The name of the chain: one for each process that writes to the directory.
    pub instance: String,
    /// When a record is written.
    pub mode: Mode,
    /// What counts as written.
    pub durability: Durability,
    /// Also write each record to standard output.
    pub stdout: bool,
    /// A segment is closed when it has grown past so many bytes.
    pub segment_bytes: u64,
    /// A segment is closed when it is older than this.
    pub segment_age: Duration,
    /// Whether closed segments are compressed.
    pub compress: bool,
    /// Which closed segments are kept.
    pub retention: Retention,
    /// What is left out of records.
    pub redaction: Redaction,
    /// Signs the first and the last line of each segment.
    pub signing_key: Option<SigningKey>,
}

/// Which closed segments are kept; all, unless something is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Those whose last line is no older than this.
    pub age: Option<Duration>,
    /// The newest of all chains of the directory that take no more bytes together.
    pub bytes: Option<u64>,
}

/// When a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The decision before the request is forwarded, the outcome when it has ended.
    #[default]
    Strict,
    /// Both at once, when the request has ended. A crash loses the last milliseconds.
    Buffered,
    /// Never: what the others cost is measured beside this. No configuration asks for it.
    #[cfg(feature = "test-util")]
    Unrecorded,
}

/// What counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The operating system has it: the process may crash or be killed.
    #[default]
    Os,
    /// The disk has it: the machine may lose its power.
    Disk,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("audit"),
            instance: "portcullis".to_owned(),
            mode: Mode::default(),
            durability: Durability::default(),
            stdout: false,
            segment_bytes: 64 * 1024 * 1024,
            segment_age: Duration::from_secs(24 * 60 * 60),
            compress: true,
            retention: Retention::default(),
            redaction: Redaction::default(),
            signing_key: None,
        }
    }
}
