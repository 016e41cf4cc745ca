//! The way of an honest sign-in, and of browsers that do strange things.

use serde_json::json;

use super::super::sign_in::{AwaitingProvider, AwaitingTicket};
use super::*;
use crate::oidc::test_provider::object;

#[tokio::test]
async fn a_user_signs_in_and_comes_back_to_the_page_that_was_asked() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let response = world.sign_in(&mut browser).await;
    assert_eq!((response.status(), location(&response).as_str()), (StatusCode::SEE_OTHER, "/start"));
    assert_eq!(reason(&response), "handed-over");
    let user = world.user(&mut browser).await.unwrap();
    assert_eq!(user["id"], format!("{}|ada", world.provider.issuer));
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(user["groups"], json!(["sre"]));
    assert_eq!(browser.cookies(APP), ["__Host-portcullis"]);
    assert_eq!(browser.cookies(AUTH), ["__Host-portcullis"]);
}

#[tokio::test]
async fn a_second_app_needs_no_second_sign_in() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    let other = "https://other.example.com";
    let response = world.get(&mut browser, &format!("{other}/.portcullis/sign_in?return_to=/x")).await;
    let response = world.get(&mut browser, &location(&response)).await;
    assert!(location(&response).starts_with("https://other.example.com/.portcullis/callback?ticket="));
    let response = world.get(&mut browser, &location(&response)).await;
    assert_eq!(location(&response), "/x");
    assert!(world.user_at(&mut browser, other).await.is_some());
    assert!(world.user(&mut browser).await.is_some(), "the first app's session has ended");
    assert_eq!(world.provider.asked("/token"), 1);
}

#[tokio::test]
async fn the_host_of_sign_in_can_be_an_app_too() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let response = world.get(&mut browser, &format!("{AUTH}/.portcullis/")).await;
    let response = world.get(&mut browser, &format!("{AUTH}{}", location(&response))).await;
    let response = world.get(&mut browser, &location(&response)).await;
    let query = world.provider.authorize(&Url::parse(&location(&response)).unwrap());
    let response = world.get(&mut browser, &format!("{AUTH}/.portcullis/callback?{query}")).await;
    let response = world.get(&mut browser, &location(&response)).await;
    assert_eq!(location(&response), "/.portcullis/");
    let response = world.get(&mut browser, &format!("{AUTH}/.portcullis/")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(response).await.contains("ada@example.com"));
}

#[tokio::test]
async fn several_tabs_sign_in_at_once() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let other = "https://other.example.com";
    let mut callbacks = Vec::new();
    for (origin, path) in [(APP, "/one"), (other, "/two"), (APP, "/three")] {
        let response = world.get(&mut browser, &format!("{origin}/.portcullis/sign_in?return_to={path}")).await;
        let response = world.get(&mut browser, &location(&response)).await;
        let query = world.provider.authorize(&Url::parse(&location(&response)).unwrap());
        callbacks.push((format!("{AUTH}/.portcullis/callback?{query}"), path));
    }
    let mut tickets = Vec::new();
    for (callback, path) in callbacks {
        tickets.push((location(&world.get(&mut browser, &callback).await), path));
    }
    for (ticket, path) in tickets {
        assert_eq!(location(&world.get(&mut browser, &ticket).await), path);
    }
    assert!(world.user(&mut browser).await.is_some());
    assert!(world.user_at(&mut browser, other).await.is_some(), "one tab ended the session of another");
}

#[tokio::test]
async fn many_unfinished_attempts_leave_a_few_small_cookies() {
    let (world, mut browser) = (World::new().await, Browser::default());
    for _ in 0..40 {
        world.callback_url(&mut browser, &format!("/.portcullis/sign_in?return_to=/{}", "x".repeat(1_500))).await;
        world.pass(1);
    }
    for origin in [APP, AUTH] {
        let jar = &browser.jar[origin];
        assert!(jar.len() <= 4, "{} cookies at {origin}", jar.len());
        assert!(jar.values().map(String::len).sum::<usize>() < 10_000);
    }
}

#[tokio::test]
async fn the_oldest_attempts_are_the_ones_that_are_forgotten() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let mut last = String::new();
    for _ in 0..10 {
        last = world.callback_url(&mut browser, "/.portcullis/sign_in?return_to=/last").await;
        world.pass(1);
    }
    let ticket = location(&world.get(&mut browser, &last).await);
    assert_eq!(location(&world.get(&mut browser, &ticket).await), "/last");
}

