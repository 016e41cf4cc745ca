//! Logs whose end somebody cut off, or wrote anew, without the key.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Checkpoint, path};
use crate::sign::tests::{ED25519, ED25519_PUBLIC, P256, P256_PUBLIC};
use crate::verify::{Problem, Verification, verify};
use crate::{Archive, Config, Event, EventKind, Log, SigningKey, VerifyingKey};

/// A log that was killed rather than stopped: its last segment is open, and its checkpoint counts all lines.
struct Killed {
    dir: tempfile::TempDir,
}

impl Killed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(&config(dir.path())).unwrap();
        write(&log, 5);
        let open = last(dir.path());
        let text = fs::read_to_string(&open).unwrap();
        log.close();
        fs::write(&open, &text).unwrap();
        // What the process signed last before it was killed.
        let reached = super::Reached { segment: 1, lines: 6, hash: hash_of(text.lines().last().unwrap()) };
        let time = "2026-01-01T00:00:00Z".parse().unwrap();
        Checkpoint::sign("portcullis", &reached, &key(ED25519), time).unwrap().write(dir.path()).unwrap();
        Self { dir }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn checkpoint(&self) -> PathBuf {
        path(self.dir(), "portcullis")
    }

    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        let mut lines: Vec<_> = fs::read_to_string(last(self.dir())).unwrap().lines().map(str::to_owned).collect();
        change(&mut lines);
        fs::write(last(self.dir()), lines.join("\n") + "\n").unwrap();
    }

    /// Starts anew and stops.
    fn restart(&self, config: &Config) {
        let log = Log::open(config).unwrap();
        write(&log, 1);
        log.close();
    }

    fn problems(&self) -> Vec<Problem> {
        problems(self.dir(), &[])
    }
}

fn config(dir: &Path) -> Config {
    Config { dir: dir.to_owned(), compress: false, signing_key: Some(key(ED25519)), ..Config::default() }
}

fn key(pem: &str) -> SigningKey {
    SigningKey::from_pem(pem.as_bytes()).unwrap()
}

fn write(log: &Log, events: usize) {
    for n in 0..events {
        let id = format!("event {n}");
        log.note(&Event::new("2026-01-01T00:00:00Z".parse().unwrap(), EventKind::Admin, "a", &id)).unwrap();
        log.flush().unwrap();
    }
}

fn last(dir: &Path) -> PathBuf {
    Archive::open(dir).unwrap().segments().last().unwrap().path().to_owned()
}

fn hash_of(line: &str) -> crate::chain::Hash {
    *crate::chain::Link::of(line.as_bytes()).unwrap().hash.first_chunk().unwrap()
}

fn verified(dir: &Path, copies: &[Checkpoint]) -> Verification {
    let keys = [ED25519_PUBLIC, P256_PUBLIC].map(|pem| VerifyingKey::from_pem(pem.as_bytes()).unwrap());
    verify(dir, &keys, copies).unwrap()
}

fn problems(dir: &Path, copies: &[Checkpoint]) -> Vec<Problem> {
    verified(dir, copies).findings.into_iter().map(|finding| finding.problem).collect()
}

#[test]
fn an_open_segment_is_signed_up_to_its_checkpoint() {
    let killed = Killed::new();
    let verification = verified(killed.dir(), &[]);
    assert_eq!(verification.findings, []);
    let [chain] = &verification.chains[..] else { panic!("{verification:?}") };
    assert_eq!((chain.is_closed, chain.signed_through), (false, Some(6)));
    assert_eq!(chain.signed_at.unwrap().to_string(), "2026-01-01T00:00:00Z");
    killed.restart(&config(killed.dir()));
    let verification = verified(killed.dir(), &[]);
    assert_eq!(verification.findings, []);
    assert!(verification.chains[0].is_closed);
}

#[test]
fn a_checkpoint_follows_the_log_and_is_there_from_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(&config(dir.path())).unwrap();
    let reached = || Checkpoint::read(dir.path(), "portcullis").unwrap().unwrap().reached();
    assert_eq!((reached().segment, reached().lines), (0, 0));
    write(&log, 3);
    let began = tokio::time::Instant::now();
    while reached().lines < 4 {
        assert!(began.elapsed() < std::time::Duration::from_secs(60));
        // Room for a thread of the least priority.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    log.close();
    // The line that ends the segment is counted, too.
    assert_eq!((reached().segment, reached().lines), (1, 5));
    assert_eq!(problems(dir.path(), &[]), []);
}

#[test]
fn lines_that_are_cut_off_an_open_segment_are_missed_before_and_after_a_restart() {
    let killed = Killed::new();
    killed.change(|lines| lines.truncate(4));
    assert_eq!(killed.problems(), [Problem::CutOff { signed: 6 }]);
    // Without a key, too: nothing is proven, but something is wrong.
    assert_eq!(verify(killed.dir(), &[], &[]).unwrap().findings[0].problem, Problem::CutOff { signed: 6 });
    killed.restart(&config(killed.dir()));
    let reason = "lines that had been signed were missing before it";
    assert_eq!(killed.problems(), [Problem::Alarm { reason, segment: 1, lines: 6 }]);
    // Once is enough: the log goes on from there.
    killed.restart(&config(killed.dir()));
    assert_eq!(killed.problems().len(), 1);
}

