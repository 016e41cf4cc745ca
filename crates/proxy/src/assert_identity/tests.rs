//! Tests of identity headers: no claim begins another header, and what is absent stays absent.

use http::HeaderName;
use identity::{Claims, Identity, Issuer, Kind, Proof, ProviderId, Subject, Verified};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::IdentityClaim;

fn caller(name: &str, groups: &[&str]) -> Identity {
    let claims = json!({
        "nickname": name,
        "empty": "",
        "null": null,
        "level": 7,
        "realm": { "roles": ["a", "ü"] },
    });
    Identity::verified(Verified {
        issuer: Issuer::new("https://idp.example").unwrap(),
        subject: Subject::new("42").unwrap(),
        kind: Kind::Person,
        provider: ProviderId::new("corp").unwrap(),
        email: "".into(),
        name: name.into(),
        groups: groups.iter().map(|group| (*group).into()).collect(),
        claims: Claims::verified(claims.as_object().unwrap().clone()),
        proof: Proof::default(),
    })
}

fn header(caller: &Identity, claim: IdentityClaim) -> Option<String> {
    let name = HeaderName::from_static("x-claim");
    let identity = IdentityHeaders {
        assertion_header: HeaderName::from_static("x-portcullis-jwt-assertion"),
        headers: vec![(name.clone(), claim)],
    };
    let mut headers = HeaderMap::from_iter([(name.clone(), "from downstream".parse().unwrap())]);
    set_claims(&mut headers, &identity, caller).unwrap();
    assert!(headers.get_all(&name).iter().count() <= 1);
    headers.get(&name).map(|value| value.to_str().unwrap().to_owned())
}

fn claim(path: &str) -> IdentityClaim {
    IdentityClaim::Claim(path.into())
}

#[test]
fn texts_are_sent_as_they_are() {
    let ada = caller("Ada Lovelace", &[]);
    assert_eq!(header(&ada, IdentityClaim::Name).as_deref(), Some("Ada Lovelace"));
    assert_eq!(header(&ada, IdentityClaim::Id).as_deref(), Some("https://idp.example|42"));
    assert_eq!(header(&ada, claim("nickname")).as_deref(), Some("Ada Lovelace"));
}

#[test]
fn a_claim_that_the_user_lacks_leaves_no_header() {
    let ada = caller("", &[]);
    for absent in
        [IdentityClaim::Email, IdentityClaim::Name, claim("empty"), claim("null"), claim("none"), claim("level.x")]
    {
        assert_eq!(header(&ada, absent.clone()), None, "{absent:?}");
    }
}

#[test]
fn no_claim_begins_another_header() {
    let evil = caller("a\r\nX-Role: admin\0\x7f", &["x\r\ny"]);
    assert_eq!(header(&evil, IdentityClaim::Name).as_deref(), Some("a%0D%0AX-Role: admin%00%7F"));
    assert_eq!(header(&evil, IdentityClaim::Groups).as_deref(), Some(r#"["x\r\ny"]"#));
    assert_eq!(header(&caller("Zoë 100%", &[]), IdentityClaim::Name).as_deref(), Some("Zo%C3%AB 100%25"));
}

#[test]
fn no_group_becomes_two() {
    let ada = caller("Ada", &["a,b", "c|d", "\"e\"", "ü😀"]);
    let value = header(&ada, IdentityClaim::Groups).unwrap();
    assert_eq!(value, r#"["a,b","c|d","\"e\"","\u00fc\ud83d\ude00"]"#);
    assert_eq!(serde_json::from_str::<Vec<String>>(&value).unwrap(), ["a,b", "c|d", "\"e\"", "ü😀"]);
    assert_eq!(header(&caller("Ada", &[]), IdentityClaim::Groups).as_deref(), Some("[]"));
}

#[test]
fn other_claims_are_json() {
    let ada = caller("Ada", &[]);
    assert_eq!(header(&ada, claim("level")).as_deref(), Some("7"));
    assert_eq!(header(&ada, claim("realm.roles")).as_deref(), Some(r#"["a","\u00fc"]"#));
}

#[test]
fn a_claim_that_no_app_takes_is_a_failure() {
    let identity = IdentityHeaders {
        assertion_header: HeaderName::from_static("x-a"),
        headers: vec![(HeaderName::from_static("x-name"), IdentityClaim::Name)],
    };
    let error = set_claims(&mut HeaderMap::new(), &identity, &caller(&"x".repeat(64 * 1024), &[])).unwrap_err();
    assert_eq!(error.code(), "identity-header-too-large");
    assert_eq!(error.to_string(), "the value of identity header `x-name` is larger than 8192 bytes");
    set_claims(&mut HeaderMap::new(), &identity, &caller(&"x".repeat(value::MAX_BYTES), &[])).unwrap();
}

proptest! {
    #[test]
    fn every_text_makes_one_visible_value_and_can_be_read_back(text in "\\PC{1,40}|[\\x00-\\x7f]{1,20}") {
        let caller = caller(&text, &[&text]);
        let name = header(&caller, IdentityClaim::Name).unwrap();
        prop_assert!(name.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        prop_assert_eq!(percent_encoding::percent_decode_str(&name).decode_utf8().unwrap(), &*text);
        let groups = header(&caller, IdentityClaim::Groups).unwrap();
        prop_assert!(groups.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        prop_assert_eq!(serde_json::from_str::<Vec<String>>(&groups).unwrap(), vec![text]);
    }
}
