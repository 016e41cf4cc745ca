//! The values of a MaxMind DB: each begins with its type and size, or points to where it is.

use std::collections::HashMap;

use super::super::objects::{Builder, Cell, Members, Objects, TooLarge};
use super::Damage;

/// A run of values that are being laid flat; pointers count from its beginning.
pub(super) struct Fields<'t> {
    bytes: &'t [u8],
    flat: Builder<'t>,
    rows: Vec<Members>,
    /// The row that begins at a place.
    known_rows: HashMap<usize, u32>,
    /// What was found where something pointed to.
    known: HashMap<usize, Found>,
    /// Values that may still be read: each takes a byte, or else values overlap or lead in a circle.
    left: usize,
}

/// A value, and how many there are in it, itself among them: those that are pointed to count each time.
#[derive(Clone, Copy)]
struct Found {
    cell: Cell,
    values: usize,
}

/// The beginning of a value.
#[derive(Clone, Copy)]
struct Head {
    kind: usize,
    /// Bytes, members or elements; of a truth its value, of a pointer where it leads.
    size: usize,
    /// Where that begins which comes behind.
    at: usize,
}

impl<'t> Fields<'t> {
    pub(super) fn new(bytes: &'t [u8]) -> Self {
        let (flat, rows, left) = (Builder::default(), Vec::new(), bytes.len());
        Self { bytes, flat, rows, known_rows: HashMap::new(), known: HashMap::new(), left }
    }

    /// Reads the record at a place, and returns which row it is.
    pub(super) fn row(&mut self, at: usize) -> Result<u32, Damage> {
        if let Some(row) = self.known_rows.get(&at) {
            return Ok(*row);
        }
        let Cell::Object(members) = self.value(&mut { at }, 0)?.cell else { return Err("a record is no map") };
        let row = u32::try_from(self.rows.len()).map_err(|_| LARGE)?;
        self.rows.push(members);
        self.known_rows.insert(at, row);
        Ok(row)
    }

    pub(super) fn finish(self) -> Objects {
        self.flat.finish(self.rows)
    }

    /// Reads a value, and goes on behind it.
    fn value(&mut self, at: &mut usize, depth: usize) -> Result<Found, Damage> {
        let head = self.head(*at)?;
        *at = head.at;
        if head.kind != POINTER {
            return self.value_of(head, at, depth);
        }
        if let Some(found) = self.known.get(&head.size) {
            return Ok(*found);
        }
        let target = self.target(head)?;
        let found = self.value_of(target, &mut { target.at }, depth)?;
        self.known.insert(head.size, found);
        Ok(found)
    }

    fn value_of(&mut self, head: Head, at: &mut usize, depth: usize) -> Result<Found, Damage> {
        if depth > MAX_DEPTH {
            return Err("values lie too deep in each other");
        }
        self.left = self.left.checked_sub(1).ok_or("values lead in a circle")?;
        let cell = match head.kind {
            MAP => return self.map(head.size, at, depth + 1),
            ARRAY => return self.list(head.size, at, depth + 1),
            BOOL => Cell::Bool(head.size != 0),
            kind => {
                *at += head.size;
                let payload = self.payload(head)?;
                match kind {
                    TEXT => self.flat.text(text(payload)?).map_err(large)?,
                    BYTES => self.flat.bytes(payload).map_err(large)?,
                    kind => number(kind, payload)?,
                }
            }
        };
        Ok(Found { cell, values: 1 })
    }

    fn list(&mut self, size: usize, at: &mut usize, depth: usize) -> Result<Found, Damage> {
        let (mut items, mut values) = (Vec::new(), 1);
        for _ in 0..size {
            let item = self.value(at, depth)?;
            values = together(values, item)?;
            items.push(item.cell);
        }
        Ok(Found { cell: self.flat.list(&items).map_err(large)?, values })
    }

