//! HTTP/2 connections that carry very much, very slowly, or nothing but harm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use integration::{Frame, Proxy, Setup, Upstream, frame, frames, http2, raw, status};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::Result;

/// What an app sends that streams its messages one by one.
const MESSAGES: usize = 50_000;
const MESSAGE: &[u8] = b"0123456789";

fn open() -> Value {
    json!({ "authenticate": "none", "allow": "request.ip == '127.0.0.1'" })
}

/// An h2c upstream: `/sink` reads its request only once it may, `/stream` sends many small messages, others answer at
/// once.
async fn streaming(go: Arc<Notify>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&go)));
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream, go: Arc<Notify>) -> Result {
    let mut server = h2::server::Builder::new();
    // Within a narrower window h2 takes many small unread messages for an attack.
    server.initial_connection_window_size(64 * 1024 * 1024);
    let mut connection = server.handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        tokio::spawn(answer(request, respond, Arc::clone(&go)));
    }
    Ok(())
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, go: Arc<Notify>) -> Result {
    match request.uri().path() {
        path @ ("/sink" | "/read") => {
            if path == "/sink" {
                go.notified().await;
            }
            let read = drain(request.into_body()).await?;
            respond.send_response(Response::new(()), false)?.send_data(read.to_string().into(), true)?;
        }
        "/stream" => send_messages(respond.send_response(Response::new(()), false)?).await?,
        _ => drop(respond.send_response(Response::new(()), true)?),
    }
    Ok(())
}

async fn drain(mut body: RecvStream) -> Result<usize> {
    let mut read = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        read += data.len();
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(read)
}

async fn send_messages(mut stream: SendStream<Bytes>) -> Result {
    for _ in 0..MESSAGES {
        stream.reserve_capacity(MESSAGE.len());
        while stream.capacity() < MESSAGE.len() {
            std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or("the stream ended")??;
        }
        stream.send_data(Bytes::from_static(MESSAGE), false)?;
    }
    stream.send_data(Bytes::new(), true)?;
    Ok(())
}

fn request(path: &str) -> Request<()> {
    Request::builder().method("POST").uri(format!("https://one.localhost{path}")).body(()).expect("a request")
}

/// Other streams of the same connection are answered.
async fn others_proceed(requests: &SendRequest<Bytes>) -> Result {
    for _ in 0..20 {
        let mut requests = requests.clone().ready().await?;
        let (response, _) = requests.send_request(request("/other"), true)?;
        assert_eq!(timeout(Duration::from_secs(10), response).await??.status(), 200);
    }
    Ok(())
}

#[tokio::test]
async fn small_messages_to_a_slow_upstream_leave_other_streams_alone() -> Result {
    let go = Arc::new(Notify::new());
    let upstream = streaming(Arc::clone(&go)).await?;
    let proxy = Setup::default().route("one", &format!("h2c://{upstream}"), &open()).start().await?;
    let requests = http2(&proxy, "one.localhost").await?;
    let (response, stream) = requests.clone().send_request(request("/sink"), false)?;
    let sending = tokio::spawn(send_messages(stream));
    others_proceed(&requests).await?;
    go.notify_one();
    let response = timeout(Duration::from_secs(30), response).await??;
    assert_eq!(response.status(), 200);
    sending.await??;
    assert_eq!(drain(response.into_body()).await?, (MESSAGES * MESSAGE.len()).to_string().len());
    others_proceed(&requests).await?;
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn small_messages_to_a_slow_caller_leave_other_streams_alone() -> Result {
    let upstream = streaming(Arc::default()).await?;
    let proxy = Setup::default().route("one", &format!("h2c://{upstream}"), &open()).start().await?;
    let slow = http2(&proxy, "one.localhost").await?;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let (response, _) = slow.clone().ready().await?.send_request(request("/stream"), true)?;
        stalled.push(timeout(Duration::from_secs(10), response).await??.into_body());
    }
    // Also those of other callers, over the connection to the upstream that all share.
    others_proceed(&slow).await?;
    others_proceed(&http2(&proxy, "one.localhost").await?).await?;
    for body in stalled {
        assert_eq!(timeout(Duration::from_secs(30), drain(body)).await??, MESSAGES * MESSAGE.len());
    }
    proxy.stop().await?;
    Ok(())
}

/// Readers of one user that stall at once: all on the one connection to the upstream.
const STALLED: usize = 12;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The header block of `GET https://one.localhost/`, with each part from the static table of RFC 7541.
fn get() -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x84, 0x41, 13];
    block.extend(b"one.localhost");
    block
}

/// Returns the reason of the GOAWAY that ended a connection.
fn goaway(frames: &[Frame]) -> Option<Reason> {
    let payload = &frames.iter().rfind(|frame| frame.kind == GOAWAY)?.payload;
    let reason = payload.get(4..8)?.try_into().ok()?;
    Some(u32::from_be_bytes(reason).into())
}

async fn still_serves(proxy: &Proxy) -> Result {
    let answer =
        raw(proxy, "one.localhost", b"GET / HTTP/1.1\r\nhost: one.localhost\r\nconnection: close\r\n\r\n").await?;
    assert_eq!(status(&answer), 200, "{answer}");
    Ok(())
}

