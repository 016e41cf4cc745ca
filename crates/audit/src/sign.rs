//! Keys that sign the first and the last line of segments, and checkpoints: what is signed cannot be made again by whoever can only write
//! the files.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    ParsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// A private key: Ed25519 or ECDSA on P-256 with SHA-256 (ES256).
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Pair>,
    id: Box<str>,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
}

/// The public half of a signing key.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    key: ParsedPublicKey,
    id: Box<str>,
}

/// What a signature stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The hash of the first or of the last line of a segment.
    Segment,
    /// How far a chain had come.
    Checkpoint,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no PEM file of the right kind.
    #[error("no private key in PKCS#8 (`BEGIN PRIVATE KEY`)")]
    NotPkcs8,
    /// It is no PEM file of the right kind.
    #[error("no public key (`BEGIN PUBLIC KEY`)")]
    NotPublic,
    /// It is for another algorithm.
    #[error("neither an Ed25519 key nor one on the curve P-256")]
    Algorithm,
}

impl SigningKey {
    /// Reads a key from PEM text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyError::NotPkcs8)?;
        let der = der.secret_pkcs8_der();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519).or_else(|_| {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                .map(Pair::Es256)
                .map_err(|_| KeyError::Algorithm)
        })?;
        let id = public(&pair)?.id;
        Ok(Self { pair: Arc::new(pair), id })
    }

    /// Returns the public half.
    ///
    /// # Errors
    /// Never for a key that was read.
    pub fn verifying_key(&self) -> Result<VerifyingKey, KeyError> {
        public(&self.pair)
    }

    /// Returns what lines name the key by.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Signs the hash of a line, or a checkpoint.
    pub(crate) fn sign(&self, purpose: Purpose, signed: &[u8]) -> Option<Vec<u8>> {
        let message = message(purpose, signed);
        match &*self.pair {
            Pair::Ed25519(pair) => Some(pair.sign(&message).as_ref().to_vec()),
            Pair::Es256(pair) => Some(pair.sign(&SystemRandom::new(), &message).ok()?.as_ref().to_vec()),
        }
    }
}

impl VerifyingKey {
    /// Reads a key from PEM text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyError::NotPublic)?;
        Self::parse(der.as_ref())
    }

    /// Returns what lines name the key by: the beginning of the hash of its DER form.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns whether a signature is this key's over the hash of a line, or over a checkpoint.
    pub(crate) fn verifies(&self, purpose: Purpose, signed: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(&message(purpose, signed), signature).is_ok()
    }

    fn parse(public: &[u8]) -> Result<Self, KeyError> {
        let key = ParsedPublicKey::new(&ED25519, public)
            .or_else(|_| ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public))
            .map_err(|_| KeyError::Algorithm)?;
        let der = key.as_der().map_err(|_| KeyError::Algorithm)?;
        let mut id = URL_SAFE_NO_PAD.encode(digest(&SHA256, der.as_ref()));
        id.truncate(ID_LEN);
        Ok(Self { key, id: id.into() })
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn public(pair: &Pair) -> Result<VerifyingKey, KeyError> {
    match pair {
        Pair::Ed25519(pair) => VerifyingKey::parse(pair.public_key().as_ref()),
        Pair::Es256(pair) => VerifyingKey::parse(pair.public_key().as_ref()),
    }
}

/// Says what is signed, so that the signature stands for nothing else that this key might be used for.
fn message(purpose: Purpose, signed: &[u8]) -> Vec<u8> {
    let context: &[u8] = match purpose {
        Purpose::Segment => b"portcullis audit segment v1\0",
        Purpose::Checkpoint => b"portcullis audit checkpoint v1\0",
    };
    [context, signed].concat()
}

const ID_LEN: usize = 16;

#[cfg(test)]
pub(crate) mod tests;
