//! What is counted of sign-in, read when somebody asks for the metrics.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use authenticate::Authenticator;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: String,
}

/// How many sessions there were when they were last counted: to count them, a store goes through all of them.
#[derive(Debug, Default)]
pub(super) struct SessionCount(Mutex<Option<(Instant, usize)>>);

impl SessionCount {
    /// Counts, where that was not done for a while; nothing while the store does not answer.
    async fn read<E>(&self, count: impl AsyncFnOnce() -> Result<usize, E>) -> Option<usize> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = known.filter(|(since, _)| since.elapsed() < FRESH) {
            return Some(count);
        }
        let count = count().await.ok()?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), count));
        Some(count)
    }
}

/// Reads sessions and providers. Sessions are left out while the store does not answer: none is not what there is.
pub(super) async fn read(authenticator: Option<Arc<Authenticator>>, counted: &SessionCount) -> Registry {
    let mut registry = Registry::default();
    let Some(authenticator) = authenticator else { return registry };
    if let Some(count) = counted.read(async || authenticator.session_count().await).await {
        let sessions = Gauge::<i64>::default();
        sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
        registry.register("portcullis_sessions", "Sessions that are live", sessions);
    }
    let providers = Family::<ProviderLabels, Gauge>::default();
    for (provider, up) in authenticator.providers_up() {
        let labels = ProviderLabels { provider: provider.to_string() };
        providers.get_or_create(&labels).set(i64::from(up));
    }
    registry.register(
        "portcullis_provider_up",
        "1 unless a provider did not answer when it was last asked: its users cannot sign in",
        providers,
    );
    registry
}

/// Several scrape one instance, each a few times a minute.
const FRESH: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
