//! What becomes of claims.

use identity::{Identity, Issuer, ProviderId};
use serde_json::{Map, Value, json};

use super::{identity, is_of_domain, merge_userinfo, wants_userinfo};
use crate::{ClaimNames, Provider};

fn provider() -> Provider {
    Provider {
        id: ProviderId::new("corp").unwrap(),
        name: "Corp".into(),
        issuer: Issuer::new("https://idp.example.com").unwrap(),
        client_id: "portcullis".into(),
        client_secret: None,
        scopes: None,
        extra_params: Vec::new(),
        claims: ClaimNames::default(),
        allowed_email_domains: Vec::new(),
        require_verified_email: true,
        ca_file: None,
    }
}

fn claims(more: Value) -> Map<String, Value> {
    let mut claims: Map<String, Value> = serde_json::from_value(json!({ "sub": "ada" })).unwrap();
    claims.extend(serde_json::from_value::<Map<_, _>>(more).unwrap());
    claims
}

fn of(more: Value) -> Identity {
    identity(&provider(), claims(more)).unwrap()
}

#[test]
fn an_address_counts_only_where_the_provider_vouches_for_it() {
    let email = |verified: Value| of(json!({ "email": "a@x.org", "email_verified": verified })).email().to_owned();
    assert_eq!(email(json!(true)), "a@x.org");
    assert_eq!(email(json!("true")), "a@x.org");
    for verified in [json!(false), json!("false"), json!("TRUE"), json!(1), json!(null)] {
        assert_eq!(email(verified.clone()), "", "{verified}");
    }
    assert_eq!(of(json!({ "email": "a@x.org" })).email(), "");
    let trusting = Provider { require_verified_email: false, ..provider() };
    assert_eq!(identity(&trusting, claims(json!({ "email": "a@x.org" }))).unwrap().email(), "a@x.org");
}

#[test]
fn a_claim_that_the_provider_did_not_verify_is_no_address() {
    let upn = Provider { claims: ClaimNames { email: "upn".into(), ..ClaimNames::default() }, ..provider() };
    let email = |more: Value| identity(&upn, claims(more)).unwrap().email().to_owned();
    // Whoever may choose their `upn` would be taken for somebody else, vouched for by their own verified address.
    assert_eq!(email(json!({ "upn": "admin@x.org", "email": "mine@x.org", "email_verified": true })), "");
    assert_eq!(email(json!({ "upn": "admin@x.org", "email_verified": true })), "");
    assert_eq!(email(json!({ "upn": "a@x.org", "email": "a@x.org", "email_verified": true })), "a@x.org");
    let trusting = Provider { require_verified_email: false, ..upn.clone() };
    assert_eq!(identity(&trusting, claims(json!({ "upn": "a@x.org" }))).unwrap().email(), "a@x.org");
}

#[test]
fn a_user_is_issuer_and_subject_never_the_address() {
    let ada = of(json!({ "email": "same@x.org", "email_verified": true }));
    assert_eq!(ada.id(), "https://idp.example.com|ada");
}

#[test]
fn an_address_is_of_a_domain_only_when_nothing_else_can_be_meant() {
    for email in ["ada@corp.com", "ada@CORP.com", "a.b+c@corp.com"] {
        assert!(is_of_domain(email, "corp.com"), "{email}");
    }
    for email in [
        "",
        "corp.com",
        "@corp.com",
        "a@evil.com@corp.com",
        "a@corp.com@evil.com",
        "a@corp.com.",
        "a@corp.com.evil",
        "a@sub.corp.com",
        "a@evilcorp.com",
        "a\u{ff20}corp.com",
        "a@c\u{43e}rp.com",
        "\"a@b\"@corp.com",
        "\"a\"@corp.com",
        "a b@corp.com",
        "a@corp.com\n",
        "ä@corp.com",
    ] {
        assert!(!is_of_domain(email, "corp.com"), "{email:?}");
    }
}

#[test]
fn only_the_allowed_domains_may_sign_in() {
    let corp = Provider { allowed_email_domains: vec!["corp.com".into()], ..provider() };
    let may = |email: &str, verified: bool| {
        identity(&corp, claims(json!({ "email": email, "email_verified": verified }))).is_ok()
    };
    assert!(may("a@corp.com", true));
    assert!(!may("a@corp.com", false), "an address that nobody vouches for");
    assert!(!may("a@evil.com", true));
}

#[test]
fn groups_are_a_list_or_one_text_and_nothing_else() {
    let groups =
        |value: Value| of(json!({ "groups": value })).groups().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(groups(json!(["a", "b,c"])), ["a", "b,c"]);
    assert_eq!(groups(json!("a")), ["a"]);
    assert_eq!(groups(json!(["a", 7, null])), ["a"]);
    assert!(groups(json!({ "a": true })).is_empty());
    assert!(groups(json!(vec!["g"; 1_001])).is_empty());
    assert!(of(json!({ "_claim_names": { "groups": "src1" } })).groups().is_empty());
}

#[test]
fn claims_are_found_at_dotted_paths() {
    let mut keycloak = provider();
    keycloak.claims.groups = "realm_access.roles".into();
    let ada = identity(&keycloak, claims(json!({ "realm_access": { "roles": ["sre"] } }))).unwrap();
    assert_eq!(&*ada.groups()[0], "sre");
}

#[test]
fn userinfo_adds_what_is_missing_and_changes_nothing() {
    let names = ClaimNames::default();
    assert!(wants_userinfo(&claims(json!({ "email": "a@x.org" })), &names));
    assert!(!wants_userinfo(&claims(json!({ "email": "a@x.org", "groups": [] })), &names));
    let mut token = claims(json!({ "name": "Ada" }));
    let userinfo = claims(json!({ "name": "Eve", "groups": ["sre"], "acr": "gold", "nonce": "n", "sid": "s" }));
    merge_userinfo(&mut token, userinfo).unwrap();
    assert_eq!(Value::Object(token), json!({ "sub": "ada", "name": "Ada", "groups": ["sre"] }));
}

#[test]
fn that_an_address_is_verified_is_said_where_the_address_is() {
    let merged = |token: Value, userinfo: Value| {
        let mut token = claims(token);
        merge_userinfo(&mut token, claims(userinfo)).unwrap();
        identity(&provider(), token).unwrap().email().to_owned()
    };
    let other = json!({ "email": "mine@x.org", "email_verified": true });
    assert_eq!(merged(json!({ "email": "victim@x.org" }), other), "");
    assert_eq!(merged(json!({ "email_verified": true }), json!({ "email": "victim@x.org" })), "");
    let same = json!({ "email": "a@x.org", "email_verified": true });
    assert_eq!(merged(json!({ "email": "a@x.org" }), same), "a@x.org");
}
