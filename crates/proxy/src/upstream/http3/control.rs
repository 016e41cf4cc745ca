//! What is said of a connection as a whole: settings both ways, and that the peer will go away (RFC 9114 §6.2).

use std::future::{pending, poll_fn};
use std::sync::Weak;

use bytes::Bytes;
use quinn::{RecvStream, VarInt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::broken::Broken;
use super::frame::{self, Frame, Frames, MAX_SECTION};
use super::stream::{Receiving, Sending};
use super::{Connection, Pool};

/// Says our settings and hears what the peer says, until the connection ends. Tells the number of the first stream that
/// the peer does not look at.
pub(super) async fn drive(
    connection: quinn::Connection,
    tell: watch::Sender<u64>,
    shared: Weak<Connection>,
    pool: Weak<Pool>,
) {
    let retire = || {
        if let (Some(shared), Some(pool)) = (shared.upgrade(), pool.upgrade()) {
            shared.retire(&pool);
        }
    };
    let go_away = |id| {
        let _before = tell.send_replace(id);
        retire();
    };
    if let Err(fault) = converse(&connection, go_away).await {
        connection.close(fault.code, fault.reason.as_bytes());
    }
    tracing::debug!(error = ?connection.close_reason(), "upstream connection ended");
    retire();
}

/// What the peer did that ends the connection for all.
struct Fault {
    code: VarInt,
    reason: &'static str,
}

const fn fault<T>(code: VarInt, reason: &'static str) -> Result<T, Fault> {
    Err(Fault { code, reason })
}

async fn converse(connection: &quinn::Connection, go_away: impl Fn(u64)) -> Result<(), Fault> {
    let Ok(stream) = connection.open_uni().await else { return Ok(()) };
    let mut own = Sending::new(stream);
    if own.write(&mut [settings()]).await.is_err() {
        return fault(CLOSED_CRITICAL_STREAM, "the control stream was stopped");
    }
    let (mut peer, mut coming) = (Peer::default(), JoinSet::new());
    loop {
        tokio::select! {
            accepted = connection.accept_uni() => match accepted {
                Ok(stream) => drop(coming.spawn(kind(stream))),
                Err(_) => return Ok(()),
            },
            Some(Ok((kind, frames))) = coming.join_next() => peer.begin(kind, frames)?,
            frame = peer.next() => {
                if let Some(last) = peer.hear(frame)? {
                    go_away(last);
                }
            }
        }
    }
}

/// Finds out what a stream is for; `None` where it ends before it says so.
async fn kind(stream: RecvStream) -> (Option<u64>, Frames) {
    let mut frames = Frames::new(Receiving::new(stream));
    (poll_fn(|cx| frames.poll_kind(cx)).await.ok(), frames)
}

/// What a peer says of the connection.
#[derive(Default)]
struct Peer {
    control: Option<Frames>,
    has_settings: bool,
    /// The first stream that it does not look at.
    last: Option<u64>,
    /// Streams of QPACK must stay open although nothing is to be said on them.
    encoder: Option<Frames>,
    decoder: Option<Frames>,
}

impl Peer {
    fn begin(&mut self, kind: Option<u64>, frames: Frames) -> Result<(), Fault> {
        let before = match kind {
            Some(CONTROL) => self.control.replace(frames),
            Some(QPACK_ENCODER) => self.encoder.replace(frames),
            Some(QPACK_DECODER) => self.decoder.replace(frames),
            // Nobody was allowed to push.
            Some(PUSH) => return fault(ID_ERROR, "a push that was not allowed"),
            // What is unknown is not read any further (RFC 9114 §6.2).
            Some(_) | None => None,
        };
        if before.is_some() { fault(STREAM_CREATION_ERROR, "a second stream of one kind") } else { Ok(()) }
    }

    async fn next(&mut self) -> Result<Option<Frame>, Broken> {
        match &mut self.control {
            Some(control) => poll_fn(|cx| control.poll_next(cx)).await,
            None => pending().await,
        }
    }

    /// Hears a frame of the control stream; returns the first stream that is not looked at, where it says one.
    fn hear(&mut self, frame: Result<Option<Frame>, Broken>) -> Result<Option<u64>, Fault> {
        let frame = match frame {
            Ok(Some(frame)) => frame,
            Err(Broken::TooLarge) => return fault(EXCESSIVE_LOAD, "a frame is too large"),
            Err(Broken::Invalid(_) | Broken::Request(_)) => return fault(FRAME_ERROR, "a frame is none"),
            // The end of this stream is that of the connection (RFC 9114 §6.2.1).
            Ok(None)
            | Err(
                Broken::Closed
                | Broken::Silent(_)
                | Broken::Reset(_)
                | Broken::Refused
                | Broken::Lost(_)
                | Broken::Tls(_),
            ) => {
                return fault(CLOSED_CRITICAL_STREAM, "the control stream ended");
            }
        };
        if !std::mem::replace(&mut self.has_settings, true) {
            let Frame::Settings(settings) = frame else { return fault(MISSING_SETTINGS, "no settings") };
            return look_at(&settings).map(|()| None);
        }
        match frame {
            Frame::GoAway(id) if id % 4 == 0 && self.last.is_none_or(|last| id <= last) => {
                self.last = Some(id);
                Ok(self.last)
            }
            Frame::GoAway(_) => fault(ID_ERROR, "a GOAWAY of no stream of ours"),
            // RFC 9114 §7.2.3: of one beyond those that were allowed, which are none.
            Frame::CancelPush => fault(ID_ERROR, "a push that was not allowed is cancelled"),
            Frame::Settings(_) | Frame::Data(_) | Frame::Headers(_) | Frame::Other => {
                fault(FRAME_UNEXPECTED, "a frame that has no place on the control stream")
            }
        }
    }
}

/// Looks whether a peer's settings are such. None of them changes what we do: we use no more than what is always there.
fn look_at(mut settings: &[u8]) -> Result<(), Fault> {
    while !settings.is_empty() {
        let setting = frame::number(settings).and_then(|(name, length)| {
            let (_value, second) = frame::number(settings.get(length..)?)?;
            Some((name, settings.get(length + second..)?))
        });
        match setting {
            // RFC 9114 §7.2.4.1: those of HTTP/2 that HTTP/3 does not have.
            Some((0x02..=0x05, _)) => return fault(SETTINGS_ERROR, "a setting of HTTP/2"),
            Some((_, rest)) => settings = rest,
            None => return fault(FRAME_ERROR, "settings that are cut off"),
        }
    }
    Ok(())
}

/// Begins our control stream. What is not said is as it is without: no dynamic table (RFC 9204 §5).
fn settings() -> Bytes {
    let mut setting = Vec::new();
    frame::write_number(&mut setting, MAX_FIELD_SECTION_SIZE);
    frame::write_number(&mut setting, MAX_SECTION as u64);
    let mut stream = Vec::new();
    frame::write_number(&mut stream, CONTROL);
    frame::begin(&mut stream, frame::SETTINGS, setting.len());
    stream.append(&mut setting);
    stream.into()
}

/// Kinds of streams (RFC 9114 §6.2, RFC 9204 §4.2).
const CONTROL: u64 = 0x00;
const PUSH: u64 = 0x01;
const QPACK_ENCODER: u64 = 0x02;
const QPACK_DECODER: u64 = 0x03;

const MAX_FIELD_SECTION_SIZE: u64 = 0x06;

/// RFC 9114 §8.1.
const STREAM_CREATION_ERROR: VarInt = VarInt::from_u32(0x0103);
const CLOSED_CRITICAL_STREAM: VarInt = VarInt::from_u32(0x0104);
const FRAME_UNEXPECTED: VarInt = VarInt::from_u32(0x0105);
const FRAME_ERROR: VarInt = VarInt::from_u32(0x0106);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(0x0107);
const ID_ERROR: VarInt = VarInt::from_u32(0x0108);
const SETTINGS_ERROR: VarInt = VarInt::from_u32(0x0109);
const MISSING_SETTINGS: VarInt = VarInt::from_u32(0x010a);
