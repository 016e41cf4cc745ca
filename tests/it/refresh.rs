//! Sessions whose provider is asked again: what changes there takes effect here, and a provider that is away ends nothing.

use std::time::Duration;

use bytes::Bytes;
use demo::provider::User;
use http::Method;
use integration::{Browser, Proxy, Setup, Upstream};
use serde_json::{Value, json};

use crate::Result;
use crate::streams::{POLICY_VIOLATION, closed, cookie, endless, rest, signed_in, websocket};

/// Tokens that end while a test runs.
const SHORT: Duration = Duration::from_secs(2);

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["kind"] == kind).collect()
}

/// Asks, a few times a second, until the answer is as it is awaited.
async fn until(browser: &mut Browser, url: &str, is_awaited: impl Fn(u16) -> bool) -> Result {
    let asking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            let answer = browser.send(Method::GET, url, &[], Bytes::new()).await?;
            if is_awaited(answer.status.as_u16()) {
                return Result::Ok(());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await?
}

/// Reads a sample of the metrics.
async fn sample(proxy: &Proxy, result: &str) -> Result<u64> {
    let metrics = proxy.admin_get("localhost", "/metrics").await?;
    let name = format!("portcullis_session_refreshes_total{{provider=\"tests\",result=\"{result}\"}} ");
    Ok(metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_default())
}

#[tokio::test]
async fn changed_groups_close_a_websocket_and_refuse_the_next_request() -> Result {
    let upstream = endless().await?;
    let engineers = json!({ "allow": "'engineering' in user.groups" });
    let proxy = Setup::default().token_life(SHORT).route("one", &upstream.url(), &engineers).start().await?;
    let (mut ada, grace) = (signed_in(&proxy, "ada").await?, signed_in(&proxy, "grace").await?);
    let mut socket = websocket(&proxy, &cookie(&ada)).await?;
    let mut other = websocket(&proxy, &cookie(&grace)).await?;
    proxy.provider().change(User::new("ada", "Ada Lovelace", &["sales"]));
    // It makes no request meanwhile: what is open is reason enough to ask.
    assert_eq!(rest(&mut socket).await?, POLICY_VIOLATION);
    assert_eq!(ada.send(Method::GET, "https://one.localhost/", &[], Bytes::new()).await?.status, 403);
    let open = tokio::time::timeout(Duration::from_millis(10), rest(&mut other)).await;
    assert!(open.is_err(), "{open:?}");
    assert!(sample(&proxy, "refreshed").await? > 0);
    drop(other);
    let records = proxy.stop().await?;
    assert!(closed(&records, "/ws").contains("closed: no-policy-matched"), "{records:#?}");
    assert!(of_kind(&records, "refresh_failed").is_empty());
    Ok(())
}

#[tokio::test]
async fn the_upstream_learns_of_changed_groups() -> Result {
    let upstream = Upstream::hello().await?;
    let members = json!({ "allow": "user.authenticated", "identity": { "headers": { "x-groups": "groups" } } });
    let proxy = Setup::default().token_life(SHORT).route("one", &upstream.url(), &members).start().await?;
    let mut ada = proxy.signed_in("ada", "one").await?;
    proxy.provider().change(User::new("ada", "Ada Lovelace", &["sales"]));
    let told = |upstream: &Upstream| {
        let seen = upstream.seen().pop().map(|request| (request.all("x-groups").concat(), assertion(&request)));
        seen.is_some_and(|(header, claims)| header == r#"["sales"]"# && claims["groups"] == json!(["sales"]))
    };
    until(&mut ada, "https://one.localhost/", |status| status == 200 && told(&upstream)).await?;
    proxy.stop().await?;
    Ok(())
}

/// Reads the claims of the assertion, whose signature others check.
fn assertion(request: &integration::Seen) -> Value {
    use base64::Engine as _;
    let token = request.all("x-portcullis-jwt-assertion").concat();
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    serde_json::from_slice(&claims).unwrap_or_default()
}

#[tokio::test]
async fn who_is_gone_at_the_provider_is_signed_out_with_all_that_is_open() -> Result {
    let upstream = endless().await?;
    let members = json!({ "allow": "user.authenticated" });
    let proxy = Setup::default().token_life(SHORT).route("one", &upstream.url(), &members).start().await?;
    let mut ada = signed_in(&proxy, "ada").await?;
    let mut socket = websocket(&proxy, &cookie(&ada)).await?;
    proxy.provider().remove("ada");
    assert_eq!(rest(&mut socket).await?, POLICY_VIOLATION);
    assert_eq!(ada.send(Method::GET, "https://one.localhost/", &[], Bytes::new()).await?.status, 401);
    assert_eq!(sample(&proxy, "ended").await?, 1);
    let records = proxy.stop().await?;
    assert!(closed(&records, "/ws").contains("closed: session-ended"), "{records:#?}");
    let failed = of_kind(&records, "refresh_failed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!((&failed[0]["reason"], &failed[0]["details"]), (&json!("grant-ended"), &json!({ "session": "ended" })));
    assert_eq!(failed[0]["user"]["email"], "ada@example.com");
    assert!(failed[0]["session"].is_string() && failed[0]["error"].is_string());
    Ok(())
}

#[tokio::test]
async fn a_provider_that_is_away_signs_nobody_out_and_is_recorded_once() -> Result {
    let upstream = Upstream::hello().await?;
    let members = json!({ "allow": "user.authenticated" });
    let proxy = Setup::default().token_life(SHORT).route("one", &upstream.url(), &members).start().await?;
    let mut ada = proxy.signed_in("ada", "one").await?;
    proxy.provider().shutdown().await;
    let asking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while sample(&proxy, "failed").await? < 3 {
            ticks.tick().await;
            assert_eq!(ada.send(Method::GET, "https://one.localhost/", &[], Bytes::new()).await?.status, 200);
        }
        Result::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await??;
    let records = proxy.stop().await?;
    let failed = of_kind(&records, "refresh_failed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["reason"], "provider-unavailable");
    assert_eq!(failed[0]["details"], json!({ "session": "kept" }));
    Ok(())
}

#[tokio::test]
async fn a_stop_waits_for_what_a_provider_answers() -> Result {
    let upstream = Upstream::hello().await?;
    let members = json!({ "allow": "user.authenticated" });
    let mut proxy = Setup::default().token_life(SHORT).route("one", &upstream.url(), &members).start().await?;
    let mut ada = proxy.signed_in("ada", "one").await?;
    let held = proxy.provider().hold().await;
    // The first request after the end of the token waits for the provider, until the drain cuts it.
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        let mut asking = Box::pin(ada.send(Method::GET, "https://one.localhost/", &[], Bytes::new()));
        if tokio::time::timeout(Duration::from_secs(3), &mut asking).await.is_err() {
            proxy.drain();
            assert!(asking.await.is_err(), "it was answered");
            break;
        }
    }
    proxy.provider().remove("ada");
    drop(held);
    let records = proxy.stop().await?;
    let failed = of_kind(&records, "refresh_failed");
    assert_eq!(failed.first().map(|record| &record["reason"]), Some(&json!("grant-ended")), "{failed:?}");
    Ok(())
}