    fn map(&mut self, size: usize, at: &mut usize, depth: usize) -> Result<Found, Damage> {
        let (mut members, mut values) = (Vec::new(), 1);
        for _ in 0..size {
            let name = self.name(at)?;
            let member = self.value(at, depth)?;
            values = together(values, member)?;
            members.push((name, member.cell));
        }
        members.sort_unstable_by_key(|(name, _)| *name);
        let (names, cells): (Vec<&str>, Vec<Cell>) = members.into_iter().unzip();
        if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            return Err("a map has a name twice");
        }
        let cell = self.flat.object(names, &cells).map(Cell::Object).map_err(large)?;
        Ok(Found { cell, values })
    }

    /// Reads a name of a map, and goes on behind it.
    fn name(&self, at: &mut usize) -> Result<&'t str, Damage> {
        let head = self.head(*at)?;
        let name = if head.kind == POINTER { self.target(head)? } else { head };
        *at = if head.kind == POINTER { head.at } else { head.at + head.size };
        if name.kind == TEXT { text(self.payload(name)?) } else { Err("a name is no text") }
    }

    fn target(&self, pointer: Head) -> Result<Head, Damage> {
        let head = self.head(pointer.size)?;
        if head.kind == POINTER { Err("a pointer leads to a pointer") } else { Ok(head) }
    }

    /// Returns the bytes of a value that holds no others.
    fn payload(&self, head: Head) -> Result<&'t [u8], Damage> {
        self.bytes.get(head.at..).and_then(|bytes| bytes.get(..head.size)).ok_or(CUT)
    }

    /// Reads what a value begins with.
    fn head(&self, at: usize) -> Result<Head, Damage> {
        let mut rest = self.bytes.get(at..).ok_or(CUT)?.iter();
        let mut take = |bytes: usize| {
            (0..bytes).try_fold(0, |number, _| Some(number << 8 | usize::from(*rest.next()?))).ok_or(CUT)
        };
        let control = take(1)?;
        let (kind, low) = (control >> 5, control & 0x1f);
        if kind == POINTER {
            let (size, more) = match low >> 3 {
                0 => ((low & 7) << 8 | take(1)?, 1),
                1 => (((low & 7) << 16 | take(2)?) + 2048, 2),
                2 => (((low & 7) << 24 | take(3)?) + 526_336, 3),
                _ => (take(4)?, 4),
            };
            return Ok(Head { kind, size, at: at + 1 + more });
        }
        let (kind, begun) = if kind == EXTENDED { (take(1)? + 7, 2) } else { (kind, 1) };
        let (size, more) = match low {
            29 => (take(1)? + 29, 1),
            30 => (take(2)? + 285, 2),
            31 => (take(3)? + 65_821, 3),
            size => (size, 0),
        };
        Ok(Head { kind, size, at: at + begun + more })
    }
}

/// Adds up what lies in a value. Maps that point to each other's members make a few bytes a record without end.
fn together(values: usize, more: Found) -> Result<usize, Damage> {
    let sum = values + more.values;
    if sum > MAX_VALUES { Err("a record is too large") } else { Ok(sum) }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "as with the numbers of JSON: what is no `uint` is the nearest `double`"
)]
fn number(kind: usize, bytes: &[u8]) -> Result<Cell, Damage> {
    let whole = |most: usize| {
        let bytes = Some(bytes).filter(|bytes| bytes.len() <= most).ok_or("a number has too many bits")?;
        Ok(bytes.iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte)))
    };
    let unsigned = |number: u128| u64::try_from(number).map_or(Cell::Double(number as f64), Cell::Uint);
    match kind {
        U16 => whole(2).map(unsigned),
        U32 => whole(4).map(unsigned),
        U64 => whole(8).map(unsigned),
        U128 => whole(16).map(unsigned),
        // Shorter ones are not negative: the zeros before them were left out.
        I32 => {
            let bits = whole(4).and_then(|number| u32::try_from(number).map_err(|_| LARGE));
            bits.map(|bits| Cell::Int(bits.cast_signed().into()))
        }
        DOUBLE => bytes.try_into().map(f64::from_be_bytes).map(Cell::Double).map_err(|_| CUT),
        FLOAT => bytes.try_into().map(f32::from_be_bytes).map(f64::from).map(Cell::Double).map_err(|_| CUT),
        _ => Err("a value has an unknown type"),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Damage> {
    std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")
}

const fn large(_: TooLarge) -> Damage {
    LARGE
}

const CUT: Damage = "a value is cut off";
const LARGE: Damage = "it is too large";

const EXTENDED: usize = 0;
const POINTER: usize = 1;
const TEXT: usize = 2;
const DOUBLE: usize = 3;
const BYTES: usize = 4;
const U16: usize = 5;
const U32: usize = 6;
const MAP: usize = 7;
const I32: usize = 8;
const U64: usize = 9;
const U128: usize = 10;
const ARRAY: usize = 11;
const BOOL: usize = 14;
const FLOAT: usize = 15;

/// How deep values of a record lie in each other.
const MAX_DEPTH: usize = 64;
/// Values of one record, with all that it points to.
const MAX_VALUES: usize = 1 << 16;
