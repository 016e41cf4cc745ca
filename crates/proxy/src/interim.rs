//! Informational responses on their way to a client (RFC 9110 §15.2), whichever protocols the two sides speak.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use http::header::{CONNECTION, CONTENT_LENGTH, SET_COOKIE, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, StatusCode};

/// What an upstream says before it answers the request that a client waits with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interim(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    /// There is a request that waits for its answer, and its client understands what comes before.
    is_open: bool,
    responses: VecDeque<(StatusCode, HeaderMap)>,
    /// How many responses were passed on.
    count: u32,
    task: Option<Waker>,
}

impl Interim {
    /// Passes a response on to the client that waits.
    pub(crate) fn say(&self, status: StatusCode, headers: &HeaderMap) {
        let mut said = self.lock();
        if !said.is_open || said.count == MOST {
            return;
        }
        said.count += 1;
        let passed = headers.iter().filter(|(name, _)| !NOT_PASSED.contains(name));
        said.responses.push_back((status, passed.map(|(name, value)| (name.clone(), value.clone())).collect()));
        let task = said.task.take();
        drop(said);
        task.into_iter().for_each(Waker::wake);
    }

    /// From here on a client waits.
    pub(crate) fn open(&self) {
        self.lock().is_open = true;
    }

    /// Takes what was said, and has the task woken when there is more.
    pub(crate) fn take(&self, cx: &Context<'_>) -> VecDeque<(StatusCode, HeaderMap)> {
        let mut said = self.lock();
        match &mut said.task {
            Some(task) => task.clone_from(cx.waker()),
            None => said.task = Some(cx.waker().clone()),
        }
        std::mem::take(&mut said.responses)
    }

    /// Takes what was said; nothing more is passed on.
    pub(crate) fn close(&self) -> VecDeque<(StatusCode, HeaderMap)> {
        std::mem::take(&mut *self.lock()).responses
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is for one connection only, says something of a body, or signs somebody in.
const NOT_PASSED: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    SET_COOKIE,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Responses that are passed on for one request: an upstream may say more than its client reads.
const MOST: u32 = 16;
