//! A program gets a session by its user's confirmation, and by nothing else.

use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::EventKind;
use crate::handoff::sha256;
use crate::oidc::test_provider::object;
use crate::session::MOST_PROGRAMS;
use crate::store::tests::Failing;

const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CALLBACK: &str = "http://127.0.0.1:4711/";

fn ask_path() -> String {
    let challenge = URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()));
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("redirect_uri", CALLBACK).append_pair("code_challenge", &challenge);
    query.append_pair("code_challenge_method", "S256").append_pair("state", "the-state");
    format!("/.portcullis/connect?{}", query.finish())
}

/// Confirms as a signed-in user, and returns the code that the browser brings the program.
async fn confirmed(world: &World, browser: &mut Browser) -> String {
    let response = world.post(browser, &format!("{APP}{}", ask_path()), SAME_ORIGIN, "").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let to = location(&response);
    assert!(to.starts_with(CALLBACK), "{to}");
    let query: HashMap<_, _> = Url::parse(&to).unwrap().query_pairs().into_owned().collect();
    assert_eq!(query["state"], "the-state");
    query["code"].clone()
}

fn form(code: &str, verifier: &str, callback: &str) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("code", code).append_pair("code_verifier", verifier).append_pair("redirect_uri", callback);
    form.finish()
}

/// Redeems as a program: it has no cookies.
async fn redeem_at(world: &World, origin: &str, form: &str) -> Response {
    world.post(&mut Browser::default(), &format!("{origin}/.portcullis/connect/session"), FORM, form).await
}

async fn redeem(world: &World, code: &str) -> Response {
    redeem_at(world, APP, &form(code, VERIFIER, CALLBACK)).await
}

/// Signs a browser and a program in; returns what the program then is.
pub(super) async fn program_of(world: &World, browser: &mut Browser) -> (Browser, Value) {
    let code = confirmed(world, browser).await;
    let response = redeem(world, &code).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::CREATED, "handed-to-program"));
    let answer: Value = serde_json::from_str(&text(response).await).unwrap();
    let (name, value) = answer["cookie"].as_str().unwrap().split_once('=').unwrap();
    let mut program = Browser::default();
    program.jar.entry(APP.into()).or_default().insert(name.into(), value.into());
    (program, answer)
}

pub(super) async fn signed_in(world: &World) -> Browser {
    let mut browser = Browser::default();
    world.sign_in(&mut browser).await;
    browser
}

#[tokio::test]
async fn a_user_who_is_not_signed_in_signs_in_first_and_comes_back() {
    let (world, mut browser) = (World::new().await, Browser::default());
    let response = world.get(&mut browser, &format!("{APP}{}&provider=corp", ask_path())).await;
    let sign_in = location(&response);
    assert!(sign_in.starts_with("/.portcullis/sign_in?return_to=") && sign_in.contains("&provider=corp"), "{sign_in}");
    let callback = world.callback_url(&mut browser, &sign_in).await;
    let response = world.get(&mut browser, &callback).await;
    let response = world.get(&mut browser, &location(&response)).await;
    assert_eq!(location(&response), format!("{}&provider=corp", ask_path()));
    let page = world.get(&mut browser, &format!("{APP}{}", location(&response))).await;
    assert_eq!(page.status(), StatusCode::OK);
    let page = text(page).await;
    for part in ["Ada", "app.example.com", "127.0.0.1:4711", "method=\"post\""] {
        assert!(page.contains(part), "`{part}` is missing: {page}");
    }
}

#[tokio::test]
async fn a_program_gets_a_session_of_its_own_that_ends_when_its_user_s_would() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let own = world.user(&mut browser).await.unwrap();
    world.pass(3_600);
    let (mut program, answer) = program_of(&world, &mut browser).await;
    let its = world.user(&mut program).await.expect("the program is signed in");
    assert_eq!(its["id"], own["id"]);
    assert_ne!(its["session"]["id"], own["session"]["id"]);
    assert_eq!(its["session"]["id"], answer["session"]);
    assert_eq!(its["session"]["expires"], own["session"]["expires"]);
    assert_eq!(world.user_at(&mut program, AUTH).await, None, "good on another host");
    let page = text(world.get(&mut browser, &format!("{APP}/.portcullis/")).await).await;
    assert!(page.contains("a program"), "{page}");
}

