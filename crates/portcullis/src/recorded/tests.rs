//! Tests of `recorded`: what a record tells, and what it does not.

use std::path::Path;

use authorize::{Knowledge as _, Known, Read};
use serde_json::{Value, json};

use super::{Line, Reader, Recorded, SignedIn};

/// A record of a request by Ada, changed.
fn read(change: impl FnOnce(&mut Value)) -> Option<Recorded<'static>> {
    let mut record = json!({
        "time": "2026-01-02T03:04:05Z", "id": "r1", "kind": "request", "revision": "a1", "route": "app",
        "client_ip": "203.0.113.7", "peer_ip": "10.0.0.2", "client_ip_source": "x-forwarded-for",
        "user": {"id": "https://idp.test|ada", "email": "ada@example.com", "groups": ["sre"], "provider": "corp"},
        "session": "s1", "method": "GET", "scheme": "https", "host": "app.test", "path": "/a", "query_keys": ["q"],
        "protocol": "h2", "tls": {"version": "1.3", "sni": "app.test"},
        "decision": "allow", "rule": "p/r", "reason": "allow-rule-matched",
    });
    change(&mut record);
    // Lives as long as the test does.
    let line: &'static str = record.to_string().leak();
    let line: &'static Line<'static> = Box::leak(Box::new(Line::read(line.as_bytes()).unwrap()));
    Recorded::read(line, &mut Reader::new(Path::new("/nonexistent"), &audit::Redaction::default()))
}

fn known(recorded: &Recorded<'_>, field: &'static str, key: Option<&str>) -> Known {
    recorded.of(&Read { field, key: key.map(Into::into), presence: false })
}

#[test]
fn what_a_record_holds_is_known_and_nothing_else() {
    let recorded = read(|_| {}).unwrap();
    for field in ["request.ip", "request.peer_ip", "request.path", "request.time", "request.tls.sni", "route.name"] {
        assert_eq!(known(&recorded, field, None), Known::Value, "{field}");
    }
    for field in ["user.authenticated", "user.id", "user.email", "user.groups", "user.provider", "session.id"] {
        assert_eq!(known(&recorded, field, None), Known::Value, "{field}");
    }
    assert_eq!(known(&recorded, "request.tls.client_certificate.present", None), Known::Value);
    for field in ["user.name", "user.claims", "session.acr", "request.headers", "request.query", "request.grpc.method"]
    {
        assert_eq!(known(&recorded, field, None), Known::Nothing, "{field}");
    }
    assert_eq!(known(&recorded, "request.headers", Some("user-agent")), Known::Nothing);
    assert_eq!(known(&recorded, "request.query", Some("q")), Known::Presence);
    // A bare word has no key in the record, so it may have been there.
    assert_eq!(known(&recorded, "request.query", Some("r")), Known::Nothing);
}

#[test]
fn the_port_of_a_tunnel_is_no_part_of_its_host() {
    let tunnel = |host: &str| {
        read(|record| {
            record["method"] = json!("CONNECT");
            record["host"] = json!(host);
            record["path"] = json!("");
        })
    };
    let recorded = tunnel("app.test:22").unwrap();
    assert_eq!((&*recorded.situation.host, recorded.port), ("app.test", Some(22)));
    let recorded = tunnel("[::1]:5432").unwrap();
    assert_eq!((&*recorded.situation.host, recorded.port), ("[::1]", Some(5432)));
    assert!(tunnel("app.test:none").is_none());
    assert_eq!(read(|record| record["host"] = json!("[::1]")).unwrap().port, None);
}

#[test]
fn inputs_are_known_as_far_as_they_were_kept() {
    let recorded = read(|record| {
        record["inputs"] = json!({
            "request.headers.a": {"is": "1"}, "request.headers.b": {"hash": "x"}, "request.headers.c": "redacted",
            "request.headers.d": null, "request.headers.e": {"is": "long…(+9 bytes)"}, "user.claims.level": {"is": 7},
            "session.acr": {"is": "mfa"}, "user.machine": {"is": true},
        });
    })
    .unwrap();
    for (key, expected) in [
        ("a", Known::Value),
        ("b", Known::Presence),
        ("c", Known::Presence),
        ("d", Known::Value),
        ("e", Known::Presence),
    ] {
        assert_eq!(known(&recorded, "request.headers", Some(key)), expected, "{key}");
    }
    assert_eq!(known(&recorded, "user.claims", Some("level")), Known::Value);
    let input = recorded.situation.input();
    assert_eq!(input.request.headers.get("a").as_deref(), Some("1"));
    assert!(input.request.headers.get("b").is_some() && input.request.headers.get("d").is_none());
    let user = input.user.unwrap();
    assert_eq!((user.claims().get("level"), &*user.proof().acr), (Some(&json!(7)), "mfa"));
    assert_eq!(user.kind(), identity::Kind::Machine);
}

