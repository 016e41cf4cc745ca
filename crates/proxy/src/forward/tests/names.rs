//! Endpoints by name, against a DNS server on loopback.

use std::net::Ipv4Addr;

use super::*;
use crate::config::upstream::{Dns, DnsMode};
use crate::test_support::dns::Server;

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
