//! From a file to an answer, and to the end.

use std::fs;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::{RunError, run_file};
use crate::app::{Bound, StartError};
use crate::config::LoadError;

const CONFIG: &str = "\
listeners: [{ name: main, address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
routes: [{ from: http://app.test, to: http://127.0.0.1:9, authenticate: none, allow: 'true' }]
";

async fn get(address: SocketAddr, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_file_is_served_until_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.yaml");
    fs::write(&path, CONFIG).unwrap();
    let (started, bound) = oneshot::channel::<Bound>();
    let (stop, stopping) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let ready = |bound: &Bound| started.send(bound.clone()).unwrap();
        run_file(&path, ready, async { stopping.await.unwrap() }).await
    });
    let bound = bound.await.unwrap();
    assert_eq!(bound.listeners[0].0, "main");
    assert_ne!(bound.listeners[0].1.port(), 0);

    assert!(get(bound.admin, "/healthz", "localhost").await.starts_with("HTTP/1.1 200"));
    let ready = get(bound.admin, "/readyz?verbose", "localhost").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains(&bound.revision), "{ready}");
    assert!(get(bound.admin, "/metrics", "localhost").await.contains("# EOF"));
    assert!(get(bound.admin, "/metrics", "rebound.evil.com").await.starts_with("HTTP/1.1 421"));
    assert!(get(bound.listeners[0].1, "/", "unknown.test").await.starts_with("HTTP/1.1 404"));

    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(bound.admin).await.is_err());
}

#[tokio::test]
async fn a_bad_file_makes_and_binds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.yaml");
    fs::write(&path, CONFIG.replace("'true'", "user.emial")).unwrap();
    let error = run_file(&path, |_| panic!("it must not start"), std::future::pending()).await.unwrap_err();
    assert!(matches!(error, RunError::Load(LoadError::Invalid(_))), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_taken_admin_port_says_what_to_do() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.yaml");
    let admin = format!("admin: {{ address: {} }}", taken.local_addr().unwrap());
    fs::write(&path, CONFIG.replace("admin: { address: 127.0.0.1:0 }", &admin)).unwrap();
    let error = run_file(&path, |_| {}, std::future::pending()).await.unwrap_err();
    assert!(matches!(error, RunError::Start(StartError::Admin { .. })), "{error}");
    assert!(error.to_string().contains("set `admin.address`"), "{error}");
}
