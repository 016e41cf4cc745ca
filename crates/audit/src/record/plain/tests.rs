//! The direct way and `serde_json` agree to the byte, or the direct way steps back.

use std::borrow::Cow;

use serde::Serialize;

use super::{AppendPlain, MAX_ITEMS};
use crate::line::MAX_TEXT_BYTES;
use crate::{
    ClientCertificate, Decision, Ended, Input, Kind, Milliseconds, Outcome, Record, Refused, Shadow, Tls, Upstream,
    User,
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
        user: Some(User {
            id: "https://idp.example|ada".into(),
            email: "ada@example.com".into(),
            groups: Cow::Owned(vec!["a".into(), "b c".into()]),
            provider: "corp".into(),
        }),
        session: Some("5e55".into()),
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
        inputs: Cow::Borrowed(&[]),
        fields: Cow::Borrowed(&[]),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
        user_agent: Some("curl/8".into()),
        outcome: Some(outcome()),
    }
}

fn outcome() -> Outcome<'static> {
    Outcome {
        upstream: Some(Upstream {
            endpoint: "10.0.0.1:80".into(),
            protocol: "http/1.1",
            protocol_reason: "configured",
            attempts: 2,
        }),
        status: 200,
        grpc_status: Some(14),
        bytes_in: 0,
        bytes_out: u64::MAX,
        ms: Milliseconds { policy: 0.0, upstream: 1.5, total: 1234.567 },
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
        user: None,
        session: None,
        query_keys: Vec::new(),
        tls: None,
        rule: None,
        error: None,
        shadow: None,
        trace_id: None,
        user_agent: None,
        outcome: None,
        ..full()
    }
}

fn agrees<R: AppendPlain + Serialize>(record: &R) {
    let mut line = Vec::new();
    assert!(record.append_plain(&mut line));
    assert_eq!(String::from_utf8(line).unwrap(), serde_json::to_string(record).unwrap());
}

#[test]
fn plain_records_are_the_same_either_way() {
    agrees(&full());
    agrees(&bare());
    agrees(&Record { user: Some(User { groups: Cow::Borrowed(&[]), ..full().user.unwrap() }), ..full() });
    for kind in [Kind::Request, Kind::Outcome, Kind::SignIn, Kind::SignOut, Kind::Revoke] {
        agrees(&Record { kind, ..bare() });
    }
    for decision in [Decision::Allow, Decision::Deny, Decision::Challenge] {
        agrees(&Record { decision, ..bare() });
    }
    for address in ["0.0.0.0", "10.20.30.4", "255.255.255.255", "::", "::ffff:192.0.2.1"] {
        agrees(&Record { client_ip: Some(address.parse().unwrap()), ..bare() });
    }
    for time in [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.1Z",
        "2026-01-02T03:04:05.000000001Z",
        "2024-02-29T23:59:59.999999999Z",
        "1970-01-01T00:00:00Z",
        "9999-12-30T22:00:00.5Z",
    ] {
        agrees(&Record { time: time.parse().unwrap(), ..bare() });
    }
    for bytes_out in [0, 9, 10, 99, 100, 1024, 1_000_000, u64::MAX - 1] {
        agrees(&Record { outcome: Some(Outcome { bytes_out, ..outcome() }), ..bare() });
    }
    for total in [0.001, 0.01, 0.1, 0.123, 0.1234, 1.0, 9.999, 9.9996, 10.02, 86_400_000.5, 1e8 + 0.001] {
        let ms = Milliseconds { policy: total, upstream: total, total };
        agrees(&Ended { outcome: Outcome { ms, ..Outcome::default() }, ..ended() });
    }
    agrees(&ended());
    let refused = Some(Refused { decision: Decision::Deny, reason: "audit-unavailable".into() });
    agrees(&Ended { refused, error: Some("it broke".into()), ..ended() });
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
fn what_is_not_plain_is_left_to_the_careful_way() {
    let refused = |record: Record<'_>| assert!(!record.append_plain(&mut Vec::new()), "{record:?}");
    for text in ["\"", "\\", "\n", "\u{7f}", "ü", "\u{202e}"] {
        refused(Record { path: text.into(), ..full() });
        refused(Record { user_agent: Some(text.into()), ..full() });
        refused(Record { query_keys: vec![text.into()], ..full() });
        refused(Record {
            user: Some(User { groups: Cow::Owned(vec![text.into()]), ..full().user.unwrap() }),
            ..full()
        });
    }
    refused(Record { path: "a".repeat(MAX_TEXT_BYTES + 1).into(), ..full() });
    refused(Record { query_keys: vec!["q".into(); MAX_ITEMS + 1], ..full() });
    refused(Record { fields: Cow::Owned(vec![("team".into(), "sre".into())]), ..full() });
    refused(Record { inputs: Cow::Owned(vec![("user.name".into(), Input::Redacted)]), ..full() });
    for total in [f64::NAN, f64::INFINITY, -1.0, 1e10] {
        let ms = Milliseconds { total, ..Milliseconds::default() };
        refused(Record { outcome: Some(Outcome { ms, ..outcome() }), ..full() });
    }
}
