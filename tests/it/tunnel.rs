//! Tunnels: CONNECT over HTTP/1.1 and HTTP/2, decided as any request, and bytes both ways behind it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use integration::{Folder, Proxy, Result as Outcome, Setup, Upstream, connect, http2, raw, status};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio_rustls::client::TlsStream;

use crate::Result;

/// A service that sends back every byte, and what it was sent.
struct Echo {
    to: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Echo {
    async fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let to = format!("tcp://{}", listener.local_addr()?);
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = Arc::clone(&all);
                tokio::spawn(async move {
                    let mut room = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut room).await {
                        heard.lock().unwrap().extend_from_slice(&room[..read]);
                        stream.write_all(&room[..read]).await?;
                    }
                    stream.shutdown().await
                });
            }
        });
        Ok(Self { to, heard })
    }

    fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

/// A port of loopback where nobody listens.
async fn nobody() -> Outcome<String> {
    Ok(format!("tcp://{}", TcpListener::bind("127.0.0.1:0").await?.local_addr()?))
}

fn tunnel(host: &str, more: &Value) -> Value {
    let mut route = json!({ "name": host, "from": format!("tcp+https://{host}.localhost:22") });
    integration::merge(&mut route, more);
    route
}

fn open_to_all() -> Value {
    json!({ "authenticate": "none", "allow": "true" })
}

async fn started(host: &str, to: &str, more: &Value) -> Outcome<Proxy> {
    Setup::default().route(host, to, &tunnel(host, more)).start().await
}

/// Signs in on the host of a tunnel; returns the cookie.
async fn cookie(proxy: &Proxy, user: &str, host: &str) -> Outcome<String> {
    let mut browser = proxy.browser();
    let page = format!("https://{host}.localhost/.portcullis/");
    let sign_in = format!("https://{host}.localhost/.portcullis/sign_in?return_to=%2F.portcullis%2F");
    let answer = browser.open(&sign_in, user).await?;
    assert_eq!((answer.url.as_str(), answer.status.as_u16()), (page.as_str(), 200), "{}", answer.text());
    let session = browser.cookies(&format!("{host}.localhost")).remove("__Host-portcullis").ok_or("no session")?;
    Ok(format!("__Host-portcullis={session}"))
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Outcome<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(Duration::from_secs(30), stream.read_u8()).await??);
    }
    Ok(String::from_utf8(head)?)
}

/// Asks for a tunnel over HTTP/1.1, with these further header lines; returns the head of the answer.
async fn ask(proxy: &Proxy, host: &str, more: &str) -> Outcome<(TlsStream<TcpStream>, String)> {
    let host = format!("{host}.localhost");
    let mut stream = connect(proxy, &host, &["http/1.1"]).await?;
    stream.write_all(format!("CONNECT {host}:22 HTTP/1.1\r\nHost: {host}:22\r\n{more}\r\n").as_bytes()).await?;
    let head = head(&mut stream).await?;
    Ok((stream, head))
}

async fn opened(proxy: &Proxy, host: &str, more: &str) -> Outcome<TlsStream<TcpStream>> {
    let (stream, head) = ask(proxy, host, more).await?;
    assert_eq!(status(&head), 200, "{head}");
    Ok(stream)
}

async fn echoes(stream: &mut TlsStream<TcpStream>) -> Outcome<bool> {
    stream.write_all(b"x").await?;
    Ok(tokio::time::timeout(Duration::from_secs(30), stream.read_u8()).await?? == b'x')
}

/// Reads what is left; a tunnel that is never closed fails the test.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Outcome<Vec<u8>> {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await?;
    Ok(rest)
}

struct Stream {
    response: Response<RecvStream>,
    send: SendStream<Bytes>,
}

/// Asks for a tunnel over HTTP/2, and says something at once where there is something.
async fn ask_http2(proxy: &Proxy, host: &str, cookie: Option<&str>, early: &'static [u8]) -> Outcome<Stream> {
    let mut requests = http2(proxy, &format!("{host}.localhost")).await?;
    let mut request = Request::builder().method(Method::CONNECT).uri(format!("{host}.localhost:22"));
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let (response, mut send) = requests.send_request(request.body(())?, false)?;
    if !early.is_empty() {
        send.send_data(Bytes::from_static(early), false)?;
    }
    Ok(Stream { response: tokio::time::timeout(Duration::from_secs(30), response).await??, send })
}

