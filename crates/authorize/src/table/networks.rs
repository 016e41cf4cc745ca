//! Networks with a row each: the longest that holds an address wins.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks laid flat: the space of all addresses, cut wherever another row begins to hold.
///
/// IPv4 lies within IPv6 as `::ffff:0:0/96`, so that one search answers both, and `::/0` holds IPv4 too.
#[derive(Debug)]
pub(super) struct Networks {
    // Invariant: sorted, beginning with 0, and as long as `rows`.
    starts: Box<[u128]>,
    rows: Box<[Option<u32>]>,
}

impl Networks {
    /// Lays networks flat; the number of a row is the place of its network. Two equal ones are an error.
    pub(super) fn new(networks: &[IpNet]) -> Result<Self, (usize, usize)> {
        let mut ranges: Vec<Range> = (0..).zip(networks).map(|(row, network)| Range::new(*network, row)).collect();
        // A network comes before those within it.
        ranges.sort_unstable_by_key(|range| (range.start, std::cmp::Reverse(range.end), range.row));
        let mut flat = Flat::default();
        let mut around: Vec<Range> = Vec::new();
        for range in ranges {
            while let Some(ended) = around.pop_if(|outer| outer.end < range.start) {
                flat.cut(ended.end + 1, around.last().map(|outer| outer.row));
            }
            if let Some(same) = around.last().filter(|outer| (outer.start, outer.end) == (range.start, range.end)) {
                return Err((same.row as usize, range.row as usize));
            }
            flat.cut(range.start, Some(range.row));
            around.push(range);
        }
        while let Some(ended) = around.pop() {
            if let Some(next) = ended.end.checked_add(1) {
                flat.cut(next, around.last().map(|outer| outer.row));
            }
        }
        let (starts, rows) = flat.0.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        Ok(Self { starts: starts.into(), rows: rows.into() })
    }

    /// Returns the row of the longest network that holds the address.
    pub(super) fn find(&self, address: IpAddr) -> Option<u32> {
        let address = bits(address);
        let after = self.starts.partition_point(|start| *start <= address);
        *self.rows.get(after.checked_sub(1)?)?
    }
}

/// First and last address of a network.
#[derive(Clone, Copy)]
struct Range {
    start: u128,
    end: u128,
    row: u32,
}

impl Range {
    fn new(network: IpNet, row: u32) -> Self {
        Self { start: bits(network.network()), end: bits(network.broadcast()), row }
    }
}

/// Where which row begins to hold.
#[derive(Default)]
struct Flat(Vec<(u128, Option<u32>)>);

impl Flat {
    fn cut(&mut self, start: u128, row: Option<u32>) {
        if self.0.is_empty() && start > 0 {
            self.0.push((0, None));
        }
        // The network around begins or goes on at the same place: what lies within it wins.
        self.0.pop_if(|last| last.0 == start);
        self.0.push((start, row));
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}
