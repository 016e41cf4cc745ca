//! A caller with a cookie jar that follows redirects as a browser does, over HTTP/1.1.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::Result;

/// A caller with a cookie jar.
#[derive(Clone, Debug)]
pub struct Browser {
    tls: Arc<ClientConfig>,
    // Where `*.localhost` is, whatever port a URL names: routes need not know the port that the proxy was given.
    proxy: SocketAddr,
    // By host, then by name. Ports do not keep cookies apart (RFC 6265 §8.5).
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Where it came from.
    pub url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// Returns a header, or an empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Browser {
    /// Makes a caller that trusts what `tls` trusts and finds `*.localhost` at `proxy`.
    #[must_use]
    pub const fn new(tls: Arc<ClientConfig>, proxy: SocketAddr) -> Self {
        Self { tls, proxy, cookies: BTreeMap::new() }
    }

    /// Returns the cookies of a host.
    #[must_use]
    pub fn cookies(&self, host: &str) -> BTreeMap<String, String> {
        self.cookies.get(host).cloned().unwrap_or_default()
    }

    /// Plants a cookie.
    pub fn set_cookie(&mut self, host: &str, name: &str, value: &str) {
        self.cookies.entry(host.into()).or_default().insert(name.into(), value.into());
    }

    /// Sends one GET that asks for a page, and follows no redirect.
    ///
    /// # Errors
    /// No HTTP answer came.
    pub async fn get(&mut self, url: &str) -> Result<Answer> {
        self.send(Method::GET, url, &[("accept", "text/html"), ("sec-fetch-mode", "navigate")], Bytes::new()).await
    }

    /// Sends one request and follows no redirect.
    ///
    /// # Errors
    /// No HTTP answer came.
    pub async fn send(&mut self, method: Method, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer> {
        let url = Url::parse(url)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut request = Request::builder()
            .method(method)
            .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
            .header(HOST, &url[url::Position::BeforeHost..url::Position::AfterPort]);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(jar) = self.cookies.get(&host).filter(|jar| !jar.is_empty()) {
            let pairs: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        let (status, headers, body) = self.exchange(&url, request.body(Full::new(body))?).await?;
        for line in headers.get_all(SET_COOKIE) {
            self.store(&host, line.to_str()?);
        }
        Ok(Answer { url, status, headers, body })
    }

    /// Opens a page: follows redirects, and clicks on `user` where the provider asks who it is.
    ///
    /// # Errors
    /// No HTTP answer came, or it never ends.
    pub async fn open(&mut self, url: &str, user: &str) -> Result<Answer> {
        let mut answer = self.get(url).await?;
        for _ in 0..20 {
            if answer.status.is_redirection() && !answer.header(LOCATION.as_str()).is_empty() {
                let next = answer.url.join(answer.header(LOCATION.as_str()))?;
                answer = self.get(next.as_str()).await?;
            } else if answer.url.path() == "/authorize" && answer.status == StatusCode::OK {
                let form = [(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")];
                let body = Bytes::from(format!("user={user}"));
                answer = self.send(Method::POST, answer.url.clone().as_str(), &form, body).await?;
            } else {
                return Ok(answer);
            }
        }
        Err("redirected in circles".into())
    }

    async fn exchange(&self, url: &Url, request: Request<Full<Bytes>>) -> Result<(StatusCode, HeaderMap, Bytes)> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().ok_or("a URL without a port")?;
        let address = if host.ends_with(".localhost") { self.proxy } else { (host.parse::<IpAddr>()?, port).into() };
        let stream = TcpStream::connect(address).await?;
        let response = if url.scheme() == "https" {
            let name = ServerName::try_from(host.to_owned())?;
            let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
            send(stream, request).await?
        } else {
            send(stream, request).await?
        };
        let (parts, body) = response.into_parts();
        Ok((parts.status, parts.headers, body.collect().await?.to_bytes()))
    }

    fn store(&mut self, host: &str, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let gone = parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
        let jar = self.cookies.entry(host.to_owned()).or_default();
        if gone {
            jar.remove(name);
        } else {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<http::Response<hyper::body::Incoming>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}
