//! What a provider says of a user who signed in before: the refresh token is redeemed, and its answer verified.
//!
//! Decides what ends a session and what does not; keeps nothing.

use identity::{Identity, Secret};
use jiff::{SignedDuration, Timestamp};
use openidconnect::core::{CoreErrorResponseType, CoreRequestTokenError, CoreTokenResponse};
use openidconnect::{OAuth2TokenResponse as _, RefreshToken, RequestTokenError, TokenResponse as _};
use serde_json::{Map, Value};

use super::callback::{exchange_failed, holds_id_token};
use super::provider::Known;
use super::token::{self, Occasion};
use super::transport::TransportError;
use super::{Provider, ProviderError, SignInError};

/// A session whose provider is asked again.
#[derive(Debug)]
pub(crate) struct Refresh<'a> {
    /// Who signed in, as the provider said last.
    pub(crate) identity: &'a Identity,
    /// The last ID token.
    pub(crate) id_token: Option<&'a Secret>,
    /// What proves that we may ask.
    pub(crate) refresh_token: &'a Secret,
}

/// What the token endpoint gave.
#[derive(Debug)]
pub(crate) struct Refreshed {
    /// What takes the place of the refresh token, where that was exchanged. Good whatever else is wrong.
    pub(crate) refresh_token: Option<Secret>,
    /// The ID token, where there is another.
    pub(crate) id_token: Option<Secret>,
    /// When the provider wants to be asked again, where it says.
    pub(crate) until: Option<Timestamp>,
    /// Who the user is now.
    pub(crate) identity: Result<Identity, RefreshError>,
}

/// Why a session is not refreshed. Texts hold no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    /// The provider ended it.
    #[error("the provider answered `{0}`")]
    Over(String),
    /// The session is a program's, and that of its browser has ended.
    #[error("the session of the browser that vouched for the program has ended")]
    BrowserEnded,
    /// What it says is not about this session, or the user is not admitted any more.
    #[error(transparent)]
    Refused(SignInError),
    /// It says nothing that could be used: the session goes on.
    #[error(transparent)]
    Failed(SignInError),
}

impl RefreshError {
    /// Returns the stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Over(_) => "grant-ended",
            Self::BrowserEnded => "browser-session-ended",
            Self::Refused(error) | Self::Failed(error) => error.reason(),
        }
    }

    /// Returns whether the session ends by it.
    pub(crate) const fn ends_session(&self) -> bool {
        match self {
            Self::Over(_) | Self::BrowserEnded | Self::Refused(_) => true,
            Self::Failed(_) => false,
        }
    }
}

impl From<SignInError> for RefreshError {
    /// What a provider says that cannot be accepted ends the session; what it fails to say does not.
    fn from(error: SignInError) -> Self {
        let is_unacceptable = matches!(
            error,
            SignInError::TokenInvalid(_) | SignInError::SubjectMismatch | SignInError::EmailDomainNotAllowed
        );
        if is_unacceptable { Self::Refused(error) } else { Self::Failed(error) }
    }
}

impl Provider {
    /// Redeems the refresh token of a session and verifies what comes back (OpenID Connect Core 1.0 §12).
    pub(crate) async fn refresh(&self, session: &Refresh<'_>) -> Result<Refreshed, RefreshError> {
        let known = self.known().await.map_err(SignInError::from)?;
        let client = self.client(&known).map_err(SignInError::from)?;
        let answer = client
            .exchange_refresh_token(&RefreshToken::new(session.refresh_token.expose().to_owned()))
            .request_async(self.transport())
            .await
            .map_err(|error| self.not_redeemed(&error))?;
        let identity = self.identity_now(&known, &answer, session).await;
        let ends = identity.as_ref().ok().filter(|_| answer.id_token().is_some()).and_then(ends);
        let access_ends = || {
            let life = SignedDuration::try_from(answer.expires_in()?).ok()?;
            self.clock.now().checked_add(life).ok()
        };
        Ok(Refreshed {
            refresh_token: answer.refresh_token().map(|token| Secret::new(token.secret().clone())),
            id_token: answer.id_token().map(|token| Secret::new(token.to_string())),
            until: ends.or_else(access_ends),
            identity,
        })
    }

