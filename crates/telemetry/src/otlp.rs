//! OTLP over HTTP: one `POST` for a batch, as protobuf (opentelemetry.io, "OTLP Specification", OTLP/HTTP).

pub(crate) mod message;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use self::message::ExportResponse;
use crate::receiver::Receiver;

/// A receiver of OTLP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Where it is.
    pub receiver: Receiver,
    /// Where a request goes: the path of the signal.
    pub path: String,
    /// Further headers; marked as sensitive, so that they are not shown.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Sends batches to one receiver, one after the other.
pub(crate) struct Client {
    otlp: Otlp,
    connection: Option<(SendRequest<Full<Bytes>>, AbortOnDropHandle<()>)>,
}

/// What a receiver did with a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It took it, or all but so many of it.
    Taken { but: u64, because: String },
    /// It takes it neither now nor later.
    Refused(String),
}

impl Client {
    pub(crate) const fn new(otlp: Otlp) -> Self {
        Self { otlp, connection: None }
    }

    /// Sends a batch.
    ///
    /// # Errors
    /// It may be taken later.
    pub(crate) async fn export(&mut self, batch: Bytes) -> io::Result<Answer> {
        let limit = self.otlp.timeout;
        let answer = timeout(limit, self.exchange(batch)).await.unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within `timeout` of {limit:?}")))
        });
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn exchange(&mut self, batch: Bytes) -> io::Result<Answer> {
        let request = self.request(batch)?;
        // A connection that was kept may have been closed meanwhile.
        self.connection.take_if(|(sender, _)| sender.is_closed());
        let (sender, _) = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.otlp.receiver).await?),
        };
        sender.ready().await.map_err(io::Error::other)?;
        let (head, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(io::Error::other)?.to_bytes();
        answer(head.status, &head.headers, &body)
    }

    fn request(&self, batch: Bytes) -> io::Result<Request<Full<Bytes>>> {
        let mut request = Request::post(self.otlp.path.as_str())
            .header(HOST, self.otlp.receiver.authority())
            .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Full::new(batch))
            .map_err(io::Error::other)?;
        request.headers_mut().extend(self.otlp.headers.iter().cloned());
        Ok(request)
    }
}

async fn connect(receiver: &Receiver) -> io::Result<(SendRequest<Full<Bytes>>, AbortOnDropHandle<()>)> {
    let stream = TokioIo::new(receiver.connect().await?);
    let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
    // What it ends with, the next request is told.
    let driver = tokio::spawn(async { drop(connection.await) });
    Ok((sender, AbortOnDropHandle::new(driver)))
}

/// Only what is said of the batch itself is final: a wrong path or credential is corrected some day, and what waits is
/// sent then.
fn answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> io::Result<Answer> {
    match status {
        status if status.is_success() => {
            let partial = ExportResponse::decode(body).unwrap_or_default().partial_success.unwrap_or_default();
            let but = u64::try_from(partial.rejected).unwrap_or_default();
            Ok(Answer::Taken { but, because: partial.error_message })
        }
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Ok(Answer::Refused(format!("the receiver answered {}", status.as_u16())))
        }
        status => {
            let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let wait = wait.map(|wait| format!(", and to come again after {wait} s")).unwrap_or_default();
            Err(io::Error::other(format!("the receiver answered {}{wait}", status.as_u16())))
        }
    }
}

/// An answer that says more than this is none.
const MAX_ANSWER: usize = 64 * 1024;
