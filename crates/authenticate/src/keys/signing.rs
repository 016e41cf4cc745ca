//! ES256 signatures over assertions, and the public keys that verify them.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::Secret;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

/// One P-256 key.
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    // The header of every JWT that this key signs, encoded once, with the dot behind it.
    header: String,
    jwk: serde_json::Value,
}

impl SigningKey {
    /// Reads PKCS #8 PEM.
    pub(super) fn from_pem(text: &Secret) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.expose().as_bytes()).ok()?;
        Self::read(der.secret_pkcs8_der())
    }

    /// Reads PKCS #8 DER.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?;
        // SEC 1 §2.3.3: 0x04, then both coordinates.
        let (x, y) = pair.public_key().as_ref().strip_prefix(&[4])?.split_at_checked(32)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        // RFC 7638 §3.2: the required members only, in lexical order, without white space.
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, thumbprint.as_bytes()));
        let header = json!({ "alg": "ES256", "kid": kid, "typ": "JWT" }).to_string();
        let header = format!("{}.", URL_SAFE_NO_PAD.encode(header));
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256" });
        Some(Self { pair, header, jwk })
    }

    /// Makes a key, as PKCS #8 DER.
    pub(super) fn generate() -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "without randomness no key is one: the start must stop")]
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .expect("the random generator works");
        document.as_ref().to_vec()
    }

    /// Returns the public half.
    pub(super) fn jwk(&self) -> serde_json::Value {
        self.jwk.clone()
    }

    /// Returns header, claims and signature, each base64url (RFC 7515 §3.1).
    pub(super) fn sign(&self, claims: &impl serde::Serialize) -> Option<String> {
        let mut token = self.header.clone();
        URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims).ok()?, &mut token);
        let signature = self.pair.sign(&SystemRandom::new(), token.as_bytes()).ok()?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Some(token)
    }
}
