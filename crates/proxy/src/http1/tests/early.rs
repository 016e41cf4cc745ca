//! Answers that come before their request has ended.

use std::time::Duration;

use tokio::time::{Instant, interval};

use super::*;
use crate::Timeouts;

const POST: &[u8] = b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1000000\r\n\r\n";
const IDLE: Duration = Duration::from_millis(500);

/// A proxy whose connections may be idle for `IDLE`, in front of an upstream that answers a head at once and reads on.
async fn early() -> (Proxy, UnboundedReceiver<Seen>) {
    let (address, told) = upstream(&[("/", OK)]).await;
    let mut setup = Setup::cleartext().route(route("a.test", address), "true");
    setup.listener.limits.idle_timeout = IDLE;
    (setup.start(), told)
}

#[tokio::test]
async fn an_upload_behind_its_answer_keeps_the_connection_while_it_moves_and_no_longer() {
    let (proxy, mut told) = early().await;
    let mut stream = connect(&proxy).await;
    stream.write_all(POST).await.unwrap();
    assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 200"));
    stream.read_exact(&mut [0; 2]).await.unwrap();
    let mut clock = interval(IDLE / 10);
    for _ in 0..30 {
        clock.tick().await;
        stream.write_all(b"a").await.expect("a body that moves");
    }
    let silent = Instant::now();
    assert_eq!(read_all(&mut stream).await, "");
    assert!(silent.elapsed() >= IDLE / 2, "{:?}", silent.elapsed());
    assert!(matches!(told.recv().await, Some(Seen::Head(_))));
    assert_eq!(timeout(LONG, told.recv()).await.unwrap(), Some(Seen::Closed));
    assert!(proxy.metrics().contains("portcullis_limits_reached_total{listener=\"test\",limit=\"idle_timeout\"} 1"));
}

#[tokio::test]
async fn a_connection_that_is_cut_behind_the_answer_takes_its_upload_along() {
    let (address, mut told) = upstream(&[("/", OK)]).await;
    let proxy = proxy(address);
    let mut stream = connect(&proxy).await;
    stream.write_all(POST).await.unwrap();
    read_head(&mut stream).await.unwrap();
    assert!(matches!(told.recv().await, Some(Seen::Head(_))));
    // It is closed by a reset.
    stream.set_zero_linger().unwrap();
    drop(stream);
    assert_eq!(timeout(LONG, told.recv()).await.unwrap(), Some(Seen::Closed));
}

#[tokio::test]
async fn who_is_told_that_the_rest_took_too_long_is_told_that_the_connection_ends() {
    let (address, _told) = upstream(&[]).await;
    let mut app = route("a.test", address);
    app.timeouts = Timeouts { idle: Some(IDLE), ..app.timeouts };
    let proxy = Setup::cleartext().route(app, "true").start();
    let mut stream = connect(&proxy).await;
    stream.write_all(b"POST /hang HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
    // What comes late is not taken for a request.
    let late = async {
        let mut head = read_head(&mut stream).await.unwrap();
        stream.write_all(b" rest\r\nGET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
        head.push_str(&read_all(&mut stream).await);
        head
    };
    let answers = timeout(LONG, late).await.unwrap();
    assert_eq!(statuses(&answers), ["408"], "{answers}");
    assert!(answers.contains("connection: close\r\n"), "{answers}");
}
