//! A request's body on its way, beside the response, which may come before it has ended.

use std::future::{pending, poll_fn};
use std::pin::Pin;

use bytes::Bytes;
use http_body::{Body as _, Frame};
use quinn::WriteError;
use tokio::sync::oneshot;

use super::broken::Broken;
use super::stream::Sending;
use super::{Slot, frame, message};
use crate::upstream::body::{RequestBody, RequestBodyError};
use crate::upstream::upload::{self, Patience};

/// A body that is being sent; broken off when dropped before [`Upload::detach`].
#[derive(Debug)]
pub(super) struct Upload {
    rest: upload::Upload<Slot>,
    failed: Option<oneshot::Receiver<Broken>>,
}

impl Upload {
    pub(super) fn start(body: RequestBody, sending: Sending) -> Self {
        let (tell, failed) = oneshot::channel();
        let rest = upload::Upload::start(async move |mut patience| {
            if let Err(broken) = upload(body, sending, &mut patience).await {
                // Nobody may be there to hear it.
                let _ = tell.send(broken);
            }
        });
        Self { rest, failed: Some(failed) }
    }

    /// Returns why the body could not be sent, and never where it could.
    pub(super) async fn failed(&mut self) -> Broken {
        if let Some(failed) = &mut self.failed {
            if let Ok(broken) = failed.await {
                return broken;
            }
            self.failed = None;
        }
        pending().await
    }

    /// Lets the rest be sent: an upstream may answer before it has read all, and read on.
    pub(super) fn detach(self, slot: Slot) {
        self.rest.detach(slot);
    }
}

/// Sends a body. An upstream that wants no more of it has its answer sent, or will; that is no failure.
async fn upload(mut body: RequestBody, mut sending: Sending, patience: &mut Patience<Slot>) -> Result<(), Broken> {
    loop {
        let sent = tokio::select! {
            sent = send_part(&mut body, &mut sending) => sent,
            () = patience.end() => return Ok(()),
        };
        match sent {
            Ok(Sent::Part) => {}
            Ok(Sent::Last) => {
                sending.finish();
                return Ok(());
            }
            Err(Unsent::Stopped) => return Ok(()),
            Err(Unsent::Body(error)) => return Err(error.into()),
        }
    }
}

enum Sent {
    Part,
    Last,
}

enum Unsent {
    /// By the peer, or with the connection: whoever waits for the response learns it there.
    Stopped,
    Body(RequestBodyError),
}

async fn send_part(body: &mut RequestBody, sending: &mut Sending) -> Result<Sent, Unsent> {
    let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await else { return Ok(Sent::Last) };
    let stopped = |_: WriteError| Unsent::Stopped;
    match frame.map_err(Unsent::Body)?.into_data() {
        // An empty one says nothing.
        Ok(data) if data.is_empty() => {}
        Ok(data) => {
            let mut head = Vec::with_capacity(HEAD);
            frame::begin(&mut head, frame::DATA, data.len());
            sending.write(&mut [Bytes::from(head), data]).await.map_err(stopped)?;
        }
        Err(frame) => {
            if let Ok(trailers) = Frame::into_trailers(frame) {
                let mut section = Vec::new();
                message::trailers(&trailers, &mut section);
                sending.write(&mut [section.into()]).await.map_err(stopped)?;
            }
        }
    }
    Ok(Sent::Part)
}

/// Bytes of a frame's head at most.
const HEAD: usize = 16;
