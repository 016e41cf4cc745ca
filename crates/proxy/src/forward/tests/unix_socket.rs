//! Upstreams behind a Unix socket.

use tokio::net::UnixListener;

use super::websocket::{agree, opening, talk};
use super::*;

fn route_to(path: &std::path::Path) -> Route {
    let to = Endpoint { scheme: EndpointScheme::Unix, host: path.to_str().unwrap().to_owned(), port: 0, weight: 1 };
    Route { to: vec![to], ..route(EndpointScheme::Unix, &[]) }
}

#[tokio::test]
async fn requests_go_over_http1_and_share_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((unix, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(TokioIo::new(unix), Http::One, 0, |request: Request<Incoming>| async move {
                let host = request.headers()["host"].to_str().unwrap().to_owned();
                let sent = request.into_body().collect().await.unwrap().to_bytes();
                Response::new(full([host.as_bytes(), b":", &sent].concat()))
            }));
        }
    });
    for (host, expected) in [
        (HostHeader::Upstream, "localhost:body"),
        (HostHeader::Preserve, "app.example.com:body"),
        (HostHeader::Rewrite("other.test".to_owned()), "other.test:body"),
    ] {
        let before = accepted.load(Ordering::SeqCst);
        let front = front(Http::Two, &Route { host_header: host, ..route_to(&path) }).await;
        let client = Client::connect(Http::Two, &front).await;
        for _ in 0..3 {
            let response = client.send(Request::post("/").body(full("body")).unwrap()).await;
            assert_eq!(header(&response, "x-endpoint"), format!("unix://{}", path.display()));
            assert_eq!((header(&response, "x-protocol"), header(&response, "x-reason")), ("http/1.1", "configured"));
            assert_eq!(text(response).await, expected);
        }
        assert_eq!(accepted.load(Ordering::SeqCst), before + 1);
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_a_failed_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, left) = (folder.path().join("missing.sock"), folder.path().join("left.sock"));
    drop(UnixListener::bind(&left).unwrap());
    for (path, reason) in [(missing, "No such file or directory"), (left, "Connection refused")] {
        let front = front(Http::One, &route_to(&path)).await;
        let (kind, detail) = failure(Client::connect(Http::One, &front).await.get("/").await).await;
        assert_eq!(kind, "Connect");
        assert!(detail.starts_with(&format!("cannot connect to `unix://{}`: {reason}", path.display())), "{detail}");
    }
}

#[tokio::test]
async fn websockets_are_carried_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { agree(listener.accept().await.unwrap().0).await });
    let front = front(Http::One, &route_to(&path)).await;
    let response = Client::connect(Http::One, &front).await.send(opening()).await;
    assert_eq!(response.status(), 101);
    talk(hyper::upgrade::on(response).await.unwrap()).await;
}
