//! Tests of `input_key`.

use std::os::unix::fs::PermissionsExt as _;

use super::InputKey;

#[test]
fn the_key_is_made_once_and_only_its_owner_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    assert!(InputKey::read(folder.path()).is_err());
    let made = InputKey::open(folder.path()).unwrap();
    let again = InputKey::open(folder.path()).unwrap();
    assert_eq!(made.hash("request.headers.x-role", "admin"), again.hash("request.headers.x-role", "admin"));
    let mode = std::fs::metadata(folder.path().join("inputs.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(format!("{made:?}"), "InputKey([redacted])");
}

#[test]
fn hashes_differ_by_key_by_input_and_by_value() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = folders.each_ref().map(|folder| InputKey::open(folder.path()).unwrap());
    let hash = one.hash("request.headers.a", "admin");
    assert_eq!(hash.len(), 22);
    assert_ne!(hash, other.hash("request.headers.a", "admin"));
    assert_ne!(hash, one.hash("request.headers.b", "admin"));
    assert_ne!(hash, one.hash("request.headers.a", "guest"));
}
