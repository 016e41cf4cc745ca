//! The authorization request: where the browser is sent, and what must come back.

use std::sync::Arc;

use identity::Secret;
use openidconnect::core::CoreResponseType;
use openidconnect::{AuthenticationFlow, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, Scope};
use serde::{Deserialize, Serialize};
use url::Url;

use super::metadata::{Metadata, OFFLINE_ACCESS};
use super::{Provider, ProviderError};
use crate::StepUp;
use crate::keys::random_token;

/// The secrets of one sign-in with a provider; sealed into a cookie of the browser that started it.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Ties the answer to the browser (RFC 6749 §10.12).
    pub(crate) state: String,
    /// Ties the ID token to the request.
    pub(crate) nonce: Secret,
    /// Ties the code to the request (RFC 7636).
    pub(crate) verifier: Secret,
}

/// What the provider is asked to do although somebody may be signed in there (OpenID Connect Core 1.0 §3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Prompt {
    /// Prove who you are again.
    Login,
    /// Choose another account.
    SelectAccount,
}

impl Prompt {
    /// Reads the `prompt` parameter; others have no meaning here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "login" => Some(Self::Login),
            "select_account" => Some(Self::SelectAccount),
            _ => None,
        }
    }

    /// Returns the value of the `prompt` parameter.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::SelectAccount => "select_account",
        }
    }
}

impl Attempt {
    /// Makes the secrets; `state` begins with `id`, by which the cookie is found again.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            state: format!("{id}.{}", random_token()),
            nonce: Secret::new(random_token()),
            verifier: Secret::new(random_token()),
        }
    }
}

impl Provider {
    /// Returns where to send the browser.
    pub(crate) async fn authorization_url(
        &self,
        attempt: &Attempt,
        prompt: Option<Prompt>,
        step_up: Option<&StepUp>,
    ) -> Result<Url, Arc<ProviderError>> {
        let known = self.known().await?;
        let client = self.client(&known)?;
        let verifier = PkceCodeVerifier::new(attempt.verifier.expose().to_owned());
        let (state, nonce) = (CsrfToken::new(attempt.state.clone()), Nonce::new(attempt.nonce.expose().to_owned()));
        let mut request = client
            .authorize_url(AuthenticationFlow::<CoreResponseType>::AuthorizationCode, move || state, move || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in self.scopes(&known.metadata) {
            request = request.add_scope(Scope::new(scope.to_owned()));
        }
        let asked: Vec<_> = prompt
            .map(|prompt| ("prompt", self.prompt(prompt)))
            .into_iter()
            .chain(step_up.into_iter().flat_map(StepUp::parameters))
            .collect();
        // What this sign-in asks goes before what the configuration always asks: a parameter must not come twice.
        let asked_here = |name: &str| asked.iter().any(|(asked, _)| *asked == name);
        for (name, value) in self.config.extra_params.iter().filter(|(name, _)| !asked_here(name)) {
            request = request.add_extra_param(name.clone(), value.clone());
        }
        for (name, value) in asked {
            request = request.add_extra_param(name, value);
        }
        let (url, _state, _nonce) = request.url();
        Ok(url)
    }

    /// Where the provider is always to ask for consent, because it gives no refresh token else (OpenID Connect Core 1.0 §11), it
    /// is to ask for that as well.
    fn prompt(&self, prompt: Prompt) -> String {
        let mut configured = self.config.extra_params.iter().filter(|(name, _)| name == "prompt");
        let consents = configured.any(|(_, prompts)| prompts.split(' ').any(|prompt| prompt == "consent"));
        format!("{}{}", prompt.as_str(), if consents { " consent" } else { "" })
    }

    /// Returns what is asked for beside `openid`, which the library adds.
    fn scopes<'a>(&'a self, metadata: &Metadata) -> Vec<&'a str> {
        match &self.config.scopes {
            Some(scopes) => scopes.iter().map(String::as_str).filter(|scope| *scope != "openid").collect(),
            None if metadata.lists_offline_access() => vec!["profile", "email", OFFLINE_ACCESS],
            None => vec!["profile", "email"],
        }
    }
}
