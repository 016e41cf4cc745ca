//! The key that signs ID tokens; made at start, gone at the end.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

use crate::DemoError;

/// An ES256 key pair.
pub(super) struct SigningKey {
    id: String,
    key: EncodingKey,
    public: Value,
}

impl SigningKey {
    pub(super) fn generate() -> Result<Self, DemoError> {
        let pair = rcgen::KeyPair::generate()?;
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        let id = jwk.thumbprint(ThumbprintHash::SHA256)?;
        jwk.common.key_id = Some(id.clone());
        jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
        let public = serde_json::to_value(jwk).map_err(|_| DemoError::Key)?;
        Ok(Self { id, key, public })
    }

    /// Returns the JSON Web Key Set with the public half.
    pub(super) fn public_set(&self) -> Value {
        json!({ "keys": [self.public] })
    }

    pub(super) fn sign(&self, claims: &Map<String, Value>) -> Option<String> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).ok()
    }
}

/// Returns the first half of the SHA-256 of `token`: OpenID Connect Core §3.1.3.6.
pub(super) fn half_hash(token: &str) -> String {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    let (half, _) = digest.as_ref().split_at(digest.as_ref().len() / 2);
    BASE64_URL_SAFE_NO_PAD.encode(half)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}
