//! The one way in: what a request presents goes in, an outcome comes out.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use identity::{Clock, Identity, Origin, ProviderId};
use jiff::Timestamp;

use crate::endpoints::{self, Shared};
use crate::oidc::Providers;
use crate::refresh::Refresher;
use crate::session::Sessions;
use crate::{
    AuthenticateError, Config, Endpoint, Keys, Presented, RefreshEvent, Session, Store, StoreError, assertion, cookie,
};

/// What authentication found.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Nothing that is ours was presented, or nothing that is still good (ended, unknown, of another host): the caller
    /// is nobody.
    NotAuthenticated,
    /// A live session.
    Authenticated(Arc<Session>),
    /// It cannot be known: the store did not answer. Never treated as nobody.
    Unavailable(Arc<StoreError>),
}

/// Proves who is calling.
#[derive(Debug)]
pub struct Authenticator {
    pub(crate) config: Arc<Config>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<dyn Clock>,
    providers: Arc<Providers>,
    refresher: Arc<Refresher>,
    own_paths: axum::Router,
}

impl Authenticator {
    /// Sets up sign-in. Contacts nobody: providers are discovered when they are first needed.
    ///
    /// # Errors
    /// A `ca_file` cannot be used.
    pub fn new(
        config: Config,
        store: Arc<Store>,
        keys: Arc<Keys>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthenticateError> {
        Self::build(config, store, keys, clock, None)
    }

    /// Sets sign-in up for another configuration: sessions stay, and so does what is known of providers that did not
    /// change. Once it is in force in the place of one with other keys, [`Self::forget_opened`] is due.
    ///
    /// # Errors
    /// A `ca_file` cannot be used.
    pub fn next(&self, config: Config, keys: Arc<Keys>) -> Result<Self, AuthenticateError> {
        let (store, clock) = (Arc::clone(&self.sessions.store), Arc::clone(&self.clock));
        Self::build(config, store, keys, clock, Some(&self.providers))
    }

    /// Has every session opened again with the keys: what none of them opens is no session any more.
    pub fn forget_opened(&self) {
        self.sessions.store.live().clear();
    }

    fn build(
        config: Config,
        store: Arc<Store>,
        keys: Arc<Keys>,
        clock: Arc<dyn Clock>,
        before: Option<&Providers>,
    ) -> Result<Self, AuthenticateError> {
        let sessions = Sessions::new(store, Arc::clone(&keys), Arc::clone(&clock), config.session.clone());
        let shared = Shared {
            providers: Arc::new(Providers::new(&config, &clock, before)?),
            config: Arc::new(config),
            sessions: Arc::new(sessions),
            keys,
            clock,
        };
        let own_paths = endpoints::router(shared.clone());
        let Shared { config, sessions, keys, clock, providers } = shared;
        let refresher = Arc::new(Refresher::new(Arc::clone(&sessions), Arc::clone(&providers), Arc::clone(&clock)));
        Ok(Self { config, sessions, keys, clock, providers, refresher, own_paths })
    }

    /// Tells who is calling.
    pub async fn authenticate(&self, presented: Presented<'_>) -> Outcome {
        for handle in cookie::handles(presented.headers, presented.origin.scheme()) {
            match self.sessions.find(&handle, presented.origin, presented.time).await {
                Ok(Some(session)) if self.is_of_known_provider(session.identity()) => {
                    if !session.is_due(presented.time) {
                        return Outcome::Authenticated(session);
                    }
                    // Seldom needed, and large: kept out of the future of every request.
                    if let Some(session) = Box::pin(self.refresher.fresh(session, presented.time)).await {
                        return Outcome::Authenticated(session);
                    }
                }
                Ok(_) => {}
                Err(error) => return Outcome::Unavailable(Arc::new(error)),
            }
        }
        Outcome::NotAuthenticated
    }

    /// Returns whether a session that was authenticated before goes on: it was not ended, is not over, and its provider is
    /// still one of ours.
    #[must_use]
    pub fn goes_on(&self, session: &Session) -> bool {
        self.is_of_known_provider(session.identity()) && self.sessions.goes_on(session)
    }

    /// Has a session refreshed whose time has come, beside whatever is done by it: one whose requests have all become
    /// streams makes no more of them. Asks for nothing where it is done already.
    pub fn keep_fresh(&self, session: &Arc<Session>) {
        let now = self.clock.now();
        if session.is_due(now) && !session.is_outdated() {
            self.refresher.begin(session, now);
        }
    }

    /// Has `told` called of each attempt to refresh a session, now and under all configurations to come.
    pub fn observe_refreshes(&self, told: impl Fn(&RefreshEvent<'_>) + Send + Sync + 'static) {
        self.sessions.store.refreshes().observe(told);
    }

    /// Waits, for some seconds at most, until no provider is asked for a refresh any more: its answer must not be lost.
    pub async fn settle(&self) {
        self.sessions.store.refreshes().settle().await;
    }

    /// Returns all live sessions, the newest first, for operators.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sessions(&self) -> Result<Vec<Arc<Session>>, StoreError> {
        self.sessions.all().await
    }

    /// Returns how many sessions are live.
    ///
    /// # Errors
    /// The store failed.
    pub async fn session_count(&self) -> Result<usize, StoreError> {
        self.sessions.count().await
    }

    /// Returns each provider, and whether it answered when it was last asked; one that was not asked yet counts as up.
    pub fn providers_up(&self) -> impl Iterator<Item = (&ProviderId, bool)> {
        self.providers.iter().map(|provider| (provider.id(), provider.is_up()))
    }

    /// Returns the live session that logs call by that id.
    ///
    /// # Errors
    /// The store failed.
    pub async fn session(&self, id: &str) -> Result<Option<Arc<Session>>, StoreError> {
        self.sessions.by_id(id).await
    }

    /// Returns the live sessions of the programs that come of a session, and end with it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn programs_of(&self, session: &Session) -> Result<Vec<Arc<Session>>, StoreError> {
        self.sessions.programs_of(session).await
    }

