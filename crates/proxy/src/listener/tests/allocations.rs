//! How often memory is asked for on the way of one request. A number that rises is a cost that every request pays.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use allocation_counter::measure;
use tokio::runtime;
use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::connection::{self, Place};

/// An upstream that answers every head with a body of 1 KiB.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while read_head(&mut stream) {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n{}", "x".repeat(1024));
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return false;
        }
        head.push(byte[0]);
    }
    true
}

#[test]
fn a_forwarded_request_asks_for_memory_no_more_often_than_it_did() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let proxy = {
        let _entered = runtime.enter();
        Setup::cleartext().route(route("app.example.com", upstream()), "true").start()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, peer) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let (go, going) = mpsc::channel::<()>();
    let (done, mut finished) = unbounded_channel();
    thread::spawn(move || {
        while going.recv().is_ok() {
            for _ in 0..REQUESTS {
                let request = "GET /api/items/42?fields=name HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: test\r\n\
                               Accept: */*\r\nAccept-Language: en\r\nCookie: theme=dark\r\n\r\n";
                client.write_all(request.as_bytes()).unwrap();
                assert!(read_head(&mut client));
                client.read_exact(&mut [0; 1024]).unwrap();
            }
            done.send(()).unwrap();
        }
    });
    let serving = proxy.server.serving.clone();
    let entrance = Arc::clone(&proxy.server.doors().list[0].entrance.borrow());
    let open = entrance.places.try_take(1).unwrap();
    let (seat, _) = serving.desks.next().unwrap();
    let place = Place { _place: open, _open: entrance.metrics.open(), _seat: seat, of_client: None };
    // On this thread, which is the one that is counted.
    let _entered = runtime.enter();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    runtime.spawn(connection::serve(stream, peer, place, entrance, serving));
    go.send(()).unwrap();
    runtime.block_on(finished.recv()).unwrap();
    let counted = measure(|| {
        go.send(()).unwrap();
        runtime.block_on(finished.recv()).unwrap();
    });
    let each = counted.count_total / REQUESTS;
    assert!(each <= ALLOCATIONS, "{each} allocations for a request instead of {ALLOCATIONS}");
    assert!(each >= ALLOCATIONS, "only {each} allocations for a request: lower the bound of {ALLOCATIONS}");
}

const REQUESTS: u64 = 100;

/// As measured; a change that needs another number changes it here, and says why.
const ALLOCATIONS: u64 = 17;
