//! Tests of the client's address. `10.0.0.0/8` is trusted.

use http::{HeaderName, HeaderValue, Request};
use identity::Scheme;
use proptest::prelude::*;

use super::*;
use crate::sanitize::authority;

fn trusted() -> TrustedProxies {
    TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()])
}

fn connected(peer: Ip) -> ClientAddress {
    ClientAddress { client: peer, peer, source: AddressSource::Peer }
}

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

fn check(peer: &str, lines: &[(&str, &str)], expected: Result<(&str, AddressSource), &str>) {
    let peer = peer.parse().unwrap();
    let found = client_address(connected(peer), &map(lines), &trusted(), &ForwardedHeader::XForwardedFor);
    let found = found.map_err(|refusal| refusal.code).map(|address| {
        assert_eq!(address.peer, peer);
        (address.client.to_string(), address.source)
    });
    assert_eq!(found, expected.map(|(client, source)| (client.to_owned(), source)), "{lines:?}");
}

fn check_chain(chain: &str, expected: Result<&str, &str>) {
    let expected = expected.map(|client| (client, AddressSource::XForwardedFor));
    check("10.0.0.1", &[("x-forwarded-for", chain)], expected);
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_claims() {
    check("203.0.113.9", &[("x-forwarded-for", "1.1.1.1")], Ok(("203.0.113.9", AddressSource::Peer)));
    check("203.0.113.9", &[("x-forwarded-for", "unknown")], Ok(("203.0.113.9", AddressSource::Peer)));
    check("11.0.0.1", &[("x-forwarded-for", "1.1.1.1")], Ok(("11.0.0.1", AddressSource::Peer)));
}

#[test]
fn the_first_untrusted_entry_from_the_right_is_the_client() {
    check_chain("6.6.6.6, 198.51.100.7", Ok("198.51.100.7"));
    check_chain("198.51.100.7, 10.2.2.2", Ok("198.51.100.7"));
    check_chain("6.6.6.6,198.51.100.7\t,\t10.2.2.2 , 10.3.3.3", Ok("198.51.100.7"));
    check_chain("unknown, 198.51.100.7", Ok("198.51.100.7"));
    check_chain("10.1.1.1, 10.2.2.2", Ok("10.1.1.1"));
}

#[test]
fn lines_are_joined_in_order() {
    let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "198.51.100.7")];
    check("10.0.0.1", &lines, Ok(("198.51.100.7", AddressSource::XForwardedFor)));
    let lines = [("x-forwarded-for", "6.6.6.6, 198.51.100.7"), ("x-forwarded-for", "10.9.9.9")];
    check("10.0.0.1", &lines, Ok(("198.51.100.7", AddressSource::XForwardedFor)));
}

#[test]
fn an_entry_that_is_no_address_leaves_the_client_unknown() {
    for entry in [
        "unknown",
        "_obfuscated",
        "",
        " ",
        "010.0.0.1",
        "10.0.0.1/8",
        "198.51.100.7:",
        "198.51.100.7:+80",
        "198.51.100.7:65536",
        "198.51.100.7:80:80",
        "[198.51.100.7]",
        "[2001:db8::1",
        "[2001:db8::1]443",
        "[2001:db8::1]:",
        "fe80::1%eth0",
        "[fe80::1%eth0]:80",
        "localhost",
        "\"198.51.100.7\"",
        "198.51.100.7 198.51.100.8",
        "1.1.1",
        "0x7f.0.0.1",
    ] {
        check_chain(&format!("198.51.100.7, {entry}"), Err("client-address-unknown"));
        check_chain(&format!("198.51.100.7, {entry}, 10.2.2.2"), Err("client-address-unknown"));
    }
    check_chain("a", Err("client-address-unknown"));
    let bytes =
        HeaderMap::from_iter([(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_bytes(b"\xff").unwrap())]);
    let found =
        client_address(connected("10.0.0.1".parse().unwrap()), &bytes, &trusted(), &ForwardedHeader::XForwardedFor);
    assert_eq!(found.unwrap_err().code, "client-address-unknown");
}

#[test]
fn addresses_have_one_form() {
    check(
        "::ffff:10.0.0.1",
        &[("x-forwarded-for", "198.51.100.7")],
        Ok(("198.51.100.7", AddressSource::XForwardedFor)),
    );
    check_chain("::ffff:192.0.2.8", Ok("192.0.2.8"));
    check_chain("[::ffff:192.0.2.8]:1", Ok("192.0.2.8"));
    check_chain("198.51.100.7, ::ffff:10.2.2.2", Ok("198.51.100.7"));
    check_chain("[2001:db8::1]:443", Ok("2001:db8::1"));
    check_chain("[2001:DB8:0::1]", Ok("2001:db8::1"));
    check_chain("2001:db8::1", Ok("2001:db8::1"));
    check_chain("198.51.100.7:55555", Ok("198.51.100.7"));
}

