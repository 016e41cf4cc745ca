//! What is enough of a sign-in, and what is not.

use super::*;

const NOW: i64 = 1_900_000_000;

fn check(step_up: &StepUp, auth_time: Option<i64>, acr: &str, expected: Result<(), StepUpUnmet>) {
    let auth_time = auth_time.map(|time| Timestamp::from_second(time).unwrap());
    let proof = Proof { auth_time, acr: acr.into(), amr: Box::default() };
    assert_eq!(step_up.check(&proof, Timestamp::from_second(NOW).unwrap()), expected, "{step_up:?} {proof:?}");
}

fn values(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn a_sign_in_is_recent_until_its_age_is_over_and_clocks_may_differ_by_a_minute() {
    let recent = StepUp::new(Some(Duration::from_secs(300)), Vec::new()).unwrap();
    for (age, expected) in [
        (0, Ok(())),
        (300, Ok(())),
        (360, Ok(())),
        (361, Err(StepUpUnmet::TooOld)),
        (-60, Ok(())),
        (-61, Err(StepUpUnmet::Ahead)),
    ] {
        check(&recent, Some(NOW - age), "", expected);
    }
    check(&recent, None, "", Err(StepUpUnmet::NoTime));
}

#[test]
fn a_sign_in_is_strong_enough_in_any_of_the_ways_that_are_named() {
    let strong = StepUp::new(None, values(&["phr", "urn:example:gold"])).unwrap();
    for acr in ["phr", "urn:example:gold"] {
        check(&strong, None, acr, Ok(()));
    }
    for acr in ["", "PHR", "phrh", "phr urn:example:gold"] {
        check(&strong, None, acr, Err(StepUpUnmet::OtherClass));
    }
}

#[test]
fn both_must_be_so_where_both_are_asked() {
    let both = StepUp::new(Some(Duration::from_secs(60)), values(&["phr"])).unwrap();
    check(&both, Some(NOW), "phr", Ok(()));
    check(&both, Some(NOW), "pwd", Err(StepUpUnmet::OtherClass));
    check(&both, Some(NOW - 600), "phr", Err(StepUpUnmet::TooOld));
}

#[test]
fn an_age_without_end_does_not_overflow() {
    let ever = StepUp::asked(Some(&u64::MAX.to_string()), None).unwrap();
    check(&ever, Some(0), "", Ok(()));
}

#[test]
fn what_is_asked_is_read_back_from_its_parameters() {
    for step_up in [
        StepUp::new(Some(Duration::from_secs(300)), values(&["phr", "urn:example:gold"])),
        StepUp::new(Some(Duration::from_secs(300)), Vec::new()),
        StepUp::new(None, values(&["phr"])),
    ] {
        let parameters: Vec<_> = step_up.as_ref().unwrap().parameters().collect();
        let get = |name| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!(StepUp::asked(get("max_age"), get("acr_values")), step_up);
    }
}

#[test]
fn what_cannot_be_asked_asks_nothing() {
    assert_eq!(StepUp::new(None, Vec::new()), None);
    for value in ["", "two words", "a\"b", "a\\b", "h\u{e9}", "\n"] {
        assert_eq!(StepUp::new(None, values(&[value])), None, "{value:?}");
    }
    assert_eq!(StepUp::asked(Some("-1"), None), None);
    assert_eq!(StepUp::asked(Some("soon"), Some("  ")), None);
    assert_eq!(StepUp::asked(None, Some(&"x".repeat(129))), None);
    assert_eq!(StepUp::asked(None, Some(&"x ".repeat(9))), None);
}
