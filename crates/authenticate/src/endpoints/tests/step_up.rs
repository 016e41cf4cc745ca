//! Routes that ask for more than a sign-in: the provider is told, and what it says of the sign-in decides.

use serde_json::{Value, json};

use super::*;
use crate::oidc::test_provider::object;

const ASKED: &str = "/.portcullis/sign_in?return_to=/vault&max_age=300&acr_values=phr%20phrh";

/// Has the provider say this of the next sign-ins.
fn says(world: &World, claims: Value) {
    world.provider.lie(|lies| lies.claims = object(claims));
}

/// Goes from the app's host to where the host of sign-in leads.
async fn led_to(world: &World, browser: &mut Browser, sign_in: &str) -> String {
    let response = world.get(browser, &format!("{APP}{sign_in}")).await;
    location(&world.get(browser, &location(&response)).await)
}

#[tokio::test]
async fn the_provider_is_asked_for_a_recent_and_strong_sign_in() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let url = Url::parse(&led_to(&world, &mut browser, ASKED).await).unwrap();
    let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!((asked["max_age"].as_str(), asked["acr_values"].as_str()), ("300", "phr phrh"));
    let plain = led_to(&world, &mut browser, "/.portcullis/sign_in").await;
    assert!(!plain.contains("max_age") && !plain.contains("acr_values"), "{plain}");
}

#[tokio::test]
async fn what_the_route_asks_goes_before_what_the_configuration_always_asks() {
    let world = World::with(|config| config.providers[0].extra_params = vec![("max_age".into(), "9".into())]).await;
    let url = led_to(&world, &mut Browser::default(), ASKED).await;
    assert!(url.contains("max_age=300") && url.matches("max_age").count() == 1, "{url}");
}

#[tokio::test]
async fn a_sign_in_that_is_enough_leads_back_and_is_not_asked_for_twice() {
    let (world, mut browser) = (World::new().await, Browser::default());
    says(&world, json!({ "auth_time": NOW, "acr": "phr" }));
    let callback = world.callback_url(&mut browser, ASKED).await;
    let ticket = world.get(&mut browser, &callback).await;
    assert_eq!(reason(&ticket), "signed-in");
    assert_eq!(location(&world.get(&mut browser, &location(&ticket)).await), "/vault");
    // Another app that asks the same: the session of the host of sign-in will do.
    assert!(
        led_to(&world, &mut browser, ASKED).await.starts_with("https://app.example.com/.portcullis/callback?ticket=")
    );
    world.pass(600);
    assert!(led_to(&world, &mut browser, ASKED).await.starts_with(&world.provider.issuer), "it is too old by now");
}

#[tokio::test]
async fn a_sign_in_that_falls_short_is_refused_and_changes_nothing() {
    for (claims, told) in [
        (json!({ "acr": "phr" }), "`auth_time` is missing"),
        (json!({ "auth_time": NOW - 3_600, "acr": "phr" }), "`auth_time` is longer ago than `max_auth_age`"),
        (json!({ "auth_time": NOW + 3_600, "acr": "phr" }), "`auth_time` lies in the future"),
        (json!({ "auth_time": NOW }), "`acr` is none of `acr_values`"),
        (json!({ "auth_time": NOW, "acr": "pwd" }), "`acr` is none of `acr_values`"),
    ] {
        let (world, mut browser) = (World::new().await, Browser::default());
        world.sign_in(&mut browser).await;
        let before = world.user(&mut browser).await;
        says(&world, claims.clone());
        // Userinfo is not signed: it cannot say how somebody signed in.
        world.provider.lie(|lies| {
            lies.claims.insert("groups".into(), Value::Null);
            lies.userinfo = object(json!({ "auth_time": NOW, "acr": "phr" }));
        });
        let callback = world.callback_url(&mut browser, ASKED).await;
        let response = world.get(&mut browser, &callback).await;
        assert_eq!((response.status(), reason(&response)), (StatusCode::FORBIDDEN, "step-up-unmet"), "{claims}");
        let event = response.extensions().get::<Event>().unwrap().clone();
        assert!(event.error.unwrap().ends_with(told), "{claims}");
        let page = text(response).await.replace("&#38;", "&");
        let again = page.split("href=\"").find(|link| link.starts_with(APP)).unwrap().split('"').next().unwrap();
        assert!(again.ends_with("&prompt=login&max_age=300&acr_values=phr+phrh"), "{again}");
        assert_eq!(world.user(&mut browser).await, before, "the session that was there goes on");
        // Started again, the provider is told not to be content with what it has.
        let url = led_to(&world, &mut browser, again.strip_prefix(APP).unwrap()).await;
        assert!(url.contains("prompt=login") && url.contains("max_age=300"), "{url}");
    }
}

#[tokio::test]
async fn stepping_up_makes_the_old_handles_worthless_and_says_so() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    let before = browser.jar.clone();
    says(&world, json!({ "auth_time": NOW, "acr": "phrh" }));
    let callback = world.callback_url(&mut browser, ASKED).await;
    let answer = world.get(&mut browser, &callback).await;
    assert_eq!(answer.extensions().get::<Event>().unwrap().ended.len(), 1);
    world.get(&mut browser, &location(&answer)).await;
    assert!(world.user(&mut browser).await.is_some());
    assert_nobody(&world, &mut Browser { jar: before }).await;
}

#[tokio::test]
async fn several_tabs_step_up_at_once() {
    let (world, mut browser) = (World::new().await, Browser::default());
    world.sign_in(&mut browser).await;
    says(&world, json!({ "auth_time": NOW, "acr": "phr" }));
    let callbacks = [
        world.callback_url(&mut browser, ASKED).await,
        world.callback_url(&mut browser, &ASKED.replace("vault", "safe")).await,
    ];
    let mut tickets = Vec::new();
    for callback in callbacks {
        tickets.push(location(&world.get(&mut browser, &callback).await));
    }
    for (ticket, path) in tickets.iter().zip(["/vault", "/safe"]) {
        assert_eq!(location(&world.get(&mut browser, ticket).await), path);
    }
    assert!(world.user(&mut browser).await.is_some());
}
