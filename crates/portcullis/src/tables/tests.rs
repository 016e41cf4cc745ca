//! Tables that change while the process runs: files that are rewritten, servers that misbehave.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authorize::{Format, KeyType, Layout};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{Origin, Server, Source, TableMetrics, Tables};

fn csv() -> Layout {
    let format = Format::Csv { key: "host".to_owned(), columns: Vec::new() };
    Layout { key: KeyType::Text, format }
}

/// Tables that are kept up to date until the test ends.
struct Kept {
    tables: Arc<Tables>,
    registry: Registry,
    _stop: watch::Sender<bool>,
    _running: JoinSet<()>,
}

impl Kept {
    fn new() -> Self {
        let mut registry = Registry::default();
        let tables = Arc::new(Tables::new(TableMetrics::register(&mut registry)));
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        let kept = Arc::clone(&tables);
        running.spawn(async move { kept.run(stopped).await });
        Self { tables, registry, _stop: stop, _running: running }
    }

    async fn follow(&self, source: Source) -> Arc<Source> {
        let source = Arc::new(source);
        self.tables.ready(&[Arc::clone(&source)]).await;
        self.tables.follow(vec![Arc::clone(&source)]);
        source
    }

    fn metric(&self, name: &str) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{table=\"owners\"}}"))).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    }

    async fn until(&self, expected: impl Fn(&Self) -> bool) {
        let asking = async {
            while !expected(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap();
    }
}

fn file(path: &Path) -> Source {
    let source = Source::new("owners", csv(), Origin::File(path.to_owned()), 1000);
    source.read().unwrap();
    source
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_and_one_that_turns_bad_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("owners.csv");
    fs::write(&path, "host,team\na,x\n").unwrap();
    let kept = Kept::new();
    let source = kept.follow(file(&path)).await;
    assert_eq!((source.rows(), kept.metric("portcullis_table_rows").as_str()), (Some(1), "1"));

    fs::write(folder.path().join("next"), "host,team\na,x\nb,y\n").unwrap();
    fs::rename(folder.path().join("next"), &path).unwrap();
    kept.until(|kept| kept.metric("portcullis_table_rows") == "2").await;

    for (bad, reason) in [
        ("host,team\na,x\na,y\n", "line 3: the key `a` is there twice (first on line 2): remove one"),
        ("host\na\n", "line 1: the column `team` is gone: put it back, or reload the configuration"),
        (&"x".repeat(1001), "the file is larger than 1000 bytes"),
    ] {
        fs::write(&path, bad).unwrap();
        kept.until(|kept| kept.tables.problems().iter().any(|problem| problem.ends_with(reason))).await;
        assert_eq!((source.rows(), kept.metric("portcullis_table_read_success").as_str()), (Some(2), "0"));
    }
    fs::remove_file(&path).unwrap();
    kept.until(|kept| kept.tables.problems().iter().any(|problem| problem.ends_with("there is no such file"))).await;
    assert!(kept.tables.problems()[0].starts_with("owners: the copy of "), "{:?}", kept.tables.problems());

    fs::write(&path, "host,team\n").unwrap();
    kept.until(|kept| kept.metric("portcullis_table_read_success") == "1").await;
    assert_eq!(source.rows(), Some(0));
}

/// A server of one table, on loopback.
struct Peer {
    address: SocketAddr,
    ca_file: tempfile::NamedTempFile,
    /// The request heads that came.
    heads: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Peer {
    /// Answers the n-th request with what `answer` makes; nothing at all where that is empty.
    async fn serve(answer: impl Fn(usize) -> String + Send + 'static) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let ca_file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&ca_file, certified.cert.pem()).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let serving = tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            let count = AtomicUsize::new(0);
            let mut open = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                seen.lock().unwrap().push(String::from_utf8(head).unwrap().to_ascii_lowercase());
                // A client that has had enough closes early.
                let _ = stream.write_all(answer(count.fetch_add(1, Ordering::SeqCst)).as_bytes()).await;
                let _ = stream.flush().await;
                open.push(stream);
            }
        });
        Self { address, ca_file, heads, serving }
    }

    fn server(&self, refresh: Duration, timeout: Duration) -> Server {
        let url = format!("https://127.0.0.1:{}/owners.csv?key=k", self.address.port());
        Server::new(url.parse().unwrap(), Some(self.ca_file.path()), refresh, timeout).unwrap()
    }

    fn source(&self) -> Source {
        let server = self.server(Duration::from_millis(10), Duration::from_secs(20));
        Source::new("owners", csv(), Origin::Url(server), 1000)
    }
}

