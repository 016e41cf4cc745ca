//! Searches over logs with requests whose outcome comes soon, late, in a later segment, or never.

pub(super) mod lines;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use super::{Collect, Facts, Filter, Found, Order, Pattern, Scanned, joined, scan};
use lines::{ahead, outcome, request, segment, whole};

/// Collects all that is found, joined.
#[derive(Default)]
struct All(Mutex<Vec<serde_json::Value>>);

impl Collect for All {
    type Part = ();

    fn begin(&self, _place: usize) {}

    fn take(&self, (): &mut (), found: &Found<'_>) -> ControlFlow<()> {
        let json = joined(found.line, found.outcome).unwrap();
        self.0.lock().unwrap().push(serde_json::from_str(&json).unwrap());
        ControlFlow::Continue(())
    }

    fn end(&self, (): ()) {}
}

fn search(dir: &Path, filter: &Filter) -> (Vec<serde_json::Value>, Scanned) {
    let all = All::default();
    let scanned = scan(dir, filter, Order::Newest, &all).unwrap();
    let mut found = all.0.into_inner().unwrap();
    found.sort_by_key(|record| record["time"].as_str().unwrap().to_owned());
    (found, scanned)
}

fn ids(dir: &Path, filter: &Filter) -> Vec<String> {
    search(dir, filter).0.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "as filters have it")]
fn pattern(text: &str) -> Option<Pattern> {
    Some(text.parse().unwrap())
}

