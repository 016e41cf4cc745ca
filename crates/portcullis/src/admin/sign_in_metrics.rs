//! What is counted of sign-in, read when somebody asks for the metrics.

use std::sync::Arc;

use authenticate::Authenticator;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: String,
}

/// Reads sessions and providers. Sessions are left out while the store does not answer: none is not what there is.
pub(super) async fn read(authenticator: Option<Arc<Authenticator>>) -> Registry {
    let mut registry = Registry::default();
    let Some(authenticator) = authenticator else { return registry };
    if let Ok(count) = authenticator.session_count().await {
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
