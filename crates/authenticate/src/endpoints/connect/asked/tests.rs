//! What may be asked, and what is told from it.

use super::{Asked, Callback, Query};

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn asked(query: &str) -> Option<Asked> {
    Asked::of(&Query::parse(query.as_bytes()))
}

fn good() -> String {
    format!(
        "redirect_uri=http%3A%2F%2F127.0.0.1%3A7%2F&code_challenge={CHALLENGE}&code_challenge_method=S256&state=s.-_~1"
    )
}

#[test]
fn a_program_waits_on_loopback_and_nowhere_else() {
    for good in ["http://127.0.0.1:1/", "http://127.0.0.1:65535/", "http://[::1]:8080/"] {
        assert_eq!(Callback::parse(good).expect(good).to_string(), good);
    }
    for bad in [
        "",
        "https://127.0.0.1:8080/",
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8080/x",
        "http://127.0.0.1:8080//",
        "http://127.0.0.1:8080/?x",
        "http://127.0.0.1/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:08080/",
        "http://127.0.0.1:+80/",
        "http://127.0.0.1:65536/",
        "http://127.1:8080/",
        "http://127.0.0.2:8080/",
        "http://2130706433:8080/",
        "http://0x7f.0.0.1:8080/",
        "http://127.0.0.01:8080/",
        "http://localhost:8080/",
        "http://localhost.evil.example:8080/",
        "http://127.0.0.1.evil.example:8080/",
        "http://127.0.0.1:8080@evil.example/",
        "http://user@127.0.0.1:8080/",
        "http://evil.example:8080/",
        "http://10.0.0.1:8080/",
        "http://0.0.0.0:8080/",
        "http://[::]:8080/",
        "http://[::1%1]:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
        "http://[0:0:0:0:0:0:0:1]:8080/",
        "HTTP://127.0.0.1:8080/",
        "http:\\\\127.0.0.1:8080\\",
        "javascript:alert(1)//",
        " http://127.0.0.1:8080/",
        "http://127.0.0.1:8080/\n",
    ] {
        assert_eq!(Callback::parse(bad), None, "{bad}");
    }
}

#[test]
fn every_parameter_is_there_once_and_the_challenge_is_a_hash() {
    let good = good();
    assert!(asked(&good).is_some());
    for (from, to) in [
        ("redirect_uri=", "redirect="),
        ("redirect_uri=", "redirect_uri=http%3A%2F%2F127.0.0.1%3A8%2F&redirect_uri="),
        ("code_challenge_method=S256", "code_challenge_method=plain"),
        ("code_challenge_method=S256", "code_challenge_method=s256"),
        ("&code_challenge_method=S256", ""),
        (CHALLENGE, ""),
        (CHALLENGE, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw"),
        (CHALLENGE, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="),
        ("state=s.-_~1", "state="),
        ("state=s.-_~1", "state=a%20b"),
        ("state=s.-_~1", "state=%0d%0a"),
        ("state=s.-_~1", "state=1&state=1"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert_eq!(asked(&bad), None, "{bad}");
    }
    assert_eq!(asked(&good.replace("s.-_~1", &"x".repeat(129))), None);
}

#[test]
fn what_is_asked_survives_the_way_to_sign_in_and_back() {
    let query = format!("{}&provider=corp&max_age=900&acr_values=phr+phrh", good());
    let asked_first = asked(&query).unwrap();
    let (path, again) = asked_first.url().split_once('?').map(|(p, q)| (p.to_owned(), q.to_owned())).unwrap();
    assert_eq!(path, "/.portcullis/connect");
    assert_eq!(asked(&again), Some(asked_first.clone()));
    let sign_in = asked_first.sign_in_url();
    let (_, sign_in) = sign_in.split_once('?').unwrap();
    let sign_in = Query::parse(sign_in.as_bytes());
    assert_eq!(sign_in.get("provider"), Some("corp"));
    assert_eq!(sign_in.get("max_age"), Some("900"));
    assert_eq!(sign_in.get("acr_values"), Some("phr phrh"));
    // As sign-in takes it: it must not be one of those that become `/`.
    let back = crate::handoff::return_path(sign_in.get("return_to"));
    assert_eq!(back, asked_first.url());
    assert_eq!(asked_first.callback_url("a+b"), "http://127.0.0.1:7/?code=a%2Bb&state=s.-_%7E1");
}

#[test]
fn what_is_too_long_to_come_back_to_is_not_asked() {
    let with = |values: usize| asked(&format!("{}&acr_values={}", good(), vec!["x".repeat(128); values].join("+")));
    assert!(with(8).is_some());
    assert!(asked(&format!("{}&acr_values={}", good(), vec!["/".repeat(128); 8].join("+"))).is_none());
}
