//! Moves bytes between a tunnel and this computer, and passes on the end of each direction.

use std::fs::OpenOptions;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, Join, copy_bidirectional_with_sizes};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Client, Failure, Tunnel};

/// Moves bytes both ways until both directions have ended, or until it is to `stop`: then the proxy is told.
///
/// # Errors
/// Either side broke off.
pub async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    mut tunnel: Tunnel,
    mut here: S,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    tokio::select! {
        carried = copy_bidirectional_with_sizes(&mut here, &mut tunnel, AT_ONCE, AT_ONCE) => {
            carried.map(drop).map_err(Failure::broken)
        }
        () = stop => {
            // Nothing is left to do for a proxy that takes no word.
            let _ = timeout(PARTING, tunnel.shutdown()).await;
            Ok(())
        }
    }
}

/// Opens a tunnel for each connection that comes; `failed` is told why one was not served. Ends only by being dropped.
///
/// # Errors
/// No connection can be accepted any more.
pub async fn listen(client: Arc<Client>, listener: TcpListener, failed: fn(Failure)) -> Result<(), Failure> {
    let mut tunnels = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let client = Arc::clone(&client);
                    tunnels.spawn(async move { carry(client.open().await?, stream, pending()).await });
                }
                Err(error) => {
                    failed(Failure::Local(format!("cannot accept a connection: {error}")));
                    // Where files have run out, the next one would fail at once, and so on.
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(ended) = tunnels.join_next(), if !tunnels.is_empty() => {
                if let Ok(Err(failure)) = ended {
                    failed(failure);
                }
            }
        }
    }
}

/// Takes standard input and output as one stream; what else would be printed goes nowhere.
///
/// # Errors
/// They are closed.
pub fn standard_streams() -> Result<Join<File, Output>, Failure> {
    let taken = || {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        // The only one that is left: when it is closed, whoever reads learns that nothing more comes.
        rustix::stdio::dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
        let file = |owned: OwnedFd| File::from_std(owned.into());
        Ok(tokio::io::join(file(input), Output(Some(file(output)))))
    };
    taken().map_err(|error: io::Error| Failure::Local(format!("standard input or output cannot be used: {error}")))
}

/// Standard output, which is closed when it is shut down.
#[derive(Debug)]
pub struct Output(Option<File>);

impl Output {
    fn file(&mut self) -> io::Result<Pin<&mut File>> {
        self.0.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncWrite for Output {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.file()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.file()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.file()?.poll_flush(cx))?;
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}

/// How much is read at once.
const AT_ONCE: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_millis(100);
/// How long a proxy may take to be told that nothing more comes.
const PARTING: Duration = Duration::from_secs(1);
