//! What a receiver of OTLP makes of records, and what becomes of what it does not take.

use std::time::Duration;

use audit::{Config, Event, EventKind, Log};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::record;
use crate::otlp::message::{AnyValue, ExportLogs, KeyValue};
use crate::ship::tests::start;
use crate::{Otlp, Receiver, Sinks};

#[test]
fn a_record_is_the_line_with_what_people_filter_by() {
    let line = r#"{"time":"2026-01-01T00:00:00.5Z","id":"7","kind":"request","route":"git","decision":"deny","reason":"no-policy-matched","client_ip":"10.0.0.1","method":"GET","status":403,"trace_id":"0af7651916cd43dd8448eb211c80319c","user":{"id":"i|s","email":"ada@example.com"}}"#;
    let record = record(line.as_bytes(), 3);
    assert_eq!(record.time_unix_nano, 1_767_225_600_500_000_000);
    assert_eq!((record.severity_number, &*record.severity_text, record.observed_time_unix_nano), (10, "INFO2", 3));
    assert_eq!(record.body, Some(AnyValue::text(line)));
    assert_eq!((record.trace_id[0], record.trace_id.len()), (0x0a, 16));
    assert_eq!(record.event_name, "portcullis.audit.request");
    for attribute in [
        KeyValue::text("portcullis.reason", "no-policy-matched"),
        KeyValue::text("user.email", "ada@example.com"),
        KeyValue::number("http.response.status_code", 403),
    ] {
        assert!(record.attributes.contains(&attribute), "{attribute:?}");
    }
    let odd = super::record(b"no json", 0);
    assert_eq!((odd.body, odd.attributes.len()), (Some(AnyValue::text("no json")), 0));
}

/// Reads one request, and returns its head and body.
async fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    };
    let head = String::from_utf8(read[..end].to_vec()).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
    let mut body = read.split_off(end);
    while body.len() < length {
        assert!(stream.read_buf(&mut body).await.unwrap() > 0);
    }
    (head, body)
}

fn reasons(body: &[u8]) -> Vec<String> {
    let export = ExportLogs::decode(body).unwrap();
    let records = export.resource_logs.into_iter().flat_map(|of| of.scope_logs).flat_map(|of| of.log_records);
    let reason = |record: crate::otlp::message::LogRecord| {
        record.attributes.into_iter().find(|attribute| attribute.key == "portcullis.reason")
    };
    let text = |attribute: KeyValue| match attribute.value?.value? {
        crate::otlp::message::Value::Text(text) => Some(text),
        crate::otlp::message::Value::Number(_) => None,
    };
    records.filter_map(reason).filter_map(text).collect()
}

#[tokio::test]
async fn a_batch_is_sent_until_it_is_taken_and_dropped_only_where_it_is_at_fault() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { dir: folder.path().to_owned(), ..Config::default() };
    let log = Log::open(&config).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp = Otlp {
        receiver: Receiver { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port(), tls: None },
        path: "/v1/logs".into(),
        headers: vec![("x-token".parse().unwrap(), "secret".parse().unwrap())],
        timeout: Duration::from_secs(10),
    };
    let shippers = start(&Sinks { otlp: Some(otlp), syslog: None }, &config);
    let progress = shippers.progress();
    let note = |reason| {
        log.note(&Event::new("2026-01-01T00:00:00Z".parse().unwrap(), EventKind::Reload, "sighup", reason)).unwrap();
    };
    note("one");
    let mut stream = listener.accept().await.unwrap().0;
    let (head, body) = request(&mut stream).await;
    assert!(head.starts_with("post /v1/logs http/1.1\r\n"), "{head}");
    for line in ["content-type: application/x-protobuf", "x-token: secret"] {
        assert!(head.lines().any(|found| found == line), "{head}");
    }
    assert_eq!(reasons(&body), ["one"]);
    stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    drop(stream);
    let mut stream = listener.accept().await.unwrap().0;
    assert_eq!(reasons(&request(&mut stream).await.1), ["one"]);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    note("two");
    assert_eq!(reasons(&request(&mut stream).await.1), ["two"]);
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    note("three");
    assert_eq!(reasons(&request(&mut stream).await.1), ["three"]);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    log.close();
    let finished = tokio::task::spawn_blocking(move || shippers.finish());
    let (_, last) = request(&mut stream).await;
    assert!(reasons(&last).is_empty());
    // One of its two lines is not taken.
    let partial = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n\x0a\x04\x08\x01\x12\x00";
    stream.write_all(partial).await.unwrap();
    finished.await.unwrap();
    assert_eq!(progress[0].lines_dropped(), 2);
    // The first line of the segment, and two records.
    assert_eq!(progress[0].lines_sent(), 3);
}
