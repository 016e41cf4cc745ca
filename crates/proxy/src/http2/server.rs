//! A connection of a client, from its preface to its end.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use h2::server::{self, Builder, Handshake};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Pings, stream};
use crate::boxed::boxed;
use crate::connection::Connection;

/// A connection of a client. Ready when it has ended.
pub(crate) struct Server<S> {
    connection: Arc<Connection>,
    stage: Stage<S>,
    /// The client is told that no further request is taken.
    is_last: bool,
}

enum Stage<S> {
    Opening(Handshake<S, Bytes>),
    Serving(server::Connection<S, Bytes>, Option<Pings>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    pub(crate) fn new(connection: Arc<Connection>, stream: S) -> Self {
        let config = &connection.entrance.config.http2;
        let opening = Builder::new()
            .max_concurrent_streams(config.max_concurrent_streams)
            .initial_window_size(config.initial_stream_window_size)
            .initial_connection_window_size(config.initial_connection_window_size)
            .max_header_list_size(config.max_header_list_size)
            .enable_connect_protocol()
            .handshake(stream);
        Self { connection, stage: Stage::Opening(opening), is_last: false }
    }

    /// Ends the connection after the requests under way.
    pub(crate) fn finish(&mut self) {
        self.is_last = true;
        if let Stage::Serving(http, _) = &mut self.stage {
            http.graceful_shutdown();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Server<S> {
    type Output = Result<(), h2::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let this = self.get_mut();
        loop {
            match &mut this.stage {
                Stage::Opening(opening) => {
                    let mut http = ready!(Pin::new(opening).poll(cx))?;
                    let interval = this.connection.entrance.config.http2.keepalive_interval;
                    let pings = Pings::new(http.ping_pong(), Some(interval));
                    if this.is_last {
                        http.graceful_shutdown();
                    }
                    this.stage = Stage::Serving(http, pings);
                }
                Stage::Serving(http, pings) => {
                    if pings.as_mut().is_some_and(|pings| pings.poll(true, cx).is_ready()) {
                        http.abrupt_shutdown(Reason::NO_ERROR);
                        *pings = None;
                    }
                    let Some(accepted) = ready!(http.poll_accept(cx)) else { return Poll::Ready(Ok(())) };
                    let (request, respond) = accepted?;
                    // The runtime copies a task again and again before it begins.
                    let serve = || stream::serve(Arc::clone(&this.connection), request, respond);
                    tokio::spawn(Box::into_pin(boxed(serve)));
                }
            }
        }
    }
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("connection", &self.connection).finish_non_exhaustive()
    }
}
