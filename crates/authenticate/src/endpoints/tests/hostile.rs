//! A hostile provider never yields a session, and neither does a hostile browser.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::*;
use crate::oidc::test_provider::{Lies, Signing, object};
use crate::store::tests::Failing;

/// Signs in while the provider lies; returns the reason of the refusal.
async fn refused(name: &str, lie: impl FnOnce(&mut Lies)) -> &'static str {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.provider.lie(lie);
    let response = world.sign_in(&mut browser).await;
    assert!(response.status().as_u16() >= 400, "{name}: {}", response.status());
    let reason = reason(&response);
    let error = response.extensions().get::<Event>().unwrap().error.clone().unwrap();
    assert!(!error.contains("eyJ"), "{name}: a token in `{error}`");
    assert!(text(response).await.contains(reason), "{name}: the page does not name {reason}");
    assert_nobody(&world, &mut browser).await;
    reason
}

#[tokio::test]
async fn an_id_token_with_one_wrong_claim_yields_no_session() {
    let cases = [
        json!({ "iss": "https://evil.example.com" }),
        json!({ "iss": null }),
        json!({ "aud": "another-client" }),
        json!({ "aud": ["portcullis", "another-client"] }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "azp": "another-client" }),
        json!({ "azp": 7 }),
        json!({ "nonce": "of-another-sign-in" }),
        json!({ "nonce": null }),
        json!({ "exp": NOW - 61 }),
        json!({ "exp": (NOW + 600).to_string() }),
        json!({ "exp": "2099-01-01T00:00:00Z" }),
        json!({ "exp": 1.9e9 + 600.5 }),
        json!({ "exp": -1 }),
        json!({ "exp": null }),
        json!({ "iat": NOW + 61 }),
        json!({ "iat": null }),
        json!({ "iat": "2020-01-01T00:00:00Z" }),
        json!({ "nbf": NOW + 61 }),
        json!({ "nbf": "1" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }),
    ];
    for case in cases {
        let reason = refused(&case.to_string(), |lies| lies.claims = object(case.clone())).await;
        assert_eq!(reason, "token-invalid", "{case}");
    }
}

#[tokio::test]
async fn an_id_token_that_is_not_signed_by_the_provider_yields_no_session() {
    for signing in [Signing::WithAnotherKey, Signing::WithPublicKeyAsSecret, Signing::Not] {
        assert_eq!(refused("signing", |lies| lies.signing = signing).await, "token-invalid");
    }
    let headers = [
        json!({ "kid": "" }),
        json!({ "kid": "unknown" }),
        json!({ "kid": "../../etc/passwd" }),
        json!({ "kid": 7 }),
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "RS256" }),
        json!({ "jwk": { "kty": "EC" } }),
        json!({ "jku": "https://evil.example.com/keys" }),
        json!({ "x5u": "https://evil.example.com/keys" }),
        json!({ "crit": ["b64"] }),
        json!({ "enc": "A256GCM", "alg": "dir" }),
    ];
    for header in headers {
        let reason = refused(&header.to_string(), |lies| lies.header = object(header.clone())).await;
        assert_eq!(reason, "token-invalid", "{header}");
    }
}

