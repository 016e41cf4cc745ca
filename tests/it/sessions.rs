//! Sessions through the assembled proxy: made, changed and ended, and what of them is written down.

use bytes::Bytes;
use http::Method;
use integration::{Answer, Browser, Proxy, Setup, Upstream};
use serde_json::{Value, json};

use crate::Result;

const COOKIE: &str = "__Host-portcullis";
const OWN_FORM: [(&str, &str); 1] = [("sec-fetch-site", "same-origin")];

async fn two_apps(upstream: &Upstream) -> Result<Proxy> {
    let members = json!({ "allow": "user.authenticated" });
    Setup::default().route("one", &upstream.url(), &members).route("two", &upstream.url(), &members).start().await
}

/// Goes on until an answer leads to `until`, and returns that URL without opening it.
async fn led_to(browser: &mut Browser, url: &str, user: &str, until: &str) -> Result<String> {
    let mut answer = browser.get(url).await?;
    for _ in 0..10 {
        if answer.status == 200 && answer.url.path() == "/authorize" {
            let form = [("content-type", "application/x-www-form-urlencoded")];
            let url = answer.url.to_string();
            answer = browser.send(Method::POST, &url, &form, Bytes::from(format!("user={user}"))).await?;
        }
        let next = answer.url.join(answer.header("location"))?.to_string();
        if next.contains(until) {
            return Ok(next);
        }
        answer = browser.get(&next).await?;
    }
    Err(format!("never led to {until}").into())
}

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<(&'a str, &'a str)> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let found = records.iter().filter(|record| record["kind"] == kind);
    found.map(|record| (text(&record["reason"]), text(&record["user"]["email"]))).collect()
}

#[tokio::test]
async fn after_sign_out_no_cookie_of_the_session_is_good_anywhere() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = two_apps(&upstream).await?;
    let mut ada = proxy.signed_in("ada", "one").await?;
    assert_eq!(ada.open("https://two.localhost/", "nobody").await?.status, 200);
    let before = ada.clone();
    let sign_out = "https://one.localhost/.portcullis/sign_out";
    for foreign in [[("sec-fetch-site", "cross-site")], [("origin", "https://two.localhost")], [("x-none", "")]] {
        assert_eq!(ada.send(Method::POST, sign_out, &foreign, Bytes::new()).await?.status, 403, "{foreign:?}");
    }
    assert_eq!(ada.get(sign_out).await?.status, 200, "a GET only asks");
    assert_eq!(ada.get("https://one.localhost/").await?.status, 200, "still signed in");
    assert!(ada.send(Method::POST, sign_out, &OWN_FORM, Bytes::new()).await?.status.is_redirection());
    for host in ["one.localhost", "two.localhost", "auth.localhost"] {
        let answer = before.clone().get(&format!("https://{host}/.portcullis/user")).await?;
        assert_eq!(answer.status, 401, "{host}");
    }
    let records = proxy.stop().await?;
    let ended = of_kind(&records, "sign_out");
    assert_eq!(ended[..3], [("cross-site", "ada@example.com"); 3]);
    assert_eq!(ended[3..], [("signed-out", "ada@example.com")]);
    Ok(())
}

