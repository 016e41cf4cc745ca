//! `Forwarded` in all its spellings. `10.0.0.0/8` is trusted.

use proptest::prelude::*;

use super::*;

fn walk(lines: &[&str]) -> Result<Option<String>, &'static str> {
    let trusted = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
    let headers = lines.iter().map(|line| (FORWARDED, line.parse().unwrap())).collect();
    from_the_right(&headers, &trusted).map(|found| found.map(|ip| ip.to_string())).map_err(|refusal| refusal.code)
}

fn check(line: &str, expected: &str) {
    assert_eq!(walk(&[line]), Ok(Some(expected.to_owned())), "{line}");
}

fn refuse(line: &str) {
    assert_eq!(walk(&[line]), Err("client-address-unknown"), "{line}");
}

#[test]
fn the_first_untrusted_element_from_the_right_is_the_client() {
    check("for=198.51.100.7", "198.51.100.7");
    check("for=6.6.6.6, for=198.51.100.7", "198.51.100.7");
    check("for=198.51.100.7;proto=https;by=10.0.0.1, for=10.2.2.2", "198.51.100.7");
    check("proto=https; FOR=198.51.100.7 ;host=\"a;b,c\"", "198.51.100.7");
    check("for=_hidden, for=198.51.100.7", "198.51.100.7");
    check("for=10.1.1.1, for=10.2.2.2", "10.1.1.1");
    assert_eq!(walk(&["for=6.6.6.6", "for=198.51.100.7, for=10.1.1.1"]), Ok(Some("198.51.100.7".to_owned())));
    assert_eq!(walk(&[]), Ok(None));
}

#[test]
fn addresses_may_be_quoted_and_have_ports() {
    check(r#"for="198.51.100.7:47011""#, "198.51.100.7");
    check(r#"for="198.51.100.7:_port""#, "198.51.100.7");
    check(r#"for="[2001:db8:cafe::17]""#, "2001:db8:cafe::17");
    check(r#"for="[2001:db8:cafe::17]:4711""#, "2001:db8:cafe::17");
    check(r#"for="[2001:db8:cafe::17]:_hidden""#, "2001:db8:cafe::17");
    check(r#"for="[::ffff:192.0.2.8]""#, "192.0.2.8");
    check(r#"for="198\.51.100.7""#, "198.51.100.7");
}

#[test]
fn what_names_no_address_leaves_the_client_unknown() {
    for node in [
        "unknown",
        "_gazonk",
        r#""_gazonk""#,
        r#""unknown:80""#,
        "010.0.0.1",
        r#""2001:db8::1""#,
        r#""2001:db8::1:_x""#,
        r#""198.51.100.7:80:_x""#,
        r#""[198.51.100.7]""#,
        r#""[2001:db8::1""#,
        r#""[fe80::1%eth0]""#,
        r#"" 198.51.100.7""#,
        r#""198.51.100.7:""#,
        r#""198.51.100.7:_""#,
        "\"\"",
        "",
    ] {
        refuse(&format!("for={node}"));
        refuse(&format!("for=198.51.100.7, for={node}, for=10.2.2.2"));
    }
    refuse("proto=https");
    refuse("for=198.51.100.7, proto=https");
    refuse("for=198.51.100.7,");
}

#[test]
fn nothing_of_a_header_that_is_none_is_believed() {
    // A stranger's open quote, before what the trusted proxy appended.
    refuse(r#"for=", for=198.51.100.7"#);
    refuse(r#"for="6.6.6.6, for=198.51.100.7"#);
    refuse(r#"for="6.6.6.6\", for=198.51.100.7"#);
    refuse(r#"x="a"b, for=198.51.100.7"#);
    refuse("garbage, for=198.51.100.7");
    refuse("for=198.51.100.7;for=6.6.6.6");
    refuse("for=[2001:db8::1]");
    refuse("for=198.51.100.7:80");
    refuse("for =198.51.100.7");
    assert_eq!(walk(&[&vec!["for=10.0.0.1"; 33].join(",")]), Err("forwarded-chain-too-long"));
}

proptest! {
    #[test]
    fn what_a_trusted_proxy_appends_on_a_line_of_its_own_decides(claimed in "[ -~]{0,60}") {
        // Whatever a client claims, it is either refused or not believed.
        let found = walk(&[&claimed, "for=198.51.100.7"]);
        prop_assert!(found == Ok(Some("198.51.100.7".to_owned())) || found.is_err(), "{found:?}");
    }
}