#[tokio::test]
async fn a_token_answer_that_is_none_yields_no_session() {
    for id_token in [Value::Null, json!(""), json!("a.b.c"), json!("a.b.c.d.e"), json!(7)] {
        let lie = object(json!({ "id_token": id_token }));
        assert_eq!(refused("id_token", |lies| lies.token = lie).await, "token-invalid", "{id_token}");
    }
    let answers = [
        (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#.to_owned()),
        (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::FOUND, String::new()),
        (StatusCode::OK, " ".repeat(2 * 1024 * 1024)),
    ];
    for answer in answers {
        let name = answer.1.chars().take(9).collect::<String>();
        let reason = refused(&name, |lies| drop(lies.answers.insert("/token", answer))).await;
        assert_eq!(reason, "exchange-failed", "{name}");
    }
}

#[tokio::test]
async fn userinfo_about_somebody_else_yields_no_session() {
    let lie = |lies: &mut Lies, userinfo: Value| {
        lies.claims = object(json!({ "groups": null }));
        lies.userinfo = object(userinfo);
    };
    for userinfo in [json!({ "sub": "eve", "groups": ["admins"] }), json!({ "sub": null, "groups": ["admins"] })] {
        assert_eq!(refused("userinfo", |lies| lie(lies, userinfo)).await, "subject-mismatch");
    }
    let reason = refused("down", |lies| {
        lie(lies, json!({}));
        lies.answers.insert("/userinfo", (StatusCode::INTERNAL_SERVER_ERROR, String::new()));
    });
    assert_eq!(reason.await, "userinfo-failed");
}

#[tokio::test]
async fn a_callback_without_the_state_of_this_browser_yields_no_session() {
    let world = World::new().await;
    let mut honest = Browser::default();
    let callback = world.callback_url(&mut honest, "/.portcullis/sign_in?return_to=/start").await;
    let none = format!("{AUTH}/.portcullis/callback?code=the-code");
    let twice = format!("{callback}&state=other");
    let made_up = format!("{AUTH}/.portcullis/callback?code=the-code&state=made.up");
    for (url, expected) in [
        (&callback, "state-mismatch"),
        (&none, "state-missing"),
        (&twice, "state-missing"),
        (&made_up, "state-mismatch"),
    ] {
        let mut foreign = Browser::default();
        let response = world.get(&mut foreign, url).await;
        assert_eq!((response.status(), reason(&response)), (StatusCode::BAD_REQUEST, expected), "{url}");
        assert!(text(response).await.contains("/.portcullis/sign_in"), "no way to start again");
        assert_nobody(&world, &mut foreign).await;
    }
}

#[tokio::test]
async fn a_state_is_good_once_and_for_ten_minutes() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in").await;
    let jar = browser.jar.clone();
    assert_eq!(world.get(&mut browser, &callback).await.status(), StatusCode::SEE_OTHER);
    let mut thief = Browser { jar };
    let response = world.get(&mut thief, &callback).await;
    assert_eq!(reason(&response), "state-replayed");
    assert_nobody(&world, &mut thief).await;

    let mut late = Browser::default();
    let callback = world.callback_url(&mut late, "/.portcullis/sign_in").await;
    world.pass(601);
    assert_eq!(reason(&world.get(&mut late, &callback).await), "state-mismatch");
}

#[tokio::test]
async fn an_answer_in_the_name_of_another_provider_yields_no_session() {
    for (promised, iss, expected) in [
        (false, "&iss=https%3A%2F%2Fevil.example.com", "issuer-mismatch"),
        (true, "", "issuer-mismatch"),
        (true, "&iss=https%3A%2F%2Fevil.example.com", "issuer-mismatch"),
    ] {
        let (world, mut browser) = (World::new().await, Browser::default());
        let promise = json!({ "authorization_response_iss_parameter_supported": promised });
        world.provider.lie(|lies| lies.metadata = object(promise));
        let callback = world.callback_url(&mut browser, "/.portcullis/sign_in").await;
        let response = world.get(&mut browser, &format!("{callback}{iss}")).await;
        assert_eq!(reason(&response), expected);
        assert_eq!(world.provider.asked("/token"), 0, "the code was sent to the wrong provider");
        assert_nobody(&world, &mut browser).await;
    }
}

