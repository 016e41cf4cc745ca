//! Tests of `verdict`: which conditions come out the same whatever is asked for.

use crate::Severity;
use crate::fixture::problems;

/// Expects one warning at the characters `marked`.
#[track_caller]
fn warned(when: &str, marked: &str, message: &str, help: &str) {
    let found = problems(when);
    let [problem] = found.as_slice() else { panic!("{when}: {found:?}") };
    let at: String = when.chars().skip(problem.at.start).take(problem.at.len()).collect();
    let told = (at.as_str(), problem.message.as_str(), problem.help.as_deref().unwrap_or_default());
    assert_eq!((told, problem.severity), ((marked, message, help), Severity::Warning), "{when}");
}

#[track_caller]
fn never_true(when: &str) {
    let found: Vec<String> = problems(when).into_iter().map(|problem| problem.message).collect();
    assert_eq!(found, ["the rule can never be true"], "{when}");
}

#[track_caller]
fn never_false(when: &str) {
    let found: Vec<String> = problems(when).into_iter().map(|problem| problem.message).collect();
    assert_eq!(found, ["the rule can never be false"], "{when}");
}

const BOTH: &str = "its sides exclude each other: did you mean `||`?";
const EITHER: &str = "one of its sides always holds: did you mean `&&`?";

#[test]
fn a_rule_that_contradicts_itself_is_told() {
    let when = r#"user.email == "a@x.org" && user.email == "b@x.org""#;
    warned(when, when, "the rule can never be true", BOTH);
    never_true(r#"user.email == "a@x.org" && "a" in user.groups && user.email != "a@x.org""#);
    never_true(r#"user.email in ["a@x.org", "b@x.org"] && !(user.email in ["b@x.org", "a@x.org"])"#);
    never_true(r#"user.authenticated && !user.authenticated"#);
    never_true(r#"request.ip.inNetwork("vpn") && !request.ip.inNetwork("vpn")"#);
    never_true(r#"user.claims.level == 1 && user.claims.level == 2"#);
    never_true("user.claims.level > 5 && user.claims.level < 3");
    never_true(
        r#"request.time < timestamp("2026-01-01T00:00:00Z") && request.time > timestamp("2027-01-01T00:00:00Z")"#,
    );
    never_true(r#"request.time.getHours("Europe/Berlin") < 8 && request.time.getHours("Europe/Berlin") > 18"#);
    never_true("user.machine ? !user.machine : user.machine");
    never_true("user.email in []");
    never_true("user.email != user.email");
    never_true("size(user.groups) < 0");
    never_true("1 == 2");
    never_true(r#"user.authenticated && false"#);
    never_true(r#"request.scheme != "http" && request.scheme != "https""#);
}

#[test]
fn a_rule_that_cannot_fail_to_hold_is_told() {
    let when = r#"request.method != "GET" || request.method != "POST""#;
    warned(when, when, "the rule can never be false", EITHER);
    let when = r#"request.path.startsWith("/a") || true"#;
    warned(when, when, "the rule can never be false", "write `true` if that is meant");
    never_false("user.machine || !user.machine");
    never_false("user.email == user.email");
    never_false(r#"request.scheme == "http" || request.scheme == "https""#);
    never_false(r#"request.tls.version in ["", "1.2", "1.3"]"#);
    never_false("size(user.groups) >= 0");
    never_false("user.claims.level < 5 || user.claims.level >= 5");
    never_false("3 > user.claims.level || 3 <= user.claims.level");
    never_false(r#""a" in ["a", "b"]"#);
}

#[test]
fn the_smallest_part_that_is_settled_is_pointed_at() {
    let part = r#"(request.method != "GET" || request.method != "POST")"#;
    let inner = part.get(1..part.len() - 1).unwrap();
    let message = "this part can never be false";
    warned(&format!(r#""admins" in user.groups && {part}"#), inner, message, EITHER);
    warned(&format!(r#""admins" in user.groups && !{part}"#), inner, message, EITHER);
    warned(&format!(r#"{part} ? user.machine : user.authenticated"#), inner, message, EITHER);
    warned(
        r#"user.groups.exists(g, g == "a" && g == "b") || user.machine"#,
        r#"g == "a" && g == "b""#,
        "this part can never be true",
        BOTH,
    );
    warned("!(user.email in [])", "user.email in []", "this part can never be true", "write `false` if that is meant");
    assert_eq!(problems("request.time.getHours() >= 0 && request.time.getHours() <= 23").len(), 2);
    warned(
        "user.authenticated && request.time.getHours() > 23",
        "request.time.getHours() > 23",
        "this part can never be true",
        "write `false` if that is meant",
    );
    let twice = format!("{part} && {part}");
    assert_eq!(problems(&twice).len(), 2);
}

#[test]
fn a_rule_that_can_come_out_either_way_is_left_alone() {
    for when in [
        "true",
        "false",
        "user.authenticated && true",
        r#"request.method != "GET" && request.method != "POST""#,
        r#"request.method == "GET" || request.method == "POST""#,
        r#"user.email == "a" || user.email != "b""#,
        r#"request.scheme == "https" && request.protocol != "h2""#,
        r#"user.claims.a == true || user.claims.a == false"#,
        "user.claims.level > 5 && user.claims.level < 6",
        "user.claims.level > 5 || user.claims.level < 5",
        r#"user.claims.level > 5 && user.claims.level == "x""#,
        "user.claims.a.b > 1 || user.claims.a.c <= 1",
        "size(user.groups) > 0",
        "request.time.getHours() > 0 && request.time.getHours() < 2",
        r#"user.email < "b" && user.email > "a""#,
        r#"request.time.getDayOfWeek() in [1, 2, 3, 4, 5]"#,
        r#"user.groups.exists(g, g == "a") && user.groups.exists(g, g == "b")"#,
        r#"request.ip.inCIDR("10.0.0.0/8") && !request.ip.inCIDR("10.1.0.0/16")"#,
        "has(user.claims.a) && user.claims.a",
        "user.machine == user.authenticated",
        r#"route.name == "app" ? user.authenticated : true"#,
    ] {
        assert_eq!(problems(when), [], "{when}");
    }
    never_true("request.time.getHours() > 0 && request.time.getHours() < 1");
}

#[test]
fn what_would_take_too_long_to_find_out_is_left_alone() {
    let many: Vec<String> = (0..60).map(|n| format!(r#""g{n}" in user.groups"#)).collect();
    assert_eq!(problems(&format!("({}) && !({})", many.join(" || "), many.join(" || "))), []);
    let emails: Vec<String> = (0..150).map(|n| format!(r#"user.email == "u{n}@example.com""#)).collect();
    assert_eq!(problems(&emails.join(" || ")), []);
}
