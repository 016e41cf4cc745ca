//! One request and its response over one connection, driven by the task that waits for them.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response, StatusCode, Version};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::body::Body;
use super::broken::Broken;
use super::head::{self, Head};
use super::outgoing::Outgoing;
use super::{Connection, Side, Unanswered};
use crate::client_address::Told;
use crate::interim::Interim;
use crate::upstream::body::{Asked, RequestBody};
use crate::upstream::upload::STALLED;

/// An exchange until the head of its response.
struct Exchange {
    connection: Box<Connection>,
    outgoing: Outgoing,
    is_sent: bool,
    // Why sending ended: the upstream may have answered before it closed.
    unsent: Option<Broken>,
    looked_at: usize,
    method: Method,
    asked: Option<Asked>,
    interim: Option<Interim>,
}

/// The rest of a request whose response came early; the other half of the connection is read meanwhile.
#[derive(Debug)]
pub(super) struct Upload {
    task: AbortHandle,
    // How many bytes the upstream took so far.
    taken: Arc<AtomicU64>,
    // Gives the half back once all was sent.
    sent: oneshot::Receiver<Side>,
}

/// Sends a request and waits for the head of its response.
pub(super) async fn exchange(
    mut connection: Box<Connection>,
    mut request: Request<RequestBody>,
    told: &Told,
) -> Result<Response<Body>, Unanswered> {
    connection.is_used = true;
    if matches!(*request.method(), Method::GET | Method::HEAD)
        && let Err(error) = request.body_mut().begin().await
    {
        return Err(Unanswered::Lost { error: Broken::from(error).into(), request: None });
    }
    let interim = request.body().interim().cloned();
    let mut outgoing = Outgoing::new(&request, told, std::mem::take(&mut connection.line));
    if outgoing.has_body() {
        outgoing.set_body(std::mem::replace(request.body_mut(), RequestBody::empty()));
    }
    let method = request.method().clone();
    let asked = request.extensions_mut().remove::<Asked>();
    let mut exchange =
        Exchange { connection, outgoing, is_sent: false, unsent: None, looked_at: 0, method, asked, interim };
    match poll_fn(|cx| exchange.poll_head(cx)).await {
        Ok(head) => Ok(exchange.answer(head)),
        Err(error) => Err(exchange.unanswered(request, error)),
    }
}

impl Exchange {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Broken>> {
        if !self.is_sent && self.unsent.is_none() {
            match self.outgoing.poll(cx, Pin::new(&mut self.connection.stream)) {
                Poll::Ready(Ok(())) => self.is_sent = true,
                Poll::Ready(Err(Broken::Io(error))) => self.unsent = Some(Broken::Io(error)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        loop {
            if let Some(head) = head::take(&mut self.connection.read, &mut self.looked_at, &self.method)? {
                match head.status {
                    StatusCode::SWITCHING_PROTOCOLS => return Poll::Ready(Ok(head)),
                    StatusCode::CONTINUE => drop(self.asked.take().map(|asked| asked.0.cancel())),
                    status if status.is_informational() => {
                        self.interim.iter().for_each(|interim| interim.say(status, &head.headers));
                    }
                    _ => return Poll::Ready(Ok(head)),
                }
                continue;
            }
            let came = ready!(self.connection.poll_fill(cx, HEAD_ROOM));
            if !came.map_err(|error| self.unsent.take().unwrap_or(Broken::Io(error)))? {
                return Poll::Ready(Err(self.unsent.take().unwrap_or(Broken::Closed)));
            }
        }
    }

    fn answer(self, head: Head) -> Response<Body> {
        let Self { mut connection, outgoing, is_sent, unsent, .. } = self;
        let keeps_alive = head.keeps_alive && unsent.is_none() && head.status != StatusCode::SWITCHING_PROTOCOLS;
        let upload = if is_sent || unsent.is_some() {
            connection.line = outgoing.into_line();
            None
        } else {
            connection.split().map(|half| Upload::start(outgoing, half))
        };
        let mut response = Response::new(Body::new(connection, head.framing, keeps_alive, upload));
        *response.status_mut() = head.status;
        *response.version_mut() = Version::HTTP_11;
        *response.headers_mut() = head.headers;
        *response.extensions_mut() = head.extensions;
        response
    }

    /// Gives the request back where it may be sent again: always if nothing of it was written.
    fn unanswered(mut self, mut request: Request<RequestBody>, error: Broken) -> Unanswered {
        let had_body = self.outgoing.has_body();
        if let Some(asked) = self.asked.take() {
            request.extensions_mut().insert(asked);
        }
        if self.outgoing.has_begun() || error.is_of_request() {
            let request = (!had_body).then(|| Box::new(request));
            return Unanswered::Lost { error: error.into(), request };
        }
        if let Some(body) = self.outgoing.unsent() {
            *request.body_mut() = body;
        }
        Unanswered::NotSent(Box::new(request))
    }
}

impl Upload {
    fn start(mut outgoing: Outgoing, mut half: Side) -> Self {
        let (tell, sent) = oneshot::channel();
        let taken = Arc::new(AtomicU64::new(0));
        let progress = Arc::clone(&taken);
        let task = tokio::spawn(async move {
            let sending = poll_fn(|cx| {
                let polled = outgoing.poll(cx, Pin::new(&mut half));
                progress.store(outgoing.taken(), Ordering::Relaxed);
                polled
            });
            if sending.await.is_ok() {
                // Nobody may be there to hear it.
                let _ = tell.send(half);
            }
        });
        Self { task: task.abort_handle(), taken, sent }
    }

    /// Breaks off.
    pub(super) fn give_up(self) {
        self.task.abort();
    }

    /// Waits until all was sent, and returns the half; `None` where that failed. The response has ended, so no time limit
    /// of the request is left: an upstream that takes nothing more for long would hold the connection and the client's
    /// bytes for ever.
    pub(super) async fn end(mut self) -> Option<Side> {
        loop {
            let before = self.taken.load(Ordering::Relaxed);
            match timeout(STALLED, &mut self.sent).await {
                Ok(sent) => return sent.ok(),
                Err(_) if self.taken.load(Ordering::Relaxed) == before => {
                    self.task.abort();
                    return None;
                }
                Err(_) => {}
            }
        }
    }
}

/// Room for a head, and for all of a small response.
const HEAD_ROOM: usize = 8 * 1024;
