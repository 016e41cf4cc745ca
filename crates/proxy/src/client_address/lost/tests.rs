//! Tests of what counts as a lost address.

use super::*;

fn check(peer: &str, header: &'static str, trusted: &[&str], expected: bool) {
    let trusted: Vec<_> = trusted.iter().map(|network| network.parse().unwrap()).collect();
    let headers = HeaderMap::from_iter([(header.parse().unwrap(), "198.51.100.7".parse().unwrap())]);
    let found = is_lost(peer.parse().unwrap(), &headers, &TrustedProxies::new(&trusted));
    assert_eq!(found, expected, "{peer} {header} {trusted:?}");
}

#[test]
fn a_private_peer_that_forwards_while_nothing_is_trusted_is_noticed() {
    for peer in ["10.0.3.7", "192.168.1.1", "172.20.0.1", "100.64.0.9", "127.0.0.1", "::1", "fd00::1", "fe80::1"] {
        for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
            check(peer, header, &[], true);
        }
    }
}

#[test]
fn strangers_other_headers_and_listeners_that_trust_somebody_are_not() {
    check("203.0.113.9", "x-forwarded-for", &[], false);
    check("100.128.0.1", "x-forwarded-for", &[], false);
    check("2001:db8::1", "x-forwarded-for", &[], false);
    check("10.0.3.7", "x-own", &[], false);
    check("10.0.3.7", "x-forwarded-for", &["10.0.0.0/8"], false);
    check("10.0.3.7", "x-forwarded-for", &["192.0.2.0/24"], false);
}

#[test]
fn each_is_counted() {
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = crate::Metrics::register(&mut registry).listener("edge");
    let peer = "10.0.3.7".parse().unwrap();
    let address = ClientAddress { client: peer, peer, source: identity::AddressSource::Peer };
    let headers = HeaderMap::from_iter([("forwarded".parse().unwrap(), "for=1.1.1.1".parse().unwrap())]);
    for _ in 0..3 {
        watch("edge", &address, &headers, &TrustedProxies::default(), &metrics);
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains(r#"portcullis_client_addresses_lost_total{listener="edge"} 3"#), "{text}");
}

#[test]
fn many_users_behind_one_address_are_noticed_once() {
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = crate::Metrics::register(&mut registry).listener("edge");
    let sign_ins = SignIns::default();
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let sign_in = |address: &str, source, user: usize, hours: i64| {
        let address = address.parse().unwrap();
        let address = ClientAddress { client: address, peer: address, source };
        sign_ins.note("edge", &address, &format!("user {user}"), now + SignedDuration::from_hours(hours), &metrics);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = r#"portcullis_client_addresses_shared_total{listener="edge"} "#;
        text.lines().find_map(|text| text.strip_prefix(line)).unwrap().parse::<u64>().unwrap()
    };
    let peer = AddressSource::Peer;
    for user in 0..100 {
        assert_eq!(sign_in("10.0.3.7", AddressSource::XForwardedFor, user, 0), 0);
        assert_eq!(sign_in(&format!("10.0.4.{user}"), peer, user, 0), 0);
        assert_eq!(sign_in("10.0.5.1", peer, 1, 0), 0);
        // One a day are not many.
        assert_eq!(sign_in("10.0.6.1", peer, user, 25 * i64::try_from(user).unwrap()), 0);
    }
    for user in 0..MANY_USERS - 1 {
        assert_eq!(sign_in("10.0.3.7", peer, user, 0), 0);
        assert_eq!(sign_in("10.0.3.7", peer, user, 0), 0);
    }
    assert_eq!(sign_in("10.0.3.7", peer, MANY_USERS, 1), 1);
    assert_eq!(sign_in("10.0.3.7", peer, MANY_USERS + 1, 1), 1);
}

#[test]
fn what_is_remembered_is_bounded() {
    let sign_ins = SignIns::default();
    for address in 0..20_000u32 {
        let address = Ip::new(Ipv4Addr::from(address).into());
        sign_ins.is_shared_now(address, "ada", Timestamp::UNIX_EPOCH);
    }
    assert!(sign_ins.0.lock().unwrap().by_address.len() <= MAX_ADDRESSES);
}
