//! Clients that leave, and clients that have only said all they have to say.

use super::*;

const SLOW: &[(&str, &str)] = &[("/hang", "")];

/// An upstream that answers when it is told to.
async fn patient() -> (SocketAddr, tokio::task::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        stream
    });
    (address, asked)
}

#[tokio::test]
async fn who_closes_one_direction_is_answered() {
    for wait in [Duration::ZERO, Duration::from_millis(150)] {
        let (address, asked) = patient().await;
        let proxy = proxy(address);
        let mut stream = connect(&proxy).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut app = asked.await.unwrap();
        tokio::time::sleep(wait).await;
        app.write_all(OK.as_bytes()).await.unwrap();
        let answers = read_all(&mut stream).await;
        assert!(answers.ends_with("\r\n\r\nok") && statuses(&answers).last() == Some(&"200"), "{answers}");
        assert!(statuses(&answers).len() <= 2, "{answers}");
    }
}

#[tokio::test]
async fn who_closes_one_direction_gets_all_of_a_slow_answer() {
    let (address, asked) = patient().await;
    let proxy = proxy(address);
    let mut stream = connect(&proxy).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
    let mut app = asked.await.unwrap();
    app.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n").await.unwrap();
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.unwrap();
    stream.shutdown().await.unwrap();
    // Long enough for the proxy to look whether anybody is there.
    tokio::time::sleep(Duration::from_millis(150)).await;
    app.write_all(b"3\r\nllo\r\n0\r\n\r\n").await.unwrap();
    let answer = read_all(&mut stream).await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    // A size may have a zero before it.
    assert_eq!(body.replace("\r\n03\r\n", "\r\n3\r\n"), "2\r\nhe\r\n3\r\nllo\r\n0", "{answer}");
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn who_leaves_takes_the_request_along() {
    let (address, mut told) = upstream(SLOW).await;
    let mut app = route("a.test", address);
    app.timeouts = crate::Timeouts { response_headers: None, idle: None, ..app.timeouts };
    let proxy = Setup::cleartext().route(app, "true").start();
    for request in [
        "GET /hang HTTP/1.1\r\nhost: a.test\r\n\r\n",
        "GET /hang HTTP/1.1\r\nhost: a.test\r\n\r\nGET /next HTTP/1.1\r\nhost: a.test\r\n\r\n",
        "POST /hang HTTP/1.1\r\nhost: a.test\r\ncontent-length: 100\r\n\r\nhalf",
        "POST /hang HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut stream = connect(&proxy).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(matches!(timeout(LONG, told.recv()).await.unwrap(), Some(Seen::Head(_))));
        let left = tokio::time::Instant::now();
        drop(stream);
        assert_eq!(timeout(LONG, told.recv()).await.unwrap(), Some(Seen::Closed), "{request}");
        // 100 ms on a machine that has nothing else to do.
        assert!(left.elapsed() < Duration::from_secs(2), "{request}: {:?}", left.elapsed());
    }
    let records = proxy.stop().await;
    assert!(records.iter().all(|record| record["path"] == "/hang"), "{records:?}");
}

#[tokio::test]
async fn a_thousand_clients_that_leave_in_the_middle_leave_nothing() {
    let (address, mut told) = upstream(&[]).await;
    let mut app = route("a.test", address);
    app.authenticate = crate::Authentication::Required;
    let proxy = Setup::cleartext().sign_in("http://sign-in.test").route(app, "user.authenticated").start();
    for number in 0..1000 {
        let mut stream = connect(&proxy).await;
        let text = match number % 4 {
            0 => "GET / HTTP/1.1\r\nhost: a.te",
            1 => "GET / HTTP/1.1\r\nhost: a.test\r\naccept: text/html\r\n\r\n",
            2 => "POST / HTTP/1.1\r\nhost: a.test\r\ncookie: portcullis=AAAA\r\ncontent-length: 10\r\n\r\nhalf",
            _ => "GET /.portcullis/callback?code=a&state=b HTTP/1.1\r\nhost: sign-in.test\r\n\r\n",
        };
        stream.write_all(text.as_bytes()).await.unwrap();
        if number % 8 < 4 {
            // It is closed by a reset.
            stream.set_zero_linger().unwrap();
        }
    }
    let none = "portcullis_connections_open{listener=\"test\"} 0\n";
    let left = async {
        while !proxy.metrics().contains(none) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, left).await.unwrap();
    assert_eq!(proxy.get("a.test", "/", "").await.status, 401);
    assert!(told.try_recv().is_err());
    let records = proxy.stop().await;
    assert!(
        records.iter().all(|record| record["decision"] != "allow" || record["reason"] == "own-endpoint"),
        "{records:?}"
    );
}

#[tokio::test]
async fn an_event_stream_ends_with_its_reader() {
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
    let (address, mut told) = upstream(Box::leak(Box::new([("/", &*begun.to_owned().leak())]))).await;
    let proxy = proxy(address);
    let mut stream = connect(&proxy).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 12]).await.unwrap();
    assert!(matches!(told.recv().await, Some(Seen::Head(_))));
    drop(stream);
    assert_eq!(timeout(LONG, told.recv()).await.unwrap(), Some(Seen::Closed));
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = proxy(listener.local_addr().unwrap());
    tokio::spawn(async move {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbroken",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nbroken\r\n",
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    for _ in 0..2 {
        let mut stream = connect(&proxy).await;
        let twice = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n".repeat(2);
        stream.write_all(twice.as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert_eq!(statuses(&answer), ["200"], "{answer}");
        assert!(answer.contains("broken") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    }
}
