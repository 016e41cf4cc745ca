//! HTTP/2 downstream: a client that leaves flow control to the test, and frames that no client library would send.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{Proxy, Result, connect};

/// Opens an HTTP/2 connection for `host`. Its window is wide: h2 takes many small unread messages within a narrow one for
/// an attack.
///
/// # Errors
/// The connection cannot be made.
pub async fn http2(proxy: &Proxy, host: &str) -> Result<SendRequest<Bytes>> {
    let mut client = h2::client::Builder::new();
    client.initial_connection_window_size(WINDOW);
    let (requests, connection) = client.handshake(connect(proxy, host, &["h2"]).await?).await?;
    tokio::spawn(connection);
    Ok(requests.ready().await?)
}

/// A frame as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type (RFC 9113 §6).
    pub kind: u8,
    /// The stream it is for.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// Returns the bytes of a frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = length.get(1..).unwrap_or_default().to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends the preface and these frames, and returns what comes back until the proxy closes the connection or has nothing
/// more to say for a second. What it no longer takes is not sent.
///
/// # Errors
/// The connection cannot be made.
pub async fn frames(proxy: &Proxy, host: &str, frames: Vec<u8>) -> Result<Vec<Frame>> {
    let (mut read, mut write) = tokio::io::split(connect(proxy, host, &["h2"]).await?);
    let sending = tokio::spawn(async move {
        write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        write.write_all(&frame(4, 0, 0, &[])).await?;
        write.write_all(&frames).await?;
        write.flush().await
    });
    let mut bytes = Vec::new();
    while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_secs(1), read.read_buf(&mut bytes)).await {}
    sending.abort();
    let mut frames = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(([a, b, c, kind, _, stream @ ..], after)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some((payload, after)) = after.split_at_checked(length) else { break };
        frames.push(Frame { kind: *kind, stream: u32::from_be_bytes(*stream), payload: payload.to_vec() });
        rest = after;
    }
    Ok(frames)
}

const WINDOW: u32 = 64 * 1024 * 1024;
