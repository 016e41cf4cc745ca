//! Whole requests through real sockets.

use http::{Method, Request, Version};
use http_body_util::{BodyExt, Empty};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::Authentication;
use crate::test_support::{Setup, echo, http2, nobody, route};

#[tokio::test]
async fn an_allowed_request_reaches_its_upstream_and_is_recorded_once() {
    let proxy = Setup::cleartext().route(route("app.example.com", echo().await), "true").start();
    let answer = proxy
        .send(
            "POST /a/../b?x=1&y=2 HTTP/1.1\r\nHost: App.Example.com\r\nUser-Agent: test\r\nConnection: close\r\n\
               X-Forwarded-For: 9.9.9.9\r\nX_Portcullis_Jwt_Assertion: forged\r\nContent-Length: 5\r\n\r\nhello",
        )
        .await;
    assert_eq!(answer.status, 200);
    let seen = answer.json();
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["uri"], "/b?x=1&y=2");
    assert_eq!(seen["body"], "hello");
    let headers = seen["headers"].to_string();
    assert!(headers.contains("x-forwarded-for: 127.0.0.1"), "{headers}");
    assert!(headers.contains("x-request-id: "), "{headers}");
    assert!(!headers.contains("forged") && !headers.contains("9.9.9.9"), "{headers}");
    let metrics = proxy.metrics();
    assert!(metrics.contains(r#"portcullis_requests_total{route="app",code="200",decision="allow"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"portcullis_request_duration_seconds_count{route="app",stage="upstream"} 1"#));
    let records = proxy.stop().await;
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record["kind"], "request");
    assert_eq!(record["revision"], "r1");
    assert_eq!(record["route"], "app");
    assert_eq!(record["host"], "app.example.com");
    assert_eq!(record["path"], "/b");
    assert_eq!(record["query_keys"], serde_json::json!(["x", "y"]));
    assert_eq!(record["decision"], "allow");
    assert_eq!(record["client_ip"], "127.0.0.1");
    assert_eq!(record["status"], 200);
    assert_eq!(record["bytes_in"], 5);
    assert_eq!(record["bytes_out"], answer.body.len());
    assert_eq!(record["user_agent"], "test");
    assert_eq!(record["upstream"]["protocol"], "http/1.1");
    assert!(record.get("error").is_none(), "{record}");
}

#[tokio::test]
async fn every_refusal_is_recorded_with_its_reason() {
    let proxy = Setup::cleartext().route(route("app.example.com", nobody().await), "false").start();
    let cases = [
        ("GET / HTTP/1.1\r\nHost: app.example.com\r\n", 403, "no-policy-matched"),
        ("GET / HTTP/1.1\r\nHost: other.example.com\r\n", 404, "no-route"),
        ("GET /%00 HTTP/1.1\r\nHost: app.example.com\r\n", 400, ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400, "host-repeated"),
        ("TRACE / HTTP/1.1\r\nHost: app.example.com\r\n", 405, "method-not-allowed"),
        ("CONNECT internal:22 HTTP/1.1\r\nHost: internal:22\r\n", 405, "method-not-allowed"),
        ("GET http://169.254.169.254/ HTTP/1.1\r\nHost: app.example.com\r\n", 400, "host-mismatch"),
    ];
    for (request, status, _) in cases {
        let answer = proxy.send(&format!("{request}Connection: close\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("vary"), "Cookie, Accept");
        assert_eq!(answer.header("x-request-id").len(), 36);
        assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
    }
    let records = proxy.stop().await;
    assert_eq!(records.len(), cases.len());
    for ((request, status, reason), record) in cases.iter().zip(&records) {
        assert_eq!(record["status"], *status, "{request}");
        assert_eq!(record["decision"], "deny", "{request}");
        assert!(reason.is_empty() || record["reason"] == *reason, "{request}: {record}");
    }
}

#[tokio::test]
async fn a_stranger_is_challenged_as_its_kind_understands() {
    let mut app = route("app.example.com", nobody().await);
    app.authenticate = Authentication::Required;
    let proxy = Setup::cleartext().route(app, "true").sign_in("http://auth.example.com").start();
    let browser = proxy.get("app.example.com", "/a?b=c&d", "Accept: text/html\r\n").await;
    assert_eq!(browser.status, 302);
    assert_eq!(browser.header("location"), "http://app.example.com/.portcullis/sign_in?return_to=/a%3Fb%3Dc%26d");
    // Nobody else's word leads anywhere else.
    let spoofed = "Accept: text/html\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Port: 8443\r\nForwarded: host=evil.example;proto=https\r\nX-Original-Host: evil.example\r\n";
    let spoofed = proxy.get("app.example.com", "/a?b=c&d", spoofed).await;
    assert_eq!((spoofed.status, spoofed.header("location")), (302, browser.header("location")));
    let script = proxy.get("app.example.com", "/a", "Accept: text/html\r\nSec-Fetch-Mode: cors\r\n").await;
    assert_eq!(script.status, 401);
    for answer in [&browser, &spoofed, &script] {
        assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "Cookie, Accept"));
    }
    assert_eq!(script.header("www-authenticate"), "Bearer");
    assert_eq!(script.json()["error"], "unauthenticated");
    assert_eq!(script.json()["sign_in"], "http://app.example.com/.portcullis/sign_in?return_to=/a");
    for content_type in ["application/grpc", "application/grpc-web"] {
        let more = format!("Content-Type: {content_type}+proto\r\n");
        let grpc = proxy.get("app.example.com", "/p.S/M", &more).await;
        assert_eq!(grpc.status, 200);
        assert_eq!(grpc.header("content-type"), content_type);
        assert_eq!(grpc.header("grpc-status"), "16");
        assert!(grpc.header("grpc-message").contains("http://app.example.com/.portcullis/sign_in"), "{grpc:?}");
        assert!(grpc.body.is_empty() || grpc.body.starts_with('0'));
    }
    let records = proxy.stop().await;
    assert!(records.iter().all(|record| record["decision"] == "challenge"));
    assert!(records.iter().all(|record| record["reason"] == "sign-in-required"));
    assert_eq!(records[3]["grpc_status"], 16);
}

