//! From the headers of a request to an outcome.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};
use identity::{Clock, FixedClock, Issuer, Origin, ProviderId};

use super::{Authenticator, Outcome};
use crate::session::tests::{START, origin, sign_in_of};
use crate::store::tests::Broken;
use crate::{ClaimNames, Config, KeyTexts, Keys, Presented, Provider, SessionConfig, Store, StoreLocation};

fn config(provider: &str) -> Config {
    Config {
        url: origin("https://auth.example.com"),
        providers: vec![Provider {
            id: ProviderId::new(provider).unwrap(),
            name: "Corp".into(),
            issuer: Issuer::new("https://idp.example.com").unwrap(),
            client_id: "portcullis".into(),
            client_secret: None,
            scopes: None,
            extra_params: Vec::new(),
            claims: ClaimNames::default(),
            allowed_email_domains: Vec::new(),
            require_verified_email: true,
            ca_file: None,
        }],
        session: SessionConfig::default(),
        look: Arc::new(pages::Look::new(pages::Branding::default())),
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(FixedClock::new(START.parse().unwrap()))
}

fn authenticator(store: &Arc<Store>, provider: &str) -> Authenticator {
    let keys = Arc::new(Keys::load(&KeyTexts::default(), store).unwrap());
    Authenticator::new(config(provider), Arc::clone(store), keys, clock()).unwrap()
}

fn memory() -> Arc<Store> {
    Arc::new(Store::open(&StoreLocation::Memory).unwrap())
}

async fn cookie_of(authenticator: &Authenticator, subject: &str, at: &Origin) -> String {
    let id = authenticator.sessions.create(sign_in_of(subject)).await.unwrap();
    let (set_cookie, _) = authenticator.sessions.issue_handle(&id, at).await.unwrap().unwrap();
    set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
}

/// Returns the subject, or an empty text for nobody, or `unavailable`.
async fn who(authenticator: &Authenticator, lines: &[&str], at: &Origin) -> String {
    let mut headers: HeaderMap = lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).unwrap())).collect();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer junk"));
    match authenticator.authenticate(Presented { origin: at, headers: &headers, time: authenticator.clock.now() }).await
    {
        Outcome::NotAuthenticated => String::new(),
        Outcome::Authenticated(session) => session.identity().subject().to_string(),
        Outcome::Unavailable(_) => "unavailable".into(),
    }
}

#[tokio::test]
async fn the_valid_one_of_two_cookies_of_a_name_counts_in_both_orders() {
    let app = origin("https://app.example.com");
    let authenticator = authenticator(&memory(), "corp");
    let valid = cookie_of(&authenticator, "ada", &app).await;
    // A well-formed handle that a sibling host could set: of another host.
    let tossed = cookie_of(&authenticator, "mallory", &origin("https://evil.example.com")).await;
    for lines in [&[&*valid, &*tossed][..], &[&tossed, &valid], &[&format!("{tossed}; {valid}")]] {
        assert_eq!(who(&authenticator, lines, &app).await, "ada");
    }
    assert_eq!(who(&authenticator, &[&tossed], &app).await, "");
}

#[tokio::test]
async fn whoever_presents_nothing_good_is_nobody() {
    let app = origin("https://app.example.com");
    let authenticator = authenticator(&memory(), "corp");
    let well_formed = format!("__Host-portcullis={}", crate::keys::random_token());
    let huge = format!("__Host-portcullis={}", "x".repeat(16 * 1024));
    for line in ["", "a=b", "__Host-portcullis=", "BearerToken=junk", &well_formed, &huge] {
        assert_eq!(who(&authenticator, &[line], &app).await, "", "{line}");
    }
}

#[tokio::test]
async fn plain_http_has_a_cookie_of_its_own() {
    let (secure, plain) = (origin("https://app.example.com"), origin("http://app.example.com"));
    let authenticator = authenticator(&memory(), "corp");
    let cookie = cookie_of(&authenticator, "ada", &plain).await;
    assert!(cookie.starts_with("portcullis="));
    assert_eq!(who(&authenticator, &[&cookie], &plain).await, "ada");
    assert_eq!(who(&authenticator, &[&format!("__Host-{cookie}")], &secure).await, "");
}

#[tokio::test]
async fn a_cookie_from_before_a_sign_in_is_never_valid_after_it() {
    let app = origin("https://app.example.com");
    let authenticator = authenticator(&memory(), "corp");
    let planted = format!("__Host-portcullis={}", crate::keys::random_token());
    assert_eq!(who(&authenticator, &[&planted], &app).await, "");
    let given = cookie_of(&authenticator, "ada", &app).await;
    assert_ne!(given, planted);
    assert_eq!(who(&authenticator, &[&planted], &app).await, "");
}

#[tokio::test]
async fn a_store_that_fails_makes_nobody_of_no_one() {
    let app = origin("https://app.example.com");
    let working = authenticator(&memory(), "corp");
    let cookie = cookie_of(&working, "ada", &app).await;
    let broken = Arc::new(Store::with_backend(Broken));
    let authenticator = Authenticator::new(config("corp"), broken, Arc::clone(&working.keys), clock()).unwrap();
    assert_eq!(who(&authenticator, &[&cookie], &app).await, "unavailable");
    // Who presents no handle needs no store.
    assert_eq!(who(&authenticator, &["a=b"], &app).await, "");
}

#[tokio::test]
async fn a_provider_that_was_taken_out_vouches_for_nobody() {
    let app = origin("https://app.example.com");
    let store = memory();
    let cookie = cookie_of(&authenticator(&store, "corp"), "ada", &app).await;
    assert_eq!(who(&authenticator(&store, "corp"), &[&cookie], &app).await, "ada");
    assert_eq!(who(&authenticator(&store, "another"), &[&cookie], &app).await, "");
}

#[tokio::test]
async fn a_session_ended_under_one_configuration_is_ended_under_the_next() {
    let app = origin("https://app.example.com");
    let store = memory();
    let (before, after) = (authenticator(&store, "corp"), authenticator(&store, "corp"));
    let cookie = cookie_of(&before, "ada", &app).await;
    assert_eq!(who(&after, &[&cookie], &app).await, "ada");
    let headers = [(COOKIE, HeaderValue::from_str(&cookie).unwrap())].into_iter().collect();
    let presented = Presented { origin: &app, headers: &headers, time: before.clock.now() };
    let Outcome::Authenticated(session) = before.authenticate(presented).await else {
        panic!("no session");
    };
    before.sessions.end(&session).await.unwrap();
    assert_eq!(who(&after, &[&cookie], &app).await, "");
}
