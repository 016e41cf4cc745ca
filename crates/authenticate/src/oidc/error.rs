//! Why a provider cannot be used, and why a sign-in is refused.

use std::sync::Arc;

use http::StatusCode;

use super::transport::TransportError;
use crate::{StepUpUnmet, StoreError};

/// Why a provider cannot be used just now.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    /// It did not answer.
    #[error("provider `{provider}` is not available: {source}")]
    Unavailable {
        /// The provider's id.
        provider: String,
        /// Why.
        source: TransportError,
    },
    /// It speaks for another issuer.
    #[error("the provider {0}")]
    OtherIssuer(String),
    /// It answered what cannot be used.
    #[error("the provider answered nonsense: {0}")]
    Nonsense(String),
}

/// Why a sign-in is refused. Texts go to the log and the audit record: they hold no token and no claim but names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// The `request` parameter was not sealed by us, or is too old.
    #[error("the sign-in request is malformed, was not made here, or is too old")]
    RequestInvalid,
    /// The query names a provider that the configuration does not have.
    #[error("there is no provider of that id")]
    ProviderUnknown,
    /// The provider cannot be used.
    #[error(transparent)]
    Provider(#[from] Arc<ProviderError>),
    /// The callback has no `state`.
    #[error("the answer of the provider has no `state`")]
    StateMissing,
    /// No attempt of this browser has that state.
    #[error("no sign-in with this `state` was started in this browser, or it is too old")]
    StateMismatch,
    /// The state was used before.
    #[error("this `state` was used before")]
    StateReplayed,
    /// The `iss` response parameter names another provider, or is missing where the provider promised it.
    #[error("the `iss` parameter of the answer {0}")]
    IssuerMismatch(&'static str),
    /// The provider answered `error`.
    #[error("the provider answered `{code}`")]
    ProviderRefused {
        /// `error`.
        code: String,
        /// `error_description`; shown to the user, escaped, and not logged.
        description: String,
    },
    /// The callback has no `code`.
    #[error("the answer of the provider has no `code`")]
    CodeMissing,
    /// The token endpoint refused the code.
    #[error("the token endpoint refused: {0}")]
    ExchangeFailed(String),
    /// A token failed a check.
    #[error("the ID token is not acceptable: {0}")]
    TokenInvalid(String),
    /// Userinfo did not answer, or is unusable.
    #[error("userinfo: {0}")]
    UserinfoFailed(String),
    /// Userinfo speaks of somebody else.
    #[error("userinfo is about another subject than the ID token")]
    SubjectMismatch,
    /// The user's address is of no allowed domain.
    #[error("the e-mail address is of no domain in `allowed_email_domains`, or the provider does not vouch for it")]
    EmailDomainNotAllowed,
    /// The sign-in is not as recent or as strong as was asked.
    #[error("the sign-in falls short of `step_up`: {0}")]
    StepUpUnmet(#[from] StepUpUnmet),
    /// The ticket is unknown, used, too old, or for another host.
    #[error("the ticket is unknown, was used before, or is too old")]
    TicketInvalid,
    /// The session that was to be handed over has ended meanwhile.
    #[error("the session was ended before it was handed over")]
    SessionEnded,
    /// The ticket belongs to another browser.
    #[error("the ticket belongs to a sign-in that this browser did not start")]
    BrowserMismatch,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignInError {
    /// Returns the stable code for logs and the audit record.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::RequestInvalid => "request-invalid",
            Self::ProviderUnknown => "provider-unknown",
            Self::Provider(_) => "provider-unavailable",
            Self::StateMissing => "state-missing",
            Self::StateMismatch => "state-mismatch",
            Self::StateReplayed => "state-replayed",
            Self::IssuerMismatch(_) => "issuer-mismatch",
            Self::ProviderRefused { .. } => "provider-refused",
            Self::CodeMissing => "code-missing",
            Self::ExchangeFailed(_) => "exchange-failed",
            Self::TokenInvalid(_) => "token-invalid",
            Self::UserinfoFailed(_) => "userinfo-failed",
            Self::SubjectMismatch => "subject-mismatch",
            Self::EmailDomainNotAllowed => "email-domain-not-allowed",
            Self::StepUpUnmet(_) => "step-up-unmet",
            Self::TicketInvalid => "ticket-invalid",
            Self::SessionEnded => "session-ended",
            Self::BrowserMismatch => "browser-mismatch",
            Self::Store(_) => "store-unavailable",
        }
    }

    /// Returns the status of the page that tells the user.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Provider(_) | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::ExchangeFailed(_) | Self::TokenInvalid(_) | Self::UserinfoFailed(_) | Self::SubjectMismatch => {
                StatusCode::BAD_GATEWAY
            }
            Self::ProviderRefused { .. } | Self::EmailDomainNotAllowed | Self::StepUpUnmet(_) => StatusCode::FORBIDDEN,
            Self::RequestInvalid
            | Self::ProviderUnknown
            | Self::StateMissing
            | Self::StateMismatch
            | Self::StateReplayed
            | Self::IssuerMismatch(_)
            | Self::CodeMissing
            | Self::TicketInvalid
            | Self::SessionEnded
            | Self::BrowserMismatch => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns what the user is told.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Provider(_) => "The sign-in service does not answer at the moment. Try again shortly.".into(),
            Self::Store(_) => "Sessions cannot be kept at the moment. Try again shortly.".into(),
            Self::ProviderRefused { code, description } if description.is_empty() => {
                format!("The sign-in service refused: {code}.")
            }
            Self::ProviderRefused { code, description } => {
                format!("The sign-in service refused: {description} ({code}).")
            }
            Self::EmailDomainNotAllowed => {
                "Your e-mail address is not of a domain that may sign in here. Try another account.".into()
            }
            Self::StepUpUnmet(StepUpUnmet::OtherClass) => {
                "This app asks for a stronger sign-in than the sign-in service gave you. Try again, and use your \
                 second factor."
                    .into()
            }
            Self::StepUpUnmet(StepUpUnmet::NoTime | StepUpUnmet::Ahead | StepUpUnmet::TooOld) => {
                "This app asks for a more recent sign-in than the sign-in service gave you. Try again, and prove who \
                 you are."
                    .into()
            }
            Self::ExchangeFailed(_) | Self::TokenInvalid(_) | Self::UserinfoFailed(_) | Self::SubjectMismatch => {
                "The answer of the sign-in service could not be verified. Try again, or tell an administrator.".into()
            }
            Self::RequestInvalid
            | Self::ProviderUnknown
            | Self::StateMissing
            | Self::StateMismatch
            | Self::StateReplayed
            | Self::IssuerMismatch(_)
            | Self::CodeMissing
            | Self::TicketInvalid
            | Self::SessionEnded
            | Self::BrowserMismatch => {
                "This sign-in took too long, was used before, or was started in another browser. Start again.".into()
            }
        }
    }
}
