//! Ships what others made, audit records and traces, to those who collect it: syslog (RFC 5424) and OTLP over HTTP.
//!
//! Nothing here is ever waited for by a request. What a receiver gets late, or not at all, is in the audit log all the
//! same.

mod logs;
mod otlp;
mod receiver;
mod ship;
mod syslog;
mod trace;

pub use otlp::Otlp;
pub use receiver::{Duplex, Receiver, Tls};
pub use ship::{Prepared, Shippers, Sinks};
pub use syslog::Syslog;
pub use trace::{Attempt, ContinueFrom, Phase, Served, SpanCounts, Trace, Tracer, Traces};
