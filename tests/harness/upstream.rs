//! An upstream that keeps what it receives, byte for byte, and answers with what the test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::Result;

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The request line.
    pub line: String,
    /// The header lines, in order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, where `Content-Length` tells its end.
    pub body: Vec<u8>,
}

impl Seen {
    /// Returns all values of a header.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Returns whether any header has a name that a program may take for `name`.
    #[must_use]
    pub fn has_alias_of(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other.replace('_', "-") == name)
    }
}

/// An upstream on a port of its own.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Starts an upstream that answers every request with 200 and `hello`.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn hello() -> Result<Self> {
        Self::answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/plain\r\n\r\nhello").await
    }

    /// Starts an upstream that answers every request with these bytes.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, seen, answer) =
            (listener.local_addr()?, Arc::<Mutex<Vec<Seen>>>::default(), Arc::new(answer.into()));
        let kept = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&answer)));
            }
        });
        Ok(Self { address, seen, task })
    }

    /// Starts an upstream that does what `each` does with each connection; it keeps nothing of what it receives.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn with<F, R>(each: F) -> Result<Self>
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Two writes in a row are on their way at once.
                let _ = stream.set_nodelay(true);
                tokio::spawn(each(stream));
            }
        });
        Ok(Self { address, seen: Arc::default(), task })
    }

    /// Returns `127.0.0.1:PORT`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the upstream.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what was received so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, answer: Arc<Vec<u8>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Reads one request; what follows it stays in `buffer`.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        (stream.read_buf(buffer).await.ok()? > 0).then_some(())?;
    };
    let head = String::from_utf8_lossy(buffer.get(..end)?).into_owned();
    let mut lines = head.split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let length: usize = length.unwrap_or(0);
    while buffer.len() < end + length {
        (stream.read_buf(buffer).await.ok()? > 0).then_some(())?;
    }
    let body = buffer.get(end..end + length)?.to_vec();
    buffer.drain(..end + length);
    Some(Seen { line, headers, body })
}
