//! Authenticated encryption of what leaves the process: AES-256-GCM with a random nonce for each message.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};

/// One AES-256 key. Random 96-bit nonces are safe for 2^32 messages (NIST SP 800-38D §8.3), far beyond the number of
/// sign-ins between two rotations.
pub(super) struct SealKey(RandomizedNonceKey);

impl SealKey {
    /// Takes 32 bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, bytes).ok().map(Self)
    }

    /// Returns nonce, ciphertext and tag.
    pub(super) fn seal(&self, purpose: &str, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.resize(NONCE_LEN, 0);
        sealed.extend_from_slice(plain);
        let (head, body) = sealed.split_at_mut(NONCE_LEN);
        #[expect(clippy::expect_used, reason = "fails only past 64 GiB; a text that was not sealed must not leave")]
        let (nonce, tag) =
            self.0.seal_in_place_separate_tag(associated(purpose, context), body).expect("AES-256-GCM seals");
        head.copy_from_slice(nonce.as_ref());
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Returns the plain bytes, when this key sealed them for this purpose and context.
    pub(super) fn open(&self, purpose: &str, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let len = self.0.open_in_place(nonce, associated(purpose, context), &mut body).ok()?.len();
        body.truncate(len);
        Some(body)
    }
}

/// Frames purpose and context with the purpose's length, so that no byte can move from one to the other.
fn associated(purpose: &str, context: &[u8]) -> Aad<Vec<u8>> {
    let mut framed = Vec::with_capacity(8 + purpose.len() + context.len());
    framed.extend_from_slice(&(purpose.len() as u64).to_be_bytes());
    framed.extend_from_slice(purpose.as_bytes());
    framed.extend_from_slice(context);
    Aad::from(framed)
}

const NONCE_LEN: usize = 12;
