//! The host and port of a service, or of a proxy.

use std::fmt;
use std::str::FromStr;

use identity::{Origin, Scheme};

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(
    // Its scheme is of no matter: this is what knows what a host is.
    Origin,
);

impl Target {
    /// Returns the host, lower case; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.0.port()
    }

    /// Returns another port of the same host.
    pub(super) fn with_port(&self, port: u16) -> Self {
        // Its host is one already.
        Origin::new(Scheme::Https, self.0.host(), Some(port)).map_or_else(|_| self.clone(), Self)
    }

    /// Returns the URL of a path there.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.host(), self.0.port())
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        // An origin may end in `/`.
        let origin = (!text.contains('/')).then(|| format!("https://{text}").parse().ok()).flatten();
        origin.map(Self).ok_or(TargetError)
    }
}

/// A text that is no host with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host: write `HOST` or `HOST:PORT`, such as `ssh.example.com:22`")]
pub struct TargetError;

#[cfg(test)]
mod tests;