#[tokio::test]
async fn nobody_gets_a_session_by_a_link_or_from_another_site() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let url = format!("{APP}{}", ask_path());
    let page = world.get(&mut browser, &url).await;
    assert_eq!(page.status(), StatusCode::OK, "a GET handed something out");
    assert!(page.headers().get(LOCATION).is_none());
    assert_eq!(page.headers()["x-frame-options"], "DENY");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
        ("x-nothing", "at-all"),
    ] {
        let response = world.post(&mut browser, &url, header, "").await;
        assert_eq!((response.status(), reason(&response)), (StatusCode::FORBIDDEN, "cross-site"), "{header:?}");
    }
    let response = world.get(&mut browser, &format!("{APP}/.portcullis/connect/session?code=x")).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_request_that_names_another_place_or_no_hash_never_redirects() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let good = ask_path();
    for (from, to) in [
        ("127.0.0.1", "evil.example.com"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1%3A4711", "127.0.0.1%3A4711%40evil.example.com"),
        ("http%3A", "https%3A"),
        ("=S256", "=plain"),
        ("&code_challenge_method=S256", ""),
        ("code_challenge=", "challenge="),
        ("&state=the-state", ""),
    ] {
        let url = format!("{APP}{}", good.replacen(from, to, 1));
        for response in [world.get(&mut browser, &url).await, world.post(&mut browser, &url, SAME_ORIGIN, "").await] {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{url}");
            assert_eq!(reason(&response), "program-request-invalid", "{url}");
            assert!(response.headers().get(LOCATION).is_none(), "{url}");
        }
    }
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier_and_is_used_up_by_another() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    for (verifier, told) in [("x".repeat(43), "verifier-mismatch"), ("x".repeat(42), "code-invalid")] {
        let code = confirmed(&world, &mut browser).await;
        let response = redeem_at(&world, APP, &form(&code, &verifier, CALLBACK)).await;
        assert_eq!((response.status(), reason(&response)), (StatusCode::BAD_REQUEST, told));
        let answer = text(response).await;
        assert!(answer.contains(told) && answer.contains("r-1") && !answer.contains("cookie"), "{answer}");
    }
    let code = confirmed(&world, &mut browser).await;
    redeem_at(&world, APP, &form(&code, &"x".repeat(43), CALLBACK)).await;
    assert_eq!(reason(&redeem(&world, &code).await), "code-invalid");
}

#[tokio::test]
async fn a_code_is_bound_to_its_host_and_its_port() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    for (origin, callback) in
        [(AUTH, CALLBACK), (APP, "http://127.0.0.1:4712/"), (APP, "http://[::1]:4711/"), (APP, "http://localhost/")]
    {
        let code = confirmed(&world, &mut browser).await;
        let response = redeem_at(&world, origin, &form(&code, VERIFIER, callback)).await;
        assert_eq!(reason(&response), "code-invalid", "{origin} {callback}");
    }
    for form in ["", "code=", "code=x&code_verifier=y", "code=%00"] {
        assert_eq!(reason(&redeem_at(&world, APP, form).await), "code-invalid", "{form}");
    }
}

#[tokio::test]
async fn a_code_is_good_for_a_minute() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let code = confirmed(&world, &mut browser).await;
    world.pass(60);
    assert_eq!(reason(&redeem(&world, &code).await), "code-invalid");
    let code = confirmed(&world, &mut browser).await;
    world.pass(59);
    assert_eq!(reason(&redeem(&world, &code).await), "handed-to-program");
}

