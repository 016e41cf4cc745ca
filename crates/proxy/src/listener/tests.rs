//! Listeners through real sockets: TLS, limits, drain.

mod allocations;

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use identity::Scheme;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::test_support::{Proxy, Setup, certificate, echo, http2, listener, nobody, route, send_raw, snapshot};
use crate::{
    Certificate, Config, ForwardedHeader, ListenerTls, Metrics, ProxyProtocol, ServeError, Server, TlsVersion,
};

struct Tls {
    folder: TempDir,
    files: Vec<Certificate>,
}

impl Tls {
    fn new(names: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let files = names.iter().map(|name| certificate(folder.path(), name, &[name])).collect();
        Self { folder, files }
    }

    async fn start(&self, min_version: TlsVersion) -> Proxy {
        let mut setup = Setup::cleartext();
        setup.listener.limits.handshake_timeout = Duration::from_millis(500);
        setup.listener.tls = Some(ListenerTls { certificates: self.files.clone(), min_version, client_auth: None });
        let upstream = echo().await;
        for host in ["a.test", "b.test"] {
            let mut https = route(host, upstream);
            https.scheme = Scheme::Https;
            https.port = 443;
            setup = setup.route(https, r#"request.tls.version != """#);
        }
        setup.start()
    }

    async fn connect(&self, proxy: &Proxy, name: &str, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_with(proxy, name, alpn, rustls::ALL_VERSIONS).await
    }

    async fn connect_with(
        &self,
        proxy: &Proxy,
        name: &str,
        alpn: &[u8],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(self.client(versions, alpn)).connect(name, stream).await
    }

    fn client(&self, versions: &[&'static rustls::SupportedProtocolVersion], alpn: &[u8]) -> Arc<rustls::ClientConfig> {
        let mut roots = RootCertStore::empty();
        for files in &self.files {
            roots.add(CertificateDer::from_pem_file(&files.cert_file).unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

const GET_A: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn each_name_gets_its_certificate_and_alpn_chooses_the_protocol() {
    let tls = Tls::new(&["a.test", "b.test"]);
    let proxy = tls.start(TlsVersion::V1_2).await;
    let answer = send_raw(tls.connect(&proxy, "a.test", b"http/1.1").await.unwrap(), GET_A).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("x-forwarded-proto: https"), "{}", answer.body);
    let stream = tls.connect(&proxy, "b.test", b"h2").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://b.test/").body(Empty::<bytes::Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    drop(sender);
    assert!(proxy.metrics().contains(r#"portcullis_tls_handshakes_total{listener="test",result="ok"} 2"#));
    let records = proxy.stop().await;
    assert_eq!(records.iter().find(|record| record["host"] == "a.test").unwrap()["tls"]["version"], "1.3");
    assert_eq!(records.iter().find(|record| record["host"] == "b.test").unwrap()["tls"]["sni"], "b.test");
}

#[tokio::test]
async fn a_host_that_another_certificate_serves_is_misdirected() {
    let tls = Tls::new(&["a.test", "b.test"]);
    let proxy = tls.start(TlsVersion::V1_2).await;
    let stream = tls.connect(&proxy, "b.test", b"http/1.1").await.unwrap();
    assert_eq!(send_raw(stream, GET_A).await.status, 421);
    let records = proxy.stop().await;
    assert_eq!(records[0]["reason"], "misdirected-request");
}

#[tokio::test]
async fn one_certificate_for_both_hosts_serves_both_on_one_connection() {
    let mut tls = Tls::new(&[]);
    tls.files = vec![certificate(tls.folder.path(), "both", &["a.test", "b.test"])];
    let proxy = tls.start(TlsVersion::V1_2).await;
    let stream = tls.connect(&proxy, "b.test", b"http/1.1").await.unwrap();
    assert_eq!(send_raw(stream, GET_A).await.status, 200);
}

#[tokio::test]
async fn an_older_version_than_the_least_is_refused() {
    let tls = Tls::new(&["a.test"]);
    let old: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    let proxy = tls.start(TlsVersion::V1_3).await;
    assert!(tls.connect_with(&proxy, "a.test", b"http/1.1", old).await.is_err());
    let proxy = tls.start(TlsVersion::V1_2).await;
    let answer = send_raw(tls.connect_with(&proxy, "a.test", b"http/1.1", old).await.unwrap(), GET_A).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn each_connection_brings_the_ticket_of_the_next() {
    let tls = Tls::new(&["a.test"]);
    let proxy = tls.start(TlsVersion::V1_3).await;
    let connector = TlsConnector::from(tls.client(&[&rustls::version::TLS13], b"http/1.1"));
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("a.test").unwrap(), stream).await.unwrap();
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        // The ticket comes before the answer.
        stream.write_all(GET_A.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    use rustls::HandshakeKind::{Full, Resumed};
    assert_eq!(kinds, [Full, Resumed, Resumed]);
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let tls = Tls::new(&["a.test"]);
    let proxy = tls.start(TlsVersion::V1_2).await;
    let shown = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let mut old = tls.connect(&proxy, "a.test", b"http/1.1").await.unwrap();
    certificate(tls.folder.path(), "a.test", &["a.test"]);
    proxy.reload_certificates().unwrap();
    let new = tls.connect(&proxy, "a.test", b"http/1.1").await.unwrap();
    assert_ne!(shown(&old), shown(&new));
    old.write_all(GET_A.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    old.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    std::fs::write(&tls.files[0].key_file, "bad").unwrap();
    assert_eq!(proxy.reload_certificates().unwrap_err().len(), 1);
    assert!(proxy.metrics().contains("portcullis_tls_certificate_reload_success 0"));
}

#[test]
fn what_is_wrong_with_a_listener_is_said_before_anything_is_served() {
    let metrics = Arc::new(Metrics::register(&mut prometheus_client::registry::Registry::default()));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut busy = listener();
    busy.address = taken.local_addr().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let log =
        audit::Log::open(&audit::Config { dir: folder.path().join("audit"), ..audit::Config::default() }).unwrap();
    let config = Config {
        revision: "r1".into(),
        authenticate: None,
        routes: Vec::new(),
        tls_routes: Vec::new(),
        record_inputs: crate::config::RecordInputs::default(),
    };
    let (authorizer, _) = authorize::Authorizer::compile(&authorize::Config::default()).unwrap();
    let next = snapshot(vec![listener(), busy], config, authorizer, None, log, &metrics, None).unwrap();
    let errors = Server::bind(next, Vec::new()).unwrap_err();
    let error = errors[0].to_string();
    assert!(error.starts_with("listener `test`: cannot bind `127.0.0.1:"), "{error}");
    assert!(error.ends_with("; stop what uses it, or set another `address`"), "{error}");
}

#[test]
fn a_port_that_needs_a_right_is_told_which() {
    let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let error = ServeError::Bind { listener: "test".to_owned(), address: ([0, 0, 0, 0], 443).into(), source };
    assert!(error.to_string().contains("CAP_NET_BIND_SERVICE"), "{error}");
}

/// A limit that never strikes hangs the test.
async fn is_closed(mut stream: impl tokio::io::AsyncRead + Unpin) {
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_a_head_is_closed() {
    let mut setup = Setup::cleartext();
    setup.listener.limits.header_timeout = Duration::from_millis(50);
    setup.listener.limits.idle_timeout = Duration::from_millis(100);
    let proxy = setup.start();
    for said in ["", "PRI * HTTP", "GET / HTTP/1.1\r\nHost: a", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        is_closed(stream).await;
    }
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_is_closed() {
    let tls = Tls::new(&["a.test"]);
    let proxy = tls.start(TlsVersion::V1_2).await;
    is_closed(TcpStream::connect(proxy.address).await.unwrap()).await;
    // Another thread counts it, once the client may know.
    while !proxy.metrics().contains(r#"portcullis_tls_handshakes_total{listener="test",result="failed"} 1"#) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let upstream = echo().await;
    let mut app = route("app.example.com", upstream);
    app.timeouts.response_headers = Some(Duration::from_millis(400));
    app.timeouts.idle = None;
    let mut setup = Setup::cleartext().route(app, "true");
    setup.listener.limits.idle_timeout = Duration::from_millis(50);
    let proxy = setup.start();
    let mut idle = TcpStream::connect(proxy.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n").await.unwrap();
    is_closed(idle).await;
    let mut busy = TcpStream::connect(proxy.address).await.unwrap();
    busy.write_all(b"GET /hang HTTP/1.1\r\nHost: app.example.com\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    busy.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 504", "it outlived the idle limit and ended by the route's");
}

#[tokio::test]
async fn headers_have_a_bound() {
    let proxy = Setup::cleartext().route(route("app.example.com", nobody().await), "true").start();
    let large = format!("X-Large: {}\r\n", "x".repeat(70_000));
    assert_eq!(proxy.get("app.example.com", "/", &large).await.status, 431);
    let many = "X-Many: 1\r\n".repeat(101);
    assert_eq!(proxy.get("app.example.com", "/", &many).await.status, 431);
}

#[tokio::test]
async fn past_the_limit_connections_wait() {
    let mut setup = Setup::cleartext().route(route("app.example.com", echo().await), "true");
    setup.listener.limits.max_connections = 1;
    let proxy = setup.start();
    let mut first = http2(proxy.address).await;
    let get = || Request::get("http://app.example.com/").body(Empty::new()).unwrap();
    first.send_request(get()).await.unwrap();
    let waiting = proxy.get("app.example.com", "/", "");
    tokio::pin!(waiting);
    let early = tokio::select! {
        biased;
        _ = &mut waiting => true,
        _ = first.send_request(get()) => false,
    };
    assert!(!early, "the second connection was served while the first was open");
    drop(first);
    assert_eq!(waiting.await.status, 200);
}

#[tokio::test]
async fn a_request_in_flight_ends_before_the_server_does() {
    let mut app = route("app.example.com", echo().await);
    app.timeouts.response_headers = Some(Duration::from_millis(200));
    let mut proxy = Setup::cleartext().route(app, "true").start();
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"GET /hang HTTP/1.1\r\nHost: app.example.com\r\n\r\n").await.unwrap();
    let mut other = http2(proxy.address).await;
    other.send_request(Request::get("http://app.example.com/").body(Empty::new()).unwrap()).await.unwrap();
    proxy.begin_to_stop();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    let address = proxy.address;
    proxy.stopped().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_does_not_end_in_time_is_closed() {
    let mut app = route("app.example.com", echo().await);
    app.timeouts.response_headers = None;
    app.timeouts.idle = None;
    let mut setup = Setup::cleartext().route(app, "true");
    setup.drain = Duration::from_millis(100);
    let mut proxy = setup.start();
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"GET /hang HTTP/1.1\r\nHost: app.example.com\r\n\r\n").await.unwrap();
    proxy.begin_to_stop();
    proxy.stopped().await;
}

/// A proxy on loopback that trusts loopback to name the client.
async fn behind_a_balancer(proxy_protocol: ProxyProtocol, header: ForwardedHeader) -> Proxy {
    let mut setup = Setup::cleartext();
    setup.listener.proxy_protocol = proxy_protocol;
    setup.listener.forwarded_header = header;
    setup.listener.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    setup.listener.limits.handshake_timeout = Duration::from_millis(500);
    setup.route(route("app.test", echo().await), "true").start()
}

#[tokio::test]
async fn whom_a_proxy_header_names_is_decided_on_told_and_recorded() {
    let proxy = behind_a_balancer(ProxyProtocol::Require, ForwardedHeader::XForwardedFor).await;
    // One that says half and stays holds nobody up.
    let mut slow = TcpStream::connect(proxy.address).await.unwrap();
    slow.write_all(b"PROXY TCP4 203.0").await.unwrap();
    let get = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    let answer = proxy.send(&format!("PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\n{get}")).await;
    assert!(answer.body.contains("x-forwarded-for: 203.0.113.9"), "{}", answer.body);
    assert_eq!(proxy.send(get).await.status, 0);
    assert_eq!(slow.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(proxy.metrics().contains(r#"portcullis_proxy_headers_refused_total{listener="test"} 2"#));
    let records = proxy.stop().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["client_ip"], "203.0.113.9");
    assert_eq!(records[0]["peer_ip"], "127.0.0.1");
    assert_eq!(records[0]["client_ip_source"], "proxy_protocol");
}

#[tokio::test]
async fn a_proxy_header_comes_before_tls() {
    let tls = Tls::new(&["a.test"]);
    let mut setup = Setup::cleartext();
    setup.listener.tls =
        Some(ListenerTls { certificates: tls.files.clone(), min_version: TlsVersion::V1_2, client_auth: None });
    setup.listener.proxy_protocol = ProxyProtocol::Accept;
    setup.listener.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let mut https = route("a.test", echo().await);
    https.scheme = Scheme::Https;
    let proxy = setup.route(https, r#"request.ip == "2001:db8::1""#).start();
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n").await.unwrap();
    let name = ServerName::try_from("a.test").unwrap();
    let stream = TlsConnector::from(tls.client(rustls::ALL_VERSIONS, b"http/1.1")).connect(name, stream).await.unwrap();
    assert_eq!(send_raw(stream, GET_A).await.status, 200);
}

#[tokio::test]
async fn a_single_address_header_reaches_the_app_with_what_is_known() {
    let header = ForwardedHeader::Single(http::HeaderName::from_static("x-own-ip"));
    let proxy = behind_a_balancer(ProxyProtocol::Off, header).await;
    let answer = proxy.get("app.test", "/", "X-Own-IP: ::ffff:198.51.100.7\r\nX.Own.IP: 6.6.6.6\r\n").await;
    assert!(answer.body.contains("\"x-own-ip: 198.51.100.7\""), "{}", answer.body);
    assert!(answer.body.contains("\"x-forwarded-for: 198.51.100.7\""), "{}", answer.body);
    assert!(!answer.body.contains("6.6.6.6"), "{}", answer.body);
    assert_eq!(proxy.get("app.test", "/", "X-Own-IP: unknown\r\n").await.status, 400);
    assert_eq!(proxy.stop().await[0]["client_ip_source"], "header");
}

async fn connect_from(source: &str, proxy: &Proxy) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(proxy.address).await.unwrap()
}

fn limits_reached(proxy: &Proxy, limit: &str) -> u64 {
    let line = format!(r#"portcullis_limits_reached_total{{listener="test",limit="{limit}"}} "#);
    proxy.metrics().lines().find_map(|text| text.strip_prefix(&line)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_client_cannot_take_the_places_of_all() {
    let mut setup = Setup::cleartext();
    setup.listener.limits.max_connections_per_client = 1;
    setup.listener.trusted_proxies = vec!["127.0.0.3/32".parse().unwrap()];
    let proxy = setup.route(route("app.test", echo().await), "true").start();
    let get = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
    let mut held = connect_from("127.0.0.2", &proxy).await;
    held.write_all(get.as_bytes()).await.unwrap();
    assert!(held.read(&mut [0; 16]).await.unwrap() > 0);
    let close = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    assert_eq!(send_raw(connect_from("127.0.0.2", &proxy).await, close).await.status, 0);
    assert_eq!(limits_reached(&proxy, "max_connections_per_client"), 1);
    assert_eq!(send_raw(connect_from("127.0.0.1", &proxy).await, close).await.status, 200);
    // Behind a trusted proxy are many.
    let _first = connect_from("127.0.0.3", &proxy).await;
    assert_eq!(send_raw(connect_from("127.0.0.3", &proxy).await, close).await.status, 200);
    // The place is free again once the connection has ended.
    drop(held);
    let again = async {
        while send_raw(connect_from("127.0.0.2", &proxy).await, close).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
}

#[tokio::test]
async fn each_limit_that_is_reached_is_counted() {
    let mut setup = Setup::cleartext();
    setup.listener.limits.header_timeout = Duration::from_millis(200);
    setup.listener.limits.idle_timeout = Duration::from_millis(300);
    setup.listener.limits.max_header_bytes = 8192;
    let proxy = setup.route(route("app.test", echo().await), "true").start();
    let large = format!("GET / HTTP/1.1\r\nHost: app.test\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(proxy.send(&large).await.status, 431);
    assert_eq!(proxy.send("GET / HTTP/1.1\r\nHost:").await.status, 0);
    assert_eq!(proxy.send("").await.status, 0);
    for limit in ["max_header_bytes", "header_timeout", "idle_timeout"] {
        assert_eq!(limits_reached(&proxy, limit), 1, "{limit}");
    }
}
