//! Audit records as syslog: RFC 5424 messages over TCP, each after its length (RFC 6587 §3.4.1), or over TLS (RFC 5425).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use audit::{Follower, Place};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::receiver::{Duplex, PATIENCE, Receiver};
use crate::ship::Courier;

/// A receiver of syslog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// Where it is.
    pub receiver: Receiver,
    /// The facility (RFC 5424 §6.2.1).
    pub facility: u8,
    /// What stands as HOSTNAME: printable ASCII.
    pub hostname: String,
    /// What stands as APP-NAME: printable ASCII.
    pub app_name: String,
}

/// The connection to a receiver of syslog.
pub(crate) struct Connection {
    syslog: Syslog,
    stream: Option<Box<dyn Duplex>>,
    marks: Option<Marks>,
    // Kept, so that their memory is used again.
    lines: Vec<u8>,
    frames: Vec<u8>,
}

/// Nobody confirms what came over TCP. What was sent so long ago that the receiver's system must have confirmed it counts
/// as arrived, and what came after is sent again when a connection breaks.
#[derive(Clone, Copy, Debug)]
struct Marks {
    arrived: Place,
    next: Place,
    since: Instant,
}

/// What is looked at of a line.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Facts<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    decision: Cow<'a, str>,
}

impl Connection {
    async fn send(&mut self, follower: &mut Follower) -> io::Result<bool> {
        // Before there is a connection: what waits is known to wait.
        self.lines.clear();
        follower.read(&mut self.lines, BATCH)?;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(self.syslog.receiver.connect().await?),
        };
        is_open(stream.as_mut()).await?;
        if self.lines.is_empty() {
            return Ok(false);
        }
        self.frames.clear();
        for line in self.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.syslog.frame(line, &mut self.frames);
        }
        let written = timeout(PATIENCE, async {
            stream.write_all(&self.frames).await?;
            stream.flush().await
        });
        written.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))?;
        follower.sent();
        Ok(true)
    }
}

impl Courier for Connection {
    type Receiver = Syslog;

    fn new(syslog: Syslog, _: &str) -> Self {
        Self { syslog, stream: None, marks: None, lines: Vec::new(), frames: Vec::new() }
    }

    async fn deliver(&mut self, follower: &mut Follower) -> io::Result<bool> {
        let marks = self.marks.get_or_insert_with(|| Marks::at(follower.place()));
        marks.pass(follower.place());
        follower.arrived(marks.arrived);
        let sent = self.send(follower).await;
        if sent.is_err() {
            self.stream = None;
            if let Some(marks) = self.marks.take() {
                follower.go_back(marks.arrived);
            }
        }
        sent
    }

    async fn finish(&mut self, follower: &mut Follower) {
        let Some(stream) = &mut self.stream else { return };
        // A receiver that closes its side, too, has read all that was sent.
        if stream.shutdown().await.is_ok() && closes(stream.as_mut()).await {
            follower.arrived(follower.place());
        }
    }
}

impl Marks {
    fn at(place: Place) -> Self {
        Self { arrived: place, next: place, since: Instant::now() }
    }

    fn pass(&mut self, place: Place) {
        if self.since.elapsed() >= CERTAIN {
            *self = Self { arrived: self.next, next: place, since: Instant::now() };
        }
    }
}

impl Syslog {
    /// Adds the message of one line.
    fn frame(&self, line: &[u8], frames: &mut Vec<u8>) {
        let facts: Facts<'_> = serde_json::from_slice(line).unwrap_or_default();
        let severity = match (&*facts.kind, &*facts.decision) {
            ("unrecorded", _) => ERROR,
            (_, "deny" | "challenge") => NOTICE,
            _ => INFORMATIONAL,
        };
        let priority = self.facility * 8 + severity;
        let kind = if facts.kind.is_empty() { "-" } else { &facts.kind };
        let (time, host, app, process) = (time(&facts.time), &self.hostname, &self.app_name, std::process::id());
        let mut head = String::new();
        let _ = write!(head, "<{priority}>1 {time} {host} {app} {process} {kind} {ORIGIN} ");
        frames.extend_from_slice((head.len() + line.len()).to_string().as_bytes());
        frames.push(b' ');
        frames.extend_from_slice(head.as_bytes());
        frames.extend_from_slice(line);
    }
}

/// Cuts a time to the microseconds that RFC 5424 §6.2.3 allows.
fn time(text: &str) -> Cow<'_, str> {
    match text.split_once('.') {
        None if text.is_empty() => "-".into(),
        None => text.into(),
        Some((seconds, fraction)) => {
            let digits: String = fraction.chars().take_while(char::is_ascii_digit).take(6).collect();
            format!("{seconds}.{digits}Z").into()
        }
    }
}

/// Finds out whether the receiver has closed the connection: what is written then would be lost without a word.
async fn is_open(stream: &mut dyn Duplex) -> io::Result<()> {
    let mut said = [0; 512];
    match timeout(Duration::ZERO, stream.read(&mut said)).await {
        Ok(Ok(0)) => Err(io::Error::new(io::ErrorKind::ConnectionReset, "the receiver closed the connection")),
        Ok(Err(error)) => Err(error),
        // It has nothing to say, and what it says is not for us.
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

async fn closes(stream: &mut dyn Duplex) -> bool {
    let mut said = [0; 512];
    loop {
        match stream.read(&mut said).await {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// Registered for who wrote a message (RFC 5424 §7.2). Elements of our own would need a number that we have not.
const ORIGIN: &str = concat!("[origin software=\"portcullis\" swVersion=\"", env!("CARGO_PKG_VERSION"), "\"]");

const ERROR: u8 = 3;
const NOTICE: u8 = 5;
const INFORMATIONAL: u8 = 6;

/// How much is written at once.
const BATCH: usize = 256 * 1024;

/// After this the receiver's system has confirmed what was sent, or the connection was given up ([`PATIENCE`]).
const CERTAIN: Duration = Duration::from_secs(20);

#[cfg(test)]
pub(crate) mod tests;
