//! Makes MaxMind DB files for tests, by the format's specification, version 2.0.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what a test asks for fits")]

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

/// Makes a database of IPv6, and of IPv4 in `::/96` and in 6to4, with a record for each network. A longer network may lie
/// within a shorter one that comes before it.
///
/// # Panics
/// The database would be too large for 32 bits.
#[must_use]
pub fn mmdb(kind: &str, records: &[(IpNet, Value)]) -> Vec<u8> {
    mmdb_of(32, kind, records)
}

/// As [`mmdb`], of a tree whose pointers have so many bits: 24, 28 or 32.
///
/// # Panics
/// The database would be too large for so many bits.
#[must_use]
pub fn mmdb_of(bits: u16, kind: &str, records: &[(IpNet, Value)]) -> Vec<u8> {
    let mut tree = vec![[Target::Nothing; 2]];
    let mut data = Section::default();
    let mut known = HashMap::new();
    for (network, record) in records {
        let at = *known.entry(record.to_string()).or_insert_with(|| {
            let at = offset(data.bytes.len());
            data.write(record);
            at
        });
        insert(&mut tree, *network, Target::Data(at));
    }
    tunnel(&mut tree);
    let count = offset(tree.len());
    let mut bytes = Vec::new();
    for targets in tree {
        let [left, right] = targets.map(|target| match target {
            Target::Nothing => count,
            Target::Node(node) => node,
            Target::Data(at) => count + SEPARATOR + at,
        });
        assert!(u64::from(left.max(right)) < 1 << bits, "{bits} bits are too few");
        let [a, b] = [left.to_be_bytes(), right.to_be_bytes()];
        match bits {
            24 => bytes.extend([&a[1..], &b[1..]].concat()),
            28 => bytes.extend([&a[1..], &[a[0] << 4 | b[0]], &b[1..]].concat()),
            _ => bytes.extend([a, b].concat()),
        }
    }
    bytes.extend([0; SEPARATOR as usize]);
    bytes.extend(data.bytes);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    bytes.extend(metadata(bits, kind, count));
    bytes
}

fn metadata(bits: u16, kind: &str, nodes: u32) -> Vec<u8> {
    let mut metadata = Section::default();
    metadata.head(MAP, 9);
    let numbers = [
        ("node_count", U32, u64::from(nodes)),
        ("record_size", U16, u64::from(bits)),
        ("ip_version", U16, 6),
        ("binary_format_major_version", U16, 2),
        ("binary_format_minor_version", U16, 0),
        ("build_epoch", U64, 1_767_787_200),
    ];
    for (name, kind, value) in numbers {
        metadata.text(name);
        metadata.number(kind, value);
    }
    let texts =
        [("database_type", kind.into()), ("languages", json!(["en"])), ("description", json!({ "en": "a test" }))];
    for (name, value) in texts {
        metadata.text(name);
        metadata.write(&value);
    }
    metadata.bytes
}

/// Where a bit of an address leads to.
#[derive(Clone, Copy)]
enum Target {
    Nothing,
    Node(u32),
    Data(u32),
}

fn insert(tree: &mut Vec<[Target; 2]>, network: IpNet, leads: Target) {
    let (bits, length) = match network.network() {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 96 + network.prefix_len()),
        IpAddr::V6(address) => (address.to_bits(), network.prefix_len()),
    };
    let side = |depth: u8| usize::from((bits >> (127 - depth)) & 1 == 1);
    let mut node = 0;
    for depth in 0..length - 1 {
        let target = tree[node][side(depth)];
        node = if let Target::Node(next) = target {
            next as usize
        } else {
            tree.push([target; 2]);
            let next = tree.len() - 1;
            tree[node][side(depth)] = Target::Node(offset(next));
            next
        };
    }
    tree[node][side(length - 1)] = leads;
}

/// Lets 6to4 lead to where IPv4 begins, as real databases do.
fn tunnel(tree: &mut Vec<[Target; 2]>) {
    let step = |leads, _| if let Target::Node(node) = leads { tree[node as usize][0] } else { leads };
    let v4 = (0..96).fold(Target::Node(0), step);
    if matches!(v4, Target::Node(_)) {
        insert(tree, IpNet::new(IpAddr::from([0x2002, 0, 0, 0, 0, 0, 0, 0]), 16).unwrap(), v4);
    }
}

/// Values one behind the other; a text that was written is pointed to from then on.
#[derive(Default)]
struct Section {
    bytes: Vec<u8>,
    texts: HashMap<String, usize>,
}

impl Section {
    fn write(&mut self, value: &Value) {
        match value {
            Value::Null => self.head(MAP, 0),
            Value::Bool(value) => self.head(BOOL, usize::from(*value)),
            Value::Number(value) => match (value.as_u64(), value.as_i64().map(i32::try_from)) {
                (Some(value), _) => self.number(U64, value),
                (None, Some(Ok(value))) => {
                    self.head(I32, 4);
                    self.bytes.extend(value.to_be_bytes());
                }
                (None, _) => {
                    self.head(DOUBLE, 8);
                    self.bytes.extend(value.as_f64().unwrap_or_default().to_be_bytes());
                }
            },
            Value::String(value) => self.text(value),
            Value::Array(items) => {
                self.head(ARRAY, items.len());
                items.iter().for_each(|item| self.write(item));
            }
            Value::Object(entries) => {
                self.head(MAP, entries.len());
                for (name, value) in entries {
                    self.text(name);
                    self.write(value);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(at) = self.texts.get(text) {
            return self.pointer(*at);
        }
        self.texts.insert(text.to_owned(), self.bytes.len());
        self.head(TEXT, text.len());
        self.bytes.extend(text.as_bytes());
    }

    /// Points to what was written at `at`, in as few bytes as that takes.
    fn pointer(&mut self, at: usize) {
        let (size, value, bytes) = match at {
            0..2048 => (0, at, 1),
            2048..526_336 => (1, at - 2048, 2),
            526_336..134_744_064 => (2, at - 526_336, 3),
            _ => (3, at, 4),
        };
        let value = offset(value).to_be_bytes();
        let high = if bytes == 4 { 0 } else { value[3 - bytes] };
        self.bytes.push(POINTER << 5 | size << 3 | high);
        self.bytes.extend(&value[4 - bytes..]);
    }

    /// Writes a number without the zeros before it.
    fn number(&mut self, kind: u8, value: u64) {
        let bytes = value.to_be_bytes();
        let short = &bytes[value.leading_zeros() as usize / 8..];
        self.head(kind, short.len());
        self.bytes.extend(short);
    }

    /// Writes the control byte, and those that follow it for a type above 7 and for a long value.
    fn head(&mut self, kind: u8, size: usize) {
        let (size, more) = match size {
            0..29 => (u8::try_from(size).unwrap(), Vec::new()),
            29..285 => (29, vec![u8::try_from(size - 29).unwrap()]),
            _ => (30, u16::try_from(size - 285).unwrap().to_be_bytes().to_vec()),
        };
        if kind > 7 {
            self.bytes.extend([size, kind - 7]);
        } else {
            self.bytes.push(kind << 5 | size);
        }
        self.bytes.extend(more);
    }
}

fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap()
}

/// The zeros between tree and data.
const SEPARATOR: u32 = 16;

const POINTER: u8 = 1;
const TEXT: u8 = 2;
const DOUBLE: u8 = 3;
const U16: u8 = 5;
const U32: u8 = 6;
const MAP: u8 = 7;
const I32: u8 = 8;
const U64: u8 = 9;
const ARRAY: u8 = 11;
const BOOL: u8 = 14;
