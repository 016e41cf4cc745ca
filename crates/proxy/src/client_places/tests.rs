//! Places of clients, given back and not.

use super::*;

#[test]
fn a_client_has_so_many_places_and_no_more() {
    let places = Arc::new(ClientPlaces::default());
    let take = |client: &str| places.take(client.parse().unwrap(), 2);
    let first = take("192.0.2.1");
    let second = take("::ffff:192.0.2.1");
    assert!(first.is_some() && second.is_some());
    assert!(take("192.0.2.1").is_none());
    assert!(take("192.0.2.2").is_some());
    drop(first);
    assert!(take("192.0.2.1").is_some());
}

#[test]
fn an_ipv6_client_has_those_of_its_network() {
    let places = Arc::new(ClientPlaces::default());
    let take = |client: &str| places.take(client.parse().unwrap(), 1);
    let held = take("2001:db8:1:2::1");
    assert!(held.is_some());
    assert!(take("2001:db8:1:2:ffff::9").is_none());
    assert!(take("2001:db8:1:3::1").is_some());
}

#[test]
fn nothing_is_remembered_of_who_has_gone() {
    let places = Arc::new(ClientPlaces::default());
    drop(places.take("192.0.2.1".parse().unwrap(), 1));
    assert!(places.0.lock().unwrap().is_empty());
}
