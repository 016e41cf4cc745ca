//! Segments begin, end, and go on after a start.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::{config, ids, segments, write, written};
use crate::{Config, Log, verify};

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
        let path = segments(&config).remove(0);
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
