//! A stream that carries bytes both ways (RFC 9113 §8.5, RFC 8441).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that has become a tunnel.
#[derive(Debug)]
pub(super) struct Tunnel {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    /// What came and was not read yet.
    read: Bytes,
}

impl Tunnel {
    pub(super) const fn new(sending: SendStream<Bytes>, receiving: RecvStream) -> Self {
        Self { sending, receiving, read: Bytes::new() }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.read.is_empty() {
            match ready!(this.receiving.poll_data(cx)).transpose().map_err(broken)? {
                Some(data) => this.read = data,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = this.read.len().min(buf.remaining());
        buf.put_slice(&this.read.split_to(length));
        this.receiving.flow_control().release_capacity(length).map_err(broken)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.sending.reserve_capacity(buf.len());
        while this.sending.capacity() == 0 {
            match ready!(this.sending.poll_capacity(cx)) {
                Some(room) => room.map(drop).map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let mut data = buf;
        let data = data.copy_to_bytes(buf.len().min(this.sending.capacity()));
        let length = data.len();
        this.sending.send_data(data, false).map_err(broken)?;
        Poll::Ready(Ok(length))
    }

    /// Whoever drives the connection sends what it has.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.get_mut().sending.send_data(Bytes::new(), true);
        // It may have been reset meanwhile.
        Poll::Ready(ended.map_err(broken))
    }
}

fn broken(error: h2::Error) -> io::Error {
    match error.reason() {
        // What a reset connection is in TCP (RFC 9113 §8.5).
        Some(Reason::CANCEL | Reason::CONNECT_ERROR) => io::ErrorKind::ConnectionReset.into(),
        _ if error.is_io() => error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()),
        _ => io::Error::other(error),
    }
}