#[tokio::test]
async fn a_banned_network_is_never_sent_to_sign_in() {
    let mut app = route("app.example.com", nobody().await);
    app.authenticate = Authentication::Required;
    let setup = Setup::cleartext().route(app, "true").denying(r#"request.ip.inCIDR("127.0.0.0/8")"#, Some("Banned."));
    let proxy = setup.sign_in("http://auth.example.com").start();
    let answer = proxy.get("app.example.com", "/", "Accept: text/html\r\n").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("Banned."), "{}", answer.body);
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    let direct = proxy.get("app.example.com", "/.portcullis/sign_in?return_to=/", "Accept: text/html\r\n").await;
    assert_eq!(direct.status, 403);
    let json = proxy.get("app.example.com", "/", "").await;
    assert_eq!(json.json()["error"], "forbidden");
    assert_eq!(json.json()["message"], "Banned.");
    let grpc = proxy.get("app.example.com", "/", "Content-Type: application/grpc\r\n").await;
    assert_eq!(grpc.header("grpc-status"), "7");
    let records = proxy.stop().await;
    assert_eq!(records[0]["reason"], "deny-rule-matched");
    assert!(records[0]["rule"].as_str().unwrap().ends_with("denied"), "{}", records[0]);
}

#[tokio::test]
async fn a_failing_upstream_is_answered_in_the_callers_form() {
    let proxy = Setup::cleartext().route(route("app.example.com", nobody().await), "true").start();
    let json = proxy.get("app.example.com", "/", "").await;
    assert_eq!((json.status, &json.json()["error"]), (502, &"upstream_connect_error".into()));
    let page = proxy.get("app.example.com", "/", "Accept: text/html\r\n").await;
    assert!(page.status == 502 && page.body.contains("<html"), "{page:?}");
    let grpc = proxy.get("app.example.com", "/", "Content-Type: application/grpc\r\n").await;
    assert_eq!((grpc.status, grpc.header("grpc-status")), (200, "14"));
    let records = proxy.stop().await;
    assert!(records.iter().all(|record| record["decision"] == "allow"));
    assert!(records[0]["error"].as_str().unwrap().contains("cannot connect"), "{}", records[0]);
    assert!(!json.body.contains("127.0.0.1"), "the reason stays in the log");
}