#[test]
fn a_request_and_its_outcome_are_one_record_also_across_segments() {
    let dir = tempfile::tempdir().unwrap();
    segment(dir.path(), 1, &[ahead("1", 1), outcome("1", r#","status":200"#), ahead("2", 2), ahead("3", 3)]);
    segment(dir.path(), 2, &[whole("4", 4, "deny", 403), outcome("2", r#","status":502"#)]);
    let (found, scanned) = search(dir.path(), &Filter { user: pattern("ada@*"), ..Filter::default() });
    let told: Vec<_> = found.iter().map(|record| (record["status"].as_u64(), record["outcome"].as_str())).collect();
    assert_eq!(told, [(Some(200), None), (Some(502), None), (None, Some("not-found")), (Some(403), None)]);
    assert_eq!((scanned.without_outcome, scanned.read), (1, 2));
    assert!(found.iter().all(|record| record.get("hash").is_none() && record["time"] != "2026-03-01T12:59:00.000000Z"));
}

#[test]
fn status_and_decision_are_those_of_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let refused = outcome("2", r#","decision":"deny","reason":"audit-unavailable","status":503"#);
    let lines = [ahead("1", 1), ahead("2", 2), whole("3", 3, "deny", 403), outcome("1", r#","status":200"#), refused];
    segment(dir.path(), 1, &lines);
    let of_status = |text: &str| ids(dir.path(), &Filter { status: Some(text.parse().unwrap()), ..Filter::default() });
    assert_eq!((of_status("2xx"), of_status("403")), (vec!["1".to_owned()], vec!["3".to_owned()]));
    assert_eq!(of_status("400-599"), ["2", "3"]);
    let of_decision = |text: &str| ids(dir.path(), &Filter { decision: Some(text.into()), ..Filter::default() });
    assert_eq!(
        (of_decision("allow"), of_decision("deny")),
        (vec!["1".to_owned()], vec!["2".to_owned(), "3".to_owned()])
    );
    for wrong in ["", "x", "xx", "99xx", "500-400", "4x"] {
        assert!(wrong.parse::<super::Statuses>().is_err(), "{wrong}");
    }
}

#[test]
fn each_condition_leaves_out_what_does_not_hold() {
    let dir = tempfile::tempdir().unwrap();
    segment(dir.path(), 1, &[whole("1", 10, "allow", 200)]);
    let time = |second: u32| Some(format!("2026-03-01T12:00:{second:02}Z").parse().unwrap());
    let net = |text: &str| Some(text.parse().unwrap());
    let none = Filter::default;
    for (holds, fails) in [
        (Filter { user: pattern("i|1"), ..none() }, Filter { user: pattern("i|2"), ..none() }),
        (Filter { user: pattern("ada@example.com"), ..none() }, Filter { user: pattern("ada@example"), ..none() }),
        (Filter { group: pattern("eng"), ..none() }, Filter { group: pattern("en"), ..none() }),
        (Filter { network: net("10.8.0.0/16"), ..none() }, Filter { network: net("10.9.0.0/16"), ..none() }),
        (Filter { network: net("10.8.1.4/32"), ..none() }, Filter { network: net("10.8.1.0/30"), ..none() }),
        (Filter { network: net("10.8.0.0/23"), ..none() }, Filter { network: net("::/0"), ..none() }),
        (Filter { route: pattern("g*t"), ..none() }, Filter { route: pattern("g*x"), ..none() }),
        (Filter { host: pattern("*.test"), ..none() }, Filter { host: pattern("*.tes"), ..none() }),
        (Filter { path: pattern("/a/*"), ..none() }, Filter { path: pattern("/a/*/"), ..none() }),
        (Filter { method: pattern("GET"), ..none() }, Filter { method: pattern("POST"), ..none() }),
        (Filter { rule: pattern("git/*"), ..none() }, Filter { rule: pattern("*/git"), ..none() }),
        (Filter { session: pattern("s1"), ..none() }, Filter { session: pattern("s"), ..none() }),
        (Filter { id: pattern("1"), ..none() }, Filter { id: pattern("2"), ..none() }),
        (Filter { kind: Some("request".into()), ..none() }, Filter { kind: Some("sign_in".into()), ..none() }),
        (Filter { since: time(10), ..none() }, Filter { since: time(11), ..none() }),
        (Filter { until: time(11), ..none() }, Filter { until: time(10), ..none() }),
    ] {
        assert_eq!((ids(dir.path(), &holds).len(), ids(dir.path(), &fails).len()), (1, 0), "{holds:?} {fails:?}");
    }
}

#[test]
fn the_host_of_a_tunnel_is_found_with_and_without_its_port() {
    let dir = tempfile::tempdir().unwrap();
    let of = |id: &str, host: &str| whole(id, 1, "deny", 403).replace("\"git.test\"", &format!("\"{host}\""));
    let hosts = ["db.test", "db.test:5432", "db.test:22", "db.test.example", "xdb.test:22", "[::1]", "[::1]:22"];
    let lines: Vec<_> = hosts.iter().enumerate().map(|(id, host)| of(&id.to_string(), host)).collect();
    segment(dir.path(), 1, &lines);
    for (host, found) in [
        ("db.test", vec!["0", "1", "2"]),
        ("db.test:5432", vec!["1"]),
        ("db.test:*", vec!["1", "2"]),
        ("*.test", vec!["0", "1", "2", "4"]),
        ("*b.test", vec!["0", "1", "2", "4"]),
        ("[::1]", vec!["5", "6"]),
        ("[::1]:22", vec!["6"]),
        ("[:", vec![]),
        ("db", vec![]),
    ] {
        assert_eq!(ids(dir.path(), &Filter { host: pattern(host), ..Filter::default() }), found, "{host}");
    }
}

#[test]
fn lines_that_others_have_written_anew_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let lines = [ahead("1", 1), whole("2", 2, "deny", 403), ahead("3", 3), outcome("1", r#","status":200"#)];
    let anew = |line: &String| line.replace("\":", "\": ").replace(",\"", ", \"");
    segment(dir.path(), 1, &lines.each_ref().map(anew));
    segment(dir.path(), 2, &[anew(&outcome("3", r#","decision":"deny","status":503"#)), whole("4", 4, "deny", 503)]);
    for (filter, found) in [
        (Filter::default(), vec!["1", "2", "3", "4"]),
        (Filter { route: pattern("git"), ..Filter::default() }, vec!["1", "2", "3", "4"]),
        (Filter { id: pattern("3"), ..Filter::default() }, vec!["3"]),
        (Filter { kind: Some("request".into()), ..Filter::default() }, vec!["1", "2", "3", "4"]),
        (Filter { network: Some("10.8.1.0/24".parse().unwrap()), ..Filter::default() }, vec!["1", "2", "3", "4"]),
        (Filter { status: Some("503".parse().unwrap()), ..Filter::default() }, vec!["3", "4"]),
        (Filter { decision: Some("allow".into()), ..Filter::default() }, vec!["1"]),
        (Filter { decision: Some("deny".into()), path: pattern("/a/*"), ..Filter::default() }, vec!["2", "3", "4"]),
        (Filter { user: pattern("eve"), ..Filter::default() }, vec![]),
    ] {
        assert_eq!(ids(dir.path(), &filter), found, "{filter:?}");
    }
    assert_eq!(search(dir.path(), &Filter::default()).1.without_outcome, 0);
}

#[test]
fn texts_that_may_be_written_in_several_ways_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"{"time":"2026-03-01T12:00:00Z","id":"1","kind":"request","path":"/\u00e9\"x\u202e","decision":"deny","status":403}"#;
    segment(dir.path(), 1, &[format!("{text}\n")]);
    for path in ["/é\"x\u{202e}", "/é*", "*\"x*", "/*x*"] {
        assert_eq!(ids(dir.path(), &Filter { path: pattern(path), ..Filter::default() }), ["1"], "{path}");
    }
}

#[test]
fn addresses_are_found_by_every_network_they_are_in() {
    let dir = tempfile::tempdir().unwrap();
    for (number, address) in ["10.8.1.4", "2001:db8:1:2::7", "2001:db8::1", "::1"].into_iter().enumerate() {
        let line = whole(address, 1, "deny", 403).replace("10.8.1.4\",\"user", &format!("{address}\",\"user"));
        segment(dir.path(), number as u32 + 1, &[line]);
        let address: std::net::IpAddr = address.parse().unwrap();
        for bits in 0..=if address.is_ipv4() { 32 } else { 128 } {
            let network = ipnet::IpNet::new(address, bits).unwrap().trunc();
            let found = ids(dir.path(), &Filter { network: Some(network), ..Filter::default() });
            assert!(found.contains(&address.to_string()), "{network}: {found:?}");
        }
    }
    let network = Some("2001:db8:1::/48".parse().unwrap());
    assert_eq!(ids(dir.path(), &Filter { network, ..Filter::default() }), ["2001:db8:1:2::7"]);
}

#[test]
fn what_only_looks_like_a_status_or_a_decision_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let nested = r#","fields":{"status":503,"decision":"deny"},"user_agent":"\"status\":503""#;
    let ended = request("2", 2, &format!(r#"{nested},"decision":"allow""#));
    let whole = request("3", 3, &format!(r#"{nested},"decision":"challenge","status":302"#));
    let lines = [ended, whole, outcome("2", r#","decision":"deny","reason":"x","status":502"#)];
    segment(dir.path(), 1, &lines);
    let of = |status: &str, decision: Option<&str>| {
        let status = Some(status.parse().unwrap());
        ids(dir.path(), &Filter { status, decision: decision.map(Into::into), ..Filter::default() })
    };
    assert_eq!((of("503", None), of("502", None), of("302", None)), (vec![], vec!["2".into()], vec!["3".into()]));
    assert_eq!((of("5xx", Some("deny")), of("1-999", Some("allow"))), (vec!["2".into()], vec![]));
    assert_eq!(of("3xx", Some("challenge")), ["3"]);
}

#[test]
fn what_a_terminal_could_act_on_stays_escaped() {
    let line = "{\"time\":\"2026-03-01T12:00:00Z\",\"kind\":\"x\",\"path\":\"\\u001b[31m\u{9b}\u{202e}é\"}";
    let json = joined(line.as_bytes(), None).unwrap();
    assert_eq!(json, r#"{"time":"2026-03-01T12:00:00Z","kind":"x","path":"\u001b[31m\u009b\u202eé"}"#);
}

#[test]
fn segments_whose_summary_cannot_hold_it_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    segment(dir.path(), 1, &[whole("1", 10, "allow", 200)]);
    let [segment] =
        crate::Archive::open(dir.path()).unwrap().segments().try_into().map(|[of]: &[_; 1]| [of.clone()]).unwrap();
    crate::archive::compress::compress(&segment, &|| false).unwrap();
    let read = |filter: Filter| search(dir.path(), &filter).1.read;
    let time = |text: &str| Some(text.parse().unwrap());
    assert_eq!(
        read(Filter { user: pattern("ada*"), network: Some("10.0.0.0/8".parse().unwrap()), ..Filter::default() }),
        1
    );
    for filter in [
        Filter { user: pattern("eve*"), ..Filter::default() },
        Filter { network: Some("10.8.2.0/24".parse().unwrap()), ..Filter::default() },
        Filter { route: pattern("wiki"), ..Filter::default() },
        Filter { kind: Some("reload".into()), ..Filter::default() },
        Filter { since: time("2026-03-01T12:00:11Z"), ..Filter::default() },
        Filter { until: time("2026-03-01T12:00:10Z"), ..Filter::default() },
    ] {
        assert_eq!(read(filter.clone()), 0, "{filter:?}");
    }
}

#[test]
fn more_requests_without_outcome_than_are_remembered_are_all_shown() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<_> = (0..17_000).map(|id| ahead(&id.to_string(), 0)).collect();
    segment(dir.path(), 1, &lines);
    let (found, scanned) = search(dir.path(), &Filter::default());
    assert_eq!((found.len(), scanned.without_outcome), (17_000, 17_000));
}

#[test]
fn what_cannot_be_meant_is_not_even_parsed() {
    let dir = tempfile::tempdir().unwrap();
    // Whoever parsed one of these would find that it cannot be.
    let broken = |id: &str, end: &str| request(id, 1, &format!(r#"{end},"path":no JSON"#));
    let lines = [
        broken("1", r#","decision":"allow""#),
        outcome("1", r#","status":200"#),
        broken("2", r#","decision":"deny","status":403"#),
        ahead("3", 3),
        outcome("3", r#","status":503"#),
    ];
    segment(dir.path(), 1, &lines);
    for (filter, found) in [
        (Filter { status: Some("503".parse().unwrap()), ..Filter::default() }, 1),
        (Filter { decision: Some("challenge".into()), ..Filter::default() }, 0),
        (Filter { id: pattern("3"), ..Filter::default() }, 1),
        (Filter { user: pattern("eve*"), ..Filter::default() }, 0),
        // What is looked for in one member is not looked for in others, and the rarer of two conditions counts.
        (Filter { rule: pattern("git"), ..Filter::default() }, 0),
        (Filter { method: pattern("P*"), ..Filter::default() }, 0),
        (Filter { host: pattern("wiki.test"), ..Filter::default() }, 0),
        (Filter { user: pattern("eve"), kind: Some("request".into()), ..Filter::default() }, 0),
    ] {
        let (records, scanned) = search(dir.path(), &filter);
        assert_eq!((records.len(), scanned.unreadable), (found, 0), "{filter:?}");
    }
    assert_eq!(search(dir.path(), &Filter::default()).1.unreadable, 2);
}

#[test]
fn lines_that_are_no_records_are_counted_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    segment(dir.path(), 1, &["nonsense\n".to_owned(), whole("1", 10, "allow", 200), "{\"time".to_owned()]);
    let (found, scanned) = search(dir.path(), &Filter::default());
    assert_eq!((found.len(), scanned.unreadable), (1, 1));
}

/// Numbers that look like chance, and are the same in every run.
struct Chance(u64);

impl Chance {
    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        choices[(self.0 >> 33) as usize % choices.len()]
    }
}

/// What a search finds that reads all of every line.
fn plainly(lines: &[String], filter: &Filter) -> Vec<String> {
    let read = |line: &'_ String| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let mut found = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let mut facts = Facts::read(line.as_bytes()).unwrap();
        if facts.kind == "outcome" {
            continue;
        }
        if facts.is_ahead() {
            let ends = |line: &&String| read(line)["kind"] == "outcome" && read(line)["id"] == *facts.id;
            if let Some(end) = lines[place..].iter().find(ends) {
                facts.end(end.as_bytes());
            }
        }
        if filter.allows(&facts) {
            found.push(facts.id.into_owned());
        }
    }
    found
}

#[test]
fn a_search_finds_what_reading_every_line_finds() {
    let mut chance = Chance(7);
    for _ in 0..40 {
        let (mut lines, mut open) = (Vec::new(), Vec::new());
        for id in 100..140 {
            let nested = chance.one_of(&[
                "",
                r#","shadow":{"decision":"allow","reason":"x"}"#,
                r#","shadow":{"decision":"deny","rule":"git/all","reason":"x"}"#,
                r#","fields":{"status":503,"decision":"deny","kind":"outcome"}"#,
                r#","inputs":{"x":{"is":{"decision":"allow","status":200}}}"#,
                r#","user_agent":"\"status\":200,\"decision\":\"deny\"""#,
            ]);
            let decision = chance.one_of(&["allow", "allow", "deny", "challenge"]);
            let status = chance.one_of(&["", ",\"status\":0", ",\"status\":200", ",\"status\":403", ",\"status\":503"]);
            let (before, behind) = if chance.one_of(&["", "x"]).is_empty() { (nested, "") } else { ("", nested) };
            let rule = chance.one_of(&["", r#","rule":"git/all""#, r#","rule":"ops/all""#]);
            let more = format!(r#"{before},"decision":"{decision}"{rule}{status}{behind}"#);
            lines.push(request(&id.to_string(), 1, &more));
            if decision == "allow" && status.is_empty() {
                open.push(id.to_string());
            }
            if open.len() > 3 || chance.one_of(&["", "x"]).is_empty() {
                let refused = chance.one_of(&["", r#","decision":"deny","reason":"y""#, r#","error":"\"decision\":""#]);
                let status = chance.one_of(&["0", "200", "403", "503"]);
                let ends = format!(r#"{refused},"upstream":{{"endpoint":"e"}},"status":{status}"#);
                lines.extend(open.pop().map(|id| outcome(&id, &ends)));
            }
        }
        let dir = tempfile::tempdir().unwrap();
        segment(dir.path(), 1, &lines[..20]);
        segment(dir.path(), 2, &lines[20..]);
        for _ in 0..40 {
            let mut filter = Filter::default();
            let status = chance.one_of(&["", "200", "403", "5xx", "0"]);
            filter.status = (!status.is_empty()).then(|| status.parse().unwrap());
            let decision = chance.one_of(&["", "allow", "deny", "challenge"]);
            filter.decision = (!decision.is_empty()).then(|| decision.into());
            let text = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
            filter.rule = text(chance.one_of(&["", "", "git/*", "ops/all"]));
            filter.id = text(chance.one_of(&["", "", "1*7", "11*"]));
            filter.user = text(chance.one_of(&["", "", "ada@*", "eve"]));
            filter.kind =
                Some(chance.one_of(&["request", "sign_in"]).into()).filter(|_| chance.one_of(&["", "", "x"]) == "x");
            let mut found = ids(dir.path(), &filter);
            found.sort();
            assert_eq!(found, plainly(&lines, &filter), "{filter:?} in {}", lines.concat());
        }
    }
}