#[tokio::test]
async fn a_new_sign_in_makes_the_old_handles_worthless() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    let before = browser.jar.clone();
    world.provider.lie(|lies| {
        lies.claims.insert("sub".into(), "bob".into());
    });
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in?prompt=select_account").await;
    let answer = world.get(&mut browser, &callback).await;
    assert_eq!(
        answer.extensions().get::<Event>().unwrap().ended.len(),
        1,
        "the end of the other user's session is told"
    );
    world.get(&mut browser, &location(&answer)).await;
    assert!(world.user(&mut browser).await.unwrap()["id"].as_str().unwrap().ends_with("|bob"));
    assert_nobody(&world, &mut Browser { jar: before }).await;
}

#[tokio::test]
async fn a_fresh_sign_in_of_the_same_user_makes_the_old_handles_worthless() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    let before = browser.jar.clone();
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in?prompt=login").await;
    let ticket = location(&world.get(&mut browser, &callback).await);
    world.get(&mut browser, &ticket).await;
    assert!(world.user(&mut browser).await.is_some());
    assert_nobody(&world, &mut Browser { jar: before }).await;
}

#[tokio::test]
async fn starting_again_leads_to_the_page_that_was_asked() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.provider.lie(|lies| drop(lies.claims.insert("aud".into(), "another".into())));
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in?return_to=/deep?x=1").await;
    let page = text(world.get(&mut browser, &callback).await).await;
    let again = page.split("href=\"").find(|link| link.starts_with(APP)).unwrap().split('"').next().unwrap();
    world.provider.lie(|lies| lies.claims.clear());
    let again = again.strip_prefix(APP).unwrap().replace("&#38;", "&");
    let callback = world.callback_url(&mut browser, &again).await;
    let ticket = location(&world.get(&mut browser, &callback).await);
    assert_eq!(location(&world.get(&mut browser, &ticket).await), "/deep?x=1");
}

#[tokio::test]
async fn a_provider_that_is_down_gets_a_page_with_a_way_to_start_again() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.provider.lie(|lies| {
        lies.answers.insert("/.well-known/openid-configuration", (StatusCode::BAD_GATEWAY, String::new()));
    });
    let response = world.get(&mut browser, &format!("{APP}/.portcullis/sign_in")).await;
    let response = world.get(&mut browser, &location(&response)).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::SERVICE_UNAVAILABLE, "provider-unavailable"));
    assert!(response.headers().contains_key("retry-after"));
    assert!(text(response).await.contains("/.portcullis/sign_in?attempt="));
}

#[tokio::test]
async fn a_change_of_user_asks_the_provider_although_somebody_is_signed_in() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    for (asked, expected) in [("select_account", true), ("login", true), ("none", false)] {
        let url = format!("{APP}/.portcullis/sign_in?return_to=/&prompt={asked}");
        let response = world.get(&mut browser, &url).await;
        let to = location(&world.get(&mut browser, &location(&response)).await);
        assert_eq!(to.contains(&format!("prompt={asked}")), expected, "{to}");
    }
}

fn two_providers(config: &mut Config) {
    let mut second = config.providers[0].clone();
    second.id = ProviderId::new("partner").unwrap();
    second.name = "Partners & Co".into();
    config.providers.push(second);
}

#[tokio::test]
async fn several_providers_are_offered_for_choice() {
    let world = World::with(two_providers).await;
    let mut browser = Browser::default();
    let response = world.get(&mut browser, &format!("{APP}/.portcullis/sign_in")).await;
    let chooser = location(&response);
    let page = text(world.get(&mut browser, &chooser).await).await;
    assert!(page.contains("Corp") && page.contains("Partners &#38; Co"), "{page}");
    let response = world.get(&mut browser, &format!("{chooser}&provider=partner")).await;
    assert!(location(&response).starts_with(&world.provider.issuer));
    // A route that names a provider needs no choice, and lets nobody choose another.
    let response = world.get(&mut browser, &format!("{APP}/.portcullis/sign_in?provider=partner")).await;
    let response = world.get(&mut browser, &location(&response)).await;
    assert!(location(&response).starts_with(&world.provider.issuer));
    let response = world.get(&mut browser, &format!("{APP}/.portcullis/sign_in?provider=nobody")).await;
    assert_eq!(reason(&response), "provider-unknown");
}

