//! An upstream that keeps what it receives, byte for byte, and answers with what the test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

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

/// What was received so far.
#[derive(Debug, Default)]
struct Received {
    requests: Mutex<Vec<Seen>>,
    more: Notify,
}

/// An upstream on a port of its own.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Received>,
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
        let (address, seen, answer) = (listener.local_addr()?, Arc::<Received>::default(), Arc::new(answer.into()));
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
        self.seen.lock().clone()
    }

    /// Waits until enough was received.
    ///
    /// # Errors
    /// It was not within a minute.
    pub async fn until(&self, is_enough: impl Fn(&[Seen]) -> bool) -> Result<()> {
        let waiting = async {
            loop {
                // Before looking: nothing comes between.
                let more = self.seen.more.notified();
                if is_enough(&self.seen.lock()) {
                    return;
                }
                more.await;
            }
        };
        Ok(timeout(Duration::from_secs(60), waiting).await?)
    }
}

impl Received {
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Received>, answer: Arc<Vec<u8>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        seen.lock().push(request);
        seen.more.notify_waiters();
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
