//! What a provider says of itself in its discovery document, as far as sign-in needs it.

use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use serde::Deserialize;
use url::Url;

use super::ProviderError;
use super::transport::is_loopback;

/// A discovery document whose issuer and URLs were checked (OpenID Connect Discovery 1.0 §3).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) jwks_uri: Url,
    pub(crate) userinfo_endpoint: Option<Url>,
    pub(crate) end_session_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Returns where the discovery document of an issuer lies.
    pub(crate) fn location(issuer: &str) -> Result<Url, ProviderError> {
        let url = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let url = Url::parse(&url).map_err(|_| ProviderError::Nonsense(format!("`{issuer}` is no URL")))?;
        permitted("issuer", &url, loopback_http(&url))?;
        Ok(url)
    }

    /// Reads a discovery document and refuses one that speaks for another issuer or leads where no secret may go.
    pub(crate) fn parse(document: &[u8], issuer: &str) -> Result<Self, ProviderError> {
        let metadata: Self = serde_json::from_slice(document).map_err(|error| {
            ProviderError::Nonsense(format!(
                "its discovery document cannot be read (line {}, column {}): is `{issuer}` the issuer's URL?",
                error.line(),
                error.column()
            ))
        })?;
        if metadata.issuer != issuer {
            return Err(ProviderError::OtherIssuer(issuer_hint(&metadata.issuer, issuer)));
        }
        let cleartext = Url::parse(issuer).is_ok_and(|url| loopback_http(&url));
        // The document comes from the network: it must not steer us, or a client secret, to cleartext (SSRF).
        permitted("authorization_endpoint", &metadata.authorization_endpoint, cleartext)?;
        permitted("token_endpoint", &metadata.token_endpoint, cleartext)?;
        permitted("jwks_uri", &metadata.jwks_uri, cleartext)?;
        for (name, url) in [
            ("userinfo_endpoint", &metadata.userinfo_endpoint),
            ("end_session_endpoint", &metadata.end_session_endpoint),
            ("revocation_endpoint", &metadata.revocation_endpoint),
        ] {
            if let Some(url) = url {
                permitted(name, url, cleartext)?;
            }
        }
        Ok(metadata)
    }

    /// Returns the algorithms in which an ID token may be signed: what the provider lists, of those that are safe.
    ///
    /// `none` and the HMAC family never are: a public key would be taken for a shared secret (algorithm confusion).
    pub(crate) fn signing_algorithms(&self) -> Vec<Algorithm> {
        let listed: Vec<_> =
            self.id_token_signing_alg_values_supported.iter().filter_map(|name| signing_algorithm(name)).collect();
        // OpenID Connect Core 1.0 §2: RS256 is the default.
        if self.id_token_signing_alg_values_supported.is_empty() {
            vec![Algorithm::RsaSsaPkcs1V15Sha256]
        } else {
            listed
        }
    }

    /// Returns whether the provider lists `offline_access`, by which refresh tokens are asked for (OpenID Connect Core 1.0 §11).
    pub(crate) fn lists_offline_access(&self) -> bool {
        self.scopes_supported.iter().any(|scope| scope == OFFLINE_ACCESS)
    }

    /// Returns whether the client secret goes into the body because the provider lists only that.
    pub(crate) fn wants_secret_in_body(&self) -> bool {
        self.token_endpoint_auth_methods_supported.as_ref().is_some_and(|methods| {
            let lists = |wanted: &str| methods.iter().any(|method| method == wanted);
            lists("client_secret_post") && !lists("client_secret_basic")
        })
    }
}

/// Reads the name of a safe signature algorithm.
pub(crate) fn signing_algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RsaSsaPkcs1V15Sha256,
        "RS384" => Algorithm::RsaSsaPkcs1V15Sha384,
        "RS512" => Algorithm::RsaSsaPkcs1V15Sha512,
        "PS256" => Algorithm::RsaSsaPssSha256,
        "PS384" => Algorithm::RsaSsaPssSha384,
        "PS512" => Algorithm::RsaSsaPssSha512,
        "ES256" => Algorithm::EcdsaP256Sha256,
        "ES384" => Algorithm::EcdsaP384Sha384,
        "EdDSA" => Algorithm::EdDsa,
        _ => return None,
    })
}

fn loopback_http(url: &Url) -> bool {
    url.scheme() == "http" && url.host_str().is_some_and(is_loopback)
}

fn permitted(name: &'static str, url: &Url, cleartext_on_loopback: bool) -> Result<(), ProviderError> {
    if url.scheme() == "https" || (cleartext_on_loopback && loopback_http(url)) {
        Ok(())
    } else {
        Err(ProviderError::Nonsense(format!("its `{name}` `{url}` is not https")))
    }
}

fn issuer_hint(found: &str, configured: &str) -> String {
    let hint = if found.trim_end_matches('/') == configured.trim_end_matches('/') {
        ": they differ in the slash at the end; write `issuer` exactly as the provider does"
    } else {
        ": set `issuer` to what the provider calls itself, if you trust that"
    };
    format!("calls itself `{found}`, the configuration says `{configured}`{hint}")
}

pub(super) const OFFLINE_ACCESS: &str = "offline_access";

#[cfg(test)]
mod tests;
