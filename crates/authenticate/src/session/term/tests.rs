//! When refreshes are due, without a provider.

use jiff::{SignedDuration, Timestamp};

use super::{Term, Turn};
use crate::session::SignInId;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_token_is_refreshed_shortly_before_its_end_and_not_all_at_once() {
    let check = |life: i64, earliest: i64, latest: i64| {
        let of = |spread: u8| {
            let term = Term { since: at(1_000), until: at(1_000 + life) };
            term.refresh_from(&SignInId([spread; 16])).as_second() - 1_000
        };
        assert!((earliest..=latest).contains(&of(255)), "{life}: {}", of(255));
        assert_eq!(of(0), latest, "{life}");
        assert!(of(255) < latest || life < 30, "{life}: no two are apart");
    };
    check(3_600, 3_510, 3_540);
    check(300, 210, 240);
    check(60, 42, 48);
    // What has ended when it comes is not asked for without end.
    check(1, 1, 1);
    check(0, 1, 1);
    check(-500, 1, 1);
}

#[test]
fn an_answer_that_names_no_end_is_good_as_long_as_the_one_before() {
    let term = Term { since: at(0), until: at(300) };
    assert_eq!(term.next(at(290), None), Term { since: at(290), until: at(590) });
    assert_eq!(term.next(at(290), Some(at(400))), Term { since: at(290), until: at(400) });
}

#[test]
fn a_provider_that_failed_is_left_alone_longer_each_time_but_never_for_long() {
    let turn = Turn::default();
    assert!(!turn.is_off(at(0)) && !turn.fails());
    assert!(turn.failed(at(100)), "the first");
    assert!(turn.is_off(at(100)) && !turn.is_off(at(101)));
    for _ in 0..50 {
        assert!(!turn.failed(at(200)), "not the first");
    }
    assert!(turn.is_off(at(200) + SignedDuration::from_secs(15)) && !turn.is_off(at(230)));
    // The clock was set back.
    assert!(!turn.is_off(at(0)));
    turn.succeeded();
    assert!(!turn.is_off(at(200)) && !turn.fails());
    assert!(turn.failed(at(300)), "the first of another outage");
}

#[test]
fn one_has_the_turn() {
    let turn = Turn::default();
    let mine = turn.take().unwrap();
    assert!(turn.take().is_none());
    drop(mine);
    assert!(turn.take().is_some());
}
