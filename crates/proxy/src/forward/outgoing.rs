//! Makes the request that goes upstream of the one that came.

use std::sync::Arc;

use http::header::EXPECT;
use http::{Request, Version};
use http_body::Body as _;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Forward;
use crate::incoming::Incoming;
use crate::upstream::{Asked, Expectation, Kept, Progress, RequestBody};

/// A request that is sent, and what tells its body that the response has come whole.
pub(super) type Outgoing = (Request<RequestBody>, Option<oneshot::Sender<()>>);

/// A body that may be sent again, and how far it has got.
pub(super) type KeptBody = (Arc<Kept>, Arc<Progress>);

/// Whether the beginning of a body is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    No,
}

/// Makes the request that goes upstream.
pub(super) fn outgoing(forward: &Forward<'_>, request: Request<Incoming>, keep: Keep) -> (Outgoing, Option<KeptBody>) {
    let (mut parts, body) = request.into_parts();
    parts.extensions.clear();
    // What is sent says in which version it was made.
    parts.version = Version::HTTP_11;
    if body.is_end_stream() {
        parts.headers.remove(EXPECT);
        return ((Request::from_parts(parts, RequestBody::empty().telling(forward.interim)), None), None);
    }
    let expects = parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(CONTINUE));
    let progress = forward.progress.clone().unwrap_or_else(|| Arc::new(Progress::new()));
    let (received, given_up) = oneshot::channel();
    let asked = expects.then(CancellationToken::new);
    let expectation = asked.clone().map(Expectation::new);
    let trailers = forward.trailers.clone();
    let (body, kept) = match keep {
        Keep::No => (RequestBody::streamed(body, progress, given_up, expectation, trailers), None),
        Keep::Yes => {
            let kept = Kept::new(body);
            let body = RequestBody::kept(&kept, Arc::clone(&progress), given_up, expectation, trailers);
            (body, Some((kept, progress)))
        }
    };
    let mut request = Request::from_parts(parts, body.telling(forward.interim));
    if let Some(asked) = asked {
        request.extensions_mut().insert(Asked(asked));
    }
    ((request, Some(received)), kept)
}

const CONTINUE: &[u8] = b"100-continue";
