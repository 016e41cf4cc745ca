//! Every kind of call, as a plain client makes it.

use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::transport::Channel;

use super::Grpc;
use super::proto::{ChatMessage, CountRequest, HelloRequest, SumRequest, greeter_client::GreeterClient};

async fn client(service: &Grpc) -> GreeterClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", service.address())).unwrap().connect().await.unwrap();
    GreeterClient::new(channel)
}

#[tokio::test]
async fn a_unary_call_is_answered_with_what_came_with_it() {
    let service = Grpc::start().await.unwrap();
    let mut request = tonic::Request::new(HelloRequest { name: "Ada".into() });
    request.metadata_mut().insert("x-sample", "yes".parse().unwrap());
    request.metadata_mut().insert("cookie", "secret=1".parse().unwrap());
    let response = client(&service).await.hello(request).await.unwrap();
    assert_eq!(response.metadata().get("demo-service").unwrap(), "greeter");
    let reply = response.into_inner();
    assert_eq!(reply.message, "Hello, Ada!");
    assert_eq!(reply.metadata["x-sample"], "yes");
    assert!(!reply.metadata.contains_key("cookie"));
    service.shutdown().await;
}

#[tokio::test]
async fn a_refusal_carries_a_hint_in_its_trailers() {
    let service = Grpc::start().await.unwrap();
    let status = client(&service).await.hello(HelloRequest { name: String::new() }).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.metadata().get("demo-hint").unwrap(), "set `name`");
}

#[tokio::test]
async fn the_server_streams_and_ends_with_trailers() {
    let service = Grpc::start().await.unwrap();
    let mut client = client(&service).await;
    let whole = client.count(CountRequest { to: 3, interval_ms: 0, fail_after: 0 }).await.unwrap().into_inner();
    let numbers: Vec<_> = whole.map(|reply| reply.unwrap().number).collect().await;
    assert_eq!(numbers, [1, 2, 3]);

    let request = CountRequest { to: 9, interval_ms: 1, fail_after: 2 };
    let mut cut = client.count(request).await.unwrap().into_inner();
    assert_eq!(cut.message().await.unwrap().unwrap().number, 1);
    assert_eq!(cut.message().await.unwrap().unwrap().number, 2);
    let status = cut.message().await.unwrap_err();
    assert_eq!((status.code(), status.metadata().contains_key("demo-hint")), (Code::Aborted, true));
}

#[tokio::test]
async fn the_client_streams() {
    let service = Grpc::start().await.unwrap();
    let numbers = tokio_stream::iter([1, 2, 39].map(|number| SumRequest { number }));
    let reply = client(&service).await.sum(numbers).await.unwrap().into_inner();
    assert_eq!((reply.sum, reply.count), (42, 3));
    let numbers = tokio_stream::iter([i64::MAX, 1].map(|number| SumRequest { number }));
    assert_eq!(client(&service).await.sum(numbers).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn both_sides_stream_in_turns() {
    let service = Grpc::start().await.unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let messages = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = client(&service).await.chat(messages).await.unwrap().into_inner();
    for text in ["one", "two"] {
        sender.send(ChatMessage { text: text.into() }).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().text, format!("You said: {text}"));
    }
    drop(sender);
    assert!(answers.message().await.unwrap().is_none());
}
