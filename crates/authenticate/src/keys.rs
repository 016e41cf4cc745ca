//! The keys that seal what the store and the sign-in cookies hold, and those that sign assertions.

mod seal;
mod signing;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use identity::Secret;
use jiff::Timestamp;
use zeroize::Zeroizing;

use self::seal::SealKey;
use self::signing::SigningKey;
use crate::store::Key;
use crate::{AuthenticateError, Store, StoreError};

/// `authenticate.keys`, newest first. Empty lists: made on first start and kept in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTexts {
    /// 32 bytes each, base64.
    pub seal: Vec<Secret>,
    /// P-256 private keys, PKCS #8 PEM.
    pub signing: Vec<Secret>,
}

/// The keys, ready for use. Outlives snapshots.
pub struct Keys {
    // Invariant: neither list is empty; the newest key stands apart in front.
    seal: (SealKey, Vec<SealKey>),
    signing: SigningKey,
    jwks: serde_json::Value,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("jwks", &self.jwks).finish_non_exhaustive()
    }
}

impl Keys {
    /// Takes the configured keys, or those that the store keeps, or makes new ones and has the store keep them.
    ///
    /// # Errors
    /// A configured key is malformed, or the store failed.
    pub fn load(texts: &KeyTexts, store: &Store) -> Result<Self, AuthenticateError> {
        let mut seal = texts
            .seal
            .iter()
            .enumerate()
            .map(|(index, text)| read_seal_key(text).ok_or_else(|| unusable("seal", index, NOT_A_SEAL_KEY)));
        let newest_seal = match seal.next() {
            Some(key) => key?,
            None => kept_or_made(store, &Key::seal_key(), SealKey::read, || random_bytes::<32>().to_vec())?,
        };
        let older_seal = seal.collect::<Result<_, _>>()?;

        let mut signing = texts.signing.iter().enumerate().map(|(index, text)| {
            SigningKey::from_pem(text).ok_or_else(|| unusable("signing", index, NOT_A_SIGNING_KEY))
        });
        let newest_signing = match signing.next() {
            Some(key) => key?,
            None => kept_or_made(store, &Key::signing_key(), SigningKey::read, SigningKey::generate)?,
        };
        let older_signing = signing.collect::<Result<Vec<_>, _>>()?;

        let public: Vec<_> = std::iter::once(&newest_signing).chain(&older_signing).map(SigningKey::jwk).collect();
        let jwks = serde_json::json!({ "keys": public });
        Ok(Self { seal: (newest_seal, older_seal), signing: newest_signing, jwks })
    }

    /// Seals with the newest key. Only the same purpose and context open it again.
    pub(crate) fn seal(&self, purpose: &'static str, context: &[u8], plain: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.seal_bytes(purpose, context, plain))
    }

    /// Opens what any of the keys sealed for this purpose and context; nothing else.
    pub(crate) fn open(&self, purpose: &'static str, context: &[u8], sealed: &str) -> Option<Vec<u8>> {
        self.open_bytes(purpose, context, &URL_SAFE_NO_PAD.decode(sealed).ok()?)
    }

    /// Seals into bytes, for the store.
    pub(crate) fn seal_bytes(&self, purpose: &'static str, context: &[u8], plain: &[u8]) -> Vec<u8> {
        self.seal.0.seal(purpose, context, plain)
    }

    /// Opens bytes of the store.
    pub(crate) fn open_bytes(&self, purpose: &'static str, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        std::iter::once(&self.seal.0).chain(&self.seal.1).find_map(|key| key.open(purpose, context, sealed))
    }

    /// Returns the public halves of all signing keys (RFC 7517), the one that signs first.
    pub(crate) const fn jwks(&self) -> &serde_json::Value {
        &self.jwks
    }

    /// Returns a signed JWT (RFC 7515 compact form) with these claims.
    pub(crate) fn sign(&self, claims: &impl serde::Serialize) -> Option<String> {
        self.signing.sign(claims)
    }
}

/// Returns 256 bits from the generator, base64url.
pub(crate) fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// Returns bytes from the generator, which the operating system seeds.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "without randomness every handle could be guessed: nothing may go on")]
    aws_lc_rs::rand::fill(&mut bytes).expect("the random generator works");
    bytes
}

fn read_seal_key(text: &Secret) -> Option<SealKey> {
    SealKey::read(&Zeroizing::new(STANDARD.decode(text.expose().trim()).ok()?))
}

/// Reads the key that the store keeps, or makes one. When two start at once, both end up with the same one.
fn kept_or_made<K>(
    store: &Store,
    place: &Key,
    read: impl Fn(&[u8]) -> Option<K>,
    make: impl FnOnce() -> Vec<u8>,
) -> Result<K, StoreError> {
    let kept = || store.backend().get(place, Timestamp::MIN).map(|kept| kept.map(Zeroizing::new));
    let bytes = match kept()? {
        Some(bytes) => Some(bytes),
        None => {
            store.backend().put_new(place, &Zeroizing::new(make()), Timestamp::MAX, Timestamp::MIN)?;
            kept()?
        }
    };
    let key = bytes.and_then(|bytes| read(&bytes));
    key.ok_or_else(|| StoreError::Failed("the key that the store keeps cannot be read".into()))
}

const fn unusable(key: &'static str, index: usize, reason: &'static str) -> AuthenticateError {
    AuthenticateError::UnusableKey { key, index, reason }
}

const NOT_A_SEAL_KEY: &str = "not 32 bytes in base64: make one with `openssl rand -base64 32`";
const NOT_A_SIGNING_KEY: &str = "not a P-256 private key in PKCS #8 PEM: make one with `openssl genpkey -algorithm EC \
                                 -pkeyopt ec_paramgen_curve:P-256`";

#[cfg(test)]
mod tests;
