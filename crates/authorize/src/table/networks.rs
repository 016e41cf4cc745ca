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
        Ok(Self { v4: Flat::new(v4)?, v6: Flat::new(v6)? })
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
    // Invariant: at each value of the first `bits` bits, how many starts lie before it; and at the end, how many there are.
    // So a search looks at few of them, close together, instead of halving all.
    before: Box<[u32]>,
    bits: u32,
}

impl<A: Bits> Flat<A> {
    fn new(mut ranges: Vec<Range<A>>) -> Result<Self, (usize, usize)> {
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
                if let Some(next) = ended.end.next() {
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
            if let Some(next) = ended.end.next() {
                cut(next, around.last().map(|outer| outer.row));
            }
        }
        let (starts, rows): (Vec<A>, Vec<u32>) = cuts.into_iter().unzip();
        let bits = starts.len().checked_ilog2().unwrap_or_default().min(MAX_BITS);
        let count = |first: usize| starts.partition_point(|start| start.first(bits) < first);
        let before = (0..=1 << bits).map(|first| u32::try_from(count(first)).unwrap_or(u32::MAX)).collect();
        Ok(Self { starts: starts.into(), rows: rows.into(), before, bits })
    }

    fn find(&self, address: A) -> Option<u32> {
        let first = address.first(self.bits);
        let (from, to) = (*self.before.get(first)? as usize, *self.before.get(first + 1)? as usize);
        let after = from + self.starts.get(from..to)?.partition_point(|start| *start <= address);
        self.rows.get(after.checked_sub(1)?).copied().filter(|row| *row != NO_ROW)
    }
}

/// The bits of an address.
trait Bits: Ord + Copy {
    /// Returns the address behind this one.
    fn next(self) -> Option<Self>;

    /// Returns the first bits as a number.
    fn first(self, bits: u32) -> usize;
}

impl Bits for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn first(self, bits: u32) -> usize {
        self.checked_shr(Self::BITS - bits).unwrap_or_default() as usize
    }
}

impl Bits for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn first(self, bits: u32) -> usize {
        self.checked_shr(Self::BITS - bits).unwrap_or_default() as usize
    }
}

/// The first bits that tell addresses apart before the search: 256 KiB for a table with as many networks.
const MAX_BITS: u32 = 16;

/// Stands where no network holds; no table has so many rows.
const NO_ROW: u32 = u32::MAX;
