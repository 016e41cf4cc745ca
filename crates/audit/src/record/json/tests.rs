//! What records look like, whatever is in them.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use super::MAX_ITEMS;
use crate::line::MAX_TEXT_BYTES;
use crate::record::write_caller;
use crate::{
    Caller, ClientCertificate, Decision, Ended, Input, Kind, Milliseconds, Outcome, Record, Refused, Shadow, Tls,
    Upstream, User,
};

pub(crate) fn full() -> Record<'static> {
    Record {
        time: "2026-01-02T03:04:05.678901234Z".parse().unwrap(),
        id: "0198".into(),
        kind: Kind::Request,
        revision: "a1b2".into(),
        route: Some("app".into()),
        client_ip: Some("203.0.113.7".parse().unwrap()),
        peer_ip: Some("2001:db8::1".parse().unwrap()),
        client_ip_source: Some("x-forwarded-for"),
        caller: Some(Caller::written(r#","user":{"id":"i|ada"},"session":"5e55""#)),
        method: "GET".into(),
        scheme: "https",
        host: "app.example.com".into(),
        path: "/a/b".into(),
        query_keys: vec!["q".into(), "r".into()],
        protocol: "h2",
        tls: Some(Tls {
            version: "1.3",
            sni: "app.example.com".into(),
            client_certificate: Some(ClientCertificate {
                subject: "CN=ada,O=Example".into(),
                fingerprint_sha256: "c0ffee".into(),
            }),
        }),
        decision: Decision::Challenge,
        rule: Some("p/r".into()),
        reason: "allow-rule-matched".into(),
        error: Some("it broke".into()),
        shadow: Some(Shadow {
            decision: Decision::Deny,
            rule: Some("p/r".into()),
            reason: "deny-rule-failed",
            error: Some("no such key".into()),
        }),
        inputs: Cow::Owned(vec![("user.name".into(), Input::Redacted), ("user.claims.n".into(), Input::Is(json!(1)))]),
        fields: Cow::Owned(vec![("team".into(), json!(["sre", "ü"]))]),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
        user_agent: Some("curl/8".into()),
        outcome: Some(outcome()),
    }
}

pub(crate) fn user() -> User<'static> {
    User {
        id: "https://idp.example|ada".into(),
        email: "ada@example.com".into(),
        groups: Cow::Owned(vec!["a".into(), "b \"c\"".into()]),
        provider: "corp".into(),
    }
}

fn outcome() -> Outcome<'static> {
    Outcome {
        upstream: Some(Upstream {
            endpoint: "http://10.0.0.1:80".into(),
            protocol: "http/1.1",
            protocol_reason: "configured",
            attempts: 2,
        }),
        status: 200,
        grpc_status: Some(14),
        bytes_in: 0,
        bytes_out: u64::MAX,
        ms: Milliseconds {
            policy: Duration::ZERO,
            upstream: Duration::from_micros(1500),
            total: Duration::from_nanos(1_234_567_499),
        },
    }
}

fn ended() -> Ended<'static> {
    let time = "2026-01-02T03:04:05.678901234Z".parse().unwrap();
    Ended { time, id: "0198".into(), kind: Kind::Outcome, refused: None, error: None, outcome: outcome() }
}

fn bare() -> Record<'static> {
    Record {
        route: None,
        client_ip: None,
        peer_ip: None,
        client_ip_source: None,
        caller: None,
        query_keys: Vec::new(),
        tls: None,
        rule: None,
        error: None,
        shadow: None,
        inputs: Cow::Borrowed(&[]),
        fields: Cow::Borrowed(&[]),
        trace_id: None,
        user_agent: None,
        outcome: None,
        ..full()
    }
}

fn text(record: &Record<'_>) -> String {
    let mut line = Vec::new();
    record.append(&mut line).unwrap();
    String::from_utf8(line).unwrap()
}

