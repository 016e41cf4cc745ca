//! What is forgotten, and when.

use super::{Ledger, MAX_ENTRIES};

#[test]
fn what_would_end_first_makes_room() {
    let ledger = Ledger::new(60);
    let names: Vec<_> = (0..=MAX_ENTRIES).map(|number| ledger.put(number, 0).unwrap()).collect();
    assert_eq!(ledger.get(&names[0], 1), None, "there was no room left");
    assert_eq!(ledger.get(&names[1], 1), Some(1));
    assert_eq!(ledger.get(&names[MAX_ENTRIES], 1), Some(MAX_ENTRIES));
}

#[test]
fn what_has_ended_is_not_kept() {
    let ledger = Ledger::new(60);
    let first = ledger.put("first", 0).unwrap();
    let second = ledger.put("second", 30).unwrap();
    ledger.put("third", 60).unwrap();
    assert_eq!(ledger.get(&first, 59), None);
    assert_eq!(ledger.take(&second, 89), Some("second"));
    assert_eq!(ledger.take(&second, 89), None);
}
