//! Why the disk takes no lines, for all who ask.

use std::io;
use std::sync::Arc;

/// Why the disk takes nothing: an `io::Error` that can be handed to many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    code: Option<i32>,
    kind: io::ErrorKind,
    text: Arc<str>,
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        Self { code: error.raw_os_error(), kind: error.kind(), text: error.to_string().into() }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure.code {
            Some(code) => Self::from_raw_os_error(code),
            None => Self::new(failure.kind, &*failure.text),
        }
    }
}
