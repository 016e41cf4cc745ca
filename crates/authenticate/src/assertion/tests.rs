//! Assertions, as an upstream verifies them.

use std::time::Duration;

use http::HeaderValue;
use identity::Clock as _;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::assertion;
use crate::session::NewSession;
use crate::session::tests::{World, identity, origin, sign_in_of};
use crate::{Session, SessionConfig};

fn signed(world: &World, session: &Session, audience: &str) -> HeaderValue {
    assertion(session, &origin(audience), &world.keys, world.clock.now()).unwrap()
}

/// Verifies as an upstream should: by the key set, for its own name.
fn verified(world: &World, token: &HeaderValue, host: &str) -> Map<String, Value> {
    let token = token.to_str().unwrap();
    let header = decode_header(token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::ES256, Some("JWT")));
    let keys: JwkSet = serde_json::from_value(world.keys.jwks().clone()).unwrap();
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[host]);
    validation.set_issuer(&[host]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    // The clock of the test stands in the past.
    validation.validate_exp = false;
    decode(token, &key, &validation).unwrap().claims
}

async fn signed_in() -> (World, std::sync::Arc<Session>) {
    let world = World::new(SessionConfig::default());
    let (_, session) = world.sign_in(sign_in_of("ada"), &origin("https://app.example.com")).await;
    (world, session)
}

#[tokio::test]
async fn an_upstream_verifies_who_is_calling() {
    let (world, session) = signed_in().await;
    let now = world.clock.now().as_second();
    for (audience, host) in [
        ("https://app.example.com", "app.example.com"),
        ("https://app.example.com:8443", "app.example.com"),
        ("http://app.example.com:80", "app.example.com"),
    ] {
        let claims = verified(&world, &signed(&world, &session, audience), host);
        let expected = serde_json::json!({
            "iss": host, "aud": host, "sub": "ada", "email": "ada@example.com", "groups": ["sre", "on-call"],
            "name": "Ada", "sid": session.id().as_str(), "idp": "https://idp.example.com",
            "iat": now, "exp": now + 300,
        });
        assert_eq!(Value::Object(claims), expected);
    }
}

#[tokio::test]
async fn what_the_provider_does_not_vouch_for_is_left_out() {
    let world = World::new(SessionConfig::default());
    let known = identity("ada");
    let bare = identity::Identity::verified(identity::Verified {
        issuer: known.issuer().clone(),
        subject: known.subject().clone(),
        kind: known.kind(),
        provider: known.provider().clone(),
        email: "".into(),
        name: "".into(),
        groups: [].into(),
        claims: known.claims().clone(),
        proof: known.proof().clone(),
    });
    let new = NewSession { identity: bare, ..sign_in_of("ada") };
    let (_, session) = world.sign_in(new, &origin("https://app.example.com")).await;
    let claims = verified(&world, &signed(&world, &session, "https://app.example.com"), "app.example.com");
    assert!(!claims.contains_key("email") && !claims.contains_key("name"));
    assert_eq!(claims["groups"], serde_json::json!([]));
}

#[tokio::test]
async fn an_assertion_is_signed_once_for_each_host_until_half_of_its_life() {
    let (world, session) = signed_in().await;
    let (app, other) = ("https://app.example.com", "https://other.example.com");
    let (first, elsewhere) = (signed(&world, &session, app), signed(&world, &session, other));
    assert_ne!(first, elsewhere);
    world.clock.set(world.clock.now() + Duration::from_secs(149));
    assert_eq!(signed(&world, &session, app), first);
    assert_eq!(signed(&world, &session, other), elsewhere);
    world.clock.set(world.clock.now() + Duration::from_secs(1));
    let renewed = signed(&world, &session, app);
    assert_ne!(renewed, first);
    assert_eq!(signed(&world, &session, app), renewed);
    assert!(renewed.is_sensitive());
}

#[tokio::test]
async fn a_session_remembers_a_bounded_number_of_hosts() {
    let (world, session) = signed_in().await;
    for host in 0..100 {
        signed(&world, &session, &format!("https://app{host}.example.com"));
    }
    assert_eq!(session.assertions().0.load().len(), super::MAX_AUDIENCES);
}
