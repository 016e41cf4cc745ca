//! What the proxy adds to a request so that the upstream takes it: a fixed header, or a token.

use std::sync::Arc;

use authenticate::{ClientCredentials, Fetched};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::failure::{FailureKind, UpstreamFailure};
use super::metrics::ClusterMetrics;
use crate::BuildError;
use crate::config::upstream::{Credential as Settings, CredentialSource};
use crate::sanitize;

/// A route's credential for its upstream.
#[derive(Debug)]
pub(crate) struct Credential {
    name: Arc<HeaderName>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Fixed(HeaderValue),
    Token(ClientCredentials),
}

impl Credential {
    pub(super) fn build(settings: &Settings, metrics: &ClusterMetrics) -> Result<Self, BuildError> {
        let source = match &settings.source {
            CredentialSource::Fixed(secret) => {
                let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| BuildError::UnusableFile {
                    path: "credential".into(),
                    reason: "fits no header".into(),
                })?;
                value.set_sensitive(true);
                Source::Fixed(value)
            }
            CredentialSource::Token(config) => {
                let (fetched, failed) = (metrics.tokens_fetched.clone(), metrics.tokens_failed.clone());
                let observe = move |what| {
                    match what {
                        Fetched::Token => fetched.inc(),
                        Fetched::Nothing => failed.inc(),
                    };
                };
                let unusable = |reason| BuildError::UnusableFile {
                    path: config.ca_file.as_ref().map_or_else(String::new, |path| path.display().to_string()),
                    reason,
                };
                Source::Token(ClientCredentials::new(config.clone(), observe).map_err(unusable)?)
            }
        };
        Ok(Self { name: Arc::new(settings.header.clone()), source })
    }

    /// Goes on with the token of another, where it comes from the same place in the same way.
    pub(super) fn keep_token_of(&mut self, other: &Self) {
        if let (Source::Token(own), Source::Token(other)) = (&mut self.source, &other.source)
            && own.is_set_up_as(other)
        {
            *own = other.clone();
        }
    }

    /// Returns the header that holds it.
    pub(crate) const fn name(&self) -> &Arc<HeaderName> {
        &self.name
    }

    /// Adds the credential, instead of what the client sent by that name in any spelling.
    ///
    /// # Errors
    /// There is none: the request cannot be sent.
    pub(crate) async fn add(&self, headers: &mut HeaderMap) -> Result<(), UpstreamFailure> {
        let value = match &self.source {
            Source::Fixed(value) => value.clone(),
            Source::Token(tokens) => tokens.header().await.map_err(|error| failure(&error))?,
        };
        sanitize::remove_aliases(headers, &self.name);
        headers.insert(&*self.name, value);
        Ok(())
    }

    /// Returns whether another can be had where the upstream refuses this one.
    pub(crate) const fn is_renewable(&self) -> bool {
        matches!(self.source, Source::Token(_))
    }

    /// Puts another credential in the place of the one that the upstream refused.
    ///
    /// # Errors
    /// There is no other.
    pub(crate) async fn renew(&self, headers: &mut HeaderMap) -> Result<(), UpstreamFailure> {
        if let (Source::Token(tokens), Some(refused)) = (&self.source, headers.get(&*self.name)) {
            let value = tokens.renew(refused).await.map_err(|error| failure(&error))?;
            headers.insert(&*self.name, value);
        }
        Ok(())
    }
}

fn failure(error: &authenticate::TokenError) -> UpstreamFailure {
    UpstreamFailure::new(FailureKind::Credential, error.to_string())
}
