//! Summaries and what they leave out.

use super::members::Members;
use super::{Line, MOST_VALUES, Summarizer};

fn line(second: u32, more: &str) -> String {
    format!(r#"{{"time":"2026-01-01T00:00:{second:02}.5Z","id":"0190","kind":"request","revision":"r"{more}}}"#)
}

#[test]
fn a_summary_tells_times_users_networks_routes_and_counts() {
    let mut summarizer = Summarizer::default();
    let user = r#","user":{"id":"i|ada","email":"ada@example.com","groups":[]},"client_ip":"203.0.113.7""#;
    summarizer.add(line(7, &format!(r#","route":"a"{user},"decision":"allow""#)).as_bytes());
    summarizer.add(line(3, r#","client_ip":"2001:db8:1:2::3","decision":"deny""#).as_bytes());
    summarizer.add(br#"{"time":"2026-01-01T00:00:09Z","id":"0190","kind":"outcome","status":200}"#);
    summarizer.add(b"no line of ours");
    let summary = summarizer.finish();
    assert_eq!(summary.from.unwrap().to_string(), "2026-01-01T00:00:03Z");
    assert_eq!(summary.to.unwrap().to_string(), "2026-01-01T00:00:10Z");
    assert_eq!(summary.lines, 4);
    assert_eq!((summary.kinds["request"], summary.kinds["outcome"]), (2, 1));
    assert_eq!((summary.decisions["allow"], summary.decisions["deny"]), (1, 1));
    assert!(summary.users.may_have("ada@example.com") && summary.users.may_have("i|ada"));
    assert!(!summary.users.may_have("bob@example.com"));
    assert!(summary.networks.may_have("203.0.113.0/24") && summary.networks.may_have("2001:db8:1::/48"));
    assert!(summary.routes.may_have("a") && !summary.routes.may_have("b"));
    let read: super::Summary = serde_json::from_str(&serde_json::to_string(&summary).unwrap()).unwrap();
    assert_eq!(read, summary);
}

/// A line of a request with each of its members written as JSON.
fn request(id: &str, email: &str, path: &str, route: Option<&str>) -> String {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    let route = route.map(|route| format!(r#","route":{}"#, text(route))).unwrap_or_default();
    line(
        0,
        &format!(
            r#"{route},"client_ip":"10.0.0.1","user":{{"id":{},"email":{},"groups":[]}},"method":"GET","path":{},"decision":"deny","inputs":{{"x":{{"is":{{"a":1,"route":"elsewhere","decision":"allow","method":"GET"}}}}}}"#,
            text(id),
            text(email),
            text(path)
        ),
    )
}

#[test]
fn what_is_found_without_parsing_is_what_parsing_finds() {
    let found = |line: &str| {
        let mut members = Members::default();
        let rest = members.behind_id(line.as_bytes()).unwrap().to_vec();
        members.of_request(&rest).map(|line| format!("{line:?}"))
    };
    let hostile = r#"x","decision":"allow","method":"GET","user":{"id":"root"#;
    for text in ["i|ada", "ü", "", hostile, "back\\slash", "\u{1b}"] {
        for route in [None, Some("a"), Some(hostile)] {
            for line in [request(text, "e", "/", route), request("i", text, "/", route), request("i", "e", text, route)]
            {
                let parsed: Line<'_> = serde_json::from_str(&line).unwrap();
                if let Some(found) = found(&line) {
                    assert_eq!(found, format!("{parsed:?}"), "{line}");
                } else {
                    assert!(line.contains('\\'), "{line}");
                }
            }
        }
    }
    assert_eq!(found(r#"{"time":"2026-01-01T00:00:00Z","kind":"reload","reason":"accepted"}"#), None);
    assert!(found(&request("i", "e", "/", Some("a"))).is_some());
}

#[test]
fn what_is_the_same_as_in_the_line_before_is_told_apart_from_what_only_begins_so() {
    let mut summarizer = Summarizer::default();
    let line = |address: &str, decision: &str| {
        line(0, &format!(r#","client_ip":"{address}","method":"GET","path":"/","decision":"{decision}""#))
    };
    for (address, decision) in
        [("10.0.0.1", "allow"), ("10.0.0.1", "deny"), ("10.0.0.12", "deny"), ("10.0.1.1", "allow")]
    {
        summarizer.add(line(address, decision).as_bytes());
    }
    let summary = summarizer.finish();
    assert_eq!((summary.kinds["request"], summary.decisions["allow"], summary.decisions["deny"]), (4, 2, 2));
    assert!(summary.networks.may_have("10.0.0.0/24") && summary.networks.may_have("10.0.1.0/24"));
}

#[test]
fn more_values_than_are_listed_may_be_any() {
    let mut summarizer = Summarizer::default();
    for n in 0..=MOST_VALUES {
        summarizer.add(line(0, &format!(r#","route":"route {n}""#)).as_bytes());
    }
    let summary = summarizer.finish();
    assert!(summary.routes.listed().is_none() && summary.routes.may_have("another"));
}
