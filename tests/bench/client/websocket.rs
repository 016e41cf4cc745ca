//! A WebSocket (RFC 6455) that stays open, and answers when it is asked.

use std::io::{Read as _, Write as _};

use integration::Result;

use super::{Stream, Target, http1};

/// Opens a WebSocket over HTTP/1.1.
pub(crate) fn open(target: &Target) -> Result<Stream> {
    let mut stream = target.stream()?;
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    stream.write_all(http1::head(&target.ask, upgrade).as_bytes())?;
    let (mut buffer, mut filled) = ([0; 4096], 0);
    loop {
        match stream.read(buffer.get_mut(filled..).unwrap_or_default())? {
            0 => return Err("the connection ended before the answer did".into()),
            read => filled += read,
        }
        match http1::parse(buffer.get(..filled).unwrap_or_default())? {
            Some((_, 101, _)) => return Ok(stream),
            Some((_, status, _)) => return Err(format!("status {status} in place of a WebSocket").into()),
            None => {}
        }
    }
}

/// Sends a small message and waits for the answer.
pub(crate) fn ask(stream: &mut Stream) -> Result<()> {
    stream.write_all(PING)?;
    let mut answer = [0; PONG.len()];
    stream.read_exact(&mut answer)?;
    if answer == *PONG { Ok(()) } else { Err("a message came back changed".into()) }
}

/// A text of two letters under a mask of zeros.
const PING: &[u8] = &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];

/// What the upstream answers.
pub(crate) const PONG: &[u8] = &[0x81, 2, b'o', b'k'];
