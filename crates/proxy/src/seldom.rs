//! A future that is seldom ready beside one that is often woken: it is polled only once it was woken itself.
//!
//! A task is woken for all its futures alike. To ask timers and tokens at each turn of a busy connection costs more than to
//! notice that none of them has anything to say.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled only once it was woken.
#[derive(Debug)]
pub(crate) struct Seldom<F> {
    future: F,
    // None until it is polled for the first time.
    bell: Option<Arc<Bell>>,
}

/// Wakes a task, and tells that it was this future's turn.
#[derive(Debug)]
struct Bell {
    is_rung: AtomicBool,
    task: Waker,
}

impl<F> Seldom<F> {
    pub(crate) const fn new(future: F) -> Self {
        Self { future, bell: None }
    }
}

impl<F: Future + Unpin> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let bell = match &mut this.bell {
            Some(bell) if bell.task.will_wake(cx.waker()) => bell,
            bell => bell.insert(Arc::new(Bell { is_rung: AtomicBool::new(true), task: cx.waker().clone() })),
        };
        // Cheaply first. Taken back before the future looks: what rings from here on is looked at again.
        if !(bell.is_rung.load(Ordering::Relaxed) && bell.is_rung.swap(false, Ordering::AcqRel)) {
            return Poll::Pending;
        }
        let bell = Waker::from(Arc::clone(bell));
        Pin::new(&mut this.future).poll(&mut Context::from_waker(&bell))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests;