#[test]
fn a_trusted_peer_without_the_header_is_the_client() {
    check("10.0.0.1", &[], Ok(("10.0.0.1", AddressSource::Peer)));
}

#[test]
fn no_other_header_is_read() {
    for name in ["x_forwarded_for", "x-real-ip", "true-client-ip", "cf-connecting-ip", "forwarded", "x-client-ip"] {
        check("10.0.0.1", &[(name, "1.1.1.1")], Ok(("10.0.0.1", AddressSource::Peer)));
    }
}

#[test]
fn with_none_no_header_is_believed() {
    let peer = "10.0.0.1".parse().unwrap();
    let lines = map(&[("x-forwarded-for", "unknown")]);
    let found = client_address(connected(peer), &lines, &trusted(), &ForwardedHeader::None).unwrap();
    assert_eq!((found.client, found.source), (peer, AddressSource::Peer));
}

#[test]
fn a_chain_has_a_bound() {
    check_chain(&vec!["10.2.2.2"; MAX_ENTRIES].join(","), Ok("10.2.2.2"));
    check_chain(&vec!["10.2.2.2"; MAX_ENTRIES + 1].join(","), Err("forwarded-chain-too-long"));
    check_chain(&vec!["1.1.1.1"; 10_000].join(", "), Err("forwarded-chain-too-long"));
    let lines = vec![("x-forwarded-for", "1.1.1.1"); MAX_ENTRIES + 1];
    check("10.0.0.1", &lines, Err("forwarded-chain-too-long"));
}

