//! Names of files that are segments, and of others.

use super::SegmentName;

#[test]
fn names_of_segments_read_back_as_they_were_written() {
    let name = SegmentName::new("proxy-1", 42, "2026-03-01T12:34:56Z".parse().unwrap());
    assert_eq!(name.to_string(), "audit-proxy-1-00000042-20260301T123456Z");
    assert_eq!(SegmentName::parse(&format!("{name}.jsonl")), Some((name.clone(), false)));
    assert_eq!(SegmentName::parse(&format!("{name}.jsonl.zst")), Some((name, true)));
}

#[test]
fn a_segment_from_before_there_were_chains_has_no_instance() {
    let (name, _) = SegmentName::parse("audit-20260301T123456Z-000007.jsonl").unwrap();
    assert_eq!((name.instance.as_deref(), name.number), (None, 7));
    assert_eq!(name.to_string(), "audit-20260301T123456Z-000007");
}

#[test]
fn other_files_are_no_segments() {
    for file in ["", "audit.jsonl", "audit-a.jsonl", "audit-a-b-c.jsonl", "audit-x-1-20260301T123456Z.json", "x.zst"] {
        assert_eq!(SegmentName::parse(file), None, "{file}");
    }
}
