//! Notices the commonest mistake of a deployment: a proxy in front that nobody said is to be trusted, so that every
//! client has the proxy's address.

use std::net::{IpAddr, Ipv4Addr};

use http::HeaderMap;
use identity::{ClientAddress, Ip};

use super::TrustedProxies;
use crate::metrics::ListenerMetrics;

/// Counts a request that a private address forwarded for somebody else while nothing is trusted, and warns of the first.
pub(crate) fn watch(
    listener: &str,
    address: &ClientAddress,
    headers: &HeaderMap,
    trusted: &TrustedProxies,
    metrics: &ListenerMetrics,
) {
    if is_lost(address.peer, headers, trusted) && metrics.address_lost() == 0 {
        tracing::warn!(
            listener.name = listener,
            peer.address = %address.peer,
            "a private address forwards requests of others, but `trusted_proxies` is empty: policies and the audit log \
             see its address instead of the client's; if it is a proxy of yours, add its network to `trusted_proxies` \
             of this listener"
        );
    }
}

/// Private clients do not forward; the header that they forge for themselves costs a warning and no more.
fn is_lost(peer: Ip, headers: &HeaderMap, trusted: &TrustedProxies) -> bool {
    trusted.0.is_empty() && FORWARDING.iter().any(|name| headers.contains_key(*name)) && is_private(peer)
}

fn is_private(address: Ip) -> bool {
    match address.get() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

/// RFC 6598: `100.64.0.0/10`, which clouds give to nodes and load balancers.
const fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0b1100_0000 == 64
}

const FORWARDING: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

#[cfg(test)]
mod tests;