#[test]
fn networks_are_compared_in_the_form_of_addresses() {
    let trusts = |network: &str, address: &str| {
        TrustedProxies::new(&[network.parse().unwrap()]).contains(address.parse().unwrap())
    };
    assert!(trusts("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert!(!trusts("::ffff:10.0.0.0/104", "11.1.2.3"));
    assert!(trusts("2001:db8::/32", "2001:db8::1"));
    assert!(!trusts("10.0.0.0/8", "2001:db8::1"));
    for all in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
        assert!(!trusts(all, "198.51.100.7") && !trusts(all, "2001:db8::1"), "{all}");
    }
}

#[test]
fn a_client_that_is_named_twice_is_the_same_or_unknown() {
    let same = [("forwarded", "for=198.51.100.7"), ("x-forwarded-for", "6.6.6.6, 198.51.100.7")];
    let other = [("forwarded", "for=\"[2001:db8::1]\";proto=https"), ("x-forwarded-for", "1.1.1.1")];
    let found = |lines: &[_], header| {
        client_address(connected("10.0.0.1".parse().unwrap()), &map(lines), &trusted(), &header)
            .map(|address| (address.client.to_string(), address.source.as_str()))
            .map_err(|refusal| refusal.code)
    };
    let client = || "198.51.100.7".to_owned();
    assert_eq!(found(&same, ForwardedHeader::Forwarded), Ok((client(), "forwarded")));
    assert_eq!(found(&same, ForwardedHeader::XForwardedFor), Ok((client(), "x-forwarded-for")));
    for header in [ForwardedHeader::Forwarded, ForwardedHeader::XForwardedFor] {
        assert_eq!(found(&other, header), Err("forwarded-headers-disagree"));
    }
}

#[test]
fn a_header_with_one_address_is_read_where_it_is_configured() {
    let header = ForwardedHeader::Single(HeaderName::from_static("cf-connecting-ip"));
    let found = |peer: &str, lines: &[_]| {
        client_address(connected(peer.parse().unwrap()), &map(lines), &trusted(), &header)
            .map(|address| (address.client.to_string(), address.source.as_str()))
            .map_err(|refusal| refusal.code)
    };
    let cf = "cf-connecting-ip";
    assert_eq!(found("10.0.0.1", &[(cf, "198.51.100.7")]), Ok(("198.51.100.7".to_owned(), "header")));
    assert_eq!(found("10.0.0.1", &[(cf, "2001:db8::1")]), Ok(("2001:db8::1".to_owned(), "header")));
    assert_eq!(found("203.0.113.9", &[(cf, "198.51.100.7")]), Ok(("203.0.113.9".to_owned(), "peer")));
    assert_eq!(found("10.0.0.1", &[("x-forwarded-for", "1.1.1.1")]), Ok(("10.0.0.1".to_owned(), "peer")));
    for value in ["198.51.100.7, 6.6.6.6", "unknown", "010.0.0.1", ""] {
        assert_eq!(found("10.0.0.1", &[(cf, value)]), Err("client-address-unknown"), "{value}");
    }
    assert_eq!(found("10.0.0.1", &[(cf, "198.51.100.7"), (cf, "198.51.100.7")]), Err("client-address-unknown"));
}

#[test]
fn whom_a_proxy_header_names_may_be_a_trusted_proxy_itself() {
    let by_header = |client: &str| ClientAddress {
        client: client.parse().unwrap(),
        peer: "10.0.0.1".parse().unwrap(),
        source: AddressSource::ProxyProtocol,
    };
    let found = |client, lines: &[_]| {
        let found =
            client_address(by_header(client), &map(lines), &trusted(), &ForwardedHeader::XForwardedFor).unwrap();
        assert_eq!(found.peer.to_string(), "10.0.0.1");
        (found.client.to_string(), found.source.as_str())
    };
    let forged = [("x-forwarded-for", "198.51.100.7")];
    assert_eq!(found("203.0.113.9", &forged), ("203.0.113.9".to_owned(), "proxy_protocol"));
    assert_eq!(found("10.2.2.2", &forged), ("198.51.100.7".to_owned(), "x-forwarded-for"));
    assert_eq!(found("10.2.2.2", &[]), ("10.2.2.2".to_owned(), "proxy_protocol"));
}

#[test]
fn upstreams_learn_what_is_known_and_not_what_was_claimed() {
    let told = |host: &str, client: &str, scheme| {
        let parts = Request::builder().uri("/").header("host", host).body(()).unwrap().into_parts().0;
        let authority = authority(&parts).unwrap();
        let client = client.parse().unwrap();
        let address = ClientAddress { client, peer: client, source: AddressSource::Peer };
        let mut headers =
            map(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "7.7.7.7"), ("x-request-id", "mine")]);
        let id = HeaderValue::from_static("0198");
        let client = client_header(address.client).unwrap();
        let host = authority.to_header(parts.headers.get("host")).unwrap();
        let mut told = Told::new(client, scheme, host, authority.port(), id);
        told.add_to(&mut headers);
        for (name, value) in told.lines() {
            assert_eq!(told.get(name), headers.get(name));
            assert_eq!(headers.get(name), Some(value));
        }
        let mut none = headers.clone();
        told.remove_from(&mut none);
        assert!(none.is_empty());
        told.leave(&HeaderName::from_static("x-request-id"));
        let mut left = map(&[("x-request-id", "set by another")]);
        told.add_to(&mut left);
        assert_eq!((left.len(), left["x-request-id"].as_bytes()), (5, &b"set by another"[..]));
        told.remove_from(&mut left);
        assert_eq!(left.len(), 1);
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-request-id"].map(|name| {
            assert_eq!(headers.get_all(name).iter().count(), 1);
            headers[name].to_str().unwrap().to_owned()
        })
    };
    assert_eq!(
        told("App.example.com", "198.51.100.7", Scheme::Https),
        ["198.51.100.7", "https", "app.example.com", "443", "0198"]
    );
    assert_eq!(
        told("a.example:8080", "2001:db8::1", Scheme::Http),
        ["2001:db8::1", "http", "a.example:8080", "8080", "0198"]
    );
}

proptest! {
    #[test]
    fn the_client_is_never_invented(chain in prop::collection::vec("10\\.0\\.0\\.[1-9]|192\\.0\\.2\\.[1-9]|x|\\[::1\\]:1|[ -~]{0,6}", 0..8)) {
        let joined = chain.join(",");
        let headers = map(&[("x-forwarded-for", &joined)]);
        let peer = "10.0.0.1".parse().unwrap();
        if let Ok(found) = client_address(connected(peer), &headers, &trusted(), &ForwardedHeader::XForwardedFor) {
            let entries: Vec<_> = joined.split(',').map(|entry| parse_entry(entry.as_bytes())).collect();
            prop_assert!(entries.contains(&Some(found.client)));
            let after = entries.iter().rposition(|entry| *entry == Some(found.client)).unwrap() + 1;
            prop_assert!(entries[after..].iter().all(|entry| entry.is_some_and(|address| trusted().contains(address))));
        }
    }

    #[test]
    fn a_stranger_cannot_move_the_client(left in "[ -~]{0,40}") {
        prop_assume!(left.matches(',').count() < 30);
        let chain = format!("{left}, 198.51.100.7, 10.2.2.2");
        check_chain(&chain, Ok("198.51.100.7"));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse_entry(&bytes);
    }
}
