//! One request of a connection and its answer: both bodies move at the same time, until both have ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body as _;
use tokio::sync::oneshot;

use super::Faulty;
use super::answer::{self, Asked, Encoder, Framing};
use super::head::{self, Head, Refused, Version};
use super::incoming::{self, Body, Step, Upload, Want};
use super::leaving::{Client, Look, Silence};
use super::outbox::Outbox;
use super::server::{Tunnel, Tunnelling, Wire};
use crate::body::ResponseBody;
use crate::boxed::boxed;
use crate::connection::Connection;
use crate::incoming::Incoming;
use crate::pipeline;

/// One request and its answer.
pub(super) struct Turn {
    connection: Arc<Connection>,
    asked: Asked,
    /// Makes the answer; gone once it is there.
    pipeline: Option<Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>>,
    out: Outbox,
    /// There once the head of the answer is in the outbox.
    encoder: Option<Encoder>,
    /// What is still to be sent of the answer.
    body: Option<ResponseBody>,
    /// What is still to be read of the request.
    upload: Option<Upload>,
    /// The client waits to be asked for the body.
    expects_continue: bool,
    keeps_alive: bool,
    /// The body of the request is none, and the client may still be sending.
    is_broken: bool,
    /// There once the client has said all that it has to say.
    silence: Option<Silence>,
    tunnel: Option<(oneshot::Sender<Tunnel>, Tunnelling)>,
    /// How many bytes of a body that nobody wants may still be read.
    patience: u64,
}

/// What a connection does after a turn.
#[derive(Debug)]
pub(super) enum Next {
    /// Reads the next request.
    Head,
    /// Closes.
    Close,
    /// Closes once the client, which may still be sending, has had the time to read the answer.
    Linger,
    /// Becomes a tunnel.
    Tunnel(oneshot::Sender<Tunnel>),
}

impl Turn {
    /// Begins with a head; what came behind it is in `wire`.
    pub(super) fn new<S>(connection: &Arc<Connection>, head: Head, wire: &mut Wire<S>) -> Box<Self> {
        let asked = Asked::new(&head.method, head.version, head.wishes);
        if asked.version == Version::Http11 {
            connection.interim.open();
        }
        let streamed = |length| {
            let (body, upload) = Body::streamed(length);
            (body, Some(upload))
        };
        let (body, upload) = match head.framing {
            head::Framing::Length(length) => match wire.take_whole(length) {
                Some(data) => (Body::whole(data), None),
                None => streamed(Some(length)),
            },
            head::Framing::Chunked => streamed(None),
        };
        let mut request = Request::new(Incoming::Http1(body));
        *request.method_mut() = head.method;
        *request.uri_mut() = head.target;
        *request.version_mut() = asked.version.into();
        *request.headers_mut() = head.headers;
        let tunnel = head.wishes.upgrades.then(|| {
            let (tunnel, promised) = oneshot::channel();
            let tunnelling = Tunnelling::new(promised);
            request.extensions_mut().insert(tunnelling.clone());
            (tunnel, tunnelling)
        });
        let answer = || pipeline::answer(Arc::clone(connection), request, connection.interim.clone());
        let pipeline = Box::into_pin(boxed(answer));
        let expects_continue = upload.is_some() && head.wishes.expects_continue;
        Box::new(Self {
            pipeline: Some(pipeline),
            upload,
            expects_continue,
            tunnel,
            // What comes behind a CONNECT that is refused is no body.
            is_broken: asked.is_connect,
            ..Self::empty(Arc::clone(connection), asked)
        })
    }

    /// Answers a head that is refused.
    pub(super) fn refused(connection: &Arc<Connection>, refused: Refused) -> Box<Self> {
        let asked =
            Asked { is_head: false, is_connect: false, version: Version::Http11, wishes: head::Wishes::default() };
        let mut turn = Self { is_broken: true, ..Self::empty(Arc::clone(connection), asked) };
        turn.answer(pipeline::refuse(Arc::clone(connection), refused), true);
        Box::new(turn)
    }

    fn empty(connection: Arc<Connection>, asked: Asked) -> Self {
        Self {
            connection,
            asked,
            pipeline: None,
            out: Outbox::default(),
            encoder: None,
            body: None,
            upload: None,
            expects_continue: false,
            keeps_alive: asked.wishes.keeps_alive,
            is_broken: false,
            silence: None,
            tunnel: None,
            patience: incoming::MAX_DISCARDED,
        }
    }

