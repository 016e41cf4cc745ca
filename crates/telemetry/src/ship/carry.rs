//! What the thread of a receiver does: bring lines, wait, try again, and change over to another receiver.

use std::io;
use std::time::Duration;

use audit::Follower;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Order;

/// A way to a receiver.
pub(crate) trait Courier: Sized + Send + 'static {
    /// What tells where the receiver is.
    type Receiver: Clone + PartialEq + Send + Sync + 'static;

    /// Sets out for a receiver, in the name of this process.
    fn new(receiver: Self::Receiver, instance: &str) -> Self;

    /// Brings what is there; tells whether that was anything.
    fn deliver(&mut self, follower: &mut Follower) -> impl Future<Output = io::Result<bool>>;

    /// Says farewell when all was brought.
    fn finish(&mut self, follower: &mut Follower) -> impl Future<Output = ()>;
}

/// How far work for a receiver goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// On and on.
    Further,
    /// To the end of the log: there is no other who would bring it.
    End,
    /// Here: another receiver gets the rest.
    Here,
}

/// Works until it is told to finish.
pub(super) async fn work<C: Courier>(mut follower: Follower, mut orders: watch::Receiver<Order<C::Receiver>>) {
    loop {
        let order = orders.borrow_and_update().clone();
        match order {
            Order::Bring(receiver) => bring::<C>(&receiver, &mut follower, &mut orders).await,
            Order::Rest => drop(orders.changed().await),
            Order::Finish => break,
        }
    }
    follower.close();
}

/// Brings lines to one receiver until there is another order and nothing is left, or nothing more can be hoped for.
async fn bring<C: Courier>(
    receiver: &C::Receiver,
    follower: &mut Follower,
    orders: &mut watch::Receiver<Order<C::Receiver>>,
) {
    let mut courier = C::new(receiver.clone(), follower.instance());
    let sink = follower.progress().name();
    let mut ending = orders.clone();
    let too_late = async {
        drop(ending.wait_for(|order| until(order, receiver) != Until::Further).await);
        sleep(FAREWELL).await;
    };
    let is_done = tokio::select! {
        () = carry(&mut courier, receiver, follower, orders) => true,
        () = too_late => false,
    };
    if is_done {
        let _ = timeout(FAREWELL, courier.finish(follower)).await;
    } else {
        tracing::warn!(sink, "audit records were not sent before the end; whoever is sent them next gets them");
    }
    follower.go_back_to_arrived();
}

async fn carry<C: Courier>(
    courier: &mut C,
    receiver: &C::Receiver,
    follower: &mut Follower,
    orders: &mut watch::Receiver<Order<C::Receiver>>,
) {
    let sink = follower.progress().name();
    let mut failed = 0;
    loop {
        // Before the last look: what was written until then is seen by it.
        let until = until(&orders.borrow(), receiver);
        if until == Until::Here {
            return;
        }
        let pause = match courier.deliver(follower).await {
            Ok(true) => {
                if std::mem::take(&mut failed) > 0 {
                    tracing::info!(sink, "audit records are sent again");
                }
                continue;
            }
            Ok(false) if until == Until::End => return,
            Ok(false) => INTERVAL,
            Err(error) => {
                // Once, not for every attempt of a long night.
                if failed == 0 {
                    tracing::warn!(sink, %error, "audit records cannot be sent now: they wait in the log");
                }
                failed += 1;
                pause(failed)
            }
        };
        // With another order there is no reason to wait, but for those who wait for the end already.
        let is_new = |order: &Order<C::Receiver>| self::until(order, receiver) != until;
        drop(timeout(pause, orders.wait_for(is_new)).await);
    }
}

/// Returns how far work for a receiver goes under this order.
fn until<R: PartialEq>(order: &Order<R>, receiver: &R) -> Until {
    match order {
        Order::Bring(other) if other == receiver => Until::Further,
        Order::Bring(_) => Until::Here,
        Order::Rest | Order::Finish => Until::End,
    }
}

/// Doubles, and is not the same for all who lost one receiver.
fn pause(failed: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failed.min(10).saturating_sub(1)).min(LONGEST_PAUSE);
    let mut random = [0];
    // Without randomness all come at once: a pity, and no harm.
    let _ = aws_lc_rs::rand::fill(&mut random);
    pause.mul_f64(0.5 + f64::from(random[0]) / 512.0)
}

/// How long a line waits at most before it is looked for.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long the end waits for receivers.
const FAREWELL: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
