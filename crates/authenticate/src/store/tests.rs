//! The same promises for every backend, and what a file does beyond them.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::{Backend, Change, Key, PURGED_AT_ONCE, Store, StoreError, file, memory};
use crate::StoreLocation;

/// A backend that never answers.
#[derive(Debug)]
pub(crate) struct Broken;

fn broken<T>() -> Result<T, StoreError> {
    Err(StoreError::Failed("out of order".into()))
}

impl Backend for Broken {
    fn blocks(&self) -> bool {
        true
    }
    fn get(&self, _: &Key, _: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        broken()
    }
    fn below(&self, _: &Key, _: Timestamp) -> Result<Vec<Vec<u8>>, StoreError> {
        broken()
    }
    fn commit(&self, _: &[Change], _: Timestamp) -> Result<(), StoreError> {
        broken()
    }
    fn put_new(&self, _: &Key, _: &[u8], _: Timestamp, _: Timestamp) -> Result<bool, StoreError> {
        broken()
    }
    fn replace(&self, _: &Key, _: &[u8], _: Timestamp, _: Timestamp) -> Result<bool, StoreError> {
        broken()
    }
    fn take(&self, _: &Key, _: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        broken()
    }
}

/// A store that works until it has made so many further changes.
#[derive(Debug)]
pub(crate) struct Failing {
    memory: memory::Memory,
    pub(crate) changes_left: Arc<AtomicUsize>,
}

impl Failing {
    pub(crate) fn new() -> Self {
        Self { memory: memory::Memory::default(), changes_left: Arc::new(AtomicUsize::new(usize::MAX)) }
    }

    fn change(&self) -> Result<(), StoreError> {
        let left = self.changes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).or_else(|_| broken())
    }
}

impl Backend for Failing {
    fn blocks(&self) -> bool {
        false
    }
    fn get(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.get(key, now)
    }
    fn below(&self, prefix: &Key, now: Timestamp) -> Result<Vec<Vec<u8>>, StoreError> {
        self.memory.below(prefix, now)
    }
    fn commit(&self, changes: &[Change], now: Timestamp) -> Result<(), StoreError> {
        self.change()?;
        self.memory.commit(changes, now)
    }
    fn put_new(&self, key: &Key, value: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.change()?;
        self.memory.put_new(key, value, expires, now)
    }
    fn replace(&self, key: &Key, value: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.change()?;
        self.memory.replace(key, value, expires, now)
    }
    fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        self.change()?;
        self.memory.take(key, now)
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn put(key: Key, value: &[u8], expires: i64) -> Change {
    Change::put(key, value.to_vec(), at(expires))
}

/// Runs a check on each backend.
fn on_each(check: impl Fn(&dyn Backend)) {
    check(&memory::Memory::default());
    let directory = tempfile::tempdir().unwrap();
    check(&file::File::open(&directory.path().join("store.db")).unwrap());
}

#[test]
fn a_row_is_there_until_its_end() {
    on_each(|backend| {
        backend.commit(&[put(Key::sign_in(b"a"), b"value", 10)], at(0)).unwrap();
        assert_eq!(backend.get(&Key::sign_in(b"a"), at(9)).unwrap().as_deref(), Some(&b"value"[..]));
        assert_eq!(backend.get(&Key::sign_in(b"a"), at(10)).unwrap(), None);
        assert_eq!(backend.get(&Key::sign_in(b"b"), at(9)).unwrap(), None);
    });
}

#[test]
fn rows_below_a_prefix_are_those_and_no_others() {
    on_each(|backend| {
        let of_user = |user: u8| Key::sign_ins_of_user(&[user; 32]);
        let rows = [(1, b"a", 10), (1, b"b", 5), (1, b"c", 10), (2, b"d", 10)];
        let changes = rows.map(|(user, row, expires)| put(of_user(user).with(row), b"", expires));
        backend.commit(&changes, at(0)).unwrap();
        assert_eq!(backend.below(&of_user(1), at(6)).unwrap(), [b"a".to_vec(), b"c".to_vec()]);
        assert!(backend.below(&of_user(3), at(6)).unwrap().is_empty());
    });
}

#[test]
fn one_of_many_takes_a_row_and_one_of_many_puts_it() {
    on_each(|backend| {
        let key = Key::once(&[7; 32]);
        let count = |work: &(dyn Fn() -> bool + Sync)| {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
            })
        };
        assert_eq!(count(&|| backend.put_new(&key, b"x", at(10), at(0)).unwrap()), 1);
        assert_eq!(count(&|| backend.take(&key, at(1)).unwrap().is_some()), 1);
    });
}

#[test]
fn a_place_is_free_again_when_its_row_has_ended() {
    on_each(|backend| {
        let key = Key::once(&[7; 32]);
        assert!(backend.put_new(&key, b"x", at(10), at(0)).unwrap());
        assert!(backend.put_new(&key, b"y", at(20), at(10)).unwrap());
        assert_eq!(backend.take(&key, at(20)).unwrap(), None);
    });
}

#[test]
fn only_what_is_there_is_replaced() {
    on_each(|backend| {
        let key = Key::sign_in(b"a");
        assert!(!backend.replace(&key, b"x", at(10), at(0)).unwrap());
        assert_eq!(backend.get(&key, at(0)).unwrap(), None);
        backend.commit(&[put(key.clone(), b"x", 10)], at(0)).unwrap();
        assert!(backend.replace(&key, b"y", at(20), at(9)).unwrap());
        assert_eq!(backend.get(&key, at(19)).unwrap().as_deref(), Some(&b"y"[..]));
        assert!(!backend.replace(&key, b"z", at(30), at(20)).unwrap());
    });
}

#[test]
fn ended_rows_go_a_few_with_each_commit() {
    on_each(|backend| {
        let row = |n: usize| Key::sign_in(&n.to_be_bytes());
        let many: Vec<_> = (0..PURGED_AT_ONCE + 1).map(|n| put(row(n), b"x", 10)).collect();
        backend.commit(&many, at(0)).unwrap();
        // A later end saves a row, although its first end is over.
        backend.commit(&[put(row(0), b"kept", 99)], at(1)).unwrap();
        for n in 0..3 {
            backend.commit(&[put(Key::seen(&[n]), b"", 99)], at(10)).unwrap();
        }
        // Read as of a time when they had not ended: they are really gone.
        assert_eq!(backend.below(&Key::sign_in(b""), at(5)).unwrap().len(), 1);
        assert_eq!(backend.get(&row(0), at(50)).unwrap().as_deref(), Some(&b"kept"[..]));
    });
}

#[test]
fn the_file_is_readable_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    drop(file::File::open(&path).unwrap());
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(file::File::open(&path).unwrap());
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_file_that_cannot_be_opened_says_why_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let check = |name: &str, expected: &str| {
        let error = Store::open(&StoreLocation::File(directory.path().join(name))).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
    };
    check("missing/store.db", "make it, writable for portcullis only");

    let path = directory.path().join("locked.db");
    let _open = file::File::open(&path).unwrap();
    check("locked.db", "another process has it open");

    let path = directory.path().join("text.db");
    let text = "not a database, but long enough to be looked at";
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    check("text.db", "it is no session store, or it is damaged");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "a file that is no store of ours is left as it is");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
}
