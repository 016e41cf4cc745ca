//! The `authenticate` section, as the parts of this crate use it.

use std::path::PathBuf;
use std::time::Duration;

use identity::{Issuer, Origin, ProviderId, Secret};

/// Who may sign in, where, and for how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where sign-in lives.
    pub url: Origin,
    /// The providers, in the order in which the chooser lists them. Never empty.
    pub providers: Vec<Provider>,
    /// Bounds of a session.
    pub session: SessionConfig,
    /// How our pages look.
    pub look: std::sync::Arc<pages::Look>,
}

/// One OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The id that routes and the audit record use.
    pub id: ProviderId,
    /// What the chooser shows.
    pub name: String,
    /// The issuer, exactly as the provider's discovery document states it.
    pub issuer: Issuer,
    /// The client id.
    pub client_id: String,
    /// The client secret; public clients have none.
    pub client_secret: Option<Secret>,
    /// The scopes asked for; else `openid profile email`, and `offline_access` where the provider lists it.
    pub scopes: Option<Vec<String>>,
    /// Further parameters of the authorization request.
    pub extra_params: Vec<(String, String)>,
    /// Where the provider keeps what policies need.
    pub claims: ClaimNames,
    /// Only addresses of these domains may sign in; empty for any.
    pub allowed_email_domains: Vec<String>,
    /// Whether `user.email` stays empty unless `email_verified` is true.
    pub require_verified_email: bool,
    /// The certificate authorities of the provider; else the system's.
    pub ca_file: Option<PathBuf>,
}

/// Names of claims; dotted paths reach into objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// A list of texts, or one text. Default `groups`.
    pub groups: String,
    /// Default `email`.
    pub email: String,
    /// Default `name`.
    pub name: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { groups: "groups".into(), email: "email".into(), name: "name".into() }
    }
}

/// Bounds of a session.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// From sign-in to the end, whatever happens. Default 14 h.
    pub lifetime: Duration,
    /// Ends a session that made no request for so long. Off by default.
    pub idle_timeout: Option<Duration>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { lifetime: Duration::from_secs(14 * 60 * 60), idle_timeout: None }
    }
}

/// Where sessions are kept: `authenticate.session.store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// In this process: a restart signs everybody out.
    Memory,
    /// In a database file (mode 0600) that also keeps the keys.
    File(PathBuf),
}