#[tokio::test]
async fn the_provider_is_sent_what_it_must_know_and_no_more() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    let (headers, form) = world.provider.shared.last_token_request.lock().unwrap().clone();
    assert!(headers["authorization"].to_str().unwrap().starts_with("Basic "));
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["redirect_uri"], format!("{AUTH}/.portcullis/callback"));
    assert!(form["code_verifier"].len() >= 43);
    assert!(!form.contains_key("client_secret"));
}

#[tokio::test]
async fn every_answer_of_ours_is_guarded() {
    let (world, mut browser) = (World::new().await, Browser::default());
    for path in
        ["/.portcullis/", "/.portcullis/user", "/.portcullis/none", "/.portcullis/sign_in", "/.portcullis/callback"]
    {
        let response = world.get(&mut browser, &format!("{APP}{path}")).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert!(header("content-security-policy").contains("default-src 'none'"), "{path}");
    }
    let response = world.get(&mut browser, &format!("{APP}/.portcullis/none")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_honest_providers_do_differently_is_accepted() {
    let at_hash = {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&crate::handoff::sha256(b"at")[..16])
    };
    let cases = [
        json!({ "at_hash": at_hash }),
        json!({ "aud": ["portcullis"], "azp": "portcullis" }),
        json!({ "exp": NOW - 30 }),
        json!({ "iat": NOW + 30, "nbf": NOW + 30 }),
        json!({ "email_verified": "true" }),
        json!({ "updated_at": "2024-01-01T00:00:00Z" }),
        json!({ "groups": "sre" }),
    ];
    for case in cases {
        let (world, mut browser) = (World::new().await, Browser::default());
        world.provider.lie(|lies| lies.claims = object(case.clone()));
        world.sign_in(&mut browser).await;
        let user = world.user(&mut browser).await.unwrap_or_else(|| panic!("{case} was refused"));
        assert_eq!((&user["email"], &user["groups"][0]), (&json!("ada@example.com"), &json!("sre")), "{case}");
    }
}

#[tokio::test]
async fn groups_that_the_token_lacks_come_from_userinfo() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.provider.lie(|lies| {
        lies.claims = object(json!({ "groups": null }));
        lies.userinfo = object(json!({ "groups": ["from-userinfo"], "email": "eve@example.com" }));
    });
    world.sign_in(&mut browser).await;
    let user = world.user(&mut browser).await.unwrap();
    assert_eq!(user["groups"], json!(["from-userinfo"]));
    assert_eq!(user["email"], "ada@example.com");
}

#[tokio::test]
async fn the_response_issuer_is_welcome_when_it_is_right() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let promise = json!({ "authorization_response_iss_parameter_supported": true });
    world.provider.lie(|lies| lies.metadata = object(promise));
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in").await;
    let response = world.get(&mut browser, &format!("{callback}&iss={}", world.provider.issuer)).await;
    assert_eq!(reason(&response), "signed-in");
}

#[tokio::test]
async fn an_app_on_plain_http_signs_in_with_cookies_of_its_own() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let app = "http://plain.example.com";
    let response = world.get(&mut browser, &format!("{app}/.portcullis/sign_in?return_to=/x")).await;
    assert_eq!(response.headers()["referrer-policy"], "same-origin");
    let response = world.get(&mut browser, &location(&response)).await;
    let query = world.provider.authorize(&Url::parse(&location(&response)).unwrap());
    let response = world.get(&mut browser, &format!("{AUTH}/.portcullis/callback?{query}")).await;
    let response = world.get(&mut browser, &location(&response)).await;
    assert_eq!(location(&response), "/x");
    assert_eq!(browser.cookies(app), ["portcullis"]);
    let sign_out = format!("{app}/.portcullis/sign_out");
    assert_eq!(world.post(&mut browser, &sign_out, ("origin", app), "").await.status(), StatusCode::SEE_OTHER);
    assert_nobody(&world, &mut browser).await;
}

