//! A whole sign-in by a plain client, and every way in which one is refused.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use identity::{Secret, SystemClock};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use url::Url;

use super::{Client, Provider, User};
use crate::browser::send;

const CALLBACK: &str = "https://auth.test/callback";
const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-43-or-more";

async fn provider() -> Provider {
    let users = vec![User::new("ada", "Ada", &["engineering"]), User::new("carl", "Carl", &["contractors"])];
    let client = Client {
        id: "app".into(),
        secret: Secret::new("s+cret".into()),
        redirect_uris: vec![CALLBACK.into()],
        token_life: Duration::from_secs(60),
    };
    Provider::start(users, vec![client], None, Arc::new(SystemClock)).await.unwrap()
}

impl Provider {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(self.address(), request.body(String::new()).unwrap()).await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: String) -> Response<Bytes> {
        let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(self.address(), request.body(body).unwrap()).await
    }

    /// Clicks on a user and returns the answer to the client.
    async fn sign_in(&self, user: &str) -> Response<Bytes> {
        self.post(&authorize(&[]), &[], format!("user={user}")).await
    }

    async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Response<Bytes> {
        let mut form = HashMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", "app"),
            ("client_secret", "s+cret"),
        ]);
        form.extend(changes.iter().copied());
        self.post("/token", &[], encoded(form)).await
    }
}

fn encoded<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Makes an authorization request, with `changes` to what is right.
fn authorize(changes: &[(&str, &str)]) -> String {
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()));
    let mut query = HashMap::from([
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile email"),
        ("state", "a state"),
        ("nonce", "a nonce"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ]);
    query.extend(changes.iter().copied());
    format!("/authorize?{}", encoded(query))
}

/// Reads the parameters that the client is sent.
fn answer(response: &Response<Bytes>) -> HashMap<String, String> {
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "{:?}", response.body());
    let url = Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
    assert!(url.as_str().starts_with(CALLBACK));
    url.query_pairs().into_owned().collect()
}

fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn cookie(response: &Response<Bytes>) -> String {
    response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_signs_a_user_in() {
    let provider = provider().await;
    let discovery = json(&provider.get("/.well-known/openid-configuration", &[]).await);
    assert_eq!(discovery["issuer"], provider.issuer());

    let page = provider.get(&authorize(&[]), &[]).await;
    assert!(String::from_utf8_lossy(page.body()).contains("value=\"ada\""));
    let answer = answer(&provider.sign_in("ada").await);
    assert_eq!((answer["state"].as_str(), answer["iss"].as_str()), ("a state", provider.issuer()));

    let tokens = json(&provider.redeem(&answer["code"], &[]).await);
    let keys: JwkSet = serde_json::from_slice(provider.get("/jwks", &[]).await.body()).unwrap();
    let token = tokens["id_token"].as_str().unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["app"]);
    validation.set_issuer(&[provider.issuer()]);
    let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    let claims: Map<String, Value> = jsonwebtoken::decode(token, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"], "ada");
    assert_eq!(claims["nonce"], "a nonce");
    assert_eq!(claims["groups"], serde_json::json!(["engineering"]));
    let access_token = tokens["access_token"].as_str().unwrap();
    let digest = digest::digest(&digest::SHA256, access_token.as_bytes());
    assert_eq!(claims["at_hash"], BASE64_URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]));

    let userinfo = json(&provider.get("/userinfo", &[("authorization", &format!("Bearer {access_token}"))]).await);
    assert_eq!((&userinfo["sub"], &userinfo["email"]), (&claims["sub"], &"ada@example.com".into()));
    provider.shutdown().await;
}

