//! Tests of `network`.

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
