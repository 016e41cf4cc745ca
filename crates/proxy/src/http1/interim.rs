//! Informational responses on their way to a client (RFC 9110 §15.2).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use http::header::{CONNECTION, CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, StatusCode};

use super::{answer, fields};

/// What an upstream says before it answers the request that a connection is busy with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interim(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    /// There is a request that waits for its answer, and its client understands what comes before.
    is_open: bool,
    bytes: Vec<u8>,
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
        answer::status_line(&mut said.bytes, status, None);
        for (name, value) in headers.iter().filter(|(name, _)| !NOT_PASSED.contains(name)) {
            fields::write(&mut said.bytes, name, value);
        }
        said.bytes.extend_from_slice(b"\r\n");
        let task = said.task.take();
        drop(said);
        task.into_iter().for_each(Waker::wake);
    }

    /// From here on a client waits.
    pub(super) fn open(&self) {
        self.lock().is_open = true;
    }

    /// Takes what was said into `to`, and has the task woken when there is more.
    pub(super) fn take(&self, to: &mut Vec<u8>, cx: &Context<'_>) {
        let mut said = self.lock();
        to.append(&mut said.bytes);
        match &mut said.task {
            Some(task) => task.clone_from(cx.waker()),
            None => said.task = Some(cx.waker().clone()),
        }
    }

    /// Nothing more is passed on; takes what was said into `to`.
    pub(super) fn close(&self, to: &mut Vec<u8>) {
        let mut said = self.lock();
        to.append(&mut said.bytes);
        *said = Said::default();
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is for one connection only, says something of a body, or signs somebody in.
const NOT_PASSED: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING, UPGRADE];

/// Responses that are passed on for one request: an upstream may say more than its client reads.
const MOST: u32 = 16;