#[tokio::test]
async fn own_endpoints_are_reserved_on_every_host_and_on_the_sign_in_host() {
    let upstream = echo().await;
    let proxy =
        Setup::cleartext().route(route("app.example.com", upstream), "true").sign_in("http://auth.example.com").start();
    for host in ["app.example.com", "auth.example.com"] {
        let jwks = proxy.get(host, "/.well-known/portcullis/jwks.json", "").await;
        assert_eq!(jwks.status, 200, "{host}");
        assert!(jwks.json()["keys"].is_array());
        assert_eq!(jwks.header("x-request-id").len(), 36);
    }
    let unknown = proxy.get("app.example.com", "/.portcullis/no-such-thing", "").await;
    assert_eq!(unknown.status, 404);
    let dotted = proxy.get("app.example.com", "/x/%2e%2e/.portcullis/user", "").await;
    assert_ne!(dotted.status, 200);
    let elsewhere = proxy.get("other.example.com", "/.portcullis/user", "").await;
    assert_eq!(elsewhere.status, 404);
    let records = proxy.stop().await;
    assert_eq!(records[0]["reason"], "own-endpoint");
    assert_eq!(records.len(), 5);
}

#[tokio::test]
async fn an_upstream_cannot_set_our_cookies_and_never_sees_them() {
    let proxy = Setup::cleartext().route(route("app.example.com", echo().await), "true").start();
    let answer =
        proxy.get("app.example.com", "/set-cookie", "Cookie: a=1; __Host-portcullis=secret; portcullis=s2\r\n").await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["theirs=1; Path=/"]);
    assert!(answer.body.contains("cookie: a=1\""), "{}", answer.body);
}

#[tokio::test]
async fn http2_without_tls_is_recognised_by_its_preface() {
    let proxy = Setup::cleartext().route(route("app.example.com", echo().await), "true").start();
    let mut sender = http2(proxy.address).await;
    let request = Request::get("http://app.example.com/x").version(Version::HTTP_2).body(Empty::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
    let head = Request::head("http://other.example.com/").body(Empty::new()).unwrap();
    let response = sender.send_request(head).await.unwrap();
    assert_eq!(response.status(), 404);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty(), "an answer to HEAD has no content");
    let request = Request::builder().method(Method::CONNECT).uri("internal:22").body(Empty::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 405);
    drop(sender);
    let records = proxy.stop().await;
    assert_eq!(records[0]["protocol"], "h2");
    assert_eq!(records[0]["status"], 200);
}

#[tokio::test]
async fn a_redirecting_listener_answers_308_to_the_same_url_on_https() {
    let mut setup = Setup::cleartext();
    setup.listener.http_redirect = true;
    let proxy = setup.start();
    let answer = proxy.get("app.example.com:8080", "/a?b=c", "").await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), "https://app.example.com/a?b=c");
    let challenge = proxy.get("app.example.com", "/.well-known/acme-challenge/x", "").await;
    assert_eq!(challenge.status, 404);
    let records = proxy.stop().await;
    assert_eq!(records[0]["reason"], "redirected-to-https");
}

#[tokio::test]
async fn a_client_that_leaves_is_recorded_too() {
    let proxy = Setup::cleartext().route(route("app.example.com", echo().await), "true").start();
    let mut sender = http2(proxy.address).await;
    let request = Request::get("http://app.example.com/hang").body(Empty::new()).unwrap();
    let hanging = tokio::spawn(sender.send_request(request));
    let request = Request::get("http://app.example.com/").body(Empty::new()).unwrap();
    sender.send_request(request).await.unwrap();
    hanging.abort();
    let _ = hanging.await;
    drop(sender);
    let records = proxy.stop().await;
    let left = records.iter().find(|record| record["path"] == "/hang").unwrap();
    assert_eq!(left["status"], 0);
    assert_eq!(left["decision"], "allow");
}

#[tokio::test]
async fn another_snapshot_is_seen_by_the_next_request() {
    let upstream = echo().await;
    let proxy = Setup::cleartext().route(route("old.example.com", upstream), "true").start();
    assert_eq!(proxy.get("old.example.com", "/", "").await.status, 200);
    proxy.replace(crate::Config {
        revision: "r2".into(),
        authenticate: None,
        routes: Vec::new(),
        tls_routes: Vec::new(),
        record_inputs: crate::config::RecordInputs::default(),
    });
    assert_eq!(proxy.get("old.example.com", "/", "").await.status, 404);
    let records = proxy.stop().await;
    assert_eq!((&records[0]["revision"], &records[1]["revision"]), (&"r1".into(), &"r2".into()));
}

