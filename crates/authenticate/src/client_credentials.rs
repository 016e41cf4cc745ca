//! Tokens that Portcullis itself fetches for an upstream: the client credentials grant (RFC 6749 §4.4).
//!
//! One token serves all requests: it is fetched once however many of them race, kept, renewed before it ends, and once
//! more where the upstream refuses it. It is in no log and in no error.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use identity::Secret;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::oidc::Transport;

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentialsConfig {
    /// The token endpoint; https.
    pub token_url: Url,
    /// Who we are there.
    pub client_id: String,
    /// How we prove it.
    pub client_secret: Secret,
    /// How the proof is sent.
    pub client_authentication: ClientAuthentication,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Further parameters, such as `audience`.
    pub params: Vec<(String, String)>,
    /// The authorities that the endpoint's certificate is verified against; else the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a client proves itself at the token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `Authorization: Basic`.
    #[default]
    Basic,
    /// In the form.
    Post,
}

/// A source of tokens.
#[derive(Clone, Debug)]
pub struct ClientCredentials(Arc<Source>);

/// Why there is no token. Holds nothing of it, nor of the endpoint's words but its error code.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no token from `{url}`: {reason}")]
pub struct TokenError {
    url: String,
    reason: String,
}

/// What became of an attempt to fetch a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// There is a new one.
    Token,
    /// There is none.
    Nothing,
}

struct Source {
    config: ClientCredentialsConfig,
    transport: Transport,
    token: RwLock<Option<Token>>,
    /// Held while a token is fetched, with what became of the last attempt if it failed.
    fetching: Mutex<Option<(Instant, TokenError)>>,
    observe: Box<dyn Fn(Fetched) + Send + Sync>,
}

#[derive(Clone)]
struct Token {
    value: HeaderValue,
    renewed_from: Instant,
    ends: Instant,
}

/// The endpoint's answer (RFC 6749 §5.1, §5.2).
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    /// Seconds as a number (RFC 6749 §5.1); some endpoints write them as a text.
    expires_in: Option<serde_json::Value>,
    error: Option<String>,
}

impl ClientCredentials {
    /// Sets a source up. Contacts nobody; `observe` is told of each attempt.
    ///
    /// # Errors
    /// The authorities cannot be read.
    pub fn new(
        config: ClientCredentialsConfig,
        observe: impl Fn(Fetched) + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let transport = match &config.ca_file {
            Some(path) => Transport::with_ca_file(path)?,
            None => Transport::with_system_roots()?,
        };
        Ok(Self(Arc::new(Source {
            config,
            transport,
            token: RwLock::new(None),
            fetching: Mutex::new(None),
            observe: Box::new(observe),
        })))
    }

    /// Returns whether both ask the same endpoint for the same, and believe it by the same authorities.
    #[must_use]
    pub fn is_set_up_as(&self, other: &Self) -> bool {
        self.0.config == other.0.config && self.0.transport.trusts_as(&other.0.transport)
    }

    /// Returns `Bearer` and the token, which is fetched where there is none. One that ends soon is renewed meanwhile.
    ///
    /// # Errors
    /// There is no token to be had.
    pub async fn header(&self) -> Result<HeaderValue, TokenError> {
        let now = Instant::now();
        let Some(token) = self.0.current().filter(|token| now < token.ends) else {
            return self.fetch(None).await;
        };
        if now >= token.renewed_from && self.0.fetching.try_lock().is_ok_and(|failed| may_try(failed.as_ref(), now)) {
            drop(self.begin(Some(token.value.clone())));
        }
        Ok(token.value)
    }

    /// Returns another token than one that the upstream refused; once for all requests that it refused with it.
    ///
    /// # Errors
    /// There is none to be had.
    pub async fn renew(&self, refused: &HeaderValue) -> Result<HeaderValue, TokenError> {
        self.fetch(Some(refused.clone())).await
    }

    async fn fetch(&self, old: Option<HeaderValue>) -> Result<HeaderValue, TokenError> {
        self.begin(old).await.unwrap_or_else(|_| Err(self.0.error("the attempt was ended".to_owned())))
    }

    /// Fetches in a task of its own: a client that leaves would take the token of those who wait with it along, and where all
    /// are in more of a hurry than the endpoint, there would never be one.
    fn begin(&self, old: Option<HeaderValue>) -> JoinHandle<Result<HeaderValue, TokenError>> {
        let source = Arc::clone(&self.0);
        tokio::spawn(async move { source.fetch(old.as_ref()).await })
    }
}