impl Stream {
    async fn echoes(&mut self, said: &'static [u8]) -> Outcome<bool> {
        self.send.send_data(Bytes::from_static(said), false)?;
        let mut back = Vec::new();
        while back.len() < said.len() {
            back.extend_from_slice(&self.next().await?.ok_or("it ended")?);
        }
        Ok(back == said)
    }

    /// Returns what comes next; an end may come in a frame of its own.
    async fn next(&mut self) -> Outcome<Option<Bytes>> {
        let body = self.response.body_mut();
        loop {
            match tokio::time::timeout(Duration::from_secs(30), body.data()).await?.transpose()? {
                Some(empty) if empty.is_empty() => {}
                other => return Ok(other),
            }
        }
    }
}

fn of_kind<'r>(records: &'r [Value], kind: &str) -> Vec<&'r Value> {
    records.iter().filter(|record| record["kind"] == kind && record["path"] == "").collect()
}

/// The outcome of the one tunnel.
fn outcome(records: &[Value]) -> &Value {
    records.iter().rfind(|record| record["upstream"]["protocol"] == "tcp").expect("there is a tunnel")
}

#[tokio::test]
async fn a_tunnel_is_decided_carried_and_recorded() -> Result {
    let echo = Echo::start().await?;
    let allow = "'engineering' in user.groups && request.method == 'CONNECT' && request.path == '' && \
                 request.host == 'ssh.localhost' && request.scheme == 'https'";
    let proxy = started("ssh", &echo.to, &json!({ "allow": allow })).await?;
    let cookie = cookie(&proxy, "ada", "ssh").await?;
    let (mut stream, head) = ask(&proxy, "ssh", &format!("Cookie: {cookie}\r\n")).await?;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nx-request-id: "), "{head}");
    for absent in ["content-length", "transfer-encoding", "connection", "set-cookie"] {
        assert!(!head.contains(absent), "{head}");
    }
    assert!(echoes(&mut stream).await?);
    stream.shutdown().await?;
    assert_eq!(rest(&mut stream).await?, b"");

    let mut stream = ask_http2(&proxy, "ssh", Some(&cookie), b"").await?;
    assert_eq!(stream.response.status(), 200);
    assert!(stream.response.headers().contains_key("x-request-id"));
    assert!(!stream.response.headers().contains_key("content-length"));
    assert!(stream.echoes(b"there and back").await?);
    stream.send.send_data(Bytes::new(), true)?;
    assert_eq!(stream.next().await?, None);

    let records = proxy.stop().await?;
    let records: Vec<_> = records.iter().filter(|record| record["method"] == "CONNECT").collect();
    for (record, (protocol, bytes)) in records.iter().zip([("http/1.1", 1), ("h2", 14)]) {
        assert_eq!((&record["protocol"], &record["status"]), (&json!(protocol), &json!(200)), "{record}");
        assert_eq!((&record["host"], &record["path"]), (&json!("ssh.localhost:22"), &json!("")));
        assert_eq!((&record["route"], &record["reason"]), (&json!("ssh"), &json!("allow-rule-matched")));
        assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&json!(bytes), &json!(bytes)));
        assert_eq!(record["user"]["email"], "ada@example.com");
        let upstream =
            json!({ "endpoint": echo.to, "protocol": "tcp", "protocol_reason": "configured", "attempts": 1 });
        assert_eq!((&record["upstream"], &record["error"]), (&upstream, &Value::Null));
    }
    assert_eq!(records.len(), 2);
    Ok(())
}