#[tokio::test]
async fn requests_that_are_taken_back_by_the_thousand_end_the_connection() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let before = peak();
    let mut flood = Vec::new();
    for stream in (1..20_000).step_by(2) {
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get()));
        flood.extend(frame(RST_STREAM, 0, stream, &u32::from(Reason::CANCEL).to_be_bytes()));
    }
    let back = frames(&proxy, "one.localhost", flood).await?;
    assert_eq!(goaway(&back), Some(Reason::ENHANCE_YOUR_CALM), "{back:?}");
    assert!(upstream.seen().len() < 1000, "{}", upstream.seen().len());
    assert!(peak().saturating_sub(before) < 512 * 1024, "from {before} to {} KiB", peak());
    still_serves(&proxy).await?;
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn requests_that_make_us_reset_them_end_the_connection() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let before = peak();
    // No window, data behind the end, and a stream that depends on itself (RFC 9113 §6.9, §5.1, §5.3.1).
    for (kind, payload) in [(WINDOW_UPDATE, &[0; 4][..]), (DATA, &[0; 4]), (PRIORITY, &[])] {
        let mut flood = Vec::new();
        for stream in (1..20_000_u32).step_by(2) {
            let itself = [&stream.to_be_bytes()[..], &[16]].concat();
            let payload = if payload.is_empty() { &itself } else { payload };
            flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get()));
            flood.extend(frame(kind, 0, stream, payload));
        }
        let back = frames(&proxy, "one.localhost", flood).await?;
        assert!(goaway(&back).is_some_and(|reason| reason != Reason::NO_ERROR), "{:?}", back.last());
    }
    assert!(upstream.seen().len() < 4000, "{}", upstream.seen().len());
    assert!(peak().saturating_sub(before) < 512 * 1024, "from {before} to {} KiB", peak());
    still_serves(&proxy).await?;
    proxy.stop().await?;
    Ok(())
}

/// Returns a header that is not kept (RFC 7541 §6.2.2); one without a name of its own has that of the static table.
fn literal(indexed: u8, name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).expect("a short text");
    let mut header = vec![indexed];
    if indexed == 0 {
        header.push(length(name));
        header.extend(name.as_bytes());
    }
    header.push(length(value));
    header.extend(value.as_bytes());
    header
}

const AUTHORITY: u8 = 1;
const METHOD: u8 = 2;
const PATH: u8 = 4;