#[tokio::test]
async fn a_code_that_comes_again_ends_the_session_that_it_gave() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let code = confirmed(&world, &mut browser).await;
    let answer: Value = serde_json::from_str(&text(redeem(&world, &code).await).await).unwrap();
    let response = redeem(&world, &code).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::BAD_REQUEST, "code-replayed"));
    let event = response.extensions().get::<Event>().unwrap();
    assert_eq!(event.kind, EventKind::Revoke);
    assert_eq!(event.session.as_ref().unwrap().id().as_str(), answer["session"]);
    let (name, value) = answer["cookie"].as_str().unwrap().split_once('=').unwrap();
    let mut program = Browser::default();
    program.jar.entry(APP.into()).or_default().insert(name.into(), value.into());
    assert_eq!(world.user(&mut program).await, None);
    assert!(world.user(&mut browser).await.is_some(), "the browser's session goes on");
    assert_eq!(reason(&redeem(&world, &code).await), "code-invalid");
}

#[tokio::test]
async fn a_session_is_no_answer_to_a_browser_that_redeems_a_stranger_s_code() {
    let world = World::new().await;
    let code = confirmed(&world, &mut signed_in(&world).await).await;
    let response = redeem(&world, &code).await;
    assert!(response.headers().get(SET_COOKIE).is_none());
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn a_program_signs_no_other_program_in() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    let url = format!("{APP}{}", ask_path());
    for response in [world.get(&mut program, &url).await, world.post(&mut program, &url, SAME_ORIGIN, "").await] {
        assert_eq!((response.status(), reason(&response)), (StatusCode::FORBIDDEN, "asked-by-program"));
    }
}

#[tokio::test]
async fn sign_out_in_the_browser_ends_the_sessions_of_its_programs() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let (mut one, _) = program_of(&world, &mut browser).await;
    let (mut two, _) = program_of(&world, &mut browser).await;
    let code = confirmed(&world, &mut browser).await;
    let response = world.post(&mut browser, &format!("{APP}/.portcullis/sign_out"), SAME_ORIGIN, "").await;
    assert_eq!(response.extensions().get::<Event>().unwrap().ended.len(), 2, "each has a record of its own");
    for program in [&mut one, &mut two] {
        assert_eq!(world.user(program).await, None);
    }
    assert_eq!(reason(&redeem(&world, &code).await), "session-ended");
}

#[tokio::test]
async fn a_fresh_sign_in_of_the_same_user_keeps_programs_and_that_of_another_ends_them() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    let again = async |browser: &mut Browser| {
        let callback = world.callback_url(browser, "/.portcullis/sign_in?return_to=/&prompt=login").await;
        let response = world.get(browser, &callback).await;
        world.get(browser, &location(&response)).await;
    };
    again(&mut browser).await;
    assert!(world.user(&mut program).await.is_some());
    world.provider.lie(|lies| lies.claims = object(json!({ "sub": "grace" })));
    again(&mut browser).await;
    assert_eq!(world.user(&mut program).await, None);
}

#[tokio::test]
async fn a_program_knows_of_its_user_what_the_provider_says_now() {
    let world = World::new().await;
    world.provider.lie(|lies| lies.refreshes = true);
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    assert_eq!(world.user(&mut program).await.unwrap()["groups"], json!(["sre"]));
    let held = world.authenticator.sessions().await.unwrap().into_iter().find(|one| one.is_program()).unwrap();
    // Into the window before the end of the token.
    world.pass(595);
    world.provider.lie(|lies| {
        lies.passed += 595;
        lies.claims.extend(object(json!({ "groups": ["sales"] })));
    });
    world.user(&mut browser).await;
    world.authenticator.settle().await;
    assert_eq!(world.user(&mut browser).await.unwrap()["groups"], json!(["sales"]));
    assert_eq!(world.user(&mut program).await.unwrap()["groups"], json!(["sales"]));
    assert!(held.is_outdated(), "its open tunnels are not decided again");
    let now = held.renewed().unwrap();
    assert!(now.is_program() && now.identity().proof() == held.identity().proof() && now.expires() == held.expires());
}