#[test]
fn a_segment_that_is_removed_is_missed_before_and_after_a_restart() {
    let killed = Killed::new();
    fs::remove_file(last(killed.dir())).unwrap();
    assert_eq!(killed.problems(), [Problem::SegmentsCutOff { segment: 1, signed: 6 }]);
    killed.restart(&config(killed.dir()));
    let reason = "lines that had been signed were missing before it";
    let missing = Problem::SegmentsMissing { first: 1, last: 1 };
    assert_eq!(killed.problems(), [missing, Problem::Alarm { reason, segment: 1, lines: 6 }]);
}

#[test]
fn lines_that_are_written_anew_are_told_from_those_that_were_signed() {
    let killed = Killed::new();
    // Whoever has no key can still make a chain that holds.
    let other = Killed::new();
    let lines = fs::read_to_string(last(other.dir())).unwrap();
    killed.change(|own| {
        let head = own[0].clone();
        *own = lines.lines().map(str::to_owned).collect();
        own[0] = head;
    });
    assert!(killed.problems().contains(&Problem::OtherThanSigned), "{:?}", killed.problems());
    killed.restart(&config(killed.dir()));
    let reason = "other lines than had been signed stood before it";
    assert!(killed.problems().contains(&Problem::Alarm { reason, segment: 1, lines: 6 }));
}

#[test]
fn a_checkpoint_that_is_missing_or_altered_is_told_before_and_after_a_restart() {
    let remove = |killed: &Killed| fs::remove_file(killed.checkpoint()).unwrap();
    let lower = |killed: &Killed| {
        let text = fs::read_to_string(killed.checkpoint()).unwrap();
        fs::write(killed.checkpoint(), text.replace("\"lines\":6", "\"lines\":4")).unwrap();
    };
    let garble = |killed: &Killed| fs::write(killed.checkpoint(), "x").unwrap();
    let id = key(ED25519).id().to_owned();
    for (change, problem) in [
        (&remove as &dyn Fn(&Killed), Problem::CheckpointMissing),
        (&lower, Problem::BadSignature(id.as_str().into())),
        (&garble, Problem::CheckpointAltered),
    ] {
        let killed = Killed::new();
        change(&killed);
        assert_eq!(killed.problems(), [problem]);
        killed.restart(&config(killed.dir()));
        let problems = killed.problems();
        assert!(
            matches!(problems[..], [Problem::Alarm { reason, .. }] if reason.contains("checkpoint")),
            "{problems:?}"
        );
    }
}

#[test]
fn another_key_takes_over_from_where_the_one_before_ended() {
    let killed = Killed::new();
    let other = Config { signing_key: Some(key(P256)), ..config(killed.dir()) };
    killed.restart(&other);
    assert_eq!(killed.problems(), []);
    // A log that was not signed until now has nothing to miss.
    let unsigned = tempfile::tempdir().unwrap();
    for signing_key in [None, Some(key(ED25519))] {
        let log = Log::open(&Config { signing_key, ..config(unsigned.path()) }).unwrap();
        write(&log, 1);
        log.close();
    }
    let alarms = |problem: &Problem| matches!(problem, Problem::Alarm { .. } | Problem::CheckpointMissing);
    assert!(!problems(unsigned.path(), &[]).iter().any(alarms));
}

#[test]
fn a_copy_from_elsewhere_finds_what_was_rolled_back_with_its_checkpoint() {
    let killed = Killed::new();
    let before: Vec<_> =
        [last(killed.dir()), killed.checkpoint()].map(|path| (path.clone(), fs::read(path).unwrap())).into();
    killed.restart(&config(killed.dir()));
    let copy = Checkpoint::parse(&fs::read(killed.checkpoint()).unwrap()).unwrap();
    assert_eq!(problems(killed.dir(), std::slice::from_ref(&copy)), []);
    fs::remove_file(last(killed.dir())).unwrap();
    before.iter().for_each(|(path, file)| fs::write(path, file).unwrap());
    assert_eq!(problems(killed.dir(), &[]), []);
    assert_eq!(problems(killed.dir(), &[copy]), [Problem::SegmentsCutOff { segment: 2, signed: 3 }]);
}

#[test]
fn other_files_are_no_checkpoints() {
    for file in ["", "\n", "{}\n", r#"{"kind":"checkpoint","signature":"x"}"#, "{\"a\":1,\"signature\":\"x\"}\n"] {
        assert!(Checkpoint::parse(file.as_bytes()).is_err(), "{file}");
    }
}
