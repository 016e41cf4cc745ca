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

use super::batch::Batch;
use super::segment::Segments;
use super::{Hurry, Log, Sink};
use crate::mark::Closed;
use crate::test_util::records;
use crate::{
    Archive, AuditError, Config, Decision, Durability, Ended, Event, EventKind, Form, Kind, Mode, Outcome, Record,
    Retention, Segment, chain, verify,
};

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
        caller: None,
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
        fields: Cow::Borrowed(&[]),
        trace_id: None,
        user_agent: None,
        outcome: Some(Outcome { status: 200, ..Outcome::default() }),
    }
}

fn ended(id: &str) -> Ended<'_> {
    let time = "2026-01-01T00:00:01Z".parse().unwrap();
    let outcome = Outcome { status: 200, ..Outcome::default() };
    Ended { time, id: id.into(), kind: Kind::Outcome, refused: None, error: None, outcome }
}

fn config(dir: &Path) -> Config {
    Config { dir: dir.join("audit"), compress: false, ..Config::default() }
}

fn write(log: &Log, id: &str) {
    log.reserve().unwrap().write(|| record(id));
}

fn segments(config: &Config) -> Vec<PathBuf> {
    Archive::open(&config.dir).unwrap().segments().iter().map(|segment| segment.path().to_owned()).collect()
}

fn lines(config: &Config) -> Vec<Value> {
    records(&config.dir).unwrap()
}

