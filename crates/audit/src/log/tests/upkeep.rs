//! Segments that were closed: compressed, and deleted in time.

use std::fs;

use super::{config, ids, lines, until, write};
use crate::{Archive, Config, Form, Log, Retention, Segment, verify};

#[test]
fn closed_segments_are_compressed_with_a_summary_and_read_and_verified_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes: 1, compress: true, ..config(dir.path()) };
    let log = Log::open(&config).unwrap();
    for id in ["a", "b", "c"] {
        write(&log, id);
        log.flush().unwrap();
    }
    let forms = || Archive::open(&config.dir).unwrap().segments().iter().map(Segment::form).collect::<Vec<_>>();
    until(|| forms() == [Form::Compressed, Form::Compressed, Form::Plain]);
    let archive = Archive::open(&config.dir).unwrap();
    let summary = archive.segments()[0].summary().unwrap();
    assert_eq!((summary.lines, summary.kinds["request"], summary.decisions["allow"]), (3, 1, 1));
    assert_eq!(summary.from.unwrap().to_string(), "2026-01-01T00:00:00Z");
    log.close();
    // What was closed last is compressed at the next start, and the chain goes on behind it.
    let log = Log::open(&config).unwrap();
    until(|| forms()[..3] == [Form::Compressed; 3]);
    write(&log, "d");
    log.close();
    assert_eq!(ids(&config), ["a", "b", "c", "d"]);
    assert_eq!(verify(&config.dir, &[], &[]).unwrap().findings, []);
}

#[test]
fn what_is_deleted_for_its_size_is_written_down_and_the_rest_is_a_good_log() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes: 1, retention: Retention { age: None, bytes: Some(1) }, ..config(dir.path()) };
    let log = Log::open(&config).unwrap();
    for n in 0..5 {
        write(&log, &n.to_string());
        log.flush().unwrap();
    }
    let first = || Archive::open(&config.dir).unwrap().segments()[0].name().number;
    until(|| first() > 4);
    log.close();
    let lines = lines(&config);
    let kinds: Vec<_> = lines.iter().filter_map(|line| line["kind"].as_str()).collect();
    assert!(kinds.contains(&"retention"), "{kinds:?}");
    assert_eq!(verify(&config.dir, &[], &[]).unwrap().findings, []);
    // Nobody else may delete anything.
    fs::remove_file(Archive::open(&config.dir).unwrap().segments()[0].path()).unwrap();
    let left = Archive::open(&config.dir).unwrap().segments().len();
    assert!(left == 0 || !verify(&config.dir, &[], &[]).unwrap().findings.is_empty());
}
