//! Finds out whether an endpoint speaks HTTP/2 without TLS: by prior knowledge (RFC 9113 §3.3), on trial.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::stream::Stream;

/// Sends the preface, and nothing of a request; returns whether the peer's first frame is the SETTINGS that every server
/// of HTTP/2 begins with (RFC 9113 §3.4). A server of HTTP/1.1 answers with an error, or closes.
pub(super) async fn speaks_http2(mut stream: Stream) -> bool {
    let exchange = async {
        stream.write_all(PREFACE).await?;
        let mut header = [0; FRAME_HEADER];
        stream.read_exact(&mut header).await?;
        Ok::<_, io::Error>(header)
    };
    matches!(exchange.await, Ok([_, _, _, SETTINGS, flags, 0, 0, 0, 0]) if flags & ACK == 0)
}

/// The magic, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Bytes of a frame's header: length, type, flags and stream (RFC 9113 §4.1).
const FRAME_HEADER: usize = 9;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
