//! Peers of HTTP/3 that break the protocol, byte by byte: each gives a clear failure, and none hangs, panics, fills the
//! memory or harms another request.

use quinn::{Connection, Endpoint, RecvStream, SendStream, VarInt};
use tokio::sync::watch;

use super::super::tls::Authority;
use super::peer::raw_peer;
use super::*;

/// A peer that says on each stream what it is told to say.
struct Hostile {
    address: SocketAddr,
    authority: Authority,
    connections: Arc<AtomicUsize>,
    _endpoint: Endpoint,
}

impl Hostile {
    /// Does what `each` does with each request, behind settings as they should be.
    fn new<F, R>(each: F) -> Self
    where
        F: Fn(SendStream, RecvStream) -> R + Clone + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::with(b"\x00\x04\x00", each)
    }

    /// Says this on its control stream.
    fn with<F, R>(control: &'static [u8], each: F) -> Self
    where
        F: Fn(SendStream, RecvStream) -> R + Clone + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::raw(move |connection| {
            let each = each.clone();
            async move {
                let mut stream = connection.open_uni().await.unwrap();
                stream.write_all(control).await.unwrap();
                while let Ok((sending, receiving)) = connection.accept_bi().await {
                    tokio::spawn(each(sending, receiving));
                }
                drop(stream);
            }
        })
    }

    fn raw<F, R>(each: F) -> Self
    where
        F: Fn(Connection) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::allowing(100, each)
    }

    /// Allows so many streams at a time.
    fn allowing<F, R>(streams: u32, each: F) -> Self
    where
        F: Fn(Connection) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let (address, authority, connections, endpoint) = raw_peer(streams, each);
        Self { address, authority, connections, _endpoint: endpoint }
    }

    async fn client(&self) -> (Front, Client) {
        let mut route = route(EndpointScheme::Https, &[self.address]);
        route.upstream_protocol = UpstreamProtocol::Http3;
        route.upstream_tls = self.authority.trusted();
        let front = front(Http::Two, &route).await;
        let client = Client::connect(Http::Two, &front).await;
        (front, client)
    }

    async fn failure(&self) -> (String, String) {
        let (_front, client) = self.client().await;
        failure(client.get("/").await).await
    }
}

/// Answers every request with these bytes, and ends there.
fn answering(answer: &'static [u8]) -> Hostile {
    Hostile::new(move |mut sending, _receiving| async move {
        let _stopped = sending.write_all(answer).await;
    })
}