#[tokio::test]
async fn what_would_read_as_something_else_over_http1_is_no_request() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Arc::new(Setup::default().route("one", &upstream.url(), &open()).start().await?);
    let more = |name: &str, value: &str| [get(), literal(0, name, value)].concat();
    let with = |method: Vec<u8>, path: Vec<u8>, authority: &str| {
        [method, vec![0x87], path, literal(AUTHORITY, "", authority)].concat()
    };
    let path = |path: &str| with(vec![0x82], literal(PATH, "", path), "one.localhost");
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: one.localhost\r\n\r\n";
    let blocks = [
        more("x-a", "1\r\nx-evil: 1"),
        more("x-a", &format!("1\r\n\r\n{smuggled}")),
        more("x-a", "1\nx-evil: 1"),
        more("x-a", "1\rx-evil: 1"),
        more("x-a", "1\0"),
        more("x-a", " 1"),
        more("x-a", "1\t"),
        more("x-a: 1\r\nx-evil", "1"),
        more("x:a", "1"),
        more("x a", "1"),
        more("", "1"),
        more("X-Upper", "1"),
        more("transfer-encoding", "chunked"),
        more("connection", "close"),
        more("proxy-connection", "close"),
        more("keep-alive", "1"),
        more("upgrade", "h2c"),
        more("te", "gzip"),
        more("content-length", "5"),
        more("content-length", "-1"),
        more("host", "two.localhost"),
        more(":path", "/other"),
        more(":evil", "1"),
        path(&format!("/ HTTP/1.1\r\nhost: one.localhost\r\n\r\n{smuggled}")),
        path("/a b"),
        path("a"),
        path(""),
        with(literal(METHOD, "", "GET / HTTP/1.1\r\n"), vec![0x84], "one.localhost"),
        with(literal(METHOD, "", ""), vec![0x84], "one.localhost"),
        with(vec![0x82], vec![0x84], "one.localhost\r\nx-evil: 1"),
        with(vec![0x82], vec![0x84], "user@one.localhost"),
        [literal(0, "x-a", "1"), get()].concat(),
        vec![0x82, 0x87, 0x84],
    ];
    let mut tried = tokio::task::JoinSet::new();
    for block in blocks {
        let proxy = Arc::clone(&proxy);
        tried.spawn(async move {
            let back = frames(&proxy, "one.localhost", frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((block, back))
        });
    }
    while let Some(tried) = tried.join_next().await {
        let (block, back) = tried??;
        let text = String::from_utf8_lossy(&block).into_owned();
        let is_answered = |frame: &Frame| frame.kind == HEADERS && frame.stream == 1;
        // 400, 404 and the like begin with a literal or with an index of the static table; 200 is the index 8.
        let answer = back.iter().find(|frame| is_answered(frame));
        assert!(answer.is_none_or(|answer| answer.payload.first() != Some(&0x88)), "{text:?}: {back:?}");
        let is_refused = |frame: &Frame| matches!(frame.kind, RST_STREAM | GOAWAY) || is_answered(frame);
        assert!(back.iter().any(is_refused), "{text:?}: {back:?}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    still_serves(&proxy).await?;
    Ok(())
}

#[tokio::test]
async fn empty_frames_without_an_end_end_the_connection() -> Result {
    let upstream = streaming(Arc::default()).await?;
    let proxy = Setup::default().route("one", &format!("h2c://{upstream}"), &open()).start().await?;
    let mut block = vec![0x83, 0x87, 0x04, 5];
    block.extend(b"/sink");
    block.extend([0x41, 13]);
    block.extend(b"one.localhost");
    let mut flood = frame(HEADERS, END_HEADERS, 1, &block);
    flood.extend(frame(DATA, 0, 1, &[]).repeat(200_000));
    let back = frames(&proxy, "one.localhost", flood).await?;
    assert_eq!(goaway(&back), Some(Reason::ENHANCE_YOUR_CALM), "{back:?}");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn headers_without_an_end_end_the_connection() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    // A literal header that is not kept: `x: ` and a hundred bytes.
    let mut header = vec![0x00, 1, b'x', 100];
    header.extend([b'a'; 100]);
    for part in [header.as_slice(), &[]] {
        let mut flood = frame(HEADERS, END_STREAM, 1, &get());
        for _ in 0..100_000 {
            flood.extend(frame(CONTINUATION, 0, 1, part));
        }
        let back = frames(&proxy, "one.localhost", flood).await?;
        assert!(goaway(&back).is_some_and(|reason| reason != Reason::NO_ERROR), "{back:?}");
    }
    assert!(upstream.seen().is_empty());
    still_serves(&proxy).await?;
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn headers_that_grow_when_they_are_unpacked_are_refused() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let before = peak();
    let mut bombs = Vec::new();
    (1..60).step_by(2).for_each(|stream| bombs.extend(bomb(stream, 20_000)));
    let back = frames(&proxy, "one.localhost", bombs).await?;
    assert_eq!(goaway(&back), Some(Reason::ENHANCE_YOUR_CALM), "{back:?}");
    // Unpacked they would be more than 2 GB.
    assert!(peak().saturating_sub(before) < 512 * 1024, "from {before} to {} KiB", peak());
    // One that is a little too long costs only its stream.
    let back = frames(&proxy, "one.localhost", bomb(1, 20)).await?;
    assert_eq!(goaway(&back), None, "{back:?}");
    let answer = back.iter().find(|frame| (frame.kind, frame.stream) == (HEADERS, 1)).expect("an answer");
    // `:status` and `431` as HPACK writes them.
    assert_eq!(answer.payload, [0x48, 0x83, 0x69, 0x90, 0xff]);
    assert!(upstream.seen().is_empty());
    still_serves(&proxy).await?;
    proxy.stop().await?;
    Ok(())
}

/// Returns a request with a cookie of 3900 bytes and then a byte for each repetition of it (RFC 7541 §6.1).
fn bomb(stream: u32, cookies: usize) -> Vec<u8> {
    let mut block = get();
    block.extend([0x60, 0x7f, 0xbd, 0x1d]);
    block.extend([b'a'; 3900]);
    block.extend(vec![0xbe; cookies]);
    let (first, rest) = block.split_at(block.len().min(16_000));
    let mut frames = frame(HEADERS, END_STREAM, stream, first);
    frames.extend(frame(CONTINUATION, END_HEADERS, stream, rest));
    frames
}

/// Returns the most memory that this process has had so far, in KiB, where the system tells.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn requests_that_are_open_are_counted_until_they_end() -> Result {
    let upstream = streaming(Arc::default()).await?;
    let proxy = Setup::default()
        .route("one", &format!("h2c://{upstream}"), &open())
        .section(&json!({ "listeners": [{ "name": "front", "address": "127.0.0.1:0",
            "tls": { "certificates": [{ "cert_file": "cert.pem", "key_file": "key.pem" }] } }] }))
        .start()
        .await?;
    let open = async |expected: usize| {
        proxy.counts(&format!("portcullis_streams_open{{listener=\"front\"}} {expected}")).await
    };
    let requests = http2(&proxy, "one.localhost").await?;
    open(0).await?;
    let (first, _stream) = requests.clone().ready().await?.send_request(request("/read"), false)?;
    let (second, mut stream) = requests.clone().ready().await?.send_request(request("/read"), false)?;
    open(2).await?;
    // One is taken back, the other is answered.
    drop((first, _stream));
    open(1).await?;
    stream.send_data(Bytes::new(), true)?;
    drain(timeout(Duration::from_secs(30), second).await??.into_body()).await?;
    open(0).await?;
    proxy.stop().await?;
    Ok(())
}
