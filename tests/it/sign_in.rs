//! Sign-in through the assembled proxy, by callers that do not play by the rules.

use bytes::Bytes;
use http::{Method, StatusCode};
use integration::{Proxy, Setup, Upstream};
use serde_json::json;
use url::Url;

use crate::Result;

async fn two_apps(upstream: &Upstream) -> Result<Proxy> {
    let members = json!({ "allow": "'engineering' in user.groups" });
    Setup::default().route("one", &upstream.url(), &members).route("two", &upstream.url(), &members).start().await
}

#[tokio::test]
async fn a_return_address_never_leads_away() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = two_apps(&upstream).await?;
    for address in [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/%09/evil.example",
        "https:evil.example",
        "https://one.localhost.evil.example",
        "https://one.localhost@evil.example",
        "http:///evil.example",
        "/%0d%0aLocation:%20https://evil.example",
        "javascript:alert(1)",
        " https://evil.example",
        ".evil.example",
        "/\\/evil.example",
        "\\\\evil.example",
        "/%5cevil.example",
        "https://evil.example/",
    ] {
        let mut url = Url::parse("https://one.localhost/.portcullis/sign_in")?;
        url.query_pairs_mut().append_pair("return_to", address);
        let answer = proxy.browser().open(url.as_str(), "ada").await?;
        assert_eq!(answer.url.host_str(), Some("one.localhost"), "{address} led to {}", answer.url);
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_cookie_is_good_on_its_own_host_only_and_only_whole() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = two_apps(&upstream).await?;
    let ada = proxy.signed_in("ada", "one").await?;
    let handle = ada.cookies("one.localhost").remove("__Host-portcullis").expect("a session cookie");
    let status = async |host: &str, cookie: &str| -> Result<StatusCode> {
        let url = format!("https://{host}.localhost/");
        let answer = proxy.browser().send(Method::GET, &url, &[("cookie", cookie)], Bytes::new()).await?;
        Ok(answer.status)
    };
    assert_eq!(status("one", &format!("__Host-portcullis={handle}")).await?, 200);
    assert_eq!(status("two", &format!("__Host-portcullis={handle}")).await?, 401);
    assert_eq!(status("one", &format!("portcullis={handle}")).await?, 401);
    assert_eq!(status("one", &format!("__Host-portcullis=junk; __Host-portcullis={handle}")).await?, 200);
    assert_eq!(status("one", &format!("__Host-portcullis={handle}; __Host-portcullis=junk")).await?, 200);
    for broken in
        [String::new(), handle.chars().skip(1).collect(), format!("{handle}x"), "\"".into(), "a".repeat(16_000)]
    {
        assert_eq!(status("one", &format!("__Host-portcullis={broken}")).await?, 401, "{broken}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_credential_of_another_kind_is_no_session() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = two_apps(&upstream).await?;
    for header in [("authorization", "Bearer junk"), ("cookie", "BearerToken=junk"), ("authorization", "Basic YTpi")] {
        let answer = proxy.browser().send(Method::GET, "https://one.localhost/", &[header], Bytes::new()).await?;
        assert_eq!(answer.status, 401, "{header:?}");
    }
    for agent in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"] {
        let headers = [("user-agent", agent)];
        let answer = proxy.browser().send(Method::GET, "https://one.localhost/", &headers, Bytes::new()).await?;
        assert_eq!(answer.status, 401, "{agent}");
    }
    assert!(upstream.seen().is_empty());
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_handle_changes_at_every_sign_in_and_with_the_user() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = two_apps(&upstream).await?;
    let mut browser = proxy.browser();
    browser.set_cookie("one.localhost", "__Host-portcullis", "planted-by-somebody-else");
    browser.open("https://one.localhost/", "ada").await?;
    let first = browser.cookies("one.localhost").remove("__Host-portcullis").expect("a session cookie");
    assert_ne!(first, "planted-by-somebody-else");
    let switch = "https://one.localhost/.portcullis/sign_in?return_to=/&prompt=select_account";
    let answer = browser.open(switch, "grace").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let second = browser.cookies("one.localhost").remove("__Host-portcullis").expect("a session cookie");
    assert_ne!(first, second);
    let old = format!("__Host-portcullis={first}");
    let answer = proxy.browser().send(Method::GET, "https://one.localhost/", &[("cookie", &old)], Bytes::new()).await?;
    assert_eq!(answer.status, 401, "the session of the user before is over");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn attempts_that_are_never_finished_leave_few_small_cookies() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = two_apps(&upstream).await?;
    let mut browser = proxy.browser();
    for attempt in 0..40 {
        let answer = browser.get(&format!("https://one.localhost/.portcullis/sign_in?return_to=/{attempt}")).await?;
        assert!(answer.status.is_redirection());
        browser.get(answer.header("location")).await?;
    }
    for host in ["one.localhost", "auth.localhost"] {
        let cookies = browser.cookies(host);
        let size: usize = cookies.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(cookies.len() <= 8 && size < 8_000, "{host}: {} cookies of {size} bytes", cookies.len());
    }
    assert_eq!(browser.open("https://one.localhost/", "ada").await?.status, 200);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_deny_rule_over_the_address_alone_comes_before_sign_in() -> Result {
    let upstream = Upstream::hello().await?;
    let rules = json!({ "allow": "user.authenticated", "deny": "request.ip.inCIDR('127.0.0.0/8')" });
    let proxy = Setup::default().route("one", &upstream.url(), &rules).start().await?;
    let answer = proxy.browser().get("https://one.localhost/").await?;
    assert_eq!(answer.status, 403, "{}", answer.text());
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn our_own_answers_are_never_stored_framed_or_told_on() -> Result {
    let upstream = Upstream::hello().await?;
    let never = json!({ "allow": "'nobody' in user.groups" });
    let proxy = Setup::default().route("one", &upstream.url(), &never).start().await?;
    let mut ada = proxy.browser();
    let refused = ada.open("https://one.localhost/%22%3E%3Csvg%20onload=alert(1)%3E", "ada").await?;
    assert_eq!(refused.status, 403);
    assert!(!refused.text().contains("<svg onload"), "{}", refused.text());
    let own = ada.get("https://one.localhost/.portcullis/").await?;
    let missing = ada.get("https://one.localhost/.portcullis/nothing").await?;
    let elsewhere = ada.get("https://auth.localhost/nothing").await?;
    let challenged = proxy.browser().get("https://one.localhost/").await?;
    let failed = proxy.browser().get("https://auth.localhost/.portcullis/callback?code=x&state=y").await?;
    assert!(failed.status.is_client_error(), "{}", failed.status);
    for answer in [refused, own, missing, elsewhere, challenged, failed] {
        let url = answer.url.as_str();
        assert_eq!(answer.header("cache-control"), "no-store", "{url}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{url}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{url}");
        if answer.header("content-type").starts_with("text/html") {
            assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{url}");
        }
    }
    proxy.stop().await?;
    Ok(())
}
