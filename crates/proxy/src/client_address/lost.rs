//! Notices the commonest mistake of a deployment: something in front that nobody said is to be trusted, so that every
//! client has its address.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName};
use identity::{AddressSource, ClientAddress, Ip};
use jiff::{SignedDuration, Timestamp};

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
    trusted.0.is_empty() && is_private(peer) && headers.keys().any(|name| FORWARDING.contains(name))
}

/// Who signed in from where, on one listener: what forwards no header (a Kubernetes Service, a balancer of connections)
/// shows itself by many users behind one address.
#[derive(Debug, Default)]
pub(crate) struct SignIns(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    since: Timestamp,
    // Users by the hash of their id, which is all that is needed to tell them apart.
    by_address: HashMap<Ip, HashSet<u64>>,
}

impl SignIns {
    /// Notes that a user signed in, and counts and warns when one address has become that of too many.
    pub(crate) fn note(
        &self,
        listener: &str,
        address: &ClientAddress,
        user: &str,
        now: Timestamp,
        metrics: &ListenerMetrics,
    ) {
        // What a trusted proxy said is known; it may be an office all the same.
        if address.source == AddressSource::Peer
            && self.is_shared_now(address.client, user, now)
            && metrics.address_shared() == 0
        {
            tracing::warn!(
                listener.name = listener,
                peer.address = %address.peer,
                users = MANY_USERS,
                "many users sign in from one address: if it is a load balancer or a Kubernetes node, policies and the audit \
                 log see its address instead of the client's; add its network to `trusted_proxies` of this listener and \
                 have it send `X-Forwarded-For` or a PROXY header (`proxy_protocol`), or set `externalTrafficPolicy: Local` \
                 on the Service; an office behind one address looks the same and needs nothing"
            );
        }
    }

    fn is_shared_now(&self, address: Ip, user: &str, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.duration_since(seen.since).abs();
        if age > WINDOW || (seen.by_address.len() >= MAX_ADDRESSES && !seen.by_address.contains_key(&address)) {
            *seen = Seen { since: now, by_address: HashMap::new() };
        }
        let users = seen.by_address.entry(address).or_default();
        users.len() < MANY_USERS && users.insert(hash(user)) && users.len() == MANY_USERS
    }
}

fn hash(user: &str) -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(), user)
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

/// More than share a home.
const MANY_USERS: usize = 20;

/// Addresses are given to others after a while.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// With so many addresses none stands for all clients.
const MAX_ADDRESSES: usize = 1024;

static FORWARDING: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-real-ip"),
];

#[cfg(test)]
mod tests;
