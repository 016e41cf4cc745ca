//! The rest of a request's body, sent beside its response: an upstream may answer before it has read all, and read on.

use std::future::pending;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// A body that is being sent by a task of its own; broken off when dropped before [`Upload::detach`].
#[derive(Debug)]
pub(super) struct Upload<S> {
    task: AbortHandle,
    over: Option<oneshot::Sender<S>>,
}

/// How long an upload may go on.
pub(super) struct Patience<S> {
    over: oneshot::Receiver<S>,
    /// The place of the stream, which is taken until the upload has ended, too.
    slot: Option<S>,
}

impl<S: Send + 'static> Upload<S> {
    /// Has a task send the body.
    pub(super) fn start<F: Future<Output = ()> + Send + 'static>(sending: impl FnOnce(Patience<S>) -> F) -> Self {
        let (tell, over) = oneshot::channel();
        let task = tokio::spawn(sending(Patience { over, slot: None }));
        Self { task: task.abort_handle(), over: Some(tell) }
    }

    /// Lets the rest be sent: the response has come whole. What `slot` stands for is only free behind it.
    pub(super) fn detach(mut self, slot: S) {
        // Where all is sent already, nothing has to wait.
        let _sent = self.over.take().map(|over| over.send(slot));
    }
}

impl<S> Drop for Upload<S> {
    fn drop(&mut self) {
        if self.over.is_some() {
            self.task.abort();
        }
    }
}

impl<S> Patience<S> {
    /// Ends when this has been waited for too long since the response ended, so that no other time limit is left: an upstream
    /// that takes nothing more would hold the stream and the client's bytes for ever.
    pub(super) async fn end(&mut self) {
        if self.slot.is_none() {
            match (&mut self.over).await {
                Ok(slot) => self.slot = Some(slot),
                // Whoever drops the other half breaks the upload off.
                Err(_) => pending().await,
            }
        }
        sleep(STALLED).await;
    }
}

/// How long an upload may rest after its response has ended.
pub(super) const STALLED: Duration = Duration::from_secs(300);
