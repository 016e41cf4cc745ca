//! Finds out who is really connected, given the proxies that are trusted, and tells the upstream.
//!
//! PROXY protocol, `Forwarded` and single-address headers are not read.

mod lost;
mod outbound;

use http::HeaderMap;
use identity::{AddressSource, ClientAddress, Ip};
use ipnet::{IpNet, Ipv4Net};

use crate::ForwardedHeader;
use crate::sanitize::Refusal;

pub(crate) use lost::watch as watch_for_lost_addresses;
pub(crate) use outbound::{Told, client_header, forwarded_headers};

/// Networks whose forwarding headers are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(
    // Invariant: IPv4-mapped networks are IPv4, as the addresses that they are compared with; none holds all addresses.
    Box<[IpNet]>,
);

impl TrustedProxies {
    /// Takes the networks. One that holds all addresses would let anybody choose an address, and is left out: the
    /// configuration refuses it with its place.
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        Self(networks.iter().map(canonical).filter(|network| network.prefix_len() > 0).collect())
    }

    /// Returns whether the address is one of them.
    pub(crate) fn contains(&self, address: Ip) -> bool {
        self.0.iter().any(|network| network.contains(&address.get()))
    }
}

/// Returns who is connected. Runs before [`crate::sanitize::headers`] removes what is read here.
///
/// # Errors
/// A trusted proxy named something that is no address: the client is unknown, and never the proxy in its stead.
pub(crate) fn client_address(
    peer: Ip,
    headers: &HeaderMap,
    trusted: &TrustedProxies,
    header: ForwardedHeader,
) -> Result<ClientAddress, Refusal> {
    let is_peer = ClientAddress { client: peer, peer, source: AddressSource::Peer };
    if !trusted.contains(peer) {
        return Ok(is_peer);
    }
    match header {
        ForwardedHeader::None => Ok(is_peer),
        ForwardedHeader::XForwardedFor => match from_the_right(headers, trusted)? {
            Some(client) => Ok(ClientAddress { client, peer, source: AddressSource::XForwardedFor }),
            None => Ok(is_peer),
        },
    }
}

/// Walks all lines of `X-Forwarded-For`, joined in order, from the right to the first entry that is no trusted proxy; to
/// the left-most entry where all are.
fn from_the_right(headers: &HeaderMap, trusted: &TrustedProxies) -> Result<Option<Ip>, Refusal> {
    let entries =
        || headers.get_all(X_FORWARDED_FOR).iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    if entries().nth(MAX_ENTRIES).is_some() {
        return Err(Refusal::bad_request("forwarded-chain-too-long", "`X-Forwarded-For` has too many entries"));
    }
    let mut leftmost = None;
    for entry in entries() {
        let address = parse_entry(entry).ok_or(UNKNOWN)?;
        leftmost = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    Ok(leftmost)
}

/// Reads `ip`, `ip:port`, `[v6]` or `[v6]:port`.
fn parse_entry(entry: &[u8]) -> Option<Ip> {
    let entry = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    if let Some(bracketed) = entry.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let is_v6 = address.contains(':');
        return if is_v6 && (port.is_empty() || is_port(port.strip_prefix(':')?)) {
            address.parse().ok()
        } else {
            None
        };
    }
    entry.parse().ok().or_else(|| {
        let (address, port) = entry.split_once(':')?;
        if is_port(port) { address.parse().ok() } else { None }
    })
}

fn is_port(text: &str) -> bool {
    // `u16::from_str` also takes a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn canonical(network: &IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V4(_) => None,
        IpNet::V6(v6) => v6.prefix_len().checked_sub(96).zip(v6.network().to_ipv4_mapped()),
    };
    mapped.and_then(|(prefix, address)| Ipv4Net::new(address, prefix).ok()).map_or(*network, IpNet::V4)
}

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Longer chains are no deployments; walking them would be work that a stranger orders.
const MAX_ENTRIES: usize = 32;

const UNKNOWN: Refusal =
    Refusal::bad_request("client-address-unknown", "a trusted proxy forwarded an entry that is no address");

#[cfg(test)]
mod tests;
