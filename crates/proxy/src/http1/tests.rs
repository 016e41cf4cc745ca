//! Connections as clients make them, byte by byte, against a whole proxy.

mod early;
mod ends;
mod interim;
mod refused;
mod semantics;
mod sequence;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::test_support::{Proxy, Setup, route};

/// What an upstream was sent.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Head(String),
    /// The proxy closed the connection.
    Closed,
}

/// Starts an upstream that writes `answer` to every head with such a path, and says what it sees.
async fn upstream(answers: &'static [(&'static str, &'static str)]) -> (SocketAddr, UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                while let Some(head) = read_head(&mut stream).await {
                    let path = head.split(' ').nth(1).unwrap_or_default();
                    let answer = answers.iter().find(|(of, _)| *of == path).map_or("", |(_, answer)| answer);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    let _ = tell.send(Seen::Head(head));
                }
                let _ = tell.send(Seen::Closed);
            });
        }
    });
    (address, told)
}

async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Starts a proxy of one route, `a.test`.
fn proxy(upstream: SocketAddr) -> Proxy {
    Setup::cleartext().route(route("a.test", upstream), "true").start()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address).await.unwrap()
}

/// Reads until the other side closes. A connection that is cut has ended as well.
async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut read = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut read)).await.unwrap();
    String::from_utf8(read).unwrap()
}

/// Returns the statuses of several answers.
fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect()
}

const LONG: Duration = Duration::from_secs(20);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
