//! The proxy as its client sees it: HTTP/1.1 over TLS, verified, a connection for each exchange.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use identity::{Scheme, Secret};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::failure::Refusal;
use super::{Failure, Target, Tunnel, certificate};

/// The proxy of a service.
#[derive(Clone)]
pub(super) struct Proxy {
    target: Target,
    at: Target,
    tls: Arc<ClientConfig>,
    /// The authorities are those of `--ca-file`.
    is_private: bool,
}

/// What the proxy says to a request for a tunnel.
pub(super) enum Answered {
    Open(Tunnel),
    SignIn(Refusal, Wishes),
}

/// What the route asks of a sign-in, in the words of `/.portcullis/sign_in`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes(Vec<(String, String)>);

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("target", &self.target).field("at", &self.at).finish_non_exhaustive()
    }
}

impl Wishes {
    /// Reads what stands in the address of sign-in that a 401 names.
    pub(super) fn of(sign_in: &str) -> Self {
        let url = Url::parse(sign_in).ok();
        let pairs = url.iter().flat_map(Url::query_pairs);
        let known = |name: &str| ["provider", "max_age", "acr_values"].contains(&name);
        Self(pairs.filter(|(name, _)| known(name)).map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// Returns the parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }
}

impl Proxy {
    pub(super) fn new(target: Target, at: Option<Target>, ca_file: Option<PathBuf>) -> Result<Self, Failure> {
        let is_private = ca_file.is_some();
        let tls = telemetry::Tls { ca_file, ..telemetry::Tls::default() }.config();
        let mut tls = tls.map_err(|error| Failure::Local(format!("`--ca-file` cannot be used: {error}")))?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let at = at.unwrap_or_else(|| target.with_port(Scheme::Https.default_port()));
        Ok(Self { target, at, tls: Arc::new(tls), is_private })
    }

    /// Returns the host of the service, which is the proxy's name.
    pub(super) fn host(&self) -> &str {
        self.target.host()
    }

    /// Returns the port of the proxy.
    pub(super) const fn port(&self) -> u16 {
        self.at.port()
    }

    /// Returns the URL of a path of the proxy.
    pub(super) fn url(&self, path: &str) -> String {
        self.target.with_port(self.at.port()).url(path)
    }

    /// Asks for a tunnel. Nothing is sent into it before it is there (S-58).
    pub(super) async fn open(&self, cookie: Option<&Secret>) -> Result<Answered, Failure> {
        let authority = self.target.to_string();
        let request = self.request(Method::CONNECT, &authority, &authority, cookie, String::new())?;
        let response = self.exchange(request).await?;
        let status = response.status();
        if status.is_success() {
            let upgraded = hyper::upgrade::on(response).await.map_err(|error| self.no_answer(&error))?;
            return Ok(Answered::Open(TokioIo::new(upgraded)));
        }
        let body = self.json(response).await.unwrap_or_default();
        let refusal = Refusal::new(&authority, status, &body);
        match body.get("sign_in").and_then(Value::as_str) {
            Some(sign_in) if status == StatusCode::UNAUTHORIZED => Ok(Answered::SignIn(refusal, Wishes::of(sign_in))),
            _ => Err(refusal.into()),
        }
    }

    /// Redeems a code: returns what the proxy says.
    pub(super) async fn redeem(&self, form: String) -> Result<Value, Failure> {
        self.json(self.exchange(self.session_request(Method::POST, None, form)?).await?).await
    }

    /// Ends a session.
    pub(super) async fn end_session(&self, cookie: &Secret) -> Result<(), Failure> {
        let response = self.exchange(self.session_request(Method::DELETE, Some(cookie), String::new())?).await?;
        match response.status() {
            StatusCode::OK => Ok(()),
            status => Err(self.no_answer(&format!("it answers {} where the session was to end", status.as_u16()))),
        }
    }

    fn session_request(
        &self,
        method: Method,
        cookie: Option<&Secret>,
        form: String,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let url = self.url("");
        let host = url.strip_prefix("https://").unwrap_or_default();
        self.request(method, "/.portcullis/connect/session", host, cookie, form)
    }

    fn request(
        &self,
        method: Method,
        target: &str,
        host: &str,
        cookie: Option<&Secret>,
        form: String,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder().method(method).uri(target).header(HOST, host);
        request = request.header(http::header::USER_AGENT, concat!("portcullis-connect/", env!("CARGO_PKG_VERSION")));
        if let Some(cookie) = cookie {
            let mut value = HeaderValue::try_from(cookie.expose()).map_err(|_| self.no_answer(&NO_COOKIE))?;
            value.set_sensitive(true);
            request = request.header(COOKIE, value);
        }
        if !form.is_empty() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request.body(Full::new(form.into())).map_err(|error| self.no_answer(&error))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let stream = timeout(CONNECTING, self.dial()).await;
        let stream = stream.map_err(|_| self.unreachable(&"no connection within 10 seconds"))??;
        let answer = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // Ends with the exchange, or gives its stream to the tunnel.
            tokio::spawn(connection.with_upgrades());
            sender.send_request(request).await
        };
        let answer = timeout(ANSWERING, answer).await;
        answer.map_err(|_| self.no_answer(&"nothing within a minute"))?.map_err(|error| self.no_answer(&error))
    }

    async fn dial(&self) -> Result<TlsStream<TcpStream>, Failure> {
        let host = self.at.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.at.port())).await.map_err(|error| self.unreachable(&error))?;
        let alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
        let set = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&alive));
        set.map_err(|error| self.unreachable(&error))?;
        let name = self.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|error| self.no_answer(&error))?;
        let connected = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        connected.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(reason)) => {
                let reason = certificate::problem(reason, self.host(), self.is_private);
                Failure::Unproved { at: self.at.to_string(), host: self.host().to_owned(), reason }
            }
            _ => self.no_answer(&error),
        })
    }

    async fn json(&self, response: Response<Incoming>) -> Result<Value, Failure> {
        let body = timeout(ANSWERING, Limited::new(response.into_body(), MAX_BODY).collect()).await;
        let body = body.map_err(|_| self.no_answer(&"its answer does not end"))?;
        let body = body.map_err(|error| self.no_answer(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| self.no_answer(&"it is no JSON"))
    }

    fn unreachable(&self, reason: &dyn std::fmt::Display) -> Failure {
        Failure::Unreachable { at: self.at.to_string(), reason: reason.to_string() }
    }

    fn no_answer(&self, reason: &dyn std::fmt::Display) -> Failure {
        Failure::NoAnswer { at: self.at.to_string(), reason: reason.to_string() }
    }
}

const NO_COOKIE: &str = "what it gave as a session is none";
const CONNECTING: Duration = Duration::from_secs(10);
const ANSWERING: Duration = Duration::from_secs(60);
/// A tunnel may be silent for hours: what lies between must not forget it, and a proxy that vanished is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const MAX_BODY: usize = 64 * 1024;

#[cfg(test)]
mod tests;