#[tokio::test]
async fn a_link_of_another_browsers_sign_in_signs_nobody_in() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = two_apps(&upstream).await?;
    for part in ["auth.localhost/.portcullis/callback?", "one.localhost/.portcullis/callback?"] {
        let planted = led_to(&mut proxy.browser(), "https://one.localhost/", "mallory", part).await?;
        let mut victim = proxy.browser();
        victim.get("https://one.localhost/").await?;
        let answer = victim.open(&planted, "ada").await?;
        assert_eq!(answer.status, 400, "{planted}");
        assert!(answer.text().contains("/.portcullis/sign_in"), "no way to start again: {}", answer.text());
        for host in ["one.localhost", "auth.localhost"] {
            assert!(!victim.cookies(host).contains_key(COOKIE), "signed in at {host}");
        }
    }
    let records = proxy.stop().await?;
    let reasons: Vec<_> = of_kind(&records, "sign_in").into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["state-mismatch", "signed-in", "browser-mismatch"]);
    assert!(upstream.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_ticket_is_good_on_its_own_host_and_once() -> Result {
    let upstream = Upstream::hello().await?;
    let members = json!({ "allow": "user.authenticated" });
    let proxy = Setup::default().route("*.apps", &upstream.url(), &members).start().await?;
    let mut ada = proxy.browser();
    let ticket = led_to(&mut ada, "https://a.apps.localhost/", "ada", "a.apps.localhost/.portcullis/callback?").await?;
    let elsewhere = ticket.replace("a.apps", "b.apps");
    assert_eq!(ada.clone().get(&elsewhere).await?.status, 400, "another host of the same wildcard");
    assert_eq!(ada.get(&ticket).await?.status, 400, "shown elsewhere, it is spent");

    let ticket = led_to(&mut ada, "https://a.apps.localhost/", "ada", "a.apps.localhost/.portcullis/callback?").await?;
    let mut copied_later = ada.clone();
    assert_eq!(ada.open(&ticket, "nobody").await?.status, 200);
    assert_eq!(copied_later.get(&ticket).await?.status, 400, "twice");
    // What one host gave is nothing on its sibling, nor on a host that is none of ours.
    let handle = ada.cookies("a.apps.localhost").remove(COOKIE).expect("a session");
    let mut thief = proxy.browser();
    thief.set_cookie("b.apps.localhost", COOKIE, &handle);
    assert_eq!(thief.get("https://b.apps.localhost/.portcullis/user").await?.status, 401);
    let foreign = [("host", "evil.example")];
    let start = "https://a.apps.localhost/.portcullis/sign_in";
    let answer = ada.send(Method::GET, start, &foreign, Bytes::new()).await?;
    assert!(answer.status.is_client_error(), "{}", answer.status);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_change_of_user_ends_the_session_before_and_says_so() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = two_apps(&upstream).await?;
    let mut browser = proxy.signed_in("ada", "one").await?;
    let before = browser.clone();
    let switch = "https://one.localhost/.portcullis/sign_in?return_to=/&prompt=select_account";
    assert_eq!(browser.open(switch, "grace").await?.status, 200);
    assert_eq!(before.clone().get("https://one.localhost/.portcullis/user").await?.status, 401);
    let records = proxy.stop().await?;
    assert_eq!(of_kind(&records, "revoke"), [("session-replaced", "ada@example.com")]);
    let revoked = records.iter().find(|record| record["kind"] == "revoke").expect("a record");
    let cause = records.iter().find(|record| record["kind"] == "sign_in" && record["id"] == revoked["id"]);
    assert_eq!(cause.map(|cause| &cause["user"]["email"]), Some(&json!("grace@example.com")));
    assert_ne!(cause.map(|cause| &cause["session"]), Some(&revoked["session"]));
    Ok(())
}

#[tokio::test]
async fn where_sign_in_is_optional_strangers_are_strangers() -> Result {
    let upstream = Upstream::hello().await?;
    let rules = json!({ "authenticate": "optional", "allow": "user.authenticated || request.path == '/open'" });
    let proxy = Setup::default().route("one", &upstream.url(), &rules).start().await?;
    let mut browser = proxy.browser();
    browser.set_cookie("one.localhost", COOKIE, &"A".repeat(43));
    let claimed = [("x-portcullis-jwt-assertion", "forged"), ("authorization", "Bearer forged")];
    assert_eq!(browser.send(Method::GET, "https://one.localhost/open", &claimed, Bytes::new()).await?.status, 200);
    let seen = upstream.seen().pop().expect("asked");
    assert!(!seen.has_alias_of("x-portcullis-jwt-assertion") && seen.all("cookie").is_empty(), "{seen:?}");
    let refused = browser.get("https://one.localhost/closed").await?;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("/.portcullis/sign_in?return_to=/closed"), "{}", refused.text());
    let answer = browser.open("https://one.localhost/.portcullis/sign_in?return_to=/closed", "ada").await?;
    assert_eq!((answer.status.as_u16(), answer.url.path()), (200, "/closed"));
    assert_eq!(upstream.seen().pop().expect("asked").all("x-portcullis-jwt-assertion").len(), 1);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn no_secret_of_a_sign_in_is_shown_or_written_down() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = two_apps(&upstream).await?;
    let mut ada = proxy.browser();
    let callback = led_to(&mut ada, "https://one.localhost/", "ada", "auth.localhost/.portcullis/callback?").await?;
    let ticket = led_to(&mut ada, &callback, "ada", "one.localhost/.portcullis/callback?").await?;
    let mut secrets: Vec<String> = [&callback, &ticket]
        .iter()
        .filter_map(|url| url.split_once('?'))
        .flat_map(|(_, query)| query.split('&'))
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| ["code", "state", "ticket"].contains(name))
        .map(|(_, value)| value.to_owned())
        .collect();
    assert_eq!(secrets.len(), 3, "{callback} {ticket}");
    assert_eq!(ada.open(&ticket, "nobody").await?.status, 200);
    for host in ["one.localhost", "auth.localhost"] {
        secrets.extend(ada.cookies(host).into_values());
    }
    secrets.extend(["a-secret-of-the-tests-only".to_owned(), "hunter2".to_owned()]);
    let answers: [Answer; 6] = [
        ada.get(&callback).await?,
        ada.get(&ticket).await?,
        ada.get("https://one.localhost/.portcullis/").await?,
        ada.get("https://one.localhost/.portcullis/user").await?,
        ada.get("https://one.localhost/.portcullis/sign_out").await?,
        ada.send(Method::GET, "https://one.localhost/x", &[("authorization", "Bearer hunter2")], Bytes::new()).await?,
    ];
    for answer in answers {
        let page = answer.text();
        assert!(!secrets.iter().any(|secret| page.contains(secret)), "{} shows a secret: {page}", answer.url);
    }
    let written = serde_json::to_string(&proxy.stop().await?)?;
    for secret in &secrets {
        assert!(!written.contains(secret), "{secret} is in the audit log");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_client_says_of_itself_makes_one_record_and_no_other() -> Result {
    let upstream = Upstream::hello().await?;
    let open = json!({ "authenticate": "none", "allow": "request.method == 'GET'" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let agent = "x\t{\"user\":\"root\",\"decision\":\"allow\"}\u{2028}\u{202e}\u{9b}31m";
    let headers = [("user-agent", agent)];
    let path = "https://one.localhost/%0a%7b%22user%22:%22root%22%7d?a%0ab=1";
    assert_eq!(proxy.browser().send(Method::GET, path, &headers, Bytes::new()).await?.status, 400);
    let path = "https://one.localhost/%7b%22user%22:%22root%22%7d?a%0ab=1";
    assert_eq!(proxy.browser().send(Method::GET, path, &headers, Bytes::new()).await?.status, 200);
    let records = proxy.stop().await?;
    assert_eq!(records.len(), 2);
    assert_eq!(records[1]["user_agent"], agent);
    assert!(records[1].get("user").is_none());
    Ok(())
}