fn ok(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

#[tokio::test]
async fn a_url_is_polled_and_its_last_good_copy_stays() {
    let peer = Peer::serve(|count| match count {
        0 => ok("etag: \"one\"\r\n", "host,team\na,x\n"),
        1 => "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
        2 => "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_owned(),
        3 => ok("", "host,team\na,x\na,y\n"),
        _ => ok("last-modified: Wed, 07 Jan 2026 12:00:00 GMT\r\n", "host,team\na,x\nb,y\n"),
    })
    .await;
    let kept = Kept::new();
    let source = kept.follow(peer.source()).await;
    assert_eq!(source.rows(), Some(1), "{:?}", kept.tables.problems());
    kept.until(|_| source.rows() == Some(2)).await;
    kept.until(|_| peer.heads.lock().unwrap().len() > 5).await;
    let heads = peer.heads.lock().unwrap().clone();
    assert!(heads[0].starts_with("get /owners.csv?key=k http/1.1\r\n"), "{}", heads[0]);
    assert!(!heads[0].contains("if-"), "{}", heads[0]);
    for head in &heads[1..4] {
        assert!(head.contains("if-none-match: \"one\"\r\n"), "{head}");
    }
    assert!(heads[5].contains("if-modified-since: wed, 07 jan 2026 12:00:00 gmt\r\n"), "{}", heads[5]);
}

#[tokio::test]
async fn a_table_that_never_came_has_no_rows_and_says_so() {
    for (answer, reason) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "the server answered 404"),
        ("HTTP/1.1 302 Found\r\nlocation: /x\r\n\r\n", "the server answered 302: write the URL that it leads to"),
        // It does not know what we never had.
        ("HTTP/1.1 304 Not Modified\r\n\r\n", "the server answered 304 for what was never fetched"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n", "the answer is larger than 1000 bytes: see `max_size`"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nno", "no whole answer within 200ms: see `timeout`"),
        ("", "no whole answer within 200ms: see `timeout`"),
        ("SSH-2.0-x\r\n", "the server gave no proper answer: "),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nteam",
            "line 1: there is no column `host`: its columns are `team`",
        ),
    ] {
        let body = if answer.ends_with("2000\r\n\r\n") { "x".repeat(2000) } else { String::new() };
        let peer = Peer::serve(move |_| format!("{answer}{body}")).await;
        let server = peer.server(Duration::from_secs(60), Duration::from_millis(200));
        let kept = Kept::new();
        let source = kept.follow(Source::new("owners", csv(), Origin::Url(server), 1000)).await;
        let problem = kept.tables.problems().join("\n");
        assert!(problem.contains("owners: nothing can be looked up in it, because: "), "{problem}");
        assert!(problem.contains(reason), "{problem}");
        assert_eq!(source.rows(), None);
        assert_eq!(kept.metric("portcullis_table_read_success"), "0");
        assert_eq!(kept.metric("portcullis_table_read_success_timestamp_seconds"), "0");
    }
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_not_believed() {
    let (peer, other) = (Peer::serve(|_| ok("", "host\na\n")).await, Peer::serve(|_| ok("", "host\na\n")).await);
    let url = format!("https://127.0.0.1:{}/", peer.address.port());
    let server = |ca: Option<&Path>| {
        Server::new(url.parse().unwrap(), ca, Duration::from_secs(60), Duration::from_secs(20)).unwrap()
    };
    for server in [server(None), server(Some(other.ca_file.path()))] {
        let kept = Kept::new();
        let source = kept.follow(Source::new("owners", csv(), Origin::Url(server), 1000)).await;
        assert_eq!(source.rows(), None);
        let problem = kept.tables.problems().join("\n");
        assert!(problem.contains(&format!("tls with `127.0.0.1:{}` failed: ", peer.address.port())), "{problem}");
    }
    assert!(!format!("{:?}", peer.server(Duration::ZERO, Duration::ZERO)).contains("key=k"));
}

#[tokio::test]
async fn what_was_fetched_stays_in_use_across_a_reload() {
    let peer = Peer::serve(|count| if count == 0 { ok("", "host\na\n") } else { String::new() }).await;
    let kept = Kept::new();
    kept.follow(peer.source()).await;
    // The server is silent from now on.
    let next = kept.follow(peer.source()).await;
    assert_eq!(next.rows(), Some(1));
    let other = Layout { key: KeyType::Network, ..csv() };
    let server = peer.server(Duration::from_secs(60), Duration::from_millis(100));
    let changed = kept.follow(Source::new("owners", other, Origin::Url(server), 1000)).await;
    assert_eq!(changed.rows(), None, "read as another table");
}
