//! Makes MaxMind DB files for tests, by the format's specification, version 2.0.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what a test asks for fits")]

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

/// Makes a database of IPv6, and of IPv4 in `::/96`, with a record for each network. A longer network may lie within a
/// shorter one that comes before it.
///
/// # Panics
/// The database would be too large for 32 bits.
#[must_use]
pub fn mmdb(kind: &str, records: &[(IpNet, Value)]) -> Vec<u8> {
    let mut tree = vec![[Target::Nothing; 2]];
    let mut data = Vec::new();
    for (network, record) in records {
        insert(&mut tree, *network, offset(data.len()));
        write(&mut data, record);
    }
    let count = offset(tree.len());
    let mut bytes = Vec::new();
    for target in tree.as_flattened() {
        let pointer = match target {
            Target::Nothing => count,
            Target::Node(node) => *node,
            Target::Data(at) => count + SEPARATOR + at,
        };
        bytes.extend(pointer.to_be_bytes());
    }
    bytes.extend([0; SEPARATOR as usize]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    head(&mut bytes, MAP, 9);
    let numbers = [
        ("node_count", U32, u64::from(count)),
        ("record_size", U16, 32),
        ("ip_version", U16, 6),
        ("binary_format_major_version", U16, 2),
        ("binary_format_minor_version", U16, 0),
        ("build_epoch", U64, 1_767_787_200),
    ];
    for (name, kind, value) in numbers {
        text(&mut bytes, name);
        number(&mut bytes, kind, value);
    }
    let texts =
        [("database_type", kind.into()), ("languages", json!(["en"])), ("description", json!({ "en": "a test" }))];
    for (name, value) in texts {
        text(&mut bytes, name);
        write(&mut bytes, &value);
    }
    bytes
}

/// Where a bit of an address leads to.
#[derive(Clone, Copy)]
enum Target {
    Nothing,
    Node(u32),
    Data(u32),
}

fn insert(tree: &mut Vec<[Target; 2]>, network: IpNet, data: u32) {
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
    tree[node][side(length - 1)] = Target::Data(data);
}

/// Writes one value of the data section.
fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => head(out, MAP, 0),
        Value::Bool(value) => head(out, BOOL, usize::from(*value)),
        Value::Number(value) => match value.as_u64() {
            Some(value) => number(out, U64, value),
            None => {
                head(out, DOUBLE, 8);
                out.extend(value.as_f64().unwrap_or_default().to_be_bytes());
            }
        },
        Value::String(value) => text(out, value),
        Value::Array(items) => {
            head(out, ARRAY, items.len());
            items.iter().for_each(|item| write(out, item));
        }
        Value::Object(entries) => {
            head(out, MAP, entries.len());
            for (name, value) in entries {
                text(out, name);
                write(out, value);
            }
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    head(out, TEXT, text.len());
    out.extend(text.as_bytes());
}

/// Writes a number without the zeros before it.
fn number(out: &mut Vec<u8>, kind: u8, value: u64) {
    let bytes = value.to_be_bytes();
    let short = &bytes[value.leading_zeros() as usize / 8..];
    head(out, kind, short.len());
    out.extend(short);
}

/// Writes the control byte, and those that follow it for a type above 7 and for a long value.
fn head(out: &mut Vec<u8>, kind: u8, size: usize) {
    let (size, more) = match size {
        0..29 => (u8::try_from(size).unwrap(), Vec::new()),
        29..285 => (29, vec![u8::try_from(size - 29).unwrap()]),
        _ => (30, u16::try_from(size - 285).unwrap().to_be_bytes().to_vec()),
    };
    if kind > 7 {
        out.extend([size, kind - 7]);
    } else {
        out.push(kind << 5 | size);
    }
    out.extend(more);
}

fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap()
}

/// The zeros between tree and data.
const SEPARATOR: u32 = 16;

const TEXT: u8 = 2;
const DOUBLE: u8 = 3;
const U16: u8 = 5;
const U32: u8 = 6;
const MAP: u8 = 7;
const U64: u8 = 9;
const ARRAY: u8 = 11;
const BOOL: u8 = 14;
