//! How far a chain had come at some time, signed: a small file beside the segments, written anew while they grow. What it
//! counts cannot be taken off the end of the log unnoticed, nor written anew.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::chain::{self, Hash};
use crate::sign::Purpose;
use crate::{SigningKey, VerifyingKey, line};

/// How far a chain had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    body: Body,
    // What was signed: the bytes before the signature.
    signed: Box<[u8]>,
    signature: Box<str>,
}

/// Why a file is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no checkpoint of an audit log")]
pub struct NoCheckpoint;

/// The place in a chain behind some line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The number of the segment; 0 before the first.
    pub(crate) segment: u64,
    /// How many lines it has.
    pub(crate) lines: u64,
    /// The hash of the last of them.
    pub(crate) hash: Hash,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Body {
    time: Timestamp,
    kind: Box<str>,
    instance: Box<str>,
    segment: u64,
    lines: u64,
    hash: Box<str>,
    key: Box<str>,
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(file: &[u8]) -> Result<Self, NoCheckpoint> {
        let rest = file.strip_suffix(b"\"}\n").ok_or(NoCheckpoint)?;
        let at = memchr::memmem::rfind(rest, SIGNATURE).ok_or(NoCheckpoint)?;
        let (signed, signature) = rest.split_at_checked(at).ok_or(NoCheckpoint)?;
        let body: Body = serde_json::from_slice(&[signed, b"}"].concat()).map_err(|_| NoCheckpoint)?;
        let signature = signature.strip_prefix(SIGNATURE).and_then(|text| str::from_utf8(text).ok());
        let is_whole = &*body.kind == KIND && body.hash.len() == chain::HASH_LEN;
        let signature = signature.filter(|_| is_whole).ok_or(NoCheckpoint)?;
        Ok(Self { body, signed: signed.into(), signature: signature.into() })
    }

    /// Reads the checkpoint of a chain; `None` where there is none.
    pub(crate) fn read(dir: &Path, instance: &str) -> Option<Result<Self, NoCheckpoint>> {
        match fs::read(path(dir, instance)) {
            Ok(file) => Some(Self::parse(&file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(Err(NoCheckpoint)),
        }
    }

    /// Signs how far a chain has come.
    pub(crate) fn sign(instance: &str, reached: &Reached, key: &SigningKey, time: Timestamp) -> io::Result<Self> {
        let body = Body {
            time,
            kind: KIND.into(),
            instance: instance.into(),
            segment: reached.segment,
            lines: reached.lines,
            hash: String::from_utf8_lossy(&reached.hash).into(),
            key: key.id().into(),
        };
        let mut signed = Vec::new();
        line::append(&mut signed, &body)?;
        signed.pop();
        let signature = key.sign(Purpose::Checkpoint, &signed);
        let signature = signature.ok_or_else(|| io::Error::other("`audit.signing_key` cannot sign"))?;
        Ok(Self { body, signed: signed.into(), signature: chain::encode(&signature).into() })
    }

    /// Puts it beside the segments, in the place of the one before.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        let path = path(dir, &self.body.instance);
        let temporary = path.with_extension("checkpoint.tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&[&self.signed, SIGNATURE, self.signature.as_bytes(), b"\"}\n"].concat())?;
        fs::rename(temporary, path)
    }

    /// Returns the chain.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.body.instance
    }

    /// Returns when it was signed.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.body.time
    }

    /// Returns the key that it names.
    pub(crate) fn key(&self) -> &str {
        &self.body.key
    }

    pub(crate) fn reached(&self) -> Reached {
        let hash = self.body.hash.as_bytes().first_chunk().copied().unwrap_or(chain::Position::START.hash);
        Reached { segment: self.body.segment, lines: self.body.lines, hash }
    }

    /// Returns whether one of the keys has signed it.
    pub(crate) fn is_signed_by(&self, keys: &[VerifyingKey]) -> bool {
        let signature = chain::decode(self.signature.as_bytes()).unwrap_or_default();
        keys.iter().any(|key| key.verifies(Purpose::Checkpoint, &self.signed, &signature))
    }
}

/// Returns where the checkpoint of a chain lies.
pub(crate) fn path(dir: &Path, instance: &str) -> PathBuf {
    dir.join(format!("audit-{instance}.checkpoint"))
}

/// Returns of which chain a file of this name is the checkpoint.
pub(crate) fn instance_of(file: &str) -> Option<&str> {
    file.strip_prefix("audit-")?.strip_suffix(".checkpoint")
}

const KIND: &str = "checkpoint";
const SIGNATURE: &[u8] = b",\"signature\":\"";

#[cfg(test)]
mod tests;
