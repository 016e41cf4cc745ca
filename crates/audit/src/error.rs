//! Why the log cannot take a record.

use std::path::PathBuf;

/// Why the log cannot take a record.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The directory or a segment cannot be written.
    #[error("cannot write the audit log in `{}`: {source}", dir.display())]
    Unwritable {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Records come faster than the disk takes them, or the disk takes none.
    #[error("the audit log is full: the disk does not take records as fast as they come")]
    Full,
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
}