    /// Goes on as far as possible; ready when both sides have ended.
    pub(super) fn poll<S: Client>(&mut self, wire: &mut Wire<S>, cx: &mut Context<'_>) -> Poll<io::Result<Next>> {
        loop {
            if self.asked.is_connect && self.pipeline.is_some() {
                // Before the tunnel may open.
                self.poll_ahead(wire, cx)?;
            }
            self.poll_pipeline(wire, cx)?;
            let is_sent = self.poll_send(wire, cx)?.is_ready() && self.encoder.is_some();
            match (self.poll_upload(wire, cx)?, is_sent) {
                (Progress::Moved, _) => continue,
                (Progress::Over, true) => return Poll::Ready(Ok(self.next())),
                (Progress::Unwanted, true) => return self.poll_discard(wire, cx),
                (Progress::Over | Progress::Unwanted | Progress::Waits, _) => {}
            }
            if !self.poll_leaving(wire, cx)? {
                return Poll::Pending;
            }
        }
    }

    /// Returns what comes after the turn.
    fn next(&mut self) -> Next {
        match self.tunnel.take() {
            Some((tunnel, _)) => Next::Tunnel(tunnel),
            None if self.keeps_alive => Next::Head,
            None if self.is_broken => Next::Linger,
            None => Next::Close,
        }
    }

