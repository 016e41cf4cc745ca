//! Programs' sessions stay what their user is at the provider now, by way of the session of the browser that they come of.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::connect::{program_of, signed_in};
use super::refresh::watch;
use super::*;
use crate::Session;
use crate::oidc::test_provider::object;
use crate::store::tests::Failing;
use crate::store::{Change, Key};

const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");

/// Into the window before the end of a token, and past its end: the provider's live for ten minutes.
const WINDOW: i64 = 595;
const PAST: i64 = 605;

/// A world whose provider gives refresh tokens.
async fn refreshing(change: impl FnOnce(&mut Config)) -> World {
    refreshing_on(Store::open(&StoreLocation::Memory).unwrap(), change).await
}

async fn refreshing_on(store: Store, change: impl FnOnce(&mut Config)) -> World {
    let world = World::on(store, change).await;
    world.provider.lie(|lies| lies.refreshes = true);
    world
}

fn pass(world: &World, seconds: i64) {
    world.pass(seconds);
    world.provider.lie(|lies| lies.passed += seconds);
}

fn says(world: &World, claims: Value) {
    world.provider.lie(|lies| lies.claims.extend(object(claims)));
}

async fn groups(world: &World, program: &mut Browser) -> Value {
    world.user(program).await.map_or(Value::Null, |user| user["groups"].clone())
}

/// Signs the same browser in once more.
async fn sign_in_again(world: &World, browser: &mut Browser, how: &str) {
    let callback = world.callback_url(browser, &format!("/.portcullis/sign_in?return_to=/{how}")).await;
    let response = world.get(browser, &callback).await;
    world.get(browser, &location(&response)).await;
}

async fn sessions_of_programs(world: &World) -> Vec<Arc<Session>> {
    let mut sessions = world.authenticator.sessions().await.unwrap();
    sessions.retain(|session| session.is_program());
    sessions
}

#[tokio::test]
async fn programs_that_are_in_use_have_the_provider_asked_once_for_all() {
    for seconds in [WINDOW, PAST] {
        let world = refreshing(|_| ()).await;
        let told = watch(&world.authenticator);
        let mut browser = signed_in(&world).await;
        let mut programs = Vec::new();
        for _ in 0..3 {
            programs.push(program_of(&world, &mut browser).await.0);
        }
        pass(&world, seconds);
        says(&world, json!({ "groups": ["sales"] }));
        for program in &mut programs {
            assert!(world.user(program).await.is_some());
        }
        // What is open is looked at again and again, and makes no request.
        for session in sessions_of_programs(&world).await {
            world.authenticator.keep_fresh(&session);
        }
        world.authenticator.settle().await;
        assert_eq!(world.provider.asked("/token"), 2, "a sign-in and one refresh");
        assert_eq!(*told.lock().unwrap(), ["refreshed"]);
        for browser in programs.iter_mut().chain([&mut browser]) {
            assert_eq!(groups(&world, browser).await, json!(["sales"]));
        }
    }
}

#[tokio::test]
async fn an_open_tunnel_alone_keeps_its_session_fresh() {
    let world = refreshing(|_| ()).await;
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    for round in ["one", "two", "three"] {
        let held = sessions_of_programs(&world).await.pop().unwrap();
        pass(&world, WINDOW);
        says(&world, json!({ "groups": [round] }));
        world.authenticator.keep_fresh(&held);
        world.authenticator.settle().await;
        assert!(held.is_outdated(), "its tunnels are not decided again");
        assert_eq!(held.renewed().unwrap().identity().proof(), held.identity().proof());
        assert_eq!(groups(&world, &mut program).await, json!([round]));
    }
}

#[tokio::test]
async fn who_is_gone_at_the_provider_loses_programs_that_ask_while_the_browser_does_not() {
    let world = refreshing(|_| ()).await;
    let told = watch(&world.authenticator);
    let mut browser = signed_in(&world).await;
    let (mut one, _) = program_of(&world, &mut browser).await;
    let (mut two, _) = program_of(&world, &mut browser).await;
    let held = sessions_of_programs(&world).await;
    world.provider.shared.grant.lock().unwrap().reused = true;
    pass(&world, PAST);
    for program in [&mut one, &mut two] {
        assert_eq!(world.user(program).await, None);
    }
    assert!(held.iter().all(|session| !world.authenticator.goes_on(session)), "tunnels stay open");
    assert_eq!(*told.lock().unwrap(), ["grant-ended, ended with 2"]);
    assert_eq!(world.user(&mut browser).await, None);
}

#[tokio::test]
async fn a_provider_that_is_away_ends_no_program_and_is_left_alone_for_a_while() {
    let world = refreshing(|_| ()).await;
    let told = watch(&world.authenticator);
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    let down = (StatusCode::SERVICE_UNAVAILABLE, String::new());
    world.provider.lie(|lies| drop(lies.answers.insert("/token", down)));
    pass(&world, PAST);
    for _ in 0..3 {
        assert!(world.user(&mut program).await.is_some());
        world.authenticator.settle().await;
    }
    assert_eq!(told.lock().unwrap().len(), 1);
    world.provider.lie(|lies| lies.answers.clear());
    pass(&world, 60);
    world.user(&mut program).await;
    world.authenticator.settle().await;
    assert_eq!(told.lock().unwrap().last().unwrap(), "refreshed");
}

/// Sends a request, which the program may make, and waits for what goes on beside it.
async fn asks(world: &World, program: &mut Browser) {
    assert!(world.user(program).await.is_some());
    world.authenticator.settle().await;
}