#[tokio::test]
async fn a_ticket_is_good_once_for_a_minute_on_its_host_and_in_its_browser() {
    let (world, mut browser) = (World::new().await, Browser::default());
    for case in ["foreign browser", "other host", "late", "twice"] {
        let callback = world.callback_url(&mut browser, "/.portcullis/sign_in").await;
        let ticket = location(&world.get(&mut browser, &callback).await);
        let mut other = Browser::default();
        let (presenter, url) = match case {
            "foreign browser" => (&mut other, ticket.clone()),
            "other host" => (&mut browser, ticket.replace("app.", "other.")),
            "late" => {
                world.pass(61);
                (&mut browser, ticket.clone())
            }
            _ => {
                let jar = browser.jar.clone();
                assert_eq!(world.get(&mut browser, &ticket).await.status(), StatusCode::SEE_OTHER);
                other.jar = jar;
                other.jar.get_mut(APP).unwrap().remove("__Host-portcullis");
                (&mut other, ticket.clone())
            }
        };
        let response = world.get(presenter, &url).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{case}");
        assert!(["ticket-invalid", "browser-mismatch"].contains(&reason(&response)), "{case}");
        assert_eq!(world.user(presenter).await, None, "{case}");
        browser = Browser::default();
    }
}

#[tokio::test]
async fn what_the_provider_says_of_an_error_is_shown_escaped() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in").await;
    let query = "error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E";
    let (state, _code) = callback.split_once("&code=").unwrap();
    let response = world.get(&mut browser, &format!("{state}&{query}")).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::FORBIDDEN, "provider-refused"));
    let page = text(response).await;
    assert!(!page.contains("<script>") && page.contains("alert(1)") && page.contains("access_denied"), "{page}");
    assert!(page.contains("/.portcullis/sign_in?attempt="), "no way to start again");
    assert_nobody(&world, &mut browser).await;
}

#[tokio::test]
async fn a_callback_is_answered_to_get_alone() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in").await;
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        let request = Request::builder().method(method.clone()).uri(&callback).body(Body::empty()).unwrap();
        let response = world.send(&mut browser, request).await;
        assert_eq!(
            (response.status(), response.headers()["allow"].to_str().unwrap()),
            (StatusCode::METHOD_NOT_ALLOWED, "GET"),
            "{method}"
        );
    }
    assert_eq!(world.provider.asked("/token"), 0);
}

#[tokio::test]
async fn a_request_that_was_not_sealed_here_leads_nowhere() {
    let (world, mut browser) = (World::new().await, Browser::default());
    for request in ["x", "eyJvcmlnaW4iOiJodHRwczovL2V2aWwifQ", "%00"] {
        let response = world.get(&mut browser, &format!("{AUTH}/.portcullis/sign_in?request={request}")).await;
        assert_eq!((response.status(), reason(&response)), (StatusCode::BAD_REQUEST, "request-invalid"));
    }
    let long = format!("{AUTH}/.portcullis/sign_in?request={}", "x".repeat(17_000));
    assert_eq!(world.get(&mut browser, &long).await.status(), StatusCode::URI_TOO_LONG);
}

#[tokio::test]
async fn a_code_of_one_provider_yields_no_session_of_another() {
    let other = TestProvider::start().await;
    let world = World::with(|config| {
        let second = Provider { id: ProviderId::new("other").unwrap(), ..configured(&other) };
        config.providers.push(second);
    })
    .await;
    let mut browser = Browser::default();
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in?provider=corp").await;
    let response = world.get(&mut browser, &format!("{callback}&iss={}", other.issuer)).await;
    assert_eq!(reason(&response), "issuer-mismatch");
    assert_eq!((world.provider.asked("/token"), other.asked("/token")), (0, 0), "the code went to a provider");

    // A provider that hands out what another one signed.
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in?provider=corp").await;
    let (_, nonce) = callback.split_once("&code=").unwrap();
    let claims = json!({
        "iss": other.issuer, "aud": CLIENT, "sub": "ada", "exp": NOW + 600, "iat": NOW, "nonce": nonce,
    });
    let stolen = other.token(object(claims));
    world.provider.lie(|lies| lies.token = object(json!({ "id_token": stolen })));
    assert_eq!(reason(&world.get(&mut browser, &callback).await), "token-invalid");
    assert_nobody(&world, &mut browser).await;
}

