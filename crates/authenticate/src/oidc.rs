//! Sign-in with OpenID Connect providers: discovery, the authorization code flow, ID tokens, logout.

mod callback;
mod claims;
mod error;
mod logout_token;
mod metadata;
mod provider;
mod refresh;
mod sign_in;
mod sign_out;
#[cfg(test)]
pub(crate) mod test_provider;
mod token;
mod transport;

use std::sync::Arc;

use identity::{Clock, Origin, ProviderId};

pub(crate) use callback::SignedIn;
pub(crate) use error::{ProviderError, SignInError};
pub(crate) use provider::{MAX_BACK_OFF, Provider, back_off};
pub(crate) use refresh::{Refresh, RefreshError, ends, keep_proof};
pub(crate) use sign_in::{Attempt, Prompt};

use crate::{AuthenticateError, Config};
pub(crate) use transport::Transport;

/// The providers of the configuration, in its order.
#[derive(Debug)]
pub(crate) struct Providers(Vec<Arc<Provider>>);

impl Providers {
    /// Sets the providers up. Contacts nobody. A provider that is configured as it was `before` stays as it is, with all
    /// that is known of it.
    pub(crate) fn new(
        config: &Config,
        clock: &Arc<dyn Clock>,
        before: Option<&Self>,
    ) -> Result<Self, AuthenticateError> {
        let mut system = None;
        let mut providers = Vec::with_capacity(config.providers.len());
        for provider in &config.providers {
            let unusable = |reason| AuthenticateError::UnusableCa { provider: provider.id.to_string(), reason };
            let transport = match (&provider.ca_file, &system) {
                (Some(path), _) => Transport::with_ca_file(path).map_err(unusable)?,
                (None, Some(transport)) => Transport::clone(transport),
                (None, None) => system.insert(Transport::with_system_roots().map_err(unusable)?).clone(),
            };
            let provider = Provider::new(provider.clone(), callback_url(&config.url), transport, Arc::clone(clock));
            let same = before.and_then(|before| before.iter().find(|earlier| earlier.is_set_up_as(&provider)));
            providers.push(same.map_or_else(|| Arc::new(provider), Arc::clone));
        }
        Ok(Self(providers))
    }

    /// Returns the provider of that id.
    pub(crate) fn get(&self, id: &ProviderId) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.id() == id)
    }

    /// Returns all providers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter()
    }
}

/// Where a provider sends the browser back to: the `redirect_uri` to register there.
fn callback_url(authenticate: &Origin) -> String {
    format!("{authenticate}{}", crate::endpoints::CALLBACK_PATH)
}

#[cfg(test)]
mod tests;
