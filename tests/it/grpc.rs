//! gRPC through the assembled proxy: what callers are told by us, and what passes.

use std::sync::Arc;

use bytes::Bytes;
use demo::grpc::Grpc;
use demo::grpc::proto::greeter_client::GreeterClient;
use demo::grpc::proto::{ChatMessage, HelloRequest};
use http::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use integration::{Proxy, Setup, Upstream, http2};
use rustls_pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::Result;

async fn client(proxy: &Proxy, host: &'static str) -> Result<GreeterClient<Channel>> {
    let (address, tls) = (proxy.address(), proxy.tls());
    let connector = tower::service_fn(move |_: Uri| {
        let tls = Arc::clone(&tls);
        async move {
            let mut tls = (*tls).clone();
            tls.alpn_protocols = vec![b"h2".to_vec()];
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
            TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map(TokioIo::new)
        }
    });
    let channel = Endpoint::from_shared(format!("https://{host}"))?.connect_with_connector(connector).await?;
    Ok(GreeterClient::new(channel))
}

#[tokio::test]
async fn both_sides_stream_and_metadata_and_trailers_pass() -> Result {
    let service = Grpc::start().await?;
    let open = json!({ "authenticate": "none", "allow": "request.grpc.service == 'portcullis.demo.v1.Greeter'" });
    let proxy = Setup::default().route("grpc", &format!("h2c://{}", service.address()), &open).start().await?;
    let mut client = client(&proxy, "grpc.localhost").await?;

    let (say, said) = mpsc::channel(1);
    let mut answers = client.chat(ReceiverStream::new(said)).await?.into_inner();
    for text in ["one", "two"] {
        // The answer to the first comes before the second is said.
        say.send(ChatMessage { text: text.into() }).await?;
        assert_eq!(answers.next().await.expect("an answer")?.text, format!("You said: {text}"));
    }
    drop(say);
    assert!(answers.next().await.is_none());

    let status = client.hello(HelloRequest { name: String::new() }).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "a name is needed"));
    assert_eq!(status.metadata().get("demo-hint").expect("a trailer"), "set `name`");

    drop(client);
    let records = proxy.stop().await?;
    let of = |method: &str| {
        let path = format!("/portcullis.demo.v1.Greeter/{method}");
        records.iter().find(|record| record["path"] == path.as_str()).expect("recorded")
    };
    assert_eq!((&of("Chat")["grpc_status"], &of("Chat")["upstream"]["protocol"]), (&json!(0), &json!("h2c")));
    assert_eq!(of("Hello")["grpc_status"], 3);
    service.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn our_own_answers_are_statuses_of_grpc() -> Result {
    let service = Grpc::start().await?;
    let url = format!("h2c://{}", service.address());
    let proxy = Setup::default()
        .route("members", &url, &json!({ "allow": "user.authenticated" }))
        .route("nobody", &url, &json!({ "authenticate": "none", "allow": "request.ip == '10.9.9.9'" }))
        .route("away", "h2c://127.0.0.1:1", &json!({ "authenticate": "none", "allow": "true" }))
        .start()
        .await?;
    let hello = || HelloRequest { name: "Ada".into() };
    let nobody = client(&proxy, "members.localhost").await?.hello(hello()).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    assert!(nobody.message().starts_with("https://members.localhost/.portcullis/sign_in?"), "{nobody}");
    let denied = client(&proxy, "nobody.localhost").await?.hello(hello()).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let away = client(&proxy, "away.localhost").await?.hello(hello()).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable);
    for (host, expected) in [("members", "16"), ("nobody", "7"), ("away", "14")] {
        for content_type in ["application/grpc-web", "application/grpc-web-text", "application/grpc-web+proto"] {
            let url = format!("https://{host}.localhost/s/m");
            let headers = [("content-type", content_type), ("accept", "text/html")];
            let answer = proxy.browser().send(Method::POST, &url, &headers, Bytes::new()).await?;
            assert_eq!(
                (answer.status.as_u16(), answer.header("grpc-status")),
                (200, expected),
                "{host} {content_type}"
            );
            assert!(answer.header("content-type").starts_with("application/grpc-web"), "{answer:?}");
            assert!(answer.body.is_empty());
        }
    }
    proxy.stop().await?;
    service.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_upstream_and_recorded_once() -> Result {
    let (tell, mut told) = mpsc::unbounded_channel();
    let upstream = Upstream::with(move |stream| {
        let tell = tell.clone();
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let deadline = request.headers().get("grpc-timeout").cloned();
                    let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                    let mut send = respond.send_response(head, false).unwrap();
                    send.send_data(Bytes::from_static(b"\0\0\0\0\0"), false).unwrap();
                    let reason = std::future::poll_fn(|cx| send.poll_reset(cx)).await;
                    let _ = tell.send((deadline, reason.is_ok()));
                });
            }
        }
    })
    .await?;
    let open = json!({ "authenticate": "none", "allow": "true" });
    let proxy = Setup::default().route("grpc", &format!("h2c://{}", upstream.address()), &open).start().await?;
    let mut requests = http2(&proxy, "grpc.localhost").await?;
    let request = Request::post("https://grpc.localhost/s/m")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "5S")
        .body(())?;
    let (response, mut send) = requests.send_request(request, false)?;
    let mut response = response.await?;
    assert!(response.body_mut().data().await.is_some());
    send.send_reset(h2::Reason::CANCEL);
    let (deadline, cancelled) = told.recv().await.expect("told");
    assert!(cancelled);
    assert_eq!(deadline.expect("passed"), "5S");
    let records = proxy.stop().await?;
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!((&records[0]["decision"], &records[0]["bytes_out"]), (&json!("allow"), &json!(5)));
    Ok(())
}
