//! Bodies on their way: who stops reading holds the other side back, and who leaves takes the exchange along.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use integration::{Proxy, Setup, Upstream, connect, http2, read_request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::Result;

fn open() -> Value {
    json!({ "authenticate": "none", "allow": "true" })
}

/// Writes an answer without an end, counts what is taken, and tells when the connection is cut.
async fn endless() -> Result<(Upstream, Arc<AtomicUsize>, mpsc::UnboundedReceiver<()>)> {
    let (tell, told) = mpsc::unbounded_channel();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let upstream = Upstream::with(move |mut stream| {
        let (tell, counted) = (tell.clone(), Arc::clone(&counted));
        async move {
            read_request(&mut stream, &mut Vec::new()).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while let Ok(written) = stream.write(&[b'x'; 64 * 1024]).await {
                counted.fetch_add(written, Ordering::SeqCst);
            }
            let _ = tell.send(());
        }
    })
    .await?;
    Ok((upstream, taken, told))
}

/// Waits until nothing more is taken for a while, and returns how much was.
async fn settled(taken: &AtomicUsize) -> usize {
    loop {
        let before = taken.load(Ordering::SeqCst);
        let quiet = tokio::time::timeout(Duration::from_millis(500), std::future::pending::<()>());
        let _ = quiet.await;
        let after = taken.load(Ordering::SeqCst);
        assert!(after < MOST, "{after} bytes were taken though nobody reads");
        if after == before && after > 0 {
            return after;
        }
    }
}

/// More than the buffers of the system's sockets on both sides hold.
const MOST: usize = 48 << 20;

async fn one_record(proxy: Proxy) -> Result<Value> {
    let mut records = proxy.stop().await?;
    assert_eq!(records.len(), 1, "{records:#?}");
    Ok(records.remove(0))
}

#[tokio::test]
async fn a_reader_that_stops_holds_the_upstream_back_and_leaving_ends_it() -> Result {
    for alpn in ["http/1.1", "h2"] {
        let (upstream, taken, mut cut) = endless().await?;
        let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
        if alpn == "h2" {
            let mut requests = http2(&proxy, "one.localhost").await?;
            let request = Request::get("https://one.localhost/").body(())?;
            let response = requests.send_request(request, true)?.0.await?;
            settled(&taken).await;
            drop(response);
        } else {
            let mut stream = connect(&proxy, "one.localhost", &[alpn]).await?;
            stream.write_all(b"GET / HTTP/1.1\r\nhost: one.localhost\r\n\r\n").await?;
            stream.read_u8().await?;
            settled(&taken).await;
            drop(stream);
        }
        cut.recv().await.expect("the upstream is cut off");
        let record = one_record(proxy).await?;
        assert_eq!((&record["decision"], &record["status"]), (&json!("allow"), &json!(200)), "{alpn}");
        assert_eq!(record["error"], "the client left before the response ended", "{alpn}");
    }
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_stops_reading_holds_the_client_back() -> Result {
    let (release, released) = tokio::sync::watch::channel(false);
    let upstream = Upstream::with(move |stream| {
        let mut released = released.clone();
        async move {
            let _ = released.wait_for(|released| *released).await;
            drop(stream);
        }
    })
    .await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let mut stream = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: one.localhost\r\ncontent-length: 1000000000\r\n\r\n").await?;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        while let Ok(written) = stream.write(&[b'x'; 64 * 1024]).await {
            counted.fetch_add(written, Ordering::SeqCst);
        }
    });
    settled(&sent).await;
    sending.abort();
    let _ = sending.await;
    release.send(true)?;
    one_record(proxy).await?;
    Ok(())
}

/// Reads a request's bytes and tells when the connection is cut; answers nothing.
async fn silent() -> Result<(Upstream, mpsc::UnboundedReceiver<&'static str>)> {
    let (tell, told) = mpsc::unbounded_channel();
    let upstream = Upstream::with(move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut byte = [0; 1024];
            let _ = tell.send("begun");
            while matches!(stream.read(&mut byte).await, Ok(1..)) {}
            let _ = tell.send("cut");
        }
    })
    .await?;
    Ok((upstream, told))
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_gone_upstream_too() -> Result {
    for request in [
        "GET / HTTP/1.1\r\nhost: one.localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: one.localhost\r\ncontent-length: 100\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nhost: one.localhost\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let (upstream, mut told) = silent().await?;
        let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
        let mut stream = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
        stream.write_all(request.as_bytes()).await?;
        assert_eq!(told.recv().await, Some("begun"));
        drop(stream);
        assert_eq!(told.recv().await, Some("cut"), "{request}");
        let record = one_record(proxy).await?;
        assert_eq!(record["decision"], "allow", "{record:#}");
        // Who had it is told, too.
        assert_eq!(record["upstream"]["endpoint"], upstream.url(), "{record:#}");
        assert_eq!(record["upstream"]["protocol"], "http/1.1", "{record:#}");
    }
    let (upstream, mut told) = silent().await?;
    let proxy = Setup::default().route("one", &upstream.url(), &open()).start().await?;
    let mut requests = http2(&proxy, "one.localhost").await?;
    let request = Request::post("https://one.localhost/").body(())?;
    let (response, mut send) = requests.send_request(request, false)?;
    send.send_data(Bytes::from_static(b"half"), false)?;
    assert_eq!(told.recv().await, Some("begun"));
    send.send_reset(h2::Reason::CANCEL);
    drop(response);
    assert_eq!(told.recv().await, Some("cut"));
    assert_eq!(one_record(proxy).await?["upstream"]["endpoint"], upstream.url());
    Ok(())
}

#[tokio::test]
async fn a_caller_who_takes_nothing_of_the_answer_is_cut() -> Result {
    let (upstream, taken, mut cut) = endless().await?;
    let listeners = json!([{
        "address": "127.0.0.1:0", "limits": { "idle_timeout": "1s" },
        "tls": { "certificates": [{ "cert_file": "cert.pem", "key_file": "key.pem" }] },
    }]);
    let setup = Setup::default().section(&json!({ "listeners": listeners }));
    let proxy = setup.route("one", &upstream.url(), &open()).start().await?;
    let mut stream = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: one.localhost\r\n\r\n").await?;
    settled(&taken).await;
    // The system asks the peer for room at growing intervals, and looks at the limit each time.
    tokio::time::timeout(Duration::from_secs(20), cut.recv()).await?;
    drop(stream);
    one_record(proxy).await?;
    Ok(())
}
