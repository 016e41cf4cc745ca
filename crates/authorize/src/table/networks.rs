//! Networks with a row each: the longest that holds an address wins.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::network::{MAPPED, canonical};

/// Networks laid flat: the addresses of both families, cut wherever another row begins to hold.
#[derive(Debug)]
pub(super) struct Networks {
    v4: Flat<u32>,
    v6: Flat<u128>,
}

impl Networks {
    /// Lays networks flat; the number of a row is the place of its network. Two equal ones are an error.
    pub(super) fn new(networks: &[IpNet]) -> Result<Self, (usize, usize)> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (row, network) in (0..NO_ROW).zip(networks) {
            match canonical(*network) {
                IpNet::V4(network) => {
                    let (start, end) = (network.network().to_bits(), network.broadcast().to_bits());
                    v4.push(Range { start, end, length: MAPPED.prefix_len() + network.prefix_len(), row });
                }
                IpNet::V6(network) => {
                    let length = network.prefix_len();
                    // A wider network over all mapped addresses holds all of IPv4.
                    if network.contains(&MAPPED) {
                        v4.push(Range { start: 0, end: u32::MAX, length, row });
                    }
                    v6.push(Range {
                        start: network.network().to_bits(),
                        end: network.broadcast().to_bits(),
                        length,
                        row,
                    });
                }
            }
        }
        Ok(Self { v4: Flat::new(v4, |end| end.checked_add(1))?, v6: Flat::new(v6, |end| end.checked_add(1))? })
    }

    /// Returns the row of the longest network that holds the address.
    pub(super) fn find(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        }
    }
}

/// A network as it is sorted: one comes before those within it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Range<A> {
    start: A,
    end: A,
    length: u8,
    row: u32,
}

/// Where which row begins to hold.
#[derive(Debug)]
struct Flat<A> {
    // Invariant: sorted, and as long as `rows`.
    starts: Box<[A]>,
    rows: Box<[u32]>,
}

impl<A: Ord + Copy> Flat<A> {
    fn new(mut ranges: Vec<Range<A>>, after: impl Fn(A) -> Option<A>) -> Result<Self, (usize, usize)> {
        ranges.sort_unstable_by_key(|range| (range.start, range.length, range.row));
        let mut cuts: Vec<(A, u32)> = Vec::with_capacity(2 * ranges.len());
        let mut cut = |start: A, row: Option<u32>| {
            // The network around begins, or goes on, at the same place: what lies within it wins.
            cuts.pop_if(|last| last.0 == start);
            cuts.push((start, row.unwrap_or(NO_ROW)));
        };
        let mut around: Vec<Range<A>> = Vec::new();
        for range in ranges {
            while let Some(ended) = around.pop_if(|outer| outer.end < range.start) {
                if let Some(next) = after(ended.end) {
                    cut(next, around.last().map(|outer| outer.row));
                }
            }
            if let Some(same) = around.last().filter(|outer| (outer.start, outer.length) == (range.start, range.length))
            {
                return Err((same.row as usize, range.row as usize));
            }
            cut(range.start, Some(range.row));
            around.push(range);
        }
        while let Some(ended) = around.pop() {
            if let Some(next) = after(ended.end) {
                cut(next, around.last().map(|outer| outer.row));
            }
        }
        let (starts, rows): (Vec<A>, Vec<u32>) = cuts.into_iter().unzip();
        Ok(Self { starts: starts.into(), rows: rows.into() })
    }

    fn find(&self, address: A) -> Option<u32> {
        let after = self.starts.partition_point(|start| *start <= address);
        self.rows.get(after.checked_sub(1)?).copied().filter(|row| *row != NO_ROW)
    }
}

/// Stands where no network holds; no table has so many rows.
const NO_ROW: u32 = u32::MAX;
