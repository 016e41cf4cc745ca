//! The log: what is written, by whom, and what of it is found again.

mod ahead;
mod copies;
mod disk;
mod segments;
mod upkeep;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::Log;
use crate::test_util::records;
use crate::{Archive, AuditError, Config, Decision, Ended, Event, EventKind, Kind, Outcome, Record};

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

/// Returns the lines of all segments as they lie on the disk now.
fn written(config: &Config) -> String {
    segments(config).iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

fn ids(config: &Config) -> Vec<String> {
    lines(config).iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
}

/// Waits for what the upkeep does besides.
fn until(done: impl Fn() -> bool) {
    let began = tokio::time::Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60));
        // Room for a thread of the least priority.
        std::thread::sleep(Duration::from_millis(2));
    }
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
    let expected = serde_json::json!({ "time": "2026-01-01T00:00:00.000000Z", "kind": "reload", "actor": "sighup",
        "reason": "accepted", "details": { "listener": "admin" } });
    assert_eq!(line, expected);
}
