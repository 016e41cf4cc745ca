//! Logs that somebody changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Problem, Verification, verify};
use crate::sign::tests::{ED25519, ED25519_PUBLIC, P256_PUBLIC};
use crate::{Archive, Config, Event, EventKind, Log, SigningKey, VerifyingKey};

fn config(dir: &Path) -> Config {
    Config { dir: dir.to_owned(), segment_bytes: 1000, compress: false, ..Config::default() }
}

/// Writes some events, each in a batch of its own.
fn write(config: &Config, events: usize) {
    let log = Log::open(config).unwrap();
    for n in 0..events {
        let id = format!("event {n}");
        let event = Event::new("2026-01-01T00:00:00Z".parse().unwrap(), EventKind::Admin, "a", &id);
        log.note(&event).unwrap();
        log.flush().unwrap();
    }
    log.close();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    Archive::open(dir).unwrap().segments().iter().map(|segment| segment.path().to_owned()).collect()
}

fn found(dir: &Path) -> Vec<(String, Option<u64>, Problem)> {
    let findings = verify(dir, &[], &[]).unwrap().findings;
    let number = |path: &Path| path.to_str().unwrap().rsplit('-').nth(1).unwrap().to_owned();
    findings.into_iter().map(|finding| (number(&finding.segment), finding.line, finding.problem)).collect()
}

/// Changes the lines of one segment of a log of several, and returns what is found.
fn changed(segment: usize, change: impl FnOnce(&mut Vec<String>)) -> Vec<(String, Option<u64>, Problem)> {
    let dir = tempfile::tempdir().unwrap();
    write(&config(dir.path()), 12);
    let file = &files(dir.path())[segment];
    let mut lines: Vec<_> = fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(file, lines.join("\n") + "\n").unwrap();
    found(dir.path())
}

fn verified(dir: &Path, keys: &[&str]) -> Verification {
    let keys: Vec<_> = keys.iter().map(|pem| VerifyingKey::from_pem(pem.as_bytes()).unwrap()).collect();
    verify(dir, &keys, &[]).unwrap()
}

#[test]
fn a_log_as_it_was_written_is_good_over_segments_and_starts() {
    let dir = tempfile::tempdir().unwrap();
    write(&config(dir.path()), 7);
    write(&config(dir.path()), 7);
    let verification = verify(dir.path(), &[], &[]).unwrap();
    assert_eq!(verification.findings, []);
    let [chain] = &verification.chains[..] else { panic!("{verification:?}") };
    assert!(chain.count > 2 && chain.segments == (1, chain.count as u64) && chain.is_closed);
    // A first and a last line for each segment.
    assert_eq!(chain.lines, 14 + 2 * chain.count as u64);
}

#[test]
fn an_altered_line_is_named() {
    let found = changed(1, |lines| lines[2] = lines[2].replace("\"admin\"", "\"nobod\""));
    assert_eq!(found, [("00000002".to_owned(), Some(3), Problem::Altered)]);
    let found = changed(1, |lines| lines[2].push(' '));
    assert_eq!(found[0], ("00000002".to_owned(), Some(3), Problem::Unsealed));
}

