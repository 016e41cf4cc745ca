//! One request and its response on a stream, driven by the task that waits for them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use h2::client::ResponseFuture;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use super::{Sender, Slot};
use crate::http2::{Body, Of, Outflow};
use crate::interim::Interim;
use crate::upstream::body::RequestBody;
use crate::upstream::failure::ConnectionError;
use crate::upstream::http1::Unanswered;
use crate::upstream::shared::Carrier as _;
use crate::upstream::upload::{Patience, Upload};

/// The body of a response, with the place that it takes of its connection's.
#[derive(Debug)]
pub(crate) struct Arrived {
    body: Body,
    /// Sends the rest of a request whose response came early.
    upload: Option<Upload<Slot>>,
    slot: Option<Slot>,
}

/// A request on its way, until the head of its response is there.
struct Call {
    /// What is still to be sent.
    outflow: Option<Outflow<RequestBody>>,
    response: ResponseFuture,
    interim: Option<Interim>,
}

/// Sends a request and waits for the head of its response.
pub(super) async fn call(
    slot: Slot,
    mut sender: Sender,
    request: Request<RequestBody>,
) -> Result<Response<Arrived>, Unanswered> {
    if poll_fn(|cx| sender.poll_ready(cx)).await.is_err() {
        slot.retire();
        return Err(Unanswered::NotSent(Box::new(request)));
    }
    let (mut parts, body) = request.into_parts();
    let interim = body.interim().cloned();
    let is_empty = body.is_end_stream();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0 || has_content(&parts.method)) {
        parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    let lost = |slot: &Slot, error: h2::Error| {
        let is_settled = slot.connection().carrier().is_settled();
        if error.is_go_away() || error.is_io() || !is_settled {
            slot.retire();
        }
        // Settings are the first that a peer says (RFC 9113 §3.4).
        let error = if error.is_library() && !is_settled { ConnectionError::NoHttp2 } else { error.into() };
        Unanswered::Lost { error, request: None }
    };
    let sent = sender.send_request(Request::from_parts(parts, ()), is_empty);
    let (response, stream) = sent.map_err(|error| lost(&slot, error))?;
    let outflow = (!is_empty).then(|| Outflow::new(body, stream, Reason::CANCEL));
    let mut call = Call { outflow, response, interim };
    let response = poll_fn(|cx| call.poll(cx)).await.map_err(|error| lost(&slot, error))?;
    let upload = call.outflow.map(|outflow| Upload::start(|patience| send_rest(outflow, patience)));
    let (parts, stream) = response.into_parts();
    let is_none = matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = Body::new(stream, &parts.headers, Of::Response { is_none });
    Ok(Response::from_parts(parts, Arrived { body, upload, slot: Some(slot) }))
}

impl Call {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<h2::RecvStream>, h2::Error>> {
        // The upstream may have answered before it took no more.
        if self.outflow.as_mut().is_some_and(|outflow| outflow.poll(cx).is_ready()) {
            self.outflow = None;
        }
        while let Poll::Ready(Some(said)) = self.response.poll_informational(cx)? {
            match said.status() {
                // Nobody has waited for it.
                StatusCode::CONTINUE => {}
                // RFC 9113 §8.6: there is none. To a client of HTTP/1.1 it would be the end of HTTP.
                StatusCode::SWITCHING_PROTOCOLS => return Poll::Ready(Err(Reason::PROTOCOL_ERROR.into())),
                status => self.interim.iter().for_each(|interim| interim.say(status, said.headers())),
            }
        }
        Pin::new(&mut self.response).poll(cx)
    }
}

impl http_body::Body for Arrived {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        // An upstream may answer before it has read all, and read on.
        if self.is_end_stream()
            && let (Some(upload), Some(slot)) = (self.upload.take(), self.slot.take())
        {
            upload.detach(slot);
        }
    }
}

/// Sends the rest of a request's body, for as long as it moves.
async fn send_rest(mut outflow: Outflow<RequestBody>, mut patience: Patience<Slot>) {
    loop {
        let before = outflow.sent();
        tokio::select! {
            // Whoever reads the response learns there what it means that the upstream takes no more.
            _ended = poll_fn(|cx| outflow.poll(cx)) => return,
            () = patience.end() => if outflow.sent() == before { return },
        }
    }
}

/// Returns whether requests of this method usually have content, so that it is worth saying that one has none.
fn has_content(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::CONNECT)
}
