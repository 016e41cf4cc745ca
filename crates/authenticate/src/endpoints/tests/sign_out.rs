//! Sign-out by the user, and by the provider.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::*;
use crate::oidc::test_provider::object;
use crate::store::tests::Failing;

const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");

#[tokio::test]
async fn sign_out_ends_the_session_on_every_host_and_at_the_provider() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    let before = browser.jar.clone();
    let page = world.get(&mut browser, &format!("{APP}/.portcullis/sign_out")).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(world.user(&mut browser).await.is_some(), "a GET signed out");
    let response = world.post(&mut browser, &format!("{APP}/.portcullis/sign_out"), SAME_ORIGIN, "").await;
    assert_eq!(reason(&response), "signed-out");
    let to = Url::parse(&location(&response)).unwrap();
    let query: HashMap<_, _> = to.query_pairs().into_owned().collect();
    assert_eq!(to.path(), "/end");
    assert!(query["id_token_hint"].starts_with("eyJ"));
    assert_eq!(query["post_logout_redirect_uri"], format!("{AUTH}/.portcullis/signed_out"));
    assert!(browser.cookies(APP).is_empty());
    assert_nobody(&world, &mut Browser { jar: before }).await;
}

#[tokio::test]
async fn sign_out_without_a_place_at_the_provider_ends_at_our_own_page() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.provider.lie(|lies| lies.metadata = object(json!({ "end_session_endpoint": null })));
    world.sign_in(&mut browser).await;
    let response = world.post(&mut browser, &format!("{APP}/.portcullis/sign_out"), SAME_ORIGIN, "").await;
    assert_eq!(location(&response), "/.portcullis/signed_out");
    let page = world.get(&mut browser, &format!("{APP}/.portcullis/signed_out")).await;
    assert_eq!(page.status(), StatusCode::OK);
}

#[tokio::test]
async fn another_site_cannot_sign_anybody_out() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    let url = format!("{APP}/.portcullis/sign_out");
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
        ("x-nothing", "at-all"),
    ] {
        let response = world.post(&mut browser, &url, header, "").await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{header:?}");
        assert!(world.user(&mut browser).await.is_some(), "{header:?} signed out");
    }
    let response = world.post(&mut browser, &url, ("origin", APP), "").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
}

fn logout_claims(world: &World) -> Map<String, Value> {
    object(json!({
        "iss": world.provider.issuer, "aud": "portcullis", "iat": NOW, "exp": NOW + 120, "jti": "j1",
        "sid": "provider-session", "sub": "ada",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    }))
}

async fn logout(world: &World, token: &str) -> Response {
    let body = format!("logout_token={token}");
    let form = ("content-type", "application/x-www-form-urlencoded");
    world.post(&mut Browser::default(), &format!("{AUTH}/.portcullis/backchannel_logout"), form, &body).await
}

#[tokio::test]
async fn the_provider_ends_a_session_by_its_sid_or_its_subject() {
    for absent in ["sid", "sub"] {
        let (world, mut browser) = (World::new().await, Browser::default());
        world.sign_in(&mut browser).await;
        let mut claims = logout_claims(&world);
        claims.remove(absent);
        let token = world.provider.token(claims);
        let response = logout(&world, &token).await;
        assert_eq!((response.status(), reason(&response)), (StatusCode::OK, "backchannel-logout"));
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_nobody(&world, &mut browser).await;
        assert_eq!(logout(&world, &token).await.status(), StatusCode::BAD_REQUEST, "a token was honoured twice");
    }
}

#[tokio::test]
async fn a_logout_token_with_one_flaw_ends_nothing() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    let flaws = [
        json!({ "iss": "https://evil.example.com" }),
        json!({ "aud": "another-client" }),
        json!({ "aud": ["portcullis", "another-client"] }),
        json!({ "aud": [] }),
        json!({ "nonce": "n" }),
        json!({ "iat": NOW - 200 }),
        json!({ "iat": NOW + 61 }),
        json!({ "exp": NOW - 61 }),
        json!({ "exp": null }),
        json!({ "jti": null }),
        json!({ "events": null }),
        json!({ "events": {} }),
        json!({ "sub": null, "sid": null }),
    ];
    for flaw in flaws {
        world.provider.lie(|lies| lies.claims = object(flaw.clone()));
        let response = logout(&world, &world.provider.token(logout_claims(&world))).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{flaw}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(world.user(&mut browser).await.is_some(), "{flaw} ended the session");
    }
    world.provider.lie(|lies| lies.claims.clear());
    use crate::oidc::test_provider::Signing;
    for signing in [Signing::WithAnotherKey, Signing::WithPublicKeyAsSecret, Signing::Not] {
        world.provider.lie(|lies| lies.signing = signing);
        let response = logout(&world, &world.provider.token(logout_claims(&world))).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
    for token in ["", "x", "a.b.c", "....."] {
        assert_eq!(logout(&world, token).await.status(), StatusCode::BAD_REQUEST);
    }
    assert!(world.user(&mut browser).await.is_some());
}

