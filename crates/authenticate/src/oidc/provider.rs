//! One provider: discovered when it is first needed, kept fresh, and asked by one request at a time.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use identity::{Clock, ProviderId};
use jiff::{SignedDuration, Timestamp};
use openidconnect::core::{CoreClient, CoreJsonWebKey};
use openidconnect::{
    AuthType, AuthUrl, ClientId, ClientSecret, EndpointNotSet, EndpointSet, IssuerUrl, JsonWebKeySet, RedirectUrl,
    TokenUrl,
};
use url::Url;

use super::ProviderError;
use super::metadata::Metadata;
use super::transport::{Transport, TransportError};
use crate::config;

/// One provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(super) config: config::Provider,
    redirect: String,
    transport: Transport,
    pub(super) clock: Arc<dyn Clock>,
    known: ArcSwapOption<Known>,
    // Held while the provider is asked, so that any number of sign-ins cause one request.
    asking: tokio::sync::Mutex<()>,
    attempts: Mutex<Attempts>,
}

/// What is known of a provider.
#[derive(Debug)]
pub(crate) struct Known {
    pub(super) metadata: Arc<Metadata>,
    pub(super) keys: JsonWebKeySet<CoreJsonWebKey>,
    discovered: Timestamp,
}

/// A client that is ready to send browsers to the provider and to redeem codes.
pub(super) type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet, EndpointNotSet>;

#[derive(Debug, Default)]
struct Attempts {
    failures: u32,
    failed: Option<Failed>,
    keys_refetched: Option<Timestamp>,
}

/// The last time that the provider could not be asked.
#[derive(Debug)]
struct Failed {
    at: Timestamp,
    back_off: SignedDuration,
    error: Arc<ProviderError>,
}

