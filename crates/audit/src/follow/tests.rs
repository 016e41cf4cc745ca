//! Lines of a log as a receiver gets them.

use std::time::Duration;

use super::Follower;
use crate::archive::Archive;
use crate::{Config, Event, EventKind, Log};

fn config(dir: &std::path::Path) -> Config {
    Config { dir: dir.to_owned(), ..Config::default() }
}

fn note(log: &Log, reasons: &[&str]) {
    for reason in reasons {
        log.note(&Event::new("2026-01-01T00:00:00Z".parse().unwrap(), EventKind::Reload, "sighup", reason)).unwrap();
        log.flush().unwrap();
    }
}

/// What the records that come next say, without the lines of segments.
fn read(follower: &mut Follower) -> Vec<String> {
    let mut lines = Vec::new();
    follower.read(&mut lines, usize::MAX).unwrap();
    let text = String::from_utf8(lines).unwrap();
    let reason = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["reason"].as_str().map(str::to_owned)
    };
    text.lines().filter_map(reason).collect()
}

#[test]
fn lines_come_in_their_order_over_segments_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes: 1000, ..config(folder.path()) };
    let log = Log::open(&config).unwrap();
    let mut follower = Follower::open(&config, "test").unwrap();
    assert!(read(&mut follower).is_empty());
    let names: Vec<_> = (0..40).map(|n| format!("n{n}")).collect();
    let mut seen = Vec::new();
    for chunk in names.chunks(3) {
        note(&log, &chunk.iter().map(String::as_str).collect::<Vec<_>>());
        seen.extend(read(&mut follower));
    }
    assert_eq!(seen, names);
    log.close();
    assert!(read(&mut follower).is_empty());
    // The last line of the segment was read meanwhile, and nothing comes behind it.
    assert!(read(&mut follower).is_empty());
    assert!(Archive::open(folder.path()).unwrap().segments().len() > 5);
    follower.sent();
    assert!(follower.progress().lines_sent() > 40 && follower.progress().oldest_waiting().is_none());
}

#[test]
fn a_follower_begins_with_the_segment_of_this_process_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let log = Log::open(&config).unwrap();
    note(&log, &["before"]);
    log.close();
    let log = Log::open(&config).unwrap();
    let mut follower = Follower::open(&config, "test").unwrap();
    note(&log, &["one", "two"]);
    assert_eq!(read(&mut follower), ["one", "two"]);
    assert_eq!(follower.progress().oldest_waiting().map(|time| time.as_second() > 0), Some(true));
    let place = follower.place();
    follower.arrived(place);
    follower.close();
    note(&log, &["three"]);
    log.close();
    let log = Log::open(&config).unwrap();
    note(&log, &["four"]);
    let mut follower = Follower::open(&config, "test").unwrap();
    assert_eq!(read(&mut follower), ["three", "four"]);
    follower.go_back(place);
    assert_eq!(read(&mut follower), ["three", "four"]);
    assert_eq!(follower.progress().lines_dropped(), 0);
}

#[test]
fn what_a_receiver_that_was_never_there_missed_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let log = Log::open(&config).unwrap();
    // Killed: it closes nothing.
    drop(Follower::open(&config, "test").unwrap());
    note(&log, &["one"]);
    log.close();
    let log = Log::open(&config).unwrap();
    note(&log, &["two"]);
    assert_eq!(read(&mut Follower::open(&config, "test").unwrap()), ["one", "two"]);
}

#[test]
fn what_was_compressed_is_read_from_the_same_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let log = Log::open(&config).unwrap();
    let mut follower = Follower::open(&config, "test").unwrap();
    note(&log, &["one", "two"]);
    let mut lines = Vec::new();
    // The first line of the segment, and one record.
    follower.read(&mut lines, 1).unwrap();
    let limit = lines.len() + 1;
    follower.read(&mut lines, limit).unwrap();
    let place = follower.place();
    log.close();
    let log = Log::open(&config).unwrap();
    let is_compressed = || {
        let mut files = std::fs::read_dir(folder.path()).unwrap();
        files.any(|file| file.unwrap().path().extension().is_some_and(|extension| extension == "zst"))
    };
    while !is_compressed() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut follower = Follower::open(&config, "test").unwrap();
    follower.go_back(place);
    note(&log, &["three"]);
    assert_eq!(read(&mut follower), ["two", "three"]);
}

#[test]
fn lines_that_were_deleted_before_their_turn_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let log = Log::open(&config).unwrap();
    let mut follower = Follower::open(&config, "test").unwrap();
    note(&log, &["one"]);
    assert_eq!(read(&mut follower), ["one"]);
    let place = follower.place();
    note(&log, &["two", "three"]);
    log.close();
    let log = Log::open(&config).unwrap();
    note(&log, &["four"]);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().contains("-00000001-") {
            std::fs::remove_file(path).unwrap();
        }
    }
    follower.go_back(place);
    assert_eq!(read(&mut follower), ["four"]);
    // Two records, and the last line of their segment.
    assert_eq!(follower.progress().lines_dropped(), 3);
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let log = Log::open(&config).unwrap();
    let mut follower = Follower::open(&config, "test").unwrap();
    note(&log, &["one"]);
    assert_eq!(read(&mut follower), ["one"]);
    let path = Archive::open(folder.path()).unwrap().segments()[0].path().to_owned();
    let whole = std::fs::read(&path).unwrap();
    let append = |bytes: &[u8]| std::fs::write(&path, [&whole, bytes].concat()).unwrap();
    append(b"{\"reason\":\"tw");
    assert!(read(&mut follower).is_empty());
    append(b"");
    assert!(read(&mut follower).is_empty());
    append(b"{\"reason\":\"three\"}\n");
    assert_eq!(read(&mut follower), ["three"]);
}
