//! Addresses of callers, in the one canonical form in which they are compared, decided on and audited.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// An IP address in canonical form.
///
/// IPv4-mapped IPv6 (`::ffff:192.0.2.1`) is IPv4, so that a rule over `192.0.2.0/24` holds for both spellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ip(
    // Invariant: `IpAddr::to_canonical` was applied.
    IpAddr,
);

impl Ip {
    /// Puts an address into canonical form.
    #[must_use]
    pub const fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// Returns the address.
    #[must_use]
    pub const fn get(self) -> IpAddr {
        self.0
    }

    /// Returns what clients are counted by: an IPv4 address, or the first address of an IPv6 address' /64, all of which is
    /// given to one customer (RFC 6177).
    #[must_use]
    pub const fn network(self) -> Self {
        match self.0 {
            IpAddr::V4(_) => self,
            IpAddr::V6(address) => Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u64::MAX as u128)))),
        }
    }
}

impl From<IpAddr> for Ip {
    fn from(address: IpAddr) -> Self {
        Self::new(address)
    }
}

impl From<SocketAddr> for Ip {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip())
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Ip {
    type Err = InvalidAddress;

    /// Reads `192.0.2.1`, `2001:db8::1`. A zone, a port, leading zeros and names are refused.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        text.parse::<Ipv4Addr>()
            .map(IpAddr::V4)
            .or_else(|_| text.parse::<Ipv6Addr>().map(IpAddr::V6))
            .map(Self::new)
            .map_err(|_| InvalidAddress)
    }
}

/// A text that is no IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address")]
pub struct InvalidAddress;

/// Where a request comes from, as far as it is known and believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The client: what policies see as `request.ip`.
    pub client: Ip,
    /// The socket's peer.
    pub peer: Ip,
    /// What made `client` known.
    pub source: AddressSource,
}

/// What made a client's address known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// The socket's peer is the client.
    Peer,
    /// A trusted proxy named it in its PROXY header.
    ProxyProtocol,
    /// A trusted proxy named it in `X-Forwarded-For`.
    XForwardedFor,
    /// A trusted proxy named it in `Forwarded`.
    Forwarded,
    /// A trusted proxy named it in the single-address header of the configuration.
    Header,
}

impl AddressSource {
    /// Returns the name that policies and the audit record use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::ProxyProtocol => "proxy_protocol",
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::Header => "header",
        }
    }
}

#[cfg(test)]
mod tests;
