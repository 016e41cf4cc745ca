//! Logs that grow, go on in other segments, are compressed and cut while they are followed.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::Tail;
use crate::query::tests::lines::{ahead, outcome, whole};
use crate::{Archive, Filter, Found, archive};

fn path(dir: &Path, chain: &str, number: u32) -> PathBuf {
    dir.join(format!("audit-{chain}-{number:08}-20260301T0000{number:02}Z.jsonl"))
}

fn append(dir: &Path, chain: &str, number: u32, lines: &[String]) {
    let mut file = OpenOptions::new().append(true).create(true).open(path(dir, chain, number)).unwrap();
    file.write_all(lines.concat().as_bytes()).unwrap();
}

/// Notes ids and statuses; `?` where there is none yet.
fn told(into: &mut Vec<String>) -> impl FnMut(&Found<'_>) -> ControlFlow<()> {
    |found| {
        let status = found.facts.status.map_or_else(|| "?".to_owned(), |status| status.to_string());
        into.push(format!("{} {status}", found.facts.id));
        ControlFlow::Continue(())
    }
}

fn poll(tail: &mut Tail<'_>) -> Vec<String> {
    let mut found = Vec::new();
    assert!(tail.poll(told(&mut found)).unwrap().is_continue());
    found
}

fn ok(id: &str) -> String {
    whole(id, 1, "deny", 403)
}

#[test]
fn what_is_appended_is_told_through_new_segments_and_chains_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let (filter, dir) = (Filter::default(), dir.path());
    append(dir, "a", 1, &[ok("1")]);
    append(dir, "a", 2, &[ok("2")]);
    let mut tail = Tail::open(dir, &filter).unwrap();
    assert_eq!(poll(&mut tail), ["2 403"]);
    assert_eq!(poll(&mut tail), [""; 0]);
    append(dir, "a", 2, &[ok("3")]);
    append(dir, "a", 3, &[ok("4")]);
    append(dir, "b", 1, &[ok("5")]);
    append(dir, "b", 2, &[ok("6")]);
    assert_eq!(poll(&mut tail), ["3 403", "4 403", "5 403", "6 403"]);
    append(dir, "a", 3, &[ok("7")]);
    append(dir, "b", 2, &[ok("8")]);
    assert_eq!(poll(&mut tail), ["7 403", "8 403"]);
}

#[test]
fn what_is_compressed_meanwhile_is_told_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (filter, dir) = (Filter::default(), dir.path());
    append(dir, "a", 1, &[ok("1")]);
    let mut tail = Tail::open(dir, &filter).unwrap();
    assert_eq!(poll(&mut tail), ["1 403"]);
    append(dir, "a", 1, &[ok("2")]);
    append(dir, "a", 2, &[ok("3")]);
    for segment in Archive::open(dir).unwrap().segments() {
        archive::compress::compress(segment, &|| false).unwrap();
    }
    append(dir, "a", 3, &[ok("4")]);
    assert_eq!(poll(&mut tail), ["2 403", "3 403", "4 403"]);
}

#[test]
fn a_log_that_is_not_there_yet_is_followed_from_its_first_line() {
    let folder = tempfile::tempdir().unwrap();
    let (filter, dir) = (Filter::default(), folder.path().join("audit"));
    let mut tail = Tail::open(&dir, &filter).unwrap();
    assert_eq!(poll(&mut tail), [""; 0]);
    fs::create_dir(&dir).unwrap();
    append(&dir, "a", 1, &[ok("1")]);
    assert_eq!(poll(&mut tail), ["1 403"]);
    // A folder that is emptied is another log.
    append(&dir, "a", 5, &[ok("2")]);
    assert_eq!(poll(&mut tail), ["2 403"]);
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(poll(&mut tail), [""; 0]);
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("audit-a-00000001-20260301T000100Z.jsonl"), ok("3")).unwrap();
    assert_eq!(poll(&mut tail), ["3 403"]);
}

#[test]
fn half_a_line_waits_for_the_rest_and_is_forgotten_when_it_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (filter, dir) = (Filter::default(), dir.path());
    let line = ok("2");
    let (half, rest) = line.split_at(100);
    append(dir, "a", 1, &[ok("1"), half.to_owned()]);
    let mut tail = Tail::open(dir, &filter).unwrap();
    assert_eq!(poll(&mut tail), ["1 403"]);
    append(dir, "a", 1, &[rest.to_owned(), half.to_owned()]);
    assert_eq!(poll(&mut tail), ["2 403"]);
    let file = OpenOptions::new().write(true).open(path(dir, "a", 1)).unwrap();
    file.set_len((ok("1").len() + line.len()) as u64).unwrap();
    append(dir, "a", 1, &[ok("3")]);
    assert_eq!(poll(&mut tail), ["3 403"]);
    assert_eq!(tail.join.unreadable, 0);
}

#[test]
fn a_request_is_told_when_it_has_ended_and_before_when_that_takes_long() {
    let dir = tempfile::tempdir().unwrap();
    let (filter, dir) = (Filter { path: Some("/a/*".parse().unwrap()), ..Filter::default() }, dir.path());
    append(dir, "a", 1, &[ahead("1", 1)]);
    let mut tail = Tail::open(dir, &filter).unwrap();
    assert_eq!(poll(&mut tail), [""; 0]);
    let mut found = Vec::new();
    assert!(tail.awaited(told(&mut found)).is_continue());
    append(dir, "a", 1, &[ahead("2", 2), ahead("3", 3)]);
    assert_eq!(poll(&mut tail), [""; 0]);
    assert!(tail.overdue(told(&mut found)).is_continue());
    // Not yet those that have only begun.
    assert_eq!(found, ["1 ?"]);
    append(dir, "a", 2, &[outcome("2", r#","status":200"#)]);
    assert_eq!(poll(&mut tail), ["2 200"]);
    assert!(tail.overdue(told(&mut found)).is_continue() && tail.overdue(told(&mut found)).is_continue());
    assert_eq!(found, ["1 ?", "3 ?"]);
    append(dir, "a", 2, &[outcome("3", r#","status":200"#), outcome("1", r#","status":101"#)]);
    assert_eq!(poll(&mut tail), ["3 200", "1 101"]);
}

#[test]
fn an_empty_segment_that_its_process_took_away_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (filter, dir) = (Filter::default(), dir.path());
    append(dir, "a", 1, &[ok("1")]);
    append(dir, "a", 2, &[]);
    let mut tail = Tail::open(dir, &filter).unwrap();
    assert_eq!(poll(&mut tail), [""; 0]);
    fs::remove_file(path(dir, "a", 2)).unwrap();
    assert_eq!(poll(&mut tail), [""; 0]);
    fs::write(dir.join("audit-a-00000002-20260301T000100Z.jsonl"), ok("2")).unwrap();
    assert_eq!(poll(&mut tail), ["2 403"]);
}
