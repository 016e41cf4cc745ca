//! What a path can be written like, and what none of its spellings may open.

use integration::{Folder, Proxy, Setup, Upstream, raw, raw_trusting, status};
use serde_json::json;

use crate::Result;

async fn get(proxy: &Proxy, host: &str, target: &str) -> Result<(u16, String)> {
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}.localhost\r\nconnection: close\r\n\r\n");
    let answer = raw(proxy, &format!("{host}.localhost"), request.as_bytes()).await?;
    Ok((status(&answer), answer))
}

/// A host on which everything is open but what lies below `/admin`.
async fn guarded(upstream: &Upstream) -> Result<Proxy> {
    let guarded = json!({
        "authenticate": "none",
        "allow": "true || request.method == 'GET'",
        "deny": "request.path == '/admin' || request.path.startsWith('/admin/') || request.path.startsWith('/admin;')",
    });
    let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'" });
    Setup::default().route("guarded", &upstream.url(), &guarded).route("open", &upstream.url(), &open).start().await
}

#[tokio::test]
async fn no_spelling_of_a_denied_path_reaches_the_upstream() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = guarded(&upstream).await?;
    for target in [
        "/admin",
        "/%61dmin",
        "/a/../admin",
        "/a/%2e%2e/admin",
        "/a/%2E%2e/admin",
        "/./admin",
        "//admin",
        "///admin",
        "/admin%2f",
        "/admin/.",
        "/admin/",
        "/admin/x",
        "/%2e/admin",
        "/a/b/../../admin",
        "/public%2f..%2fadmin",
        "/public%5c..%5cadmin",
        "/admin;x=1",
        "/admin;/..;/",
        "/x/..//admin",
        "/a/..%2fadmin",
        "/..//admin",
        "/%41dmin/../admin",
        "/admin?x=/public",
        "/admin%23",
        "/%2561dmin/../admin",
        "/admin%3f",
    ] {
        let before = upstream.seen().len();
        let (code, answer) = get(&proxy, "guarded", target).await?;
        let reached: Vec<_> = upstream.seen().split_off(before);
        let decoded_admin = reached.iter().any(|seen| {
            let path = seen.line.split(' ').nth(1).unwrap_or_default();
            path.starts_with("/admin") && !path.starts_with("/admin%")
        });
        assert!(!decoded_admin, "{target} reached the upstream as {reached:?}");
        assert!(
            matches!(code, 400 | 403)
                || reached.iter().all(|seen| seen.line.contains("%23") || seen.line.contains("%3F")),
            "{target}: {answer}"
        );
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_no_target_is_400_on_every_host() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = guarded(&upstream).await?;
    for host in ["guarded", "open"] {
        for target in ["/secret#/public", "/%00", "/%zz", "/%", "/%c0%ae%c0%ae/", "/a%0d%0ab", "/%7f"] {
            let (code, answer) = get(&proxy, host, target).await?;
            assert_eq!(code, 400, "{host} {target}: {answer}");
        }
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn where_no_path_decides_slashes_pass_as_they_came() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = guarded(&upstream).await?;
    for target in ["/group%2fproject", "//double//slash", "/a%5cb", "/queues/%2F/name"] {
        let (code, answer) = get(&proxy, "open", target).await?;
        assert_eq!(code, 200, "{target}: {answer}");
        let seen = upstream.seen();
        let line = &seen.last().expect("the upstream was asked").line;
        assert_eq!(line.to_lowercase(), format!("GET {target} HTTP/1.1").to_lowercase());
    }
    // RFC 3986 §6.2.2.2; decoded once and no more.
    get(&proxy, "open", "/%7euser/%2561?q=%2F%61").await?;
    assert_eq!(upstream.seen().last().expect("asked").line, "GET /~user/%2561?q=%2F%61 HTTP/1.1");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_host_is_compared_without_case_dot_and_port() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = guarded(&upstream).await?;
    for host in ["open.localhost", "OPEN.Localhost", "open.localhost.", "open.localhost:443"] {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        assert_eq!(status(&raw(&proxy, "open.localhost", request.as_bytes()).await?), 200, "{host}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_host_that_is_no_host_or_not_ours_is_refused() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = guarded(&upstream).await?;
    for (head, expected) in [
        ("GET / HTTP/1.1", 400),
        ("GET / HTTP/1.1\r\nhost: open.localhost\r\nhost: open.localhost", 400),
        ("GET / HTTP/1.1\r\nhost: a\";for=1.1.1.1", 400),
        ("GET / HTTP/1.1\r\nhost: open.localhost@evil", 400),
        ("GET http://169.254.169.254/ HTTP/1.1\r\nhost: open.localhost", 400),
        ("GET https://guarded.localhost/ HTTP/1.1\r\nhost: open.localhost", 400),
        ("CONNECT open.localhost:22 HTTP/1.1\r\nhost: open.localhost:22", 405),
        ("TRACE / HTTP/1.1\r\nhost: open.localhost", 405),
        ("GET / HTTP/1.1\r\nhost: elsewhere.localhost", 404),
        ("GET / HTTP/1.1\r\nhost: 127.0.0.1", 404),
    ] {
        let request = format!("{head}\r\nconnection: close\r\n\r\n");
        let answer = raw(&proxy, "open.localhost", request.as_bytes()).await?;
        assert_eq!(status(&answer), expected, "{head}: {answer}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn neither_method_override_nor_forwarded_uri_changes_what_is_decided() -> Result {
    let upstream = Upstream::hello().await?;
    let only_get = json!({ "authenticate": "none", "allow": "request.method == 'GET' && request.path == '/public'" });
    let proxy = Setup::default().route("one", &upstream.url(), &only_get).start().await?;
    for (request, expected) in [
        ("GET /public HTTP/1.1\r\nx-http-method-override: DELETE", 200),
        ("DELETE /public HTTP/1.1\r\nx-http-method-override: GET", 403),
        ("get /public HTTP/1.1", 403),
        ("BREW /public HTTP/1.1", 403),
        ("OPTIONS /public HTTP/1.1\r\norigin: https://evil.example\r\naccess-control-request-method: GET", 403),
        ("GET /secret HTTP/1.1\r\nx-forwarded-uri: /public\r\nx-original-url: /public\r\nx-rewrite-url: /public", 403),
        ("GET /secret?x=/public HTTP/1.1", 403),
        ("GET /secret?/public HTTP/1.1", 403),
    ] {
        let request = format!("{request}\r\nhost: one.localhost\r\nconnection: close\r\n\r\n");
        let answer = raw(&proxy, "one.localhost", request.as_bytes()).await?;
        assert_eq!(status(&answer), expected, "{request}: {answer}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_host_that_another_certificate_serves_is_misdirected() -> Result {
    let upstream = Upstream::hello().await?;
    let folders = [Folder::new(&["one"])?, Folder::new(&["two"])?];
    let certificates = folders
        .each_ref()
        .map(|folder| json!({ "cert_file": folder.path("cert.pem"), "key_file": folder.path("key.pem") }));
    let listeners = json!([{ "address": "127.0.0.1:0", "tls": { "certificates": certificates } }]);
    let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'" });
    let setup = Setup::default().route("one", &upstream.url(), &open).route("two", &upstream.url(), &open);
    let proxy = setup.section(&json!({ "listeners": listeners })).start().await?;
    let trusting = folders[0].authority().client_config()?;
    for (host, expected) in [("one", 200), ("two", 421), ("TWO", 421), ("other", 404)] {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}.localhost\r\nconnection: close\r\n\r\n");
        let answer = raw_trusting(trusting.clone(), &proxy, "one.localhost", request.as_bytes()).await?;
        assert_eq!(status(&answer), expected, "{host}: {answer}");
    }
    assert_eq!(upstream.seen().len(), 1);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_preflight_reaches_an_upstream_without_identity_only_where_the_route_passes_it() -> Result {
    let upstream = Upstream::hello().await?;
    let closed = json!({ "allow": "'sre' in user.groups", "deny": "request.path.startsWith('/internal')" });
    let mut passing = closed.clone();
    passing["cors_preflight"] = json!("pass");
    let setup = Setup::default().route("passing", &upstream.url(), &passing).route("closed", &upstream.url(), &closed);
    let proxy = setup.start().await?;
    for (host, path, more, expected) in [
        ("passing", "/api", "", 200),
        ("passing", "/x/../internal", "", 403),
        ("passing", "/api", "cookie: a=b\r\n", 401),
        ("passing", "/api", "authorization: Bearer x\r\n", 401),
        ("passing", "/api", "x-portcullis-jwt-assertion: forged\r\nx_forwarded_email: root@example.com\r\n", 200),
        ("closed", "/api", "", 401),
    ] {
        let request = format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: {host}.localhost\r\nconnection: close\r\n{more}\
             origin: https://page.example\r\naccess-control-request-method: PUT\r\n\r\n"
        );
        let answer = raw(&proxy, &format!("{host}.localhost"), request.as_bytes()).await?;
        assert_eq!(status(&answer), expected, "{request}: {answer}");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(seen.line, "OPTIONS /api HTTP/1.1");
        for name in ["cookie", "authorization", "x-portcullis-jwt-assertion", "x-forwarded-email"] {
            assert!(!seen.has_alias_of(name), "{seen:?}");
        }
    }
    let records = proxy.stop().await?;
    let passed: Vec<_> = records.iter().filter(|record| record["reason"] == "cors-preflight").collect();
    assert_eq!(passed.len(), 2);
    assert!(passed.iter().all(|record| record["decision"] == "allow" && record["user"].is_null()), "{passed:?}");
    Ok(())
}
