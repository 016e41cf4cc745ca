//! Reads the first message of a TLS client, of bounded size and however it is cut, and keeps its bytes.

use std::io;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What a client began with.
#[derive(Debug)]
pub(super) struct Hello {
    /// In lower case.
    pub(super) server_name: Option<Box<str>>,
    /// All that was read, to be passed on.
    pub(super) bytes: Vec<u8>,
}

/// Why what came is no `ClientHello`, and the alert that says so.
#[derive(Debug)]
pub(super) struct Invalid {
    pub(super) reason: String,
    pub(super) alert: Vec<u8>,
}

/// Reads until the `ClientHello` is whole; nothing where the client leaves without a word.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Hello>, Invalid> {
    let mut acceptor = Acceptor::default();
    let mut bytes = Vec::with_capacity(2048);
    loop {
        let seen = bytes.len();
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) if seen == 0 => return Ok(None),
            Ok(0) => return Err(broken("it ends in the middle")),
            Err(error) => return Err(broken(&error.to_string())),
            Ok(_) => {}
        }
        if bytes.len() > MAX_BYTES {
            return Err(broken("it is too long"));
        }
        let mut new = bytes.get(seen..).unwrap_or_default();
        while !new.is_empty() {
            acceptor.read_tls(&mut new).map_err(|error: io::Error| broken(&error.to_string()))?;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let server_name = accepted.client_hello().server_name().map(|name| name.to_ascii_lowercase().into());
                return Ok(Some(Hello { server_name, bytes }));
            }
            Err((error, mut alert)) => {
                let mut said = Vec::new();
                // A vector takes everything.
                let _ = alert.write_all(&mut said);
                return Err(Invalid { reason: error.to_string(), alert: said });
            }
        }
    }
}

fn broken(reason: &str) -> Invalid {
    Invalid { reason: reason.to_owned(), alert: Vec::new() }
}

/// Ten times what clients send, key shares of post-quantum exchanges included.
const MAX_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
