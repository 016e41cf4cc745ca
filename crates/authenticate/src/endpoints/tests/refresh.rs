//! Sessions that are refreshed, by providers that rotate, lie, fail and come back.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::*;
use crate::oidc::test_provider::{Lies, Signing, object};
use crate::store::tests::Failing;
use crate::{RefreshResult, Session};

/// Into the window before the end of a token, and past its end: the provider's live for ten minutes.
const WINDOW: i64 = 595;
const PAST: i64 = 605;

/// A world whose provider gives refresh tokens, with what was told of refreshes.
struct Refreshing {
    world: World,
    browser: Browser,
    told: Arc<Mutex<Vec<String>>>,
}

impl Refreshing {
    async fn new() -> Self {
        Self::with(|_| (), |_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Config), lie: impl FnOnce(&mut Lies)) -> Self {
        Self::on(Store::open(&StoreLocation::Memory).unwrap(), change, lie).await
    }

    async fn on(store: Store, change: impl FnOnce(&mut Config), lie: impl FnOnce(&mut Lies)) -> Self {
        let world = World::on(store, change).await;
        let told = watch(&world.authenticator);
        world.provider.lie(|lies| lies.refreshes = true);
        world.provider.lie(lie);
        let mut browser = Browser::default();
        assert_eq!(world.sign_in(&mut browser).await.status(), StatusCode::SEE_OTHER);
        Self { world, browser, told }
    }

    fn pass(&self, seconds: i64) {
        self.world.pass(seconds);
        self.world.provider.lie(|lies| lies.passed += seconds);
    }

    /// Sends a request and waits for what goes on beside it.
    async fn ask(&mut self) -> Option<Value> {
        let user = self.world.user(&mut self.browser).await;
        self.world.authenticator.settle().await;
        user
    }

    fn says(&self, claims: Value) {
        self.world.provider.lie(|lies| lies.claims.extend(object(claims)));
    }