    fn poll_pipeline<S>(&mut self, wire: &Wire<S>, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(pipeline) = &mut self.pipeline else { return Ok(()) };
        let polled = pipeline.as_mut().poll(cx);
        match polled {
            // RFC 6455 §4.1: a client waits for the answer. What it says before was not said to a tunnel.
            Poll::Ready(response) if self.asked.ends_http(response.status()) && !wire.read.is_empty() => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "more came before the connection was a tunnel"));
            }
            Poll::Ready(response) => {
                self.pipeline = None;
                self.answer(response, wire.is_last);
            }
            Poll::Pending if self.asked.version == Version::Http11 => {
                for (status, headers) in self.connection.interim.take(cx) {
                    answer::write_interim(&mut self.out.line, status, &headers);
                }
            }
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Begins to answer.
    fn answer(&mut self, response: Response<ResponseBody>, is_last: bool) {
        let (parts, body) = response.into_parts();
        if self.asked.version == Version::Http11 {
            for (status, headers) in self.connection.interim.close() {
                answer::write_interim(&mut self.out.line, status, &headers);
            }
        }
        let framing = Framing::of(self.asked, parts.status, &parts.headers, body.size_hint().exact());
        // A client that was not asked for its body may send it or not: what comes next is not known (RFC 9110 §10.1.1).
        let is_certain = !self.expects_continue && self.upload.as_ref().is_none_or(Upload::may_be_discarded);
        self.keeps_alive &= !is_last && is_certain && framing != Framing::Close && !answer::closes(&parts.headers);
        if !self.asked.ends_http(parts.status) {
            self.tunnel = None;
        }
        let now = || self.connection.snapshot().clock.now();
        self.out.line.reserve(HEAD_ROOM);
        answer::write(&mut self.out.line, &parts, framing, self.asked, self.keeps_alive, now);
        self.encoder = Some(Encoder::new(framing, self.asked));
        self.body = Some(body).filter(|_| !matches!(framing, Framing::Empty | Framing::Length(0)));
    }

    /// Sends what there is; ready when nothing more is to come, of an answer or of what comes before it.
    fn poll_send<S: Client>(&mut self, wire: &mut Wire<S>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // The head waits for what there already is of the body: both are written together.
            let is_waiting = self.out.is_ready_for_data() && self.poll_body(cx)?.is_pending();
            let stream = Pin::new(&mut wire.stream);
            if self.out.poll_write(cx, stream)?.is_pending() {
                self.doubt()?;
                return Poll::Pending;
            }
            if is_waiting || self.body.is_none() {
                ready!(self.out.poll_flush(cx, Pin::new(&mut wire.stream)))?;
                return if is_waiting { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
        }
    }

    /// Decides again where there is a doubt about an answer that nobody reads.
    fn doubt(&mut self) -> io::Result<()> {
        match self.body.as_mut().and_then(ResponseBody::doubt) {
            None => Ok(()),
            Some(_) => Err(io::Error::other("the answer is no longer allowed")),
        }
    }

    /// Takes the next part of the answer's body into the outbox.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let (Some(body), Some(encoder)) = (&mut self.body, &mut self.encoder) else { return Ok(Poll::Ready(())) };
        let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else { return Ok(Poll::Pending) };
        // What is cut off in the middle cannot be mended: the end of the connection tells the client.
        let is_last = match frame.transpose().map_err(io::Error::other)?.map(http_body::Frame::into_data) {
            Some(Ok(data)) => encoder.put(data, body.is_end_stream(), &mut self.out)?,
            Some(Err(frame)) => encoder.end(frame.trailers_ref(), &mut self.out).map(|()| true)?,
            None => encoder.end(None, &mut self.out).map(|()| true)?,
        };
        if is_last {
            self.body = None;
        }
        Ok(Poll::Ready(()))
    }

    /// Reads the request's body as far as it is wanted.
    fn poll_upload<S: Client>(&mut self, wire: &mut Wire<S>, cx: &mut Context<'_>) -> io::Result<Progress> {
        let Some(upload) = &mut self.upload else { return Ok(Progress::Over) };
        match upload.wants(cx) {
            Want::Nothing => return Ok(Progress::Waits),
            Want::Never => return Ok(Progress::Unwanted),
            Want::More => {}
        }
        if std::mem::take(&mut self.expects_continue) && wire.read.is_empty() && self.encoder.is_none() {
            self.out.line.extend_from_slice(CONTINUE);
            return Ok(Progress::Moved);
        }
        let broken = loop {
            match upload.next(&mut wire.read) {
                Ok(Step::Data(data)) => {
                    self.connection.activity.moved();
                    if upload.give(data, cx) {
                        self.upload = None;
                    }
                    return Ok(Progress::Moved);
                }
                Ok(Step::End(trailers)) => {
                    upload.end(trailers, cx);
                    self.upload = None;
                    return Ok(Progress::Moved);
                }
                Ok(Step::Read(room)) => match wire.poll_fill(cx, room)? {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => break Faulty::Closed,
                    Poll::Pending => return Ok(Progress::Waits),
                },
                Err(faulty) => break faulty,
            }
        };
        upload.fail(broken, cx);
        self.upload = None;
        self.keeps_alive = false;
        self.is_broken = true;
        Ok(Progress::Moved)
    }

    /// Reads what is left of a body that nobody wants, where it is not much: the connection may serve again.
    fn poll_discard<S: Client>(&mut self, wire: &mut Wire<S>, cx: &mut Context<'_>) -> Poll<io::Result<Next>> {
        while let Some(upload) = self.upload.as_mut().filter(|_| self.keeps_alive) {
            match upload.next(&mut wire.read) {
                Ok(Step::Data(data)) => match self.patience.checked_sub(data.len() as u64) {
                    Some(patience) => self.patience = patience,
                    None => break,
                },
                Ok(Step::End(_)) => return Poll::Ready(Ok(Next::Head)),
                Ok(Step::Read(room)) => {
                    if !ready!(wire.poll_fill(cx, room)?) {
                        return Poll::Ready(Ok(Next::Close));
                    }
                }
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(Next::Linger))
    }

    /// Looks whether the client is there; returns whether it is to be sent something that shows it.
    fn poll_leaving<S: Client>(&mut self, wire: &mut Wire<S>, cx: &mut Context<'_>) -> io::Result<bool> {
        self.poll_ahead(wire, cx)?;
        let Some(silence) = &mut self.silence else { return Ok(false) };
        if silence.poll(&wire.stream, cx)? == Look::Wait {
            return Ok(false);
        }
        match &self.encoder {
            // RFC 9110 §15.2: a client takes what comes before an answer, expected or not.
            None if self.asked.version == Version::Http11 => self.out.line.extend_from_slice(CONTINUE),
            Some(encoder) if self.out.is_empty() => encoder.write_zero(&mut self.out),
            None | Some(_) => {}
        }
        Ok(true)
    }

    /// Reads some of what comes before it is wanted, so that the end of the connection is seen.
    fn poll_ahead<S: Client>(&mut self, wire: &mut Wire<S>, cx: &mut Context<'_>) -> io::Result<()> {
        while self.silence.is_none() && wire.read.len() < MAX_AHEAD {
            match wire.poll_fill(cx, AHEAD)? {
                Poll::Ready(true) => {}
                Poll::Ready(false) => self.silence = Some(Silence::new()),
                Poll::Pending => break,
            }
        }
        if let Some((_, tunnelling)) = self.tunnel.as_ref().filter(|_| !wire.read.is_empty()) {
            tunnelling.note_ahead();
        }
        Ok(())
    }
}

/// How the body of a request gets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There was more.
    Moved,
    /// More is to come, or to be asked for.
    Waits,
    /// More is to come, and nobody wants it.
    Unwanted,
    /// All of it was read, or there is none.
    Over,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// For most heads of answers.
const HEAD_ROOM: usize = 1024;
/// How much of what comes before it is wanted is read, so that the end of the connection is seen.
const MAX_AHEAD: usize = 16 * 1024;
const AHEAD: usize = 4 * 1024;
