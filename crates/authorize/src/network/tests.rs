//! Tests of `network`.

use std::cell::Cell;
use std::cmp::Ordering;
use std::net::IpAddr;

use super::NetworkSet;

fn set(networks: &[&str]) -> NetworkSet {
    NetworkSet::new(networks.iter().map(|network| network.parse().unwrap()))
}

#[track_caller]
fn check(networks: &[&str], address: &str, expected: bool) {
    assert_eq!(set(networks).contains(address.parse::<IpAddr>().unwrap()), expected, "{address} in {networks:?}");
}

#[test]
fn the_first_and_last_address_of_a_network_are_in_it() {
    let networks = ["10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"];
    for (address, expected) in [
        ("10.0.255.255", false),
        ("10.1.0.0", true),
        ("10.1.255.255", true),
        ("10.2.0.0", false),
        ("192.0.2.6", false),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("2001:db8::", true),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ("2001:db9::", false),
        ("0.0.0.0", false),
        ("255.255.255.255", false),
    ] {
        check(&networks, address, expected);
    }
    check(&[], "10.0.0.1", false);
}

#[test]
fn networks_that_overlap_or_touch_are_one_range() {
    assert_eq!(set(&["10.0.0.0/9", "10.128.0.0/9", "10.3.0.0/16"]), set(&["10.0.0.0/8"]));
    assert_eq!(set(&["0.0.0.0/1", "128.0.0.0/1", "255.255.255.255/32"]), set(&["0.0.0.0/0"]));
    check(&["0.0.0.0/0"], "255.255.255.255", true);
    check(&["0.0.0.0/0"], "::1", false);
}

#[test]
fn mapped_networks_are_ipv4() {
    check(&["::ffff:10.0.0.0/104"], "10.1.2.3", true);
    check(&["::ffff:10.0.0.0/104"], "11.1.2.3", false);
    check(&["::/0"], "10.1.2.3", true);
    check(&["::/64"], "10.1.2.3", true);
    check(&["2000::/3"], "10.1.2.3", false);
}

/// A number that counts how often it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted(u32);

thread_local! {
    static COMPARED: Cell<usize> = const { Cell::new(0) };
}

impl Ord for Counted {
    fn cmp(&self, other: &Self) -> Ordering {
        COMPARED.set(COMPARED.get() + 1);
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Counted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[test]
fn an_address_is_found_among_ten_thousand_networks_in_some_fifteen_looks() {
    let ranges: Vec<(Counted, Counted)> = (0..10_000).map(|n| (Counted(n * 512), Counted(n * 512 + 255))).collect();
    for (address, expected) in [(0, true), (256, false), (5_119_488, true), (5_119_999, false), (2_560_100, true)] {
        COMPARED.set(0);
        assert_eq!(super::covers(&ranges, Counted(address)), expected, "{address}");
        assert!(COMPARED.get() <= 18, "{} comparisons", COMPARED.get());
    }
}
