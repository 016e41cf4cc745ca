//! A route that asks for more than a sign-in, through the assembled proxy and a provider.

use bytes::Bytes;
use http::Method;
use integration::{Proxy, Setup, Upstream};
use serde_json::{Value, json};

use crate::Result;

const COOKIE: &str = "__Host-portcullis";

/// An app for everybody, and one that asks for a strong sign-in, whose banned path needs nobody to be refused.
async fn apps(upstream: &Upstream) -> Result<Proxy> {
    let strong = json!({
        "allow": "user.authenticated && session.acr == 'phr'",
        "deny": "request.path == '/banned'",
        "step_up": { "max_auth_age": "15m", "acr_values": ["phr"] },
    });
    let setup = Setup::default().route("one", &upstream.url(), &json!({ "allow": "user.authenticated" }));
    setup.route("vault", &upstream.url(), &strong).start().await
}

fn of_vault(records: &[Value]) -> Vec<(&str, &str)> {
    records
        .iter()
        .filter(|record| record["kind"] == "request" && record["route"] == "vault")
        .map(|record| (record["decision"].as_str().unwrap_or_default(), record["reason"].as_str().unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn a_browser_steps_up_and_comes_back_to_the_same_page() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = apps(&upstream).await?;
    let mut ada = proxy.signed_in("ada", "one").await?;
    // The session of the host of sign-in leads straight into the next app, and is not enough there.
    let answer = ada.open("https://vault.localhost/secret?x=1", "ada").await?;
    assert_eq!((answer.status.as_u16(), answer.url.as_str()), (200, "https://vault.localhost/secret?x=1"));
    assert_eq!(ada.get("https://vault.localhost/").await?.status, 200, "it is asked for once");
    assert_eq!(ada.open("https://one.localhost/", "nobody").await?.status, 200, "the stronger one does everywhere");
    let records = proxy.stop().await?;
    let signed_in = records.iter().filter(|record| record["reason"] == "signed-in").count();
    assert_eq!(signed_in, 2, "one sign-in, and one that was stepped up");
    Ok(())
}

#[tokio::test]
async fn what_falls_short_is_told_as_its_kind_understands() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = apps(&upstream).await?;
    let mut ada = proxy.browser();
    // Signed in at that very host, but not as its route asks.
    let start = "https://vault.localhost/.portcullis/sign_in?return_to=/.portcullis/user";
    assert_eq!(ada.open(start, "ada").await?.status, 200);
    let handle = ada.cookies("vault.localhost")[COOKIE].clone();
    let sign_in = "https://vault.localhost/.portcullis/sign_in?return_to=/x&max_age=900&acr_values=phr";

    let page = ada.get("https://vault.localhost/x").await?;
    assert_eq!((page.status.as_u16(), page.header("location")), (302, sign_in));

    let program = ada.send(Method::POST, "https://vault.localhost/x", &[("accept", "*/*")], Bytes::new()).await?;
    assert_eq!(program.status, 401);
    assert_eq!(
        program.header("www-authenticate"),
        "Bearer error=\"insufficient_user_authentication\", error_description=\"a stronger sign-in is required\", \
         max_age=\"900\", acr_values=\"phr\""
    );
    assert_eq!(program.json()?["error"], "insufficient_user_authentication");
    assert_eq!(program.json()?["sign_in"], sign_in);

    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", "https://vault.localhost"),
    ];
    assert_eq!(ada.send(Method::GET, "https://vault.localhost/x", &upgrade, Bytes::new()).await?.status, 401);

    let grpc = [("content-type", "application/grpc")];
    let grpc = ada.send(Method::POST, "https://vault.localhost/x", &grpc, Bytes::new()).await?;
    assert_eq!((grpc.status.as_u16(), grpc.header("grpc-status")), (200, "16"));
    assert!(grpc.header("grpc-message").contains("/.portcullis/sign_in"), "{}", grpc.header("grpc-message"));

    assert_eq!(ada.get("https://vault.localhost/banned").await?.status, 403, "rules that need nobody go first");
    assert!(upstream.seen().is_empty());

    assert_eq!(ada.open("https://vault.localhost/x", "ada").await?.status, 200);
    assert_ne!(ada.cookies("vault.localhost")[COOKIE], handle);
    let (mut thief, old) = (proxy.browser(), format!("{COOKIE}={handle}"));
    let user = "https://vault.localhost/.portcullis/user";
    let answer = thief.send(Method::GET, user, &[("cookie", &old)], Bytes::new()).await?;
    assert_eq!(answer.status, 401, "the session that fell short is over");

    let records = proxy.stop().await?;
    let short = ("challenge", "step-up-required");
    let denied = ("deny", "deny-rule-matched");
    let allowed = ("allow", "allow-rule-matched");
    assert_eq!(of_vault(&records), [short, short, short, short, denied, short, allowed]);
    let challenged = records.iter().find(|record| record["reason"] == "step-up-required").expect("a record");
    assert_eq!(challenged["user"]["email"], "ada@example.com");
    assert_eq!(challenged["inputs"]["session.acr"]["is"], "");
    Ok(())
}

#[tokio::test]
async fn nobody_is_asked_twice_for_one_sign_in() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = apps(&upstream).await?;
    let challenge = proxy.browser().get("https://vault.localhost/x").await?;
    assert!(challenge.header("location").ends_with("&max_age=900&acr_values=phr"), "{}", challenge.header("location"));
    let answer = proxy.browser().open("https://vault.localhost/x", "grace").await?;
    assert_eq!(answer.status, 200);
    let records = proxy.stop().await?;
    assert_eq!(records.iter().filter(|record| record["reason"] == "signed-in").count(), 1);
    Ok(())
}
