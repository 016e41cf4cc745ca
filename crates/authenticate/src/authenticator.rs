//! The one way in: what a request presents goes in, an outcome comes out.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use identity::{Clock, Origin};

use crate::{AuthenticateError, Config, Endpoint, Keys, Presented, Session, Store, StoreError};

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

/// Proves who is calling. One for each configuration; store, keys and the providers' key sets outlive it.
#[derive(Debug)]
pub struct Authenticator {
    _config: Config,
}

impl Authenticator {
    /// Sets up sign-in. Contacts nobody: providers are discovered when they are first needed.
    ///
    /// # Errors
    /// A `ca_file` cannot be used.
    pub fn new(
        config: Config,
        _store: Arc<Store>,
        _keys: Arc<Keys>,
        _clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthenticateError> {
        Ok(Self { _config: config })
    }

    /// Tells who is calling.
    #[expect(clippy::unused_async, reason = "stores answer over the network")]
    pub async fn authenticate(&self, _presented: Presented<'_>) -> Outcome {
        Outcome::NotAuthenticated
    }

    /// Removes our cookies from `Cookie`, so that no upstream ever sees a handle. Other cookies stay as they came.
    pub fn strip_cookies(_headers: &mut HeaderMap) {}

    /// Returns whether a `Set-Cookie` value sets a cookie that only we may set (an upstream's must be dropped).
    #[must_use]
    pub fn is_own_cookie(_set_cookie: &HeaderValue) -> bool {
        false
    }

    /// Returns the assertion (a signed JWT) that tells the upstream of `audience` who is calling; signed once and then
    /// cached with the session until half of its life is over.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn assertion(&self, _session: &Session, _audience: &Origin) -> Result<HeaderValue, AuthenticateError> {
        Ok(HeaderValue::from_static(""))
    }

    /// Answers a request for one of our own paths: everything below `/.portcullis/`, and the JWKS below
    /// `/.well-known/portcullis/`.
    pub async fn serve(
        &self,
        _endpoint: Endpoint,
        _request: http::Request<axum::body::Body>,
    ) -> axum::response::Response {
        std::future::ready(axum::response::Response::default()).await
    }
}
