//! One request of a connection and its answer.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::sync::oneshot;

use super::tunnel::Tunnel;
use super::{Body, Of, Outflow};
use crate::body::ResponseBody;
use crate::connection::Connection;
use crate::date::date;
use crate::http1::{self, Tunnelling};
use crate::idle::Idle;
use crate::incoming::Incoming;
use crate::interim::Interim;
use crate::metrics::Limit;
use crate::pipeline;

/// Answers one request.
pub(super) async fn serve(connection: Arc<Connection>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let interim = Interim::default();
    interim.open();
    let (request, mut opening) = taken(&connection, request, &interim);
    let answering = answer(&connection, request, &interim, &mut respond, opening.as_mut());
    let Some(response) = answering.await else { return };
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONNECTION);
    if !parts.headers.contains_key(DATE) {
        date(connection.snapshot().clock.now(), |date| parts.headers.insert(DATE, date.clone()));
    }
    if let Some(opening) = opening.filter(|_| parts.status.is_success()) {
        // RFC 9110 §8.6.
        parts.headers.remove(CONTENT_LENGTH);
        return opening.open(respond, Response::from_parts(parts, ()));
    }
    let is_over = body.is_end_stream();
    if !is_over && let Some(length) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    match respond.send_response(Response::from_parts(parts, ()), is_over) {
        Ok(stream) if !is_over => send(&connection, body, stream).await,
        Ok(_) => {}
        Err(error) => {
            tracing::debug!(%error, "a response cannot be sent");
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// A tunnel that a request may open.
struct Opening {
    stream: RecvStream,
    tunnel: oneshot::Sender<http1::Tunnel>,
    tunnelling: Tunnelling,
}

impl Opening {
    /// Looks whether something came before the answer: it was sent to somebody who had not agreed to a tunnel.
    fn look(&mut self, cx: &mut Context<'_>) {
        if self.stream.poll_data(cx).is_ready() {
            self.tunnelling.note_ahead();
        }
    }

    fn open(mut self, mut respond: SendResponse<Bytes>, head: Response<()>) {
        self.look(&mut Context::from_waker(Waker::noop()));
        if self.tunnelling.is_ahead() {
            return respond.send_reset(Reason::PROTOCOL_ERROR);
        }
        let Self { stream, tunnel, .. } = self;
        if let Ok(sending) = respond.send_response(head, false) {
            // Whoever was to carry it may have been stopped.
            let _ = tunnel.send(Box::new(Tunnel::new(sending, stream)));
        }
    }
}

/// Makes a request of what came.
fn taken(
    connection: &Connection,
    request: Request<RecvStream>,
    interim: &Interim,
) -> (Request<Incoming>, Option<Opening>) {
    let (mut parts, stream) = request.into_parts();
    if let Some(length) = said_twice(&parts.headers) {
        parts.headers.insert(CONTENT_LENGTH, length);
    }
    if parts.method == Method::CONNECT {
        let (tunnel, promised) = oneshot::channel();
        let tunnelling = Tunnelling::new(promised);
        parts.extensions.insert(tunnelling.clone());
        return (Request::from_parts(parts, Incoming::Empty), Some(Opening { stream, tunnel, tunnelling }));
    }
    if stream.is_end_stream() {
        return (Request::from_parts(parts, Incoming::Empty), None);
    }
    let expects = parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let activity = Arc::clone(&connection.activity);
    let body = Body::new(stream, &parts.headers, Of::Request { activity, expects: expects.then(|| interim.clone()) });
    (Request::from_parts(parts, Incoming::Http2(body)), None)
}

/// Returns a length that is there more than once. They agree, or h2 had refused them; one is to be left (RFC 9110 §8.6).
fn said_twice(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let first = lengths.next()?;
    lengths.next().map(|_| first.clone())
}

/// Waits for the answer, and passes on what comes before it; nothing where the client takes its request back.
async fn answer(
    connection: &Arc<Connection>,
    request: Request<Incoming>,
    interim: &Interim,
    respond: &mut SendResponse<Bytes>,
    mut opening: Option<&mut Opening>,
) -> Option<Response<ResponseBody>> {
    let mut answering = pin!(pipeline::answer(Arc::clone(connection), request, interim.clone()));
    let answered = poll_fn(|cx| {
        opening.iter_mut().for_each(|opening| opening.look(cx));
        if let Poll::Ready(response) = answering.as_mut().poll(cx) {
            return Poll::Ready(Some(response));
        }
        interim.take(cx).into_iter().for_each(|(status, headers)| inform(respond, status, headers));
        respond.poll_reset(cx).map(|_| None)
    });
    let response = answered.await;
    interim.close().into_iter().for_each(|(status, headers)| inform(respond, status, headers));
    response
}

fn inform(respond: &mut SendResponse<Bytes>, status: StatusCode, headers: HeaderMap) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Err(error) = respond.send_informational(response) {
        tracing::debug!(%error, "an informational response cannot be sent");
    }
}

/// Sends the body of an answer, for as long as the client takes some of it every now and then.
async fn send(connection: &Connection, body: ResponseBody, stream: SendStream<Bytes>) {
    let limit: Duration = connection.entrance.config.limits.idle_timeout;
    let mut outflow = Outflow::new(body, stream, Reason::INTERNAL_ERROR);
    let (mut idle, mut sent) = (Idle::new(limit), 0);
    let sending = poll_fn(|cx| {
        if let Poll::Ready(ended) = outflow.poll(cx) {
            return Poll::Ready(ended);
        }
        let Some(held_after) = outflow.held_after() else {
            idle.moved();
            return Poll::Pending;
        };
        if std::mem::replace(&mut sent, held_after) != held_after {
            idle.moved();
        }
        match outflow.body().doubt() {
            Some(Err(closed)) => outflow.reset(&closed),
            Some(Ok(frame)) => return Poll::Ready(outflow.end(frame.into_trailers().unwrap_or_default())),
            None if idle.poll(None, cx).is_pending() => return Poll::Pending,
            None => {
                connection.entrance.metrics.limit_reached(Limit::IdleTimeout);
                outflow.reset(&h2::Error::from(Reason::CANCEL));
            }
        }
        Poll::Ready(Ok(()))
    });
    if let Err(error) = sending.await {
        tracing::debug!(%error, "a response was not sent whole");
    }
}
