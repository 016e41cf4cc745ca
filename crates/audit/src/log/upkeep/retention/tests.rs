//! What is deleted and what is not.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Kept, SteadyClock, expired};
use crate::{Archive, Retention};

fn time(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

/// Makes segments of 10 bytes with the days of their last lines, and returns those that are deleted.
fn deleted(segments: &[(&str, u64, &str)], retention: Retention, now: Option<&str>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    for (instance, number, day) in segments {
        let name = format!("audit-{instance}-{number:08}-20200101T000000Z");
        fs::write(dir.path().join(format!("{name}.jsonl")), "123456789\n").unwrap();
        let summary = crate::Summary { to: Some(time(day)), ..crate::Summary::default() };
        fs::write(dir.path().join(format!("{name}.summary.json")), serde_json::to_vec(&summary).unwrap()).unwrap();
    }
    let archive = Archive::open(dir.path()).unwrap();
    let chains = archive.chains().map(|(_, segments)| Kept::closed(segments, true)).collect();
    let found = expired(chains, &retention, now.map(time));
    let name = |segment: &&crate::Segment| {
        let name = segment.name();
        format!("{}{}", name.instance.as_deref().unwrap(), name.number)
    };
    found.iter().flat_map(|(segments, _)| segments.iter().map(name)).collect()
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn the_oldest_of_a_chain_go_first_and_the_one_that_may_grow_stays() {
    let segments = [("a", 1, "2026-01-01"), ("a", 2, "2026-01-02"), ("a", 3, "2026-01-09"), ("a", 4, "2026-01-01")];
    let age = Retention { age: Some(DAY * 2), bytes: None };
    assert_eq!(deleted(&segments, age, Some("2026-01-10")), ["a1", "a2"]);
    // A clock that went back in between: what is behind a segment that is kept is kept.
    assert_eq!(deleted(&segments, age, Some("2026-03-10")), ["a1", "a2", "a3"]);
    assert_eq!(deleted(&segments, age, None), [""; 0]);
    assert_eq!(deleted(&segments, Retention::default(), Some("2030-01-01")), [""; 0]);
}

#[test]
fn size_is_that_of_all_chains_together() {
    let segments = [("a", 1, "2026-01-05"), ("a", 2, "2026-01-06"), ("b", 1, "2026-01-01"), ("b", 2, "2026-01-02")];
    let size = |bytes| Retention { age: None, bytes: Some(bytes) };
    assert_eq!(deleted(&segments, size(20), None), [""; 0]);
    assert_eq!(deleted(&segments, size(10), None), ["b1"]);
    assert_eq!(deleted(&segments, size(1), None), ["a1", "b1"]);
}

#[test]
fn a_clock_that_jumps_is_not_believed_for_a_while() {
    let (wall, instant) = (time("2026-01-01"), Instant::now());
    let mut clock = SteadyClock::new(wall, instant);
    let after = |hours: u64| {
        (wall + DAY / 24 * u32::try_from(hours).unwrap(), instant + DAY / 24 * u32::try_from(hours).unwrap())
    };
    let (w, i) = after(0);
    assert_eq!(clock.observe(w, i), None);
    let (w, i) = after(2);
    assert_eq!(clock.observe(w, i), Some(w));
    // A year ahead.
    let ahead = |w: Timestamp| w + DAY * 365;
    let (w, i) = after(3);
    assert_eq!(clock.observe(ahead(w), i), None);
    let (w, i) = after(5);
    assert_eq!(clock.observe(ahead(w), i), Some(ahead(w)));
    // And back.
    assert_eq!(clock.observe(w, i), None);
}
