//! Idle, busy, and slow.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::{Activity, Limit, Rest, Resumed};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_head_that_is_due_ends_the_connection_and_a_request_in_time_does_not() {
    let activity = Activity::new(Duration::ZERO, LONG);
    assert_eq!(activity.look(), Rest::Over(Limit::HeaderTimeout));
    activity.begin();
    assert!(matches!(activity.look(), Rest::Until(_)));
    activity.end(Instant::now());
    assert!(matches!(activity.look(), Rest::Until(_)), "no head has begun");
    activity.received();
    assert_eq!(activity.look(), Rest::Over(Limit::HeaderTimeout));
}

#[test]
fn an_idle_connection_ends_and_one_with_a_request_does_not() {
    let activity = Activity::new(LONG, Duration::ZERO);
    activity.begin();
    activity.begin();
    activity.end(Instant::now());
    assert!(matches!(activity.look(), Rest::Until(_)));
    activity.end(Instant::now());
    assert_eq!(activity.look(), Rest::Over(Limit::IdleTimeout));
}

#[tokio::test]
async fn what_was_read_before_is_read_first() {
    let (mut client, server) = tokio::io::duplex(64);
    client.write_all(b" later").await.unwrap();
    drop(client);
    let mut watched = Resumed::new(server, b"first");
    let mut some = [0; 2];
    watched.read_exact(&mut some).await.unwrap();
    let mut rest = String::new();
    watched.read_to_string(&mut rest).await.unwrap();
    assert_eq!((&some, &*rest), (b"fi", "rst later"));
}