    /// An answer without an ID token leaves what the last one said; userinfo is asked again where it was before.
    async fn identity_now(
        &self,
        known: &std::sync::Arc<Known>,
        answer: &CoreTokenResponse,
        session: &Refresh<'_>,
    ) -> Result<Identity, RefreshError> {
        let before = session.identity.claims().as_map();
        let mut claims = match (answer.id_token(), session.id_token) {
            (Some(id_token), _) => {
                let occasion = Occasion::Refresh { before };
                self.verify(known, id_token, occasion, answer.access_token()).await.map_err(|error| refused(&error))?
            }
            (None, Some(id_token)) => token::part(id_token.expose(), 1).unwrap_or_else(|| before.clone()),
            (None, None) => before.clone(),
        };
        carry_over(&mut claims, before);
        Ok(self.identify(known, claims, answer.access_token()).await?)
    }

    fn not_redeemed(&self, error: &CoreRequestTokenError<TransportError>) -> RefreshError {
        match error {
            RequestTokenError::ServerResponse(answer) if is_over(answer.error()) => {
                RefreshError::Over(answer.error().as_ref().to_owned())
            }
            RequestTokenError::Request(error) => {
                let provider = self.config.id.to_string();
                let unavailable = ProviderError::Unavailable { provider, source: error.clone() };
                RefreshError::Failed(SignInError::Provider(unavailable.into()))
            }
            RequestTokenError::Parse(_, body) if !holds_id_token(body) => {
                let nonsense = ProviderError::Nonsense("its token endpoint's answer cannot be read".into());
                RefreshError::Failed(SignInError::Provider(nonsense.into()))
            }
            RequestTokenError::ServerResponse(_) | RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                exchange_failed(error).into()
            }
        }
    }
}

/// Returns when an ID token ends, by the claims of its user.
pub(crate) fn ends(identity: &Identity) -> Option<Timestamp> {
    identity.claims().get("exp").and_then(Value::as_i64).and_then(|ends| Timestamp::from_second(ends).ok())
}

/// Returns whether the provider lets the user go on only after they have come back (RFC 6749 §5.2; OpenID Connect Core 1.0
/// §3.1.2.6, which some providers answer here, too).
fn is_over(code: &CoreErrorResponseType) -> bool {
    matches!(code.as_ref(), "invalid_grant" | "interaction_required" | "login_required" | "consent_required")
}

/// A key that is not known may be one that the provider did not publish yet, or does not answer for: that ends no session.
fn refused(refused: &token::Refused) -> RefreshError {
    let error = SignInError::TokenInvalid(refused.to_string());
    match refused {
        token::Refused::UnknownKey => RefreshError::Failed(error),
        token::Refused::Signature(_) | token::Refused::Header(_) | token::Refused::Claim(..) => {
            RefreshError::Refused(error)
        }
    }
}

/// A refresh proves nobody anew: when the user was seen stays as it was, whatever is said now, and how, unless that is said.
fn carry_over(claims: &mut Map<String, Value>, before: &Map<String, Value>) {
    for name in ["auth_time", "nonce"] {
        claims.remove(name);
    }
    for name in PROOF {
        if let Some(value) = before.get(name).filter(|_| !claims.contains_key(name)) {
            claims.insert(name.to_owned(), value.clone());
        }
    }
}

/// Leaves of what claims say of a sign-in what was said before, and nothing else.
pub(crate) fn keep_proof(claims: &mut Map<String, Value>, before: &Map<String, Value>) {
    for name in PROOF {
        claims.remove(name);
        claims.extend(before.get(name).map(|value| (name.to_owned(), value.clone())));
    }
}

/// The claims that say when, how, and for what a user signed in.
const PROOF: [&str; 5] = ["auth_time", "nonce", "acr", "amr", "sid"];
