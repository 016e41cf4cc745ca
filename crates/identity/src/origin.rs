//! The origin of a URL: what a browser keeps cookies and scripts apart by.

use std::fmt;
use std::str::FromStr;

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// Returns `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns 80 or 443.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Scheme, host and port. The host is lower case without a trailing dot; the port is always known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: Scheme,
    // Invariant: lower case, no trailing dot, not empty; an IPv6 address stands in brackets.
    host: Box<str>,
    port: u16,
}

impl Origin {
    /// Makes an origin of its parts; `None` stands for the default port.
    ///
    /// # Errors
    /// The host is empty or has a character that no host has.
    pub fn new(scheme: Scheme, host: &str, port: Option<u16>) -> Result<Self, InvalidOrigin> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let bracketed = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let valid = bracketed.map_or_else(
            || host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_label_character)),
            |inner| inner.parse::<std::net::Ipv6Addr>().is_ok(),
        );
        if !valid {
            return Err(InvalidOrigin);
        }
        Ok(Self { scheme, host: host.into(), port: port.unwrap_or(scheme.default_port()) })
    }

    /// Returns the scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host, without port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns `host`, or `host:port` where the port is not the scheme's default: what stands in a `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Reads `scheme://host[:port]` with nothing behind it but an optional `/`.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(InvalidOrigin),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let after_address = rest.rfind(']').unwrap_or(0);
        match rest.rfind(':').filter(|colon| *colon > after_address) {
            None => Self::new(scheme, rest, None),
            Some(colon) => {
                let (host, port) = rest.split_at(colon);
                let port = port.strip_prefix(':').and_then(parse_port).ok_or(InvalidOrigin)?;
                Self::new(scheme, host, Some(port))
            }
        }
    }
}

/// A text that is no `http` or `https` origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an origin: write `https://host` or `https://host:port`")]
pub struct InvalidOrigin;

const fn is_label_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn parse_port(text: &str) -> Option<u16> {
    // `u16::from_str` also takes a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

#[cfg(test)]
mod tests;