fn batch(lines: &[&str]) -> Batch {
    let mut batch = Batch::new();
    for text in lines {
        let mut line = text.as_bytes().to_vec();
        chain::make_room(&mut line);
        batch.push(&line);
    }
    batch
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
    slot.write(|| record("late"));
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
        assert!(name.starts_with("audit-portcullis-00000001-2") && name.ends_with("Z.jsonl"), "{name}");
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
    let moved = dir.path().join("moved");
    fs::rename(segments(&config).remove(0), &moved).unwrap();
    // That a file was moved away is noticed a moment later, and what it got until then is in it.
    until(|| {
        write(&log, "c");
        log.flush().unwrap();
        !segments(&config).is_empty()
    });
    log.close();
    assert!(ids(&config).iter().all(|id| id == "c"));
    assert!(fs::read_to_string(moved).unwrap().contains("\"id\":\"b\""));
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
    in_flight.write(|| record("b"));

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
    assert_eq!(segments.append(&mut batch(&[r#"{"id":"a"}"#])).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    segments.append(&mut batch(&[r#"{"id":"a"}"#])).unwrap();
    segments.finish(Closed::Stop).unwrap();
    assert_eq!(lines(&config).len(), 1);
}

#[test]
fn what_a_failed_write_left_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut segments = Segments::start(&config).unwrap();
    segments.append(&mut batch(&[r#"{"id":"a"}"#])).unwrap();
    let path = self::segments(&config).remove(0);
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"{\"id\":").unwrap();
    segments.cut_now();
    segments.append(&mut batch(&[r#"{"id":"b"}"#])).unwrap();
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
    let log = Log::start(&config, segments, Vec::new()).unwrap();
    let first = format!("{{\"id\":\"{}\"}}", "x".repeat(super::MAX_WAITING_BYTES / 2));
    log.inner.shared.hand_over(Hurry::None, |line| {
        line.extend_from_slice(first.as_bytes());
        Ok(())
    });
    let long = "x".repeat(2000);
    let mut written = 1;
    let refused = loop {
        match log.reserve() {
            Ok(slot) => slot.write(|| Record { user_agent: Some(Cow::Borrowed(&long)), ..record("many") }),
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

struct Copy(std::io::PipeWriter);

impl Sink for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        self.0.write_all(lines)
    }
}

#[test]
fn the_copy_has_the_same_lines_and_the_log_goes_on_without_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let (mut reader, copy) = std::io::pipe().unwrap();
    let log = Log::open_with(&config, vec![Box::new(Copy(copy))]).unwrap();
    write(&log, "a");
    let mut copied = [0; 1024];
    let len = reader.read(&mut copied).unwrap();
    assert!(fs::read(&segments(&config)[0]).unwrap().ends_with(&copied[..len]));
    drop(reader);
    for id in ["b", "c"] {
        write(&log, id);
        log.flush().unwrap();
    }
    log.close();
    assert_eq!(ids(&config), ["a", "b", "c"]);
}

async fn decide(log: &Log, id: &str) -> Result<super::Slot, AuditError> {
    let mut slot = log.reserve()?;
    slot.write_ahead(|| Record { outcome: None, ..record(id) });
    slot.committed().await.map(|()| slot)
}

/// Returns the lines of all segments as they lie on the disk now.
fn written(config: &Config) -> String {
    segments(config).iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test]
async fn a_decision_is_in_the_segment_before_it_is_acted_upon_and_the_outcome_follows() {
    for durability in [Durability::Os, Durability::Disk] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { durability, ..config(dir.path()) };
        let log = Log::open(&config).unwrap();
        let slot = decide(&log, "a").await.unwrap();
        let before = written(&config);
        assert!(before.contains(r#""id":"a","kind":"request""#) && !before.contains("status"), "{before}");
        assert!(slot.is_ahead());
        slot.end(|| ended("a"));
        log.flush().unwrap();
        assert!(written(&config).contains(r#""id":"a","kind":"outcome","status":200"#));
        log.close();
        assert_eq!(lines(&config)[0]["status"], 200);
        assert_eq!(verify(&config.dir, &[], &[]).unwrap().findings, []);
    }
}

#[tokio::test]
async fn in_buffered_mode_nothing_is_written_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { mode: Mode::Buffered, ..config(dir.path()) };
    let log = Log::open(&config).unwrap();
    let slot = decide(&log, "a").await.unwrap();
    assert!(!slot.is_ahead() && written(&config).is_empty());
    slot.write(|| record("a"));
    log.close();
    assert_eq!(ids(&config), ["a"]);
}

#[tokio::test]
async fn requests_that_are_decided_together_share_one_write() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let log = Log::open(&config).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        let log = log.clone();
        tasks.spawn(async move {
            let id = format!("{n:03}");
            decide(&log, &id).await.unwrap().end(|| ended(&id));
        });
    }
    tasks.join_all().await;
    // One for all decisions; the outcomes were written by the flusher or wait for it.
    let commits = log.statistics().commits.iter().sum::<u64>();
    assert!((1..=2).contains(&commits), "{commits}");
    log.close();
    assert_eq!(ids(&config).len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_waits_is_told_though_those_before_it_give_up() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let log = Log::open(&config).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..2000 {
        let log = log.clone();
        tasks.spawn(async move {
            let id = format!("{n:04}");
            let mut slot = log.reserve().unwrap();
            slot.write_ahead(|| Record { outcome: None, ..record(&id) });
            if n % 3 == 0 {
                // The caller leaves while it waits, also where it leads.
                let mut waiting = std::pin::pin!(slot.committed());
                std::future::poll_fn(|context| {
                    let _ = waiting.as_mut().poll(context);
                    std::task::Poll::Ready(())
                })
                .await;
            } else {
                slot.committed().await.unwrap();
            }
            slot.end(|| ended(&id));
        });
    }
    tasks.join_all().await;
    log.close();
    assert_eq!(ids(&config).len(), 2000);
    assert_eq!(verify(&config.dir, &[], &[]).unwrap().findings, []);
}

#[tokio::test]
async fn a_decision_that_the_disk_does_not_take_is_an_error_and_what_was_acknowledged_stays() {
    for durability in [Durability::Os, Durability::Disk] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { durability, ..config(dir.path()) };
        let log = Log::open(&config).unwrap();
        let first = decide(&log, "a").await.unwrap();
        let aside = dir.path().join("aside");
        fs::rename(&config.dir, &aside).unwrap();
        fs::write(&config.dir, "in the way").unwrap();
        // That the file was moved away is noticed a moment later.
        while let Ok(slot) = decide(&log, "b").await {
            slot.end(|| ended("b"));
        }
        assert!(matches!(decide(&log, "c").await, Err(AuditError::Unwritable { .. })));
        first.end(|| ended("a"));

        fs::remove_file(&config.dir).unwrap();
        fs::rename(&aside, &config.dir).unwrap();
        while log.flush().is_err() {}
        decide(&log, "d").await.unwrap().end(|| ended("d"));
        log.close();
        let written = written(&config);
        for kind in ["request", "outcome"] {
            for id in ["a", "d"] {
                assert!(written.contains(&format!(r#""id":"{id}","kind":"{kind}""#)), "{written}");
            }
        }
        assert_eq!(verify(&config.dir, &[], &[]).unwrap().findings, []);
    }
}

#[test]
fn two_processes_do_not_write_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let _first = Log::open(&config).unwrap();
    let error = Log::open(&config).unwrap_err().to_string();
    assert!(error.contains("another process writes as `portcullis`"), "{error}");
    let _second = Log::open(&Config { instance: "second".into(), ..config }).unwrap();
}

#[test]
fn what_a_killed_process_left_is_closed_off_and_the_chain_goes_on() {
    // A torn line; none; and a segment that nothing was written to.
    for (torn, left) in [(r#"{"time":"2026"#, 1), ("", 1), ("", 0)] {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let log = Log::open(&config).unwrap();
        (0..left).for_each(|_| write(&log, "before"));
        log.flush().unwrap();
        let path = self::segments(&config).remove(0);
        let text = fs::read_to_string(&path).unwrap() + torn;
        log.close();
        fs::write(&path, text).unwrap();

        let log = Log::open(&config).unwrap();
        write(&log, "after");
        log.close();
        assert_eq!(ids(&config), [vec!["before"; left], vec!["after"]].concat());
        assert_eq!(verify(&config.dir, &[], &[]).unwrap().findings, []);
        let cut = format!(r#""closed":"found-open","cut":{}"#, torn.len());
        assert_eq!(written(&config).contains(&cut), !torn.is_empty());
    }
}

#[test]
fn an_event_says_who_did_what_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let log = Log::open(&config).unwrap();
    let time = "2026-01-01T00:00:00Z".parse().unwrap();
    let details = [("listener", "admin")];
    log.note(&Event { details: &details, ..Event::new(time, EventKind::Reload, "sighup", "accepted") }).unwrap();
    log.close();
    let mut line = lines(&config).remove(0);
    for key in ["prev", "hash"] {
        line.as_object_mut().unwrap().remove(key).unwrap();
    }
    let expected = serde_json::json!({ "time": "2026-01-01T00:00:00Z", "kind": "reload", "actor": "sighup",
        "reason": "accepted", "details": { "listener": "admin" } });
    assert_eq!(line, expected);
}

/// Waits for what the upkeep does besides.
fn until(done: impl Fn() -> bool) {
    let began = tokio::time::Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
}

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

struct Stuck(std::sync::mpsc::Receiver<()>);

impl Sink for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
        let _ = self.0.recv();
        Ok(())
    }
}

#[test]
fn a_place_that_takes_nothing_holds_up_neither_records_nor_the_end_and_what_it_misses_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let (_kept, stuck) = std::sync::mpsc::channel();
    let log = Log::open_with(&config, vec![Box::new(Stuck(stuck))]).unwrap();
    let long = "x".repeat(2000);
    for _ in 0..20 {
        for _ in 0..1000 {
            log.reserve().unwrap().write(|| Record { user_agent: Some(Cow::Borrowed(&long)), ..record("many") });
        }
        log.flush().unwrap();
    }
    let [sink] = log.statistics().sinks[..] else { panic!("one sink") };
    assert!(sink.dropped > 0 && sink.waiting_bytes > 0, "{sink:?}");
    log.close();
    assert_eq!(ids(&config).len(), 20_000);
}
