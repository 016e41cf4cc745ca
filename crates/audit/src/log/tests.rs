//! The log on disks that work, that are full, and that go away.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::Log;
use super::segment::Segments;
use crate::{AuditError, Config, Decision, Kind, Milliseconds, Record, User};

fn record(id: &str) -> Record<'_> {
    Record {
        time: "2026-01-01T00:00:00Z".parse().unwrap(),
        id: Cow::Borrowed(id),
        kind: Kind::Request,
        revision: Cow::Borrowed("rev"),
        route: None,
        client_ip: None,
        peer_ip: None,
        client_ip_source: None,
        user: None,
        session: None,
        method: Cow::Borrowed("GET"),
        scheme: "https",
        host: Cow::Borrowed("app.example.com"),
        path: Cow::Borrowed("/"),
        query_keys: Vec::new(),
        protocol: "h2",
        tls: None,
        decision: Decision::Allow,
        rule: None,
        reason: Cow::Borrowed("allowed"),
        error: None,
        shadow: None,
        inputs: Cow::Borrowed(&[]),
        upstream: None,
        status: 200,
        grpc_status: None,
        bytes_in: 0,
        bytes_out: 0,
        ms: Milliseconds::default(),
        user_agent: None,
    }
}

fn config(dir: &Path) -> Config {
    Config { dir: dir.join("audit"), ..Config::default() }
}

fn write(log: &Log, id: &str) {
    log.reserve().unwrap().write(&record(id));
}

fn segments(config: &Config) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(&config.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn lines(config: &Config) -> Vec<Value> {
    let text: String = segments(config).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(config: &Config) -> Vec<String> {
    lines(config).iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn records_are_lines_in_their_order_once_the_log_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let log = Log::open(&config).unwrap();
    ["a", "b", "c"].iter().for_each(|id| write(&log, id));
    log.close();
    assert_eq!(ids(&config), ["a", "b", "c"]);
    assert!(matches!(log.reserve(), Err(AuditError::Closed)));
}

#[test]
fn segments_and_their_directory_are_for_the_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let log = Log::open(&config).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&config.dir), 0o700);
    assert_eq!(segments(&config).iter().map(|path| mode(path)).collect::<Vec<_>>(), [0o600]);
    drop(log);
    // Nothing was written, so nothing is left.
    assert!(segments(&config).is_empty());
}

#[test]
fn dropping_the_last_clone_writes_what_is_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let log = Log::open(&config).unwrap();
    let slot = log.reserve().unwrap();
    drop(log);
    slot.write(&record("late"));
    assert_eq!(ids(&config), ["late"]);
}

#[test]
fn a_place_that_is_given_up_leaves_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let log = Log::open(&config).unwrap();
    drop(log.reserve().unwrap());
    log.flush().unwrap();
    let lines = lines(&config);
    assert_eq!((&lines[0]["kind"], &lines[0]["reason"]), (&"unrecorded".into(), &"slot-dropped".into()));
}

#[test]
fn many_threads_write_at_once_and_no_record_is_lost_or_torn() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes: 20_000, ..config(dir.path()) };
    let log = Log::open(&config).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = log.clone();
            scope.spawn(move || (0..500).for_each(|n| write(&log, &format!("{thread}-{n:03}"))));
        }
    });
    log.close();
    let ids = ids(&config);
    assert_eq!(ids.len(), 4000);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 4000);
    let of_one: Vec<_> = ids.iter().filter(|id| id.starts_with("3-")).collect();
    assert!(of_one.is_sorted());
}

#[test]
fn a_segment_is_closed_by_its_size_and_by_its_age() {
    for bounds in [(1, Duration::MAX), (u64::MAX, Duration::ZERO)] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { segment_bytes: bounds.0, segment_age: bounds.1, ..config(dir.path()) };
        let log = Log::open(&config).unwrap();
        for id in ["a", "b", "c"] {
            write(&log, id);
            log.flush().unwrap();
        }
        log.close();
        let names = segments(&config);
        assert_eq!(names.len(), 3);
        let name = names[0].file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("audit-2") && name.ends_with("Z-000001.jsonl"), "{name}");
        assert_eq!(ids(&config), ["a", "b", "c"]);
    }
}

#[test]
fn a_second_start_continues_beside_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    for id in ["a", "b"] {
        let log = Log::open(&config).unwrap();
        write(&log, id);
        log.close();
    }
    assert_eq!(ids(&config), ["a", "b"]);
}

#[test]
fn a_log_that_cannot_be_written_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    fs::write(&config.dir, "a file").unwrap();
    let error = Log::open(&config).unwrap_err().to_string();
    assert!(error.starts_with("cannot write the audit log in `"), "{error}");
}

