//! Large bodies, and either side leaving in the middle: in every mix of protocols.

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};

use super::*;

/// What a client and an upstream may speak.
const MIXES: [(Http, Http); 4] =
    [(Http::One, Http::One), (Http::Two, Http::One), (Http::One, Http::Two), (Http::Two, Http::Two)];

/// A body that is made as it is asked for; its sender is dropped with it.
struct Made {
    left: usize,
    made: Arc<AtomicUsize>,
    _alive: oneshot::Sender<()>,
}

impl Body for Made {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
        let piece = &PIECE[..self.left.min(PIECE.len())];
        self.left -= piece.len();
        self.made.fetch_add(piece.len(), Ordering::SeqCst);
        Poll::Ready((!piece.is_empty()).then(|| Ok(data(piece))))
    }
}

/// A body that breaks off behind its first piece, when told to.
struct Half {
    is_told: bool,
    until: oneshot::Receiver<()>,
}

impl Body for Half {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !std::mem::replace(&mut self.is_told, true) {
            return Poll::Ready(Some(Ok(data("half"))));
        }
        Pin::new(&mut self.until).poll(context).map(|_| Some(Err(broken("enough"))))
    }
}

/// Returns a body of so many bytes, the count of those that it was asked for, and what ends when it is dropped.
fn made(bytes: usize) -> (AnyBody, Arc<AtomicUsize>, oneshot::Receiver<()>) {
    let (alive, gone) = oneshot::channel();
    let made = Arc::<AtomicUsize>::default();
    (Made { left: bytes, made: Arc::clone(&made), _alive: alive }.boxed_unsync(), made, gone)
}

/// Waits until no more is taken: all parts share this thread, and each had many turns.
async fn settled(made: &AtomicUsize) -> usize {
    loop {
        let before = made.load(Ordering::SeqCst);
        for _ in 0..2000 {
            tokio::task::yield_now().await;
        }
        if before > 0 && made.load(Ordering::SeqCst) == before {
            return before;
        }
    }
}

async fn read(mut body: Incoming) -> usize {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    read
}

async fn front_to(client: Http, spoken: Http, upstream: &Upstream) -> (Front, Client) {
    let scheme = if spoken == Http::Two { EndpointScheme::H2c } else { EndpointScheme::Http };
    let front = front(client, &route(scheme, &[upstream.address])).await;
    let client = Client::connect(client, &front).await;
    (front, client)
}

#[tokio::test]
async fn a_download_waits_for_its_reader_and_arrives_whole() {
    for (client, spoken) in MIXES {
        let (body, made, _gone) = made(LARGE);
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        let upstream = upstream(spoken, move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async { Response::new(body) }
        })
        .await;
        let (_front, client) = front_to(client, spoken, &upstream).await;
        let response = client.get("/").await;
        let in_flight = settled(&made).await;
        assert!(in_flight < MOST, "{in_flight} bytes were taken though nobody reads");
        assert_eq!(read(response.into_body()).await, LARGE);
    }
}

