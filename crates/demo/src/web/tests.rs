//! What the sample app tells, whom it believes, and its echo.

use bytes::Bytes;
use futures_util::SinkExt as _;
use http::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_stream::StreamExt as _;
use tokio_tungstenite::tungstenite::Message;

use super::Web;
use crate::browser::send;

async fn get(web: &Web, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
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
    let told: Value = serde_json::from_slice(get(&web, "/deep/path", &headers).await.body()).unwrap();
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
    let page = get(&web, "/", &[("accept", "text/html"), ("x-evil", "<script>alert(1)</script>")]).await;
    let page = String::from_utf8_lossy(page.body()).into_owned();
    assert!(page.contains("x-evil") && !page.contains("<script>"));
}

#[tokio::test]
async fn an_assertion_that_nobody_can_check_is_not_believed() {
    let web = Web::start(None).await.unwrap();
    let forged = "eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFkYUBleGFtcGxlLmNvbSJ9.";
    let told: Value =
        serde_json::from_slice(get(&web, "/", &[("x-portcullis-jwt-assertion", forged)]).await.body()).unwrap();
    assert_eq!(told["assertion"]["verified"], false);
    assert!(told["headers"].get("x-portcullis-jwt-assertion").is_none());
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
    assert_eq!(get(&web, "/echo", &[]).await.status(), StatusCode::UPGRADE_REQUIRED);
}