#[test]
fn a_directory_that_is_removed_is_made_again_and_keeps_every_later_record() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let log = Log::open(&config).unwrap();
    write(&log, "a");
    log.flush().unwrap();
    fs::remove_dir_all(&config.dir).unwrap();
    write(&log, "b");
    log.flush().unwrap();
    fs::rename(segments(&config).remove(0), dir.path().join("moved")).unwrap();
    write(&log, "c");
    log.close();
    assert_eq!(ids(&config), ["c"]);
    assert!(fs::read_to_string(dir.path().join("moved")).unwrap().contains("\"id\":\"b\""));
}

#[test]
fn a_disk_that_takes_nothing_refuses_requests_and_loses_no_record_until_it_does_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let log = Log::open(&config).unwrap();
    let in_flight = log.reserve().unwrap();
    let aside = dir.path().join("aside");
    fs::rename(&config.dir, &aside).unwrap();
    fs::write(&config.dir, "in the way").unwrap();

    write(&log, "a");
    assert!(matches!(log.flush(), Err(AuditError::Unwritable { .. })));
    assert!(matches!(log.reserve(), Err(AuditError::Unwritable { .. })));
    in_flight.write(&record("b"));

    fs::remove_file(&config.dir).unwrap();
    while log.flush().is_err() {}
    write(&log, "c");
    log.close();
    assert_eq!(ids(&config), ["a", "b", "c"]);
}

#[test]
fn a_full_device_is_an_error_and_the_next_segment_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut segments = Segments::start(&config).unwrap();
    segments.replace_file(fs::OpenOptions::new().append(true).open("/dev/full").unwrap());
    assert_eq!(segments.append(b"{}\n").unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    segments.append(b"{}\n").unwrap();
    segments.finish().unwrap();
    assert_eq!(lines(&config).len(), 1);
}

#[test]
fn what_a_failed_write_left_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut segments = Segments::start(&config).unwrap();
    segments.append(b"{\"id\":\"a\"}\n").unwrap();
    let path = self::segments(&config).remove(0);
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"{\"id\":").unwrap();
    segments.cut().unwrap();
    segments.append(b"{\"id\":\"b\"}\n").unwrap();
    assert_eq!(ids(&config), ["a", "b"]);
}

#[test]
fn a_disk_that_is_too_slow_refuses_requests_until_it_has_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut segments = Segments::start(&config).unwrap();
    // A pipe that nobody reads. The first line is longer than any pipe is, so the first batch blocks, whatever is in it.
    let (mut reader, pipe) = std::io::pipe().unwrap();
    segments.replace_file(OwnedFd::from(pipe).into());
    let log = Log::start(&config, segments, None).unwrap();
    let first = format!("{{\"id\":\"{}\"}}\n", "x".repeat(super::MAX_WAITING_BYTES / 2));
    log.inner.shared.hand_over(|line| {
        line.extend_from_slice(first.as_bytes());
        Ok(())
    });
    let long = "x".repeat(2000);
    let mut written = 1;
    let refused = loop {
        match log.reserve() {
            Ok(slot) => slot.write(&Record { user_agent: Some(Cow::Borrowed(&long)), ..record("many") }),
            Err(error) => break error,
        }
        written += 1;
        assert!(written * 1000 < super::MAX_WAITING_BYTES);
    };
    assert!(matches!(refused, AuditError::Full));
    assert!(written > 2);

    let drained = std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
    log.flush().unwrap();
    write(&log, "after");
    log.close();
    drained.join().unwrap().unwrap();
    // The pipe is no segment of the directory, so its batch was written again.
    assert_eq!(ids(&config).len(), written + 1);
}

#[test]
fn the_copy_has_the_same_lines_and_the_log_goes_on_without_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let (mut reader, copy) = std::io::pipe().unwrap();
    let log = Log::start(&config, Segments::start(&config).unwrap(), Some(Box::new(copy))).unwrap();
    write(&log, "a");
    let mut copied = [0; 1024];
    let len = reader.read(&mut copied).unwrap();
    assert_eq!(copied[..len], fs::read(&segments(&config)[0]).unwrap());
    drop(reader);
    for id in ["b", "c"] {
        write(&log, id);
        log.flush().unwrap();
    }
    log.close();
    assert_eq!(ids(&config), ["a", "b", "c"]);
}

#[test]
fn times_have_three_decimals_and_lists_have_an_end() {
    let groups: Vec<Box<str>> = (0..300).map(|n| format!("g{n}").into()).collect();
    let user = User { id: "i|s".into(), email: "".into(), groups: Cow::Owned(groups), provider: "corp".into() };
    let ms = Milliseconds { policy: 0.000_123_4, upstream: 12.345_678, total: f64::NAN };
    let line = serde_json::to_value(Record { user: Some(user), ms, ..record("a") }).unwrap();
    assert_eq!(line["ms"], serde_json::json!({ "policy": 0.0, "upstream": 12.346, "total": null }));
    let groups = line["user"]["groups"].as_array().unwrap();
    assert_eq!((groups.len(), groups[256].as_str().unwrap()), (257, "…(+44 items)"));
}
