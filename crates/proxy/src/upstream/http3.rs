//! HTTP/3 (RFC 9114) to upstreams, over QUIC as quinn speaks it.
//!
//! What is above QUIC is ours: see `docs/adr/0026-http3-to-upstreams.md`. There is no server push, no dynamic table of
//! QPACK and no 0-RTT.

mod body;
mod broken;
mod control;
mod exchange;
mod frame;
mod message;
mod qpack;
mod quic;
mod stream;
mod upload;

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::VarInt;
use tokio::sync::watch;

use super::failure::{FailureKind, UpstreamFailure};
use super::shared::{self, Begun};

pub(crate) use body::Body;
pub(crate) use broken::Broken;
pub(super) use exchange::send;
pub(super) use quic::{Quic, silent};
use stream::{Receiving, Sending};

/// The connections to one endpoint.
pub(super) type Pool = shared::Pool<Carrier>;

/// The right to one stream, until dropped.
pub(crate) type Slot = shared::Slot<Carrier>;

type Connection = shared::Connection<Carrier>;

/// One connection.
#[derive(Debug)]
pub(crate) struct Carrier {
    connection: quinn::Connection,
    /// The first stream that the peer does not look at; none of them before it has said so.
    last: watch::Receiver<u64>,
    /// Streams that we want at most.
    wanted: usize,
    /// Shows that the peer allows any.
    first: Mutex<Option<Stream>>,
}

/// A stream that was opened, on which nothing was sent.
#[derive(Debug)]
pub(crate) struct Stream {
    sending: Sending,
    receiving: Receiving,
}

impl shared::Carrier for Carrier {
    type Stream = Stream;

    fn is_settled(&self) -> bool {
        true
    }

    /// Opens a stream at once, or not at all: what the peer still allows is only told by trying.
    fn begin(&self, active: usize) -> Begun<Stream> {
        if active >= self.wanted {
            return Begun::Full;
        }
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or_else(|| Stream::open(&self.connection), Begun::Stream)
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        // No request can use it any more, and none does. QUIC would keep it alive for as long as both sides are.
        self.connection.close(NO_ERROR, b"");
    }
}

impl Stream {
    fn open(connection: &quinn::Connection) -> Begun<Self> {
        match pin!(connection.open_bi()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok((sending, receiving))) => {
                Begun::Stream(Self { sending: Sending::new(sending), receiving: Receiving::new(receiving) })
            }
            Poll::Ready(Err(_)) => Begun::Gone,
            Poll::Pending => Begun::Full,
        }
    }
}

/// Lets requests that go over `pool` use a connection, as many at a time as are `wanted` and the peer allows.
pub(super) fn open(
    pool: &Arc<Pool>,
    wanted: Option<usize>,
    connection: quinn::Connection,
) -> Result<(), UpstreamFailure> {
    let first = match Stream::open(&connection) {
        Begun::Stream(first) => first,
        // It would be followed by another, and that by the next.
        Begun::Full => {
            let detail = "upstream allows no stream on its connection";
            return Err(UpstreamFailure::new(FailureKind::Protocol, detail));
        }
        Begun::Gone => {
            return Err(UpstreamFailure::new(FailureKind::Connect, "upstream closed its connection at once"));
        }
    };
    let (tell, last) = watch::channel(u64::MAX);
    let wanted = wanted.unwrap_or(usize::MAX);
    let shared = pool.add(Carrier { connection: connection.clone(), last, wanted, first: Mutex::new(Some(first)) });
    tokio::spawn(control::drive(connection, tell, shared, Arc::downgrade(pool)));
    Ok(())
}

/// RFC 9114 §8.1.
const NO_ERROR: VarInt = VarInt::from_u32(0x0100);
