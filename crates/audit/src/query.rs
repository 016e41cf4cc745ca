//! Searches the log: on all processors, without ever holding a segment, and with both lines of a request joined.

mod facts;
mod filter;
mod follow;
mod join;
mod pattern;
mod pending;
mod scan;

pub use facts::{Facts, Found, joined};
pub use filter::{Filter, Statuses};
pub use follow::Follow;
pub use pattern::Pattern;
pub use scan::{Collect, Order, Scanned, scan};

#[cfg(test)]
mod tests;
