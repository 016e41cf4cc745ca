//! Sets of networks, answered by binary search.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A set of addresses, kept as sorted ranges that neither overlap nor touch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct NetworkSet {
    // Invariant of both: sorted, and each range ends before the next begins.
    v4: Box<[(Ipv4Addr, Ipv4Addr)]>,
    v6: Box<[(Ipv6Addr, Ipv6Addr)]>,
}

impl NetworkSet {
    /// Collects networks. Networks within `::ffff:0:0/96` are IPv4, as addresses are.
    pub(crate) fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match canonical(network) {
                IpNet::V4(network) => v4.push((network.network(), network.broadcast())),
                IpNet::V6(network) => {
                    // A wider network over all mapped addresses holds all of IPv4 in canonical form.
                    if network.contains(&MAPPED) {
                        v4.push((Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
                    }
                    v6.push((network.network(), network.broadcast()));
                }
            }
        }
        Self {
            v4: merge(v4, |end| end.to_bits().checked_add(1).map(Ipv4Addr::from_bits)),
            v6: merge(v6, |end| end.to_bits().checked_add(1).map(Ipv6Addr::from_bits)),
        }
    }

    /// Returns whether the address is in one of the networks.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => covers(&self.v4, address),
            IpAddr::V6(address) => covers(&self.v6, address),
        }
    }
}

/// The network of all IPv4-mapped addresses.
pub(crate) const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);

/// Turns a network of IPv4-mapped addresses into the IPv4 network that it stands for.
pub(crate) fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED.prefix_len()));
    mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4)
}

fn merge<A: Ord + Copy>(mut ranges: Vec<(A, A)>, after: impl Fn(A) -> Option<A>) -> Box<[(A, A)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(A, A)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match merged.last_mut() {
            Some(last) if after(last.1).is_none_or(|next| start <= next) => last.1 = last.1.max(end),
            Some(_) | None => merged.push((start, end)),
        }
    }
    merged.into_boxed_slice()
}

fn covers<A: Ord + Copy>(ranges: &[(A, A)], address: A) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= address);
    after.checked_sub(1).and_then(|index| ranges.get(index)).is_some_and(|(_, end)| address <= *end)
}

#[cfg(test)]
mod tests;
