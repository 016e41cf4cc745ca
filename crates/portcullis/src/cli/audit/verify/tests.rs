//! What `audit verify` answers.

use std::fs;
use std::path::{Path, PathBuf};

use ::audit::{Archive, Config, Event, EventKind, Log};

use super::{LogArgs, Verify};
use crate::cli::Exit;

fn of(dir: &Path, key: Vec<PathBuf>, checkpoint: Vec<PathBuf>) -> Verify {
    Verify { folder: Some(dir.to_owned()), log: LogArgs::default(), key, checkpoint }
}

fn exit(dir: &Path, keys: &[&Path]) -> Exit {
    let key = keys.iter().map(|key| (*key).to_owned()).collect();
    of(dir, key, Vec::new()).execute()
}

#[test]
fn a_good_log_a_bad_one_and_none_have_their_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("audit");
    assert_eq!(exit(&dir, &[]), Exit::Refused);
    let log = Log::open(&Config { dir: dir.clone(), ..Config::default() }).unwrap();
    log.note(&Event::new("2026-01-01T00:00:00Z".parse().unwrap(), EventKind::Reload, "sighup", "accepted")).unwrap();
    log.close();
    assert_eq!(exit(&dir, &[]), Exit::Done);
    let segment = Archive::open(&dir).unwrap().segments()[0].path().to_owned();
    assert_eq!(exit(&dir, &[&segment]), Exit::Refused);
    let verify = of(&dir, Vec::new(), vec![segment.clone()]);
    assert_eq!(verify.execute(), Exit::Refused);
    let text = fs::read_to_string(&segment).unwrap().replace("sighup", "nobody");
    fs::write(&segment, text).unwrap();
    assert_eq!(exit(&dir, &[]), Exit::Negative);
    // What is left shows that there was more.
    fs::remove_file(segment).unwrap();
    assert_eq!(exit(&dir, &[]), Exit::Refused);
    fs::write(dir.join("audit-one.checkpoint"), "altered").unwrap();
    assert_eq!(exit(&dir, &[]), Exit::Negative);
}