#[test]
fn who_was_not_looked_for_is_not_known_to_be_nobody() {
    let signed_in = |change: &dyn Fn(&mut Value)| {
        let recorded = read(|record| {
            record.as_object_mut().unwrap().remove("user");
            change(record);
        })
        .unwrap();
        (recorded.signed_in, known(&recorded, "user.groups", None))
    };
    assert_eq!(signed_in(&|_| {}), (SignedIn::Unknown, Known::Nothing));
    assert_eq!(signed_in(&|record| record["reason"] = "sign-in-required".into()), (SignedIn::No, Known::Value));
    assert_eq!(
        signed_in(&|record| record["reason"] = "other-provider-required".into()),
        (SignedIn::Unknown, Known::Nothing)
    );
    assert_eq!(
        signed_in(&|record| record["inputs"] = json!({"user.authenticated": {"is": false}})),
        (SignedIn::No, Known::Value)
    );
}

#[test]
fn what_was_cut_off_is_not_known() {
    let recorded = read(|record| record["user"]["groups"] = json!(["a", "…(+3 items)"])).unwrap();
    assert_eq!(known(&recorded, "user.groups", None), Known::Nothing);
    assert_eq!(known(&recorded, "user.email", None), Known::Value);
    assert_eq!(recorded.unknown_for_routing(), None);
    let recorded = read(|record| record["path"] = "/long…(+3 bytes)".into()).unwrap();
    assert_eq!(known(&recorded, "request.path", None), Known::Nothing);
    assert_eq!(recorded.unknown_for_routing(), Some("request.path"));
}

#[test]
fn what_was_not_to_be_written_is_not_known() {
    let recorded = read(|record| {
        record["user"] = json!({"id": "hmac:abc", "email": "[removed]", "groups": ["a"], "provider": "corp"});
        record["path"] = "hmac:abc".into();
    })
    .unwrap();
    assert_eq!(known(&recorded, "user.id", None), Known::Nothing);
    assert_eq!(known(&recorded, "user.email", None), Known::Nothing);
    assert_eq!(known(&recorded, "user.groups", None), Known::Value);
    assert_eq!(recorded.unknown_for_routing(), Some("request.path"));
    // An address of which only the network was written looks like another: the configuration tells.
    let redaction = audit::Redaction { client_ip: audit::Redact::Truncate, ..audit::Redaction::default() };
    let line = json!({
        "time": "2026-01-02T03:04:05Z", "id": "r1", "kind": "request", "client_ip": "203.0.113.0", "peer_ip": "10.0.0.2",
        "client_ip_source": "peer", "method": "GET", "scheme": "https", "host": "app.test", "path": "/a",
        "protocol": "h2", "decision": "deny", "reason": "no-policy-matched",
    })
    .to_string();
    let mut reader = Reader::new(Path::new("/nonexistent"), &redaction);
    let line = Line::read(line.as_bytes()).unwrap();
    let recorded = Recorded::read(&line, &mut reader).unwrap();
    assert_eq!(known(&recorded, "request.ip", None), Known::Nothing);
    assert_eq!(known(&recorded, "request.peer_ip", None), Known::Value);
}

#[test]
fn what_no_policy_decided_is_left_out() {
    for reason in ["own-endpoint", "audit-unavailable", "client-left", "path-invalid"] {
        assert!(read(|record| record["reason"] = reason.into()).is_none(), "{reason}");
    }
    for kind in ["outcome", "sign_in", "revoke", "segment"] {
        assert!(read(|record| record["kind"] = kind.into()).is_none(), "{kind}");
    }
    assert!(read(|record| record["reason"] = "no-route".into()).is_some());
}
