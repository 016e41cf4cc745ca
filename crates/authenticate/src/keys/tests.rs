//! Sealing, signing and where the keys come from.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use identity::Secret;

use super::{KeyTexts, Keys, random_token};
use crate::{Store, StoreLocation};

fn store() -> Store {
    Store::open(&StoreLocation::Memory).unwrap()
}

fn seal_text(byte: u8) -> Secret {
    Secret::new(STANDARD.encode([byte; 32]))
}

fn with_seal_keys(bytes: &[u8]) -> Keys {
    let texts = KeyTexts { seal: bytes.iter().copied().map(seal_text).collect(), signing: Vec::new() };
    Keys::load(&texts, &store()).unwrap()
}

fn signing_text() -> Secret {
    let der = STANDARD.encode(super::SigningKey::generate());
    Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"))
}

#[test]
fn what_is_sealed_opens_for_the_same_purpose_and_context_only() {
    let keys = with_seal_keys(&[1]);
    let sealed = keys.seal("flow", b"context", b"plain");
    assert_eq!(keys.open("flow", b"context", &sealed).as_deref(), Some(&b"plain"[..]));
    // S-38: no byte can move between purpose and context.
    for (purpose, context) in [("flo", &b"wcontext"[..]), ("flowc", b"ontext"), ("flow", b""), ("ticket", b"context")] {
        assert_eq!(keys.open(purpose, context, &sealed), None, "{purpose}");
    }
    assert_ne!(keys.seal("flow", b"context", b"plain"), sealed);
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let keys = with_seal_keys(&[1]);
    let sealed = keys.seal_bytes("flow", b"", b"some plain text");
    for index in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[index] ^= 1;
        assert_eq!(keys.open_bytes("flow", b"", &flipped), None, "byte {index}");
        assert_eq!(keys.open_bytes("flow", b"", &sealed[..index]), None, "length {index}");
    }
    for text in ["", "=", "not base64 !", "AAAA"] {
        assert_eq!(keys.open("flow", b"", text), None);
    }
}

#[test]
fn the_newest_key_seals_and_all_open() {
    let (old, rotated, new) = (with_seal_keys(&[1]), with_seal_keys(&[2, 1]), with_seal_keys(&[2]));
    let by_old = old.seal("flow", b"", b"x");
    assert!(rotated.open("flow", b"", &by_old).is_some());
    assert!(new.open("flow", b"", &by_old).is_none());
    assert!(new.open("flow", b"", &rotated.seal("flow", b"", b"x")).is_some());
}

#[test]
fn keys_are_made_once_and_kept_in_the_store() {
    let store = store();
    let first = Keys::load(&KeyTexts::default(), &store).unwrap();
    let second = Keys::load(&KeyTexts::default(), &store).unwrap();
    assert_eq!(first.jwks(), second.jwks());
    assert!(second.open("flow", b"", &first.seal("flow", b"", b"x")).is_some());
}

#[test]
fn the_jwks_lists_every_signing_key_and_nothing_private() {
    let texts = KeyTexts { seal: Vec::new(), signing: vec![signing_text(), signing_text()] };
    let keys = Keys::load(&texts, &store()).unwrap();
    let listed = keys.jwks()["keys"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    for key in listed {
        let mut members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!((key["alg"].as_str(), key["use"].as_str()), (Some("ES256"), Some("sig")));
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
        assert_eq!(key["kid"], jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap());
    }
}

#[test]
fn a_malformed_key_is_named_without_being_shown() {
    let check = |texts: KeyTexts, expected: &str| {
        let error = Keys::load(&texts, &store()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("c2hvcnQ"));
    };
    let seal = vec![seal_text(1), Secret::new("c2hvcnQ=".into())];
    check(KeyTexts { seal, signing: Vec::new() }, "`keys.seal[1]`: not 32 bytes in base64");
    let signing = vec![Secret::new("c2hvcnQ=".into())];
    check(KeyTexts { seal: Vec::new(), signing }, "`keys.signing[0]`: not a P-256 private key");
}

#[test]
fn debug_output_shows_no_private_key() {
    let texts = KeyTexts { seal: vec![seal_text(7)], signing: vec![signing_text()] };
    let text = format!("{texts:?} {:?}", Keys::load(&texts, &store()).unwrap());
    assert!(!text.contains(texts.seal[0].expose()) && !text.contains("PRIVATE") && !text.contains("7, 7"));
}

#[test]
fn tokens_have_256_bits_and_never_repeat() {
    let tokens: std::collections::HashSet<_> = (0..1000).map(|_| random_token()).collect();
    assert_eq!(tokens.len(), 1000);
    assert!(tokens.iter().all(|token| URL_SAFE_NO_PAD.decode(token).unwrap().len() == 32));
}
