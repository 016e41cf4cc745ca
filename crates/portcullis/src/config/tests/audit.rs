//! The `audit` section: what it says, and mistakes in it.

use std::time::Duration;

use ::audit::{Durability, Mode, Redact, Retention};

use super::{Folder, GOOD};

#[test]
fn every_key_of_audit_is_read() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    let folder = Folder::new(&format!(
        "{GOOD}audit: {{ redact: {{ user.id: hash, client_ip: truncate }}, dir: log, instance: one, mode: buffered, durability: disk, signing_key: audit.key, compress: false, \
         segment_size: 1MiB, segment_age: 1h, retention: {{ age: 400d, size: 2GiB }} }}\n"
    ))
    .with("audit.key", key);
    let audit = folder.load().unwrap().audit;
    assert_eq!((&*audit.instance, audit.mode, audit.durability), ("one", Mode::Buffered, Durability::Disk));
    assert!(audit.dir.ends_with("log") && audit.signing_key.is_some() && !audit.compress);
    assert_eq!((audit.segment_bytes, audit.segment_age), (1 << 20, Duration::from_secs(3600)));
    assert_eq!((audit.redaction.user_id, audit.redaction.client_ip), (Redact::Hash, Redact::Truncate));
    let retention = Retention { age: Some(Duration::from_secs(400 * 24 * 3600)), bytes: Some(2 << 30) };
    assert_eq!(audit.retention, retention);
}

fn check(audit: &str, expected: &str) {
    let problems =
        Folder::new(&format!("{GOOD}audit: {audit}\n")).with("audit.key", "no key").load().unwrap_err().to_string();
    assert!(problems.contains(expected), "{problems}");
}

#[test]
fn mistakes_in_audit_say_what_to_write() {
    check("{ mode: strikt }", "`mode` cannot be `strikt`: write one of `strict`, `buffered`");
    check("{ durability: none }", "`durability` cannot be `none`: write one of `os`, `disk`");
    check(
        "{ instance: a/b }",
        "`instance`: `a/b` is no name of a chain: write 1 to 63 letters, digits, `.`, `_` or `-`",
    );
    check(
        "{ signing_key: audit.key }",
        "`signing_key`: `audit.key` has no private key in PKCS#8 (`BEGIN PRIVATE KEY`): make one with `openssl genpkey \
         -algorithm ed25519`",
    );
    check("{ signing_key: none.key }", "none.key`: there is no such file; correct the path or make the file");
    check("{ fields: { team: user.clams.team } }", "`user` has no field `clams`");
    check("{ redact: { path: truncate } }", "`path` cannot be `truncate`: write one of `keep`, `hash`, `remove`");
    check("{ redact: { email: remove } }", "unknown key `email`: known are `user.id`, `user.email`,");
    check("{ retention: 7d }", "`retention` must be a mapping");
    check("{ retention: { age: 7 } }", "`age`: `7` is no duration");
}

#[test]
fn patterns_of_inputs_are_read_and_never_ask_for_a_credential() {
    let folder = Folder::new(&format!(
        "{GOOD}audit: {{ record_inputs: {{ request.headers.x-*: full, user.claims.*: none, '*': redacted }} }}\n"
    ));
    let patterns = folder.load().unwrap().proxy.record_inputs.patterns;
    assert_eq!(patterns[0], ("request.headers.x-*".to_owned(), proxy::KeepInput::Full));
    assert_eq!(patterns.len(), 3);
    check("{ record_inputs: { request.headers.x: all } }", "`record_inputs.request.headers.x` cannot be `all`");
    check(
        "{ record_inputs: { headers.x: full } }",
        "no expression reads `headers.x`: write a pattern such as `request.headers.x-*`",
    );
    check(
        "{ record_inputs: { request.headers.authorization: hashed } }",
        "`request.headers.authorization` may hold a credential, which is never written: remove it",
    );
}
