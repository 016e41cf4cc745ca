//! Endpoints by name, against a DNS server on loopback.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use tokio::net::UdpSocket;

use super::*;
use crate::config::upstream::{Dns, DnsMode};

/// A DNS server that answers every question with what the test says.
struct Server {
    address: SocketAddr,
    says: Arc<Mutex<Vec<IpAddr>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(says: &[IpAddr]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (says, asked) = (Arc::new(Mutex::new(says.to_vec())), Arc::<AtomicUsize>::default());
        let (told, counted) = (Arc::clone(&says), Arc::clone(&asked));
        tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                let answer = answer(&question[..length], &told.lock().unwrap());
                counted.fetch_add(1, Ordering::SeqCst);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { address, says, asked }
    }

    fn say(&self, says: &[IpAddr]) {
        *self.says.lock().unwrap() = says.to_vec();
    }

    /// Waits until the proxy has asked again, and has had the time to hear.
    async fn asked_again(&self) {
        let before = self.asked.load(Ordering::SeqCst);
        while self.asked.load(Ordering::SeqCst) < before + 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Answers a question of one name with a TTL of one second; without an address with SERVFAIL.
fn answer(question: &[u8], says: &[IpAddr]) -> Vec<u8> {
    let name = question[12..].iter().position(|byte| *byte == 0).unwrap() + 13;
    let kind = question[name + 1];
    let records: Vec<Vec<u8>> = says
        .iter()
        .filter_map(|ip| match ip {
            IpAddr::V4(ip) if kind == 1 => Some(ip.octets().to_vec()),
            IpAddr::V6(ip) if kind == 28 => Some(ip.octets().to_vec()),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
        .collect();
    let code = if says.is_empty() { 2 } else { 0 };
    let mut answer =
        vec![question[0], question[1], 0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0];
    answer.extend_from_slice(&question[12..name + 4]);
    for record in records {
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0, u8::try_from(record.len()).unwrap()]);
        answer.extend(record);
    }
    answer
}

fn named_route(server: &Server, port: u16, mode: DnsMode) -> Route {
    let mut route = route(EndpointScheme::Http, &[SocketAddr::from(([127, 0, 0, 1], port))]);
    route.to[0].host = "service.test".into();
    route.upstream.dns = Dns { mode, resolver: Some(server.address) };
    route
}

/// Starts upstreams on one port of several addresses of loopback; each says which it is.
async fn on_addresses(addresses: &[Ipv4Addr]) -> u16 {
    'ports: loop {
        let first = TcpListener::bind((addresses[0], 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut listeners = vec![first];
        for address in &addresses[1..] {
            match TcpListener::bind((*address, port)).await {
                Ok(listener) => listeners.push(listener),
                Err(_) => continue 'ports,
            }
        }
        for listener in listeners {
            let name = listener.local_addr().unwrap().ip().to_string();
            tokio::spawn(async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    let name = name.clone();
                    tokio::spawn(serve(TokioIo::new(tcp), Http::One, 1, move |_| {
                        let name = name.clone();
                        // So that each request has a connection of its own.
                        async move { Response::builder().header("connection", "close").body(full(name)).unwrap() }
                    }));
                }
            });
        }
        return port;
    }
}

async fn reached(front: &Front, number: usize) -> Vec<String> {
    let client = Client::connect(Http::One, front).await;
    let mut reached = Vec::new();
    for _ in 0..number {
        reached.push(text(client.get("/").await).await);
    }
    reached.sort();
    reached.dedup();
    reached
}

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test]
async fn every_address_is_used_and_changes_are_followed_and_a_failing_resolver_keeps_the_last() {
    let port = on_addresses(&[ONE, TWO]).await;
    let server = Server::start(&[ONE.into(), TWO.into()]).await;
    let front = front(Http::One, &named_route(&server, port, DnsMode::Auto)).await;
    assert_eq!(reached(&front, 4).await, ["127.0.0.1", "127.0.0.2"]);
    server.say(&[TWO.into()]);
    server.asked_again().await;
    assert_eq!(reached(&front, 4).await, ["127.0.0.2"]);
    server.say(&[]);
    server.asked_again().await;
    assert_eq!(reached(&front, 4).await, ["127.0.0.2"]);
    server.say(&[ONE.into()]);
    server.asked_again().await;
    assert_eq!(reached(&front, 4).await, ["127.0.0.1"]);
}

#[tokio::test]
async fn one_family_can_be_asked_for() {
    let port = on_addresses(&[ONE]).await;
    let server = Server::start(&[ONE.into(), "::1".parse().unwrap()]).await;
    for (mode, status) in [(DnsMode::V4Only, 200), (DnsMode::V4Preferred, 200), (DnsMode::V6Only, 502)] {
        let front = front(Http::One, &named_route(&server, port, mode)).await;
        assert_eq!(Client::connect(Http::One, &front).await.get("/").await.status(), status, "{mode:?}");
    }
}

#[tokio::test]
async fn a_name_that_never_had_an_address_is_an_error_that_says_so() {
    let server = Server::start(&[]).await;
    let front = front(Http::One, &named_route(&server, 80, DnsMode::Auto)).await;
    let (kind, detail) = failure(Client::connect(Http::One, &front).await.get("/").await).await;
    assert_eq!(kind, "Connect");
    assert!(detail.starts_with("cannot resolve `service.test`: "), "{detail}");
}
