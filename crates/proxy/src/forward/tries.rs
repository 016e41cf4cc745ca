//! Remembers where a request went, for whoever must tell when it has ended, however that was.

use std::sync::Arc;

use crate::exchange::Answerer;
use crate::upstream::Target;

/// The tries of a request.
#[derive(Debug, Default)]
pub(crate) struct Tries<'a> {
    last: Option<&'a Target>,
    /// What was spoken with the last, and why, where a connection came about.
    spoken: Option<(&'static str, &'static str)>,
    /// How often a connection or a request was tried.
    count: u32,
}

impl<'a> Tries<'a> {
    /// Notes that an endpoint is tried. Returns the number of the try.
    pub(super) const fn begin(&mut self, target: &'a Target) -> u32 {
        self.count += 1;
        (self.last, self.spoken) = (Some(target), None);
        self.count
    }

    /// Notes what is spoken with it, and why.
    pub(super) const fn connected(&mut self, protocol: &'static str, reason: &'static str) {
        self.spoken = Some((protocol, reason));
    }

    /// Returns the endpoint that was tried last.
    pub(crate) fn last(&self) -> Option<Answerer> {
        let (protocol, protocol_reason) = self.spoken.unwrap_or_default();
        let attempts = self.count;
        self.last.map(|target| Answerer {
            endpoint: Arc::clone(target.endpoint.name()),
            protocol,
            protocol_reason,
            attempts,
        })
    }
}