#[tokio::test]
async fn an_outage_is_told_once_to_all_programs_of_a_browser_that_is_closed() {
    let world = refreshing(|_| ()).await;
    let told = watch(&world.authenticator);
    let mut browser = signed_in(&world).await;
    let mut programs = [program_of(&world, &mut browser).await.0, program_of(&world, &mut browser).await.0];
    world.authenticator.forget_opened();
    let down = (StatusCode::SERVICE_UNAVAILABLE, "<html>".into());
    world.provider.lie(|lies| drop(lies.answers.insert("/token", down)));
    for seconds in [PAST, 31, 31] {
        pass(&world, seconds);
        for program in &mut programs {
            asks(&world, program).await;
        }
    }
    let again = "provider-unavailable, first: false";
    assert_eq!(*told.lock().unwrap(), ["provider-unavailable, first: true", again, again]);
}

#[tokio::test]
async fn a_store_that_fails_loses_no_token_of_a_browser_that_is_closed() {
    let store = Failing::new();
    let left = Arc::clone(&store.changes_left);
    let world = refreshing_on(Store::with_backend(store), |_| ()).await;
    let told = watch(&world.authenticator);
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    world.authenticator.forget_opened();
    pass(&world, PAST);
    left.store(0, Ordering::SeqCst);
    asks(&world, &mut program).await;
    left.store(usize::MAX, Ordering::SeqCst);
    pass(&world, 31);
    asks(&world, &mut program).await;
    assert_eq!(
        *told.lock().unwrap(),
        ["store-unavailable, first: true", "refreshed"],
        "the spent token was used again"
    );
}

#[tokio::test]
async fn a_program_that_its_browser_s_session_left_behind_ends_and_that_is_told_once() {
    let world = refreshing(|_| ()).await;
    let told = watch(&world.authenticator);
    let mut browser = signed_in(&world).await;
    let vouched = world.authenticator.sessions().await.unwrap().pop().unwrap();
    let (mut program, _) = program_of(&world, &mut browser).await;
    let held = sessions_of_programs(&world).await.pop().unwrap();
    let gone = Change::Remove(Key::sign_in(vouched.sign_in().as_bytes()));
    world.authenticator.sessions.store.backend().commit(&[gone], world.clock.now()).unwrap();
    pass(&world, PAST);
    assert_eq!(world.user(&mut program).await, None);
    assert!(!world.authenticator.goes_on(&held), "its tunnels stay open");
    world.authenticator.keep_fresh(&held);
    world.authenticator.settle().await;
    assert_eq!(*told.lock().unwrap(), ["browser-session-ended, ended"]);
}

#[tokio::test]
async fn sign_out_reaches_programs_from_before_a_sign_in_that_the_host_of_sign_in_had_forgotten() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    browser.jar.remove(AUTH);
    sign_in_again(&world, &mut browser, "").await;
    assert!(world.user(&mut program).await.is_some());
    assert_eq!(world.authenticator.session_count().await.unwrap(), 2, "a session that nobody holds goes on");
    let response = world.post(&mut browser, &format!("{APP}/.portcullis/sign_out"), SAME_ORIGIN, "").await;
    assert_eq!(response.extensions().get::<Event>().unwrap().ended.len(), 1);
    assert_eq!(world.user(&mut program).await, None);
}

#[tokio::test]
async fn programs_that_a_fresh_sign_in_takes_over_are_refreshed_with_its_tokens() {
    let world = refreshing(|_| ()).await;
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    let before = sessions_of_programs(&world).await.pop().unwrap();
    pass(&world, 60);
    says(&world, json!({ "groups": ["night shift"], "acr": "phr" }));
    sign_in_again(&world, &mut browser, "&prompt=login").await;
    assert_eq!(groups(&world, &mut program).await, json!(["night shift"]));
    let after = sessions_of_programs(&world).await.pop().unwrap();
    assert_eq!(after.identity().proof(), before.identity().proof(), "a step-up in the browser is none of its programs");
    assert_eq!(after.identity().claims().get("acr"), before.identity().claims().get("acr"));
    pass(&world, PAST);
    says(&world, json!({ "groups": ["sales"] }));
    assert_eq!(groups(&world, &mut program).await, json!(["sales"]));
}

#[tokio::test]
async fn programs_of_a_session_that_went_idle_are_taken_over_by_the_next_sign_in_of_that_browser() {
    let idle = |config: &mut Config| config.session.idle_timeout = Some(Duration::from_secs(1_800));
    let world = refreshing(idle).await;
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    for _ in 0..3 {
        pass(&world, 1_200);
        assert!(world.user(&mut program).await.is_some(), "refreshed although its browser rests");
    }
    assert_nobody(&world, &mut browser).await;
    sign_in_again(&world, &mut browser, "").await;
    assert!(world.user(&mut program).await.is_some());
    let response = world.post(&mut browser, &format!("{APP}/.portcullis/sign_out"), SAME_ORIGIN, "").await;
    assert_eq!(response.extensions().get::<Event>().unwrap().ended.len(), 1);
    assert_eq!(world.user(&mut program).await, None);
}

#[tokio::test]
async fn programs_of_a_session_that_went_idle_end_when_somebody_else_signs_in_by_that_browser() {
    let idle = |config: &mut Config| config.session.idle_timeout = Some(Duration::from_secs(1_800));
    let world = refreshing(idle).await;
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    for _ in 0..2 {
        pass(&world, 1_200);
        assert!(world.user(&mut program).await.is_some());
    }
    says(&world, json!({ "sub": "grace" }));
    // By another browser it is nobody's business.
    signed_in(&world).await;
    assert!(world.user(&mut program).await.is_some());
    sign_in_again(&world, &mut browser, "").await;
    assert_eq!(world.user(&mut program).await, None);
}