#[tokio::test]
async fn what_follows_a_refused_connect_is_never_a_request() -> Result {
    let (echo, web) = (Echo::start().await?, Upstream::hello().await?);
    let gone = nobody().await?;
    let proxy = Setup::default()
        .route("members", &echo.to, &tunnel("members", &json!({ "allow": "user.authenticated" })))
        .route("closed", &echo.to, &tunnel("closed", &json!({ "authenticate": "none", "allow": "false" })))
        .route("gone", &gone, &tunnel("gone", &open_to_all()))
        .route("web", &web.url(), &open_to_all())
        .start()
        .await?;
    for (host, port, expected, error) in [
        ("members", 22, 401, "unauthenticated"),
        ("closed", 22, 403, "forbidden"),
        ("gone", 22, 502, "upstream_connect_error"),
        ("gone", 23, 405, "method_not_allowed"),
        ("web", 22, 405, "method_not_allowed"),
        ("web", 443, 405, "method_not_allowed"),
    ] {
        // In the same flight, a request that the host would answer; a page's own headers change nothing.
        let host = format!("{host}.localhost");
        let asked = format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\n\
             Content-Type: application/grpc\r\n\r\n"
        );
        let mut stream = connect(&proxy, &host, &["http/1.1"]).await?;
        stream.write_all(asked.as_bytes()).await?;
        let head = head(&mut stream).await?;
        let _ = stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
        let rest = String::from_utf8(rest(&mut stream).await?)?;
        assert_eq!(status(&head), expected, "{host}: {head}{rest}");
        assert!(head.contains("connection: close\r\n"), "{host}: {head}");
        let told: Value = serde_json::from_str(&rest)?;
        assert_eq!(told["error"], error, "{host}");
        assert!(told["request_id"].is_string() && head.contains(told["request_id"].as_str().unwrap()), "{host}");
        assert_eq!(told["sign_in"].is_string(), expected == 401);
    }
    assert!(web.seen().is_empty() && echo.heard().is_empty());
    let records = proxy.stop().await?;
    assert!(records.iter().all(|record| record["method"] != "GET"), "{records:#?}");
    let of_gone =
        of_kind(&records, "request").into_iter().find(|record| record["host"] == "gone.localhost:22").unwrap();
    assert_eq!(of_gone["decision"], "allow");
    Ok(())
}

#[tokio::test]
async fn refusals_over_http2_say_the_same() -> Result {
    let echo = Echo::start().await?;
    let gone = nobody().await?;
    let proxy = Setup::default()
        .route("members", &echo.to, &tunnel("members", &json!({ "allow": "user.authenticated" })))
        .route("closed", &echo.to, &tunnel("closed", &json!({ "authenticate": "none", "allow": "false" })))
        .route("gone", &gone, &tunnel("gone", &open_to_all()))
        .start()
        .await?;
    for (host, expected, error) in
        [("members", 401, "unauthenticated"), ("closed", 403, "forbidden"), ("gone", 502, "upstream_connect_error")]
    {
        let mut stream = ask_http2(&proxy, host, None, b"").await?;
        assert_eq!(stream.response.status(), expected, "{host}");
        let mut body = Vec::new();
        while let Ok(Some(part)) = stream.next().await {
            body.extend_from_slice(&part);
        }
        assert_eq!(serde_json::from_slice::<Value>(&body)?["error"], error, "{host}");
    }
    assert!(echo.heard().is_empty());
    drop(proxy.stop().await?);
    Ok(())
}