#[tokio::test]
async fn a_websocket_is_recorded_when_it_ends_with_what_it_carried() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    // RFC 6455 §1.3 has this key and its answer.
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let mut read = 0;
        while !head[..read].ends_with(b"\r\n\r\n") {
            read += stream.read(&mut head[read..]).await.unwrap();
        }
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nwelcome";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut said = [0; 5];
        stream.read_exact(&mut said).await.unwrap();
    });
    let proxy = Setup::cleartext().route(route("app.example.com", upstream), "true").start();
    let open = "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let evil = format!(
        "GET /ws HTTP/1.1\r\nHost: app.example.com\r\nConnection: Upgrade\r\nOrigin: https://evil.example\r\n{open}\r\n"
    );
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(evil.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 403");
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let same = evil.replace("https://evil.example", "http://app.example.com");
    stream.write_all(same.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"welcome") {
        stream.read_buf(&mut read).await.unwrap();
    }
    assert!(read.starts_with(b"HTTP/1.1 101"));
    stream.write_all(b"hello").await.unwrap();
    stream.read_to_end(&mut read).await.unwrap();
    let records = proxy.stop().await;
    assert_eq!(records[0]["reason"], "cross-origin-websocket");
    let socket = &records[1];
    assert_eq!((&socket["status"], &socket["method"]), (&101.into(), &"GET".into()));
    assert_eq!((&socket["bytes_in"], &socket["bytes_out"]), (&5.into(), &7.into()), "{socket}");
    assert_eq!(records.len(), 2);
}

