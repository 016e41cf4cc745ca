//! The provider's answer: the code is redeemed, the ID token verified, and the identity made of it.

use std::sync::Arc;

use http::HeaderValue;
use identity::{Identity, Secret};
use openidconnect::core::{CoreIdToken, CoreRequestTokenError};
use openidconnect::{
    AccessToken, AuthorizationCode, OAuth2TokenResponse, PkceCodeVerifier, RequestTokenError, TokenResponse,
};
use serde_json::{Map, Value};

use super::provider::Known;
use super::token::Occasion;
use super::transport::TransportError;
use super::{Attempt, Provider, SignInError, claims, token};

/// A sign-in whose every part was verified.
#[derive(Debug)]
pub(crate) struct SignedIn {
    /// Who signed in.
    pub(crate) identity: Identity,
    /// The ID token, as a hint for logout.
    pub(crate) id_token: Secret,
    /// The refresh token, where the provider gave one.
    pub(crate) refresh_token: Option<Secret>,
    /// The provider's own session (`sid`), by which it may end ours.
    pub(crate) provider_session: Option<String>,
}

impl Provider {
    /// Checks the `iss` parameter of the answer (RFC 9207): a code of another provider must not be sent to this one.
    pub(crate) async fn check_response_issuer(&self, issuer: Option<&str>) -> Result<(), SignInError> {
        match issuer {
            Some(issuer) if issuer == self.config.issuer.as_str() => Ok(()),
            Some(_) => Err(SignInError::IssuerMismatch("names another provider")),
            None if self.known().await?.metadata.authorization_response_iss_parameter_supported => {
                Err(SignInError::IssuerMismatch("is missing, although the provider promises to send it"))
            }
            None => Ok(()),
        }
    }

    /// Redeems the code and verifies everything that comes back.
    pub(crate) async fn redeem(&self, attempt: &Attempt, code: String) -> Result<SignedIn, SignInError> {
        let known = self.known().await?;
        let client = self.client(&known)?;
        let answer = client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier.expose().to_owned()))
            .request_async(self.transport())
            .await
            .map_err(|error| exchange_failed(&error))?;
        let id_token =
            answer.id_token().ok_or_else(|| SignInError::TokenInvalid("the token endpoint sent none".into()))?;
        let occasion = Occasion::SignIn { nonce: &attempt.nonce };
        let verified = self
            .verify(&known, id_token, occasion, answer.access_token())
            .await
            .map_err(|refused| SignInError::TokenInvalid(refused.to_string()))?;
        let provider_session = verified.get("sid").and_then(Value::as_str).map(str::to_owned);
        let identity = self.identify(&known, verified, answer.access_token()).await?;
        Ok(SignedIn {
            identity,
            id_token: Secret::new(id_token.to_string()),
            refresh_token: answer.refresh_token().map(|token| Secret::new(token.secret().clone())),
            provider_session,
        })
    }

    /// Verifies an ID token, with newer keys where it names one that is not known.
    pub(super) async fn verify(
        &self,
        known: &Arc<Known>,
        id_token: &CoreIdToken,
        occasion: Occasion<'_>,
        access_token: &AccessToken,
    ) -> Result<Map<String, Value>, token::Refused> {
        let expected = token::Expected {
            issuer: self.config.issuer.as_str(),
            client_id: &self.config.client_id,
            occasion,
            now: self.clock.now(),
        };
        match token::verify_id_token(known, id_token, &expected, access_token) {
            Err(token::Refused::UnknownKey) => match self.newer_keys(known).await {
                Some(newer) => token::verify_id_token(&newer, id_token, &expected, access_token),
                None => Err(token::Refused::UnknownKey),
            },
            verified => verified,
        }
    }

    /// Makes an identity of the claims of an ID token, and of userinfo where the token lacks something.
    pub(super) async fn identify(
        &self,
        known: &Known,
        mut claims: Map<String, Value>,
        access_token: &AccessToken,
    ) -> Result<Identity, SignInError> {
        if claims::wants_userinfo(&claims, &self.config.claims)
            && let Some(url) = &known.metadata.userinfo_endpoint
        {
            let userinfo = self.userinfo(url, access_token).await?;
            claims::merge_userinfo(&mut claims, userinfo)?;
        }
        claims::identity(&self.config, claims)
    }

    async fn userinfo(&self, url: &url::Url, access_token: &AccessToken) -> Result<Map<String, Value>, SignInError> {
        let failed = |reason: String| SignInError::UserinfoFailed(reason);
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", access_token.secret()))
            .map_err(|_| failed("the access token does not fit into a header".into()))?;
        bearer.set_sensitive(true);
        let document = self.get(url, &bearer).await.map_err(|error| failed(error.to_string()))?;
        serde_json::from_slice(&document).map_err(|_| failed("the answer is no JSON object".into()))
    }
}

/// Says why the code was not redeemed, without what the provider sent: that may hold tokens.
pub(super) fn exchange_failed(error: &CoreRequestTokenError<TransportError>) -> SignInError {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            let code: String = answer.error().as_ref().chars().filter(char::is_ascii_graphic).take(64).collect();
            SignInError::ExchangeFailed(format!("`{code}`"))
        }
        RequestTokenError::Request(error) => SignInError::ExchangeFailed(error.to_string()),
        RequestTokenError::Parse(_, body) if holds_id_token(body) => {
            SignInError::TokenInvalid("it cannot be read, or a claim that it must have is missing or malformed".into())
        }
        RequestTokenError::Parse(..) => SignInError::ExchangeFailed("the answer cannot be read".into()),
        RequestTokenError::Other(reason) => SignInError::ExchangeFailed(reason.clone()),
    }
}

pub(super) fn holds_id_token(body: &[u8]) -> bool {
    serde_json::from_slice::<Map<String, Value>>(body).is_ok_and(|answer| answer.get("id_token").is_some())
}
