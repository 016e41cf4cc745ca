//! What a receiver of syslog gets, also when it is away for a while.

use std::time::Duration;

use audit::{Config, Event, EventKind, Log};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Syslog, time};
use crate::ship::tests::start;
use crate::{Receiver, Sinks};

pub(crate) fn syslog(port: u16) -> Syslog {
    let receiver = Receiver { host: "127.0.0.1".into(), port, tls: None };
    Syslog { receiver, facility: 10, hostname: "proxy-1".into(), app_name: "portcullis".into() }
}

pub(crate) fn note(log: &Log, reason: &str) {
    log.note(&Event::new("2026-01-01T00:00:00Z".parse().unwrap(), EventKind::Reload, "sighup", reason)).unwrap();
}

/// The next message, and the reason in its record.
pub(crate) async fn message(stream: &mut TcpStream) -> Option<(String, Option<String>)> {
    let mut length = 0;
    loop {
        match stream.read_u8().await.ok()? {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.ok()?;
    let message = String::from_utf8(message).unwrap();
    let (head, line) = message.split_once("] ").unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    Some((head.to_owned(), line["reason"].as_str().map(str::to_owned)))
}

/// Reads messages until one has this reason, and returns all reasons.
pub(crate) async fn reasons_until(stream: &mut TcpStream, last: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    let reading = async {
        while let Some((_, reason)) = message(stream).await {
            reasons.extend(reason.clone());
            if reason.as_deref() == Some(last) {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), reading).await.unwrap();
    reasons
}

#[test]
fn a_message_is_one_of_rfc_5424_after_its_length() {
    let mut frames = Vec::new();
    let line = br#"{"time":"2026-01-01T00:00:00.123456789Z","id":"7","kind":"request","decision":"deny"}"#;
    syslog(0).frame(line, &mut frames);
    let text = String::from_utf8(frames).unwrap();
    let (length, message) = text.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), message.len());
    let process = std::process::id();
    let head = format!("<85>1 2026-01-01T00:00:00.123456Z proxy-1 portcullis {process} request [origin software=");
    assert!(message.starts_with(&head), "{message}");
    assert!(message.ends_with(&format!("\"] {}", std::str::from_utf8(line).unwrap())), "{message}");
}

#[test]
fn a_line_of_any_form_is_a_message() {
    for line in [&b"{}"[..], b"no json", b"{\"time\":3}", "{\"kind\":\"\u{fc}\"}".as_bytes()] {
        let mut frames = Vec::new();
        syslog(0).frame(line, &mut frames);
        assert!(frames.ends_with(line));
    }
    assert_eq!(time(""), "-");
    assert_eq!(time("2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_receiver_that_was_away_gets_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { dir: folder.path().to_owned(), ..Config::default() };
    let log = Log::open(&config).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sinks = Sinks { syslog: Some(syslog(address.port())), otlp: None };
    let shippers = start(&sinks, &config);
    let progress = shippers.progress();

    note(&log, "one");
    let mut stream = listener.accept().await.unwrap().0;
    assert_eq!(reasons_until(&mut stream, "one").await, ["one"]);
    // It goes away without a word, and with its port.
    drop((stream, listener));
    note(&log, "two");
    log.flush().unwrap();
    note(&log, "three");
    let listener = TcpListener::bind(address).await.unwrap();
    let mut stream = timeout(Duration::from_secs(30), listener.accept()).await.unwrap().unwrap().0;
    // What was sent just before the break comes again: nobody knows whether it had arrived.
    assert_eq!(reasons_until(&mut stream, "three").await, ["one", "two", "three"]);

    note(&log, "four");
    log.close();
    let finished = tokio::task::spawn_blocking(move || shippers.finish());
    assert_eq!(reasons_until(&mut stream, "four").await, ["four"]);
    // The last line of the segment, and the end.
    assert!(message(&mut stream).await.is_some_and(|(head, _)| head.contains(" segment_end ")));
    assert!(message(&mut stream).await.is_none());
    drop(stream);
    finished.await.unwrap();
    assert_eq!((progress[0].name(), progress[0].lines_dropped()), ("syslog", 0));
    assert!(progress[0].oldest_waiting().is_none());

    // The next process goes on behind what had arrived.
    let log = Log::open(&config).unwrap();
    let shippers = start(&sinks, &config);
    note(&log, "five");
    let mut stream = listener.accept().await.unwrap().0;
    assert_eq!(reasons_until(&mut stream, "five").await, ["five"]);
    log.close();
    drop(stream);
    drop(shippers);
}
