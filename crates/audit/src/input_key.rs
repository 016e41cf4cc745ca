//! The key under which inputs are hashed.
//!
//! What a header or claim holds is often one of a few words: whoever has a plain hash finds the word by trying. With a key
//! that stays beside the log, and is not in it, a copy of the log alone tells only which values are equal.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The key under which inputs are hashed.
#[derive(Clone)]
pub struct InputKey(hmac::Key);

impl fmt::Debug for InputKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InputKey([redacted])")
    }
}

impl InputKey {
    /// Reads the key of the log in that directory.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let bytes = fs::read(dir.join(FILE))?;
        if bytes.len() != BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the key of the inputs has another length"));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// Reads the key of the log in that directory, and makes it where there is none.
    ///
    /// # Errors
    /// It can be neither read nor made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        match Self::read(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
        let mut bytes = [0; BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system has no randomness"))?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(FILE));
        match made {
            Ok(mut file) => {
                file.write_all(&bytes)?;
                file.sync_all()?;
                Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
            }
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(dir),
            Err(error) => Err(error),
        }
    }

    /// Hashes the value of an input. Equal values of different inputs have different hashes.
    #[must_use]
    pub fn hash(&self, input: &str, value: &str) -> Box<str> {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [input.as_bytes(), b"\0", value.as_bytes()] {
            context.update(part);
        }
        let tag = context.sign();
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..HASH_BYTES).unwrap_or_default()).into()
    }
}

const FILE: &str = "inputs.key";
const BYTES: usize = 32;
/// 128 bits: nobody finds two values of one hash by chance.
const HASH_BYTES: usize = 16;

#[cfg(test)]
mod tests;
