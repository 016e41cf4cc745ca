//! Discovery documents that lead astray.

use serde_json::{Map, Value, json};

use super::{Algorithm, Metadata};

const ISSUER: &str = "https://idp.example.com/realms/corp";

fn document(change: Value) -> Vec<u8> {
    let mut document: Map<String, Value> = serde_json::from_value(json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example.com/authorize",
        "token_endpoint": "https://idp.example.com/token",
        "jwks_uri": "https://idp.example.com/keys",
    }))
    .unwrap();
    document.extend(serde_json::from_value::<Map<_, _>>(change).unwrap());
    serde_json::to_vec(&document).unwrap()
}

fn refused(change: Value) -> String {
    Metadata::parse(&document(change), ISSUER).unwrap_err().to_string()
}

#[test]
fn the_document_of_another_issuer_is_refused_with_a_hint() {
    let slash = refused(json!({ "issuer": format!("{ISSUER}/") }));
    assert!(slash.contains("they differ in the slash at the end"), "{slash}");
    let other = refused(json!({ "issuer": "https://evil.example.com" }));
    assert!(other.contains("`https://evil.example.com`") && !other.contains("slash"), "{other}");
}

#[test]
fn an_endpoint_that_is_not_https_is_refused() {
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"] {
        for url in ["http://169.254.169.254/", "http://idp.example.com/", "http://127.0.0.1/", "file:///etc/passwd"] {
            let error = refused(json!({ name: url }));
            assert!(error.contains(name) && error.ends_with("is not https"), "{error}");
        }
    }
}

#[test]
fn cleartext_is_for_an_issuer_on_loopback_alone() {
    let location = |issuer: &str| Metadata::location(issuer).map(|url| url.to_string());
    assert_eq!(location(ISSUER).unwrap(), format!("{ISSUER}/.well-known/openid-configuration"));
    assert!(location("http://127.0.0.1:9/").unwrap().starts_with("http://127.0.0.1:9/.well-known/"));
    assert!(location("http://idp.localhost:9").is_ok());
    assert!(location("http://idp.example.com").is_err());
    assert!(location("not a url").is_err());
}

#[test]
fn neither_none_nor_a_shared_secret_is_a_signature() {
    let listed = |list: Value| {
        let change = json!({ "id_token_signing_alg_values_supported": list });
        Metadata::parse(&document(change), ISSUER).unwrap().signing_algorithms()
    };
    assert_eq!(listed(json!(["none", "HS256", "HS512"])), []);
    assert_eq!(listed(json!(["HS256", "ES256", "EdDSA"])), [Algorithm::EcdsaP256Sha256, Algorithm::EdDsa]);
    assert_eq!(listed(json!([])), [Algorithm::RsaSsaPkcs1V15Sha256]);
}

#[test]
fn the_secret_goes_into_the_body_only_where_nothing_else_is_listed() {
    let in_body = |methods: Value| {
        let change = json!({ "token_endpoint_auth_methods_supported": methods });
        Metadata::parse(&document(change), ISSUER).unwrap().wants_secret_in_body()
    };
    assert!(in_body(json!(["client_secret_post"])));
    assert!(!in_body(json!(["client_secret_post", "client_secret_basic"])));
    assert!(!in_body(json!(null)));
}
