//! What the service's methods do.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use tokio_stream::{Stream, StreamExt as _};
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::{Code, Request, Response, Status, Streaming};

use super::proto::greeter_server::Greeter;
use super::proto::{ChatMessage, CountReply, CountRequest, HelloReply, HelloRequest, SumReply, SumRequest};

/// The service; it keeps nothing between calls.
#[derive(Debug)]
pub(super) struct Sample;

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Greeter for Sample {
    type CountStream = Replies<CountReply>;
    type ChatStream = Replies<ChatMessage>;

    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let metadata = printable(request.metadata());
        let name = request.into_inner().name;
        if name.is_empty() {
            return Err(hinted(Code::InvalidArgument, "a name is needed", "set `name`"));
        }
        let mut response = Response::new(HelloReply { message: format!("Hello, {name}!"), metadata });
        response.metadata_mut().insert("demo-service", tonic::metadata::MetadataValue::from_static("greeter"));
        Ok(response)
    }

    async fn count(&self, request: Request<CountRequest>) -> Result<Response<Self::CountStream>, Status> {
        let CountRequest { to, interval_ms, fail_after } = request.into_inner();
        let failing = fail_after != 0 && fail_after < to;
        let last = if failing { fail_after } else { to };
        let numbers = tokio_stream::iter((1..=last).map(|number| Ok(CountReply { number })));
        let end = failing.then(|| Err(hinted(Code::Aborted, "stopped as asked", "leave `fail_after` out")));
        let replies = numbers.chain(tokio_stream::iter(end));
        Ok(Response::new(match interval_ms {
            0 => Box::pin(replies),
            pause => Box::pin(replies.throttle(Duration::from_millis(pause.into()))),
        }))
    }

    async fn sum(&self, request: Request<Streaming<SumRequest>>) -> Result<Response<SumReply>, Status> {
        let mut requests = request.into_inner();
        let mut reply = SumReply { sum: 0, count: 0 };
        while let Some(request) = requests.next().await {
            reply.sum =
                reply.sum.checked_add(request?.number).ok_or_else(|| Status::out_of_range("the sum is too large"))?;
            reply.count = reply.count.saturating_add(1);
        }
        Ok(Response::new(reply))
    }

    async fn chat(&self, request: Request<Streaming<ChatMessage>>) -> Result<Response<Self::ChatStream>, Status> {
        let answers = request
            .into_inner()
            .map(|message| message.map(|message| ChatMessage { text: format!("You said: {}", message.text) }));
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Makes a failure whose trailers carry a hint.
fn hinted(code: Code, message: &str, hint: &'static str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("demo-hint", tonic::metadata::MetadataValue::from_static(hint));
    Status::with_metadata(code, message, metadata)
}

/// Returns the metadata that can be printed. Cookies and tokens are not for printing.
fn printable(metadata: &MetadataMap) -> HashMap<String, String> {
    let entries = metadata.iter().filter_map(|entry| match entry {
        KeyAndValueRef::Ascii(name, value) => Some((name.to_string(), value.to_str().ok()?.to_owned())),
        KeyAndValueRef::Binary(..) => None,
    });
    entries.filter(|(name, _)| !["cookie", "authorization"].contains(&name.as_str())).collect()
}
