//! Networks with a row each: the longest that holds an address wins.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::network::{MAPPED, canonical};

/// Networks laid flat: the addresses of both families, cut wherever another row begins to hold.
#[derive(Debug)]
pub(super) struct Networks {
    v4: Flat<u32>,
    v6: Flat<Halves>,
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
                    let (start, end) = (network.network().into(), network.broadcast().into());
                    v6.push(Range { start, end, length, row });
                }
            }
        }
        Ok(Self { v4: Flat::new(v4)?, v6: Flat::new(v6)? })
    }

    /// Takes networks that are flat already.
    pub(super) fn of(v4: &Cuts, v6: &Cuts) -> Self {
        let v4 = v4.0.iter().map(|(start, row)| Cut { start: (start >> 96) as u32, row: *row });
        let v6 = v6.0.iter().map(|(start, row)| Cut { start: Ipv6Addr::from_bits(*start).into(), row: *row });
        Self { v4: Flat::of(v4.collect()), v6: Flat::of(v6.collect()) }
    }

    /// Returns the row of the longest network that holds the address.
    pub(super) fn find(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => {
                let row = self.v6.find(address.into())?;
                let Some(behind) = row.checked_sub(V4_BEHIND) else { return Some(row) };
                self.v4.find((address.to_bits() << behind >> 96) as u32)
            }
        }
    }
}

/// Where addresses lead, in their order: from each on to the next.
#[derive(Debug, Default)]
pub(super) struct Cuts(Vec<(u128, u32)>);

/// Where an address leads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leads {
    Nowhere,
    ToRow(u32),
    /// To the row of the IPv4 address that lies in this one behind so many bits.
    ToV4 {
        behind: u32,
    },
}

impl Cuts {
    /// Adds where addresses lead from this one on. Bits of an IPv4 address are on the left.
    pub(super) fn add(&mut self, start: u128, leads: Leads) {
        let row = match leads {
            Leads::Nowhere => NO_ROW,
            Leads::ToRow(row) => row,
            Leads::ToV4 { behind } => V4_BEHIND + behind,
        };
        if self.0.last().is_none_or(|last| last.1 != row) {
            self.0.push((start, row));
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
    // Invariant: sorted by their starts.
    cuts: Box<[Cut<A>]>,
    // Invariant: at each value of the first `bits` bits, how many cuts lie before it; and at the end, how many there are.
    // So a search looks at few of them, close together, instead of halving all.
    before: Box<[u32]>,
    bits: u32,
}

/// An address, and the row that holds from there on.
#[derive(Clone, Copy, Debug)]
struct Cut<A> {
    start: A,
    row: u32,
}

/// The bits of an IPv6 address in halves, which need no more room than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Halves(u64, u64);

impl<A: Bits> Flat<A> {
    fn new(mut ranges: Vec<Range<A>>) -> Result<Self, (usize, usize)> {
        ranges.sort_unstable_by_key(|range| (range.start, range.length, range.row));
        let mut cuts: Vec<Cut<A>> = Vec::with_capacity(2 * ranges.len());
        let mut cut = |start: A, row: Option<u32>| {
            // The network around begins, or goes on, at the same place: what lies within it wins.
            cuts.pop_if(|last| last.start == start);
            cuts.push(Cut { start, row: row.unwrap_or(NO_ROW) });
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
        Ok(Self::of(cuts))
    }

    fn of(cuts: Vec<Cut<A>>) -> Self {
        let bits = cuts.len().checked_ilog2().unwrap_or_default().min(MAX_BITS);
        let count = |first: usize| cuts.partition_point(|cut| cut.start.first(bits) < first);
        let before = (0..=1 << bits).map(|first| u32::try_from(count(first)).unwrap_or(u32::MAX)).collect();
        Self { cuts: cuts.into(), before, bits }
    }

    fn find(&self, address: A) -> Option<u32> {
        let first = address.first(self.bits);
        let (from, to) = (*self.before.get(first)? as usize, *self.before.get(first + 1)? as usize);
        let after = from + self.cuts.get(from..to)?.partition_point(|cut| cut.start <= address);
        self.cuts.get(after.checked_sub(1)?).map(|cut| cut.row).filter(|row| *row != NO_ROW)
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

impl Bits for Halves {
    fn next(self) -> Option<Self> {
        match self.1.checked_add(1) {
            Some(low) => Some(Self(self.0, low)),
            None => self.0.checked_add(1).map(|high| Self(high, 0)),
        }
    }

    fn first(self, bits: u32) -> usize {
        // There are no more bits than `MAX_BITS`.
        self.0.checked_shr(u64::BITS - bits).map_or(0, |first| usize::try_from(first).unwrap_or(usize::MAX))
    }
}

impl From<Ipv6Addr> for Halves {
    fn from(address: Ipv6Addr) -> Self {
        let bits = address.to_bits();
        #[expect(clippy::cast_possible_truncation, reason = "the low half is what is left of it")]
        Self((bits >> 64) as u64, bits as u64)
    }
}

/// The first bits that tell addresses apart before the search: 256 KiB for a table with as many networks.
const MAX_BITS: u32 = 16;

/// Stands where no network holds; no table has so many rows.
const NO_ROW: u32 = u32::MAX;
/// From here on a row says behind how many bits of an IPv6 address there is one of IPv4, whose row is meant; no table has so
/// many rows.
const V4_BEHIND: u32 = NO_ROW - 128;
