//! Connections through real sockets, to an upstream that ends TLS itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::upstream::{Dns, DnsMode};
use crate::config::{Host, TcpEndpoint, TlsRoute};
use crate::test_support::dns::Server;
use crate::test_support::{Proxy, Setup, certificate, nobody};

/// An upstream with a certificate of its own, which reads until the client has ended and then answers.
struct Upstream {
    address: SocketAddr,
    client: Arc<rustls::ClientConfig>,
}

impl Upstream {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let files = certificate(folder.path(), "db", &["db.test", "other.test"]);
        let certified = CertificateDer::from_pem_file(&files.cert_file).unwrap();
        let key = PrivateKeyDer::from_pem_file(&files.key_file).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.clone()], key)
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certified).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(Arc::new(server.clone()));
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let mut asked = Vec::new();
                    stream.read_to_end(&mut asked).await?;
                    stream.write_all(&[b"answer to ", &asked[..]].concat()).await?;
                    stream.shutdown().await
                });
            }
        });
        Self { address, client: Arc::new(client) }
    }

    /// Asks through the proxy; the client ends its side before the answer comes.
    async fn ask(&self, proxy: &Proxy, name: &str) -> std::io::Result<String> {
        let stream = TcpStream::connect(proxy.address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream = TlsConnector::from(Arc::clone(&self.client)).connect(name, stream).await?;
        stream.write_all(b"select 1").await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

fn route(host: Host, to: &[SocketAddr]) -> TlsRoute {
    let endpoint = |to: &SocketAddr| TcpEndpoint { host: to.ip().to_string(), port: to.port() };
    TlsRoute {
        name: "db".into(),
        host,
        to: to.iter().map(endpoint).collect(),
        connect: Duration::from_secs(5),
        dns: Dns::default(),
    }
}

fn start(route: TlsRoute, allow: &str) -> Proxy {
    let mut setup = Setup::cleartext();
    setup.listener.passthrough = true;
    setup.listener.limits.handshake_timeout = Duration::from_millis(500);
    setup.tls_route(route, allow).start()
}

fn exact(name: &str) -> Host {
    Host::Exact(name.into())
}

#[tokio::test]
async fn a_connection_reaches_the_upstream_of_its_name_as_it_is() {
    let upstream = Upstream::start().await;
    let rule = r#"request.tls.sni == "db.test" && request.ip == "127.0.0.1" && request.method == """#;
    let proxy = start(route(exact("db.test"), &[nobody().await, upstream.address]), rule);
    for _ in 0..2 {
        assert_eq!(upstream.ask(&proxy, "DB.test").await.unwrap(), "answer to select 1");
    }
    // Each is counted when both sides have closed, which the client does not wait for.
    while !proxy.metrics().contains(r#"portcullis_requests_total{route="db",code="0",decision="allow"} 2"#) {
        tokio::task::yield_now().await;
    }
    let records = proxy.stop().await;
    let ahead = &records[0];
    let ended = records.iter().find(|record| record["upstream"]["endpoint"].is_string()).unwrap();
    assert_eq!(ahead["kind"], "request");
    assert_eq!(ahead["route"], "db");
    assert_eq!(ahead["client_ip"], "127.0.0.1");
    assert_eq!(ahead["tls"]["sni"], "db.test");
    assert_eq!((&ahead["scheme"], &ahead["decision"]), (&"tls".into(), &"allow".into()));
    assert!(ended["bytes_in"].as_u64().unwrap() > 200 && ended["bytes_out"].as_u64().unwrap() > 500, "{ended}");
    assert!(ended["upstream"]["endpoint"].as_str().unwrap().starts_with("tcp://127.0.0.1:"));
}

#[tokio::test]
async fn a_wildcard_stands_for_one_label() {
    let upstream = Upstream::start().await;
    let proxy = start(route(Host::Wildcard("test".into()), &[upstream.address]), "true");
    assert!(upstream.ask(&proxy, "other.test").await.is_ok());
    assert!(upstream.ask(&proxy, "a.other.test").await.is_err());
}

/// What the proxy answers to a hello, and the reason that it records.
async fn refused(proxy: Proxy, upstream: &Upstream, name: &str) -> (String, String) {
    let error = upstream.ask(&proxy, name).await.unwrap_err().to_string();
    let record = proxy.stop().await.remove(0);
    assert_eq!(record["decision"], "deny");
    (error, record["reason"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn whoever_is_refused_is_told_by_an_alert_and_recorded() {
    let upstream = Upstream::start().await;
    let to = [upstream.address];
    let unknown = refused(start(route(exact("db.test"), &to), "true"), &upstream, "other.test").await;
    assert_eq!(unknown, ("received fatal alert: UnrecognisedName".into(), "no-route".into()));
    let nameless = refused(start(route(exact("db.test"), &to), "true"), &upstream, "127.0.0.1").await;
    assert_eq!(nameless, ("received fatal alert: UnrecognisedName".into(), "server-name-missing".into()));
    let denied = refused(start(route(exact("db.test"), &to), "false"), &upstream, "db.test").await;
    assert_eq!(denied, ("received fatal alert: AccessDenied".into(), "no-policy-matched".into()));
}

#[tokio::test]
async fn a_rule_over_what_passes_unread_never_holds() {
    let upstream = Upstream::start().await;
    let rule = r#"request.path.startsWith("/") || user.authenticated || request.method == "GET""#;
    let (_, reason) = refused(start(route(exact("db.test"), &[upstream.address]), rule), &upstream, "db.test").await;
    assert_eq!(reason, "no-policy-matched");
}

#[tokio::test]
async fn an_upstream_that_is_away_is_told_and_recorded_as_allowed() {
    let upstream = Upstream::start().await;
    let proxy = start(route(exact("db.test"), &[nobody().await]), "true");
    let error = upstream.ask(&proxy, "db.test").await.unwrap_err();
    assert_eq!(error.to_string(), "received fatal alert: InternalError");
    let records = proxy.stop().await;
    assert_eq!(records[0]["decision"], "allow");
    let ended = records.iter().find(|record| record["error"].is_string()).unwrap();
    assert!(ended["error"].as_str().unwrap().contains("cannot connect to"), "{ended}");
}

#[tokio::test]
async fn what_is_no_tls_and_what_never_comes_is_closed() {
    let upstream = Upstream::start().await;
    let proxy = start(route(exact("db.test"), &[upstream.address]), "true");
    let read = |sent: &'static [u8]| {
        let address = proxy.address;
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent).await.unwrap();
            let mut read = Vec::new();
            let _ = stream.read_to_end(&mut read).await;
            read
        }
    };
    // An alert at most, and never an answer.
    assert!(read(b"GET / HTTP/1.1\r\nHost: db.test\r\n\r\n").await.len() <= 7);
    assert!(read(&[22, 3, 1]).await.is_empty());
    let line = r#"portcullis_limits_reached_total{listener="test",limit="handshake_timeout"} 1"#;
    assert!(proxy.metrics().contains(line));
    let records = proxy.stop().await;
    assert_eq!(records.iter().filter(|record| record["reason"] == "tls-hello-invalid").count(), 2);
}

/// Returns what the system counts down for a socket, by its two ends (`proc_pid_net(5)`).
#[cfg(target_os = "linux")]
fn timer(local: SocketAddr, remote: SocketAddr) -> String {
    let [local, remote] = [local, remote].map(|address| match address {
        SocketAddr::V4(address) => format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()),
        SocketAddr::V6(_) => panic!("sockets of IPv6 are in another file"),
    });
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut sockets = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    sockets.find(|socket| (socket[1], socket[2]) == (&*local, &*remote)).unwrap()[5].to_owned()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_says_nothing_is_asked_by_the_system_whether_it_lives() {
    let upstream = Upstream::start().await;
    let proxy = start(route(exact("db.test"), &[upstream.address]), "true");
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let name = ServerName::try_from("db.test").unwrap();
    let stream = TlsConnector::from(Arc::clone(&upstream.client)).connect(name, stream).await.unwrap();
    // Its answers to the handshake are acknowledged within a moment; what is left then is the timer of keep-alives.
    let client = stream.get_ref().0.local_addr().unwrap();
    let found = async {
        while !timer(proxy.address, client).starts_with("02") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap();
}

#[tokio::test]
async fn a_client_may_read_as_slowly_as_it_likes() {
    // More than the system takes for those who read it later.
    const LARGE: usize = 32 << 20;
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut setup = Setup::cleartext();
    setup.listener.passthrough = true;
    setup.listener.limits.idle_timeout = Duration::from_millis(100);
    let proxy = setup.tls_route(route(exact("db.test"), &[upstream.local_addr().unwrap()]), "true").start();
    tokio::spawn(async move {
        let (mut stream, _) = upstream.accept().await.unwrap();
        // What is left unread would have the system throw away what is not sent yet.
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stream.write_all(&vec![7; LARGE]).await.unwrap();
    });
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut client = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from("db.test").unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    stream.write_all(&hello).await.unwrap();
    // Far longer than the limit that holds for clients of HTTP.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read.len(), LARGE);
}

#[tokio::test]
async fn a_name_is_looked_up_by_its_ttl_and_each_of_its_addresses_is_tried() {
    let upstream = Upstream::start().await;
    let (here, away) = ([127, 0, 0, 1].into(), [127, 0, 0, 9].into());
    let server = Server::start(&[here, away]).await;
    let to = vec![TcpEndpoint { host: "service.test".into(), port: upstream.address.port() }];
    let dns = Dns { mode: DnsMode::Auto, resolver: Some(server.address) };
    let proxy = start(TlsRoute { to, dns, ..route(exact("db.test"), &[]) }, "true");
    for _ in 0..3 {
        assert_eq!(upstream.ask(&proxy, "db.test").await.unwrap(), "answer to select 1");
    }
    server.say(&[away]);
    server.asked_again().await;
    assert!(upstream.ask(&proxy, "db.test").await.is_err(), "its address is another now");
    server.say(&[here]);
    server.asked_again().await;
    server.say(&[]);
    server.asked_again().await;
    assert!(upstream.ask(&proxy, "db.test").await.is_ok(), "a resolver that fails takes nothing away");
}
