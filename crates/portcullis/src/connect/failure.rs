//! Why there is no tunnel, in one sentence with what to do.

use std::io;

use http::StatusCode;

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody is there.
    #[error("cannot reach the proxy at `{at}`: {reason}; `--proxy HOST:PORT` names another place")]
    Unreachable {
        /// Where.
        at: String,
        /// Why.
        reason: String,
    },
    /// Somebody else is there.
    #[error("`{at}` does not prove that it is `{host}`: {reason}")]
    Unproved {
        /// Where.
        at: String,
        /// Who it should be.
        host: String,
        /// Why, and what to do.
        reason: String,
    },
    /// What is there does not answer as a proxy does.
    #[error("`{at}` gave no proper answer: {reason}; is it a Portcullis proxy?")]
    NoAnswer {
        /// Where.
        at: String,
        /// Why.
        reason: String,
    },
    /// The proxy refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The policy refuses a user who has a session.
    #[error(
        "{refusal}; you are signed in as `{user}`: to be somebody else, end that with `--sign-out`, and start again"
    )]
    RefusedUser {
        /// What the proxy says.
        refusal: Refusal,
        /// Who that is.
        user: String,
    },
    /// It asks for a sign-in just after one.
    #[error("signed in, and the proxy asks for it again: {0}")]
    StillAsked(Refusal),
    /// The sign-in did not end well.
    #[error("sign-in failed: {0}; start again")]
    SignIn(String),
    /// The proxy closed a tunnel that was open, before its end.
    #[error("the proxy closed the tunnel: the session ended, the policy changed, or the service broke off")]
    Closed,
    /// A tunnel that was open broke off.
    #[error("the tunnel broke off: {0}")]
    Broken(io::Error),
    /// Something on this computer does not work.
    #[error("{0}")]
    Local(String),
}

/// What the proxy says when it refuses.
#[derive(Debug, thiserror::Error)]
#[error("{what}{} (status {}, request id {request_id})", message.as_ref().map(|text| format!(": {text}")).unwrap_or_default(), status.as_u16())]
pub struct Refusal {
    what: String,
    message: Option<String>,
    status: StatusCode,
    request_id: String,
}

impl Failure {
    /// Says of a policy's refusal who was refused, where that is known.
    pub(super) fn of(self, user: Option<&str>) -> Self {
        match (self, user) {
            (Self::Refused(refusal), Some(user)) if refusal.status == StatusCode::FORBIDDEN => {
                Self::RefusedUser { refusal, user: user.to_owned() }
            }
            (failure, _) => failure,
        }
    }

    /// Words what came in the middle of a tunnel.
    pub(super) fn broken(error: io::Error) -> Self {
        // Of TLS alone: a connection closed without its word for the end, which is how a proxy closes.
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Closed } else { Self::Broken(error) }
    }

    /// Returns whether the answer was no; else something is missing or set up wrongly.
    #[must_use]
    pub const fn is_an_answer(&self) -> bool {
        match self {
            Self::Refused(_)
            | Self::RefusedUser { .. }
            | Self::StillAsked(_)
            | Self::SignIn(_)
            | Self::Closed
            | Self::Broken(_) => true,
            Self::Unreachable { .. } | Self::Unproved { .. } | Self::NoAnswer { .. } | Self::Local(_) => false,
        }
    }
}

impl Refusal {
    /// Words the refusal of a tunnel to `target`; `body` is the JSON that came with it.
    pub(super) fn new(target: &str, status: StatusCode, body: &serde_json::Value) -> Self {
        let text = |key| body.get(key).and_then(serde_json::Value::as_str).map(printable);
        let what = match status {
            StatusCode::UNAUTHORIZED => format!("`{target}` asks for a sign-in"),
            StatusCode::FORBIDDEN => format!("the policy does not let you reach `{target}`"),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                format!("the proxy has no tunnel to `{target}`: check its name and port")
            }
            StatusCode::MISDIRECTED_REQUEST => {
                format!("the proxy serves `{target}` with another certificate: check `--proxy`")
            }
            StatusCode::TOO_MANY_REQUESTS => format!("too many tunnels to `{target}` at once: wait a moment"),
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                format!("the proxy cannot reach the service behind `{target}`: try again, or tell who runs it")
            }
            _ => format!("the proxy refuses a tunnel to `{target}`"),
        };
        // What the proxy says of its own accord repeats `what`, but for a rule's message.
        let message = (status == StatusCode::FORBIDDEN).then(|| text("message")).flatten();
        Self { what, message, status, request_id: text("request_id").unwrap_or_else(|| "none".into()) }
    }
}

/// Takes from a text of others what could steer a terminal, and its length.
pub(super) fn printable(text: &str) -> String {
    crate::cli::text::safe(text).chars().take(300).collect()
}

#[cfg(test)]
mod tests;