#[tokio::test]
async fn nonsense_is_a_protocol_error() {
    for (answer, expected) in [
        (&b""[..], "stream ended before the response was complete"),
        (b"\x01", "stream ended before the response was complete"),
        (b"\x01\x05\x00\x00\xd9", "stream ended before the response was complete"),
        (b"\x00\x05hello", "invalid response: a response without a head"),
        (b"\x04\x00", "invalid response: a response without a head"),
        (b"\x05\x04\x00\x00\x00\xd9", "invalid response: a response without a head"),
        (b"\x02\x00", "invalid response: a frame of HTTP/2"),
        (b"\x01\x00", "invalid response: malformed header fields"),
        (b"\x01\x02\x00\x00", "invalid response: no `:status`"),
        // 103, and nothing behind it.
        (b"\x01\x03\x00\x00\xd8", "stream ended before the response was complete"),
        // `:status: 200` twice, behind a field, and none.
        (b"\x01\x04\x00\x00\xd9\xd9", "invalid response: malformed header fields"),
        (b"\x01\x04\x00\x00\xc4\xd9", "invalid response: malformed header fields"),
        (b"\x01\x07\x00\x00\x5f\x09\x0220", "invalid response: malformed header fields"),
        // 101.
        (b"\x01\x08\x00\x00\x5f\x09\x03101", "invalid response: 101, which HTTP/3 does not have"),
        // `:path: /` in a response.
        (b"\x01\x04\x00\x00\xd9\xc1", "invalid response: malformed header fields"),
        // `X: y`, `x: CR LF`, and `te x`.
        (b"\x01\x07\x00\x00\xd9\x21X\x01y", "invalid response: malformed header fields"),
        (b"\x01\x08\x00\x00\xd9\x21x\x02\r\n", "invalid response: malformed header fields"),
        (b"\x01\x0a\x00\x00\xd9\x24te x\x01y", "invalid response: malformed header fields"),
        // `upgrade: y` and `connection: y`.
        (b"\x01\x0e\x00\x00\xd9\x27\x00upgrade\x01y", "invalid response: malformed header fields"),
        (b"\x01\x11\x00\x00\xd9\x27\x03connection\x01y", "invalid response: malformed header fields"),
        // `content-length: -1`, and 5 beside 6.
        (b"\x01\x07\x00\x00\xd9\x54\x02-1", "invalid response: `Content-Length` is no number, or several"),
        (
            b"\x01\x09\x00\x00\xd9\x54\x015\x54\x016\x00\x05hello",
            "invalid response: `Content-Length` is no number, or several",
        ),
        // A field of a dynamic table.
        (b"\x01\x04\x00\x00\xd9\x80", "invalid response: malformed header fields"),
    ] {
        let (kind, detail) = answering(answer).failure().await;
        assert_eq!((kind.as_str(), detail.as_str()), ("Protocol", expected), "{answer:x?}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_it_said_breaks_off_downstream_too() {
    for answer in [
        // `content-length: 5`, and less, more, or a frame that is cut off.
        &b"\x01\x06\x00\x00\xd9\x54\x015\x00\x04hell"[..],
        b"\x01\x06\x00\x00\xd9\x54\x015\x00\x06hello!",
        b"\x01\x06\x00\x00\xd9\x54\x015\x00\x05hell",
        b"\x01\x03\x00\x00\xd9\x00\x05hell",
        b"\x01\x03\x00\x00\xd9\x00\x05",
        // 204 with a body.
        b"\x01\x08\x00\x00\x5f\x09\x03204\x00\x01x",
        // A second response, a body behind trailers, and settings in the middle.
        b"\x01\x03\x00\x00\xd9\x00\x01x\x01\x03\x00\x00\xd9",
        b"\x01\x03\x00\x00\xd9\x01\x06\x00\x00\x21x\x01y\x00\x01x",
        b"\x01\x03\x00\x00\xd9\x00\x01x\x04\x00",
        // Trailers that are malformed.
        b"\x01\x03\x00\x00\xd9\x00\x01x\x01\x06\x00\x00\x21X\x01y",
    ] {
        let hostile = answering(answer);
        let (_front, client) = hostile.client().await;
        // Where the body breaks off at once, the head may not have been sent yet.
        if let Ok(response) = client.try_send(Request::get("/").body(empty()).unwrap()).await {
            assert!(response.into_body().collect().await.is_err(), "{answer:x?}");
        }
    }
}

#[tokio::test]
async fn what_is_unknown_is_skipped() {
    let hostile = answering(
        b"\x21\x03abc\x40\x40\x00\x01\x03\x00\x00\xd8\x21\x00\x01\x03\x00\x00\xd9\x21\x01x\x00\x02he\x00\x00\x21\x02xx\x00\x03llo\x21\x00",
    );
    let (_front, client) = hostile.client().await;
    assert_eq!(text(client.get("/").await).await, "hello");
}

#[tokio::test]
async fn header_fields_without_end_are_refused_without_being_gathered() {
    // A section of a gigabyte, one of many small fields, and one whose indexes stand for far more than they take.
    for (first, rest) in [
        (&b"\x01\xc0\x00\x00\x00\x40\x00\x00\x00\x00\x00\xd9"[..], &b"\x21x\x01y"[..]),
        (b"\x01\x80\x00\x80\x00\x00\x00\xd9", b"\x21x\x01y"),
        (b"\x01\x80\x00\x80\x00\x00\x00\xd9", b"\xc4\xc4\xc4\xc4"),
    ] {
        let sent = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&sent);
        let hostile = Hostile::new(move |mut sending, _receiving| {
            let sent = Arc::clone(&counted);
            async move {
                sending.write_all(first).await.unwrap();
                let piece = rest.repeat(1024);
                while sending.write_all(&piece).await.is_ok() {
                    sent.fetch_add(piece.len(), Ordering::SeqCst);
                }
            }
        });
        let (kind, detail) = hostile.failure().await;
        assert_eq!((kind.as_str(), detail.as_str()), ("Protocol", "the response's header fields are too large"));
        assert!(sent.load(Ordering::SeqCst) < 16 * 1024 * 1024);
    }
}

#[tokio::test]
async fn frames_that_nobody_knows_do_not_keep_a_request_for_ever() {
    let hostile = Hostile::new(|mut sending, _receiving| async move {
        let skipped = b"\x21\x3exxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".repeat(64);
        while sending.write_all(&skipped).await.is_ok() {}
    });
    let mut route = route(EndpointScheme::Https, &[hostile.address]);
    route.upstream_protocol = UpstreamProtocol::Http3;
    route.upstream_tls = hostile.authority.trusted();
    route.timeouts.response_headers = Some(Duration::from_millis(200));
    let front = front(Http::One, &route).await;
    let (kind, _) = failure(Client::connect(Http::One, &front).await.get("/").await).await;
    assert_eq!(kind, "Timeout");
}

#[tokio::test]
async fn a_stream_that_is_reset_breaks_off_its_answer_and_no_other() {
    let (reset, resetting) = watch::channel(false);
    let hostile = Hostile::new(move |mut sending, _receiving| {
        let mut resetting = resetting.clone();
        async move {
            sending.write_all(b"\x01\x03\x00\x00\xd9\x00\x02he").await.unwrap();
            let id = VarInt::from(sending.id()).into_inner();
            resetting.wait_for(|reset| *reset).await.unwrap();
            if id == 0 {
                sending.reset(VarInt::from_u32(0x102)).unwrap();
            } else {
                sending.write_all(b"\x00\x03llo").await.unwrap();
            }
        }
    });
    let (_front, client) = hostile.client().await;
    let (first, second) = (client.get("/").await, client.get("/").await);
    reset.send(true).unwrap();
    assert!(first.into_body().collect().await.is_err());
    assert_eq!(text(second).await, "hello");
    assert_eq!(text(client.get("/").await).await, "hello");
    assert_eq!(hostile.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_broken_answer_ends_no_other_and_its_connection_gets_no_further_request() {
    let (go, going) = watch::channel(false);
    let hostile = Hostile::new(move |mut sending, _receiving| {
        let mut going = going.clone();
        async move {
            if VarInt::from(sending.id()).into_inner() == 4 {
                return sending.write_all(b"\x02\x00").await.unwrap();
            }
            sending.write_all(b"\x01\x03\x00\x00\xd9\x00\x02he").await.unwrap();
            going.wait_for(|go| *go).await.unwrap();
            sending.write_all(b"\x00\x03llo").await.unwrap();
        }
    });
    let (_front, client) = hostile.client().await;
    let good = client.get("/").await;
    assert_eq!(failure(client.get("/").await).await.0, "Protocol");
    go.send(true).unwrap();
    assert_eq!(text(good).await, "hello");
    assert_eq!(text(client.get("/").await).await, "hello");
    assert_eq!(hostile.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_is_closed_fails_its_requests_and_is_replaced() {
    let hostile = Hostile::raw(|connection| async move {
        let (mut sending, mut receiving) = connection.accept_bi().await.unwrap();
        let _head = receiving.read(&mut [0; 1024]).await;
        if sending.write_all(b"\x01\x03\x00\x00\xd9").await.is_ok() {
            connection.close(VarInt::from_u32(0x102), b"enough");
        }
    });
    let (_front, client) = hostile.client().await;
    for connections in 1..=2 {
        if let Ok(response) = client.try_send(Request::get("/").body(empty()).unwrap()).await {
            assert!(header(&response, "x-failure") == "Protocol" || response.into_body().collect().await.is_err());
        }
        assert_eq!(hostile.connections.load(Ordering::SeqCst), connections);
    }
}

#[tokio::test]
async fn faults_of_the_control_stream_end_the_connection_with_their_code() {
    for (control, code) in [
        (&b"\x00\x07\x01\x00"[..], 0x10a),                // GOAWAY before any settings.
        (b"\x00\x04\x00\x04\x00", 0x105),                 // Settings twice.
        (b"\x00\x04\x00\x00\x00", 0x105),                 // A body.
        (b"\x00\x04\x00\x01\x02\x00\x00", 0x105),         // A head.
        (b"\x00\x04\x00\x07\x01\x01", 0x108),             // GOAWAY with a stream of the peer's.
        (b"\x00\x04\x00\x07\x01\x00\x07\x01\x04", 0x108), // GOAWAY that goes back.
        (b"\x00\x04\x00\x07\x00", 0x106),                 // GOAWAY without a stream.
        (b"\x00\x04\x80\x10\x00\x00", 0x107),             // Settings of a megabyte.
        (b"\x00\x04\x00\x02\x00", 0x106),                 // A frame of HTTP/2.
        (b"\x01\x00", 0x108),                             // A push.
        (b"\x00\x04\x00\x03\x01\x00", 0x108),             // A push that is not to come, of none.
        (b"\x00\x04\x01\x06", 0x106),                     // A setting without a value.
        (b"\x00\x04\x04\x06\x00\x04\x00", 0x109),         // A setting of HTTP/2, behind one of HTTP/3.
    ] {
        check_control(vec![control], code).await;
    }
    check_control(vec![&b"\x00\x04\x00"[..], b"\x00\x04\x00"], 0x103).await;
    check_control(vec![&b"\x00\x04\x00"[..], b"\x02", b"\x03", b"\x03"], 0x103).await;
}

async fn check_control(streams: Vec<&'static [u8]>, code: u32) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let hostile = Hostile::raw(move |connection| {
        let (tell, streams) = (tell.clone(), streams.clone());
        async move {
            let mut open = Vec::new();
            for control in streams {
                let mut stream = connection.open_uni().await.unwrap();
                stream.write_all(control).await.unwrap();
                open.push(stream);
            }
            tell.send(connection.closed().await).unwrap();
        }
    });
    let (_front, client) = hostile.client().await;
    let asking = tokio::spawn(async move { failure(client.get("/").await).await });
    let closed = tokio::time::timeout(Duration::from_secs(20), told.recv()).await.expect("it is still open");
    let quinn::ConnectionError::ApplicationClosed(close) = closed.unwrap() else { panic!("lost") };
    assert_eq!(close.error_code, VarInt::from_u32(code));
    assert!(matches!(asking.await.unwrap().0.as_str(), "Protocol" | "Connect"));
}

#[tokio::test]
async fn a_goodbye_refuses_what_comes_behind_it_and_leaves_the_rest() {
    let (go, going) = watch::channel(false);
    let (tell, mut told) = mpsc::unbounded_channel();
    let hostile = Hostile::raw(move |connection| {
        let (mut going, tell) = (going.clone(), tell.clone());
        async move {
            let mut control = connection.open_uni().await.unwrap();
            control.write_all(b"\x00\x04\x00").await.unwrap();
            let mut held = Vec::new();
            for _ in 0..2 {
                held.push(connection.accept_bi().await.unwrap());
                tell.send(()).unwrap();
            }
            control.write_all(b"\x07\x01\x04").await.unwrap();
            going.wait_for(|go| *go).await.unwrap();
            held[0].0.write_all(b"\x01\x03\x00\x00\xd9\x00\x05hello").await.unwrap();
            held[0].0.finish().unwrap();
            connection.closed().await;
        }
    });
    let (_front, client) = hostile.client().await;
    let asked = |client: Client| tokio::spawn(async move { client.get("/").await });
    let first = asked(client.clone());
    told.recv().await.unwrap();
    let refused = failure(client.get("/").await).await;
    assert_eq!(refused, ("Protocol".to_owned(), "upstream refused the stream".to_owned()));
    go.send(true).unwrap();
    assert_eq!(text(first.await.unwrap()).await, "hello");
}

#[tokio::test]
async fn an_answer_that_breaks_off_with_its_head_leaves_the_connection_no_further_request() {
    let hostile = answering(b"\x01\x03\x00\x00\xd9\x02\x00");
    let (_front, client) = hostile.client().await;
    for connections in 1..=2 {
        if let Ok(response) = client.try_send(Request::get("/").body(empty()).unwrap()).await {
            assert!(response.into_body().collect().await.is_err());
        }
        assert_eq!(hostile.connections.load(Ordering::SeqCst), connections);
    }
}

#[tokio::test]
async fn a_connection_that_gets_no_further_request_is_closed_after_the_last_answer() {
    let (go, going) = watch::channel(false);
    let (tell, mut told) = mpsc::unbounded_channel();
    let hostile = Hostile::raw(move |connection| {
        let (mut going, tell) = (going.clone(), tell.clone());
        async move {
            let mut control = connection.open_uni().await.unwrap();
            control.write_all(b"\x00\x04\x00").await.unwrap();
            let (mut sending, receiving) = connection.accept_bi().await.unwrap();
            sending.write_all(b"\x01\x03\x00\x00\xd9\x00\x02he").await.unwrap();
            // No request behind this one.
            control.write_all(b"\x07\x01\x04").await.unwrap();
            going.wait_for(|go| *go).await.unwrap();
            sending.write_all(b"\x00\x03llo").await.unwrap();
            sending.finish().unwrap();
            tell.send(connection.closed().await).unwrap();
            drop(receiving);
        }
    });
    let (_front, client) = hostile.client().await;
    let answer = client.get("/").await;
    go.send(true).unwrap();
    assert_eq!(text(answer).await, "hello");
    let closed = tokio::time::timeout(Duration::from_secs(20), told.recv()).await.expect("it is still open");
    let quinn::ConnectionError::ApplicationClosed(close) = closed.unwrap() else { panic!("lost") };
    assert_eq!(close.error_code, VarInt::from_u32(0x100));
}

#[tokio::test]
async fn connections_of_a_peer_that_takes_no_second_request_do_not_pile_up() {
    let open = watch::Sender::new(0);
    let counted = open.clone();
    let hostile = Hostile::allowing(1, move |connection| {
        let open = counted.clone();
        async move {
            open.send_modify(|open| *open += 1);
            let (mut sending, receiving) = connection.accept_bi().await.unwrap();
            sending.write_all(b"\x01\x03\x00\x00\xd9\x00\x02ok").await.unwrap();
            sending.finish().unwrap();
            connection.closed().await;
            // What is never read to its end stays, and gives no room for another.
            drop(receiving);
            open.send_modify(|open| *open -= 1);
        }
    });
    let (_front, client) = hostile.client().await;
    for _ in 0..5 {
        assert_eq!(text(client.get("/").await).await, "ok");
    }
    assert_eq!(hostile.connections.load(Ordering::SeqCst), 5);
    let few = async { open.subscribe().wait_for(|open| *open <= 1).await.map(|open| *open) };
    tokio::time::timeout(Duration::from_secs(20), few).await.expect("they are still open").unwrap();
}
