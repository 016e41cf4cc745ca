//! Remembers what was decided: one JSON object a line. Knows no request type but its own `Record`.

mod archive;
mod chain;
mod checkpoint;
mod config;
mod error;
mod event;
mod follow;
mod input_key;
mod line;
mod log;
mod mark;
mod query;
mod record;
mod redact;
mod sign;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;
mod verify;

pub use archive::{Archive, Form, Lines, Segment, SegmentName, Summary, Values};
pub use checkpoint::{Checkpoint, NoCheckpoint};
pub use config::{Config, Durability, Mode, Retention};
pub use error::AuditError;
pub use event::{Event, EventKind};
pub use follow::{Follower, Place, Progress};
pub use input_key::InputKey;
pub use log::{LATENCY_BOUNDS, Log, SinkCounts, Slot, Statistics};
pub use query::{Collect, Facts, Filter, Found, Order, Pattern, Scanned, Statuses, Tail, joined, scan, scan_segments};
pub use record::{
    Caller, ClientCertificate, Decision, Ended, Input, Kind, Milliseconds, Outcome, Record, Refused, Shadow, Tls,
    Upstream, User,
};
pub use redact::{Redact, Redaction};
pub use sign::{KeyError, SigningKey, VerifyingKey};
pub use verify::{Chain, Finding, Problem, Verification, verify};
