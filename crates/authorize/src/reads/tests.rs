//! Tests of `reads`.

use super::{looks_like_token, sounds_secret};
use crate::Authorizer;
use crate::fixture::config;

fn reads(when: &str) -> Vec<String> {
    let (authorizer, _) = Authorizer::compile(&config(&[when], &[])).unwrap();
    let presence = |read: &crate::Read| if read.presence { "?" } else { "" };
    authorizer.route(0).unwrap().reads().iter().map(|read| format!("{read}{}", presence(read))).collect()
}

#[test]
fn every_way_to_name_an_input_is_found() {
    for (when, expected) in [
        ("true", &[][..]),
        (r#"request.ip.inNetwork("vpn") && user.email == """#, &["request.ip", "user.email"]),
        (r#"request.headers["x-a"] == "1" || request.headers.b == "2""#, &["request.headers.b", "request.headers.x-a"]),
        (r#"has(user.claims.team) && user.claims.team == "a""#, &["user.claims.team", "user.claims.team?"]),
        (r#""q" in request.query || has(request.query.r)"#, &["request.query.q?", "request.query.r?"]),
        (r#"user.claims.realm.roles.exists(role, role == user.name)"#, &["user.claims.realm", "user.name"]),
        (r#"request.headers.exists(name, request.headers[name] == "a")"#, &["request.headers"]),
        ("has(request.tls.client_certificate)", &["request.tls.client_certificate.present"]),
        (
            "has(request.headers.a) ? user.authenticated : user.machine",
            &["request.headers.a?", "user.authenticated", "user.machine"],
        ),
        (r#"["a"].exists(user, user == "a")"#, &[]),
    ] {
        assert_eq!(reads(when), expected, "{when}");
    }
}

#[test]
fn credentials_are_told_by_their_names_and_by_their_form() {
    for name in
        ["authorization", "Cookie", "set-cookie", "x-api-key", "X-Auth-Token", "access_token", "code", "password"]
    {
        assert!(sounds_secret(name), "{name}");
    }
    for name in ["x-role", "accept", "user-agent", "country_code", "department", "keyboard", "authors"] {
        assert!(!sounds_secret(name), "{name}");
    }
    assert!(looks_like_token("eyJhbGciOiJub25lIn0.e30."));
    assert!(looks_like_token("Bearer eyJhbGciOiJub25lIn0.e30.c2ln"));
    assert!(!looks_like_token("eyJ is how it begins") && !looks_like_token("10.0.0.1") && !looks_like_token("a.b.c"));
}