#[test]
fn a_removed_an_inserted_and_a_moved_line_are_named() {
    let at = |line| ("00000002".to_owned(), Some(line), Problem::OutOfOrder);
    assert_eq!(changed(1, |lines| drop(lines.remove(2)))[0], at(3));
    assert_eq!(changed(1, |lines| lines.swap(1, 2))[0], at(2));
    assert_eq!(changed(1, |lines| lines.insert(2, lines[1].clone()))[0], at(3));
    let found = changed(1, |lines| lines.insert(2, r#"{"kind":"request"}"#.to_owned()));
    assert_eq!(found[0], ("00000002".to_owned(), Some(3), Problem::Unsealed));
}

#[test]
fn a_segment_without_its_beginning_or_its_end_is_named() {
    let found = changed(1, |lines| drop(lines.remove(0)));
    assert!(found.contains(&("00000002".to_owned(), Some(1), Problem::HeadMissing)), "{found:?}");
    let found = changed(1, |lines| drop(lines.pop()));
    assert!(found.contains(&("00000003".to_owned(), Some(1), Problem::Untied)), "{found:?}");
    let found = changed(1, |lines| lines.push(lines[0].clone()));
    assert!(found.iter().any(|(.., problem)| *problem == Problem::BehindEnd), "{found:?}");
}

#[test]
fn a_segment_that_was_emptied_or_added_to_is_named() {
    for segment in [0, 1] {
        let found = changed(segment, Vec::clear);
        let name = format!("{:08}", segment + 1);
        assert_eq!(found[0], (name, Some(1), Problem::Unsealed), "an empty line is one");
        let dir = tempfile::tempdir().unwrap();
        write(&config(dir.path()), 12);
        fs::write(&files(dir.path())[segment], "").unwrap();
        assert_eq!(self::found(dir.path()), [(format!("{:08}", segment + 1), None, Problem::Emptied)]);
    }
    let dir = tempfile::tempdir().unwrap();
    write(&config(dir.path()), 12);
    let last = files(dir.path()).pop().unwrap();
    fs::write(&last, fs::read_to_string(&last).unwrap() + "{\"time\":").unwrap();
    assert!(matches!(found(dir.path())[..], [(_, Some(_), Problem::Torn { bytes: 8 })]));
}

#[test]
fn a_removed_segment_and_one_of_another_log_are_named() {
    let dir = tempfile::tempdir().unwrap();
    write(&config(dir.path()), 12);
    let other = tempfile::tempdir().unwrap();
    write(&config(other.path()), 12);
    let (mine, others) = (files(dir.path()), files(other.path()));
    fs::remove_file(&mine[1]).unwrap();
    let missing = Problem::SegmentsMissing { first: 2, last: 2 };
    assert_eq!(found(dir.path()), [("00000003".to_owned(), None, missing)]);
    fs::copy(&others[1], &mine[1]).unwrap();
    assert!(found(dir.path()).iter().any(|(.., problem)| *problem == Problem::Untied));
    fs::remove_file(&mine[0]).unwrap();
    let missing = Problem::SegmentsMissing { first: 1, last: 1 };
    assert!(found(dir.path()).iter().any(|(.., problem)| *problem == missing));
}

#[test]
fn chains_beside_each_other_are_verified_each_for_itself_and_old_segments_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    write(&config(dir.path()), 3);
    write(&Config { instance: "second".into(), ..config(dir.path()) }, 3);
    fs::write(dir.path().join("audit-20260101T000000Z-000001.jsonl"), "{\"kind\":\"request\"}\n").unwrap();
    let verification = verify(dir.path(), &[], &[]).unwrap();
    assert_eq!(verification.findings, []);
    let names: Vec<_> = verification.chains.iter().map(|chain| &*chain.instance).collect();
    assert_eq!((names, verification.unchained), (vec!["portcullis", "second"], 1));
}

#[test]
fn a_signed_log_is_verified_with_its_key_and_with_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let signing_key = Some(SigningKey::from_pem(ED25519.as_bytes()).unwrap());
    write(&Config { signing_key, ..config(dir.path()) }, 12);
    let good = verified(dir.path(), &[P256_PUBLIC, ED25519_PUBLIC]);
    assert_eq!(good.findings, []);
    let chain = &good.chains[0];
    assert!(chain.signed_through.is_some_and(|line| line > 1) && chain.key.is_some(), "{chain:?}");
    let bad = verified(dir.path(), &[P256_PUBLIC]);
    assert!(matches!(bad.findings[0].problem, Problem::BadSignature(_)));
    // Whoever writes a chain anew cannot sign it.
    let forged = tempfile::tempdir().unwrap();
    write(&config(forged.path()), 12);
    assert!(verified(forged.path(), &[ED25519_PUBLIC]).findings.iter().all(|f| f.problem == Problem::Unsigned));
    assert!(!verified(forged.path(), &[ED25519_PUBLIC]).findings.is_empty());
}

#[test]
fn the_last_segment_may_still_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes: 1 << 20, ..config(dir.path()) };
    let log = Log::open(&config).unwrap();
    let event = Event::new("2026-01-01T00:00:00Z".parse().unwrap(), EventKind::Reload, "a", "b");
    log.note(&event).unwrap();
    log.flush().unwrap();
    let verification = verify(dir.path(), &[], &[]).unwrap();
    assert_eq!(verification.findings, []);
    assert!(!verification.chains[0].is_closed);
}