#[tokio::test]
async fn a_logout_token_needs_a_single_key_of_the_type_that_it_is_signed_with() {
    for kid in [json!("k1"), json!(null)] {
        let (world, mut browser) = (World::new().await, Browser::default());
        let of_another_type = json!({ "kty": "RSA", "kid": "k1", "use": "sig", "n": "u1Sx", "e": "AQAB" });
        let keys = json!({ "keys": [of_another_type, world.provider.shared.public_key()] });
        world.provider.lie(|lies| {
            lies.keys = Some(keys);
            lies.header = object(json!({ "kid": kid }));
        });
        world.sign_in(&mut browser).await;
        assert_eq!(
            logout(&world, &world.provider.token(logout_claims(&world))).await.status(),
            StatusCode::OK,
            "{kid}"
        );
        assert_nobody(&world, &mut browser).await;
    }
}

#[tokio::test]
async fn a_logout_token_that_names_no_key_has_the_keys_looked_up_where_several_fitted() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let keys = [world.provider.shared.public_key(), world.provider.shared.another_public_key()];
    world.provider.lie(|lies| lies.keys = Some(json!({ "keys": keys })));
    world.sign_in(&mut browser).await;
    world.provider.lie(|lies| {
        lies.keys = None;
        lies.header = object(json!({ "kid": null }));
    });
    assert_eq!(logout(&world, &world.provider.token(logout_claims(&world))).await.status(), StatusCode::OK);
    assert_nobody(&world, &mut browser).await;
}

#[tokio::test]
async fn logout_tokens_are_taken_on_the_host_of_sign_in_alone() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let url = format!("{APP}/.portcullis/backchannel_logout");
    assert_eq!(world.post(&mut browser, &url, ("x-y", "z"), "").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_gets_json_that_says_where_to_sign_in() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let response = world.get(&mut browser, &format!("{APP}/.portcullis/user")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let answer: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(answer["error"], "unauthenticated");
    assert_eq!(answer["request_id"], "r-1");
    assert_eq!(answer["sign_in"], format!("{APP}/.portcullis/sign_in?return_to=%2F"));
    let keys = world.get(&mut browser, &format!("{APP}/.well-known/portcullis/jwks.json")).await;
    let keys: Value = serde_json::from_str(&text(keys).await).unwrap();
    assert_eq!(keys["keys"][0]["kty"], "EC");
}

/// Returns the ids of all sessions that an answer ended.
fn ended(response: &Response) -> std::collections::BTreeSet<String> {
    let event = response.extensions().get::<Event>().unwrap();
    event.session.iter().chain(&event.ended).map(|session| session.id().as_str().to_owned()).collect()
}

#[tokio::test]
async fn every_session_that_a_provider_ends_is_told() {
    let world = World::new().await;
    let mut browsers = [Browser::default(), Browser::default(), Browser::default()];
    for browser in &mut browsers {
        world.sign_in(browser).await;
    }
    let mut claims = logout_claims(&world);
    claims.remove("sid");
    let response = logout(&world, &world.provider.token(claims)).await;
    assert_eq!((reason(&response), ended(&response).len()), ("backchannel-logout", 3));
    for browser in &mut browsers {
        assert_nobody(&world, browser).await;
    }
}

#[tokio::test]
async fn a_logout_that_the_store_cut_short_is_taken_up_again() {
    let backend = Failing::new();
    let changes_left = Arc::clone(&backend.changes_left);
    let world = World::on(Store::with_backend(backend), |_| ()).await;
    let mut browsers = [Browser::default(), Browser::default()];
    for browser in &mut browsers {
        world.sign_in(browser).await;
    }
    let token = world.provider.token(logout_claims(&world));
    changes_left.store(1, Ordering::SeqCst);
    let response = logout(&world, &token).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"));
    assert_eq!(ended(&response).len(), 1, "what did end is told");
    changes_left.store(usize::MAX, Ordering::SeqCst);
    let response = logout(&world, &token).await;
    assert_eq!((response.status(), ended(&response).len()), (StatusCode::OK, 1));
    for browser in &mut browsers {
        assert_nobody(&world, browser).await;
    }
}

/// A body that never comes.
struct Silent;

impl hyper::body::Body for Silent {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_logout_token_that_trickles_in_is_given_up() {
    let form = super::super::backchannel_logout::form(Body::new(Silent), std::time::Duration::from_millis(10)).await;
    assert_eq!(form.unwrap_err(), "the body did not come in time");
}

#[tokio::test]
async fn a_sign_out_that_does_not_happen_says_so() {
    let backend = Failing::new();
    let changes_left = Arc::clone(&backend.changes_left);
    let world = World::on(Store::with_backend(backend), |_| ()).await;
    let mut browser = Browser::default();
    world.sign_in(&mut browser).await;
    let url = format!("{APP}/.portcullis/sign_out");
    let response = world.post(&mut browser, &url, ("sec-fetch-site", "cross-site"), "").await;
    assert_eq!(reason(&response), "cross-site");
    changes_left.store(0, Ordering::SeqCst);
    let response = world.post(&mut browser, &url, SAME_ORIGIN, "").await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"));
    assert!(
        browser.cookies(APP).contains(&"__Host-portcullis".to_owned()),
        "the handle of a live session was forgotten"
    );
}
