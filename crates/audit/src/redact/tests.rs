//! Records without what names people.

use super::{Redact, Redaction, Redactor};
use crate::record::json::tests::{full, user};
use crate::{Config, Event, EventKind, Log};

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
    let user = user();
    let user = redactor.user(&user);
    assert!(user.id.starts_with("hmac:") && user.id.len() == 21, "{}", user.id);
    assert_eq!((&*user.email, user.groups.len()), ("[removed]", 0));
    assert!(redactor.session("5e55").unwrap().starts_with("hmac:") && redacted.path.starts_with("hmac:"));
    assert!(redacted.peer_ip.is_none() && redacted.query_keys.is_empty() && redacted.user_agent.is_none());
    assert_eq!(redacted.host, record.host);
}

#[test]
fn a_hash_is_the_same_for_the_same_value_after_a_restart_and_another_elsewhere() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let id = |dir: &tempfile::TempDir| {
        let redactor = Redactor::open(dir.path(), ALL).unwrap().unwrap();
        redactor.user(&user()).id.into_owned()
    };
    assert_eq!(id(&one), id(&one));
    assert_ne!(id(&one), id(&other));
}

#[test]
fn events_say_no_more_than_records() {
    let dir = tempfile::tempdir().unwrap();
    let redactor = Redactor::open(dir.path(), ALL).unwrap().unwrap();
    let mut event = Event::new(full().time, EventKind::Admin, "https://idp.example|ada", "revoked");
    event.user = Some(user());
    let line = serde_json::to_string(&redactor.event(&event)).unwrap();
    assert!(!line.contains("ada"), "{line}");
}

#[test]
fn who_asked_is_written_out_without_what_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { dir: dir.path().into(), redaction: ALL, ..Config::default() };
    let written = Log::open(&config).unwrap().write_caller(&user(), "5e55");
    let expected = r#"","email":"[removed]","groups":[],"provider":"corp"},"session":"hmac:"#;
    assert!(written.starts_with(r#","user":{"id":"hmac:"#) && written.contains(expected), "{written}");
}

#[test]
fn nothing_is_made_where_everything_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Redactor::open(dir.path(), Redaction::default()).unwrap().is_none());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
