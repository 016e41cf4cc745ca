//! Finds the server name in a `ClientHello` (RFC 8446 §4.1.2, RFC 6066 §3), whatever else is in it.

use rustls_pki_types::ServerName;

use super::{DECODE_ERROR, Invalid};

/// Returns the server name that a `ClientHello` asks for. An address is none (RFC 6066 §3).
pub(super) fn server_name(hello: &[u8]) -> Result<Option<Box<str>>, Invalid> {
    let Some(extension) = extension(Parts(hello))? else { return Ok(None) };
    let name = str::from_utf8(only_name(extension)?).map_err(|_| UNUSABLE)?;
    match ServerName::try_from(name) {
        Ok(ServerName::DnsName(_)) => Ok(Some(name.trim_end_matches('.').to_ascii_lowercase().into())),
        Ok(_) => Ok(None),
        Err(_) => Err(UNUSABLE),
    }
}

/// Finds the extension `server_name`.
fn extension(mut hello: Parts<'_>) -> Result<Option<Parts<'_>>, Invalid> {
    hello.take(VERSION_AND_RANDOM)?;
    let (_session, _ciphers, _compression) = (hello.short()?, hello.long()?, hello.short()?);
    if hello.is_over() {
        // RFC 5246 §7.4.1.2: they may be absent.
        return Ok(None);
    }
    let mut extensions = hello.long()?;
    let mut found = None;
    while !extensions.is_over() {
        let (kind, content) = (extensions.take(2)?, extensions.long()?);
        // Of two, an upstream may go by the other one.
        if kind == SERVER_NAME && found.replace(content).is_some() {
            return Err(UNUSABLE);
        }
    }
    if hello.is_over() { Ok(found) } else { Err(MALFORMED) }
}

/// Returns the one host name that the extension may hold.
fn only_name(mut extension: Parts<'_>) -> Result<&[u8], Invalid> {
    let mut list = extension.long()?;
    let (kind, name) = (list.take(1)?, list.long()?);
    if kind == HOST_NAME && list.is_over() && extension.is_over() { Ok(name.0) } else { Err(UNUSABLE) }
}

/// What is left of a message.
#[derive(Debug)]
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Invalid> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes what has its length in one byte before it.
    fn short(&mut self) -> Result<Self, Invalid> {
        self.sized(1)
    }

    /// Takes what has its length in two bytes before it.
    fn long(&mut self) -> Result<Self, Invalid> {
        self.sized(2)
    }

    fn sized(&mut self, bytes: usize) -> Result<Self, Invalid> {
        let length = self.take(bytes)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.take(length).map(Self)
    }
}

const MALFORMED: Invalid = Invalid { reason: "it is malformed", alert: Some(DECODE_ERROR) };
const UNUSABLE: Invalid =
    Invalid { reason: "its server name is none, or there are several", alert: Some(ILLEGAL_PARAMETER) };

const VERSION_AND_RANDOM: usize = 2 + 32;
const SERVER_NAME: [u8; 2] = [0, 0];
const HOST_NAME: [u8; 1] = [0];

/// Alert of RFC 8446 §6.2.
const ILLEGAL_PARAMETER: u8 = 47;
