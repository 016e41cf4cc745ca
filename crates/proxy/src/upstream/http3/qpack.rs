//! Field sections as HTTP/3 sends them: QPACK (RFC 9204) without a dynamic table, which we allow no peer and use with none.

mod huffman;
mod static_table;

use std::borrow::Cow;

use bytes::BufMut;

use static_table::TABLE;

/// Begins a section that refers to nothing but the static table (RFC 9204 §4.5.1).
pub(super) fn begin(to: &mut Vec<u8>) {
    to.extend_from_slice(&[0, 0]);
}

/// Writes one field line.
pub(super) fn write(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    let named = TABLE.iter().position(|(known, _)| *known == name);
    let whole = named.and_then(|first| {
        let mut same = TABLE.iter().enumerate().skip(first);
        same.find(|(_, (known, its))| *known == name && its.as_bytes() == value).map(|(index, _)| index)
    });
    match (whole, named) {
        // RFC 9204 §4.5.2: indexed, in the static table.
        (Some(index), _) => integer(to, 0b1100_0000, 6, index),
        (None, index) => {
            match index {
                // §4.5.4: a name of the static table.
                Some(index) => integer(to, 0b0101_0000, 4, index),
                // §4.5.6: a name written out.
                None => {
                    integer(to, 0b0010_0000, 3, name.len());
                    to.extend_from_slice(name.as_bytes());
                }
            }
            integer(to, 0, 7, value.len());
            to.extend_from_slice(value);
        }
    }
}

/// Reads a section, each field line in turn; `None` where it is none, or `each` finds a line wrong.
pub(super) fn read(mut section: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Option<()> {
    let from = &mut section;
    // Without a dynamic table nothing can be required of it.
    let (_, required) = take_integer(from, 8)?;
    let (_, _base) = take_integer(from, 7)?;
    if required != 0 {
        return None;
    }
    while let Some(&first) = from.first() {
        if first & 0b1000_0000 != 0 {
            let (name, value) = known(first & 0b0100_0000, take_integer(from, 6)?.1)?;
            each(name.as_bytes(), value.as_bytes())?;
        } else if first & 0b0100_0000 != 0 {
            let (name, _) = known(first & 0b0001_0000, take_integer(from, 4)?.1)?;
            each(name.as_bytes(), &take_string(from, 7)?)?;
        } else if first & 0b0010_0000 != 0 {
            let name = take_string(from, 3)?;
            each(&name, &take_string(from, 7)?)?;
        } else {
            // The rest refer to the dynamic table.
            return None;
        }
    }
    Some(())
}

fn known(is_static: u8, index: usize) -> Option<(&'static str, &'static str)> {
    TABLE.get(index).copied().filter(|_| is_static != 0)
}

/// Writes an integer behind the bits of `first` (RFC 7541 §5.1).
fn integer(to: &mut Vec<u8>, first: u8, prefix: u32, value: usize) {
    let most = (1 << prefix) - 1;
    let Some(mut rest) = value.checked_sub(most) else {
        to.put_u8(first | u8::try_from(value).unwrap_or_default());
        return;
    };
    to.put_u8(first | u8::try_from(most).unwrap_or_default());
    while rest >= 0x80 {
        to.put_u8(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
        rest >>= 7;
    }
    to.put_u8(u8::try_from(rest).unwrap_or_default());
}

/// Takes an integer, and the bits before it.
fn take_integer(from: &mut &[u8], prefix: u32) -> Option<(u8, usize)> {
    let (&first, mut left) = from.split_first()?;
    let most = u8::MAX >> (8 - prefix);
    let mut value = usize::from(first & most);
    if first & most == most {
        let mut shift = 0;
        loop {
            let (&next, rest) = left.split_first()?;
            left = rest;
            // Nothing in a section of ours is larger; a longer number is an attempt to overflow one.
            if shift > MOST_BITS {
                return None;
            }
            value += usize::from(next & 0x7f) << shift;
            shift += 7;
            if next & 0x80 == 0 {
                break;
            }
        }
    }
    *from = left;
    Some((first & !most, value))
}

/// Takes a string whose length has `prefix` bits behind the one that says whether it is coded.
fn take_string<'a>(from: &mut &'a [u8], prefix: u32) -> Option<Cow<'a, [u8]>> {
    let (flags, length) = take_integer(from, prefix)?;
    let (written, rest) = from.split_at_checked(length)?;
    *from = rest;
    if flags >> prefix & 1 == 0 {
        return Some(Cow::Borrowed(written));
    }
    // The shortest code has five bits.
    let mut plain = Vec::with_capacity(length * 8 / 5);
    huffman::decode(written, &mut plain)?;
    Some(Cow::Owned(plain))
}

const MOST_BITS: u32 = 21;

#[cfg(test)]
mod tests;
