//! The tree of a MaxMind DB: a node for each bit of an address, until there is a record.

use super::super::networks::{Cuts, Leads, Networks};
use super::Damage;

/// A tree, of which no more is known than that it lies within the bytes.
pub(super) struct Tree<'t> {
    bytes: &'t [u8],
    nodes: u32,
    record: RecordSize,
}

/// The bits of the two records of a node.
#[derive(Clone, Copy)]
enum RecordSize {
    Bits24,
    Bits28,
    Bits32,
}

impl<'t> Tree<'t> {
    pub(super) fn read(bytes: &'t [u8], nodes: u32, record_size: u32) -> Result<Self, Damage> {
        let record = match record_size {
            24 => RecordSize::Bits24,
            28 => RecordSize::Bits28,
            32 => RecordSize::Bits32,
            _ => return Err("its tree has records of an unknown size"),
        };
        let tree = Self { bytes, nodes, record };
        if nodes == 0 || tree.end() > bytes.len() { Err("the tree goes beyond the file") } else { Ok(tree) }
    }

    /// Returns the number of its bytes.
    pub(super) const fn end(&self) -> usize {
        self.nodes as usize * self.record.node()
    }

    /// Lays the tree flat. `row` says which row lies so far behind the tree.
    pub(super) fn networks(
        &self,
        ip_version: u32,
        row: impl FnMut(usize) -> Result<u32, Damage>,
    ) -> Result<Networks, Damage> {
        // As many steps as the nodes and leaves of a tree are, for either family: nothing leads to a node twice.
        let mut walk = Walk { tree: self, v4: None, row, left: 4 * u64::from(self.nodes) + 4 };
        let (mut v4, mut v6) = (Cuts::default(), Cuts::default());
        match ip_version {
            4 => walk.go(0, 0, 32, 0, &mut v4)?,
            6 => {
                let root = (0..96).fold(0, |record, _| self.next(record, false));
                walk.go(root, 0, 32, 0, &mut v4)?;
                walk.v4 = (root < self.nodes).then_some(root);
                walk.go(0, 0, 128, 0, &mut v6)?;
            }
            _ => return Err("its addresses have an unknown version"),
        }
        Ok(Networks::of(&v4, &v6))
    }

    /// Follows one bit, where there is a node.
    fn next(&self, record: u32, right: bool) -> u32 {
        if record < self.nodes { self.record.read(self.bytes, record, right) } else { record }
    }
}

/// Goes through a tree, in the order of addresses.
struct Walk<'t, R> {
    tree: &'t Tree<'t>,
    /// The node at which the addresses of IPv4 begin, where they do within a tree of IPv6: also the tunnels that embed
    /// such addresses lead there.
    v4: Option<u32>,
    row: R,
    /// Steps that it may still go: a tree that leads in a circle has no end.
    left: u64,
}

impl<R: FnMut(usize) -> Result<u32, Damage>> Walk<'_, R> {
    /// Goes on where `depth` bits of an address led. Bits are counted from the left.
    fn go(&mut self, record: u32, depth: u32, bits: u32, address: u128, cuts: &mut Cuts) -> Result<(), Damage> {
        self.left = self.left.checked_sub(1).ok_or("the tree leads in a circle")?;
        let leads = match record.checked_sub(self.tree.nodes) {
            None if self.v4 == Some(record) => Leads::ToV4 { behind: depth },
            None if depth == bits => return Err("the tree goes on where addresses end"),
            None => {
                for right in [false, true] {
                    let address = address | u128::from(right) << (127 - depth);
                    self.go(self.tree.next(record, right), depth + 1, bits, address, cuts)?;
                }
                return Ok(());
            }
            Some(0) => Leads::Nowhere,
            Some(at) => Leads::ToRow((self.row)(at as usize)?),
        };
        cuts.add(address, leads);
        Ok(())
    }
}

impl RecordSize {
    /// Returns the bytes of a node.
    const fn node(self) -> usize {
        match self {
            Self::Bits24 => 6,
            Self::Bits28 => 7,
            Self::Bits32 => 8,
        }
    }

    /// Reads one side of a node, which was found to be within the bytes.
    fn read(self, bytes: &[u8], node: u32, right: bool) -> u32 {
        let at = node as usize * self.node();
        let word = |at: usize| {
            let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
            word.map_or(u32::MAX, |word| u32::from_be_bytes(*word))
        };
        match (self, right) {
            (Self::Bits24, false) => word(at) >> 8,
            (Self::Bits24, true) => word(at + 2) & 0x00ff_ffff,
            // The byte in the middle holds the four highest bits of either.
            (Self::Bits28, false) => {
                let word = word(at);
                (word & 0xf0) << 20 | word >> 8
            }
            (Self::Bits28, true) => word(at + 3) & 0x0fff_ffff,
            (Self::Bits32, false) => word(at),
            (Self::Bits32, true) => word(at + 4),
        }
    }
}