    fn answers(&self, status: StatusCode, body: &str) {
        self.world.provider.lie(|lies| drop(lies.answers.insert("/token", (status, body.into()))));
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    async fn session(&self) -> Arc<Session> {
        self.world.authenticator.sessions().await.unwrap().pop().unwrap()
    }
}

pub(super) fn watch(authenticator: &Authenticator) -> Arc<Mutex<Vec<String>>> {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let list = Arc::clone(&told);
    authenticator.observe_refreshes(move |event| {
        list.lock().unwrap().push(match event.result {
            RefreshResult::Refreshed => "refreshed".into(),
            RefreshResult::Failed { reason, is_first, .. } => format!("{reason}, first: {is_first}"),
            RefreshResult::Ended { reason, programs: [], .. } => format!("{reason}, ended"),
            RefreshResult::Ended { reason, programs, .. } => format!("{reason}, ended with {}", programs.len()),
        });
    });
    told
}

fn groups(user: Option<&Value>) -> Value {
    user.unwrap()["groups"].clone()
}

#[tokio::test]
async fn offline_access_is_asked_for_where_the_provider_lists_it() {
    let scope = async |lists: bool, scopes: Option<&[&str]>| {
        let scopes = scopes.map(|scopes| scopes.iter().copied().map(str::to_owned).collect());
        let world = World::with(|config| config.providers[0].scopes = scopes).await;
        let listed = if lists { json!(["openid", "offline_access"]) } else { json!(["openid"]) };
        world.provider.lie(|lies| drop(lies.metadata.insert("scopes_supported".into(), listed)));
        let mut browser = Browser::default();
        let response = world.get(&mut browser, &format!("{APP}/.portcullis/sign_in")).await;
        let response = world.get(&mut browser, &location(&response)).await;
        let provider = Url::parse(&location(&response)).unwrap();
        provider.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned()
    };
    assert_eq!(scope(true, None).await, "openid profile email offline_access");
    assert_eq!(scope(false, None).await, "openid profile email");
    assert_eq!(scope(true, Some(&["openid", "groups"])).await, "openid groups");
    assert_eq!(scope(false, Some(&["openid", "offline_access"])).await, "openid offline_access");
}

#[tokio::test]
async fn nobody_is_asked_before_the_token_is_about_to_end() {
    let mut one = Refreshing::new().await;
    one.pass(400);
    assert!(one.ask().await.is_some());
    assert_eq!(one.world.provider.asked("/token"), 1);
    assert!(one.told().is_empty());
}

#[tokio::test]
async fn in_the_window_a_request_goes_on_and_the_next_one_sees_what_changed() {
    let mut one = Refreshing::new().await;
    one.pass(WINDOW);
    one.says(json!({ "groups": ["sales"], "name": "Ada L." }));
    let before = one.session().await;
    assert_eq!(groups(one.ask().await.as_ref()), json!(["sre"]));
    assert_eq!(one.told(), ["refreshed"]);
    assert!(before.is_outdated(), "who holds the session is not told");
    assert_eq!(*before.renewed().unwrap().identity().groups(), ["sales".into()]);
    let user = one.ask().await;
    assert_eq!((groups(user.as_ref()), &user.unwrap()["name"]), (json!(["sales"]), &json!("Ada L.")));
    let after = one.session().await;
    assert_eq!((after.id(), after.created(), after.expires()), (before.id(), before.created(), before.expires()));
    assert!(!after.is_outdated() && one.told().is_empty());
}

#[tokio::test]
async fn after_the_end_a_request_waits_and_sees_what_changed() {
    let mut one = Refreshing::new().await;
    one.pass(3_600);
    one.says(json!({ "groups": ["sales"] }));
    let user = one.world.user(&mut one.browser).await;
    assert_eq!(groups(user.as_ref()), json!(["sales"]));
}

#[tokio::test]
async fn fifty_requests_at_once_ask_the_provider_once() {
    for seconds in [WINDOW, PAST] {
        let one = Refreshing::new().await;
        one.pass(seconds);
        let authenticator = &one.world.authenticator;
        let headers: http::HeaderMap = one.browser.jar[APP]
            .iter()
            .map(|(name, value)| (COOKIE, format!("{name}={value}").parse().unwrap()))
            .collect();
        let (origin, time) = (APP.parse().unwrap(), one.world.clock.now());
        let requests =
            (0..50).map(|_| authenticator.authenticate(Presented { origin: &origin, headers: &headers, time }));
        let mut requests: Vec<_> = requests.map(Box::pin).collect();
        // All have begun before any goes on.
        std::future::poll_fn(|cx| {
            requests.retain_mut(|request| match request.as_mut().poll(cx) {
                std::task::Poll::Ready(outcome) => {
                    assert!(matches!(outcome, crate::Outcome::Authenticated(_)), "{outcome:?}");
                    false
                }
                std::task::Poll::Pending => true,
            });
            if requests.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        authenticator.settle().await;
        assert_eq!(one.world.provider.asked("/token"), 2, "a sign-in and one refresh");
        assert_eq!(one.told(), ["refreshed"]);
    }
}

#[tokio::test]
async fn each_refresh_uses_the_token_that_the_last_one_brought() {
    let mut one = Refreshing::new().await;
    for round in 2..6 {
        one.pass(WINDOW);
        assert!(one.ask().await.is_some());
        assert_eq!(one.told(), ["refreshed"], "round {round}");
    }
    // The provider has seen a token twice: a thief has one of them.
    one.world.provider.shared.grant.lock().unwrap().reused = true;
    one.pass(PAST);
    assert!(one.ask().await.is_none());
    assert_eq!(one.told(), ["grant-ended, ended"]);
}

#[tokio::test]
async fn a_provider_that_does_not_rotate_takes_the_same_token_again() {
    let mut one = Refreshing::new().await;
    one.world.provider.lie(|lies| drop(lies.token.insert("refresh_token".into(), Value::Null)));
    one.world.provider.lie(|lies| lies.refreshes = false);
    for _ in 0..3 {
        one.pass(WINDOW);
        assert!(one.ask().await.is_some());
        assert_eq!(one.told(), ["refreshed"]);
    }
}

#[tokio::test]
async fn a_provider_that_ended_the_grant_ends_the_session() {
    for code in ["invalid_grant", "interaction_required", "login_required", "consent_required"] {
        for seconds in [WINDOW, PAST] {
            let mut one = Refreshing::new().await;
            let (session, before) = (one.session().await, Browser { jar: one.browser.jar.clone() });
            one.pass(seconds);
            one.answers(StatusCode::BAD_REQUEST, &format!(r#"{{"error":"{code}","error_description":"secret"}}"#));
            assert_eq!(one.ask().await.is_some(), seconds == WINDOW, "{code}");
            assert_eq!(one.told(), ["grant-ended, ended"]);
            assert!(!one.world.authenticator.goes_on(&session), "what it has open stays open");
            assert!(one.world.authenticator.sessions().await.unwrap().is_empty());
            let mut before = before;
            assert_nobody(&one.world, &mut before).await;
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_away_ends_nothing_and_is_asked_again() {
    let away = [
        (StatusCode::BAD_GATEWAY, "", "exchange-failed"),
        (StatusCode::SERVICE_UNAVAILABLE, "<html>", "provider-unavailable"),
        (StatusCode::OK, "{", "provider-unavailable"),
        (StatusCode::OK, r#"{"access_token":7}"#, "provider-unavailable"),
        (StatusCode::FOUND, "", "exchange-failed"),
        (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"server_error"}"#, "exchange-failed"),
        (StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#, "exchange-failed"),
        (StatusCode::TOO_MANY_REQUESTS, r#"{"error":"slow_down"}"#, "exchange-failed"),
    ];
    for (status, body, reason) in away {
        let mut one = Refreshing::new().await;
        one.answers(status, body);
        one.pass(PAST);
        for _ in 0..5 {
            assert_eq!(groups(one.ask().await.as_ref()), json!(["sre"]), "{status} {body}");
        }
        assert_eq!(one.told(), [format!("{reason}, first: true")], "asked while it is left alone: {status} {body}");
        one.pass(31);
        assert!(one.ask().await.is_some());
        assert_eq!(one.told(), [format!("{reason}, first: false")]);
        one.world.provider.lie(|lies| lies.answers.clear());
        one.says(json!({ "groups": ["sales"] }));
        one.pass(31);
        assert!(one.ask().await.is_some(), "a request waits for a provider that is known to be away");
        assert_eq!(one.told(), ["refreshed"]);
        assert_eq!(groups(one.ask().await.as_ref()), json!(["sales"]));
        one.answers(status, body);
        one.pass(PAST);
        assert!(one.ask().await.is_some());
        assert_eq!(one.told(), [format!("{reason}, first: true")], "another outage is told as the first was");
        one.pass(14 * 3_600);
        assert!(one.ask().await.is_none(), "the lifetime holds all the same");
    }
}

#[tokio::test]
async fn an_answer_about_somebody_or_something_else_ends_the_session() {
    let now = NOW + PAST;
    for claims in [
        json!({ "sub": "bob" }),
        json!({ "sub": null }),
        json!({ "iss": "https://evil.example.com" }),
        json!({ "aud": "another" }),
        json!({ "aud": ["portcullis", "another"] }),
        json!({ "azp": "another" }),
        json!({ "nonce": "another" }),
        json!({ "exp": now - 61 }),
        json!({ "iat": now + 61 }),
        json!({ "iat": NOW - 61 }),
        json!({ "at_hash": "another" }),
    ] {
        let mut one = Refreshing::new().await;
        one.pass(PAST);
        one.says(claims.clone());
        assert!(one.ask().await.is_none(), "{claims}");
        assert_eq!(one.told(), ["token-invalid, ended"], "{claims}");
    }
    for signing in [Signing::WithAnotherKey, Signing::WithPublicKeyAsSecret, Signing::Not] {
        let mut one = Refreshing::new().await;
        one.pass(PAST);
        one.world.provider.lie(|lies| lies.signing = signing);
        assert!(one.ask().await.is_none());
        assert_eq!(one.told(), ["token-invalid, ended"]);
    }
}

#[tokio::test]
async fn the_nonce_of_the_sign_in_may_come_again() {
    let mut one = Refreshing::new().await;
    let nonce = one.session().await.identity().claims().get("nonce").cloned().unwrap();
    for _ in 0..2 {
        one.pass(WINDOW);
        one.says(json!({ "nonce": nonce }));
        assert!(one.ask().await.is_some());
        assert_eq!(one.told(), ["refreshed"]);
        one.pass(WINDOW);
        one.says(json!({ "nonce": null }));
        assert!(one.ask().await.is_some());
        assert_eq!(one.told(), ["refreshed"]);
    }
}

#[tokio::test]
async fn who_is_not_admitted_any_more_has_no_session_any_more() {
    let of_domain = |config: &mut Config| config.providers[0].allowed_email_domains = vec!["example.com".into()];
    let mut one = Refreshing::with(of_domain, |_| ()).await;
    one.pass(PAST);
    one.says(json!({ "email": "ada@example.org" }));
    assert!(one.ask().await.is_none());
    assert_eq!(one.told(), ["email-domain-not-allowed, ended"]);
}

#[tokio::test]
async fn an_address_that_is_not_vouched_for_any_more_is_taken_back() {
    let mut one = Refreshing::new().await;
    one.pass(PAST);
    one.says(json!({ "email_verified": false }));
    assert_eq!(one.ask().await.unwrap()["email"], "");
}

#[tokio::test]
async fn when_and_how_somebody_signed_in_is_not_changed_by_a_refresh() {
    let how = object(json!({ "auth_time": NOW - 50, "acr": "phr", "amr": ["hwk"] }));
    let mut one = Refreshing::with(|_| (), |lies| lies.claims = how).await;
    let proof = one.session().await.identity().proof().clone();
    assert_eq!(&*proof.acr, "phr");
    for auth_time in [json!(NOW + PAST), json!(null)] {
        one.pass(PAST);
        one.says(json!({ "auth_time": auth_time, "acr": null, "amr": null }));
        assert!(one.ask().await.is_some());
        assert_eq!(one.told(), ["refreshed"]);
        assert_eq!(*one.session().await.identity().proof(), proof);
    }
    // It says that the user did something else meanwhile.
    one.pass(PAST);
    one.says(json!({ "acr": "0" }));
    assert!(one.ask().await.is_some());
    assert_eq!(&*one.session().await.identity().proof().acr, "0");
}

#[tokio::test]
async fn an_answer_without_an_id_token_leaves_the_claims_and_asks_userinfo_where_it_did_before() {
    let without = |one: &Refreshing| {
        one.world.provider.lie(|lies| {
            lies.token.insert("id_token".into(), Value::Null);
            lies.token.insert("expires_in".into(), 600.into());
        })
    };
    let mut one = Refreshing::new().await;
    without(&one);
    for _ in 0..2 {
        one.pass(PAST);
        assert_eq!(groups(one.ask().await.as_ref()), json!(["sre"]));
        assert_eq!(one.told(), ["refreshed"]);
    }
    assert_eq!(one.world.provider.asked("/userinfo"), 0);

    let elsewhere = |lies: &mut Lies| {
        lies.claims = object(json!({ "groups": null }));
        lies.userinfo = object(json!({ "groups": ["sre"] }));
    };
    let mut one = Refreshing::with(|_| (), elsewhere).await;
    assert_eq!(groups(one.ask().await.as_ref()), json!(["sre"]));
    without(&one);
    one.world.provider.lie(|lies| lies.userinfo = object(json!({ "groups": ["sales"] })));
    one.pass(PAST);
    assert_eq!(groups(one.ask().await.as_ref()), json!(["sales"]));
    one.world.provider.lie(|lies| lies.userinfo = object(json!({ "sub": "bob" })));
    one.pass(PAST);
    assert!(one.ask().await.is_none());
    assert_eq!(one.told(), ["refreshed", "subject-mismatch, ended"]);
}

#[tokio::test]
async fn a_token_that_was_exchanged_is_kept_although_the_rest_of_the_answer_cannot_be_used_yet() {
    let mut one = Refreshing::new().await;
    one.pass(PAST);
    // The key is published later than it is used.
    one.world.provider.lie(|lies| {
        lies.signing = Signing::WithAnotherKey;
        lies.header = object(json!({ "kid": "k2" }));
    });
    assert_eq!(groups(one.ask().await.as_ref()), json!(["sre"]));
    assert_eq!(one.told(), ["token-invalid, first: true"]);
    let key = one.world.provider.shared.another_public_key();
    one.world.provider.lie(|lies| lies.keys = Some(json!({ "keys": [key] })));
    one.pass(61);
    assert!(one.ask().await.is_some());
    assert_eq!(one.told(), ["refreshed"]);
}

#[tokio::test]
async fn a_store_that_fails_loses_no_token() {
    let store = Failing::new();
    let left = Arc::clone(&store.changes_left);
    let mut one = Refreshing::on(Store::with_backend(store), |_| (), |_| ()).await;
    one.pass(PAST);
    one.says(json!({ "groups": ["sales"] }));
    left.store(0, Ordering::SeqCst);
    assert_eq!(groups(one.ask().await.as_ref()), json!(["sre"]));
    assert_eq!(one.told(), ["store-unavailable, first: true"]);
    left.store(usize::MAX, Ordering::SeqCst);
    one.pass(31);
    assert!(one.ask().await.is_some());
    assert_eq!(one.told(), ["refreshed"], "the spent token was used again");
    assert_eq!(groups(one.ask().await.as_ref()), json!(["sales"]));
    // An end that the store did not take is made up for.
    one.pass(PAST);
    one.answers(StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#);
    left.store(0, Ordering::SeqCst);
    assert!(one.ask().await.is_some());
    assert_eq!(one.told(), ["store-unavailable, first: true"]);
    left.store(usize::MAX, Ordering::SeqCst);
    one.pass(31);
    one.ask().await;
    assert_eq!(one.told(), ["grant-ended, ended"]);
    assert!(one.ask().await.is_none());
}

#[tokio::test]
async fn a_session_that_ends_while_its_provider_is_asked_stays_ended() {
    let mut one = Refreshing::new().await;
    let session = one.session().await;
    one.pass(WINDOW);
    assert!(one.world.user(&mut one.browser).await.is_some());
    one.world.authenticator.revoke(&session).await.unwrap();
    one.world.authenticator.settle().await;
    assert!(one.told().is_empty());
    assert!(one.ask().await.is_none());
    assert!(one.world.authenticator.sessions().await.unwrap().is_empty(), "it came back");
}

#[tokio::test]
async fn what_a_refresh_brought_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let location = StoreLocation::File(folder.path().join("portcullis.db"));
    let mut one = Refreshing::on(Store::open(&location).unwrap(), |_| (), |_| ()).await;
    one.pass(WINDOW);
    one.says(json!({ "groups": ["sales"] }));
    assert!(one.ask().await.is_some());
    assert_eq!(one.told(), ["refreshed"]);
    let Refreshing { world: World { provider, clock, authenticator, programs }, browser, .. } = one;
    let config = (*authenticator.config).clone();
    drop(authenticator);
    let store = Arc::new(Store::open(&location).unwrap());
    let keys = Arc::new(Keys::load(&KeyTexts::default(), &store).unwrap());
    let authenticator = Authenticator::new(config, store, keys, clock.clone()).unwrap();
    let told = watch(&authenticator);
    let mut one = Refreshing { world: World { provider, clock, authenticator, programs }, browser, told };
    assert_eq!(groups(one.ask().await.as_ref()), json!(["sales"]));
    assert!(one.told().is_empty(), "asked although the token is fresh");
    one.pass(WINDOW);
    assert!(one.ask().await.is_some());
    assert_eq!(one.told(), ["refreshed"], "the spent token was used again");
}

#[tokio::test]
async fn a_session_without_a_refresh_token_lives_on_when_its_id_token_has_ended() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    world.pass(10 * 3_600);
    assert!(world.user(&mut browser).await.is_some());
    world.authenticator.settle().await;
    assert_eq!(world.provider.asked("/token"), 1);
}

#[tokio::test]
async fn a_token_that_outlives_the_session_is_not_refreshed() {
    let as_long = object(json!({ "exp": NOW + 14 * 3_600 }));
    let mut one = Refreshing::with(|_| (), |lies| lies.claims = as_long).await;
    one.pass(14 * 3_600 - 1);
    assert!(one.ask().await.is_some());
    assert_eq!(one.world.provider.asked("/token"), 1);
}

#[tokio::test]
async fn a_session_that_is_only_held_open_is_kept_fresh() {
    let one = Refreshing::new().await;
    let session = one.session().await;
    one.world.authenticator.keep_fresh(&session);
    one.world.authenticator.settle().await;
    assert!(one.told().is_empty());
    one.pass(WINDOW);
    one.says(json!({ "groups": ["sales"] }));
    for _ in 0..3 {
        one.world.authenticator.keep_fresh(&session);
        one.world.authenticator.settle().await;
    }
    assert_eq!(one.told(), ["refreshed"]);
    assert_eq!(*session.renewed().unwrap().identity().groups(), ["sales".into()]);
}

#[tokio::test]
async fn sign_out_gives_the_refresh_token_back() {
    for in_body in [false, true] {
        let mut one = Refreshing::new().await;
        let revocation = json!(format!("{}/revoke", one.world.provider.issuer));
        let methods = json!(if in_body { ["client_secret_post"] } else { ["client_secret_basic"] });
        one.world.provider.lie(|lies| {
            lies.metadata.insert("revocation_endpoint".into(), revocation);
            lies.metadata.insert("token_endpoint_auth_methods_supported".into(), methods);
        });
        one.pass(3_601);
        assert!(one.ask().await.is_some());
        let form = ("sec-fetch-site", "same-origin");
        let answer = one.world.post(&mut one.browser, &format!("{APP}/.portcullis/sign_out"), form, "").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        one.world.authenticator.settle().await;
        let revoked = std::mem::take(&mut one.world.provider.shared.grant.lock().unwrap().revoked);
        let (authorization, secret) = if in_body { ("", "hush") } else { ("Basic cG9ydGN1bGxpczpodXNo", "") };
        assert_eq!(revoked, [("refresh-2".into(), authorization.into(), secret.into())]);
    }
}

#[tokio::test]
async fn consent_that_is_always_asked_for_is_asked_for_with_every_prompt() {
    let prompt = async |configured: Option<&str>, asked: &str| {
        let extra = configured.map(|prompt| ("prompt".to_owned(), prompt.to_owned()));
        let world = World::with(|config| config.providers[0].extra_params.extend(extra)).await;
        let mut browser = Browser::default();
        let response = world.get(&mut browser, &format!("{APP}/.portcullis/sign_in{asked}")).await;
        let response = world.get(&mut browser, &location(&response)).await;
        let provider = Url::parse(&location(&response)).unwrap();
        let prompts: Vec<_> = provider.query_pairs().filter(|(name, _)| name == "prompt").collect();
        assert!(prompts.len() < 2, "{provider}");
        prompts.first().map(|(_, prompt)| prompt.to_string()).unwrap_or_default()
    };
    assert_eq!(prompt(None, "?prompt=login").await, "login");
    assert_eq!(prompt(Some("consent"), "").await, "consent");
    assert_eq!(prompt(Some("consent"), "?prompt=login").await, "login consent");
    assert_eq!(prompt(Some("select_account"), "?prompt=login").await, "login");
}