#[tokio::test]
async fn an_authority_has_one_reading_or_none() -> Result {
    let echo = Echo::start().await?;
    let web = Upstream::hello().await?;
    let proxy = Setup::default()
        .route("ssh", &echo.to, &tunnel("ssh", &open_to_all()))
        .route("web", &web.url(), &open_to_all())
        .start()
        .await?;
    for (line, host, expected, reason) in [
        ("ssh.localhost:22", "ssh.localhost:22", 200, ""),
        ("SSH.localhost.:22", "ssh.localhost:22", 200, ""),
        ("ssh.localhost:022", "ssh.localhost:22", 200, ""),
        ("ssh.localhost", "ssh.localhost", 400, "connect-target-invalid"),
        ("ssh.localhost:", "ssh.localhost:", 400, "host-invalid"),
        ("ssh.localhost:0", "ssh.localhost:0", 400, "host-invalid"),
        ("ssh.localhost:65558", "ssh.localhost:65558", 400, ""),
        ("ssh.localhost:+22", "ssh.localhost:+22", 400, ""),
        ("ssh.localhost..:22", "ssh.localhost..:22", 400, "host-invalid"),
        ("ada@ssh.localhost:22", "ssh.localhost:22", 400, "host-invalid"),
        ("web.localhost:443@ssh.localhost:22", "ssh.localhost:22", 400, ""),
        ("https://ssh.localhost:22", "ssh.localhost:22", 400, "connect-target-invalid"),
        ("https://ssh.localhost:22/", "ssh.localhost:22", 400, "connect-target-invalid"),
        ("ssh.localhost:22/", "ssh.localhost:22", 400, ""),
        ("/", "ssh.localhost:22", 400, "connect-target-invalid"),
        ("*", "ssh.localhost:22", 400, "connect-target-invalid"),
        ("ssh.localhost:22", "ssh.localhost", 400, "host-mismatch"),
        ("ssh.localhost:22", "ssh.localhost:23", 400, "host-mismatch"),
        ("ssh.localhost:22", "web.localhost:22", 400, "host-mismatch"),
        ("ssh.localhost:22", "web.localhost:22\r\nHost: ssh.localhost:22", 400, "host-repeated"),
        ("ssh.localhost:23", "ssh.localhost:23", 405, "method-not-allowed"),
        ("[::1]:22", "[::1]:22", 405, "method-not-allowed"),
        ("169.254.169.254:80", "169.254.169.254:80", 405, "method-not-allowed"),
    ] {
        let mut stream = connect(&proxy, "ssh.localhost", &["http/1.1"]).await?;
        stream.write_all(format!("CONNECT {line} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
        let head = head(&mut stream).await?;
        assert_eq!(status(&head), expected, "{line} {host}: {head}");
        if expected == 400 && !reason.is_empty() {
            let told = String::from_utf8(rest(&mut stream).await?)?;
            assert!(told.contains(&format!("\"{reason}\"")), "{line} {host}: {told}");
        }
    }
    let without = raw(&proxy, "ssh.localhost", b"CONNECT ssh.localhost:22 HTTP/1.1\r\n\r\n").await?;
    assert!(without.contains("\"host-missing\""), "{without}");
    // HTTP/1.0 has no `Host`, and those who speak it open tunnels.
    let mut old = connect(&proxy, "ssh.localhost", &[]).await?;
    old.write_all(b"CONNECT ssh.localhost:22 HTTP/1.0\r\n\r\n").await?;
    assert_eq!(status(&head(&mut old).await?), 200);
    assert!(echoes(&mut old).await?);
    drop(old);
    drop(proxy.stop().await?);
    assert!(web.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_said_before_the_answer_is_never_carried() -> Result {
    let echo = Echo::start().await?;
    let proxy = started("ssh", &echo.to, &open_to_all()).await?;
    let line = "CONNECT ssh.localhost:22 HTTP/1.1\r\nHost: ssh.localhost:22\r\n";
    for asked in [
        format!("{line}\r\nSSH-2.0-early\r\n"),
        format!("{line}\r\nGET / HTTP/1.1\r\nHost: ssh.localhost\r\n\r\n"),
        format!("{line}Content-Length: 5\r\n\r\nearly"),
        format!("{line}Content-Length: 5\r\n\r\n"),
        format!("{line}Transfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n"),
    ] {
        let answer = raw(&proxy, "ssh.localhost", asked.as_bytes()).await?;
        assert_eq!(status(&answer), 400, "{asked}: {answer}");
        assert!(answer.contains("\"connect-with-content\"") && answer.matches("HTTP/1.1 ").count() == 1, "{answer}");
    }
    let mut none = connect(&proxy, "ssh.localhost", &["http/1.1"]).await?;
    none.write_all(format!("{line}Content-Length: 0\r\n\r\n").as_bytes()).await?;
    assert_eq!(status(&head(&mut none).await?), 200);
    drop(none);

    // Frames of a stream are no request to anybody; nor are they carried.
    let mut stream = ask_http2(&proxy, "ssh", None, b"SSH-2.0-early\r\n").await?;
    assert_eq!(stream.response.status(), 400);
    let told: Value = serde_json::from_slice(&stream.next().await?.ok_or("nothing is said")?)?;
    assert_eq!(told["error"], "connect-with-content");
    assert_eq!(String::from_utf8(echo.heard())?, "");
    let records = proxy.stop().await?;
    let reasons = of_kind(&records, "request").into_iter().filter(|record| record["reason"] == "connect-with-content");
    assert_eq!(reasons.count(), 6, "{records:#?}");
    Ok(())
}

/// A name server that has one address for every name, and tells it when it is let.
async fn name_server() -> Outcome<(String, oneshot::Receiver<()>, oneshot::Sender<()>)> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?.to_string();
    let (asked, was_asked) = oneshot::channel();
    let (answer, may_answer) = oneshot::channel();
    tokio::spawn(async move {
        let mut room = [0; 512];
        let (mut asked, mut may_answer) = (Some(asked), Some(may_answer));
        while let Ok((length, from)) = socket.recv_from(&mut room).await {
            asked.take().into_iter().for_each(|asked| asked.send(()).unwrap_or_default());
            if let Some(may_answer) = may_answer.take() {
                let _ = may_answer.await;
            }
            // RFC 1035 §4.1: the question again, and 127.0.0.1 where an address of IPv4 is asked for.
            let end = 12 + room[12..length].iter().position(|byte| *byte == 0).unwrap_or_default() + 5;
            let is_a = room[end - 4..end - 2] == [0, 1];
            let mut reply = room[..end].to_vec();
            reply[2..4].copy_from_slice(&[0x81, 0x80]);
            reply[4..12].copy_from_slice(&[0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&reply, from).await;
        }
    });
    Ok((address, was_asked, answer))
}

#[tokio::test]
async fn what_is_said_while_an_endpoint_is_looked_up_is_never_carried() -> Result {
    let echo = Echo::start().await?;
    let (resolver, asked, answer) = name_server().await?;
    let port = echo.to.rsplit(':').next().unwrap();
    let mut more = open_to_all();
    more["dns"] = json!({ "resolver": resolver });
    more["timeout"] = json!({ "connect": "30s" });
    let proxy = started("ssh", &format!("tcp://ssh.internal.test:{port}"), &more).await?;
    let mut stream = connect(&proxy, "ssh.localhost", &["http/1.1"]).await?;
    // What is said ahead would else wait for the acknowledgement of what was said before, which comes with the answer.
    stream.get_ref().0.set_nodelay(true)?;
    stream.write_all(b"CONNECT ssh.localhost:22 HTTP/1.1\r\nHost: ssh.localhost:22\r\n\r\n").await?;
    asked.await?;
    stream.write_all(b"SSH-2.0-early\r\n").await?;
    let _ = answer.send(());
    let answer = String::from_utf8(rest(&mut stream).await?)?;
    assert_eq!(status(&answer), 400, "{answer}");
    assert!(answer.contains("\"connect-with-content\""), "{answer}");
    assert!(echoes(&mut opened(&proxy, "ssh", "").await?).await?);
    assert_eq!(echo.heard(), b"x");
    drop(proxy.stop().await?);
    Ok(())
}

#[tokio::test]
async fn tunnels_over_http2_that_wait_for_their_answer_are_never_taken_for_hasty() -> Result {
    let echo = Echo::start().await?;
    let proxy = started("ssh", &echo.to, &open_to_all()).await?;
    for _ in 0..100 {
        let mut stream = ask_http2(&proxy, "ssh", None, b"").await?;
        assert!(stream.echoes(b"at once").await?);
    }
    drop(proxy.stop().await?);
    Ok(())
}

#[tokio::test]
async fn each_direction_ends_by_itself() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let to = format!("tcp://{}", listener.local_addr()?);
    let proxy = started("ssh", &to, &open_to_all()).await?;
    // The client has said all; the answer comes afterwards.
    let mut stream = opened(&proxy, "ssh", "").await?;
    let (mut service, _) = listener.accept().await?;
    stream.write_all(b"question").await?;
    stream.shutdown().await?;
    assert_eq!(rest(&mut service).await?, b"question");
    service.write_all(b"answer").await?;
    drop(service);
    assert_eq!(rest(&mut stream).await?, b"answer");

    // The service has said all, and goes on listening.
    let mut stream = opened(&proxy, "ssh", "").await?;
    let (mut service, _) = listener.accept().await?;
    service.write_all(b"greeting").await?;
    service.shutdown().await?;
    assert_eq!(rest(&mut stream).await?, b"greeting");
    stream.write_all(b"reply").await?;
    stream.shutdown().await?;
    assert_eq!(rest(&mut service).await?, b"reply");

    let mut stream = ask_http2(&proxy, "ssh", None, b"").await?;
    let (mut service, _) = listener.accept().await?;
    stream.send.send_data(Bytes::from_static(b"question"), true)?;
    assert_eq!(rest(&mut service).await?, b"question");
    service.write_all(b"answer").await?;
    drop(service);
    assert_eq!(stream.next().await?.as_deref(), Some(&b"answer"[..]));
    assert_eq!(stream.next().await?, None);
    let records = proxy.stop().await?;
    assert!(records.iter().all(|record| record["error"].is_null()), "{records:#?}");
    Ok(())
}

#[tokio::test]
async fn a_reload_and_a_revocation_close_what_is_no_longer_allowed() -> Result {
    let echo = Echo::start().await?;
    let proxy = Setup::default()
        .route("ssh", &echo.to, &tunnel("ssh", &json!({ "allow": "user.authenticated" })))
        .route("db", &echo.to, &tunnel("db", &open_to_all()))
        .route("kept", &echo.to, &tunnel("kept", &open_to_all()))
        .start()
        .await?;
    let cookie = cookie(&proxy, "ada", "ssh").await?;
    let mut ssh = opened(&proxy, "ssh", &format!("Cookie: {cookie}\r\n")).await?;
    let mut ssh2 = ask_http2(&proxy, "ssh", Some(&cookie), b"").await?;
    let (mut db, mut kept) = (opened(&proxy, "db", "").await?, opened(&proxy, "kept", "").await?);
    assert!(echoes(&mut ssh).await? && ssh2.echoes(b"x").await?);
    assert!(echoes(&mut db).await? && echoes(&mut kept).await?);

    // Another port is another route.
    let moved = json!("tcp+https://db.localhost:2222");
    assert_eq!(status(&proxy.reload(|file| file["routes"][1]["from"] = moved).await?), 200);
    assert_eq!(rest(&mut db).await?, b"");
    let revoked = tokio::time::Instant::now();
    let answer = proxy.admin_send("DELETE", "/sessions?user=ada@example.com").await?;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(rest(&mut ssh).await?, b"");
    assert!(revoked.elapsed() < Duration::from_secs(5), "{:?}", revoked.elapsed());
    while let Ok(Some(_)) = ssh2.next().await {}
    assert!(echoes(&mut kept).await?);
    drop(kept);
    let (_, head) = ask(&proxy, "ssh", &format!("Cookie: {cookie}\r\n")).await?;
    assert_eq!(status(&head), 401);

    let records = proxy.stop().await?;
    let noted: Vec<_> = records
        .iter()
        .filter(|record| record["kind"] == "stream_closed")
        .map(|record| (record["route"].as_str().unwrap(), record["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(noted, [("db", "no-route"), ("ssh", "session-ended"), ("ssh", "session-ended")]);
    let closed = records.iter().filter(|record| record["error"] == "closed: session-ended").count();
    assert_eq!(closed, 2, "{records:#?}");
    Ok(())
}

#[tokio::test]
async fn a_tunnel_lasts_until_the_time_to_drain_has_passed() -> Result {
    let echo = Echo::start().await?;
    let mut proxy = started("ssh", &echo.to, &open_to_all()).await?;
    let mut stream = opened(&proxy, "ssh", "").await?;
    proxy.drain();
    while status(&proxy.admin_get("localhost", "/readyz").await?) != 503 {}
    assert!(echoes(&mut stream).await?);
    assert_eq!(rest(&mut stream).await?, b"");
    let records = proxy.stop().await?;
    assert_eq!(outcome(&records)["error"], "closed when the drain timeout had passed");
    Ok(())
}

#[tokio::test]
async fn a_tunnel_rests_unless_its_route_says_for_how_long() -> Result {
    let echo = Echo::start().await?;
    let mut limited = open_to_all();
    limited["timeout"] = json!({ "idle": "300ms" });
    let proxy = Setup::default()
        .route("limited", &echo.to, &tunnel("limited", &limited))
        .route("ssh", &echo.to, &tunnel("ssh", &open_to_all()))
        // What is said of requests does not cut tunnels.
        .section(&json!({ "defaults": { "timeout": { "idle": "100ms" } } }))
        .start()
        .await?;
    let (mut limited, mut ssh) = (opened(&proxy, "limited", "").await?, opened(&proxy, "ssh", "").await?);
    for _ in 0..3 {
        assert!(echoes(&mut limited).await?);
    }
    assert_eq!(rest(&mut limited).await?, b"");
    assert!(echoes(&mut ssh).await?);
    drop(ssh);
    let records = proxy.stop().await?;
    let error = "no byte in either direction for 300ms";
    assert!(records.iter().any(|record| record["error"] == error && record["bytes_in"] == 3), "{records:#?}");
    Ok(())
}

#[tokio::test]
async fn other_requests_find_the_pages_of_the_host_and_a_hint() -> Result {
    let (echo, web) = (Echo::start().await?, Upstream::hello().await?);
    let proxy = Setup::default()
        .route("ssh", &echo.to, &tunnel("ssh", &json!({ "allow": "user.authenticated" })))
        .route("both", &web.url(), &open_to_all())
        .start()
        .await?;
    let mut browser = proxy.browser();
    let answer = browser.get("https://ssh.localhost/").await?;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("portcullis connect"), "{}", answer.text());
    assert_eq!(browser.get("https://ssh.localhost/.well-known/portcullis/jwks.json").await?.status, 200);
    assert_eq!(browser.get("https://both.localhost/").await?.status, 200);
    // Over HTTP/2 no other method opens a stream to the service, either.
    let refused = Request::builder().method("OPTIONS").uri("https://ssh.localhost/").body(())?;
    let answer = http2(&proxy, "ssh.localhost").await?.send_request(refused, true)?.0.await?;
    assert_eq!(answer.status(), 404);
    // What a browser is shown as apps has no tunnels: it could not open one.
    let cookie = cookie(&proxy, "ada", "ssh").await?;
    let page = raw(
        &proxy,
        "ssh.localhost",
        format!("GET /.portcullis/ HTTP/1.1\r\nHost: ssh.localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    )
    .await?;
    assert!(page.contains("https://both.localhost") && !page.contains("\"https://ssh.localhost\""), "{page}");
    drop(proxy.stop().await?);
    Ok(())
}

#[tokio::test]
async fn a_host_may_have_tunnels_and_pages_and_a_wildcard_stands_behind_it() -> Result {
    let (ssh, db, any) = (Echo::start().await?, Echo::start().await?, Echo::start().await?);
    let web = Upstream::hello().await?;
    let named = |name: &str, from: &str| {
        let mut route = open_to_all();
        integration::merge(&mut route, &json!({ "name": name, "from": from }));
        route
    };
    let proxy = Setup::default()
        .route("all", &ssh.to, &named("ssh", "tcp+https://all.localhost:22"))
        .route("all", &db.to, &named("db", "tcp+https://all.localhost:5432"))
        .route("any", &any.to, &named("any", "tcp+https://*.localhost:22"))
        .route("all", &web.url(), &named("web", "https://all.localhost"))
        .start()
        .await?;
    for (target, expected) in
        [("all.localhost:22", 200), ("all.localhost:5432", 200), ("any.localhost:22", 200), ("any.localhost:5432", 405)]
    {
        let host = target.split(':').next().unwrap();
        let mut stream = connect(&proxy, host, &["http/1.1"]).await?;
        stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await?;
        assert_eq!(status(&head(&mut stream).await?), expected, "{target}");
        if expected == 200 {
            assert!(echoes(&mut stream).await?);
        }
    }
    assert_eq!(proxy.browser().get("https://all.localhost/").await?.status, 200);
    assert_eq!([ssh.heard().len(), db.heard().len(), any.heard().len()], [1, 1, 1]);
    drop(proxy.stop().await?);
    Ok(())
}

#[tokio::test]
async fn those_that_are_open_are_counted_until_they_end() -> Result {
    let echo = Echo::start().await?;
    let proxy = started("ssh", &echo.to, &open_to_all()).await?;
    let (first, second) = (opened(&proxy, "ssh", "").await?, opened(&proxy, "ssh", "").await?);
    for (ends, left) in [(None, 2), (Some(first), 1), (Some(second), 0)] {
        drop(ends);
        proxy.counts(&format!("portcullis_tunnels_open{{route=\"ssh\",carries=\"tcp\"}} {left}")).await?;
    }
    let upstreams = proxy.admin_get("localhost", "/upstreams").await?;
    assert!(upstreams.contains("\"protocol\":\"tcp\""), "{upstreams}");
    drop(proxy.stop().await?);
    Ok(())
}

#[tokio::test]
async fn another_endpoint_takes_what_the_first_does_not() -> Result {
    let echo = Echo::start().await?;
    let dead = nobody().await?;
    let mut more = open_to_all();
    more["to"] = json!([{ "url": dead, "weight": 3 }, { "url": echo.to, "weight": 1 }]);
    more["outlier_detection"] = json!({ "consecutive_failures": 1 });
    let proxy = started("ssh", &echo.to, &more).await?;
    for _ in 0..4 {
        assert!(echoes(&mut opened(&proxy, "ssh", "").await?).await?);
    }
    let upstreams = proxy.admin_get("localhost", "/upstreams").await?;
    assert!(upstreams.contains("\"state\":\"ejected\""), "{upstreams}");
    drop(proxy.stop().await?);
    Ok(())
}

#[tokio::test]
async fn what_routes_ask_of_requests_they_ask_of_tunnels() -> Result {
    let echo = Echo::start().await?;
    let strong = json!({ "allow": "user.authenticated", "step_up": { "acr_values": ["phr"] } });
    let mut few = open_to_all();
    few["rate_limit"] = json!({ "requests": 1, "period": "1h", "by": "client_ip" });
    let watched = json!({ "authenticate": "none", "allow": "false", "mode": "shadow" });
    let guarded = json!({ "authenticate": "none", "allow": "true", "deny": "route.name == 'guarded'" });
    let proxy = Setup::default()
        .route("strong", &echo.to, &tunnel("strong", &strong))
        .route("few", &echo.to, &tunnel("few", &few))
        .route("watched", &echo.to, &tunnel("watched", &watched))
        .route("guarded", &echo.to, &tunnel("guarded", &guarded))
        .start()
        .await?;
    let cookie = cookie(&proxy, "ada", "strong").await?;
    let (mut stream, head) = ask(&proxy, "strong", &format!("Cookie: {cookie}\r\n")).await?;
    assert!(head.contains("error=\"insufficient_user_authentication\""), "{head}");
    let told: Value = serde_json::from_slice(&rest(&mut stream).await?)?;
    let sign_in = "https://strong.localhost/.portcullis/sign_in?return_to=/.portcullis/&acr_values=phr";
    assert_eq!((&told["error"], &told["sign_in"]), (&json!("insufficient_user_authentication"), &json!(sign_in)));

    let first = opened(&proxy, "few", "").await?;
    let (_, head) = ask(&proxy, "few", "").await?;
    assert!(head.starts_with("HTTP/1.1 429 ") && head.contains("retry-after: "), "{head}");
    drop(first);
    assert!(echoes(&mut opened(&proxy, "watched", "").await?).await?);
    assert_eq!(status(&ask(&proxy, "guarded", "").await?.1), 403);

    let records = proxy.stop().await?;
    let reasons: Vec<_> = of_kind(&records, "request")
        .into_iter()
        .filter(|record| record["method"] == "CONNECT")
        .map(|record| record["reason"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        reasons,
        ["step-up-required", "allow-rule-matched", "rate-limited", "shadow-mode", "deny-rule-matched"],
        "{records:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_another_certificate_serves_was_meant_for_another_connection() -> Result {
    let echo = Echo::start().await?;
    let other = Folder::new(&["other"])?;
    let certificates = json!([
        { "cert_file": "cert.pem", "key_file": "key.pem" },
        { "cert_file": "other.pem", "key_file": "other.key" },
    ]);
    let route = |name: &str, from: &str| json!({ "name": name, "from": from, "to": echo.to, "authenticate": "none", "allow": "true" });
    let proxy = Setup::default()
        .route("ssh", &echo.to, &tunnel("ssh", &open_to_all()))
        .file("other.pem", &std::fs::read_to_string(other.path("cert.pem"))?)
        .file("other.key", &std::fs::read_to_string(other.path("key.pem"))?)
        .section(&json!({
            "listeners": [{ "address": "127.0.0.1:0", "tls": { "certificates": certificates } }],
            "routes": [route("ssh", "tcp+https://ssh.localhost:22"), route("other", "tcp+https://other.localhost:22")],
        }))
        .start()
        .await?;
    let mut stream = connect(&proxy, "ssh.localhost", &["http/1.1"]).await?;
    stream.write_all(b"CONNECT other.localhost:22 HTTP/1.1\r\nHost: other.localhost:22\r\n\r\n").await?;
    assert_eq!(status(&head(&mut stream).await?), 421);
    assert!(echoes(&mut opened(&proxy, "ssh", "").await?).await?);
    drop(proxy.stop().await?);
    assert_eq!(echo.heard(), b"x");
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_tunnel_along() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let to = format!("tcp://{}", listener.local_addr()?);
    let proxy = started("ssh", &to, &open_to_all()).await?;
    let mut stream = opened(&proxy, "ssh", "").await?;
    let (mut service, _) = listener.accept().await?;
    stream.write_all(b"bye").await?;
    drop(stream);
    assert_eq!(rest(&mut service).await?, b"bye");
    let stream = ask_http2(&proxy, "ssh", None, b"").await?;
    let (mut service, _) = listener.accept().await?;
    // Its stream is reset.
    drop(stream);
    assert_eq!(rest(&mut service).await?, b"");
    let records = proxy.stop().await?;
    let tunnels: Vec<_> = records.iter().filter(|record| record["upstream"]["protocol"] == "tcp").collect();
    assert_eq!(tunnels.len(), 2, "{records:#?}");
    assert!(tunnels.iter().all(|tunnel| tunnel["error"].is_null()), "leaving is no failure: {records:#?}");
    Ok(())
}
