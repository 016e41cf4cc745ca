//! The chain: each line carries the hash of the line before it, and its own over all of its bytes up to there.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A SHA-256 as base64url text, as it stands in the lines.
pub(crate) type Hash = [u8; HASH_LEN];

/// How far a chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The hash of the last line.
    pub(crate) hash: Hash,
    /// How many lines there are.
    pub(crate) lines: u64,
}

/// What a line says of its place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    /// The hash of the line before.
    pub(crate) prev: &'a [u8],
    /// Its own hash.
    pub(crate) hash: &'a [u8],
    /// The signature of its hash, on lines that carry one.
    pub(crate) signature: Option<&'a [u8]>,
    hashed: &'a [u8],
}

impl Position {
    /// Before the first line.
    pub(crate) const START: Self = Self { hash: [b'A'; HASH_LEN], lines: 0 };
}

/// Makes room for the hashes at the end of an object of JSON, and ends the line.
pub(crate) fn make_room(line: &mut Vec<u8>) {
    if line.last() == Some(&b'}') {
        line.pop();
    }
    line.extend_from_slice(ROOM.as_bytes());
}

/// Fills the room of one line. Returns `None` when it has none.
pub(crate) fn seal(line: &mut [u8], position: &Position) -> Option<Position> {
    let text = line.len().checked_sub(ROOM.len())?;
    line.get_mut(text + PREV_AT..)?.first_chunk_mut::<HASH_LEN>()?.copy_from_slice(&position.hash);
    let hashed = digest(&SHA256, line.get(..text + HASHED_LEN)?);
    let mut hash = [0; HASH_LEN];
    URL_SAFE_NO_PAD.encode_slice(hashed.as_ref(), &mut hash).ok()?;
    line.get_mut(text + HASH_AT..)?.first_chunk_mut::<HASH_LEN>()?.copy_from_slice(&hash);
    Some(Position { hash, lines: position.lines.saturating_add(1) })
}

/// Adds the signature to a sealed line.
pub(crate) fn add_signature(line: &mut Vec<u8>, signature: &[u8]) {
    line.truncate(line.len().saturating_sub("}\n".len()));
    line.extend_from_slice(SIGNATURE.as_bytes());
    line.extend_from_slice(encode(signature).as_bytes());
    line.extend_from_slice(b"\"}\n");
}

impl<'a> Link<'a> {
    /// Reads the end of a line, without its line feed. Returns `None` for a line that is in no chain.
    pub(crate) fn of(line: &'a [u8]) -> Option<Self> {
        Self::unsigned(line).or_else(|| {
            let (rest, signature) = line.strip_suffix(b"\"}")?.split_last_chunk::<SIGNATURE_LEN>()?;
            let mut link = Self::closed(rest.strip_suffix(SIGNATURE.as_bytes())?)?;
            link.signature = Some(signature);
            Some(link)
        })
    }

    fn unsigned(line: &'a [u8]) -> Option<Self> {
        Self::closed(line.strip_suffix(b"}")?)
    }

    /// Reads a line that ends with its hash and the quote behind it.
    fn closed(line: &'a [u8]) -> Option<Self> {
        let (before, hash) = line.strip_suffix(b"\"")?.split_last_chunk::<HASH_LEN>()?;
        let hashed = before.strip_suffix(HASH.as_bytes())?;
        let (before, prev) = hashed.strip_suffix(b"\"")?.split_last_chunk::<HASH_LEN>()?;
        before.ends_with(PREV.as_bytes()).then_some(Self { prev, hash, signature: None, hashed })
    }

    /// Returns whether the hash is that of the line.
    pub(crate) fn holds(&self) -> bool {
        let mut hash = [0; HASH_LEN];
        let written = URL_SAFE_NO_PAD.encode_slice(digest(&SHA256, self.hashed).as_ref(), &mut hash);
        written.is_ok() && hash == self.hash
    }
}

/// Encodes a signature.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes a hash or a signature.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Of 32 bytes in base64url without padding.
pub(crate) const HASH_LEN: usize = 43;

/// Of 64 bytes: Ed25519 and ES256 alike.
const SIGNATURE_LEN: usize = 86;

const PREV: &str = ",\"prev\":\"";
const HASH: &str = ",\"hash\":\"";
const SIGNATURE: &str = ",\"signature\":\"";
const ROOM: &str = ",\"prev\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\
                    \"hash\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}\n";
const PREV_AT: usize = PREV.len();
/// Up to the quote behind `prev`.
const HASHED_LEN: usize = PREV_AT + HASH_LEN + 1;
const HASH_AT: usize = HASHED_LEN + HASH.len();

#[cfg(test)]
mod tests;
