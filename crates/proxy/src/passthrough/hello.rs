//! Reads the first message of a TLS client, of bounded size and however it is cut, and keeps its bytes.
//!
//! Nothing of it is looked at but the server name. Whether the rest is any good is for the upstream to say, which may take
//! what we would not: a client of TLS 1.1, say, that names no signature algorithms.

mod message;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a client began with.
#[derive(Debug)]
pub(super) struct Hello {
    /// In lower case, without a trailing dot.
    pub(super) server_name: Option<Box<str>>,
    /// All that was read, to be passed on.
    pub(super) bytes: Vec<u8>,
}

/// Why what came is no `ClientHello`, and the alert that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) reason: &'static str,
    pub(super) alert: Option<u8>,
}

/// Reads until the `ClientHello` is whole; nothing where the client leaves without a word.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Hello>, Invalid> {
    let mut records = Records { bytes: Vec::with_capacity(2048), taken: 0, message: Vec::new() };
    loop {
        match stream.read_buf(&mut records.bytes).await {
            Ok(0) | Err(_) if records.bytes.is_empty() => return Ok(None),
            Ok(0) => return Err(Invalid { reason: "it ends in the middle", alert: None }),
            Err(_) => return Err(Invalid { reason: "the connection broke off in the middle", alert: None }),
            Ok(_) => {}
        }
        if let Some(hello) = records.hello()? {
            let server_name = message::server_name(hello)?;
            return Ok(Some(Hello { server_name, bytes: records.bytes }));
        }
        if records.bytes.len() > MAX_BYTES {
            return Err(TOO_LONG);
        }
    }
}

/// What came so far.
struct Records {
    bytes: Vec<u8>,
    /// How much of it are records that are whole.
    taken: usize,
    /// What those hold.
    message: Vec<u8>,
}

impl Records {
    /// Returns what the `ClientHello` says once it is whole (RFC 8446 §4 and §5.1).
    fn hello(&mut self) -> Result<Option<&[u8]>, Invalid> {
        while let Some(fragment) = record(self.bytes.get(self.taken..).unwrap_or_default())? {
            self.message.extend_from_slice(fragment);
            self.taken += HEADER + fragment.len();
            if self.taken > MAX_BYTES {
                return Err(TOO_LONG);
            }
            match self.message.split_first_chunk::<4>() {
                Some(([CLIENT_HELLO, 0, length @ ..], said)) => {
                    let length = usize::from(u16::from_be_bytes(*length));
                    if length > MAX_BYTES {
                        return Err(TOO_LONG);
                    }
                    if said.len() >= length {
                        return Ok(self.message.get(4..4 + length));
                    }
                }
                Some(([CLIENT_HELLO, ..], _)) => return Err(TOO_LONG),
                Some(_) => return Err(NO_HELLO),
                None => {}
            }
        }
        Ok(None)
    }
}

/// Returns what the first record holds, once it is whole.
fn record(bytes: &[u8]) -> Result<Option<&[u8]>, Invalid> {
    match bytes {
        [] | [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, _] | [HANDSHAKE, 3, _, _] => Ok(None),
        [HANDSHAKE, 3, _, high, low, rest @ ..] => match usize::from(u16::from_be_bytes([*high, *low])) {
            // RFC 8446 §5.1: neither may be.
            0 => Err(NO_HELLO),
            length if length > MAX_RECORD => Err(TOO_LONG),
            length => Ok(rest.get(..length)),
        },
        [..] => Err(NO_HELLO),
    }
}

const NO_HELLO: Invalid = Invalid { reason: "it is no ClientHello", alert: Some(UNEXPECTED_MESSAGE) };
const TOO_LONG: Invalid = Invalid { reason: "it is too long", alert: Some(DECODE_ERROR) };

/// Ten times what clients send, key shares of post-quantum exchanges included.
const MAX_BYTES: usize = 16 * 1024;

/// Bytes of a record (RFC 8446 §5.1), and before them.
const MAX_RECORD: usize = 1 << 14;
const HEADER: usize = 5;

// Types of records and of messages.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

// Alerts of RFC 8446 §6.2.
const UNEXPECTED_MESSAGE: u8 = 10;
const DECODE_ERROR: u8 = 50;

#[cfg(test)]
mod tests;
