//! What the upstream is told, and what nobody else can tell it.

use bytes::Bytes;
use http::{Method, Request};
use integration::{Setup, Upstream, http2, raw, status};
use serde_json::json;

use crate::Result;

/// Names under which some proxy, somewhere, tells an app who is asking.
const SPOOFED: [&str; 24] = [
    "x-portcullis-jwt-assertion",
    "x-forwarded-email",
    "x-forwarded-user",
    "x-forwarded-groups",
    "x-auth-request-email",
    "x-auth-request-user",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "forwarded",
    "x-forwarded-prefix",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-original-url",
    "x-rewrite-url",
    "x-envoy-original-path",
    "x-envoy-external-address",
    "x-portcullis-anything",
    "x-staff-id",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-for",
];

/// Those that the proxy sets itself, with its own values.
const OURS: [&str; 3] = ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-for"];

fn with_identity() -> serde_json::Value {
    json!({ "identity": { "headers": { "X-Forwarded-Email": "email", "X-Staff-Id": "claims.staff_id" } } })
}

#[tokio::test]
async fn no_header_of_ours_can_be_sent_from_downstream_in_any_spelling() -> Result {
    let upstream = Upstream::hello().await?;
    let open = json!({ "authenticate": "none", "allow": "true || user.authenticated" });
    let mut member = with_identity();
    member["allow"] = json!("user.authenticated");
    let proxy = Setup::default()
        .route("open", &upstream.url(), &open)
        .route("member", &upstream.url(), &member)
        .start()
        .await?;
    let mut ada = proxy.signed_in("ada", "member").await?;
    for name in SPOOFED {
        for spelling in [name.to_owned(), name.replace('-', "_"), name.replacen('-', "_", 1), name.to_uppercase()] {
            let before = upstream.seen().len();
            for (host, browser) in [("open", &mut proxy.browser()), ("member", &mut ada)] {
                let url = format!("https://{host}.localhost/");
                let answer = browser.send(Method::GET, &url, &[(&spelling, "forged")], Bytes::new()).await?;
                assert_eq!(answer.status, 200, "{host} {spelling}: {}", answer.text());
            }
            for seen in upstream.seen().split_off(before) {
                let forged = seen.headers.iter().any(|(_, value)| value.contains("forged"));
                assert!(!forged, "{spelling} reached the upstream: {:?}", seen.headers);
            }
        }
    }
    let seen = upstream.seen().pop().expect("the upstream was asked");
    for name in OURS {
        assert_eq!(seen.all(name).len(), 1, "{name}: {:?}", seen.headers);
    }
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-email"), ["ada@example.com"]);
    assert!(!seen.has_alias_of("x-staff-id"), "a claim that ada has not: {:?}", seen.headers);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_claim_under_a_forwarding_name_stands_in_place_of_what_we_would_tell() -> Result {
    const NAMES: [&str; 6] =
        ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-IP", "Forwarded"];
    let upstream = Upstream::hello().await?;
    let claims =
        |claim: &str| NAMES.iter().map(|name| ((*name).to_owned(), json!(claim))).collect::<serde_json::Map<_, _>>();
    let route = |claim| json!({ "allow": "user.authenticated", "identity": { "headers": claims(claim) } });
    let proxy = Setup::default()
        .route("named", &upstream.url(), &route("email"))
        .route("unnamed", &upstream.url(), &route("claims.no_such_claim"))
        .start()
        .await?;
    let mut ada = proxy.signed_in("ada", "named").await?;
    ada.open("https://unnamed.localhost/", "nobody").await?;
    let forged: Vec<_> = NAMES.iter().map(|name| (*name, "6.6.6.6")).collect();
    for (host, expected) in [("named", Some("ada@example.com")), ("unnamed", None)] {
        let answer = ada.send(Method::GET, &format!("https://{host}.localhost/"), &forged, Bytes::new()).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = upstream.seen().pop().expect("asked");
        for name in NAMES {
            let found = seen.all(&name.to_ascii_lowercase());
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{host} {name}");
        }
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn connection_cannot_remove_what_we_set() -> Result {
    let upstream = Upstream::hello().await?;
    let mut member = with_identity();
    member["allow"] = json!("user.authenticated");
    let proxy = Setup::default().route("member", &upstream.url(), &member).start().await?;
    let mut ada = proxy.signed_in("ada", "member").await?;
    let named = "close, X-Forwarded-For, X-Forwarded-Email, X-Portcullis-Jwt-Assertion, X-Request-Id, X-Own, Host";
    let headers = [("connection", named), ("x-own", "1"), ("x-forwarded-for", "6.6.6.6")];
    let answer = ada.send(Method::GET, "https://member.localhost/", &headers, Bytes::new()).await?;
    assert_eq!(answer.status, 200);
    let seen = upstream.seen().pop().expect("asked");
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-email"), ["ada@example.com"]);
    assert_eq!(seen.all("x-portcullis-jwt-assertion").len(), 1);
    assert_eq!(seen.all("x-request-id").len(), 1);
    assert_eq!(seen.all("x-own"), [""; 0]);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_assertion_verifies_with_the_keys_of_the_routes_host() -> Result {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default()
        .route("one", &upstream.url(), &json!({ "allow": "user.authenticated" }))
        .route("two", &upstream.url(), &json!({ "allow": "user.authenticated" }))
        .start()
        .await?;
    let mut grace = proxy.signed_in("grace", "one").await?;
    grace.open("https://two.localhost/", "nobody").await?;
    let mut tokens = Vec::new();
    for host in ["one", "one", "two"] {
        grace.get(&format!("https://{host}.localhost/")).await?;
        tokens.push(upstream.seen().pop().expect("asked").all("x-portcullis-jwt-assertion").concat());
    }
    assert_eq!(tokens[0], tokens[1], "signed once for a session and a host");
    assert_ne!(tokens[0], tokens[2]);
    for (token, host) in [(&tokens[0], "one.localhost"), (&tokens[2], "two.localhost")] {
        let keys = grace.get(&format!("https://{host}/.well-known/portcullis/jwks.json")).await?;
        let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&keys.body)?;
        let kid = decode_header(token)?.kid.expect("a kid");
        let key = DecodingKey::from_jwk(keys.find(&kid).expect("the key is published"))?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[host]);
        validation.set_issuer(&[host]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        let claims = decode::<serde_json::Value>(token, &key, &validation)?.claims;
        assert_eq!(claims["email"], "grace@example.com");
        assert_eq!(claims["groups"], json!(["engineering", "sre"]));
        assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(300));
        assert!(claims["sid"].as_str().is_some_and(|sid| !sid.is_empty()));
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_repeated_header_is_one_text_to_a_policy() -> Result {
    let upstream = Upstream::hello().await?;
    let rules = json!({
        "authenticate": "none", "allow": "request.method == 'GET'",
        "deny": "has(request.headers.role) && request.headers.role != 'admin'",
    });
    let proxy = Setup::default().route("one", &upstream.url(), &rules).start().await?;
    for (lines, expected) in [("role: admin\r\n", 200), ("role: admin\r\nrole: guest\r\n", 403), ("", 200)] {
        let request = format!("GET / HTTP/1.1\r\nhost: one.localhost\r\n{lines}connection: close\r\n\r\n");
        let answer = raw(&proxy, "one.localhost", request.as_bytes()).await?;
        assert_eq!(status(&answer), expected, "{lines}: {answer}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_upstream_can_set_no_cookie_of_ours() -> Result {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nset-cookie: __Host-portcullis=planted; Path=/; Secure\r\n\
         set-cookie: theme=dark\r\nconnection: x-secret\r\nx-secret: 1\r\n\r\n",
    )
    .await?;
    let open = json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let answer = proxy.browser().get("https://one.localhost/").await?;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["theme=dark"]);
    assert!(answer.headers.get("x-secret").is_none());
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn forwarded_for_is_believed_from_trusted_proxies_only() -> Result {
    for (trusted, sent, expected) in [
        (json!([]), "198.51.100.7", Ok("127.0.0.1")),
        (json!(["127.0.0.0/8"]), "6.6.6.6, 198.51.100.7", Ok("198.51.100.7")),
        (json!(["127.0.0.0/8"]), "198.51.100.7, 127.0.0.2", Ok("198.51.100.7")),
        (json!(["127.0.0.0/8"]), "::ffff:192.0.2.8", Ok("192.0.2.8")),
        (json!(["127.0.0.0/8"]), "[2001:db8::1]:443", Ok("2001:db8::1")),
        (json!(["127.0.0.0/8"]), "198.51.100.7, unknown", Err(400)),
        (json!(["127.0.0.0/8"]), "010.0.0.1", Err(400)),
    ] {
        let upstream = Upstream::hello().await?;
        let rule = match expected {
            Ok(address) => format!("request.ip == '{address}'"),
            Err(_) => "request.method == 'GET'".into(),
        };
        let open = json!({ "authenticate": "none", "allow": rule });
        let listener = json!({ "listeners": [{
            "address": "127.0.0.1:0", "trusted_proxies": trusted,
            "tls": { "certificates": [{ "cert_file": "cert.pem", "key_file": "key.pem" }] },
        }] });
        let proxy = Setup::default().route("one", &upstream.url(), &open).section(&listener).start().await?;
        let url = "https://one.localhost/";
        let answer = proxy.browser().send(Method::GET, url, &[("x-forwarded-for", sent)], Bytes::new()).await?;
        match expected {
            Ok(_) => assert_eq!(answer.status, 200, "{sent}"),
            Err(code) => assert_eq!(answer.status.as_u16(), code, "{sent}"),
        }
        let records = proxy.stop().await?;
        let address = records[0].get("client_ip").and_then(|address| address.as_str());
        assert_eq!(address, expected.ok(), "{records:?}");
    }
    Ok(())
}

#[tokio::test]
async fn cookies_that_came_one_by_one_over_http2_reach_an_http1_upstream_in_one_line() -> Result {
    let upstream = Upstream::hello().await?;
    let open = json!({ "authenticate": "none", "allow": "request.headers.cookie == 'a=b; c=d, e; _xsrf=2|f'" });
    let proxy = Setup::default().route("open", &upstream.url(), &open).start().await?;
    let mut client = http2(&proxy, "open.localhost").await?;
    let mut request = Request::get("https://open.localhost/").body(())?;
    // As browsers send them, since HPACK compresses them better apart (RFC 9113 §8.2.3).
    for crumb in ["a=b", "c=d, e", "__Host-portcullis=ours", "_xsrf=2|f"] {
        request.headers_mut().append("cookie", crumb.parse()?);
    }
    let (answer, _) = client.send_request(request, true)?;
    assert_eq!(answer.await?.status(), 200);
    assert_eq!(upstream.seen()[0].all("cookie"), ["a=b; c=d, e; _xsrf=2|f"]);
    Ok(())
}
