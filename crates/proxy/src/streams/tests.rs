//! When there is a doubt.

use std::pin::pin;

use tokio::task::coop::poll_proceed;

use super::*;

/// A request that has not to wait for its doubt.
struct Upload(Streams);

impl Lasting for Upload {
    fn streams(&self) -> &Streams {
        &self.0
    }

    fn session(&self) -> Option<&Arc<Session>> {
        None
    }

    fn decided_by(&self) -> &Arc<Snapshot> {
        panic!("it waits")
    }
}

#[tokio::test]
async fn a_task_that_has_used_up_its_turns_hears_of_a_doubt() {
    let upload = Upload(Streams::default());
    let mut opening = Opening::new(&upload.0);
    upload.0.doubts.fetch_add(1, Ordering::Release);
    let mut doubt = pin!(opening.doubt(Instant::now() - 2 * SOON, &upload));
    poll_fn(|cx| {
        while let Poll::Ready(turn) = poll_proceed(cx) {
            turn.made_progress();
        }
        assert!(doubt.as_mut().poll(cx).is_ready());
        Poll::Ready(())
    })
    .await;
}
