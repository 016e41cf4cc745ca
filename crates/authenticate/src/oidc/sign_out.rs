//! Sign-out at the provider (OpenID Connect RP-Initiated Logout 1.0; RFC 7009).

use http::HeaderValue;
use identity::Secret;
use url::Url;
use url::form_urlencoded::Serializer;

use super::Provider;
use super::provider::Known;
use crate::client_credentials::basic;

impl Provider {
    /// Returns where the browser is sent to sign out at the provider too; `None` where the provider has no such place,
    /// or is not known just now.
    pub(crate) async fn end_session_url(&self, id_token: Option<&Secret>, signed_out: &str) -> Option<Url> {
        let known = self.known().await.ok()?;
        let mut url = known.metadata.end_session_endpoint.clone()?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(id_token) = id_token {
                query.append_pair("id_token_hint", id_token.expose());
            }
            query.append_pair("client_id", &self.config.client_id);
            query.append_pair("post_logout_redirect_uri", signed_out);
        }
        Some(url)
    }

    /// Has the provider forget a refresh token (RFC 7009 §2.1), where it has a place for that. The error says why it does not.
    pub(crate) async fn revoke(&self, refresh_token: &Secret) -> Result<(), String> {
        let known = self.known().await.map_err(|error| error.to_string())?;
        let Some(url) = &known.metadata.revocation_endpoint else { return Ok(()) };
        let (form, authorization) = self.revocation(&known, refresh_token)?;
        let answer = self.transport().post_form(url, form, authorization).await;
        let (status, _body) = answer.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(()) } else { Err(format!("it answered {}", status.as_u16())) }
    }

    /// Returns the form, and the header by which we prove who we are.
    fn revocation(&self, known: &Known, refresh_token: &Secret) -> Result<(String, Option<HeaderValue>), String> {
        let client_id = &self.config.client_id;
        let mut form = Serializer::new(String::new());
        form.append_pair("token", refresh_token.expose()).append_pair("token_type_hint", "refresh_token");
        let authorization = match &self.config.client_secret {
            Some(secret) if !known.metadata.wants_secret_in_body() => Some(basic(client_id, secret)?),
            secret => {
                form.append_pair("client_id", client_id);
                form.extend_pairs(secret.iter().map(|secret| ("client_secret", secret.expose())));
                None
            }
        };
        Ok((form.finish(), authorization))
    }
}
