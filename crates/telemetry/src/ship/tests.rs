//! Who gets which lines where receivers change while the log is written.

use audit::{Config, Log};
use tokio::net::{TcpListener, TcpStream};

use super::{Shippers, Sinks};
use crate::syslog::tests::{message, note, reasons_until, syslog};

/// Ships to these receivers from the start.
pub(crate) fn start(sinks: &Sinks, config: &Config) -> Shippers {
    let shippers = Shippers::new(config.clone());
    shippers.follow(shippers.prepare(sinks.clone()).unwrap());
    shippers
}

fn to(listener: &TcpListener) -> Sinks {
    Sinks { syslog: Some(syslog(listener.local_addr().unwrap().port())), otlp: None }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Reads to the end, and returns the reasons that came; the other side learns that all was read.
async fn reasons_to_the_end(mut stream: TcpStream) -> Vec<String> {
    let mut reasons = Vec::new();
    while let Some((_, reason)) = message(&mut stream).await {
        reasons.extend(reason);
    }
    reasons
}

#[tokio::test]
async fn another_receiver_goes_on_where_the_one_before_was() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { dir: folder.path().to_owned(), ..Config::default() };
    let (log, first, second) = (Log::open(&config).unwrap(), listen().await, listen().await);
    let shippers = start(&to(&first), &config);
    note(&log, "one");
    let mut stream = first.accept().await.unwrap().0;
    assert_eq!(reasons_until(&mut stream, "one").await, ["one"]);

    shippers.follow(shippers.prepare(to(&second)).unwrap());
    assert!(reasons_to_the_end(stream).await.is_empty());
    note(&log, "two");
    let mut stream = second.accept().await.unwrap().0;
    assert_eq!(reasons_until(&mut stream, "two").await, ["two"]);
    let progress = shippers.progress();
    assert_eq!((progress.len(), progress[0].name(), progress[0].lines_dropped()), (1, "syslog", 0));
    log.close();
    let finished = tokio::task::spawn_blocking(move || shippers.finish());
    assert!(reasons_to_the_end(stream).await.is_empty());
    finished.await.unwrap();
}

#[tokio::test]
async fn what_waits_for_a_receiver_that_is_away_is_for_the_one_that_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { dir: folder.path().to_owned(), ..Config::default() };
    let (log, away, there) = (Log::open(&config).unwrap(), listen().await, listen().await);
    let nobody = to(&away);
    drop(away);
    let shippers = start(&nobody, &config);
    note(&log, "one");
    note(&log, "two");
    shippers.follow(shippers.prepare(to(&there)).unwrap());
    let mut stream = there.accept().await.unwrap().0;
    assert_eq!(reasons_until(&mut stream, "two").await, ["one", "two"]);
}

#[tokio::test]
async fn a_receiver_that_was_taken_out_gets_what_came_before_and_goes_on_when_it_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { dir: folder.path().to_owned(), ..Config::default() };
    let (log, listener) = (Log::open(&config).unwrap(), listen().await);
    let shippers = start(&to(&listener), &config);
    let stream = listener.accept().await.unwrap().0;
    note(&log, "one");
    log.flush().unwrap();
    shippers.follow(shippers.prepare(Sinks::default()).unwrap());
    assert!(shippers.progress().is_empty());
    assert_eq!(reasons_to_the_end(stream).await, ["one"]);

    note(&log, "two");
    shippers.follow(shippers.prepare(to(&listener)).unwrap());
    let mut stream = listener.accept().await.unwrap().0;
    assert_eq!(reasons_until(&mut stream, "two").await, ["two"]);
    assert_eq!(shippers.progress().len(), 1);
}

#[tokio::test]
async fn receivers_that_were_prepared_and_not_taken_get_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { dir: folder.path().to_owned(), ..Config::default() };
    let (log, listener, other) = (Log::open(&config).unwrap(), listen().await, listen().await);
    let shippers = start(&Sinks::default(), &config);
    note(&log, "one");
    drop(shippers.prepare(to(&other)).unwrap());
    shippers.follow(shippers.prepare(to(&listener)).unwrap());
    let mut stream = listener.accept().await.unwrap().0;
    assert_eq!(reasons_until(&mut stream, "one").await, ["one"]);
    assert!(tokio::time::timeout(std::time::Duration::ZERO, other.accept()).await.is_err());
}