fn value(record: &Record<'_>) -> Value {
    serde_json::from_str(&text(record)).unwrap()
}

fn ended_text(ended: &Ended<'_>) -> String {
    let mut line = Vec::new();
    ended.append(&mut line).unwrap();
    String::from_utf8(line).unwrap()
}

const OUTCOME: &str = concat!(
    r#","upstream":{"endpoint":"http://10.0.0.1:80","protocol":"http/1.1","protocol_reason":"configured","attempts":2},"#,
    r#""status":200,"grpc_status":14,"bytes_in":0,"bytes_out":18446744073709551615,"#,
    r#""ms":{"policy":0.000,"upstream":1.500,"total":1234.567}}"#
);

#[test]
fn a_record_has_these_members_in_this_order() {
    let expected = concat!(
        r#"{"time":"2026-01-02T03:04:05.678901Z","id":"0198","kind":"request","revision":"a1b2","route":"app","#,
        r#""client_ip":"203.0.113.7","peer_ip":"2001:db8::1","client_ip_source":"x-forwarded-for","#,
        r#""user":{"id":"i|ada"},"session":"5e55","method":"GET","scheme":"https","host":"app.example.com","#,
        r#""path":"/a/b","query_keys":["q","r"],"protocol":"h2","tls":{"version":"1.3","sni":"app.example.com","#,
        r#""client_certificate":{"subject":"CN=ada,O=Example","fingerprint_sha256":"c0ffee"}},"#,
        r#""decision":"challenge","rule":"p/r","reason":"allow-rule-matched","error":"it broke","#,
        r#""shadow":{"decision":"deny","rule":"p/r","reason":"deny-rule-failed","error":"no such key"},"#,
        r#""inputs":{"user.name":"redacted","user.claims.n":{"is":1}},"fields":{"team":["sre","ü"]},"#,
        r#""trace_id":"0af7651916cd43dd8448eb211c80319c","user_agent":"curl/8""#
    );
    assert_eq!(text(&full()), [expected, OUTCOME].concat());
    let expected = concat!(
        r#"{"time":"2026-01-02T03:04:05.678901Z","id":"0198","kind":"request","revision":"a1b2","method":"GET","#,
        r#""scheme":"https","host":"app.example.com","path":"/a/b","protocol":"h2","decision":"challenge","#,
        r#""reason":"allow-rule-matched"}"#
    );
    assert_eq!(text(&bare()), expected);
}

#[test]
fn an_outcome_has_what_came_after_the_decision() {
    let beginning = r#"{"time":"2026-01-02T03:04:05.678901Z","id":"0198","kind":"outcome""#;
    assert_eq!(ended_text(&ended()), [beginning, OUTCOME].concat());
    let refused = Some(Refused { decision: Decision::Deny, reason: "audit-unavailable".into() });
    let upstream = Some(Upstream { protocol: "", protocol_reason: "", ..outcome().upstream.unwrap() });
    let outcome = Outcome { upstream, grpc_status: None, ..outcome() };
    let text = ended_text(&Ended { refused, error: Some("it broke".into()), outcome, ..ended() });
    let expected = concat!(
        r#","decision":"deny","reason":"audit-unavailable","error":"it broke","#,
        r#""upstream":{"endpoint":"http://10.0.0.1:80","attempts":2},"status":200,"bytes_in":0,"#
    );
    assert!(text.starts_with(&[beginning, expected].concat()), "{text}");
}

