//! Disks that are full, slow, or go away.

use std::borrow::Cow;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use tokio::time::Instant;

use super::{config, ids, lines, record, segments, until, write};
use crate::log::batch::Batch;
use crate::log::segment::Segments;
use crate::log::{Hurry, MAX_WAITING_BYTES};
use crate::mark::Closed;
use crate::{AuditError, Log, Record, chain};

fn batch(lines: &[&str]) -> Batch {
    let mut batch = Batch::new();
    for text in lines {
        let mut line = text.as_bytes().to_vec();
        chain::make_room(&mut line);
        batch.push(&line);
    }
    batch
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
    let second = Log::open(&config).unwrap_err().to_string();
    assert!(second.contains("another process writes"), "{second}");
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
    assert_eq!(
        segments.append(&mut batch(&[r#"{"id":"a"}"#]), Instant::now()).unwrap_err().kind(),
        std::io::ErrorKind::StorageFull
    );
    segments.append(&mut batch(&[r#"{"id":"a"}"#]), Instant::now()).unwrap();
    segments.finish(Closed::Stop).unwrap();
    assert_eq!(lines(&config).len(), 1);
}

#[test]
fn what_a_failed_write_left_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut segments = Segments::start(&config).unwrap();
    segments.append(&mut batch(&[r#"{"id":"a"}"#]), Instant::now()).unwrap();
    let path = super::segments(&config).remove(0);
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"{\"id\":").unwrap();
    segments.cut_now();
    segments.append(&mut batch(&[r#"{"id":"b"}"#]), Instant::now()).unwrap();
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
    let first = format!("{{\"id\":\"{}\"}}", "x".repeat(MAX_WAITING_BYTES / 2));
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
        assert!(written * 1000 < MAX_WAITING_BYTES);
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
