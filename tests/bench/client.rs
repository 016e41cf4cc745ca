//! One connection of the load generator. It blocks: a thread of its own drives it, and does nothing besides.

mod http1;
mod http2;
pub(crate) mod websocket;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use integration::Result;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use self::{http1::Http1, http2::Http2};

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Where requests go, and what is asked.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// None for cleartext.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) protocol: Protocol,
    pub(crate) ask: Ask,
}

/// The request, which is always the same.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) cookie: String,
    pub(crate) grpc: bool,
}

/// What came back: the status where it can be told, and how long the body was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: Option<u16>,
    pub(crate) bytes: usize,
}

/// An open connection that speaks HTTP.
#[derive(Debug)]
pub(crate) enum Connection {
    Http1(Http1),
    Http2(Http2),
}

/// The bytes of a connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Target {
    /// Connects.
    pub(crate) fn connect(&self) -> Result<Connection> {
        let stream = self.stream()?;
        Ok(match self.protocol {
            Protocol::Http1 => Connection::Http1(Http1::new(stream, &self.ask)),
            Protocol::Http2 => Connection::Http2(Http2::new(stream, &self.ask, self.tls.is_some())?),
        })
    }

    /// Connects, and ends the TLS handshake.
    pub(crate) fn stream(&self) -> Result<Stream> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE))?;
        let Some(tls) = &self.tls else { return Ok(Stream::Clear(socket)) };
        let mut connection = ClientConnection::new(Arc::clone(tls), ServerName::try_from(self.ask.host.clone())?)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, socket))))
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn once(&self) -> Result<Answered> {
        let mut connection = self.connect()?;
        connection.send()?;
        connection.receive()
    }
}

impl Connection {
    /// Sends one more request.
    pub(crate) fn send(&mut self) -> Result<()> {
        match self {
            Self::Http1(connection) => connection.send(),
            Self::Http2(connection) => connection.send(),
        }
    }

    /// Waits until one request has been answered.
    pub(crate) fn receive(&mut self) -> Result<Answered> {
        match self {
            Self::Http1(connection) => connection.receive(),
            Self::Http2(connection) => connection.receive(),
        }
    }
}

impl Connection {
    /// Tells whether the proxy has ended the connection, as it may between requests.
    pub(crate) fn ended(&self) -> Result<bool> {
        match self {
            Self::Http1(connection) => connection.ended(),
            // Whatever comes between requests, a ping for one, is read with the next answer.
            Self::Http2(_) => Ok(false),
        }
    }
}

impl Stream {
    /// Tells whether anything has come that was not asked for: over HTTP/1.1, the end.
    fn unasked(&self) -> Result<bool> {
        let socket = match self {
            Self::Clear(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        };
        socket.set_nonblocking(true)?;
        let peeked = socket.peek(&mut [0]);
        socket.set_nonblocking(false)?;
        Ok(!peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
    }

    /// Says that nothing more is sent, and reads whatever still comes: session tickets, above all.
    pub(crate) fn close(mut self) -> Result<()> {
        match &mut self {
            Self::Clear(socket) => socket.shutdown(Shutdown::Write)?,
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.conn.complete_io(&mut stream.sock)?;
            }
        }
        // How the other side ends is its own affair.
        let _ = io::copy(&mut self, &mut io::sink());
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.write(from),
            Self::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Ask {
    /// Returns the request as HTTP/1.1 writes it.
    pub(crate) fn http1(&self) -> String {
        http1::head(self, "")
    }

    /// Returns the headers that a page's script sends; names in lower case.
    fn headers(&self) -> Vec<(&'static str, &str)> {
        if self.grpc {
            return vec![
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                ("user-agent", "grpc-bench/1.0"),
                ("cookie", &self.cookie),
            ];
        }
        vec![
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", "application/json"),
            ("accept-language", "en-GB,en;q=0.7"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-site", "same-origin"),
            ("cookie", &self.cookie),
        ]
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        })
    }
}

impl FromStr for Protocol {
    type Err = &'static str;

    fn from_str(name: &str) -> std::result::Result<Self, Self::Err> {
        match name {
            "http1" => Ok(Self::Http1),
            "http2" => Ok(Self::Http2),
            _ => Err("`http1` or `http2`"),
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "status {status} with {} bytes", self.bytes),
            None => write!(f, "{} bytes", self.bytes),
        }
    }
}

/// How long a proxy may say nothing at all while an answer is due.
const SILENCE: Duration = Duration::from_secs(30);