#[tokio::test]
async fn a_session_has_so_many_programs_and_no_more_and_those_that_ended_do_not_count() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let (mut first, _) = program_of(&world, &mut browser).await;
    for _ in 1..MOST_PROGRAMS {
        program_of(&world, &mut browser).await;
    }
    let code = confirmed(&world, &mut browser).await;
    let response = redeem(&world, &code).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::BAD_REQUEST, "too-many-programs"));
    let end = Request::delete(format!("{APP}/.portcullis/connect/session")).body(Body::empty()).unwrap();
    assert_eq!(reason(&world.send(&mut first, end).await), "signed-out");
    program_of(&world, &mut browser).await;
    let code = confirmed(&world, &mut browser).await;
    assert_eq!(reason(&redeem(&world, &code).await), "too-many-programs");
}

#[tokio::test]
async fn a_program_ends_its_own_session_and_no_other() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    let (mut program, _) = program_of(&world, &mut browser).await;
    let delete = || {
        let url = format!("{APP}/.portcullis/connect/session");
        Request::delete(url).body(Body::empty()).unwrap()
    };
    let response = world.send(&mut program, delete()).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::OK, "signed-out"));
    assert_eq!(world.user(&mut program).await, None);
    assert!(world.user(&mut browser).await.is_some());
    assert_eq!(world.send(&mut program, delete()).await.status(), StatusCode::OK, "there is nothing left to end");
}

#[tokio::test]
async fn what_a_route_asks_of_a_sign_in_is_asked_of_a_program_s_user() {
    let world = World::new().await;
    let mut browser = signed_in(&world).await;
    world.pass(1_000);
    let response = world.get(&mut browser, &format!("{APP}{}&max_age=900", ask_path())).await;
    let sign_in = location(&response);
    assert!(sign_in.starts_with("/.portcullis/sign_in?") && sign_in.contains("max_age=900"), "{sign_in}");
    let response = world.get(&mut browser, &format!("{APP}{}&provider=other", ask_path())).await;
    assert!(location(&response).contains("provider=other"));
}

#[tokio::test]
async fn a_host_without_a_tunnel_hands_nothing_to_programs() {
    let mut world = World::new().await;
    let mut browser = signed_in(&world).await;
    let code = confirmed(&world, &mut browser).await;
    world.programs = false;
    let url = format!("{APP}{}", ask_path());
    assert_eq!(world.get(&mut browser, &url).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.post(&mut browser, &url, SAME_ORIGIN, "").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(redeem(&world, &code).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_program_that_is_made_late_is_not_idle_from_the_start() {
    let timeout = std::time::Duration::from_secs(1_800);
    let world = World::with(|config| config.session.idle_timeout = Some(timeout)).await;
    let mut browser = signed_in(&world).await;
    for _ in 0..3 {
        world.pass(1_200);
        assert!(world.user(&mut browser).await.is_some());
    }
    let (mut program, _) = program_of(&world, &mut browser).await;
    world.pass(1_700);
    assert!(world.user(&mut program).await.is_some());
    world.pass(1_801);
    assert_eq!(world.user(&mut program).await, None);
}

#[tokio::test]
async fn a_store_that_fails_at_any_step_gives_no_program_a_session() {
    let backend = Failing::new();
    let changes_left = Arc::clone(&backend.changes_left);
    let world = World::on(Store::with_backend(backend), |_| ()).await;
    let mut browser = signed_in(&world).await;
    changes_left.store(0, Ordering::SeqCst);
    let response = world.post(&mut browser, &format!("{APP}{}", ask_path()), SAME_ORIGIN, "").await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"));
    for step in 0..4 {
        changes_left.store(usize::MAX, Ordering::SeqCst);
        let code = confirmed(&world, &mut browser).await;
        changes_left.store(step, Ordering::SeqCst);
        let response = redeem(&world, &code).await;
        assert_eq!(reason(&response), "store-unavailable", "step {step}");
        assert!(!text(response).await.contains("cookie"), "step {step}");
    }
    changes_left.store(usize::MAX, Ordering::SeqCst);
    let (mut program, _) = program_of(&world, &mut browser).await;
    changes_left.store(0, Ordering::SeqCst);
    let delete = Request::delete(format!("{APP}/.portcullis/connect/session")).body(Body::empty()).unwrap();
    let response = world.send(&mut program, delete).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"));
    assert!(world.user(&mut program).await.is_some());
}