#[test]
fn who_asked_is_written_out_as_members() {
    let expected = r#","user":{"id":"https://idp.example|ada","email":"ada@example.com","groups":["a","b \"c\""],"provider":"corp"}"#;
    assert_eq!(*write_caller(&user(), None), *expected);
    assert_eq!(*write_caller(&user(), Some("5e55")), *[expected, r#","session":"5e55""#].concat());
}

#[test]
fn times_addresses_and_numbers_are_written_as_others_write_them() {
    for time in [
        "2026-01-02T03:04:05.000000Z",
        "2026-01-02T03:04:05.100000Z",
        "2024-02-29T23:59:59.999999Z",
        "1970-01-01T00:00:00.000001Z",
        "1969-12-31T23:59:59.900000Z",
        "9999-12-30T22:00:00.500000Z",
    ] {
        assert_eq!(value(&Record { time: time.parse().unwrap(), ..bare() })["time"], time);
    }
    for address in ["0.0.0.0", "10.20.30.4", "255.255.255.255", "::", "::ffff:192.0.2.1"] {
        assert_eq!(value(&Record { client_ip: Some(address.parse().unwrap()), ..bare() })["client_ip"], address);
    }
    for bytes_out in [0, 9, 10, 99, 100, 1024, 1_000_000, u64::MAX - 1] {
        let outcome = Some(Outcome { bytes_out, ..outcome() });
        assert_eq!(value(&Record { outcome, ..bare() })["bytes_out"], bytes_out);
    }
    for (nanos, expected) in
        [(1_499, "0.001"), (1_500, "0.002"), (999_999_500, "1000.000"), (u64::MAX, "18446744073709.552")]
    {
        let ms = Milliseconds { total: Duration::from_nanos(nanos), ..Milliseconds::default() };
        let text = ended_text(&Ended { outcome: Outcome { ms, ..outcome() }, ..ended() });
        assert!(text.ends_with(&format!(r#""total":{expected}}}}}"#)), "{text}");
    }
    for kind in [Kind::SignIn, Kind::SignOut, Kind::Revoke] {
        let expected = ["sign_in", "sign_out", "revoke"][kind as usize - Kind::SignIn as usize];
        assert_eq!(value(&Record { kind, ..bare() })["kind"], expected);
    }
}

#[test]
fn a_byte_that_is_not_plain_is_seen_wherever_it_stands() {
    for byte in 0..128_u8 {
        let is_plain = (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
        for length in 1..20 {
            for at in 0..length {
                let mut text = vec![b'a'; length];
                text[at] = byte;
                assert_eq!(super::is_plain(str::from_utf8(&text).unwrap()), is_plain, "{byte} at {at} of {length}");
            }
        }
    }
    assert!(!super::is_plain("ä") && !super::is_plain("abcdefghä"));
}

#[test]
fn hostile_texts_read_back_the_same_from_one_line_wherever_they_stand() {
    for hostile in
        ["\"", "\\", "\n{\"kind\":\"request\"}", "\u{7f}", "ü", "\u{202e}", r#"","decision":"allow"#, "\u{1b}[31m"]
    {
        let record = Record {
            path: hostile.into(),
            host: hostile.into(),
            method: hostile.into(),
            rule: Some(hostile.into()),
            query_keys: vec![hostile.into()],
            user_agent: Some(hostile.into()),
            ..full()
        };
        let (text, value) = (text(&record), value(&record));
        assert!(!text.chars().any(|char| char.is_control() || char == '\u{202e}'), "{text:?}");
        for member in ["path", "host", "method", "rule", "user_agent"] {
            assert_eq!(value[member], hostile);
        }
        assert_eq!((&value["query_keys"], &value["decision"]), (&json!([hostile]), &json!("challenge")));
    }
}

#[test]
fn texts_and_lists_have_an_end() {
    let long = "a".repeat(MAX_TEXT_BYTES);
    let value = value(&Record {
        path: format!("{long}bc").into(),
        host: long.as_str().into(),
        query_keys: vec!["q".into(); MAX_ITEMS + 44],
        ..full()
    });
    assert_eq!((&value["path"], &value["host"]), (&format!("{long}…(+2 bytes)").into(), &long.into()));
    let keys = value["query_keys"].as_array().unwrap();
    assert_eq!((keys.len(), &keys[MAX_ITEMS]), (MAX_ITEMS + 1, &"…(+44 items)".into()));
}
