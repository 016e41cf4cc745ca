//! Directories as a reader finds them.

use std::fs;
use std::path::Path;

use super::{Archive, Form, Lines, SegmentName};

fn names(dir: &Path) -> Vec<String> {
    Archive::open(dir).unwrap().segments().iter().map(|segment| segment.name().to_string()).collect()
}

#[test]
fn segments_are_ordered_by_chain_and_number_whatever_the_clock_said() {
    let dir = tempfile::tempdir().unwrap();
    for file in [
        "audit-b-00000001-20260301T000000Z.jsonl",
        "audit-a-00000010-20200101T000000Z.jsonl",
        "audit-a-00000009-20990101T000000Z.jsonl.zst",
        "audit-20260201T000000Z-000001.jsonl",
        "audit-20260101T000000Z-000002.jsonl",
        ".audit-a.lock",
        "notes.txt",
    ] {
        fs::write(dir.path().join(file), "").unwrap();
    }
    assert_eq!(
        names(dir.path()),
        [
            "audit-20260101T000000Z-000002",
            "audit-20260201T000000Z-000001",
            "audit-a-00000009-20990101T000000Z",
            "audit-a-00000010-20200101T000000Z",
            "audit-b-00000001-20260301T000000Z",
        ]
    );
    let archive = Archive::open(dir.path()).unwrap();
    let chains: Vec<_> = archive.chains().map(|(name, segments)| (name, segments.len())).collect();
    assert_eq!(chains, [(None, 2), (Some("a"), 2), (Some("b"), 1)]);
}

#[test]
fn a_segment_that_is_being_compressed_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let name = SegmentName::new("a", 1, "2026-03-01T00:00:00Z".parse().unwrap());
    let path = dir.path().join(format!("{name}.jsonl"));
    fs::write(&path, "{}\n").unwrap();
    let before = Archive::open(dir.path()).unwrap();
    let compressed = zstd::encode_all(&b"{}\n"[..], 1).unwrap();
    fs::write(dir.path().join(format!("{name}.jsonl.zst")), compressed).unwrap();
    let both = Archive::open(dir.path()).unwrap();
    assert_eq!(both.segments().len(), 1);
    assert_eq!(both.segments()[0].form(), Form::Compressed);
    // A reader that looked before finds it after.
    fs::remove_file(path).unwrap();
    let mut lines = before.segments()[0].lines().unwrap();
    assert_eq!(lines.next_line().unwrap(), Some(&b"{}"[..]));
    assert_eq!(lines.next_line().unwrap(), None);
}

#[test]
fn lines_are_whole_however_they_are_read_and_what_is_torn_is_none() {
    let long = "x".repeat(700_000);
    let text = format!("a\n\n{long}\nb\ntorn");
    // A source that gives a few bytes at a time.
    struct Slow(Vec<u8>, usize);
    impl std::io::Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let some = (self.0.len() - self.1).min(buffer.len()).min(4099);
            buffer[..some].copy_from_slice(&self.0[self.1..self.1 + some]);
            self.1 += some;
            Ok(some)
        }
    }
    let mut lines = Lines::new(Box::new(Slow(text.clone().into_bytes(), 0)));
    let mut seen = Vec::new();
    while let Some(line) = lines.next_line().unwrap() {
        seen.push(String::from_utf8(line.to_vec()).unwrap());
    }
    assert_eq!(seen, ["a", "", &long, "b"]);
    assert_eq!((lines.bytes(), lines.torn()), (text.len() as u64 - 4, 4));
}

#[test]
fn a_file_without_line_feeds_does_not_fill_the_memory() {
    let mut lines = Lines::new(Box::new(std::io::repeat(b'x')));
    assert!(lines.next_line().is_err());
}