#[tokio::test]
async fn a_code_is_good_once_for_its_client_its_address_and_its_verifier() {
    let provider = provider().await;
    for changes in [[("code_verifier", "another-verifier")], [("redirect_uri", "https://auth.test/other")]] {
        let code = answer(&provider.sign_in("ada").await)["code"].clone();
        let refused = provider.redeem(&code, &changes).await;
        assert_eq!((refused.status(), &json(&refused)["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
        assert_eq!(provider.redeem(&code, &[]).await.status(), StatusCode::BAD_REQUEST, "the attempt used it up");
    }
    let code = answer(&provider.sign_in("ada").await)["code"].clone();
    assert_eq!(provider.redeem(&code, &[("client_secret", "wrong")]).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(provider.redeem(&code, &[("client_id", "other")]).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(provider.redeem(&code, &[]).await.status(), StatusCode::OK);
    assert_eq!(provider.redeem(&code, &[]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_client_may_authenticate_with_the_basic_scheme() {
    let provider = provider().await;
    let code = answer(&provider.sign_in("ada").await)["code"].clone();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let basic = format!("Basic {}", BASE64_STANDARD.encode("app:s%2Bcret"));
    let tokens = provider.post("/token", &[("authorization", &basic)], encoded(form)).await;
    assert_eq!(tokens.status(), StatusCode::OK, "{:?}", tokens.body());
}

#[tokio::test]
async fn an_address_that_no_client_registered_gets_no_redirect() {
    let provider = provider().await;
    for changes in [
        [("redirect_uri", "https://evil.test/callback")],
        [("redirect_uri", "https://auth.test/callback/")],
        [("redirect_uri", "")],
        [("client_id", "other")],
    ] {
        let refused = provider.get(&authorize(&changes), &[]).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{changes:?}");
        assert!(refused.headers().get("location").is_none(), "{changes:?}");
    }
}

#[tokio::test]
async fn faulty_requests_are_answered_with_their_error_and_state() {
    let provider = provider().await;
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "profile"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("prompt", "none"), "login_required"),
    ] {
        let answer = answer(&provider.get(&authorize(&[change]), &[]).await);
        assert_eq!((answer["error"].as_str(), answer["state"].as_str()), (error, "a state"), "{change:?}");
        assert_eq!(answer["iss"], provider.issuer());
    }
}

#[tokio::test]
async fn a_browser_stays_signed_in_until_it_is_asked_again_or_signs_out() {
    let provider = provider().await;
    let cookie = cookie(&provider.sign_in("carl").await);
    let headers = [("cookie", cookie.as_str())];
    assert!(answer(&provider.get(&authorize(&[]), &headers).await).contains_key("code"));
    for prompt in ["login", "select_account"] {
        assert_eq!(
            provider.get(&authorize(&[("prompt", prompt)]), &headers).await.status(),
            StatusCode::OK,
            "{prompt}"
        );
    }
    assert_eq!(provider.get(&authorize(&[("max_age", "-1")]), &headers).await.status(), StatusCode::OK);

    let query = encoded([("post_logout_redirect_uri", "https://auth.test/signed_out"), ("state", "s")]);
    let left = provider.get(&format!("/end_session?{query}"), &headers).await;
    assert_eq!(left.headers()["location"], "https://auth.test/signed_out?state=s");
    assert_eq!(provider.get(&authorize(&[]), &headers).await.status(), StatusCode::OK, "the page asks again");
}

#[tokio::test]
async fn sign_out_never_leads_to_a_stranger() {
    let provider = provider().await;
    let query = encoded([("post_logout_redirect_uri", "https://evil.test/")]);
    let refused = provider.get(&format!("/end_session?{query}"), &[]).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn userinfo_asks_for_a_token_of_its_own() {
    let provider = provider().await;
    for headers in [&[][..], &[("authorization", "Bearer nonsense")]] {
        let refused = provider.get("/userinfo", headers).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert!(refused.headers().contains_key("www-authenticate"));
    }
}

impl Provider {
    /// Signs in as somebody who wants to stay, and returns the answer of the token endpoint.
    async fn offline(&self, user: &str) -> Value {
        let url = authorize(&[("scope", "openid profile email offline_access")]);
        let code = answer(&self.post(&url, &[], format!("user={user}")).await)["code"].clone();
        json(&self.redeem(&code, &[]).await)
    }

    async fn refresh(&self, token: &Value, changes: &[(&str, &str)]) -> Response<Bytes> {
        let token = token.as_str().unwrap();
        let mut form = HashMap::from([
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", "app"),
            ("client_secret", "s+cret"),
        ]);
        form.extend(changes.iter().copied());
        self.post("/token", &[], encoded(form)).await
    }
}

/// Reads the claims of an ID token without looking at its signature.
fn claims(tokens: &Value) -> Value {
    let body = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}

#[tokio::test]
async fn a_refresh_tells_who_the_user_is_now() {
    let provider = provider().await;
    let first = provider.offline("ada").await;
    provider.change(User::new("ada", "Ada", &["sales"]));
    let second = provider.refresh(&first["refresh_token"], &[]).await;
    assert_eq!(second.status(), StatusCode::OK, "{:?}", second.body());
    let second = json(&second);
    let (before, now) = (claims(&first), claims(&second));
    assert_eq!(
        (&before["groups"], &now["groups"]),
        (&serde_json::json!(["engineering"]), &serde_json::json!(["sales"]))
    );
    for same in ["iss", "sub", "aud", "auth_time"] {
        assert_eq!(before[same], now[same], "{same}");
    }
    assert!(now.get("nonce").is_none() && before.get("nonce").is_some());
    assert_eq!(now["exp"].as_i64().unwrap() - now["iat"].as_i64().unwrap(), 60);
    provider.remove("ada");
    assert_eq!(provider.refresh(&second["refresh_token"], &[]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_refresh_token_is_given_to_whoever_asks_to_stay_and_to_nobody_else() {
    let provider = provider().await;
    let code = answer(&provider.sign_in("ada").await)["code"].clone();
    assert!(json(&provider.redeem(&code, &[]).await).get("refresh_token").is_none());
    let token = provider.offline("ada").await["refresh_token"].clone();
    assert_eq!(provider.refresh(&token, &[("client_secret", "wrong")]).await.status(), StatusCode::UNAUTHORIZED);
    for made_up in ["", "x", "x.y"] {
        let refused = provider.refresh(&made_up.into(), &[]).await;
        assert_eq!((refused.status(), &json(&refused)["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
    }
    assert_eq!(provider.refresh(&token, &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_what_came_of_it() {
    let provider = provider().await;
    let first = provider.offline("ada").await["refresh_token"].clone();
    let second = json(&provider.refresh(&first, &[]).await)["refresh_token"].clone();
    let third = json(&provider.refresh(&second, &[]).await)["refresh_token"].clone();
    assert_eq!(provider.refresh(&first, &[]).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(provider.refresh(&third, &[]).await.status(), StatusCode::BAD_REQUEST, "the thief may have this one");
}

#[tokio::test]
async fn a_refresh_token_that_was_revoked_is_worth_nothing() {
    let provider = provider().await;
    let token = provider.offline("ada").await["refresh_token"].clone();
    let revoke = async |secret: &str| {
        let form = [("token", token.as_str().unwrap()), ("client_id", "app"), ("client_secret", secret)];
        provider.post("/revoke", &[], encoded(form)).await.status()
    };
    assert_eq!(revoke("wrong").await, StatusCode::UNAUTHORIZED);
    assert_eq!(revoke("s+cret").await, StatusCode::OK);
    assert_eq!(revoke("s+cret").await, StatusCode::OK, "it is none any more, as was asked");
    assert_eq!(provider.refresh(&token, &[]).await.status(), StatusCode::BAD_REQUEST);
}
