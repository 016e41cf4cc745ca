//! How often a future is polled.

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::*;

/// Counts how often a future is polled.
struct Counted<F>(F, Arc<AtomicUsize>);

impl<F: Future + Unpin> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll(cx)
    }
}

#[tokio::test]
async fn it_is_polled_when_it_was_woken_and_not_when_its_task_was() {
    let (polls, go_on) = (Arc::new(AtomicUsize::new(0)), Notify::new());
    let notified = Box::pin(go_on.notified());
    let mut seldom = Seldom::new(Counted(notified, Arc::clone(&polls)));
    for _ in 0..10 {
        tokio::select! {
            biased;
            () = &mut seldom => panic!("nothing has happened"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(polls.load(Ordering::Relaxed), 1);
    go_on.notify_waiters();
    seldom.await;
    assert_eq!(polls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn it_is_polled_again_where_another_task_goes_on_with_it() {
    let mut seldom = Seldom::new(Box::pin(sleep(Duration::from_secs(1))));
    tokio::select! {
        biased;
        () = &mut seldom => panic!("it is too early"),
        () = tokio::task::yield_now() => {}
    }
    tokio::spawn(seldom).await.unwrap();
}
