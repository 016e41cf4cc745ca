//! Decisions that are in the log before they are acted upon.

use std::fs;

use super::{config, ended, ids, lines, record, written};
use crate::{AuditError, Config, Durability, Log, Mode, Record, Slot, verify};

async fn decide(log: &Log, id: &str) -> Result<Slot, AuditError> {
    let mut slot = log.reserve()?;
    slot.write_ahead(|| Record { outcome: None, ..record(id) });
    slot.committed().await.map(|()| slot)
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
