//! Finds out who is really connected, given the proxies that are trusted, and tells the upstream.
//!
//! What a PROXY header said was read before, by `proxy_protocol.rs`.

mod forwarded;
mod lost;
mod outbound;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use identity::{AddressSource, ClientAddress, Ip};
use ipnet::{IpNet, Ipv4Net};

use crate::ForwardedHeader;
use crate::sanitize::Refusal;

pub(crate) use lost::{SignIns, watch as watch_for_lost_addresses};
pub(crate) use outbound::{Told, client_header};

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

/// Returns who sent a request, given who is connected. Runs before [`crate::sanitize::headers`] removes what is read here.
///
/// # Errors
/// A trusted proxy named something that is no address: the client is unknown, and never the proxy in its stead.
pub(crate) fn client_address(
    connected: ClientAddress,
    headers: &HeaderMap,
    trusted: &TrustedProxies,
    header: &ForwardedHeader,
) -> Result<ClientAddress, Refusal> {
    if !trusted.contains(connected.client) {
        return Ok(connected);
    }
    let (found, source) = match header {
        ForwardedHeader::None => (None, connected.source),
        ForwardedHeader::Single(name) => (single(headers, name)?, AddressSource::Header),
        ForwardedHeader::XForwardedFor => {
            let found = from_the_right(headers, trusted)?;
            if found.is_some() && headers.contains_key(FORWARDED) {
                agree(found, forwarded::from_the_right(headers, trusted))?;
            }
            (found, AddressSource::XForwardedFor)
        }
        ForwardedHeader::Forwarded => {
            let found = forwarded::from_the_right(headers, trusted)?;
            if found.is_some() && headers.contains_key(X_FORWARDED_FOR) {
                agree(found, from_the_right(headers, trusted))?;
            }
            (found, AddressSource::Forwarded)
        }
    };
    Ok(found.map_or(connected, |client| ClientAddress { client, peer: connected.peer, source }))
}

/// Refuses a request that names its client twice and differently: one of the two was written by somebody who is not
/// trusted, and which one a proxy in front passes unchanged is not ours to guess.
fn agree(found: Option<Ip>, other: Result<Option<Ip>, Refusal>) -> Result<(), Refusal> {
    if other == Ok(found) {
        return Ok(());
    }
    Err(Refusal::bad_request("forwarded-headers-disagree", "`Forwarded` and `X-Forwarded-For` name different clients"))
}

/// Reads a header that holds one address.
fn single(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Ip>, Refusal> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => parse_entry(line.as_bytes()).map(Some).ok_or(UNKNOWN),
        (Some(_), Some(_)) => Err(UNKNOWN),
    }
}

/// Walks all lines of `X-Forwarded-For`, joined in order, from the right to the first entry that is no trusted proxy; to
/// the left-most entry where all are.
fn from_the_right(headers: &HeaderMap, trusted: &TrustedProxies) -> Result<Option<Ip>, Refusal> {
    let entries =
        || headers.get_all(X_FORWARDED_FOR).iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    if entries().nth(MAX_ENTRIES).is_some() {
        return Err(TOO_LONG);
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

/// Reads `ip`, `ip:port`, `[v6]` or `[v6]:port`, with spaces around it.
fn parse_entry(entry: &[u8]) -> Option<Ip> {
    parse_node(std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']))
}

fn parse_node(entry: &str) -> Option<Ip> {
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

const TOO_LONG: Refusal =
    Refusal::bad_request("forwarded-chain-too-long", "the forwarding header has too many entries");

const UNKNOWN: Refusal =
    Refusal::bad_request("client-address-unknown", "a trusted proxy forwarded an entry that is no address");

#[cfg(test)]
mod tests;