#[tokio::test]
async fn a_cookie_that_a_sibling_set_beside_ours_changes_nothing() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in").await;
    let (name, value) = browser.jar[AUTH].iter().next().map(|(name, value)| (name.clone(), value.clone())).unwrap();
    // One line of the jar becomes two cookies of the same name, the foreign one first.
    browser.jar.get_mut(AUTH).unwrap().insert(name.clone(), format!("foreign; {name}={value}"));
    assert_eq!(reason(&world.get(&mut browser, &callback).await), "signed-in");
}

#[tokio::test]
async fn a_session_that_ends_on_its_way_to_the_app_is_not_handed_over() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in").await;
    let ticket = location(&world.get(&mut browser, &callback).await);
    let own = ("sec-fetch-site", "same-origin");
    world.post(&mut browser, &format!("{AUTH}/.portcullis/sign_out"), own, "").await;
    let response = world.get(&mut browser, &ticket).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::BAD_REQUEST, "session-ended"));
    assert_nobody(&world, &mut browser).await;
}

#[tokio::test]
async fn a_session_of_another_provider_does_not_do_where_a_route_asks_for_one() {
    let world = World::with(two_providers).await;
    let mut browser = Browser::default();
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in?provider=corp").await;
    let ticket = location(&world.get(&mut browser, &callback).await);
    world.get(&mut browser, &ticket).await;
    assert_eq!(world.user(&mut browser).await.unwrap()["provider"], "corp");
    // No ticket for the session that is there: it would lead back to the same challenge, and round again.
    let callback = world.callback_url(&mut browser, "/.portcullis/sign_in?provider=partner").await;
    let ticket = location(&world.get(&mut browser, &callback).await);
    world.get(&mut browser, &ticket).await;
    assert_eq!(world.user(&mut browser).await.unwrap()["provider"], "partner");
}

#[tokio::test]
async fn a_handle_from_before_a_sign_in_is_worth_nothing_after_it() {
    let again = async |world: &World, browser: &mut Browser, how: &str| {
        let response = world.get(browser, &format!("{APP}/.portcullis/sign_in?return_to=/{how}")).await;
        let mut response = world.get(browser, &location(&response)).await;
        if !location(&response).starts_with(APP) {
            let provider = Url::parse(&location(&response)).unwrap();
            let callback = format!("{AUTH}/.portcullis/callback?{}", world.provider.authorize(&provider));
            response = world.get(browser, &callback).await;
        }
        world.get(browser, &location(&response)).await;
    };
    for (how, forgets) in [("", false), ("", true), ("&prompt=login", false)] {
        let (world, mut browser) = (World::new().await, Browser::default());
        world.sign_in(&mut browser).await;
        let mut before = Browser { jar: browser.jar.clone() };
        if forgets {
            browser.jar.remove(AUTH);
        }
        again(&world, &mut browser, how).await;
        assert!(world.user(&mut browser).await.is_some(), "{how}");
        assert_eq!(world.user(&mut before).await, None, "{how}, forgotten at sign-in: {forgets}");
    }
}

#[test]
fn what_a_browser_keeps_from_before_an_update_is_good_after_it() {
    let ticket = json!({ "return_to": "/", "verifier": "v" });
    assert!(!serde_json::from_value::<AwaitingTicket>(ticket).unwrap().again);
    let (challenge, until) = ([0_u8; 32], "2030-01-01T00:00:00Z");
    let handoff = json!({ "origin": APP, "attempt": "a", "challenge": challenge, "until": until });
    let answer = json!({ "handoff": handoff, "provider": "corp", "state": "s", "nonce": "n", "verifier": "v" });
    assert!(!serde_json::from_value::<AwaitingProvider>(answer).unwrap().again);
}

#[tokio::test]
async fn tabs_that_sign_in_at_once_leave_each_other_what_they_were_given() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let one = world.callback_url(&mut browser, "/.portcullis/sign_in?return_to=/one").await;
    let two = world.callback_url(&mut browser, "/.portcullis/sign_in?return_to=/two").await;
    let response = world.get(&mut browser, &one).await;
    world.get(&mut browser, &location(&response)).await;
    let mut first = Browser { jar: browser.jar.clone() };
    let response = world.get(&mut browser, &two).await;
    world.get(&mut browser, &location(&response)).await;
    assert!(world.user(&mut first).await.is_some() && world.user(&mut browser).await.is_some());
}
