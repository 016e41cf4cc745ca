//! So many connections, and what happens to them when the number changes.

use std::sync::Arc;

use super::OpenPlaces;

#[tokio::test]
async fn whoever_waits_gets_the_next_place() {
    let places = Arc::new(OpenPlaces::default());
    let first = places.try_take(1).unwrap();
    assert!(places.try_take(1).is_none());
    let mut waiting = Box::pin(places.take(1));
    let early = tokio::select! {
        biased;
        _ = &mut waiting => true,
        () = async {} => false,
    };
    assert!(!early);
    drop(first);
    let _second = waiting.await;
    assert!(places.try_take(1).is_none());
}

#[test]
fn another_limit_counts_the_connections_that_are_open() {
    let places = Arc::new(OpenPlaces::default());
    let mut open: Vec<_> = (0..3).map(|_| places.try_take(3).unwrap()).collect();
    assert!(places.try_take(2).is_none());
    open.pop();
    assert!(places.try_take(2).is_none());
    open.pop();
    assert!(places.try_take(2).is_some());
    open.extend((0..4).map(|_| places.try_take(5).unwrap()));
    assert!(places.try_take(5).is_none());
}
