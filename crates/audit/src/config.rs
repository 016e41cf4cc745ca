//! Where and how the log is written.

use std::path::PathBuf;
use std::time::Duration;

/// The `audit` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The directory of the segments; made when it is missing.
    pub dir: PathBuf,
    /// Also write each record to standard output.
    pub stdout: bool,
    /// A segment is closed when it has grown past so many bytes.
    pub segment_bytes: u64,
    /// A segment is closed when it is older than this.
    pub segment_age: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("audit"),
            stdout: false,
            segment_bytes: 64 * 1024 * 1024,
            segment_age: Duration::from_secs(24 * 60 * 60),
        }
    }
}
