//! One long body, down or up.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http::header::COOKIE;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo};
use integration::Result;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Plan, rounds, start};
use crate::client::{Protocol, Target};
use crate::figures::{Figures, Results};
use crate::peers::{Contestant, PATH, Shape};
use crate::process::Peak;
use crate::site::Site;
use crate::site::upstream::{LONG, LONG_BYTES};

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Down,
    Up,
}

/// A body of so many bytes.
#[derive(Debug)]
struct Long(usize);

/// Measures CPU time, rate and memory.
pub(super) fn measure(
    site: &Site,
    contestants: &[&'static dyn Contestant],
    protocol: Protocol,
    way: Way,
    plan: Plan,
    results: &mut Results,
) -> Result<()> {
    let mut started = start(site, Shape::Identity, contestants)?;
    rounds(plan, &mut started, results, |started| {
        let target = started.running.target(site, protocol, if way == Way::Down { LONG } else { PATH });
        let (before, rest) = started.used()?;
        let peak = Peak::watch(started.running.processes()?);
        let began = tokio::time::Instant::now();
        site.block_on(transfer(&target, way))?;
        let seconds = began.elapsed().as_secs_f64();
        let growth = peak.end()? - rest;
        let (after, _) = started.used()?;
        Ok(Figures::from([
            ("transfer_cpu_ms".into(), (after - before) * 1e3),
            ("mib_per_second".into(), 100.0 / seconds),
            ("growth_mib".into(), growth.max(0.0) / 1024.0),
        ]))
    })
}

async fn transfer(target: &Target, way: Way) -> Result<()> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let connector = TlsConnector::from(Arc::clone(target.tls.as_ref().ok_or("no TLS")?));
    let stream = TokioIo::new(connector.connect(ServerName::try_from(target.ask.host.clone())?, stream).await?);
    let body = Long(if way == Way::Up { LONG_BYTES } else { 0 });
    let request = if way == Way::Up { Request::post(uri(target)) } else { Request::get(uri(target)) };
    let request = request.header(COOKIE, &target.ask.cookie);
    let response = match target.protocol {
        Protocol::Http1 => {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
            tokio::spawn(connection);
            sender.send_request(request.header("host", &target.ask.host).body(body)?).await?
        }
        Protocol::Http2 => {
            let mut client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            client.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
            let (mut sender, connection) = client.handshake(stream).await?;
            tokio::spawn(connection);
            sender.send_request(request.body(body)?).await?
        }
    };
    let (status, mut answer, mut bytes) = (response.status(), response.into_body(), 0);
    while let Some(frame) = answer.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    let expected = if way == Way::Down { LONG_BYTES } else { Shape::Identity.answer().bytes };
    if status == http::StatusCode::OK && bytes == expected {
        Ok(())
    } else {
        Err(format!("{status} with {bytes} bytes").into())
    }
}

fn uri(target: &Target) -> String {
    match target.protocol {
        Protocol::Http1 => target.ask.path.clone(),
        Protocol::Http2 => format!("https://{}{}", target.ask.host, target.ask.path),
    }
}

impl Body for Long {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let chunk = CHUNK.slice(..CHUNK.len().min(self.0));
        self.0 -= chunk.len();
        Poll::Ready(if chunk.is_empty() { None } else { Some(Ok(Frame::data(chunk))) })
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0 as u64)
    }
}

const CHUNK: Bytes = Bytes::from_static(&[b'x'; 64 << 10]);

/// As wide as a browser's.
const WINDOW: u32 = 6 << 20;
