//! Keys as openssl writes them.

use super::{KeyError, Purpose, SigningKey, VerifyingKey};

// openssl genpkey -algorithm ed25519; openssl pkey -pubout
pub(crate) const ED25519: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIEUWnr2x96X49fgyp8wyLOlQYju4LPRXV91rRLT3rIMl
-----END PRIVATE KEY-----
";
pub(crate) const ED25519_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEADnop6h2KWP9DBdVLGsL/OWCMJWRL/phVXU1c7VfsAP0=
-----END PUBLIC KEY-----
";
// openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256; openssl pkey -pubout
pub(crate) const P256: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTBwbesdJL3BQHnB8
y/o8I82w27h53CM8f75n/u0jZ3WhRANCAASIBjIp87TAQuuvRzAJJ1fDhwdXz5We
4XqQPq10JbWMOnX4wbn1akxP1r4V8IM+QKxkQss0dlZGDNYyZXyCHXya
-----END PRIVATE KEY-----
";
pub(crate) const P256_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEiAYyKfO0wELrr0cwCSdXw4cHV8+V
nuF6kD6tdCW1jDp1+MG59WpMT9a+FfCDPkCsZELLNHZWRgzWMmV8gh18mg==
-----END PUBLIC KEY-----
";
// openssl genpkey -algorithm x25519
const X25519: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIHgzw7VrrsKV1ImX+pGamPO12ZGlTaoBbn4I4gVqCmFF
-----END PRIVATE KEY-----
";

#[test]
fn keys_of_openssl_sign_what_their_public_halves_verify() {
    for (private, public) in [(ED25519, ED25519_PUBLIC), (P256, P256_PUBLIC)] {
        let signing = SigningKey::from_pem(private.as_bytes()).unwrap();
        let verifying = VerifyingKey::from_pem(public.as_bytes()).unwrap();
        assert_eq!(signing.id(), verifying.id());
        let signature = signing.sign(Purpose::Segment, b"hash").unwrap();
        assert_eq!(signature.len(), 64);
        assert!(verifying.verifies(Purpose::Segment, b"hash", &signature));
        assert!(!verifying.verifies(Purpose::Segment, b"other", &signature));
        assert!(!verifying.verifies(Purpose::Checkpoint, b"hash", &signature));
        assert!(signing.verifying_key().unwrap().verifies(Purpose::Segment, b"hash", &signature));
    }
}

#[test]
fn other_files_are_refused_with_what_they_lack() {
    let private = |pem: &str| SigningKey::from_pem(pem.as_bytes()).unwrap_err();
    assert_eq!(private(""), KeyError::NotPkcs8);
    assert_eq!(private(ED25519_PUBLIC), KeyError::NotPkcs8);
    assert_eq!(private(X25519), KeyError::Algorithm);
    assert_eq!(VerifyingKey::from_pem(ED25519.as_bytes()).unwrap_err(), KeyError::NotPublic);
}

#[test]
fn a_key_is_not_shown() {
    let shown = format!("{:?}", SigningKey::from_pem(ED25519.as_bytes()).unwrap());
    assert!(shown.starts_with("SigningKey { id: \"") && shown.len() < 60, "{shown}");
}
