//! The codes that RFC 7541 shows, and the ends that it forbids.

use super::{COUNTS, SYMBOLS, decode};

fn decoded(coded: &[u8]) -> Option<String> {
    let mut plain = Vec::new();
    decode(coded, &mut plain)?;
    Some(String::from_utf8(plain).unwrap())
}

#[test]
fn strings_are_decoded() {
    // RFC 7541, appendices C.4 and C.6.
    for (coded, plain) in [
        (&b"\xa8\xeb\x10\x64\x9c\xbf"[..], "no-cache"),
        (b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f", "custom-key"),
        (
            b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
            "Mon, 21 Oct 2013 20:13:21 GMT",
        ),
        (b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3", "https://www.example.com"),
        (b"", ""),
    ] {
        assert_eq!(decoded(coded).as_deref(), Some(plain));
    }
}

#[test]
fn every_symbol_has_one_code() {
    let mut all = SYMBOLS.to_vec();
    all.sort_unstable();
    assert_eq!(all, (0..=255).collect::<Vec<u8>>());
    assert_eq!(COUNTS.iter().map(|count| usize::from(*count)).sum::<usize>(), SYMBOLS.len());
}

#[test]
fn other_ends_are_refused() {
    for coded in [&b"\xff"[..], b"\x07\xff", b"\xa8\xeb\x10\x64\x9c\xbe", b"\xff\xff\xff\xff\xff"] {
        assert_eq!(decoded(coded), None, "{coded:?}");
    }
}
