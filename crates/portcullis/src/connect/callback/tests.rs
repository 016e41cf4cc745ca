//! Who is let in at the port, and what is answered.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Callback;

async fn ask(at: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn only_the_browser_that_brings_the_state_is_heard() {
    let callback = Callback::open("the-state".into(), "ssh.example.com".into()).await.unwrap();
    let uri = callback.redirect_uri().unwrap();
    let at = uri.strip_prefix("http://").unwrap().strip_suffix('/').unwrap().to_owned();
    let waiting = tokio::spawn(callback.code());
    // One that says nothing holds nobody up.
    let _silent = TcpStream::connect(&at).await.unwrap();
    for line in [
        "GET / HTTP/1.1",
        "GET /?code=evil HTTP/1.1",
        "GET /?code=evil&state= HTTP/1.1",
        "GET /?code=evil&state=another HTTP/1.1",
        "GET /?state=the-state HTTP/1.1",
        "GET /x?code=evil&state=the-state HTTP/1.1",
        "POST /?code=evil&state=the-state HTTP/1.1",
        "GET /favicon.ico HTTP/1.1",
    ] {
        let answer = ask(&at, &format!("{line}\r\nhost: {at}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{line}: {answer}");
        assert!(!waiting.is_finished(), "{line}");
    }
    let line = "GET /?code=good%2Bcode&state=the-state HTTP/1.1";
    let answer = ask(&at, &format!("{line}\r\nhost: {at}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for part in ["ssh.example.com", "cache-control: no-store", "content-security-policy: default-src 'none'"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert!(!answer.contains("good"), "the code is on the page: {answer}");
    assert_eq!(waiting.await.unwrap().unwrap(), "good+code");
}
