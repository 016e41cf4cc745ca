//! What the sample app tells, whom it believes, and its echo.

use axum::{Json, Router, routing::get};
use bytes::Bytes;
use futures_util::SinkExt as _;
use http::{Request, Response, StatusCode};
use identity::{Clock as _, SystemClock};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_stream::StreamExt as _;
use tokio_tungstenite::tungstenite::Message;

use super::{Proxy, Web};
use crate::Authority;
use crate::browser::send;
use crate::server::{Server, Tasks, bind};

async fn ask(web: &Web, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(web.server().address(), request.body(String::new()).unwrap()).await
}

#[tokio::test]
async fn the_app_shows_what_came_with_the_request() {
    let web = Web::start(None).await.unwrap();
    let headers =
        [("x-forwarded-host", "app.localhost:8443"), ("x-forwarded-email", "ada@example.com"), ("cookie", "a=secret")];
    let told: Value = serde_json::from_slice(ask(&web, "/deep/path", &headers).await.body()).unwrap();
    assert_eq!(told["host"], "app.localhost:8443");
    assert_eq!(told["path"], "/deep/path");
    assert_eq!(told["headers"]["x-forwarded-email"], "ada@example.com");
    assert_eq!(told["assertion"]["verified"], false);
    assert!(!told.to_string().contains("secret"));
    web.shutdown().await;
}

#[tokio::test]
async fn the_page_escapes_what_came() {
    let web = Web::start(None).await.unwrap();
    let page = ask(&web, "/", &[("accept", "text/html"), ("x-evil", "<script>alert(1)</script>")]).await;
    let page = String::from_utf8_lossy(page.body()).into_owned();
    assert!(page.contains("x-evil") && !page.contains("<script>"));
}

#[tokio::test]
async fn an_assertion_that_nobody_can_check_is_not_believed() {
    let web = Web::start(None).await.unwrap();
    let forged = "eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFkYUBleGFtcGxlLmNvbSJ9.";
    let told: Value =
        serde_json::from_slice(ask(&web, "/", &[("x-portcullis-jwt-assertion", forged)]).await.body()).unwrap();
    assert_eq!(told["assertion"]["verified"], false);
    assert!(told["headers"].get("x-portcullis-jwt-assertion").is_none());
}

/// Stands for the proxy: serves a key set under the host `app.localhost`, and signs.
struct Signer {
    key: EncodingKey,
    server: Server,
    web: Web,
    host: String,
}

/// Whom assertions are for: without the port.
const HOST: &str = "app.localhost";

impl Signer {
    async fn start() -> Self {
        let key = EncodingKey::from_ec_der(rcgen::KeyPair::generate().unwrap().serialized_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("k".into());
        let keys = JwkSet { keys: vec![jwk] };
        let now = SystemClock.now();
        let authority = Authority::generate(now).unwrap();
        let tls = authority.sign(&["app.localhost".into()], now).unwrap().server_config().unwrap();
        let router = Router::new().route("/.well-known/portcullis/jwks.json", get(async || Json(keys)));
        let server = Server::http(bind().await.unwrap(), Some(tls), router, Tasks::default()).unwrap();
        let host = format!("{HOST}:{}", server.address().port());
        let proxy = Proxy::new(server.address(), authority.client_config().unwrap(), [host.clone()]);
        Self { key, server, web: Web::start(Some(proxy)).await.unwrap(), host }
    }

    /// Sends an assertion with `changes`, and returns what the app makes of it.
    async fn told(&self, changes: &[(&str, Value)]) -> Value {
        let now = SystemClock.now().as_second();
        let mut claims = json!({
            "iss": HOST, "aud": HOST, "sub": "ada", "email": "ada@example.com", "iat": now, "exp": now + 300,
        });
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        let header = Header { kid: Some("k".into()), ..Header::new(Algorithm::ES256) };
        let token = jsonwebtoken::encode(&header, &claims, &self.key).unwrap();
        let headers = [("x-forwarded-host", self.host.as_str()), ("x-portcullis-jwt-assertion", token.as_str())];
        serde_json::from_slice::<Value>(ask(&self.web, "/", &headers).await.body()).unwrap()["assertion"].take()
    }
}

#[tokio::test]
async fn an_assertion_of_the_proxy_is_verified_with_its_published_keys() {
    let signer = Signer::start().await;
    let told = signer.told(&[]).await;
    assert_eq!((&told["verified"], &told["claims"]["email"]), (&json!(true), &json!("ada@example.com")), "{told}");
    signer.server.shutdown().await;
    assert_eq!(signer.told(&[]).await["verified"], true, "known keys are kept");
}

#[tokio::test]
async fn an_assertion_for_another_app_or_another_time_is_not_believed() {
    let signer = Signer::start().await;
    for change in [("aud", json!("admin.localhost")), ("iss", json!("evil.test")), ("exp", json!(1_000_000))] {
        assert_eq!(signer.told(std::slice::from_ref(&change)).await["verified"], false, "{change:?}");
    }
}

#[tokio::test]
async fn the_echo_sends_back_what_it_gets_and_ends_with_the_app() {
    let web = Web::start(None).await.unwrap();
    let address = web.server().address();
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut echo, _) = tokio_tungstenite::client_async(format!("ws://{address}/echo"), socket).await.unwrap();
    for message in [Message::text("hello"), Message::binary(vec![0, 1, 2])] {
        echo.send(message.clone()).await.unwrap();
        assert_eq!(echo.next().await.unwrap().unwrap(), message);
    }
    let (closed, ()) = tokio::join!(echo.next(), web.shutdown());
    assert!(matches!(closed, None | Some(Ok(Message::Close(_)) | Err(_))));
}

#[tokio::test]
async fn a_request_without_an_upgrade_is_told_what_is_served() {
    let web = Web::start(None).await.unwrap();
    assert_eq!(ask(&web, "/echo", &[]).await.status(), StatusCode::UPGRADE_REQUIRED);
}
