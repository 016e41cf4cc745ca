//! Sign-out at the provider (OpenID Connect RP-Initiated Logout 1.0).

use identity::Secret;
use url::Url;

use super::Provider;

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
}