#[tokio::test]
async fn what_was_sealed_for_one_end_opens_no_other() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let start = world.get(&mut browser, &format!("{APP}/.portcullis/sign_in")).await;
    let request = location(&start).split_once("request=").unwrap().1.to_owned();
    let to_provider = world.get(&mut browser, &location(&start)).await;
    let provider = Url::parse(&location(&to_provider)).unwrap();
    let callback = format!("{AUTH}/.portcullis/callback?{}", world.provider.authorize(&provider));
    let jar = browser.jar.clone();
    let (attempt, kept) = jar[APP].iter().next().unwrap();
    let (flow, state) = jar[AUTH].iter().next().unwrap();
    for sealed in [kept, state] {
        let response = world.get(&mut browser, &format!("{AUTH}/.portcullis/sign_in?request={sealed}")).await;
        assert_eq!(reason(&response), "request-invalid", "a cookie was taken for a request");
    }
    for (origin, name, value) in [(AUTH, flow, kept), (AUTH, flow, &request), (AUTH, attempt, state)] {
        let mut tossed = Browser::default();
        tossed.jar.entry(origin.into()).or_default().insert(name.clone(), value.clone());
        assert_eq!(reason(&world.get(&mut tossed, &callback).await), "state-mismatch", "{name}");
    }
    let response = world.get(&mut browser, &format!("{APP}/.portcullis/callback?ticket={request}")).await;
    assert_eq!(reason(&response), "ticket-invalid");
    // Only the host of sign-in opens requests: no app can be made to answer for it.
    let response = world.get(&mut browser, &format!("{APP}/.portcullis/sign_in?request={request}")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_store_that_fails_on_the_way_yields_no_session() {
    // Every change that a sign-in makes, one after the other.
    for changes in 0..6 {
        let backend = Failing::new();
        let changes_left = Arc::clone(&backend.changes_left);
        let world = World::on(Store::with_backend(backend), |_| ()).await;
        changes_left.store(changes, Ordering::SeqCst);
        let mut browser = Browser::default();
        let response = world.sign_in(&mut browser).await;
        assert_eq!((response.status(), reason(&response)), (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"));
        assert_eq!(world.user(&mut browser).await, None, "after {changes} changes");
    }
}

#[tokio::test]
async fn claims_of_any_size_and_form_make_a_session_or_none() {
    let long = "x".repeat(100_000);
    let cases = [
        json!({ "name": "Ada\r\nSet-Cookie: x=y" }),
        json!({ "name": long }),
        json!({ "groups": (0..1_000).map(|group| format!("group-{group}")).collect::<Vec<_>>() }),
        json!({ "groups": [[[[]]], {}, 7, "<script>"] }),
        json!({ "email": "<script>@example.com" }),
        json!({ "sub": "<script>alert(1)</script>", "name": "", "email": "" }),
    ];
    for case in cases {
        let (world, mut browser) = (World::new().await, Browser::default());
        world.provider.lie(|lies| lies.claims = object(case.clone()));
        world.sign_in(&mut browser).await;
        assert!(world.user(&mut browser).await.is_some(), "{case:.80}");
        let page = world.get(&mut browser, &format!("{APP}/.portcullis/")).await;
        assert!(page.headers().get("set-cookie").is_none());
        assert!(!text(page).await.contains("<script>"));
        let page = world.get(&mut browser, &format!("{APP}/.portcullis/sign_out")).await;
        assert!(!text(page).await.contains("<script>"));
    }
    let reason = refused("name", |lies| lies.claims = object(json!({ "name": { "first": "Ada" } }))).await;
    assert_eq!(reason, "token-invalid");
    // Past what an answer of the token endpoint may have, there is no session at all.
    let huge = object(json!({ "name": "x".repeat(1_000_000) }));
    let reason = refused("huge", |lies| lies.claims = huge).await;
    assert_eq!(reason, "exchange-failed");
}
