//! Tells a client that has left from one that has only said all it has to say.
//!
//! Over TLS, `close_notify` alone ends one direction, and whoever closes the socket has left. On cleartext a closed socket
//! and a closed direction look the same until something is sent: a client that has gone answers it with a reset.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;

/// A connection of a client.
pub(crate) trait Client: AsyncRead + AsyncWrite + fmt::Debug + Unpin + Send + 'static {
    /// Whether the end of what the client sends is told apart from the end of the connection.
    const TELLS_ENDS_APART: bool;

    /// Returns the socket below.
    fn socket(&self) -> &TcpStream;
}

impl Client for TcpStream {
    const TELLS_ENDS_APART: bool = false;

    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Client for TlsStream<TcpStream> {
    const TELLS_ENDS_APART: bool = true;

    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Watches a client that sends no more and waits for its answer.
#[derive(Debug)]
pub(super) struct Silence {
    timer: Pin<Box<Sleep>>,
    pause: Duration,
    has_asked: bool,
}

/// What there is to do about a silent client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing.
    Wait,
    /// Send it something that it must not mind.
    Ask,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self { timer: Box::pin(sleep(FIRST)), pause: FIRST, has_asked: false }
    }

    /// Looks whether the client is there.
    ///
    /// # Errors
    /// It has left.
    pub(super) fn poll<S: Client>(&mut self, stream: &S, cx: &mut Context<'_>) -> io::Result<Look> {
        if S::TELLS_ENDS_APART {
            let mut byte = [0];
            return match stream.socket().poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
                Poll::Ready(Ok(0) | Err(_)) => Err(io::ErrorKind::ConnectionReset.into()),
                Poll::Ready(Ok(_)) | Poll::Pending => Ok(Look::Wait),
            };
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if let Some(error) = stream.socket().take_error()? {
                return Err(error);
            }
            if !std::mem::replace(&mut self.has_asked, true) {
                self.again(FIRST);
                return Ok(Look::Ask);
            }
            self.again((self.pause * 2).min(LAST));
        }
        Ok(Look::Wait)
    }

    fn again(&mut self, pause: Duration) {
        self.pause = pause;
        self.timer.as_mut().reset(Instant::now() + pause);
    }
}

/// Long enough for most answers to come before a client is asked, and short enough to notice within 100 ms.
const FIRST: Duration = Duration::from_millis(30);
const LAST: Duration = Duration::from_secs(1);
