//! Sections as the examples of RFC 9204 write them, as we write them, and as nobody may.

use proptest::prelude::*;

use super::{begin, read, write};

type Lines = Vec<(Vec<u8>, Vec<u8>)>;

fn read_all(section: &[u8]) -> Option<Lines> {
    let mut lines = Vec::new();
    read(section, |name, value| {
        lines.push((name.to_vec(), value.to_vec()));
        Some(())
    })?;
    Some(lines)
}

fn line(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.into(), value.into())
}

#[test]
fn a_line_with_a_name_of_the_table_is_read() {
    // RFC 9204, appendix B.1.
    assert_eq!(read_all(b"\x00\x00\x51\x0b/index.html").unwrap(), [line(":path", "/index.html")]);
}

#[test]
fn lines_of_the_table_are_read() {
    assert_eq!(
        read_all(b"\x00\x00\xd9\xff\x23").unwrap(),
        [line(":status", "200"), line("x-frame-options", "sameorigin")]
    );
}

#[test]
fn a_coded_string_is_read() {
    // RFC 7541, appendix C.4.1.
    let section = b"\x00\x00\x50\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    assert_eq!(read_all(section).unwrap(), [line(":authority", "www.example.com")]);
}

#[test]
fn what_refers_to_a_dynamic_table_is_refused() {
    for section in [
        &b"\x02\x00\x80"[..], // A required insert count.
        b"\x00\x00\x80",      // An indexed line of the dynamic table.
        b"\x00\x00\x10",      // Indexed, post-base.
        b"\x00\x00\x40\x01a", // A name of the dynamic table.
        b"\x00\x00\x00\x01a", // A post-base name.
        b"\x00\x00\xff\x24",  // Index 99 of a table of 99.
    ] {
        assert_eq!(read_all(section), None, "{section:?}");
    }
}

#[test]
fn what_is_cut_off_or_overflows_is_refused() {
    for section in [
        &b""[..],
        b"\x00",
        b"\x00\x00\x51",
        b"\x00\x00\x51\x0b/index.htm",
        b"\x00\x00\x27",
        b"\x00\x00\x51\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x00\x00\x50\x82\xff\xff",         // Padding of more than seven bits.
        b"\x00\x00\x50\x81\x00",             // `0`, and padding that is not all ones.
        b"\x00\x00\x50\x84\xff\xff\xff\xff", // The end of a string, in a string.
    ] {
        assert_eq!(read_all(section), None, "{section:?}");
    }
}

#[test]
fn what_is_of_the_table_is_written_short() {
    let mut section = Vec::new();
    begin(&mut section);
    write(&mut section, ":method", b"GET");
    write(&mut section, ":path", b"/a");
    assert_eq!(section, b"\x00\x00\xd1\x51\x02/a");
}

proptest! {
    #[test]
    fn what_is_written_is_read(lines in prop::collection::vec(("[a-z-]{1,300}|:method|:path|cookie", "[ -~]{0,300}"), 0..20)) {
        let mut section = Vec::new();
        begin(&mut section);
        for (name, value) in &lines {
            write(&mut section, name, value.as_bytes());
        }
        let lines: Lines = lines.iter().map(|(name, value)| line(name, value)).collect();
        prop_assert_eq!(read_all(&section), Some(lines));
    }

    #[test]
    fn no_bytes_panic(section in prop::collection::vec(any::<u8>(), 0..200)) {
        let _whatever = read_all(&section);
    }
}
