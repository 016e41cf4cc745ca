//! Accepts connections: one task each, a permit before each accept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::{Listener, Metrics, ServeError, Snapshot};

/// Bound listeners, not yet serving.
#[derive(Debug)]
pub struct Server {}

impl Server {
    /// Loads certificates and binds every listener, or none.
    ///
    /// # Errors
    /// An address cannot be bound, or a certificate cannot be used.
    pub fn bind(_listeners: Vec<Listener>, _metrics: &Arc<Metrics>) -> Result<Self, Vec<ServeError>> {
        Ok(Self {})
    }

    /// Returns the bound addresses, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// Reads all certificate and key files again; a file that is bad keeps the last good one in service.
    ///
    /// # Errors
    /// What is wrong with which file; the good ones were swapped all the same.
    pub fn reload_certificates(&self) -> Result<(), Vec<ServeError>> {
        Ok(())
    }

    /// Serves until `shutdown` ends; then stops accepting, lets requests end for at most `drain`, and closes the rest.
    pub async fn serve(
        self: Arc<Self>,
        _snapshot: Arc<ArcSwap<Snapshot>>,
        shutdown: impl Future<Output = ()> + Send,
        _drain: Duration,
    ) {
        shutdown.await;
    }
}
