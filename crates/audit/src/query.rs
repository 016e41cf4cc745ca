//! Searches the log: on all processors, without ever holding a segment, and with both lines of a request joined.

mod facts;
mod filter;
mod glance;
mod join;
mod pattern;
mod pending;
mod scan;
mod tail;

pub use facts::{Facts, Found, joined};
pub use filter::{Filter, Statuses};
pub use pattern::Pattern;
pub use scan::{Collect, Order, Scanned, scan, scan_segments};
pub use tail::Tail;

#[cfg(test)]
mod tests;
