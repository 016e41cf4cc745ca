//! Proves who is calling: OpenID Connect sign-in, sessions, cookies, keys and tokens. Never sees a policy.

mod assertion;
mod authenticator;
mod client_credentials;
mod config;
mod cookie;
mod endpoints;
mod error;
mod handoff;
mod keys;
mod oidc;
mod presented;
mod refresh;
mod session;
mod step_up;
mod store;

pub use authenticator::{Authenticator, Outcome};
pub use client_credentials::{ClientAuthentication, ClientCredentials, ClientCredentialsConfig, Fetched, TokenError};
pub use config::{ClaimNames, Config, Provider, SessionConfig, StoreLocation};
pub use endpoints::{App, Endpoint, Event, EventKind, SIGN_IN_PATH, begins_sign_in};
pub use error::AuthenticateError;
pub use keys::{KeyTexts, Keys};
pub use presented::Presented;
pub use refresh::{RefreshEvent, RefreshResult};
pub use session::{Session, SessionId};
pub use step_up::{MAX_ACR_VALUES, StepUp, StepUpUnmet, is_acr};
pub use store::{Store, StoreError};
