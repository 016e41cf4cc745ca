//! Heads on their way to hyper, in parts of every size.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::Heads;
use crate::activity::Activity;
use crate::test_support::{Setup, echo, route};

/// A client that sends one part after the other, and closes.
#[derive(Debug)]
struct Parts {
    parts: VecDeque<Vec<u8>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Parts {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(part) = self.parts.pop_front() {
            buf.put_slice(&part);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Parts {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.written.lock().unwrap().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What hyper made of some bytes.
#[derive(Debug, Default)]
struct Heard {
    /// Each request with its body, and whether that was whole.
    requests: Vec<(String, Vec<u8>, bool)>,
    tunneled: Vec<u8>,
    written: String,
}

/// Serves bytes that come in such parts; `/tunnel` opens one.
async fn serve(bytes: &[u8], size: usize, looked_at: bool) -> Heard {
    let heard = Arc::<Mutex<Heard>>::default();
    let activity = Arc::new(Activity::new(Duration::MAX, Duration::MAX));
    let written = Arc::<Mutex<Vec<u8>>>::default();
    let parts = Parts { parts: bytes.chunks(size).map(Vec::from).collect(), written: Arc::clone(&written) };
    let tunnels = Arc::<Mutex<Vec<tokio::task::JoinHandle<()>>>>::default();
    let service = {
        let (heard, activity, tunnels) = (Arc::clone(&heard), Arc::clone(&activity), Arc::clone(&tunnels));
        service_fn(move |mut request: Request<Incoming>| {
            let (heard, activity, tunnels) = (Arc::clone(&heard), Arc::clone(&activity), Arc::clone(&tunnels));
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let mut body = Vec::new();
                let mut whole = true;
                while let Some(frame) = request.body_mut().frame().await {
                    match frame {
                        Ok(frame) => body.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                        Err(_) => whole = false,
                    }
                }
                heard.lock().unwrap().requests.push((line, body, whole));
                let mut response = Response::new(Full::<Bytes>::default());
                if request.uri().path() == "/tunnel" {
                    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                    tunnels.lock().unwrap().push(tokio::spawn(async move {
                        let mut tunneled = Vec::new();
                        let upgraded = hyper::upgrade::on(request).await.unwrap();
                        TokioIo::new(upgraded).read_to_end(&mut tunneled).await.unwrap();
                        heard.lock().unwrap().tunneled = tunneled;
                    }));
                }
                activity.answer(response.status());
                Ok::<_, Infallible>(response)
            }
        })
    };
    let mut http = hyper::server::conn::http1::Builder::new();
    // The client of these tests is gone before it is answered.
    http.half_close(true);
    if looked_at {
        let io = TokioIo::new(Heads::new(parts, activity));
        drop(http.serve_connection(io, service).with_upgrades().await);
    } else {
        drop(http.serve_connection(TokioIo::new(parts), service).with_upgrades().await);
    }
    let tunnels = std::mem::take(&mut *tunnels.lock().unwrap());
    for tunnel in tunnels {
        tunnel.await.unwrap();
    }
    let mut heard = std::mem::take(&mut *heard.lock().unwrap());
    heard.written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    heard
}

fn statuses(heard: &Heard) -> Vec<&str> {
    heard.written.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect()
}

#[tokio::test]
async fn a_faulty_head_is_400_however_it_comes() {
    for head in [
        "GET /secret#/public HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
    ] {
        for before in
            ["", "GET /first HTTP/1.1\r\nhost: a\r\n\r\n", "POST /first HTTP/1.1\r\ncontent-length: 2\r\n\r\n\r\n"]
        {
            let text = format!("{before}{head}");
            for size in [1, 7, text.len()] {
                let heard = serve(text.as_bytes(), size, true).await;
                let expected = if before.is_empty() { vec!["400"] } else { vec!["200", "400"] };
                assert_eq!(statuses(&heard), expected, "{text:?} by {size}: {heard:?}");
                assert!(heard.written.contains("connection: close\r\ncontent-length: 0\r\n"), "{heard:?}");
                assert_eq!(heard.requests.len(), expected.len() - 1, "{heard:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_tunnel_is_no_head() {
    let text =
        "GET / HTTP/1.1\r\n\r\nGET /tunnel HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n#\n\n\n#";
    for size in [1, 7, text.len()] {
        let heard = serve(text.as_bytes(), size, true).await;
        assert_eq!(statuses(&heard), ["200", "101"], "by {size}");
        assert_eq!(heard.tunneled, b"#\n\n\n#", "by {size}");
    }
}

#[tokio::test]
async fn what_follows_a_refused_upgrade_is_a_head() {
    let asks = "GET / HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n";
    for (next, last) in [("GET /a HTTP/1.1\r\n\r\n", "200"), ("GET /a#b HTTP/1.1\r\n\r\n", "400")] {
        let text = format!("{asks}{asks}{next}");
        for size in [1, 7, text.len()] {
            let heard = serve(text.as_bytes(), size, true).await;
            assert_eq!(statuses(&heard), ["200", "200", last], "by {size}");
        }
    }
}

#[tokio::test]
async fn a_proxy_refuses_faulty_and_long_heads() {
    let mut setup = Setup::cleartext().route(route("a.test", echo().await), "request.ip == '127.0.0.1'");
    setup.listener.limits.max_header_bytes = 10_000;
    let proxy = setup.start();
    let long =
        |length| format!("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\nx: {}\r\n\r\n", "a".repeat(length));
    assert_eq!(proxy.send(&long(9_000)).await.status, 200);
    assert_eq!(proxy.send(&long(10_000)).await.status, 431);
    assert_eq!(proxy.send("GET /#b HTTP/1.1\r\nhost: a.test\r\n\r\n").await.status, 400);
    let good =
        proxy.send("\r\nPOST /a HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\ncontent-length: 2\r\n\r\n#\n").await;
    assert_eq!(good.json()["body"], "#\n");
    assert_eq!(proxy.stop().await.len(), 2);
}

/// Pieces of requests, good and bad.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n\r\n",
    "GET /a HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n",
    "POST / HTTP/1.1\r\ncontent-length: 27\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 0003 \r\n\r\n",
    "POST / HTTP/1.1\r\ncontent-length: 1 2\r\n\r\n",
    "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
    "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
    "POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
    "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
    "POST / HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n",
    "GET / HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\n\r\n",
    "5\r\nabcde\r\n",
    "5;x=1\r\nab\r\nc\r\n",
    "1b\r\n",
    "1 \r\na\r\n",
    "0\r\n\r\n",
    "0\r\nt: 1\r\n\r\n",
    "0\r\nt: 1\n\n\r\n\r\n",
    "abc",
    "\r\n",
    "\n",
    "\r",
    "#",
    " ",
    ":",
    "x: 1\r\n",
    "content-length: 3\r\n",
    "transfer-encoding: chunked\r\n",
    "GET /x",
    " HTTP/1.1\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever comes: the requests and bodies are those that hyper sees without us, up to the first that is refused.
    #[test]
    fn nothing_but_faulty_heads_is_changed(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..12),
        size in 1_usize..40,
    ) {
        let text = pieces.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (with, without) = runtime.block_on(async {
            (serve(text.as_bytes(), size, true).await, serve(text.as_bytes(), text.len(), false).await)
        });
        let same = without.requests.get(..with.requests.len());
        prop_assert_eq!(same, Some(&*with.requests), "{:?}", text);
        if with.requests.len() < without.requests.len() {
            prop_assert!(with.written.contains(" 400 Bad Request\r\n"), "{:?} {:?}", text, with);
        }
    }
}
