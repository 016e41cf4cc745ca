//! Tests of addresses: one form, and no text that only looks like one.

use super::*;

fn check(text: &str, expected: &str) {
    assert_eq!(text.parse::<Ip>().unwrap().to_string(), expected, "{text}");
}

#[test]
fn an_address_has_one_form() {
    check("192.0.2.1", "192.0.2.1");
    check("::ffff:192.0.2.1", "192.0.2.1");
    check("::FFFF:c000:201", "192.0.2.1");
    check("2001:DB8:0:0::1", "2001:db8::1");
    check("::1", "::1");
    // Compatible, not mapped: deprecated, and no IPv4 address.
    check("::192.0.2.1", "::c000:201");
    check("64:ff9b::192.0.2.1", "64:ff9b::c000:201");
}

#[test]
fn equal_addresses_are_equal_however_they_came() {
    let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    let plain: Ip = "192.0.2.1".parse().unwrap();
    assert_eq!(Ip::new(mapped), plain);
    assert_eq!(Ip::from(SocketAddr::new(mapped, 443)), plain);
    assert_eq!(Ip::from(mapped).get(), "192.0.2.1".parse::<IpAddr>().unwrap());
}

#[test]
fn a_zone_of_the_socket_is_no_part_of_the_address() {
    let socket: SocketAddr = "[fe80::1%3]:443".parse().unwrap();
    assert_eq!(Ip::from(socket).to_string(), "fe80::1");
}

#[test]
fn what_is_no_address_is_refused() {
    for text in [
        "",
        " ",
        "unknown",
        "localhost",
        "192.0.2",
        "192.0.2.1.",
        "192.0.2.256",
        "010.0.0.1",
        "0x7f.0.0.1",
        "3221225985",
        "192.0.2.1:80",
        "192.0.2.0/24",
        " 192.0.2.1",
        "192.0.2.1 ",
        "[::1]",
        "fe80::1%eth0",
        "::g",
        "1::2::3",
        "١.١.١.١",
    ] {
        assert_eq!(text.parse::<Ip>(), Err(InvalidAddress), "{text:?}");
    }
}

#[test]
fn clients_are_counted_by_what_a_customer_is_given() {
    let check = |address: &str, network: &str| {
        assert_eq!(address.parse::<Ip>().unwrap().network(), network.parse().unwrap());
    };
    check("192.0.2.1", "192.0.2.1");
    check("::ffff:192.0.2.1", "192.0.2.1");
    check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
}
