//! Why a program gets no session.

use std::sync::Arc;

use http::StatusCode;

use crate::{Session, StoreError};

/// Why a program gets no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// A parameter of the link is missing or not allowed.
    #[error("`redirect_uri` is no port of loopback, `code_challenge_method` is not `S256`, or a parameter is missing")]
    RequestInvalid,
    /// The confirmation did not come from our page.
    #[error("a page of another site confirmed, or a client that does not say which page did")]
    CrossSite,
    /// A program asks with its own session.
    #[error("the session that is to vouch for a program is itself that of a program")]
    AskedByProgram,
    /// The code is unknown, too old, or for another host or port.
    #[error("the code is unknown or older than a minute, or is for another host or another `redirect_uri`")]
    CodeInvalid,
    /// The verifier is another program's.
    #[error("the verifier is not that of the program that asked")]
    VerifierMismatch,
    /// The code was redeemed before.
    #[error("the code was redeemed before: the session that it gave is ended")]
    CodeReplayed(Option<Arc<Session>>),
    /// The session that vouched has as many programs as it may have.
    #[error("the session that vouched for the program has as many programs as it may have")]
    TooManyPrograms,
    /// The session that vouched has ended meanwhile.
    #[error("the session that vouched for the program was ended before the code was redeemed")]
    SessionEnded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ConnectError {
    /// Returns the stable code for logs and the audit record.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::RequestInvalid => "program-request-invalid",
            Self::CrossSite => "cross-site",
            Self::AskedByProgram => "asked-by-program",
            Self::CodeInvalid => "code-invalid",
            Self::VerifierMismatch => "verifier-mismatch",
            Self::CodeReplayed(_) => "code-replayed",
            Self::TooManyPrograms => "too-many-programs",
            Self::SessionEnded => "session-ended",
            Self::Store(_) => "store-unavailable",
        }
    }

    /// Returns the status.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::CrossSite | Self::AskedByProgram => StatusCode::FORBIDDEN,
            Self::RequestInvalid
            | Self::CodeInvalid
            | Self::VerifierMismatch
            | Self::CodeReplayed(_)
            | Self::TooManyPrograms
            | Self::SessionEnded => StatusCode::BAD_REQUEST,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns what the user is told, on a page or by the program.
    pub(super) const fn message(&self) -> &'static str {
        match self {
            Self::RequestInvalid => "This link does not come from a program on this computer. Start the program again.",
            Self::CrossSite => "Another site asked to sign a program in. Start the program yourself to sign it in.",
            Self::AskedByProgram => "A program cannot sign another program in. Sign in with a browser.",
            Self::CodeInvalid | Self::VerifierMismatch | Self::CodeReplayed(_) | Self::SessionEnded => {
                "This sign-in took too long, or was used before. Start again."
            }
            Self::TooManyPrograms => {
                "Too many programs are signed in by this browser. Sign out in it, and start again."
            }
            Self::Store(_) => "Sessions cannot be kept at the moment. Try again shortly.",
        }
    }
}
