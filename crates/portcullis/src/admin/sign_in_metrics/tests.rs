//! How often a store is asked how many sessions it has.

use std::time::Duration;

use tokio::time::advance;

use super::SessionCount;

#[tokio::test(start_paused = true)]
async fn sessions_are_counted_every_ten_seconds_at_most() {
    let counted = SessionCount::default();
    let read = async |answer: Result<usize, ()>| counted.read(async || answer).await;
    assert_eq!(read(Err(())).await, None, "none is not what there is");
    assert_eq!(read(Ok(1)).await, Some(1));
    advance(Duration::from_millis(9_999)).await;
    assert_eq!(read(Ok(2)).await, Some(1));
    advance(Duration::from_millis(1)).await;
    assert_eq!(read(Err(())).await, None, "an old count is none");
    assert_eq!(read(Ok(2)).await, Some(2));
    assert_eq!(read(Err(())).await, Some(2));
}
