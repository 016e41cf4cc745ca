//! One request, and its response until the body.

use std::future::{pending, poll_fn};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use quinn::WriteError;
use tokio::sync::watch;
use tokio::time::sleep;

use super::body::Body;
use super::broken::Broken;
use super::frame::{Frame, Frames};
use super::stream::Sending;
use super::upload::Upload;
use super::{Slot, Stream, message};
use crate::interim::Interim;
use crate::upstream::body::{Asked, RequestBody};
use crate::upstream::http1::Unanswered;

/// Sends a request over a stream and waits for the head of its response, on a connection that may have died in silence only
/// for `limit`.
pub(in crate::upstream) async fn send(
    slot: Slot,
    stream: Stream,
    request: Request<RequestBody>,
    limit: Duration,
) -> Result<Response<Body>, Unanswered> {
    let (Stream { mut sending, receiving }, mut last) = (stream, slot.connection().carrier().last.clone());
    let id = sending.id();
    let silence = silence(&slot.connection().carrier().connection, limit);
    let mut head = Vec::new();
    message::request(&request, &mut head);
    if let Err(WriteError::ConnectionLost(_)) = sending.write(&mut [Bytes::from(head)]).await {
        slot.retire();
        // Without the end of its head nobody can have acted on it.
        return Err(Unanswered::NotSent(Box::new(request)));
    }
    let exchanged = tokio::select! {
        biased;
        response = exchange(sending, Frames::new(receiving), request) => response,
        () = gone(&mut last, id) => Err(Broken::Refused),
        () = silence => Err(Broken::Silent(limit)),
    };
    match exchanged {
        Ok(response) => {
            let mut response = response.map(|body: Body| body.of(slot));
            // The end of a response without a body mostly comes with its head.
            poll_fn(|cx| {
                response.body_mut().look(cx);
                Poll::Ready(())
            })
            .await;
            Ok(response)
        }
        Err(broken) => {
            if broken.is_of_peer() {
                slot.retire();
            }
            // Where the peer has gone away before it got there, the request is as good as refused (RFC 9114 §5.2).
            let broken = if id >= *last.borrow() { Broken::Refused } else { broken };
            Err(Unanswered::Lost { error: broken.into(), request: None })
        }
    }
}

/// Ends when the peer has said that it does not look at the stream.
async fn gone(last: &mut watch::Receiver<u64>, id: u64) {
    if last.wait_for(|last| id >= *last).await.is_err() {
        // The connection ended, which its streams tell.
        pending::<()>().await;
    }
}

/// Ends when nothing at all has come since this was called, for `limit`: a peer acknowledges what it gets long before it
/// answers. One that was killed does not say so over UDP.
fn silence(connection: &quinn::Connection, limit: Duration) -> impl Future<Output = ()> {
    let heard = || connection.stats().udp_rx.datagrams;
    // Before anything is sent: another thread may hear of it before this one goes on.
    let before = heard();
    async move {
        sleep(limit).await;
        if heard() != before {
            pending::<()>().await;
        }
    }
}

async fn exchange(
    mut sending: Sending,
    mut frames: Frames,
    mut request: Request<RequestBody>,
) -> Result<Response<Body>, Broken> {
    let (asked, interim) = (request.extensions_mut().remove::<Asked>(), request.body().interim().cloned());
    let method = request.method().clone();
    let body = request.into_body();
    let mut upload = if body.is_end_stream() {
        sending.finish();
        None
    } else {
        Some(Upload::start(body, sending))
    };
    let response = {
        let failed = async {
            match &mut upload {
                Some(upload) => upload.failed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            response = response(&mut frames, asked, interim.as_ref()) => response?,
            broken = failed => return Err(broken),
        }
    };
    let length = message::length(&method, &response)?;
    Ok(response.map(|()| Body::new(frames, length, upload)))
}

/// Waits for the head of the response, which others may precede.
async fn response(
    frames: &mut Frames,
    mut asked: Option<Asked>,
    interim: Option<&Interim>,
) -> Result<Response<()>, Broken> {
    loop {
        let frame = poll_fn(|cx| frames.poll_next(cx)).await?;
        let Some(Frame::Headers(section)) = frame else {
            return Err(if frame.is_some() { Broken::Invalid("a response without a head") } else { Broken::Closed });
        };
        let response = message::read_response(&section)?;
        match response.status() {
            // RFC 9114 §4.5.
            StatusCode::SWITCHING_PROTOCOLS => return Err(Broken::Invalid("101, which HTTP/3 does not have")),
            StatusCode::CONTINUE => drop(asked.take().map(|asked| asked.0.cancel())),
            status if status.is_informational() => {
                interim.into_iter().for_each(|interim| interim.say(status, response.headers()));
            }
            _ => return Ok(response),
        }
    }
}