    /// Ends a session on every host, and tells all who hold it.
    ///
    /// # Errors
    /// The store failed; the session goes on.
    pub async fn revoke(&self, session: &Session) -> Result<(), StoreError> {
        self.sessions.end(session).await.map(drop)
    }

    /// Removes our cookies from `Cookie`, so that no upstream ever sees a handle. Other cookies stay as they came.
    pub fn strip_cookies(headers: &mut HeaderMap) {
        cookie::strip(headers);
    }

    /// Returns whether a `Set-Cookie` value sets a cookie that only we may set (an upstream's must be dropped).
    #[must_use]
    pub fn is_own_cookie(set_cookie: &HeaderValue) -> bool {
        cookie::sets_own(set_cookie)
    }

    /// Returns the assertion (a signed JWT) that tells the upstream of `audience` who is calling; signed once and then
    /// cached with the session until half of its life is over.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn assertion(
        &self,
        session: &Session,
        audience: &Origin,
        now: Timestamp,
    ) -> Result<HeaderValue, AuthenticateError> {
        assertion::assertion(session, audience, &self.keys, now)
    }

    /// Answers a request for one of our own paths: everything below `/.portcullis/`, and the JWKS below
    /// `/.well-known/portcullis/`.
    pub async fn serve(
        &self,
        endpoint: Endpoint,
        request: http::Request<axum::body::Body>,
    ) -> axum::response::Response {
        endpoints::serve(&self.own_paths, &self.config, endpoint, request).await
    }

    /// A provider that was taken out of the configuration vouches for nobody any more.
    fn is_of_known_provider(&self, identity: &Identity) -> bool {
        let mut providers = self.config.providers.iter();
        providers.any(|provider| provider.id == *identity.provider() && provider.issuer == *identity.issuer())
    }
}

#[cfg(test)]
mod tests;
