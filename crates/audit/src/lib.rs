//! Remembers what was decided: one JSON object a line. Knows no request type but its own `Record`.

mod config;
mod error;
mod line;
mod log;
mod record;

pub use config::Config;
pub use error::AuditError;
pub use log::{Log, Slot};
pub use record::{ClientCertificate, Decision, Input, Kind, Milliseconds, Record, Shadow, Tls, Upstream, User};