impl Source {
    fn current(&self) -> Option<Token> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches a token unless another request has brought one since, or has just failed to.
    async fn fetch(&self, old: Option<&HeaderValue>) -> Result<HeaderValue, TokenError> {
        let asked = Instant::now();
        let mut failed = self.fetching.lock().await;
        if let Some(token) = self.current().filter(|token| Some(&token.value) != old && Instant::now() < token.ends) {
            return Ok(token.value);
        }
        if let Some((when, error)) = failed.as_ref().filter(|(when, _)| *when >= asked || when.elapsed() < PAUSE) {
            tracing::debug!(since = ?when.elapsed(), "no new attempt to fetch a token yet");
            return Err(error.clone());
        }
        match self.ask().await {
            Ok(token) => {
                *failed = None;
                let value = token.value.clone();
                *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
                (self.observe)(Fetched::Token);
                Ok(value)
            }
            Err(reason) => {
                let error = self.error(reason);
                tracing::warn!(%error, "an upstream's token cannot be fetched");
                *failed = Some((Instant::now(), error.clone()));
                (self.observe)(Fetched::Nothing);
                Err(error)
            }
        }
    }

    fn error(&self, reason: String) -> TokenError {
        TokenError { url: self.config.token_url.to_string(), reason }
    }

    async fn ask(&self) -> Result<Token, String> {
        let asked = Instant::now();
        let (form, authorization) = self.request()?;
        let answer = self.transport.post_form(&self.config.token_url, form, authorization).await;
        let (status, body) = answer.map_err(|error| error.to_string())?;
        let answer: Option<Answer> = serde_json::from_slice(&body).ok();
        if status != http::StatusCode::OK {
            let code = answer.and_then(|answer| answer.error).filter(|code| is_plain(code));
            return Err(format!(
                "it answered {}{}",
                status.as_u16(),
                code.map_or_else(String::new, |code| format!(" `{code}`"))
            ));
        }
        answer.ok_or("its answer is no JSON of a token")?.token(asked)
    }

    /// Returns the form, and the header by which we prove who we are.
    fn request(&self) -> Result<(String, Option<HeaderValue>), String> {
        let ClientCredentialsConfig { client_id, client_secret, scopes, params, .. } = &self.config;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes.join(" "));
        }
        form.extend_pairs(params);
        let authorization = match self.config.client_authentication {
            ClientAuthentication::Basic => Some(basic(client_id, client_secret)?),
            ClientAuthentication::Post => {
                form.append_pair("client_id", client_id).append_pair("client_secret", client_secret.expose());
                None
            }
        };
        Ok((form.finish(), authorization))
    }
}

impl Answer {
    fn token(self, asked: Instant) -> Result<Token, String> {
        let token = self.access_token.filter(|token| !token.is_empty()).ok_or("its answer holds no `access_token`")?;
        // RFC 6749 §7.1: a token of a type that is not understood must not be used.
        if !self.token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err("its token is not of the type `Bearer`".to_owned());
        }
        // RFC 6749 §A.12: visible ASCII, which a header would not insist on.
        let fits = token.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let value = fits.then(|| HeaderValue::try_from(format!("Bearer {token}")).ok()).flatten();
        let mut value = value.ok_or("its token fits no header")?;
        value.set_sensitive(true);
        let lifetime = match self.expires_in {
            None => LIFETIME,
            Some(seconds) => seconds_in(&seconds).ok_or("its `expires_in` is no number of seconds")?,
        };
        let lifetime = lifetime.clamp(ONE_SECOND, MAX_LIFETIME);
        Ok(Token { value, renewed_from: asked + lifetime - (lifetime / 5).min(EARLY), ends: asked + lifetime })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Returns whether the last failure is long enough ago.
fn may_try(failed: Option<&(Instant, TokenError)>, now: Instant) -> bool {
    failed.is_none_or(|(when, _)| now.saturating_duration_since(*when) >= PAUSE)
}

/// Returns how a client proves itself in a header. RFC 6749 §2.3.1: both are form-encoded before they are joined.
pub(crate) fn basic(client_id: &str, secret: &Secret) -> Result<HeaderValue, String> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret.expose())));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

fn seconds_in(value: &serde_json::Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    // What is too much for a duration is cut like what is merely long.
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(MAX_LIFETIME))
}

fn is_plain(code: &str) -> bool {
    code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// How long before its end a token is renewed, but not before four fifths of its life.
const EARLY: Duration = Duration::from_secs(60);

/// How long after a failure nothing is asked: the endpoint may be overrun.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a token lives whose endpoint does not say.
const LIFETIME: Duration = Duration::from_secs(300);

/// One that says less is used once.
const ONE_SECOND: Duration = Duration::from_secs(1);

/// A token that claims more is asked for again after a day.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;
