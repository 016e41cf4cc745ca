//! The server of gRPC's interoperability cases, in Rust: says where it listens, and serves until it is ended.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::body::Body;
use tonic::transport::Server;
use tonic::{Code, Status, Streaming};
use tower::{Layer, Service};

use proto::test_service_server::{TestService, TestServiceServer};
use proto::{
    EchoStatus, Empty, Payload, SimpleRequest, SimpleResponse, StreamingInputCallRequest, StreamingInputCallResponse,
    StreamingOutputCallRequest, StreamingOutputCallResponse,
};

#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "the generator writes as it does"
)]
mod proto {
    //! Made by `build.rs` from `testing.proto`.

    tonic::include_proto!("grpc.testing");
}

/// Answers as the description of the cases asks servers to.
#[derive(Debug)]
struct Cases;

type Answers = Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TestService for Cases {
    type StreamingOutputCallStream = Answers;
    type FullDuplexCallStream = Answers;

    async fn empty_call(&self, _: tonic::Request<Empty>) -> Result<tonic::Response<Empty>, Status> {
        Ok(tonic::Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: tonic::Request<SimpleRequest>,
    ) -> Result<tonic::Response<SimpleResponse>, Status> {
        let request = request.into_inner();
        check(request.response_status)?;
        Ok(tonic::Response::new(SimpleResponse { payload: Some(payload(request.response_size)) }))
    }

    async fn streaming_output_call(
        &self,
        request: tonic::Request<StreamingOutputCallRequest>,
    ) -> Result<tonic::Response<Answers>, Status> {
        Ok(tonic::Response::new(answers(request.into_inner())))
    }

    async fn streaming_input_call(
        &self,
        request: tonic::Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<tonic::Response<StreamingInputCallResponse>, Status> {
        let (mut requests, mut size) = (request.into_inner(), 0);
        while let Some(request) = requests.message().await? {
            size += request.payload.map_or(0, |payload| payload.body.len());
        }
        let aggregated_payload_size = size.try_into().map_err(|_| Status::out_of_range("too much"))?;
        Ok(tonic::Response::new(StreamingInputCallResponse { aggregated_payload_size }))
    }

    async fn full_duplex_call(
        &self,
        request: tonic::Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<tonic::Response<Answers>, Status> {
        let (answer, answered) = tokio::sync::mpsc::channel(1);
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let mut answers = request.map_or_else(|status| failed(status), answers);
                while let Some(one) = answers.next().await {
                    if answer.send(one).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(tonic::Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(answered))))
    }

    async fn unimplemented_call(&self, _: tonic::Request<Empty>) -> Result<tonic::Response<Empty>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn check(status: Option<EchoStatus>) -> Result<(), Status> {
    match status.filter(|status| status.code != 0) {
        Some(status) => Err(Status::new(Code::from(status.code), status.message)),
        None => Ok(()),
    }
}

fn answers(request: StreamingOutputCallRequest) -> Answers {
    if let Err(status) = check(request.response_status) {
        return failed(status);
    }
    Box::pin(tokio_stream::iter(request.response_parameters).then(async |wanted| {
        tokio::time::sleep(Duration::from_micros(u64::try_from(wanted.interval_us).unwrap_or(0))).await;
        Ok(StreamingOutputCallResponse { payload: Some(payload(wanted.size)) })
    }))
}

fn failed(status: Status) -> Answers {
    Box::pin(tokio_stream::once(Err(status)))
}

fn payload(size: i32) -> Payload {
    Payload { body: vec![0; usize::try_from(size).unwrap_or(0)] }
}

/// Sends back the metadata that a caller asks for, at the beginning and at the end.
#[derive(Clone, Debug)]
struct Echo<S>(S);

impl<S, B> Service<Request<B>> for Echo<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let asked = |name| asked(request.headers(), name);
        let (initial, trailing) = (asked("x-grpc-test-echo-initial"), asked("x-grpc-test-echo-trailing-bin"));
        let answering = self.0.call(request);
        Box::pin(async move {
            let mut response = answering.await?;
            response.headers_mut().extend(initial);
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| match frame.into_trailers() {
                    Ok(mut trailers) => {
                        trailers.extend(trailing.clone());
                        Frame::trailers(trailers)
                    }
                    Err(frame) => frame,
                }))
            }))
        })
    }
}

fn asked(headers: &HeaderMap, name: &'static str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_static(name), headers.get(name)?.clone()))
}

#[derive(Clone, Debug)]
struct Echoing;

impl<S> Layer<S> for Echoing {
    type Service = Echo<S>;

    fn layer(&self, inner: S) -> Echo<S> {
        Echo(inner)
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is how a test learns the port")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let server = Server::builder().layer(Echoing).add_service(TestServiceServer::new(Cases));
    server.serve_with_incoming(TcpListenerStream::new(listener)).await?;
    Ok(())
}
