//! Records without what names people.

use super::{Redact, Redaction, Redactor};
use crate::{Event, EventKind, record::plain::tests::full};

const ALL: Redaction = Redaction {
    client_ip: Redact::Truncate,
    peer_ip: Redact::Remove,
    user_id: Redact::Hash,
    user_email: Redact::Remove,
    user_groups: Redact::Remove,
    session: Redact::Hash,
    path: Redact::Hash,
    query_keys: Redact::Remove,
    user_agent: Redact::Remove,
};

#[test]
fn each_field_is_kept_hashed_cut_or_removed_as_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let redactor = Redactor::open(dir.path(), ALL).unwrap().unwrap();
    let record = full();
    let redacted = redactor.record(&record);
    assert_eq!(redacted.client_ip.unwrap().to_string(), "203.0.113.0");
    let user = redacted.user.unwrap();
    assert!(user.id.starts_with("hmac:") && user.id.len() == 21, "{}", user.id);
    assert_eq!((&*user.email, user.groups.len()), ("[removed]", 0));
    assert!(redacted.session.unwrap().starts_with("hmac:") && redacted.path.starts_with("hmac:"));
    assert!(redacted.peer_ip.is_none() && redacted.query_keys.is_empty() && redacted.user_agent.is_none());
    assert_eq!(redacted.host, record.host);
}

#[test]
fn a_hash_is_the_same_for_the_same_value_after_a_restart_and_another_elsewhere() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let id = |dir: &tempfile::TempDir| {
        let redactor = Redactor::open(dir.path(), ALL).unwrap().unwrap();
        redactor.record(&full()).user.unwrap().id.into_owned()
    };
    assert_eq!(id(&one), id(&one));
    assert_ne!(id(&one), id(&other));
}

#[test]
fn events_say_no_more_than_records() {
    let dir = tempfile::tempdir().unwrap();
    let redactor = Redactor::open(dir.path(), ALL).unwrap().unwrap();
    let record = full();
    let mut event = Event::new(record.time, EventKind::Admin, "https://idp.example|ada", "revoked");
    event.user = record.user.clone();
    let line = serde_json::to_string(&redactor.event(&event)).unwrap();
    assert!(!line.contains("ada"), "{line}");
}

#[test]
fn nothing_is_made_where_everything_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Redactor::open(dir.path(), Redaction::default()).unwrap().is_none());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