impl Provider {
    /// Sets the provider up. Contacts nobody.
    pub(super) fn new(config: config::Provider, redirect: String, transport: Transport, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            redirect,
            transport,
            clock,
            known: ArcSwapOption::empty(),
            asking: tokio::sync::Mutex::new(()),
            attempts: Mutex::default(),
        }
    }

    /// Returns whether both reach the same provider in the same way.
    pub(super) fn is_set_up_as(&self, other: &Self) -> bool {
        self.config == other.config && self.redirect == other.redirect && self.transport.trusts_as(&other.transport)
    }

    /// Returns the id.
    pub(crate) const fn id(&self) -> &ProviderId {
        &self.config.id
    }

    /// Returns the configuration.
    pub(crate) const fn config(&self) -> &config::Provider {
        &self.config
    }

    /// Returns whether the provider answered when it was last asked.
    pub(crate) fn is_up(&self) -> bool {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).failed.is_none()
    }

    /// Returns what is known of the provider, asking it when nothing is or it is too old. When it does not answer, what
    /// was known stays good.
    pub(crate) async fn known(&self) -> Result<Arc<Known>, Arc<ProviderError>> {
        let stale = self.known.load_full();
        if let Some(known) = stale.as_ref().filter(|known| self.is_fresh(known)) {
            return Ok(Arc::clone(known));
        }
        let _asking = match (self.asking.try_lock(), stale) {
            (Ok(guard), _) => guard,
            (Err(_), Some(stale)) => return Ok(stale),
            (Err(_), None) => self.asking.lock().await,
        };
        let current = self.known.load_full();
        if let Some(known) = current.as_ref().filter(|known| self.is_fresh(known)) {
            return Ok(Arc::clone(known));
        }
        match (self.ask().await, current) {
            (Ok(known), _) => Ok(known),
            (Err(_), Some(stale)) => Ok(stale),
            (Err(error), None) => Err(error),
        }
    }

    /// Fetches the key set again because a token names a key that `seen` does not have; at most once a minute, whatever
    /// tokens say, so that nobody can turn us against the provider. `None` when there are no newer keys.
    pub(super) async fn newer_keys(&self, seen: &Arc<Known>) -> Option<Arc<Known>> {
        let _asking = self.asking.lock().await;
        let current = self.known.load_full()?;
        if !Arc::ptr_eq(&current, seen) {
            return Some(current);
        }
        let now = self.clock.now();
        {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            if attempts.keys_refetched.is_some_and(|last| within(last, KEYS_COOL_DOWN, now)) {
                return None;
            }
            attempts.keys_refetched = Some(now);
        }
        match self.fetch_keys(&current.metadata).await {
            Ok(keys) => {
                let known =
                    Arc::new(Known { metadata: Arc::clone(&current.metadata), keys, discovered: current.discovered });
                self.known.store(Some(Arc::clone(&known)));
                Some(known)
            }
            Err(error) => {
                tracing::warn!(provider.id = %self.config.id, %error, "cannot fetch the key set; the old keys stay in use");
                None
            }
        }
    }

    /// Makes a client from what is known.
    pub(super) fn client(&self, known: &Known) -> Result<Client, Arc<ProviderError>> {
        let nonsense = |error: url::ParseError| Arc::new(ProviderError::Nonsense(error.to_string()));
        let issuer = IssuerUrl::new(self.config.issuer.as_str().to_owned()).map_err(nonsense)?;
        let redirect = RedirectUrl::new(self.redirect.clone()).map_err(nonsense)?;
        let client = CoreClient::new(ClientId::new(self.config.client_id.clone()), issuer, known.keys.clone())
            .set_auth_uri(AuthUrl::from_url(known.metadata.authorization_endpoint.clone()))
            .set_token_uri(TokenUrl::from_url(known.metadata.token_endpoint.clone()))
            .set_redirect_uri(redirect);
        let client = match &self.config.client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().to_owned())),
            None => client,
        };
        // RFC 6749 §2.3.1: HTTP Basic is what every provider must take, so it is used unless only the body is listed.
        let in_body = self.config.client_secret.is_none() || known.metadata.wants_secret_in_body();
        Ok(client.set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth }))
    }

    /// Returns the way to the provider.
    pub(super) const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Fetches a document with an access token.
    pub(super) async fn get(&self, url: &Url, bearer: &HeaderValue) -> Result<Vec<u8>, TransportError> {
        self.transport.get(url, Some(bearer)).await
    }

    fn is_fresh(&self, known: &Known) -> bool {
        within(known.discovered, REDISCOVER_AFTER, self.clock.now())
    }

    async fn ask(&self) -> Result<Arc<Known>, Arc<ProviderError>> {
        let now = self.clock.now();
        if let Some(error) = self.backing_off(now) {
            return Err(error);
        }
        let asked = self.discover(now).await;
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(known) => {
                *attempts = Attempts { keys_refetched: attempts.keys_refetched, ..Attempts::default() };
                self.known.store(Some(Arc::clone(&known)));
                Ok(known)
            }
            Err(error) => {
                let error = Arc::new(error);
                tracing::warn!(provider.id = %self.config.id, %error, "cannot discover the provider");
                let back_off = back_off(attempts.failures);
                attempts.failed = Some(Failed { at: self.clock.now(), back_off, error: Arc::clone(&error) });
                attempts.failures = attempts.failures.saturating_add(1);
                Err(error)
            }
        }
    }

    fn backing_off(&self, now: Timestamp) -> Option<Arc<ProviderError>> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts
            .failed
            .as_ref()
            .filter(|failed| within(failed.at, failed.back_off, now))
            .map(|failed| Arc::clone(&failed.error))
    }

    async fn discover(&self, now: Timestamp) -> Result<Arc<Known>, ProviderError> {
        let issuer = self.config.issuer.as_str();
        let location = Metadata::location(issuer)?;
        let document = self.transport.get(&location, None).await.map_err(|error| self.unavailable(error))?;
        let metadata = Metadata::parse(&document, issuer)?;
        let keys = self.fetch_keys(&metadata).await?;
        Ok(Arc::new(Known { metadata: Arc::new(metadata), keys, discovered: now }))
    }

    async fn fetch_keys(&self, metadata: &Metadata) -> Result<JsonWebKeySet<CoreJsonWebKey>, ProviderError> {
        let document = self.transport.get(&metadata.jwks_uri, None).await.map_err(|error| self.unavailable(error))?;
        serde_json::from_slice(&document).map_err(|error| {
            ProviderError::Nonsense(format!(
                "its key set cannot be read (line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    fn unavailable(&self, source: TransportError) -> ProviderError {
        ProviderError::Unavailable { provider: self.config.id.to_string(), source }
    }
}

/// Returns whether `now` is less than so long after `since`. A time that lies ahead says nothing: the clock was set back,
/// and waiting for it could take for ever.
fn within(since: Timestamp, duration: SignedDuration, now: Timestamp) -> bool {
    since <= now && now < since + duration
}

/// Returns how long a provider is left alone after so many failures: up to half a minute, and jittered, so that many
/// instances do not ask at the same moment.
pub(crate) fn back_off(failures: u32) -> SignedDuration {
    let full = 1_000_u32.saturating_mul(1 << failures.min(5)).min(MAX_BACK_OFF_MS);
    let mut random = [0; 4];
    // Without randomness the wait is merely not jittered.
    let _unjittered = aws_lc_rs::rand::fill(&mut random);
    let jitter = u32::from_le_bytes(random) % (full / 2);
    SignedDuration::from_millis(i64::from(full - jitter))
}

/// The longest that a provider is left alone after a failure.
pub(crate) const MAX_BACK_OFF: SignedDuration = SignedDuration::from_millis(MAX_BACK_OFF_MS as i64);
const MAX_BACK_OFF_MS: u32 = 30_000;

const REDISCOVER_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Without it, tokens with made-up key ids would make us flood the provider.
const KEYS_COOL_DOWN: SignedDuration = SignedDuration::from_mins(1);
