//! PROXY headers, good and hostile. `10.0.0.0/8` is trusted.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::test_support::listener;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, payload].concat()
}

fn v4(source: [u8; 4]) -> Vec<u8> {
    [&source[..], &[192, 0, 2, 1], &[0x01, 0xbb, 0x01, 0xbb]].concat()
}

fn v6(source: &str) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    [&source.octets()[..], &[0; 16], &[0x01, 0xbb, 0x01, 0xbb]].concat()
}

/// Returns whom a connection is taken for, how that became known, and what is left to read; or why it is closed.
async fn connect(mode: ProxyProtocol, peer: &str, sent: &[u8]) -> Result<(String, &'static str, Vec<u8>), String> {
    let (mut balancer, mut stream) = tokio::io::duplex(128 * 1024);
    balancer.write_all(sent).await.unwrap();
    drop(balancer);
    let config = Listener { proxy_protocol: mode, ..listener() };
    let trusted = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
    let found = connected(&mut stream, peer.parse().unwrap(), &config, &trusted).await.map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof { "cut off".to_owned() } else { error.to_string() }
    })?;
    assert_eq!(found.peer.to_string(), peer);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    Ok((found.client.to_string(), found.source.as_str(), rest))
}

async fn check(header: &[u8], expected: (&str, &'static str)) {
    let sent = [header, b"GET / HTTP/1.1"].concat();
    let found = connect(ProxyProtocol::Require, "10.0.0.1", &sent).await.unwrap();
    assert_eq!(found, (expected.0.to_owned(), expected.1, b"GET / HTTP/1.1".to_vec()), "{header:?}");
}

async fn refuse(header: &[u8], reason: &str) {
    for mode in [ProxyProtocol::Accept, ProxyProtocol::Require] {
        let found = connect(mode, "10.0.0.1", header).await;
        assert_eq!(found.unwrap_err(), reason, "{}", String::from_utf8_lossy(header));
    }
}

#[tokio::test]
async fn a_trusted_balancer_names_the_client() {
    check(b"PROXY TCP4 203.0.113.9 192.0.2.1 51000 443\r\n", ("203.0.113.9", "proxy_protocol")).await;
    check(b"PROXY TCP6 2001:db8::1 2001:db8::2 51000 443\r\n", ("2001:db8::1", "proxy_protocol")).await;
    check(&v2(1, 0x11, &v4([203, 0, 113, 9])), ("203.0.113.9", "proxy_protocol")).await;
    check(&v2(1, 0x21, &v6("2001:db8::1")), ("2001:db8::1", "proxy_protocol")).await;
}

#[tokio::test]
async fn a_mapped_address_is_the_one_that_it_stands_for() {
    check(b"PROXY TCP6 ::ffff:10.9.9.9 ::1 51000 443\r\n", ("10.9.9.9", "proxy_protocol")).await;
    check(&v2(1, 0x21, &v6("::ffff:10.9.9.9")), ("10.9.9.9", "proxy_protocol")).await;
}

#[tokio::test]
async fn a_balancer_that_speaks_for_itself_is_the_client() {
    check(b"PROXY UNKNOWN\r\n", ("10.0.0.1", "peer")).await;
    check(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", ("10.0.0.1", "peer")).await;
    check(&v2(0, 0x00, b""), ("10.0.0.1", "peer")).await;
    check(&v2(0, 0x11, &v4([203, 0, 113, 9])), ("10.0.0.1", "peer")).await;
    // Of which nothing else counts, and which may hold anything.
    check(&v2(0, 0x41, b"x"), ("10.0.0.1", "peer")).await;
    check(&v2(0, 0x31, b""), ("10.0.0.1", "peer")).await;
    check(&v2(1, 0x00, b""), ("10.0.0.1", "peer")).await;
}

#[tokio::test]
async fn what_follows_the_addresses_is_read_over() {
    let tlvs = [v4([203, 0, 113, 9]), b"\x02\x00\x0bexample.com\x04\x00\x01x".to_vec()].concat();
    check(&v2(1, 0x11, &tlvs), ("203.0.113.9", "proxy_protocol")).await;
    // Not even a TLV: it is not looked at.
    check(&v2(1, 0x11, &[v4([203, 0, 113, 9]), vec![0xff; 3000]].concat()), ("203.0.113.9", "proxy_protocol")).await;
}

#[tokio::test]
async fn only_a_trusted_peer_is_asked() {
    let header = b"PROXY TCP4 1.1.1.1 192.0.2.1 1 2\r\n";
    let closed = connect(ProxyProtocol::Require, "203.0.113.9", header).await.unwrap_err();
    assert_eq!(closed, "PROXY header: the peer is not in `trusted_proxies`");
    // Served as whoever it is, and what it sent is not a request.
    let found = connect(ProxyProtocol::Accept, "203.0.113.9", header).await.unwrap();
    assert_eq!(found, ("203.0.113.9".to_owned(), "peer", header.to_vec()));
    let found = connect(ProxyProtocol::Off, "10.0.0.1", header).await.unwrap();
    assert_eq!(found, ("10.0.0.1".to_owned(), "peer", header.to_vec()));
}

#[tokio::test]
async fn a_trusted_peer_without_a_good_header_is_closed() {
    refuse(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "PROXY header: there is none").await;
    refuse(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", "PROXY header: there is none").await;
    refuse(b"PROXY TCP4 203.0.113.9", "cut off").await;
    refuse(b"PROXY", "cut off").await;
    for line in [
        "PROXY TCP4 010.0.0.1 192.0.2.1 1 2",
        "PROXY TCP4 203.0.113.9 192.0.2.1 1 65536",
        "PROXY TCP4 2001:db8::1 192.0.2.1 1 2",
        "PROXY TCP6 203.0.113.9 ::1 1 2",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2",
        "PROXY TCP4  203.0.113.9 192.0.2.1 1 2",
        "PROXY TCP4 203.0.113.9 192.0.2.1 1",
        "PROXY UDP4 203.0.113.9 192.0.2.1 1 2",
        "PROXYTCP4 203.0.113.9 192.0.2.1 1 2",
    ] {
        refuse(format!("{line}\r\n").as_bytes(), "PROXY header: it is malformed").await;
    }
    refuse(b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\n", "PROXY header: it is malformed").await;
    refuse(format!("PROXY UNKNOWN {}", "x".repeat(200)).as_bytes(), "PROXY header: it is too long").await;
}

#[tokio::test]
async fn a_binary_header_that_lies_is_closed() {
    let client = v4([203, 0, 113, 9]);
    refuse(&v2(1, 0x11, &client)[..20], "cut off").await;
    refuse(&v2(1, 0x11, &client[..11]), "PROXY header: it is malformed").await;
    refuse(&v2(1, 0x21, &client), "PROXY header: it is malformed").await;
    refuse(&v2(2, 0x11, &client), "PROXY header: it is malformed").await;
    refuse(&v2(1, 0x41, &client), "PROXY header: it is malformed").await;
    refuse(&[SIGNATURE, &[0x11, 0x11, 0, 12], &client].concat(), "PROXY header: it is malformed").await;
    // Datagrams, and a socket file.
    refuse(&v2(1, 0x12, &client), "PROXY header: it speaks of no TCP connection").await;
    refuse(&v2(1, 0x31, &[0; 216]), "PROXY header: it speaks of no TCP connection").await;
    refuse(&v2(1, 0x11, &[&client[..], &[0; 4096]].concat()), "PROXY header: it is too long").await;
}

#[tokio::test]
async fn a_header_that_never_ends_is_given_up() {
    let (mut balancer, mut stream) = tokio::io::duplex(64);
    balancer.write_all(b"PROXY TCP4 203.0.113.9").await.unwrap();
    let mut config = Listener { proxy_protocol: ProxyProtocol::Require, ..listener() };
    config.limits.handshake_timeout = Duration::from_millis(50);
    let trusted = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
    let closed = connected(&mut stream, "10.0.0.1".parse().unwrap(), &config, &trusted).await.unwrap_err();
    assert_eq!(closed.to_string(), "PROXY header: it did not come in time");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(rest in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..3) {
        let start: &[u8] = [&b""[..], b"PROXY ", SIGNATURE][usize::try_from(kind).unwrap()];
        let sent = [start, &rest].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = runtime.block_on(connect(ProxyProtocol::Require, "10.0.0.1", &sent));
    }
}