#[tokio::test]
async fn an_upload_waits_for_its_upstream_and_arrives_whole() {
    for (client, spoken) in MIXES {
        let go = Arc::new(Notify::new());
        let going = Arc::clone(&go);
        let upstream = upstream(spoken, move |request: Request<Incoming>| {
            let go = Arc::clone(&going);
            async move {
                go.notified().await;
                Response::new(full(read(request.into_body()).await.to_string()))
            }
        })
        .await;
        let (_front, client) = front_to(client, spoken, &upstream).await;
        let (body, made, _gone) = made(LARGE);
        let sending = tokio::spawn(async move { client.send(Request::post("/").body(body).unwrap()).await });
        let in_flight = settled(&made).await;
        assert!(in_flight < MOST, "{in_flight} bytes were taken though nobody reads");
        go.notify_one();
        assert_eq!(text(sending.await.unwrap()).await, LARGE.to_string());
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_answer_upstream() {
    for (client, spoken) in MIXES {
        let (tell, mut told) = mpsc::unbounded_channel();
        let upstream = upstream(spoken, move |_| {
            let (body, _, gone) = made(usize::MAX);
            tell.send(gone).unwrap();
            async { Response::new(body) }
        })
        .await;
        let (_front, client) = front_to(client, spoken, &upstream).await;
        let mut response = client.get("/").await;
        assert!(response.body_mut().frame().await.unwrap().is_ok());
        drop((response, client));
        told.recv().await.unwrap().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_ends_the_request_upstream() {
    for (client, spoken) in MIXES {
        let (tell, mut told) = mpsc::unbounded_channel();
        let upstream = upstream(spoken, move |request: Request<Incoming>| {
            let (alive, gone) = oneshot::channel::<()>();
            tell.send(gone).unwrap();
            async move {
                let _alive = alive;
                // A request that breaks off is over; one that is whole waits for its answer.
                match request.into_body().collect().await {
                    Ok(_) => std::future::pending().await,
                    Err(_) => Response::new(empty()),
                }
            }
        })
        .await;
        let front = front_to(client, spoken, &upstream).await.0;
        for (body, open) in [("", false), ("4\r\nsome\r\n0\r\n\r\n", false), ("4\r\nsome\r\n", true)] {
            if client == Http::One {
                let framing = if body.is_empty() { "" } else { "Transfer-Encoding: chunked\r\n" };
                let mut tcp = TcpStream::connect(front.address).await.unwrap();
                let request = format!("PUT / HTTP/1.1\r\nHost: app.example.com\r\n{framing}\r\n{body}");
                tcp.write_all(request.as_bytes()).await.unwrap();
                let gone = told.recv().await.unwrap();
                drop(tcp);
                gone.await.unwrap_err();
            } else {
                let client = Client::connect(client, &front).await;
                let (feed, fed) = fed();
                let _still_open = open.then(|| feed.clone());
                if !body.is_empty() {
                    feed.send(data("some")).unwrap();
                }
                drop(feed);
                let sending = tokio::spawn(async move { client.try_send(Request::put("/").body(fed).unwrap()).await });
                let gone = told.recv().await.unwrap();
                sending.abort();
                gone.await.unwrap_err();
            }
        }
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_its_answer_breaks_it_off_downstream() {
    for (client, spoken) in MIXES {
        let (tell, mut told) = mpsc::unbounded_channel();
        let upstream = upstream(spoken, move |_| {
            let (break_off, until) = oneshot::channel();
            tell.send(break_off).unwrap();
            async { Response::new(Half { is_told: false, until }.boxed_unsync()) }
        })
        .await;
        let (_front, client) = front_to(client, spoken, &upstream).await;
        let mut body = client.get("/").await.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        told.recv().await.unwrap().send(()).unwrap();
        body.frame().await.unwrap().unwrap_err();
    }
}

#[tokio::test]
async fn a_refusal_of_an_upload_is_passed_on_and_ends_it() {
    for (client, spoken) in MIXES {
        let upstream = raw_upstream(move |mut tcp| async move {
            if spoken == Http::Two {
                let refuse = |_| async { Response::builder().status(413).body(full("too much")).unwrap() };
                return serve(TokioIo::new(tcp), spoken, 200, refuse).await;
            }
            // Closed with much unread: the system resets the connection.
            let _some = tcp.read(&mut [0; 1024]).await;
            tcp.write_all(b"HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much")
                .await
                .unwrap();
        })
        .await;
        let (_front, client) = front_to(client, spoken, &upstream).await;
        let (body, _, gone) = made(usize::MAX);
        let response = client.send(Request::post("/").body(body).unwrap()).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(text(response).await, "too much");
        gone.await.unwrap_err();
    }
}

/// Much more than the buffers of the system and the windows on the way hold.
const LARGE: usize = 200_000_000;
const MOST: usize = 40_000_000;