#[tokio::test]
async fn a_rule_over_a_grpc_method_holds_for_every_way_to_call_it() {
    let app = route("app.example.com", echo().await);
    let deny = r#"request.grpc.service == "admin.Admin""#;
    let proxy = Setup::cleartext().route(app, "request.method == \"GET\"").denying(deny, None).start();
    for content_type in ["application/grpc", "application/grpc-web", "application/grpc-web-text+proto"] {
        for path in ["/admin.Admin/Wipe", "//admin.Admin/Wipe", "/./admin.Admin//Wipe", "/admin%2eAdmin/Wipe"] {
            let more = format!("Content-Type: {content_type}\r\n");
            let answer = proxy.get("app.example.com", path, &more).await;
            assert_eq!(answer.header("grpc-status"), "7", "{content_type} {path}: {answer:?}");
        }
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_page_of_a_refusal_offers_sign_in_where_that_may_help() {
    for (authenticate, offered) in [(Authentication::Optional, true), (Authentication::None, false)] {
        let mut app = route("app.example.com", nobody().await);
        app.authenticate = authenticate;
        app.provider = Some(identity::ProviderId::new("corp").unwrap());
        let proxy = Setup::cleartext().route(app, "user.authenticated").sign_in("http://auth.example.com").start();
        let answer = proxy.get("app.example.com", "/a", "Accept: text/html\r\n").await;
        assert_eq!(answer.status, 403);
        let link = "/.portcullis/sign_in?return_to=/a&#38;provider=corp\"";
        assert_eq!(answer.body.contains(link), offered, "{}", answer.body);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_wildcard_opens_no_way_to_sign_in_for_a_host_that_it_is_not_asked_for() {
    let mut wildcard = route("example.com", nobody().await);
    wildcard.host = crate::Host::Wildcard("example.com".into());
    let mut app = route("app.example.com", nobody().await);
    app.authenticate = Authentication::Required;
    let setup = Setup::cleartext().route(wildcard, "user.authenticated").route(app, "user.authenticated");
    let setup = setup.denying(r#"request.ip.inCIDR("127.0.0.0/8")"#, None).sign_in("http://auth.test");
    let proxy = setup.start();
    for (host, status) in [("app.example.com", 403), ("other.example.com", 303)] {
        let answer = proxy.get(host, "/.portcullis/sign_in?return_to=/", "Accept: text/html\r\n").await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_route_in_shadow_mode_lets_through_what_it_records_as_denied() {
    let setup = Setup { mode: authorize::Mode::Shadow, ..Setup::cleartext() };
    let app = route("app.example.com", echo().await);
    let proxy = setup.route(app, "true").denying("request.path == '/no'", Some("Not you.")).start();
    for path in ["/yes", "/no"] {
        assert_eq!(proxy.get("app.example.com", path, "").await.status, 200);
    }
    let metrics = proxy.metrics();
    let counted = r#"portcullis_shadow_differences_total{route="app",decision="allow",shadow="deny"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    let records = proxy.stop().await;
    assert!(records.iter().all(|record| record["decision"] == "allow" && record["status"] == 200));
    assert_eq!(records[0]["reason"], "allow-rule-matched");
    assert_eq!(
        records[0]["shadow"],
        serde_json::json!({"decision": "allow", "rule": "app/allowed", "reason": "allow-rule-matched"})
    );
    assert_eq!(records[1]["reason"], "shadow-mode");
    assert_eq!(records[1].get("rule"), None);
    assert_eq!(
        records[1]["shadow"],
        serde_json::json!({"decision": "deny", "rule": "app/denied", "reason": "deny-rule-matched"})
    );
}

#[tokio::test]
async fn shadow_mode_never_skips_sign_in() {
    let mut app = route("app.example.com", nobody().await);
    app.authenticate = Authentication::Required;
    let setup = Setup { mode: authorize::Mode::Shadow, ..Setup::cleartext() };
    let setup = setup.route(app, "true").denying("request.path == '/no'", None).sign_in("http://auth.example.com");
    let proxy = setup.start();
    for path in ["/yes", "/no"] {
        assert_eq!(proxy.get("app.example.com", path, "").await.status, 401);
    }
    let records = proxy.stop().await;
    assert!(records.iter().all(|record| record["decision"] == "challenge"), "{records:?}");
    assert_eq!(records[0]["shadow"]["decision"], "challenge");
    assert_eq!(records[1]["shadow"]["decision"], "deny");
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again() {
    let mut limited = route("app.example.com", echo().await);
    let by = crate::RateLimitBy::Client;
    limited.rate_limit = Some(crate::RateLimit { requests: 2, period: std::time::Duration::from_secs(600), by });
    let proxy = Setup::cleartext().route(limited, "true").start();
    for _ in 0..2 {
        assert_eq!(proxy.get("app.example.com", "/", "").await.status, 200);
    }
    let answer = proxy.get("app.example.com", "/", "").await;
    assert_eq!((answer.status, answer.json()["error"].as_str().unwrap()), (429, "rate_limited"));
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((290..=301).contains(&wait), "{wait}");
    let grpc = proxy.get("app.example.com", "/", "Content-Type: application/grpc\r\n").await;
    assert_eq!(grpc.header("grpc-status"), "8");
    let page = proxy.get("app.example.com", "/", "Accept: text/html\r\n").await;
    assert!(page.status == 429 && page.body.contains("Too many requests"));
    let records = proxy.stop().await;
    assert_eq!(records.iter().filter(|record| record["reason"] == "rate-limited").count(), 3);
}

#[tokio::test]
async fn a_body_that_is_larger_than_the_route_takes_is_413_announced_or_not() {
    let mut limited = route("app.example.com", echo().await);
    limited.max_request_body = Some(10);
    let proxy = Setup::cleartext().route(limited, "true").start();
    let post = |head: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n{head}\r\n\r\n{body}")
    };
    let chunked = "Transfer-Encoding: chunked";
    assert_eq!(proxy.send(&post("Content-Length: 10", "0123456789")).await.status, 200);
    assert_eq!(proxy.send(&post(chunked, "a\r\n0123456789\r\n0\r\n\r\n")).await.status, 200);
    let announced = proxy.send(&post("Content-Length: 11", "0123456789a")).await;
    assert_eq!((announced.status, announced.json()["error"].as_str().unwrap()), (413, "request_body_too_large"));
    let counted = proxy.send(&post(chunked, "6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n")).await;
    assert_eq!((counted.status, counted.json()["error"].as_str().unwrap()), (413, "request_body_too_large"));
    let records = proxy.stop().await;
    assert_eq!(records[2]["reason"], "request-body-too-large");
    assert_eq!((&records[3]["decision"], &records[3]["status"]), (&"allow".into(), &413.into()));
}

/// What a browser asks before a page of another origin may send a request.
const PREFLIGHT: &str = "Host: app.example.com\r\nConnection: close\r\nOrigin: https://page.example\r\n\
                         Access-Control-Request-Method: PUT\r\n";

fn passing_preflights(upstream: std::net::SocketAddr) -> crate::Route {
    crate::Route {
        authenticate: Authentication::Required,
        cors_preflight: crate::CorsPreflight::Pass,
        ..route("app.example.com", upstream)
    }
}

#[tokio::test]
async fn a_preflight_passes_without_identity_where_the_route_says_so() {
    let app = passing_preflights(echo().await);
    let proxy = Setup::cleartext().route(app, "false").sign_in("http://auth.example.com").start();
    let asked = format!(
        "OPTIONS /a/../b HTTP/1.1\r\n{PREFLIGHT}X-Portcullis-Jwt-Assertion: forged\r\nX_Forwarded_User: root\r\n\r\n"
    );
    let answer = proxy.send(&asked).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = answer.json();
    assert_eq!((&seen["method"], &seen["uri"]), (&"OPTIONS".into(), &"/b".into()));
    let headers = seen["headers"].to_string();
    assert!(headers.contains("origin: https://page.example"), "{headers}");
    assert!(!headers.contains("forged") && !headers.contains("root"), "{headers}");
    let records = proxy.stop().await;
    assert_eq!(records[0]["decision"], "allow");
    assert_eq!(records[0]["reason"], "cors-preflight");
    assert_eq!(records[0]["rule"], "cors-preflight");
    assert_eq!(records[0].get("user"), None);
}

#[tokio::test]
async fn what_is_no_preflight_is_decided_as_ever() {
    let app = passing_preflights(nobody().await);
    let proxy = Setup::cleartext().route(app, "true").sign_in("http://auth.example.com").start();
    for request in [
        format!("OPTIONS / HTTP/1.1\r\n{PREFLIGHT}Cookie: a=b\r\n\r\n"),
        format!("OPTIONS / HTTP/1.1\r\n{PREFLIGHT}Cookie: __Host-portcullis=forged\r\n\r\n"),
        format!("OPTIONS / HTTP/1.1\r\n{PREFLIGHT}Authorization: Bearer a\r\n\r\n"),
        format!("OPTIONS / HTTP/1.1\r\n{PREFLIGHT}Content-Length: 1\r\n\r\na"),
        format!("OPTIONS / HTTP/1.1\r\n{PREFLIGHT}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{PREFLIGHT}X-HTTP-Method-Override: OPTIONS\r\n\r\n"),
        "OPTIONS / HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\nOrigin: https://page.example\r\n\r\n"
            .into(),
    ] {
        let answer = proxy.send(&request).await;
        assert_eq!(answer.status, 401, "{request}: {answer:?}");
    }
    let socket = "Connection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://app.example.com\r\n\
                  Access-Control-Request-Method: GET\r\nHost: app.example.com\r\n\r\n";
    assert_eq!(proxy.send(&format!("GET / HTTP/1.1\r\n{socket}")).await.status, 401);
    let records = proxy.stop().await;
    assert!(records.iter().all(|record| record["decision"] == "challenge"), "{records:?}");
}

#[tokio::test]
async fn deny_rules_that_need_nobody_and_rates_hold_for_preflights_too() {
    let mut app = passing_preflights(echo().await);
    let by = crate::RateLimitBy::User;
    app.rate_limit = Some(crate::RateLimit { requests: 2, period: std::time::Duration::from_secs(600), by });
    let setup = Setup::cleartext().route(app, "true").denying("request.path == '/no'", None);
    let proxy = setup.sign_in("http://auth.example.com").start();
    for (path, status) in [("/no", 403), ("/yes", 200), ("/yes", 429)] {
        let answer = proxy.send(&format!("OPTIONS {path} HTTP/1.1\r\n{PREFLIGHT}\r\n")).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    let records = proxy.stop().await;
    assert_eq!(records[0]["reason"], "deny-rule-matched");
}

#[tokio::test]
async fn a_preflight_is_a_request_like_any_other_unless_the_route_says_so() {
    let mut app = passing_preflights(nobody().await);
    app.cors_preflight = crate::CorsPreflight::Deny;
    let proxy = Setup::cleartext().route(app, "true").sign_in("http://auth.example.com").start();
    let answer = proxy.send(&format!("OPTIONS / HTTP/1.1\r\n{PREFLIGHT}\r\n")).await;
    assert_eq!(answer.status, 401);
    proxy.stop().await;
}
